//! What an archive holds: files, folders and symbolic links, with the order they stand in.

use crate::limits::MAX_TIME;
use std::cmp::Ordering;

/// One file, folder or symbolic link below the shared folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is below the shared folder: components with a `/` between two, UTF-8, none at the ends.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// When it was last changed, in whole seconds since 1970: [`seconds`] makes any time fit.
    pub mtime: u64,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// Whether its owner may run it. No other bit of its mode is kept.
        executable: bool,
    },
    /// A folder. Each folder that anything is in has its own entry.
    Folder,
    /// A symbolic link that stays inside.
    Link {
        /// What it holds, byte for byte.
        target: String,
    },
}

impl Kind {
    /// Bytes of content that the entry has in the archive: a file's size, else none.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Folder | Self::Link { .. } => 0,
        }
    }
}

/// The time that an archive keeps for a file of `time` seconds since 1970: the nearest one from 1970 to 2242.
/// Parts of a second are left out by the caller; times before 1970 have been errors in our experience.
#[must_use]
pub fn seconds(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0).min(MAX_TIME)
}

/// The order of two paths in an archive: component by component, each by its bytes. So a folder comes directly
/// before all that is in it, and a walk of a tree that sorts each folder by the bytes of its names meets
/// everything in this order.
#[must_use]
pub fn order(a: &str, b: &str) -> Ordering {
    // No component has a zero byte, so the end of one comes first.
    let rank = |byte: u8| if byte == b'/' { 0 } else { byte };
    a.bytes().map(rank).cmp(b.bytes().map(rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_folder_stands_in_front_of_its_content() {
        let sorted = ["a", "a/b", "a/b/c", "a/b c", "a b", "a-b", "a.b", "ab", "b", "ä"];
        let mut paths = sorted;
        paths.reverse();
        paths.sort_by(|a, b| order(a, b));
        assert_eq!(paths, sorted);
    }

    #[test]
    fn any_time_fits() {
        assert_eq!([i64::MIN, -1, 0, 7].map(seconds), [0, 0, 0, 7]);
        assert_eq!(seconds(i64::MAX), MAX_TIME);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_components(a in "[a-c./]{0,8}", b in "[a-c./]{0,8}") {
            prop_assert_eq!(order(&a, &b), a.split('/').cmp(b.split('/')));
        }
    }
}
