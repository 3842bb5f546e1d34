//! The library's front: a peer in this process that downloads and seeds.
//!
//! ```no_run
//! use cascade_peer::{Download, Event, MetafileOnDisk, Options, Peer};
//! use std::path::Path;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let peer = Peer::start(Options::default())?;
//! let metafile = MetafileOnDisk::open(Path::new("film.mkv.cascade"))?;
//! let download = Download::new(metafile, Path::new("film.mkv")).with_tracker("192.0.2.1:8888");
//!
//! let mut transfer = peer.download(download);
//! while let Some(event) = transfer.next().await {
//!     if let Event::Progress(progress) = event {
//!         println!("{} of {} bytes", progress.bytes_done, progress.bytes_total);
//!     }
//! }
//! let file = transfer.finish().await?;
//!
//! // Others may still want it: serve it for an hour, then say goodbye.
//! let seeding = peer.seed_downloaded(&file);
//! tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
//! peer.shut_down().await;
//! seeding.finish().await?;
//! # Ok(())
//! # }
//! ```

use crate::catalog::Served;
use crate::clock;
use crate::library::{self, Library};
use crate::limits::{EVENTS_A_TRANSFER, GOODBYE_TIME};
use crate::link::farewell::FAREWELL;
use crate::listener;
use crate::metafile::MetafileOnDisk;
use crate::origin::{Gate, Origin, Source};
use crate::pace::Limit;
use crate::room::telling::{Badge, Role};
use crate::room::{PeerName, Reporter};
use crate::serve::{self, Guests, Pool, ServeStats, Warn};
use crate::session::engine::Stop;
use crate::session::{
    Download, DownloadError, Engine, Event, Fetch, FetchError, FromOrigin, Observer, Seed, SeedError, Summary,
};
use crate::store::{Given, Records};
use crate::view::{View, Watch};
use cascade_format::CascadeHash;
use cascade_swarm::Listening;
use cascade_swarm::pace::Rate;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Every address of this machine, at a port that the system chooses.
pub const ANYWHERE: Listening = Listening::everywhere(0);

/// How long a connection that the system has made may take to be noticed.
const NOTICE: Duration = Duration::from_millis(100);

/// How often it is looked whether the last connection has ended.
const GRANULE: Duration = Duration::from_millis(1);

/// How a [`Peer`] runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the peer listens for other peers; port 0 lets the system choose. With `None` it does not serve.
    pub listen: Option<Listening>,
    /// Whether the peer speaks the swarm extension with peers that know it.
    pub extension: bool,
    /// Whether every block is hashed again before it is sent.
    pub paranoid: bool,
    /// The most bytes a second that the peer sends in answers: blocks, their headers, refusals and news. `None` means
    /// no limit.
    pub max_up: Option<Rate>,
    /// The most bytes a second that the peer receives from other peers and from origins. `None` means no limit.
    pub max_down: Option<Rate>,
    /// The name under which this peer appears in the rooms of trackers. If it is empty, the peer appears without a name.
    /// Every peer that has the link of a file can read this name.
    pub name: PeerName,
    /// Where the peer keeps the results of its checks.
    pub records: Records,
    /// Answers connections that speak the tracker's protocol, if this process is a tracker, too.
    pub guests: Option<Guests>,
    /// Receives warnings about the listener, which belong to no single file. Each is one line.
    pub warn: Warn,
}

impl Default for Options {
    /// Every address of this machine, a port that the system chooses, the extension on, records where the
    /// environment says.
    fn default() -> Self {
        let listen = Some(ANYWHERE);
        let (records, warn) = (Records::from_environment(), Warn::default());
        let (max_up, max_down, name) = (None, None, PeerName::EMPTY);
        Self { listen, extension: true, paranoid: false, max_up, max_down, name, records, guests: None, warn }
    }
}

/// Why a peer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The peer cannot listen at the address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: Listening,
        /// Why.
        source: io::Error,
    },
    /// The system cannot start another thread.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    /// The system cannot start the threads that serve, or has no descriptor for them.
    #[error("cannot serve on {address}: {source}")]
    Serve {
        /// Where the peer listens.
        address: Listening,
        /// Why.
        source: io::Error,
    },
}

/// A peer: its listener, its threads that serve, receive and hash, and the files that it downloads and seeds.
///
/// Its methods must be called within a Tokio runtime with time and I/O enabled.
#[derive(Debug)]
pub struct Peer {
    engine: Engine,
    /// Bound and not served yet.
    listener: Option<TcpListener>,
    pool: Option<Pool>,
    guests: Option<Guests>,
    max_up: Option<Limit>,
    warn: Warn,
    watch: Watch,
}

