//! What survives a restart: the registrations, in a file. Reports of rooms are not kept, because peers report again
//! within half a minute.

mod keeper;

pub use keeper::Keeper;

use crate::clock;
use crate::file;
use crate::frames::{self, Fault};
use crate::responder::{Export, Now, Part, Responder};
use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

/// The most files that are set aside beside a state file; then they are a sign of something else.
const MAX_ASIDE: u32 = 9;

/// Where a tracker keeps its state, for itself alone.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// Another tracker must not write the same file.
    _lock: File,
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another tracker has it.
    #[error("another tracker keeps its state there; choose another file with --state FILE")]
    Taken,
    /// It is a file of somebody's, which would be written over.
    #[error("it is no state of a tracker, and stays as it is; choose another file with --state FILE")]
    Foreign,
    /// Its lock cannot be had.
    #[error("cannot use it: {0}; choose a file in a folder that the tracker may write to with --state FILE")]
    Io(#[from] io::Error),
}

/// What a look into a state file brought.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Registrations that are back.
    pub restored: u64,
    /// Registrations that are not: lapsed, no longer allowed, or without room.
    pub left_out: u64,
    /// A line for the log, where the file was not as it must be.
    pub warning: Option<String>,
}

impl StateFile {
    /// Takes `path` for this process; nothing need be there, or an empty file.
    ///
    /// # Errors
    /// Everything in [`StateError`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        if fs::symlink_metadata(path).is_ok() {
            // Not a folder or a device, to be replaced by a file; and nothing else that the user has.
            if !frames::may_be_state(file::open(path)?.0)? {
                return Err(StateError::Foreign);
            }
        }
        let lock = File::options().create(true).append(true).open(with(path, ".lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::Taken),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Whether there is a file that is something else, and can be read.
    #[must_use]
    pub fn is_foreign(path: &Path) -> bool {
        file::open(path).and_then(|(file, _)| frames::may_be_state(file)).is_ok_and(|may_be| !may_be)
    }

    /// Takes over the registrations of the time when the file was written. A damaged file is set aside.
    pub fn load(&self, responder: &mut Responder, now: Now) -> Loaded {
        let mut loaded = Loaded::default();
        let file = match file::open(&self.path) {
            Ok((_, 0)) => return loaded,
            Ok((file, len)) => {
                responder.expect(len);
                file
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return loaded,
            Err(error) => {
                loaded.warning = Some(format!("{}: cannot read it: {error}", self.path.display()));
                return loaded;
            }
        };
        let read = frames::read(BufReader::with_capacity(frames::MAX_FRAME_LEN, file), |kept, unix| {
            if responder.restore(kept, unix, now) {
                loaded.restored += 1;
            } else {
                loaded.left_out += 1;
            }
        });
        if let Err(fault) = read {
            loaded.warning = Some(self.set_aside(&fault, loaded.restored));
        }
        loaded
    }

    fn set_aside(&self, fault: &Fault, restored: u64) -> String {
        let mut names = (1..=MAX_ASIDE).map(|n| with(&self.path, &format!(".damaged-{n}")));
        let path = self.path.display();
        match names.find(|name| fs::symlink_metadata(name).is_err()) {
            Some(aside) => match fs::rename(&self.path, &aside) {
                Ok(()) => format!(
                    "{path}: {fault}; {restored} registrations of it are used, and it is now {}",
                    aside.display()
                ),
                Err(error) => format!("{path}: {fault}, and it cannot be set aside: {error}"),
            },
            None => format!(
                "{path}: {fault}; {restored} registrations of it are used, and it will be written over: {MAX_ASIDE} \
                 files like it were set aside, remove them"
            ),
        }
    }

    /// Writes all that `next` brings: to a new file, which is synced and takes the old one's place. `next` writes one
    /// frame into the buffer that it is given, and says where to go on. Returns the number of registrations.
    ///
    /// # Errors
    /// Those of `next`, and the system's; the old file stays then.
    pub fn save(&self, mut next: impl FnMut(Export, Vec<u8>) -> io::Result<Part>) -> io::Result<u64> {
        let new = with(&self.path, ".new");
        let written = self.write(&new, &mut next).and_then(|written| {
            fs::rename(&new, &self.path)?;
            // The new name must last as well.
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
            Ok(written)
        });
        if written.is_err() {
            // Half of a state is of no use, and takes room.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn write(
        &self,
        new: &Path,
        next: &mut impl FnMut(Export, Vec<u8>) -> io::Result<Part>,
    ) -> io::Result<u64> {
        // One that was left behind may be a link to somewhere else.
        match fs::remove_file(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = File::create_new(new)?;
        file.write_all(&frames::header())?;
        let (mut at, mut frame, mut written) = (Some(Export::default()), Vec::new(), 0);
        while let Some(from) = at {
            let part = next(from, frame)?;
            (at, frame) = (part.next, part.frame);
            if part.registrations > 0 {
                frames::seal(&mut frame);
                file.write_all(&frame)?;
                written += part.registrations;
            }
        }
        frames::end(&mut frame, clock::unix_now(), written);
        file.write_all(&frame)?;
        file.sync_all()?;
        Ok(written)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A name beside `path`.
fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
