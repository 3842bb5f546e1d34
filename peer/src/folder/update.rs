//! A folder that is brought up to date: the files that are new or have changed are made elsewhere, and get their names
//! in it when all of the new version is verified. At every moment each name has the old file or the new one. Files that
//! the new version does not name are not touched.

use super::beneath::{Beneath, look, split};
use super::error::FolderError;
use super::kept::Kept;
use super::looker::Looker;
use super::made::{Parents, has_time, is_as_wanted, times, wanted_mode};
use super::mark::{Mark, is_file};
use super::stays::Stays;
use super::tree::{Base, Tree};
use super::walk::{Special, Walk};
use cascade_archive::{Entry, Kind};
use rustix::fs::{AtFlags, FileType, Mode, RawMode, Stat, chmodat, futimens, utimensat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Bytes that are compared at once.
const PIECE_LEN: usize = 64 << 10;

/// Something in a folder that cannot become what the new version has there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub old: &'static str,
    /// What the new version has there.
    pub new: &'static str,
}

/// Looks for what cannot be brought up to date: `root` is where the folder is, for the message.
pub(super) fn clash(tree: &Tree, root: &std::path::Path) -> io::Result<Option<Clash>> {
    let Some(base) = &tree.base else { return Ok(None) };
    let mut there = Looker::new(&base.below);
    let device = rustix::fs::fstat(base.below.root())?.st_dev;
    let ours = rustix::fs::fstat(tree.below.root())?.st_dev;
    if device != ours {
        let (old, new) = ("a folder on another disk", "to be made beside it");
        return Ok(Some(Clash { path: root.to_owned(), old, new }));
    }
    for entry in tree.archive().entries() {
        let Some(stat) = there.look(&entry.path) else { continue };
        let found = |old| {
            let new = match entry.kind {
                Kind::File { .. } => "a file in the new version",
                Kind::Folder => "a folder in the new version",
                Kind::Link { .. } => "a link in the new version",
            };
            Ok(Some(Clash { path: root.join(&entry.path), old, new }))
        };
        match (FileType::from_raw_mode(stat.st_mode), &entry.kind) {
            (FileType::Directory, Kind::Folder) if stat.st_dev != device => {
                return found("a folder on another disk");
            }
            (FileType::Directory, Kind::Folder)
            | (FileType::RegularFile | FileType::Symlink, Kind::File { .. } | Kind::Link { .. }) => {}
            (FileType::Directory, _) => return found("a folder"),
            (FileType::RegularFile, _) => return found("a file"),
            (FileType::Symlink, _) => return found("a link"),
            _ => return found("a device, pipe or socket"),
        }
    }
    Ok(None)
}

/// Removes copies of files that turned out to be right where they are: they stay there.
pub(super) fn drop_copies(tree: &Tree) -> Result<(), (Entry, io::Error)> {
    let Some(base) = &tree.base else { return Ok(()) };
    let (mut here, mut there) = (Looker::new(&tree.below), Looker::new(&base.below));
    let stays = Stays::look(tree, base);
    for (number, entry) in (0..).zip(tree.archive().entries()) {
        let is_file = matches!(entry.kind, Kind::File { .. });
        if is_file
            && here.look(&entry.path).is_some()
            && there.look(&entry.path).is_some_and(|stat| stays.has(&entry, &stat))
        {
            drop_copy(tree, base, number, &entry).map_err(|error| (entry, error))?;
        }
    }
    Ok(())
}

fn drop_copy(tree: &Tree, base: &Base, number: u32, entry: &Entry) -> io::Result<()> {
    let (made, old) = (tree.below.part(&entry.path)?, base.below.file(&entry.path)?);
    let (stat, mark) = (rustix::fs::fstat(&made)?, Mark::of(&rustix::fs::fstat(&old)?));
    // The next look finds a file that has changed since it was verified.
    if Mark::of(&stat) != tree.mark(number) || !same_bytes(&made, &old)? {
        return Ok(());
    }
    let _one = tree.opening(number);
    tree.set_in_base(number, true);
    tree.set_mark(number, mark);
    tree.open.forget(number);
    let (folder, name) = split(&entry.path);
    Ok(rustix::fs::unlinkat(tree.below.folder(folder)?, name, AtFlags::empty())?)
}

