//! A folder whose files are served as they come and go: `peer serve`.
//!
//! Thousands of files are served by one process with little memory, few descriptors and a quiet way with trackers.
//!
//! | module | what it holds |
//! |---|---|
//! | `scan` | which `.cascade` files there are, and what they look like |
//! | `watch` | hearing that something has changed |
//! | `shelf` | what is to be done with each file (pure) |
//! | `inspect` | what a file holds: two threads |
//! | `awake`, `cost` | the few files that are ready to be given, and what they take |
//! | `remote` | files that an origin has: the few that are fetched from it |
//! | `registrar` | telling a tracker of all files, at a pace |
//! | `lan` | which files are announced on the local network |
//! | `downloads` | getting what is missing |
//! | `own` | which data is not replaced by that |
//! | `librarian` | the task that joins them |

mod awake;
mod cost;
mod downloads;
mod inspect;
mod lan;
mod librarian;
pub mod limits;
mod own;
mod registrar;
mod remote;
mod scan;
mod shelf;
mod told;
mod watch;

pub use told::{How, Serving, Tally, Told};

use crate::origin::Origin;
use crate::session::Engine;
use crate::store::handles::{Handles, MAX_OPEN_DATA};
use librarian::Librarian;
use limits::MAX_EVENTS;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// The order to serve a folder.
#[derive(Debug, Clone)]
pub struct Options {
    /// The path of the folder.
    pub folder: PathBuf,
    /// `HOST:PORT` of each tracker.
    pub trackers: Vec<String>,
    /// Whether data that is missing or incomplete is downloaded.
    pub download: bool,
    /// Whether peers on the local network can find the files.
    pub lan: bool,
    /// A folder of objects, from which files without data in the folder are served. Such files are then not downloaded.
    pub origin: Option<Origin>,
}

impl Options {
    /// An order to serve this folder, without trackers.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), trackers: Vec::new(), download: false, lan: false, origin: None }
    }

    fn handles(&self) -> Arc<Handles> {
        Handles::new(MAX_OPEN_DATA)
    }
}

/// A folder that is being served, until the peer is shut down.
#[derive(Debug)]
pub struct Library {
    events: mpsc::Receiver<Told>,
    task: JoinHandle<()>,
}

impl Library {
    /// Must be called within a Tokio runtime.
    pub(crate) fn start(engine: &Engine, options: Options) -> io::Result<Self> {
        let (told, events) = mpsc::channel(MAX_EVENTS);
        let librarian = Librarian::new(engine, options, told)?;
        Ok(Self { events, task: tokio::spawn(librarian.run()) })
    }

    /// Waits for the next event; `None` if no more come.
    pub async fn next(&mut self) -> Option<Told> {
        self.events.recv().await
    }

    /// Waits until the folder is served no longer, which happens when the peer is stopped.
    ///
    /// # Panics
    /// When its task did.
    pub async fn finish(mut self) {
        self.events.close();
        if let Err(error) = self.task.await {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}
