//! What a running peer does at one moment, as plain data: for a terminal, a web page, a metric.
//!
//! [`Peer::view`](crate::Peer::view) takes a [`View`] at any time, and [`Peer::watch`](crate::Peer::watch) gives a
//! handle that does so from any thread. Nothing is kept up for those who do not look: what has one owner in a session
//! is put together by the session when somebody has asked, and all else is read from counters.
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

/// A download is looked at this often at most, however many look.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// [`Watch::fresh`] waits this long for a session that is busy.
pub const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
