//! A download that turns out to be a folder: what has come to its part file is moved to the folder's files, while the
//! download goes on.

use super::download_error::DownloadError;
use super::recovery::blocking;
use crate::folder::{self, FolderPart, Place};
use crate::ground::disk::is_full;
use crate::metafile::MetafileOnDisk;
use crate::store::{PrepareError, Shared};
use cascade_archive::Archive;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The part file becomes the head of a folder that is to be at `target`; where its files are from now on. What is under
/// way goes on: see [`crate::store::DataFile::turn`].
///
/// # Errors
/// Something has the folder's name; the file system's own.
pub(super) async fn turn(
    shared: &Arc<Shared>,
    archive: Archive,
    target: &Path,
) -> Result<PathBuf, DownloadError> {
    if fs::symlink_metadata(target).is_ok() {
        let (path, what) = (target.to_owned(), "there already");
        return Err(DownloadError::Prepare(PrepareError::NotAFile { path, what }));
    }
    let shared = Arc::clone(shared);
    blocking(move || {
        let data = shared.data();
        let part = data.path().to_owned();
        let files = Place::files_of(&part);
        let head_len = folder::head_end(&archive, data.layout());
        let into = |head: &File| {
            Place::make(&part)?;
            FolderPart::open(archive, &files, head.try_clone()?, *data.layout(), None)
        };
        let turned = data.turn(&files, head_len, into);
        turned.map(|()| files).map_err(|source| DownloadError::Disk { path: part, source })
    })
    .await?
}

/// Moves what is verified out of a file that has turned into a folder, until `stop`; when nothing is left there, the file
/// is cut.
///
/// # Errors
/// Those of [`Shared::move_over`].
pub(super) fn move_over(
    shared: &Shared,
    metafile: &MetafileOnDisk,
    stop: &dyn Fn() -> bool,
) -> io::Result<()> {
    let data = shared.data();
    if !data.has_left() {
        return Ok(());
    }
    let mut left = false;
    for block in shared.layout().iter().filter(|block| data.is_left(*block)) {
        if stop() {
            return Ok(());
        }
        if let Err(error) = shared.move_over(block, metafile.hash_of(block)?) {
            // What was moved needs its old room no more. The next look goes on in it.
            if is_full(&error) && shared.sync().is_ok() {
                data.thin();
            }
            return Err(error);
        }
        left |= data.is_left(block);
    }
    // What was on the disk is still there after a power loss.
    if !left && shared.sync().is_ok() { data.cut() } else { Ok(()) }
}
