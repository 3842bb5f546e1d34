//! The end of a download: a complete and verified part file gets its name, or is of no use any more.

use super::download_error::DownloadError;
use super::engine::Engine;
use super::mover::move_over;
use super::recovery::blocking;
use crate::folder::{FolderError, Place};
use crate::ground::Stamp;
use crate::ground::open::folder_of;
use crate::ground::open::open_regular;
use crate::human::Name;
use crate::limits::SYNC_RETRY;
use crate::metafile::MetafileOnDisk;
use crate::store::finish::{Finished, finish};
use crate::store::ledger::MAX_FAILED_SYNCS;
use crate::store::prepare::Trust;
use crate::store::{Preparation, Record, Shared, part};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What became of it.
#[derive(Debug)]
pub(super) enum Concluded {
    /// It has its name. Another file had it, which is kept here.
    Named(Option<PathBuf>),
    /// It cannot be believed: tasks that wait for trouble are told.
    Doubted,
    /// Another file has the name that it should get, or had; here is which.
    Elsewhere(String),
}

/// A complete part file.
#[derive(Debug, Clone)]
pub(super) struct Conclusion {
    pub(super) shared: Arc<Shared>,
    pub(super) metafile: Arc<MetafileOnDisk>,
    pub(super) engine: Engine,
    pub(super) part: PathBuf,
    pub(super) target: PathBuf,
    /// What the file looked like that may be replaced.
    pub(super) old: Option<Stamp>,
}

impl Conclusion {
    /// Gives the part file its name, in an order that survives a power loss at any moment: first the bytes
    /// are on the disk, then the name, then it is remembered.
    ///
    /// # Errors
    /// It cannot be renamed; the disk does not keep its name.
    pub(super) async fn run(self) -> Result<Concluded, DownloadError> {
        let this = self.clone();
        let kept = match blocking(move || this.name()).await?? {
            Concluded::Named(kept) => kept,
            other @ (Concluded::Doubted | Concluded::Elsewhere(_)) => return Ok(other),
        };
        sync_folder(&self.shared, &self.target).await?;
        blocking(move || {
            remember(&self.shared, &self.engine, &self.target);
            Concluded::Named(kept)
        })
        .await
    }

    fn name(&self) -> Result<Concluded, DownloadError> {
        let (shared, data) = (&self.shared, self.shared.data());
        if shared.sync().is_err() || !shared.is_unchanged() {
            return Ok(Concluded::Doubted);
        }
        if data.file().is_none() {
            return self.name_folder();
        }
        if self.is_done_already() {
            data.file().into_iter().for_each(|file| part::remove(file, &self.part));
            let target = Name(&self.target);
            return Ok(Concluded::Elsewhere(format!("another program has completed {target}")));
        }
        let finished = finish(data, &self.part, &self.target, self.old).map_err(|source| {
            DownloadError::Rename { part: self.part.clone(), target: self.target.clone(), source }
        })?;
        match finished {
            Finished::Named { stamp, kept } => {
                shared.set_stamp(Some(stamp));
                Ok(Concluded::Named(kept))
            }
            Finished::Meddled if data.has_its_name() && !shared.is_unchanged() => Ok(Concluded::Doubted),
            Finished::Meddled => Ok(Concluded::Elsewhere(taken_away(&self.part))),
        }
    }

