//! What an earlier version of a folder holds is copied to where the new version has it. What of it is right is found
//! by checking the new one.

use super::beneath::Beneath;
use super::finish::split;
use super::flags::Flags;
use super::mark::is_file;
use super::tree::{Looker, Tree};
use super::walk::{Special, Walk};
use cascade_archive::Entry;
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

    /// Looks at everything in the earlier version for files that have got another path.
    fn copy_moved(&self, tree: &Tree, moved: Moved) -> io::Result<()> {
        if moved.wanted.is_empty() {
            return Ok(());
        }
        let (moved, mut failed) = (moved.sorted(), None);
        let walk = Walk { below: self.below, root: self.path, special: Special::Skip, cancel: self.cancel };
        // What cannot be walked is not used.
        let _ = walk.run(|entry, _| {
            let Some((number, to)) =
                moved.find(entry, |number| tree.archive().entry(number).filter(|_| !self.taken.has(number)))
            else {
                return Ok(());
            };
            let copied = self.open(&entry.path).map_or(Ok(()), |from| self.copy(tree, number, &to, &from));
            copied.map_err(|error| {
                failed = Some(error);
                super::FolderError::Interrupted
            })
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
    /// By a hash of length and time, and of the name too: 24 bytes a file.
    wanted: Vec<(u64, u64, u32)>,
}

impl Moved {
    fn want(&mut self, number: u32, entry: &Entry) {
        let (like, named) = keys(entry);
        self.wanted.push((like, named, number));
    }

    fn sorted(mut self) -> Self {
        self.wanted.sort_unstable();
        self
    }

    /// The file to which the bytes of `old` may belong: one with the same length and time, and with the same name or
    /// the only one of its kind. `wanted` tells of a number whether it has no bytes yet.
    fn find(&self, old: &Entry, wanted: impl Fn(u32) -> Option<Entry>) -> Option<(u32, Entry)> {
        if old.kind.size() == 0 {
            return None;
        }
        let (like, named) = keys(old);
        let of = |from: (u64, u64), to: (u64, u64)| {
            let start = self.wanted.partition_point(|(like, named, _)| (*like, *named) < from);
            let end = self.wanted.partition_point(|(like, named, _)| (*like, *named) <= to);
            self.wanted.get(start..end).unwrap_or_default()
        };
        let alike = of((like, 0), (like, u64::MAX));
        let candidates = if let [_] = alike { alike } else { of((like, named), (like, named)) };
        let wanted =
            candidates.iter().take(MAX_ALIKE).find_map(|(.., number)| Some((*number, wanted(*number)?)));
        wanted.filter(|(_, entry)| (entry.kind.size(), entry.mtime) == (old.kind.size(), old.mtime))
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
    fn a_file_is_known_again_by_length_and_time_and_by_its_name_if_there_are_several() {
        let new = [file("a/x", 5, 1), file("a/y", 5, 1), file("b/alone", 7, 1), file("c/x", 5, 1)];
        let mut moved = Moved::default();
        (0..).zip(&new).for_each(|(number, entry)| moved.want(number, entry));
        let moved = moved.sorted();
        let all = |number: u32| new.get(number as usize).cloned();
        let find = |old: &Entry| moved.find(old, all).map(|(number, _)| number);
        assert_eq!(find(&file("old/y", 5, 1)), Some(1));
        assert_eq!(find(&file("old name", 7, 1)), Some(2));
        assert_eq!(find(&file("old/z", 5, 1)), None, "three are alike, and none has this name");
        assert_eq!(find(&file("old name", 7, 2)), None);
        assert_eq!(find(&file("old/x", 5, 1)), Some(0));
        let but_the_first = |number: u32| all(number).filter(|_| number > 0);
        assert_eq!(moved.find(&file("old/x", 5, 1), but_the_first).map(|(number, _)| number), Some(3));
    }
}
