//! Opening files that a user has named.
//!
//! A name may lead to anything: a pipe, whose opening waits for a writer for ever; a device, which has no
//! end. So a file is looked at before it is opened, opened without waiting, and looked at again: between
//! the two looks the name may have got another meaning.

use rustix::fs::OFlags;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Why a name does not lead to a file that can be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system said no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It leads to something else; here is what.
    #[error("it is {0}")]
    NotRegular(&'static str),
}

/// What a path leads to when it is no regular file.
#[must_use]
pub fn not_regular(metadata: &Metadata) -> Option<&'static str> {
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => None,
        (_, true) => Some("a directory"),
        _ => Some("a device, pipe or socket"),
    }
}

/// Opens a regular file to be read; symbolic links are followed. Never waits.
///
/// # Errors
/// There is no regular file, or it cannot be read.
pub fn open_regular(path: &Path) -> Result<(File, Metadata), OpenError> {
    refuse_others(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    without_waiting(&mut options, false);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    refuse_others(&metadata)?;
    Ok((file, metadata))
}

fn refuse_others(metadata: &Metadata) -> Result<(), OpenError> {
    not_regular(metadata).map_or(Ok(()), |what| Err(OpenError::NotRegular(what)))
}

/// The folder that holds `path`.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Adds what keeps an opening from waiting, and, where `here` is set, from following a link.
pub(crate) fn without_waiting(options: &mut OpenOptions, here: bool) {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    flags.set(OFlags::NOFOLLOW, here);
    options.custom_flags(flags.bits().cast_signed());
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn only_regular_files_are_opened_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), b"x").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("nothing"), at("dangling")).unwrap();
        mknodat(CWD, at("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for name in ["file", "link"] {
            assert_eq!(open_regular(&at(name)).unwrap().1.len(), 1, "{name}");
        }
        for path in [at("fifo"), at("socket"), "/dev/zero".into(), folder.path().to_owned()] {
            let error = open_regular(&path).unwrap_err();
            assert!(matches!(error, OpenError::NotRegular(_)), "{}: {error}", path.display());
        }
        for name in ["dangling", "nothing"] {
            let error = open_regular(&at(name)).unwrap_err();
            assert!(matches!(&error, OpenError::Io(e) if e.kind() == io::ErrorKind::NotFound), "{error}");
        }
    }
}
