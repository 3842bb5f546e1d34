//! What `download`, `seed` and `demo` need to run: a runtime, a peer in it, an ear for signals.

use super::interrupt::Ear;
use super::{CliError, LIMITS, address};
use crate::folder;
use crate::human::Count;
use crate::peer::{ANYWHERE, Options, Peer, StartError, Transfer};
use crate::report::Style;
use crate::serve::{Warn, descriptors};
use crate::session::Observer;
use cascade_swarm::Listening;
use sd_notify::NotifyState;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Threads of the runtime of sessions and trackers. They only decide and wait; links, hashing and serving
/// have threads of their own.
const CONTROL_THREADS: usize = 2;

/// Where a peer listens that is told nothing: on every address, on the first of these ports that is free. So a
/// firewall's rule can name them.
const USUAL_PORTS: RangeInclusive<u16> = 8889..=8899;

/// Where a peer listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listen {
    /// The first of [`USUAL_PORTS`] that is free, else any port.
    Usual,
    /// There.
    At(Listening),
    /// It does not.
    Nowhere,
}

/// `--listen`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ListenOption {
    /// Address at which other peers reach this one; a port alone is every address, and port 0 is any free port [default:
    /// every address, the first free port from 8889 to 8899]
    #[arg(short, long, value_name = "[ADDR:]PORT", value_parser = address::listening)]
    listen: Option<Listening>,
}

impl ListenOption {
    /// Where the user wants it.
    pub(super) fn wanted(self) -> Listen {
        self.listen.map_or(Listen::Usual, Listen::At)
    }
}

/// How long background work may go on after the end.
const GRACE: Duration = Duration::from_millis(500);

/// `EMFILE`: the process may open no more.
const TOO_MANY_OPEN: i32 = 24;

/// A process that downloads or seeds. Its listener is bound at once, so that a port in use is told before
/// anything else happens; it is opened as soon as there is something to serve.
pub(super) struct Host {
    runtime: Runtime,
    front: Front,
}

/// The peer, and how its events are shown.
pub(super) struct Front {
    pub(super) peer: Peer,
    style: Style,
}

impl Host {
    /// Takes the address and starts everything that files share. The first signal ends the peer.
    pub(super) fn start(
        options: Options,
        listen: Listen,
        style: &Style,
        ear: &Ear,
    ) -> Result<Self, CliError> {
        let runtime = Builder::new_multi_thread().worker_threads(CONTROL_THREADS).enable_all().build();
        let runtime = runtime.map_err(|error| failed(&StartError::Threads(error)))?;
        let shown = style.clone();
        let warn = Warn(Arc::new(move |text| shown.warning(text)));
        let peer = bind(&Options { warn, ..options }, listen).map_err(|error| failed(&error))?;
        let stop = peer.stopper();
        ear.on_signal(move || stop.stop());
        Ok(Self { runtime, front: Front { peer, style: style.clone() } })
    }

    /// Runs `work` to its end, then lets the answers to other peers finish.
    pub(super) fn run<T>(self, work: impl AsyncFnOnce(&mut Front) -> T) -> T {
        let Self { runtime, mut front } = self;
        let result = runtime.block_on(async {
            let result = work(&mut front).await;
            front.peer.shut_down().await;
            result
        });
        runtime.shutdown_timeout(GRACE);
        result
    }
}

/// Takes the address.
fn bind(options: &Options, listen: Listen) -> Result<Peer, StartError> {
    let at = |listen| Peer::bind(Options { listen, ..options.clone() });
    match listen {
        Listen::Nowhere => at(None),
        Listen::At(address) => at(Some(address)),
        Listen::Usual => {
            for port in USUAL_PORTS {
                match at(Some(Listening::everywhere(port))) {
                    Err(StartError::Listen { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
                    bound => return bound,
                }
            }
            at(Some(ANYWHERE))
        }
    }
}

impl Front {
    /// Begins to serve.
    pub(super) fn open(&mut self) -> Result<(), CliError> {
        self.peer.open().map_err(|error| failed(&error))?;
        if let Some(address) = self.peer.address() {
            self.style.listening(address);
        }
        // A service manager waits for this; elsewhere it does nothing.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        Ok(())
    }
}

/// Shows the events of a transfer until its end.
pub(super) async fn show<T: Send + 'static>(mut transfer: Transfer<T>, observer: &mut dyn Observer) -> T {
    while let Some(event) = transfer.next().await {
        observer.event(event);
    }
    transfer.finish().await
}

/// Hundreds of files must not use up the descriptors in the middle of the work: it is found out before. `verb` is
/// what would be done with the files, which take `needed` together.
pub(super) fn require_descriptors(verb: &str, files: usize, needed: usize) -> Result<(), CliError> {
    let (limit, open) = (descriptors::raise_limit(), descriptors::open_now());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    descriptors::fits(needed, limit, open, workers).map_err(|needed| {
        let files = Count(files as u64, "file");
        CliError::failed(format!(
            "cannot {verb} {files}: that takes {needed} descriptors, and the system allows {limit}; raise the limit \
             with ulimit -n {needed}, or {verb} fewer files at a time"
        ))
    })
}

/// Descriptors that data takes while it is served.
pub(super) fn descriptors_of(data: &Path) -> usize {
    if data.is_dir() { folder::DESCRIPTORS } else { 1 }
}

fn failed(error: &StartError) -> CliError {
    let too_many = |source: &io::Error| source.raw_os_error() == Some(TOO_MANY_OPEN);
    let advice = match error {
        StartError::Listen { .. } => "choose another address with --listen",
        StartError::Serve { source, .. } if too_many(source) => "raise the limit with ulimit -n",
        StartError::Serve { .. } | StartError::Threads(_) => LIMITS,
    };
    CliError::failed(format!("{error}; {advice}"))
}