fn same_bytes(a: &File, b: &File) -> io::Result<bool> {
    let (mut here, mut there) = (vec![0; PIECE_LEN], vec![0; PIECE_LEN]);
    let mut at = 0;
    loop {
        let len = a.read_at(&mut here, at)?;
        let here = here.get(..len).unwrap_or_default();
        let there = there.get_mut(..len).unwrap_or_default();
        match b.read_exact_at(there, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if here != there || len == 0 {
            return Ok(len == 0);
        }
        at += len as u64;
    }
}

/// Nothing but what belongs to the new version may be among what was made, and it must be what it was.
pub(super) fn check_part(tree: &Tree, cancel: &AtomicBool) -> Result<(), FolderError> {
    let root = tree.path();
    let walk = Walk { below: &tree.below, root: &root, special: Special::Refuse, cancel };
    let mut entries = (0..).zip(tree.archive().entries());
    walk.run(|found, mark| {
        let strange = || FolderError::Changed(root.join(&found.path));
        let (number, entry) = entries.find(|(_, entry)| entry.path == found.path).ok_or_else(strange)?;
        let same = match entry.kind {
            // It has the time when something was made in it.
            Kind::Folder => found.kind == Kind::Folder,
            Kind::File { .. } | Kind::Link { .. } => {
                *found == entry && (mark == Mark::NONE || mark == tree.mark(number))
            }
        };
        if same { Ok(()) } else { Err(strange()) }
    })
}

/// Gives everything that was made its name in the folder, and everything in it its time. Files that are replaced, and
/// were not written by us, are kept by `kept`. `false`: something has changed meanwhile.
///
/// # Errors
/// The file system's own. Run again, it goes on.
pub(super) fn merge(tree: &Tree, base: &Base, kept: &mut Kept) -> io::Result<bool> {
    let mut merge = Merge {
        tree,
        base,
        from: Parents::new(&tree.below),
        to: Parents::new(&base.below),
        there: Looker::new(&base.below),
    };
    for (number, entry) in (0..).zip(tree.archive().entries()) {
        let merged = merge.entry(number, &entry, kept);
        if !merged.map_err(|error| tree.of_file(&entry, &error))? {
            return Ok(false);
        }
    }
    // What is made in a folder changes its time.
    for entry in tree.archive().entries().filter(|entry| matches!(entry.kind, Kind::Folder)) {
        let timed = base.below.folder(&entry.path).and_then(|open| Ok(futimens(&open, &times(&entry))?));
        timed.map_err(|error| tree.of_file(&entry, &error))?;
    }
    remove_folders(&tree.below);
    Ok(true)
}

/// Keeps what will be replaced, so that it is on the disk before anything is.
pub(super) fn keep(tree: &Tree, base: &Base, kept: &mut Kept) -> io::Result<()> {
    let (mut here, mut there) = (Looker::new(&tree.below), Looker::new(&base.below));
    for entry in tree.archive().entries().filter(|entry| !matches!(entry.kind, Kind::Folder)) {
        if here.look(&entry.path).is_some()
            && let Some(old) = there.look(&entry.path)
        {
            kept.keep(&base.below, &entry.path, &old).map_err(|error| tree.of_file(&entry, &error))?;
        }
    }
    Ok(())
}

struct Merge<'a> {
    tree: &'a Tree,
    base: &'a Base,
    from: Parents<'a>,
    to: Parents<'a>,
    there: Looker<'a>,
}

