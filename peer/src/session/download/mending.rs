//! What a download does when something is wrong with its file or its disk, and at its end.

use super::{EVENTS, Session, planned};
use crate::check::check;
use crate::folder::HostileArchive;
use crate::ground::disk::is_full;
use crate::human::Name;
use crate::link::{FileContext, LinkEvent, PrefixHash, Sliced};
use crate::metafile::MetafileOnDisk;
use crate::session::conclude::{Concluded, Conclusion, remember, sync_folder};
use crate::session::download_error::DownloadError;
use crate::session::engine::Engine;
use crate::session::event::{Event, Observer};
use crate::session::keeper::Failed;
use crate::session::links::LinkSet;
use crate::session::mover::move_over;
use crate::session::recovery::{Aftermath, Cause, Recovery, blocking};
use crate::store::ledger::MAX_FAILED_SYNCS;
use crate::store::{Place, PrepareError, Shared};
use cascade_swarm::ask::LinkId;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

impl Session {
    /// Something has happened to the file, or to its disk: no peer is asked until it is mended.
    pub(super) fn halt(&mut self, cause: Cause, observer: &mut dyn Observer) {
        let told_already =
            matches!(cause, Cause::Full(_)) && self.full_at == Some(self.shared.have().count());
        if let Some(warning) = cause.warning(&self.shared.data().changed_path())
            && !told_already
        {
            observer.event(Event::Warning(warning));
        }
        if matches!(cause, Cause::Full(_)) {
            self.full_at = Some(self.shared.have().count());
        }
        // Nothing is written or published after this, and what was under way is not heard of any more.
        self.links.clear();
        (self.links, self.events) = links(&self.engine, &self.shared, &self.download.metafile, &self.prefix);
        let recovery = Recovery {
            shared: Arc::clone(&self.shared),
            metafile: Arc::clone(&self.download.metafile),
            stop: self.engine.stop.clone(),
        };
        let aftermath = cause.aftermath();
        self.recovery = Some((tokio::spawn(recovery.run(cause)), aftermath));
    }

    /// Blocks were withdrawn. They are looked at again, and fetched again if need be; but never into a file that was complete
    /// under its own name and is somebody else's work by now. `Some`: it is one, and why the download begins anew.
    pub(super) fn withdrawn(&mut self, cause: Cause, observer: &mut dyn Observer) -> Option<String> {
        if matches!(self.place, Place::Target { .. }) {
            return Some(format!("another program has changed {}", Name(self.shared.data().path())));
        }
        self.halt(cause, observer);
        None
    }

    /// It is mended, or cannot be.
    pub(super) fn go_on(&mut self, (result, aftermath): Recovered) -> Result<(), DownloadError> {
        result?;
        let layout = *self.shared.layout();
        let have = self.shared.have().snapshot();
        let there: u64 =
            layout.iter().filter(|block| have.has(*block)).map(|block| layout.len_of(block)).sum();
        let believed = self.resumed_bytes + self.plan.totals().bytes - self.lost_bytes;
        let lost = believed.saturating_sub(there);
        self.lost_bytes += lost;
        let (_, planned) = planned(&layout, self.links.sliced(), have.clone());
        self.plan.restart(&planned);
        self.read_again = Some(aftermath).filter(|after| after.read_all && have.is_complete() && lost == 0);
        if aftermath.hash_again || lost > 0 {
            // It may have been computed of other bytes than those that are there now.
            self.prefix.stop();
            self.prefix = PrefixHash::new(Arc::clone(&self.shared));
            self.prefix.start().map_err(DownloadError::Thread)?;
        }
        (self.links, self.events) = links(&self.engine, &self.shared, &self.download.metafile, &self.prefix);
        Ok(())
    }

    /// Every block is verified: is the whole, and can the file get its name?
    pub(super) async fn conclude(&mut self, observer: &mut dyn Observer) -> Result<Concluded, DownloadError> {
        if matches!(self.place, Place::Target { file_hash_checked: true, .. }) {
            return Ok(Concluded::Named(None));
        }
        let uncertain = self.read_again.is_none() && self.shared.data().is_uncertain();
        if uncertain {
            self.halt(Cause::Uncertain, observer);
            return Ok(Concluded::Doubted);
        }
        match self.has_file_hash().await? {
            Whole::Right => {}
            Whole::Wrong => return self.doubt_file_hash(observer).await,
            Whole::Withdrawn(cause) => {
                return Ok(match self.withdrawn(cause, observer) {
                    Some(why) => Concluded::Elsewhere(why),
                    None => Concluded::Doubted,
                });
            }
        }
        match &self.place {
            Place::Target { .. } => {
                sync_folder(&self.shared, &self.target).await?;
                remember(&self.shared, &self.engine, &self.target);
                Ok(Concluded::Named(None))
            }
            Place::Part { path, target, .. } => {
                let (shared, metafile) = (Arc::clone(&self.shared), Arc::clone(&self.download.metafile));
                let stop = self.engine.stop.clone();
                let moved =
                    blocking(move || move_over(&shared, &metafile, &|| stop.flag().load(Ordering::Relaxed)));
                match moved.await? {
                    Ok(()) if self.engine.stop.flag().load(Ordering::Relaxed) => {
                        return Err(DownloadError::Interrupted);
                    }
                    Ok(()) if self.is_in_doubt() => return Ok(Concluded::Doubted),
                    Ok(()) => {}
                    Err(source) if is_full(&source) => {
                        self.halt(Cause::Full(source), observer);
                        return Ok(Concluded::Doubted);
                    }
                    Err(source) => return Err(self.not_written(source)),
                }
                let conclusion = Conclusion {
                    shared: Arc::clone(&self.shared),
                    metafile: Arc::clone(&self.download.metafile),
                    engine: self.engine.clone(),
                    part: path.clone(),
                    target: self.target.clone(),
                    old: *target,
                };
                conclusion.run().await
            }
        }
    }

