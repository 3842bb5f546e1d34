//! One line of the index: an entry as text.
//!
//! ```text
//! DEPTH d MTIME NAME                  a folder
//! DEPTH f MTIME SIZE NAME             a file
//! DEPTH x MTIME SIZE NAME             a file that may be run
//! DEPTH l MTIME NAME/TARGET           a symbolic link
//! ```
//!
//! DEPTH is the number of folders that the entry is in, NAME the last component of its path. The others
//! are those of the nearest lines above with smaller depths. Numbers are decimal and have no zero in front.

use crate::entry::Kind;
use crate::error::LineError;
use crate::limits::{MAX_COMPONENT_LEN, MAX_TARGET_LEN};
use std::fmt;

/// Bytes that a line has at most, without its end: three numbers and a kind with spaces behind them, a name, a
/// slash and a target.
pub(crate) const MAX_LINE_LEN: usize = 3 * 20 + 2 + MAX_COMPONENT_LEN + 1 + MAX_TARGET_LEN;

/// Bytes that a line has at least, its end included: `0 d 0 a`.
pub(crate) const MIN_LINE_LEN: u64 = 8;

/// A line of the index, not yet checked against the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) depth: usize,
    pub(crate) what: What<'a>,
    pub(crate) mtime: u64,
    pub(crate) name: &'a str,
}

/// [`Kind`], borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What<'a> {
    File { size: u64, executable: bool },
    Folder,
    Link { target: &'a str },
}

impl What<'_> {
    pub(crate) const fn size(self) -> u64 {
        match self {
            Self::File { size, .. } => size,
            Self::Folder | Self::Link { .. } => 0,
        }
    }

    pub(crate) const fn is_folder(self) -> bool {
        matches!(self, Self::Folder)
    }
}

impl<'a> From<&'a Kind> for What<'a> {
    fn from(kind: &'a Kind) -> Self {
        match kind {
            Kind::File { size, executable } => Self::File { size: *size, executable: *executable },
            Kind::Folder => Self::Folder,
            Kind::Link { target } => Self::Link { target },
        }
    }
}

impl From<What<'_>> for Kind {
    fn from(what: What<'_>) -> Self {
        match what {
            What::File { size, executable } => Self::File { size, executable },
            What::Folder => Self::Folder,
            What::Link { target } => Self::Link { target: target.into() },
        }
    }
}

impl<'a> Line<'a> {
    /// Reads a line without its end. Everything that it accepts is written again byte for byte.
    pub(crate) fn parse(line: &'a str) -> Result<Self, LineError> {
        let (depth, rest) = number(line)?;
        let (kind, rest) = rest.split_once(' ').ok_or(LineError::Field)?;
        let (mtime, rest) = number(rest)?;
        let (what, name) = match kind {
            "f" | "x" => {
                let (size, name) = number(rest)?;
                (What::File { size, executable: kind == "x" }, name)
            }
            "d" => (What::Folder, rest),
            "l" => {
                let (name, target) = rest.split_once('/').ok_or(LineError::Field)?;
                (What::Link { target }, name)
            }
            other => return Err(LineError::Kind(other.chars().next().unwrap_or(' '))),
        };
        if name.contains('/') {
            return Err(LineError::Slash);
        }
        let depth = usize::try_from(depth).map_err(|_| LineError::Number)?;
        Ok(Self { depth, what, mtime, name })
    }
}

/// The decimal number in front of `text`, and what is behind the space behind it.
fn number(text: &str) -> Result<(u64, &str), LineError> {
    let (digits, rest) = text.split_once(' ').ok_or(LineError::Field)?;
    let is_shortest = digits == "0" || !digits.starts_with('0');
    let is_number = is_shortest && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value = if is_number { digits.parse().ok() } else { None };
    Ok((value.ok_or(LineError::Number)?, rest))
}

impl fmt::Display for Line<'_> {
    /// The line with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { depth, mtime, name, .. } = self;
        match self.what {
            What::File { size, executable } => {
                let kind = if executable { 'x' } else { 'f' };
                writeln!(f, "{depth} {kind} {mtime} {size} {name}")
            }
            What::Folder => writeln!(f, "{depth} d {mtime} {name}"),
            What::Link { target } => writeln!(f, "{depth} l {mtime} {name}/{target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_is_read() {
        let line = |depth, what, mtime, name| Ok(Line { depth, what, mtime, name });
        assert_eq!(Line::parse("0 d 0 a"), line(0, What::Folder, 0, "a"));
        assert_eq!(
            Line::parse("2 f 7 5 a b "),
            line(2, What::File { size: 5, executable: false }, 7, "a b ")
        );
        assert_eq!(Line::parse("10 x 7 0 a"), line(10, What::File { size: 0, executable: true }, 7, "a"));
        assert_eq!(Line::parse("0 l 7 a/../b/"), line(0, What::Link { target: "../b/" }, 7, "a"));
        assert_eq!(MIN_LINE_LEN, Line::parse("0 d 0 a").unwrap().to_string().len() as u64);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (line, error) in [
            ("", LineError::Field),
            ("0", LineError::Field),
            ("0 d 0", LineError::Field),
            ("0 l 0 a", LineError::Field),
            (" d 0 a", LineError::Number),
            ("+0 d 0 a", LineError::Number),
            ("00 d 0 a", LineError::Number),
            ("0 d 01 a", LineError::Number),
            ("0 d -1 a", LineError::Number),
            ("0 d 18446744073709551616 a", LineError::Number),
            ("0 f 0 a", LineError::Field),
            ("0 f 0 a b", LineError::Number),
            ("0 c 0 5 1 null", LineError::Kind('c')),
            ("0 dd 0 a", LineError::Kind('d')),
            ("0  0 a", LineError::Kind(' ')),
            ("0 d 0 /etc", LineError::Slash),
            ("0 f 0 0 a/b", LineError::Slash),
        ] {
            assert_eq!(Line::parse(line), Err(error), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again(line in "[0-9]{1,3} [fdxlq] [0-9]{1,3} ([0-9]{1,3} )?[a-c/. ]{0,9}") {
            if let Ok(read) = Line::parse(&line) {
                prop_assert_eq!(read.to_string(), format!("{line}\n"));
            }
        }
    }
}
