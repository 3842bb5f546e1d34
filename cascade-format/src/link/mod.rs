//! Links: one line of text that says which file to download and where to begin (protocol, "Links").
//!
//! ```text
//! cascade:7f86d42dc67f91df9f2e86df49f95e3da8cd074fabf99abaf696bb07f0a15105?name=film.mkv&length=15&tracker=192.0.2.1%3A8888
//! ```
//!
//! Only the hash of a link is trusted. The name is made [safe], the length is a claim,
//! and the addresses are hints like those of a tracker.

mod address;
mod escape;
mod parse;
#[cfg(test)]
mod tests;

pub use address::{Address, AddressError, Host};
pub use parse::{LinkError, is_meant};

use crate::CascadeHash;
use crate::layout::MAX_LENGTH;
use crate::name::{MAX_NAME_LEN, safe};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The first characters of every link.
pub const SCHEME: &str = "cascade:";

/// Bytes of a link. The longest one that is ever written has 7,257.
pub const MAX_LINK_LEN: usize = 8192;

/// Trackers of a link; the same one twice counts once.
pub const MAX_TRACKERS: usize = 8;

/// Peers of a link; the same one twice counts once.
pub const MAX_PEERS: usize = 16;

/// What a link says. Read one with [`str::parse`], write the canonical text with [`ToString`].
///
/// [`ToString`]: alloc::string::ToString
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    cascade_hash: CascadeHash,
    name: Option<String>,
    length: Option<u64>,
    trackers: Vec<Address>,
    peers: Vec<Address>,
}

impl Link {
    /// A link that says nothing but which file it is.
    #[must_use]
    pub const fn new(cascade_hash: CascadeHash) -> Self {
        Self { cascade_hash, name: None, length: None, trackers: Vec::new(), peers: Vec::new() }
    }

    /// Sets the data file's name, or the folder's; it is made [safe].
    ///
    /// # Errors
    /// It has more than [`MAX_NAME_LEN`] bytes.
    pub fn set_name(&mut self, name: &str) -> Result<(), LinkError> {
        if name.len() > MAX_NAME_LEN {
            return Err(LinkError::NameTooLong(name.len()));
        }
        self.name = Some(safe(name));
        Ok(())
    }

    /// Sets the length of the data file, in bytes.
    ///
    /// # Errors
    /// No file can have it.
    pub const fn set_length(&mut self, length: u64) -> Result<(), LinkError> {
        if length > MAX_LENGTH {
            return Err(LinkError::Length);
        }
        self.length = Some(length);
        Ok(())
    }

    /// Adds a tracker behind the others, if it is not among them.
    ///
    /// # Errors
    /// There are [`MAX_TRACKERS`] others.
    pub fn add_tracker(&mut self, tracker: Address) -> Result<(), LinkError> {
        add(&mut self.trackers, tracker, MAX_TRACKERS, LinkError::TooManyTrackers)
    }

    /// Adds a peer behind the others, if it is not among them.
    ///
    /// # Errors
    /// There are [`MAX_PEERS`] others.
    pub fn add_peer(&mut self, peer: Address) -> Result<(), LinkError> {
        add(&mut self.peers, peer, MAX_PEERS, LinkError::TooManyPeers)
    }

    /// Which file it is. The only thing that proves itself.
    #[must_use]
    pub const fn cascade_hash(&self) -> CascadeHash {
        self.cascade_hash
    }

    /// The name that the data file or folder should get: one component of a path, safe to show.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The claimed length of the data file, in bytes.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Trackers to ask, in the order of the link.
    #[must_use]
    pub fn trackers(&self) -> &[Address] {
        &self.trackers
    }

    /// Peers to ask, in the order of the link.
    #[must_use]
    pub fn peers(&self) -> &[Address] {
        &self.peers
    }
}

fn add(list: &mut Vec<Address>, address: Address, most: usize, full: LinkError) -> Result<(), LinkError> {
    if list.contains(&address) {
        return Ok(());
    }
    if list.len() == most {
        return Err(full);
    }
    list.push(address);
    Ok(())
}

impl fmt::Display for Link {
    /// The canonical text: name, length, trackers, peers; every byte that is not unreserved is encoded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.cascade_hash)?;
        let mut mark = '?';
        let mut pair = |key: &str, value: &dyn fmt::Display| {
            let written = write!(f, "{mark}{key}=").and_then(|()| escape::write(f, value));
            mark = '&';
            written
        };
        self.name.iter().try_for_each(|name| pair("name", name))?;
        self.length.iter().try_for_each(|length| pair("length", length))?;
        self.trackers.iter().try_for_each(|tracker| pair("tracker", tracker))?;
        self.peers.iter().try_for_each(|peer| pair("peer", peer))
    }
}
