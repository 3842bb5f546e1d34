//! What a pool can be told.

use crate::limits;
use crate::pace::Limit;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where a pool's warnings go: one line each, for the user.
#[derive(Clone)]
pub struct Warn(pub Arc<dyn Fn(&str) + Send + Sync>);

impl Default for Warn {
    /// Nowhere.
    fn default() -> Self {
        Self(Arc::new(|_| {}))
    }
}

impl fmt::Debug for Warn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Warn")
    }
}

/// The whole answer to a tracker's request: of the bytes that have come, whether no more come, and where they come
/// from; `None`: more are needed.
type AnswerGuest = dyn Fn(&[u8], bool, IpAddr) -> Option<Vec<u8>> + Send + Sync;

/// Answers clients of the tracker's protocol on the same port: their first five bytes tell them apart.
#[derive(Clone)]
pub struct Guests(pub Arc<AnswerGuest>);

impl fmt::Debug for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guests")
    }
}

/// How a [`Pool`](super::Pool) serves. The default is what a user gets; tests shorten the times.
#[derive(Debug, Clone)]
pub struct Options {
    /// ServeThread threads; 0 means one for each available core.
    pub workers: usize,
    /// Connections held at once; never more than [`limits::MAX_CLIENTS`] and the descriptor limit allow.
    pub max_clients: usize,
    /// Copy every block through memory, as systems without `sendfile` do.
    pub copy: bool,
    /// Tell clients that know the swarm extension what they want to know.
    pub extension: bool,
    /// Answers clients that ask this peer as a tracker, if it is one.
    pub guests: Option<Guests>,
    /// What leaves in a second at most; `None`: as much as there is.
    pub limit: Option<Limit>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Hears what the user should know.
    pub warn: Warn,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 0,
            max_clients: limits::MAX_CLIENTS,
            copy: false,
            extension: true,
            guests: None,
            limit: None,
            timeouts: Timeouts::default(),
            warn: Warn::default(),
        }
    }
}

/// The times of `limits`, as one pool uses them.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// [`limits::CLIENT_IDLE_TIMEOUT`].
    pub idle: Duration,
    /// [`limits::CLIENT_REQUEST_TIMEOUT`].
    pub request: Duration,
    /// [`limits::CLIENT_SEND_TIMEOUT`].
    pub send: Duration,
    /// [`limits::DRAIN_TIMEOUT`].
    pub drain: Duration,
    /// [`limits::EVICT_AFTER`].
    pub evict: Duration,
    /// [`limits::EVICT_SILENT_AFTER`].
    pub silent: Duration,
    /// [`limits::STOP_TIMEOUT`].
    pub stop: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: limits::CLIENT_IDLE_TIMEOUT,
            request: limits::CLIENT_REQUEST_TIMEOUT,
            send: limits::CLIENT_SEND_TIMEOUT,
            drain: limits::DRAIN_TIMEOUT,
            evict: limits::EVICT_AFTER,
            silent: limits::EVICT_SILENT_AFTER,
            stop: limits::STOP_TIMEOUT,
        }
    }
}

impl Timeouts {
    /// How often connections are looked over: often enough that no time is exceeded by more than half.
    pub(super) fn sweep_interval(&self) -> Duration {
        let shortest = self.idle.min(self.request).min(self.send).min(self.drain);
        (shortest / 2).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}
