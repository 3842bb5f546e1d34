//! Looking at what is on the disk for a file that is to be seeded: not on a thread of the runtime, a bounded number at a
//! time, and with a word on how far it is.

use super::engine::Engine;
use super::event::{Event, Observer};
use super::seed::{Seed, SeedError};
use super::ticks::TICK;
use crate::store::{Preparation, PrepareError};
use crate::view::{FileState, SeenFile};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::spawn_blocking;

impl Seed {
    /// Does this `work`, and tells meanwhile how much was read.
    ///
    /// # Errors
    /// Those of the work; everything is to end.
    pub(super) async fn look_with<T: Send + 'static>(
        &self,
        engine: &Engine,
        seen: &SeenFile,
        observer: &mut dyn Observer,
        work: impl FnOnce(Preparation<'_>) -> Result<T, SeedError> + Send + 'static,
    ) -> Result<T, SeedError> {
        // With hundreds of files some wait: each check has threads and a descriptor of its own.
        let _permit = tokio::select! {
            permit = engine.checks.acquire() => permit,
            () = engine.stop.stopped() => return Err(SeedError::Interrupted),
        };
        let (read, total) = (Arc::<AtomicU64>::default(), self.metafile.layout().length());
        let (metafile, records) = (Arc::clone(&self.metafile), engine.records.clone());
        let (cancel, done) = (Arc::clone(engine.stop.flag()), Arc::clone(&read));
        let mut work = spawn_blocking(move || {
            let progress = |bytes| {
                done.fetch_add(bytes, Ordering::Relaxed);
            };
            work(Preparation { progress: &progress, ..Preparation::new(&metafile, &records, &cancel) })
        });
        loop {
            tokio::select! {
                result = &mut work => {
                    return match result {
                        Ok(Err(SeedError::Check(PrepareError::Interrupted))) | Err(_) => Err(SeedError::Interrupted),
                        Ok(found) => found,
                    };
                }
                () = tokio::time::sleep(TICK) => {
                    let done = read.load(Ordering::Relaxed).min(total);
                    seen.set_state(FileState::Checking { done, total });
                    observer.event(Event::Checking { done, total });
                }
            }
        }
    }
}