impl Merge<'_> {
    fn entry(&mut self, number: u32, entry: &Entry, kept: &mut Kept) -> io::Result<bool> {
        let old = self.there.look(&entry.path);
        match &entry.kind {
            Kind::Folder => {
                self.base.below.make_folder(&entry.path)?;
                // The folder that was looked in may have been made a moment ago.
                self.there.forget();
                Ok(true)
            }
            Kind::File { .. } if self.tree.is_in_base(number) => self.touch(number, entry, old.as_ref()),
            Kind::File { .. } => {
                let _one = self.tree.opening(number);
                let stat = self.name(entry, old.as_ref(), kept)?;
                self.tree.set_mark(number, Mark::of(&stat));
                self.tree.set_in_base(number, true);
                Ok(true)
            }
            Kind::Link { .. } => self.link(entry, old.as_ref(), kept).map(|()| true),
        }
    }

    /// A file that is right where it is gets its time and permissions.
    fn touch(&self, number: u32, entry: &Entry, old: Option<&Stat>) -> io::Result<bool> {
        // One that has got a second name a moment ago is somebody's in another place, too.
        let is_ours = |stat: &&Stat| stat.st_nlink == 1 || is_as_wanted(entry, stat);
        let unchanged = old.filter(|stat| Mark::of(stat) == self.tree.mark(number));
        let Some(stat) = unchanged.filter(is_ours) else {
            let _ = self.tree.found_changed(entry);
            return Ok(false);
        };
        let mode: RawMode = stat.st_mode & 0o777;
        let (folder, name) = split(&entry.path);
        let folder = self.base.below.folder(folder)?;
        let wanted = wanted_mode(entry, mode);
        // A reader that sees the new time sees the new mark, too.
        let _one = self.tree.opening(number);
        if wanted != mode {
            chmodat(&folder, name, Mode::from_raw_mode(wanted), AtFlags::empty())?;
        }
        if !has_time(entry, stat) {
            utimensat(&folder, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?;
        } else if wanted == mode {
            return Ok(true);
        }
        let now = look(folder.as_fd(), name)?;
        let same = is_file(&now) && (now.st_ino, now.st_size) == (stat.st_ino, stat.st_size);
        if same {
            self.tree.set_mark(number, Mark::of(&now));
        }
        Ok(same)
    }

    /// A link that was made, because there was none or another one.
    fn link(&mut self, entry: &Entry, old: Option<&Stat>, kept: &mut Kept) -> io::Result<()> {
        let (folder, name) = split(&entry.path);
        if let Ok(folder) = self.from.open(folder)
            && look(folder.as_fd(), name).is_ok()
        {
            self.name(entry, old, kept)?;
            return Ok(());
        }
        Ok(utimensat(self.to.open(folder)?, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Gives what was made its name. Tells what it looks like then.
    fn name(&mut self, entry: &Entry, old: Option<&Stat>, kept: &mut Kept) -> io::Result<Stat> {
        if let Some(old) = old {
            kept.keep(&self.base.below, &entry.path, old)?;
        }
        let (folder, name) = split(&entry.path);
        let (from, to) = (self.from.open(folder)?, self.to.open(folder)?);
        rustix::fs::renameat(from, name, to, name)?;
        Ok(look(to.as_fd(), name)?)
    }
}

/// Removes what is left of a folder whose files have their names elsewhere. Everything but empty folders stays.
fn remove_folders(below: &Beneath) {
    let cancel = AtomicBool::new(false);
    let mut folders = Vec::new();
    let walk = Walk { below, root: std::path::Path::new(""), special: Special::Skip, cancel: &cancel };
    let _ = walk.run(|entry, _| {
        folders.push(entry.path.clone());
        Ok(())
    });
    for path in folders.iter().rev() {
        let (folder, name) = split(path);
        let removed = below.folder(folder).and_then(|folder| match unlinkat(&folder, name) {
            Ok(()) | Err(Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        });
        // It costs nothing, and is removed by the next download.
        let _ = removed;
    }
}

fn unlinkat(folder: &impl AsFd, name: &str) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
}
