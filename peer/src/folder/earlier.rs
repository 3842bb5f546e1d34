//! The data of an earlier version of a folder is copied to the places that it has in the new version. A check of the
//! new one finds which of it is right.

use super::beneath::Beneath;
use super::error::FolderError;
use super::finish::split;
use super::flags::Flags;
use super::looker::Looker;
use super::mark::is_file;
use super::tree::Tree;
use super::walk::{Special, Walk};
use cascade_archive::{Entry, order};
use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Files of the same name, length and time that are looked at to find one that has no bytes yet.
const MAX_ALIKE: usize = 16;

/// An earlier version.
pub(super) struct Earlier<'a> {
    /// Where it is.
    pub(super) below: &'a Beneath,
    /// The same, for the walk.
    pub(super) path: &'a Path,
    /// Each entry whose bytes are copied is noted here.
    pub(super) taken: &'a Flags,
    pub(super) cancel: &'a AtomicBool,
}

impl Earlier<'_> {
    /// Copies to each file that is not there yet what the file of the same path holds; where there is none, a file
    /// of the same length and time, which may have got another name.
    ///
    /// # Errors
    /// A file of ours cannot be made or written. A file that cannot be read is left out.
    pub(super) fn copy_to(&self, tree: &Tree) -> io::Result<()> {
        let (mut here, mut there) = (Looker::new(&tree.below), Looker::new(self.below));
        let mut moved = Moved::default();
        for (number, entry) in (0..).zip(tree.archive().entries()) {
            let size = entry.kind.size();
            // One of another length was being copied when an earlier run ended.
            let done =
                here.look(&entry.path).is_some_and(|stat| u64::try_from(stat.st_size).ok() == Some(size));
            if size == 0 || done || tree.is_in_base(number) {
                continue;
            }
            self.go_on()?;
            if there.look(&entry.path).is_none_or(|stat| !is_file(&stat)) {
                moved.want(number, &entry);
            } else if let Some(from) = self.open(&entry.path) {
                self.copy(tree, number, &entry, &from)?;
            }
        }
        self.copy_moved(tree, moved)
    }

    /// Looks at everything in the earlier version for files that have got another path: first by their names, then by
    /// their order.
    fn copy_moved(&self, tree: &Tree, mut moved: Moved) -> io::Result<()> {
        moved.sort();
        for by_name in [true, false] {
            let left = moved.wanted.iter().any(|(.., number)| !self.taken.has(*number));
            if left {
                self.walk(tree, &mut moved, by_name)?;
            }
        }
        Ok(())
    }

    fn walk(&self, tree: &Tree, moved: &mut Moved, by_name: bool) -> io::Result<()> {
        let mut new = tree.archive().entries().peekable();
        let mut failed = None;
        let walk = Walk { below: self.below, root: self.path, special: Special::Skip, cancel: self.cancel };
        // What cannot be walked is not used.
        let _ = walk.run(|old, _| {
            while new.next_if(|new| order(&new.path, &old.path).is_lt()).is_some() {}
            // One that is still there has not moved; that it was copied shows by its name.
            let stays = new.peek().is_some_and(|new| new.path == old.path);
            if old.kind.size() == 0 || stays && !by_name {
                return Ok(());
            }
            let Some(number) = moved.find(old, by_name, |number| !self.taken.has(number)) else {
                return Ok(());
            };
            let to = tree.archive().entry(number);
            let to = to.filter(|to| (to.kind.size(), to.mtime) == (old.kind.size(), old.mtime));
            if let (Some(to), Some(from)) = (to, self.open(&old.path))
                && let Err(error) = self.copy(tree, number, &to, &from)
            {
                failed = Some(error);
                return Err(FolderError::Interrupted);
            }
            Ok(())
        });
        self.go_on()?;
        failed.map_or(Ok(()), Err)
    }

    fn open(&self, path: &str) -> Option<File> {
        let file = self.below.file(path).ok()?;
        file.metadata().is_ok_and(|there| there.is_file()).then_some(file)
    }

    /// Copies what `from` holds to the file of an entry, which gets its length when that is done.
    fn copy(&self, tree: &Tree, number: u32, entry: &Entry, from: &File) -> io::Result<()> {
        let copied = copy(tree, entry, from).map_err(|error| tree.of_file(entry, &error))?;
        self.taken.set(number, copied);
        Ok(())
    }

    fn go_on(&self) -> io::Result<()> {
        if self.cancel.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

/// Copies the bytes of `from` to the file of an entry. `false`: something else has its name.
pub(super) fn copy(tree: &Tree, entry: &Entry, from: &File) -> io::Result<bool> {
    let size = entry.kind.size();
    let to = match tree.below.create(&entry.path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = tree.below.part(&entry.path)?;
            let stat = rustix::fs::fstat(&there)?;
            if !is_file(&stat) || stat.st_nlink != 1 {
                return Ok(false);
            }
            there
        }
        created => created?,
    };
    // Where the file system can, it is shared and not copied (`copy_file_range`).
    io::copy(&mut from.take(size), &mut &to)?;
    to.set_len(size)?;
    Ok(true)
}

