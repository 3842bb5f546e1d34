//! Reading a link. Links that people paste are sometimes a little damaged, and some are hostile: such parts are refused
//! or made harmless. The parser allocates no more than the link is long, and its bounded lists.

use super::escape::{EscapeError, decode};
use super::{Address, AddressError, Link, MAX_LINK_LEN, MAX_PEERS, MAX_TRACKERS, SCHEME};
use crate::hash::HexError;
use crate::name::{MAX_NAME_LEN, deception};
use core::str::FromStr;

/// Why a text is not a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It does not start with `cascade:`.
    #[error("not a link: it does not start with cascade:")]
    Scheme,
    /// It has more than [`MAX_LINK_LEN`] bytes.
    #[error("the link has {0} bytes, no link has more than {MAX_LINK_LEN}")]
    TooLong(usize),
    /// White space or an invisible character inside.
    #[error("character {0} of the link is a space, a line break or invisible: paste it as one line")]
    Stray(usize),
    /// What follows `cascade:` is not a hash.
    #[error("the link is damaged behind cascade: {0}")]
    Hash(#[from] HexError),
    /// A `%` without two hex digits behind it.
    #[error("the link is damaged: in its {0} a % stands without two hex digits")]
    Percent(&'static str),
    /// The bytes of a value are not UTF-8.
    #[error("the link is damaged: its {0} is not UTF-8")]
    NotText(&'static str),
    /// A key that may stand once stands twice.
    #[error("the link has more than one {0}")]
    Twice(&'static str),
    /// The name is too long.
    #[error("the link's name has {0} bytes, a name has at most {MAX_NAME_LEN}")]
    NameTooLong(usize),
    /// The length is no number of bytes that a file can have.
    #[error("the link's length is not a number of bytes that a file can have")]
    Length,
    /// An address is none.
    #[error("{key} {number} of the link is wrong: {why}")]
    Address {
        /// `tracker` or `peer`.
        key: &'static str,
        /// Which of them in the link, from 1.
        number: usize,
        /// What is wrong with it.
        why: AddressError,
    },
    /// More than [`MAX_TRACKERS`].
    #[error("the link has more than {MAX_TRACKERS} trackers")]
    TooManyTrackers,
    /// More than [`MAX_PEERS`].
    #[error("the link has more than {MAX_PEERS} peers")]
    TooManyPeers,
}

/// Whether `text` is meant to be a link, as opposed to a file's name: it starts with `cascade:`, apart from
/// what [`Link`]'s parser takes off.
#[must_use]
pub fn is_meant(text: &str) -> bool {
    after_scheme(unwrapped(text)).is_some()
}

impl FromStr for Link {
    type Err = LinkError;

    /// Reads a link. White space around it and one pair of `<` and `>` are taken off; the scheme and the
    /// hash may have letters of either case; unknown keys are skipped.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = unwrapped(text);
        let rest = after_scheme(text).ok_or(LinkError::Scheme)?;
        if text.len() > MAX_LINK_LEN {
            return Err(LinkError::TooLong(text.len()));
        }
        let is_stray = |character: char| character.is_whitespace() || deception(character).is_some();
        if let Some(at) = text.chars().position(is_stray) {
            return Err(LinkError::Stray(at + 1));
        }
        let (hash, pairs) = rest.split_once('?').unwrap_or((rest, ""));
        let mut reader = Reader { link: Self::new(hash.parse()?), trackers: 0, peers: 0 };
        pairs.split('&').try_for_each(|pair| reader.take(pair))?;
        Ok(reader.link)
    }
}

/// `text` without white space around it, and without the brackets that some put around a link.
fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).map_or(text, str::trim)
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// A link, half read.
struct Reader {
    link: Link,
    /// Addresses seen, those that stand twice included.
    trackers: usize,
    peers: usize,
}

impl Reader {
    fn take(&mut self, pair: &str) -> Result<(), LinkError> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "name" => self.take_name(value),
            "length" => self.take_length(value),
            "tracker" => {
                self.trackers += 1;
                self.link.add_tracker(address("tracker", self.trackers, value)?)
            }
            "peer" => {
                self.peers += 1;
                self.link.add_peer(address("peer", self.peers, value)?)
            }
            _ => Ok(()),
        }
    }

    fn take_name(&mut self, value: &str) -> Result<(), LinkError> {
        if self.link.name.is_some() {
            return Err(LinkError::Twice("name"));
        }
        self.link.set_name(&text("name", value)?)
    }

    fn take_length(&mut self, value: &str) -> Result<(), LinkError> {
        if self.link.length.is_some() {
            return Err(LinkError::Twice("length"));
        }
        let value = text("length", value)?;
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let length = if is_number { value.parse().ok() } else { None };
        self.link.set_length(length.ok_or(LinkError::Length)?)
    }
}

fn text(key: &'static str, value: &str) -> Result<alloc::string::String, LinkError> {
    decode(value).map_err(|error| match error {
        EscapeError::Percent => LinkError::Percent(key),
        EscapeError::NotText => LinkError::NotText(key),
    })
}

fn address(key: &'static str, number: usize, value: &str) -> Result<Address, LinkError> {
    text(key, value)?.parse().map_err(|why| LinkError::Address { key, number, why })
}
