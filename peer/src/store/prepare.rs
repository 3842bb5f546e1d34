//! Finding or making the file that a download writes to.
//!
//! Data arrives in `NAME.part` beside the target `NAME`. What the target holds already (an older
//! version, the work of another program) is used block by block, and the target itself is not touched
//! until everything is verified (invariant *untouched target*).
//!
//! | module | what |
//! |---|---|
//! | `found` | what a file holds, by a record or by its bytes, and whether the disk keeps it |
//! | `folder` | the same for a folder, and the parts of one that is downloaded |
//! | `copy` | blocks that are copied from an older file |
//! | `kept` | the file in which a bounded part of what an origin has is kept |
//! | `room` | whether the disk is large enough |
//! | `split` | blocks of which some slices are in a file and others in the folder that it became |

mod copy;
mod folder;
mod found;
mod kept;
mod room;
mod split;

pub(crate) use found::{Found, Trust};
pub(crate) use kept::{KeptFile, kept_path};

use super::error::{PrepareError, io_error};
use super::part::{self, Part, move_aside, part_path};
use super::{DataFile, Records};
use crate::folder::Head;
use crate::ground::Stamp;
use crate::ground::disk::SystemDisk;
use crate::ground::file::is_empty_of_data;
use crate::ground::open::{OpenError, folder_of, open_regular};
use crate::metafile::MetafileOnDisk;
use cascade_format::Have;
use found::durable;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Place {
    /// In the target, complete.
    Target {
        /// What it looked like before it was checked.
        stamp: Stamp,
        /// Whether the whole-file hash is known to be right as well.
        file_hash_checked: bool,
    },
    /// In a part file, which this process has locked and guards.
    Part {
        /// Its path.
        path: PathBuf,
        /// Whether this process made it.
        new: bool,
        /// What the target looked like, if there was one.
        target: Option<Stamp>,
    },
}

impl Place {
    /// What a complete file looked like before it was checked.
    #[must_use]
    pub const fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Target { stamp, .. } => Some(*stamp),
            Self::Part { .. } => None,
        }
    }
}

/// A file that is ready to be downloaded to.
#[derive(Debug)]
pub struct Prepared {
    /// The open file.
    pub data: DataFile,
    /// What it holds.
    pub have: Have,
    /// Whether all of that is known to be on the disk.
    pub on_disk: bool,
    /// Where it is.
    pub place: Place,
    /// The name that it gets when it is complete.
    pub target: PathBuf,
    /// What of it was taken from an earlier version.
    pub taken: Option<Taken>,
}

/// What was taken from an earlier version of a file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The earlier version.
    pub from: PathBuf,
    /// How many bytes of blocks.
    pub bytes: u64,
}

impl Taken {
    fn of(from: &Path, bytes: u64) -> Option<Self> {
        (bytes > 0).then(|| Self { from: from.to_owned(), bytes })
    }
}

/// What a preparation needs to know, beside the target.
#[derive(Clone, Copy)]
pub struct Preparation<'a> {
    /// Describes the file.
    pub metafile: &'a MetafileOnDisk,
    /// What was found in earlier runs.
    pub records: &'a Records,
    /// Hears of bytes that were checked.
    pub progress: &'a (dyn Fn(u64) + Sync),
    /// Ends the preparation early.
    pub cancel: &'a AtomicBool,
    /// An earlier version of the file or folder, of which what is right is copied.
    pub from: Option<&'a Path>,
    /// A folder that has the name is brought up to date.
    pub update: bool,
}

/// Whether both names lead to one file.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|one| Some(one) == identity(other))
}

impl<'a> Preparation<'a> {
    /// Nothing hears of its progress, and there is no earlier version.
    #[must_use]
    pub fn new(metafile: &'a MetafileOnDisk, records: &'a Records, cancel: &'a AtomicBool) -> Self {
        Self { metafile, records, progress: &|_| (), cancel, from: None, update: false }
    }

    /// Finds what there is of `target` and opens the file to write to. Makes no file when it fails.
    ///
    /// # Errors
    /// Everything in [`PrepareError`].
    pub fn run(&self, target: &Path) -> Result<Prepared, PrepareError> {
        // A target that is a link stays one: the file it points to is replaced.
        let target = match fs::canonicalize(target) {
            Ok(target) => target,
            Err(_) if target.is_symlink() => {
                let what = "a symbolic link that leads nowhere";
                return Err(PrepareError::NotAFile { path: target.to_owned(), what });
            }
            Err(_) => target.to_owned(),
        };
        let folder = folder_of(&target);
        if !folder.is_dir() {
            return Err(PrepareError::NoFolder(folder.to_owned()));
        }
        if is_same_file(&target, self.metafile.path()) {
            let what = "the .cascade file itself";
            return Err(PrepareError::NotAFile { path: target, what });
        }
        let update = target.is_dir();
        if update && Head::of(self.metafile.layout().length()).is_none() {
            return Err(PrepareError::NotAFile { path: target, what: "a folder, and this is a file" });
        }
        if update && let Some(prepared) = self.complete_folder(&target)? {
            return Ok(prepared);
        }
        if let Some(prepared) = self.folder_part(&target)? {
            return Ok(prepared);
        }
        let old = match if update { None } else { self.old_target(&target)? } {
            Some(Old::Complete(prepared)) => {
                self.remove_leftover(&target);
                return Ok(*prepared);
            }
            Some(Old::Partial(file, have)) => Some((file, have)),
            None => None,
        };
        let old_stamp = old.as_ref().and_then(|(file, _)| Stamp::of(file).ok());
        let (old, from) = match (old, self.from.filter(|from| !from.is_dir())) {
            (None, Some(from)) => (Some(self.earlier(from)?), from),
            (old, _) => (old, target.as_path()),
        };
        let (part, mut have, on_disk) = self.open_part(&target, folder)?;
        let stamp = Stamp::of(&part.file).map_err(|error| io_error("look at", &part.path, error))?;
        let layout = *self.metafile.layout();
        let data = match Head::of(layout.length()) {
            Some(_) => DataFile::that_may_turn(part.file, &part.path, layout, &have),
            None => DataFile::new(part.file, &part.path, layout),
        };
        data.guard(stamp);
        let copied = match old {
            Some((old, old_have)) => self.copy(&old, &old_have, &data, &mut have, &target)?,
            None => 0,
        };
        let place = Place::Part { path: part.path, new: part.new, target: old_stamp };
        let taken = Taken::of(from, copied);
        Ok(Prepared { data, have, on_disk: on_disk && copied == 0, place, target, taken })
    }