impl Peer {
    /// Binds the address and begins to answer other peers.
    ///
    /// # Errors
    /// The address is taken, or the system has no threads left.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let mut peer = Self::bind(options)?;
        peer.open()?;
        Ok(peer)
    }

    /// Binds the address, and answers no peer before [`Peer::open`]. Until then, clients that connect wait.
    ///
    /// # Errors
    /// The address is taken, or the system has no threads left.
    pub fn bind(options: Options) -> Result<Self, StartError> {
        let listener = options.listen.map(listen).transpose()?;
        let address = listener.as_ref().map(|(_, address)| *address);
        let engine = Engine::new(address, options.extension, options.records, Stop::default());
        let (paranoid, max_down) = (options.paranoid, options.max_down.map(Limit::new));
        let badge = Badge::new(options.name);
        let origin_gate = Gate::new(max_down.clone());
        let engine =
            Engine { paranoid, max_down, badge, origin_gate, ..engine.map_err(StartError::Threads)? };
        let listener = listener.map(|(listener, _)| listener);
        let max_up = options.max_up.map(Limit::new);
        let (guests, warn, watch) = (options.guests, options.warn, Watch::new(Arc::clone(&engine.seen)));
        Ok(Self { engine, listener, pool: None, guests, max_up, warn, watch })
    }

    /// Begins to answer other peers. Has no effect if the peer answers already, or does not listen.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn open(&mut self) -> Result<(), StartError> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        let (extension, warn) = (self.engine.extension, self.warn.clone());
        let (guests, limit) = (self.guests.clone(), self.max_up.clone());
        let options = serve::Options { extension, guests, limit, warn, ..serve::Options::default() };
        let address = self.engine.listen.unwrap_or(ANYWHERE);
        let pool = Pool::start(listener, Arc::clone(&self.engine.catalog), options);
        let pool = pool.map_err(|source| StartError::Serve { address, source })?;
        self.watch.serves(pool.stats());
        self.pool = Some(pool);
        Ok(())
    }

    /// Where the peer listens; `None` if it does not.
    #[must_use]
    pub fn address(&self) -> Option<Listening> {
        self.engine.listen
    }

    /// Counters of what the peer has given to others so far; `None` before [`Peer::open`].
    #[must_use]
    pub fn given(&self) -> Option<&Arc<ServeStats>> {
        self.pool.as_ref().map(Pool::stats)
    }

    /// Counters of what the peer has given of one file; `None` if it does not serve this file.
    #[must_use]
    pub fn given_of(&self, hash: &CascadeHash) -> Option<Arc<Given>> {
        self.engine.catalog.get(hash).map(|file| Arc::clone(file.file.given()))
    }

    /// A handle that makes the same reports about the files of this peer as its trackers get.
    #[must_use]
    pub fn reporter(&self) -> Reporter {
        Reporter::new(Arc::clone(&self.engine.catalog), self.engine.badge)
    }

    /// The state of the peer at this moment. The call is cheap and slows no transfer.
    #[must_use]
    pub fn view(&self) -> View {
        self.watch.view()
    }

    /// A handle that can look at this peer from any thread, also after the peer has ended.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// A handle that ends every transfer, from any thread. After that, [`Peer::shut_down`] has little to wait for.
    #[must_use]
    pub fn stopper(&self) -> Stop {
        self.engine.stop.clone()
    }

    /// Fetches the `.cascade` file of a link from other peers.
    #[must_use]
    pub fn fetch(&self, fetch: Fetch) -> Transfer<Result<MetafileOnDisk, FetchError>> {
        let engine = self.engine.clone();
        Transfer::spawn(|mut told| async move { fetch.run(&engine, &mut told).await })
    }

    /// Downloads a file. Right blocks that are on the disk already are kept, and blocks that have arrived are served
    /// meanwhile. When the file is complete, [`Peer::seed_downloaded`] goes on serving it. Without that, it is served until
    /// another program changes it.
    #[must_use]
    pub fn download(&self, download: Download) -> Transfer<Result<Downloaded, DownloadError>> {
        let engine = self.engine.clone();
        Transfer::spawn(|mut told| async move {
            let seed = Seed::of(&download);
            let served = download.run(&engine, &mut told).await?;
            let summary = told.summary.take().unwrap_or_default();
            Ok(Downloaded { summary, served, seed })
        })
    }

    /// Checks a file, and serves it until the peer is shut down.
    #[must_use]
    pub fn seed(&self, seed: Seed) -> Transfer<Result<(), SeedError>> {
        let engine = self.engine.clone();
        Transfer::spawn(|mut told| async move { seed.run(&engine, &mut told).await })
    }

    /// Serves a file whose data is at an origin, until the peer is shut down. A block that is not on the disk is
    /// fetched when another peer requests it.
    #[cfg(feature = "origin")]
    #[must_use]
    pub fn seed_from(&self, seed: Seed, origin: Origin) -> Transfer<Result<(), SeedError>> {
        let engine = self.engine.clone();
        Transfer::spawn(|mut told| async move {
            FromOrigin::connect(seed, &origin, &engine.origin_clients)?.run(&engine, &mut told).await
        })
    }

    /// As `seed_from`, with a source of your own in the place of the origin's server. `origin` gives the address to
    /// show, and the bound on what may be kept on the disk.
    #[must_use]
    pub fn seed_from_source(
        &self,
        seed: Seed,
        origin: Origin,
        source: Arc<dyn Source>,
    ) -> Transfer<Result<(), SeedError>> {
        let engine = self.engine.clone();
        Transfer::spawn(|mut told| async move {
            FromOrigin::of_source(seed, &origin, source).run(&engine, &mut told).await
        })
    }

    /// Goes on serving a file that this peer has downloaded, until the peer is shut down.
    #[must_use]
    pub fn seed_downloaded(&self, file: &Downloaded) -> Transfer<Result<(), SeedError>> {
        let (engine, seed, served) = (self.engine.clone(), file.seed.clone(), Arc::clone(&file.served));
        Transfer::spawn(
            |mut told| async move { seed.serve(&engine, &served, Role::Receiver, &mut told).await },
        )
    }

    /// Serves all files of a folder, as they come and go, until the peer is shut down. A peer can serve one folder.
    ///
    /// # Errors
    /// The system has no threads left.
    pub fn serve_folder(&self, options: library::Options) -> Result<Library, StartError> {
        Library::start(&self.engine, options).map_err(StartError::Threads)
    }

    /// Ends all transfers, tells goodbye to trackers and clients, and waits up to a few seconds for the answers under
    /// way.
    pub async fn shut_down(mut self) {
        self.engine.stop.stop();
        let engine = self.engine.clone();
        let goodbyes = tokio::spawn(async move { engine.say_goodbyes().await });
        if let Some(pool) = self.pool.take() {
            if self.engine.catalog.leave() {
                // Those who wait for news hear the goodbye.
                tokio::time::sleep(GOODBYE_TIME).await;
            }
            // A panic in there has been told already, and everything is closed either way.
            let _ = tokio::task::spawn_blocking(move || pool.stop()).await;
        }
        self.engine.lan.shut_down().await;
        let _ = goodbyes.await;
        // Connections that were given up may have an answer under way: see `link::farewell`.
        let start = clock::now();
        let links = &self.engine.links;
        let is_needed = |passed: Duration| {
            (links.open_connections() > 0 && passed < FAREWELL) || (links.connecting() > 0 && passed < NOTICE)
        };
        while is_needed(start.elapsed()) {
            tokio::time::sleep(GRANULE).await;
        }
    }
}