/// Files of the new version that the earlier one has not at their path.
#[derive(Default)]
struct Moved {
    /// By a hash of length and time, and one of the name too: 24 bytes a file.
    wanted: Vec<(u64, u64, u32)>,
    /// The same without the names, in the order of the archive.
    in_order: Vec<(u64, u32)>,
    /// Of each hash, how many of these have been given bytes, or passed over.
    passed: HashMap<u64, usize>,
}

impl Moved {
    fn want(&mut self, number: u32, entry: &Entry) {
        let (like, named) = keys(entry);
        self.wanted.push((like, named, number));
        self.in_order.push((like, number));
    }

    fn sort(&mut self) {
        self.wanted.sort_unstable();
        self.in_order.sort_unstable();
    }

    /// The file to which the bytes of `old` may belong: one with the same length and time, and with the same name or,
    /// if that is not asked for, the first one that is `free`.
    fn find(&mut self, old: &Entry, by_name: bool, free: impl Fn(u32) -> bool) -> Option<u32> {
        let (like, named) = keys(old);
        if by_name {
            let start = self.wanted.partition_point(|(a, b, _)| (*a, *b) < (like, named));
            let alike = self.wanted.iter().skip(start).take_while(|(a, b, _)| (*a, *b) == (like, named));
            return alike.take(MAX_ALIKE).map(|(.., number)| *number).find(|number| free(*number));
        }
        let start = self.in_order.partition_point(|(a, _)| *a < like);
        let passed = self.passed.entry(like).or_default();
        loop {
            let (there, number) = *self.in_order.get(start + *passed)?;
            if there != like {
                return None;
            }
            *passed += 1;
            if free(number) {
                return Some(number);
            }
        }
    }
}

fn keys(entry: &Entry) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    (entry.kind.size(), entry.mtime).hash(&mut hasher);
    let like = hasher.finish();
    split(&entry.path).1.hash(&mut hasher);
    (like, hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_archive::Kind;

    fn file(path: &str, size: u64, mtime: u64) -> Entry {
        Entry { path: path.into(), kind: Kind::File { size, executable: false }, mtime }
    }

    #[test]
    fn a_file_is_known_again_by_length_time_and_name_or_by_the_order() {
        let new = [file("a/x", 5, 1), file("a/y", 5, 1), file("b/alone", 7, 1), file("c/x", 5, 1)];
        let mut moved = Moved::default();
        (0..).zip(&new).for_each(|(number, entry)| moved.want(number, entry));
        moved.sort();
        let mut find = |old: &Entry, by_name| moved.find(old, by_name, |number| number != 0);
        assert_eq!(find(&file("old/y", 5, 1), true), Some(1));
        assert_eq!(find(&file("old/z", 5, 1), true), None);
        assert_eq!(find(&file("old/x", 5, 1), true), Some(3), "the first has its bytes");
        assert_eq!(find(&file("old name", 7, 1), false), Some(2));
        assert_eq!(find(&file("old name", 7, 2), false), None);
        assert_eq!(find(&file("old 1", 5, 1), false), Some(1));
        assert_eq!(find(&file("old 2", 5, 1), false), Some(3));
        assert_eq!(find(&file("old 3", 5, 1), false), None, "all have their bytes");
    }
}