    /// What the target itself holds.
    fn old_target(&self, target: &Path) -> Result<Option<Old>, PrepareError> {
        let (file, metadata) = match open_regular(target) {
            Ok(opened) => opened,
            Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(OpenError::Io(error)) => return Err(io_error("open", target, error)),
            Err(OpenError::NotRegular(what)) => {
                return Err(PrepareError::NotAFile { path: target.to_owned(), what });
            }
        };
        let right_length = metadata.len() == self.metafile.layout().length();
        let mut found = self.known_or_checked(target, &file)?;
        if right_length && found.have.is_complete() && !found.on_disk {
            let mut first = Some(found);
            found = durable(&SystemDisk, target, &file, || {
                first.take().map_or_else(|| self.known_or_checked(target, &file), Ok)
            })?;
        }
        if !right_length || !found.have.is_complete() {
            return Ok(Some(Old::Partial(file, found.have)));
        }
        let data = DataFile::new(file, target, *self.metafile.layout());
        let Found { have, stamp, file_hash_checked, on_disk } = found;
        let place = Place::Target { stamp, file_hash_checked };
        let target = target.to_owned();
        Ok(Some(Old::Complete(Box::new(Prepared { data, have, on_disk, place, target, taken: None }))))
    }

    /// What an earlier version of the file holds.
    fn earlier(&self, from: &Path) -> Result<(File, Have), PrepareError> {
        let (file, _) = open_regular(from).map_err(|error| match error {
            OpenError::Io(error) => io_error("open", from, error),
            OpenError::NotRegular(what) => PrepareError::NotAFile { path: from.to_owned(), what },
        })?;
        let found = self.known_or_checked(from, &file)?;
        Ok((file, found.have))
    }

    /// The target is complete, perhaps by another program's work: a part file of ours, which holds a block of
    /// it or nothing at all, is of no use.
    fn remove_leftover(&self, target: &Path) {
        let path = part_path(target);
        if fs::symlink_metadata(&path).is_ok_and(|there| there.is_file())
            && let Ok(Some(part)) = Part::at(path)
            && (is_empty_of_data(&part.file) || self.holds_something(&part).unwrap_or(false))
        {
            part::remove(&part.file, &part.path);
        }
    }

    fn holds_something(&self, part: &Part) -> Result<bool, PrepareError> {
        Ok(self.known_or_checked(&part.path, &part.file)?.have.count() > 0)
    }

    /// Opens, locks and checks the part file, or makes it; tells whether what it holds is known to be on the
    /// disk. Makes no file when it fails.
    fn open_part(&self, target: &Path, folder: &Path) -> Result<(Part, Have, bool), PrepareError> {
        let mut part = Part::open(target, &mut |part| self.holds_something(part))?;
        let (mut have, mut on_disk) = (Have::none(self.metafile.layout()), true);
        let result = self.check_room(&part, folder, target).and_then(|()| {
            let known = part.file.metadata().map_err(|error| io_error("look at", &part.path, error))?.len();
            if !part.new && known > 0 {
                let found = self.known_or_checked(&part.path, &part.file)?;
                (have, on_disk) = (found.have, found.on_disk);
                if have.count() == 0 && known != self.metafile.layout().length() {
                    // Of another length, and no block of it is right: none of ours.
                    move_aside(&part.path).map_err(|error| io_error("move aside", &part.path, error))?;
                    let first = Part::at(part.path.clone())?;
                    part = first.ok_or_else(|| PrepareError::InTheWay(part.path.clone()))?;
                }
            }
            set_length(&part.file, self.metafile.layout().length())
                .map_err(|error| io_error("make room for", &part.path, error))
        });
        if let (true, Err(_)) = (part.new, &result) {
            part::remove(&part.file, &part.path);
        }
        result.map(|()| (part, have, on_disk))
    }
}

enum Old {
    Complete(Box<Prepared>),
    Partial(File, Have),
}

fn set_length(file: &File, length: u64) -> io::Result<()> {
    if file.metadata()?.len() == length { Ok(()) } else { file.set_len(length) }
}