    /// The disk refuses data; or a block with the right hash is not what the archive can have there.
    pub(super) fn not_written(&self, source: io::Error) -> DownloadError {
        if source.get_ref().is_some_and(|cause| cause.is::<HostileArchive>()) {
            return PrepareError::Hostile { target: self.target.clone(), why: source.to_string() }.into();
        }
        DownloadError::Disk { path: self.shared.data().path().to_owned(), source }
    }

    /// What was written cannot be kept.
    pub(super) fn not_kept(&self, failed: Failed) -> DownloadError {
        match failed {
            Failed::Folder(source) => {
                DownloadError::Folder { path: self.shared.data().path().to_owned(), source }
            }
            Failed::Move(source) => self.not_written(source),
        }
    }

    /// Every block had its hash, and the whole has not. Before the `.cascade` file is blamed, every block is
    /// read from the disk itself.
    async fn doubt_file_hash(&mut self, observer: &mut dyn Observer) -> Result<Concluded, DownloadError> {
        let path = self.shared.data().path().to_owned();
        if let Place::Target { .. } = self.place {
            let (shared, metafile) = (Arc::clone(&self.shared), Arc::clone(&self.download.metafile));
            let stop = self.engine.stop.clone();
            let right = blocking(move || {
                let (data, all) = (shared.data(), 0..shared.layout().blocks());
                data.drop_cache();
                check(data.ground(), &metafile, all, &|_| (), stop.flag())
            });
            if !right.await?.is_ok_and(|right| right.is_complete()) {
                return Ok(Concluded::Elsewhere(format!("the disk has lost a part of {}", Name(&path))));
            }
        }
        if self.read_again.is_some_and(|read| read.from_disk) || matches!(self.place, Place::Target { .. }) {
            return Err(DownloadError::FileHash { path, metafile: self.download.metafile.path().to_owned() });
        }
        self.wrong_hashes += 1;
        if self.wrong_hashes == MAX_FAILED_SYNCS {
            return Err(DownloadError::Sync { path, source: io::ErrorKind::InvalidData.into() });
        }
        self.halt(Cause::FileHash, observer);
        Ok(Concluded::Doubted)
    }

    /// Waits for the hash of the whole file. A block that is withdrawn meanwhile is not hashed, and is in no link's way:
    /// only this hears of it.
    async fn has_file_hash(&self) -> Result<Whole, DownloadError> {
        let path = self.shared.data().path();
        let hash = tokio::select! {
            hash = self.prefix.result() => hash,
            trouble = self.shared.wait_trouble() => return Ok(Whole::Withdrawn(trouble.into())),
            () = self.engine.stop.stopped() => return Err(DownloadError::Interrupted),
        };
        match hash {
            Ok(hash) if hash == self.download.metafile.file_hash() => Ok(Whole::Right),
            Ok(_) => Ok(Whole::Wrong),
            // Somebody may have cut it.
            Err(_) if !self.shared.is_unchanged() => Ok(Whole::Withdrawn(Cause::Changed)),
            Err(source) => Err(DownloadError::ReadBack { path: path.to_owned(), source }),
        }
    }
}

/// What is known of the whole file when every block was verified.
enum Whole {
    /// It has its hash.
    Right,
    /// It has another hash.
    Wrong,
    /// Blocks were withdrawn before it was hashed.
    Withdrawn(Cause),
}

/// Links that are still to be made, and where they tell what happens on them.
pub(super) fn links(
    engine: &Engine,
    shared: &Arc<Shared>,
    metafile: &Arc<MetafileOnDisk>,
    prefix: &Arc<PrefixHash>,
) -> (LinkSet, mpsc::Receiver<(LinkId, LinkEvent)>) {
    let (send, events) = mpsc::channel(EVENTS);
    let file = FileContext {
        shared: Arc::clone(shared),
        metafile: Arc::clone(metafile),
        // Only peers that know the extension give slices.
        slices: Sliced::of(shared).filter(|_| engine.extension),
        prefix: Arc::clone(prefix),
        events: send,
    };
    (LinkSet::new(engine.clone(), Arc::new(file)), events)
}

/// How a recovery ended, and what it leaves to be done.
pub(super) type Recovered = (Result<(), DownloadError>, Aftermath);

/// Waits for the end of a recovery, if there is one.
pub(super) async fn recovered(
    recovery: &mut Option<(JoinHandle<Result<(), DownloadError>>, Aftermath)>,
) -> Recovered {
    let Some((task, aftermath)) = recovery else { return std::future::pending().await };
    let ended = (task.await.unwrap_or(Err(DownloadError::Interrupted)), *aftermath);
    *recovery = None;
    ended
}