fn listen(address: Listening) -> Result<(TcpListener, Listening), StartError> {
    listener::bind(address).map_err(|source| StartError::Listen { address, source })
}

/// A file that a peer has downloaded: complete, verified, and on the disk under its name.
#[derive(Debug)]
pub struct Downloaded {
    /// What the download was like.
    pub summary: Summary,
    served: Arc<Served>,
    seed: Seed,
}

/// A download, a seeding or a fetch that runs. If this handle is dropped, the transfer goes on until the peer is shut
/// down.
#[derive(Debug)]
pub struct Transfer<T> {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<T>,
}

impl<T: Send + 'static> Transfer<T> {
    fn spawn<F, Work>(work: F) -> Self
    where
        F: FnOnce(Told) -> Work + Send + 'static,
        Work: Future<Output = T> + Send + 'static,
    {
        let (events, receiver) = mpsc::channel(EVENTS_A_TRANSFER);
        let told = Told { events, summary: None };
        Self { events: receiver, task: tokio::spawn(work(told)) }
    }

    /// Waits for the next event; `None` if no more come. While [`EVENTS_A_TRANSFER`] / 2 events or more wait here,
    /// events that are soon replaced by newer ones (such as progress) are dropped. The transfer itself never waits for
    /// its events to be read.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Waits for the end of the transfer, and returns its result.
    ///
    /// # Panics
    /// When the transfer did.
    pub async fn finish(self) -> T {
        match self.task.await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Passes events on.
struct Told {
    events: mpsc::Sender<Event>,
    summary: Option<Summary>,
}

impl Observer for Told {
    fn event(&mut self, event: Event) {
        if let Event::Done(summary) = &event {
            self.summary = Some(summary.clone());
        }
        // Room is kept for what is told once.
        if !event.is_momentary() || self.events.capacity() > EVENTS_A_TRANSFER / 2 {
            let _ = self.events.try_send(event);
        }
    }
}
