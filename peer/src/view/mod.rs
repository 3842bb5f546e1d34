//! What a running peer does at one moment, as plain data: for a terminal, a web page, a metric.
//!
//! [`Peer::view`](crate::Peer::view) returns a [`View`] at any time, and [`Peer::watch`](crate::Peer::watch) returns a
//! handle that does so from any thread. Without a caller this costs nothing: a session collects its part of the view only
//! on request, and everything else is read from counters that exist anyway.
//!
//! | module | what it holds |
//! |---|---|
//! | `data` | what is seen: [`View`] and its parts |
//! | `block_set` | which blocks there are |
//! | `files` | the files of a process, and what their sessions let be seen |
//! | `watch` | the handle |

mod block_set;
mod data;
mod files;
mod watch;

pub use crate::store::given::MAX_RECEIVERS_SEEN;
pub use block_set::BlockSet;
pub use data::{DownloadView, FileState, FileView, LinkView, ReceiverView, Role, View};
pub(crate) use files::{Files, SeenFile, Shown};
pub use watch::Watch;

use std::time::Duration;

/// The shortest time between two looks at a download, however many callers look.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The longest time that [`Watch::fresh`] waits for a busy session.
pub const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
