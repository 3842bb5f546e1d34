//! Which files of a folder that is brought up to date may stay where they are.

use super::looker::Looker;
use super::made::is_as_wanted;
use super::mark::is_file;
use super::tree::{Base, Tree};
use cascade_archive::{Entry, Kind};
use rustix::fs::Stat;

/// Tells of each file whether it may stay if its bytes are right.
pub(super) struct Stays {
    /// Files that have two of the names of the new version, sorted: 8 bytes for each name.
    twice: Vec<u64>,
}

impl Stays {
    /// Looks at all files in the folder that have a name of the new version.
    pub(super) fn look(tree: &Tree, base: &Base) -> Self {
        let mut there = Looker::new(&base.below);
        let entries = tree.archive().entries().filter(|entry| entry.kind != Kind::Folder);
        let found = entries.filter_map(|entry| there.look(&entry.path));
        let mut inodes: Vec<u64> =
            found.filter(|stat| is_file(stat) && stat.st_nlink > 1).map(|stat| stat.st_ino).collect();
        inodes.sort_unstable();
        let twice = inodes.windows(2).filter_map(|pair| match pair {
            [one, other] if one == other => Some(*one),
            _ => None,
        });
        Self { twice: twice.collect() }
    }

    /// Whether the file that looks like `stat` may stay. One of another length is another file.
    ///
    /// A file with a second name is somebody's in another place, too: it stays only as it is, for another time or other
    /// permissions would show there. If both names are in the folder, it does not stay either: when one of them gets
    /// another file, the file looks changed at the other.
    pub(super) fn has(&self, entry: &Entry, stat: &Stat) -> bool {
        let is_alone = || stat.st_nlink == 1;
        let is_right = || is_as_wanted(entry, stat) && self.twice.binary_search(&stat.st_ino).is_err();
        let is_whole = is_file(stat) && u64::try_from(stat.st_size).ok() == Some(entry.kind.size());
        is_whole && (is_alone() || is_right())
    }
}