    /// Of a folder: first everything that its files have in addition to their bytes.
    fn name_folder(&self) -> Result<Concluded, DownloadError> {
        let (shared, data) = (&self.shared, self.shared.data());
        match data.complete(self.engine.stop.flag()) {
            Ok(()) => {}
            Err(_) if !shared.is_unchanged() => return Ok(Concluded::Doubted),
            Err(FolderError::Interrupted) => return Err(DownloadError::Interrupted),
            Err(FolderError::Io { path, source }) => return Err(DownloadError::Finish { path, source }),
            Err(FolderError::Changed(path) | FolderError::Special { path, .. }) => {
                return Err(DownloadError::Stranger(path));
            }
            Err(FolderError::Link { path, .. } | FolderError::NotText(path)) => {
                return Err(DownloadError::Stranger(path));
            }
            Err(FolderError::Build { path, .. }) => return Err(DownloadError::Stranger(path)),
        }
        let (part, target) = (self.part.clone(), self.target.clone());
        match data.rename(&self.target) {
            Ok(Some(stamp)) => shared.set_stamp(Some(stamp)),
            Ok(None) if data.has_its_name() && !shared.is_unchanged() => return Ok(Concluded::Doubted),
            Ok(None) => return Ok(Concluded::Elsewhere(taken_away(&self.part))),
            Err(source) => return Err(DownloadError::Rename { part, target, source }),
        }
        if let Some(place) = Place::of_files(&self.part) {
            place.remove();
        }
        Ok(Concluded::Named(None))
    }

    /// Whether another program has made the target meanwhile, and it is complete and right.
    fn is_done_already(&self) -> bool {
        let Ok((file, metadata)) = open_regular(&self.target) else { return false };
        let length = self.metafile.layout().length();
        if metadata.len() != length || Stamp::of(&file).ok() == self.old {
            return false;
        }
        let engine = &self.engine;
        let preparation = Preparation::new(&self.metafile, &engine.records, engine.stop.flag());
        // What cannot be read is not complete; it gives way to what is.
        preparation.durable(&self.target, &file, Trust::Record).is_ok_and(|found| found.have.is_complete())
    }
}

/// What the user is told when the part file is not where it was.
pub(super) fn taken_away(part: &Path) -> String {
    format!("another program took away or replaced {}", Name(part))
}

/// Makes the name of a finished file durable.
///
/// # Errors
/// The disk refuses again and again.
pub(super) async fn sync_folder(shared: &Arc<Shared>, target: &Path) -> Result<(), DownloadError> {
    let mut failures = 0;
    loop {
        let (shared, folder) = (Arc::clone(shared), folder_of(target).to_owned());
        let Err(source) = blocking(move || shared.data().disk().sync_folder(&folder)).await? else {
            return Ok(());
        };
        failures += 1;
        if failures == MAX_FAILED_SYNCS {
            return Err(DownloadError::Folder { path: target.to_owned(), source });
        }
        tokio::time::sleep(SYNC_RETRY).await;
    }
}

/// Remembers a finished file, which is on the disk under its name.
pub(super) fn remember(shared: &Shared, engine: &Engine, target: &Path) {
    let Some(stamp) = shared.stamp() else { return };
    let record = Record { have: shared.have().snapshot(), file_hash_checked: true };
    // Without them the next run hashes the file again; nothing else is lost.
    let _ = engine.records.remember_consistent(shared.cascade_hash());
    let _ = engine.records.save(shared.cascade_hash(), target, shared.data().ground(), stamp, &record);
    if let Some(written) = shared.data().written() {
        let _ = engine.records.save_written(target, &written);
    }
}

/// Remembers an unfinished part file as it is, if it can be believed. Nothing is written to it any more.
pub(super) fn remember_part(shared: &Shared, metafile: &MetafileOnDisk, engine: &Engine) {
    let (data, hash) = (shared.data(), shared.cascade_hash());
    if !data.has_its_name() {
        return;
    }
    // Of a folder, all that came is at its place then; what is not moved is moved by the next run.
    let _ = move_over(shared, metafile, &|| false);
    // What an earlier run has found is no longer so.
    engine.records.forget(hash, data.path());
    let believed = || -> io::Result<Stamp> {
        shared.sync()?;
        data.disk().sync_folder(folder_of(data.path()))?;
        data.last_stamp().ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    if let Ok(stamp) = believed()
        && shared.is_unchanged()
        && shared.ledger().doubtful().is_none()
    {
        let record = Record { have: shared.have().snapshot(), file_hash_checked: false };
        let _ = engine.records.save(hash, data.path(), data.ground(), stamp, &record);
    }
}
