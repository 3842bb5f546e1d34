//! The handle by which a peer is looked at.

use super::LOOK_TIMEOUT;
use super::data::View;
use super::files::Files;
use crate::average::Average;
use crate::clock;
use crate::serve::ServeStats;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A handle to look at a peer from any thread. It is cheap to clone, and it still works after the peer has ended.
#[derive(Debug, Clone)]
pub struct Watch {
    files: Arc<Files>,
    /// Set when the peer begins to answer others.
    served: Arc<OnceLock<Arc<ServeStats>>>,
    rates: Arc<Mutex<Rates>>,
}

#[derive(Debug, Default)]
struct Rates {
    up: Average,
    down: Average,
}

impl Watch {
    pub(crate) fn new(files: Arc<Files>) -> Self {
        Self { files, served: Arc::default(), rates: Arc::default() }
    }

    /// The peer answers others from now on, and counts here.
    pub(crate) fn serves(&self, stats: &Arc<ServeStats>) {
        let _ = self.served.set(Arc::clone(stats));
    }

    /// The state of the peer at this moment. The call never waits.
    #[must_use]
    pub fn view(&self) -> View {
        let uptime = clock::now().saturating_duration_since(self.files.start());
        let files = self.files.list().iter().map(|file| file.view()).collect();
        let served = self.served.get();
        let bytes_given = served.map_or(0, |served| served.bytes_sent());
        let bytes_received = self.files.received();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        View {
            files,
            files_asleep: self.files.asleep(),
            bytes_given,
            bytes_received,
            up_rate: rates.up.update(uptime, bytes_given),
            down_rate: rates.down.update(uptime, bytes_received),
            clients: served.map_or(0, |served| served.clients()),
            uptime,
        }
    }

    /// Waits for a new receiver of any file, or returns at once if one has come since the last call. Only one task may
    /// wait at a time.
    pub async fn receiver_came(&self) {
        self.files.receiver_came().await;
    }

    /// Bytes received from other peers and given to them, as in [`View::bytes_received`] and [`View::bytes_given`].
    /// Two counters are read, and nothing else.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.files.received(), self.served.get().map_or(0, |served| served.bytes_sent()))
    }

    /// As [`Watch::view`], after every download has updated its part. It waits at most
    /// [`LOOK_TIMEOUT`](super::LOOK_TIMEOUT) for a busy download. It must be called within a Tokio runtime with time
    /// enabled.
    pub async fn fresh(&self) -> View {
        let asked: Vec<_> = self.files.list().iter().filter_map(|file| file.ask()).collect();
        let shown = async {
            for mut download in asked {
                // The file may be gone by now.
                let _ = download.changed().await;
            }
        };
        let _ = tokio::time::timeout(LOOK_TIMEOUT, shown).await;
        self.view()
    }
}
