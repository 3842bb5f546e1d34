//! A scripted peer of version 1 with the habits of programs in the field, for swarms that hold others than
//! ours. It downloads in random order over a few connections, one request at a time on each, and does not mind
//! which blocks a peer has. Serving and the bytes of both sides are those of the end-to-end tests
//! (`cascade_tests`). The same program plays the bad peers: one that lies, and one that stalls.

mod download;
mod peers;
mod store;
mod talk;

use crate::clock;
use crate::data::DataFile;
use crate::error::{Context, Result, failed};
use crate::question::asked;
use cascade_format::Metafile;
use cascade_format::tracker_wire::{Command, TrackerRequest};
use cascade_tests::foreign_peer::{Answer, ForeignPeer, Reading, Script};
use peers::Peers;
use std::fs;
use std::net::{SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::Store;

/// Between two lists while blocks are missing.
const LIST_EVERY: Duration = Duration::from_secs(30);

/// Connections that are served at once; more are closed.
const MAX_CLIENTS: usize = 256;

/// How long a client may be silent, or take to accept an answer.
const IDLE: Duration = Duration::from_secs(300);

/// Between two subscriptions.
const SUBSCRIBE_EVERY: Duration = Duration::from_secs(600);

/// The command line of the scripted peer.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The .cascade file
    pub cascade: PathBuf,
    /// The tracker
    #[arg(long, value_name = "ADDR:PORT")]
    pub tracker: SocketAddrV4,
    /// Address to serve on
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: SocketAddrV4,
    /// Serve this complete data file
    #[arg(long, value_name = "FILE", group = "role")]
    pub data: Option<PathBuf>,
    /// Download to this file, then go on serving
    #[arg(long, value_name = "FILE", group = "role")]
    pub output: Option<PathBuf>,
    /// Answer with wrong bytes of the right length
    #[arg(long, group = "role")]
    pub liar: bool,
    /// Answer with the first half of a block, then with nothing
    #[arg(long, group = "role")]
    pub staller: bool,
    #[command(flatten)]
    habits: Habits,
}

/// Habits of programs in the field; all are within the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub struct Habits {
    /// Close the connection after each answer
    #[arg(long)]
    pub closes: bool,
    /// Read each request with one call, and answer 4 and close when it brings fewer bytes
    #[arg(long)]
    pub recv_64: bool,
    /// Send garbage in the reserved bytes of requests
    #[arg(long)]
    pub garbage: bool,
}

impl Habits {
    /// The mix of a swarm: the habits of its `number`th scripted peer, the same in every run.
    #[must_use]
    pub fn of(number: usize) -> Self {
        match number % 4 {
            0 => Self::default(),
            1 => Self { closes: true, ..Self::default() },
            2 => Self { recv_64: true, ..Self::default() },
            _ => Self { recv_64: true, closes: true, garbage: true },
        }
    }

    /// How it serves; the same connections at once and the same silence as programs of the field bear.
    fn script(self) -> Script {
        let script = Script::default().at_most(MAX_CLIENTS).closing_idle(IDLE);
        let script = if self.closes { script.closing() } else { script };
        if self.recv_64 { script.reading(Reading::OneRecv) } else { script }
    }

    /// The same as arguments.
    pub fn arguments(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.closes, "--closes"), (self.recv_64, "--recv-64"), (self.garbage, "--garbage")];
        all.into_iter().filter(|(wanted, _)| *wanted).map(|(_, argument)| argument)
    }
}

/// What all threads of the peer know.
struct Shared {
    store: Arc<Store>,
    habits: Habits,
    peers: Mutex<Peers>,
    /// Bytes of blocks that had another hash.
    wrong_bytes: AtomicU64,
    /// Answers that said that a block is not there yet.
    refusals: AtomicU64,
    /// Tells that every block is there, or why the download cannot go on.
    ended: SyncSender<Result<()>>,
}

impl Shared {
    fn new(store: Store, habits: Habits, ended: SyncSender<Result<()>>) -> Arc<Self> {
        let (peers, wrong_bytes, refusals) = (Mutex::default(), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { store: Arc::new(store), habits, peers, wrong_bytes, refusals, ended })
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves, and downloads when it has an output, until it is killed. Prints one JSON line when complete.
///
/// # Errors
/// The `.cascade` file is none, the port is taken, a file cannot be read or written.
pub fn run(options: &Options) -> Result<()> {
    let started = clock::now();
    let bytes =
        fs::read(&options.cascade).context(|| format!("cannot read {}", options.cascade.display()))?;
    let metafile =
        Metafile::parse(&bytes).or_else(|e| failed(format!("{}: {e}", options.cascade.display())))?;
    let whole = *metafile.header();
    let part = options.output.as_deref().map(part_of);
    let store = match (&options.data, &part) {
        (Some(data), _) => Store::complete(metafile, data)?,
        (None, Some(part)) => Store::empty(metafile, part)?,
        (None, None) if options.liar || options.staller => Store::lying(metafile),
        (None, None) => return failed("a scripted peer needs --data, --output, --liar or --staller"),
    };
    let (ended, events) = sync_channel(download::CONNECTIONS);
    let shared = Shared::new(store, options.habits, ended);
    let listener =
        TcpListener::bind(options.listen).context(|| format!("cannot listen on {}", options.listen))?;
    let script = options.habits.script();
    let script = if options.staller { script.answering(Answer::HalfThenSilence) } else { script };
    let _serves = ForeignPeer::serving(listener, shared.store.clone(), script);
    download::start(&shared);
    let mut subscribed = None;
    loop {
        if subscribed.is_none_or(|at: std::time::Instant| at.elapsed() >= SUBSCRIBE_EVERY) {
            subscribed = Some(clock::now());
            ask_tracker(&shared, options, Command::Subscribe);
        } else if shared.store.wants_blocks() {
            ask_tracker(&shared, options, Command::List);
        }
        // The sender lives as long as `shared`: no message is silence.
        let Ok(event) = events.recv_timeout(LIST_EVERY) else { continue };
        event?;
        if let (Some(part), Some(output)) = (&part, &options.output) {
            let file =
                DataFile { path: output.clone(), length: whole.layout.length(), hash: whole.file_hash };
            file.check_copy(part)?;
            fs::rename(part, output).context(|| format!("cannot rename to {}", output.display()))?;
            print_summary(&shared, started.elapsed());
        }
    }
}

/// Where a download is until it is complete.
fn part_of(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn ask_tracker(shared: &Shared, options: &Options, command: Command) {
    let request = TrackerRequest { command, cascade_hash: shared.store.hash, listen: options.listen };
    let list = asked(options.tracker, &request);
    shared.peers().learn(list.into_iter().filter(|peer| *peer != options.listen), clock::now());
}

/// One line in the form of our own peers' summaries. A block is asked for once at a time, so nothing comes
/// twice.
fn print_summary(shared: &Shared, took: Duration) {
    let summary = serde_json::json!({
        "event": "done",
        "seconds": took.as_secs_f64(),
        "bytes_duplicate": 0,
        "bytes_wrong": shared.wrong_bytes.load(Ordering::Relaxed),
        "refusals": shared.refusals.load(Ordering::Relaxed),
    });
    println!("{summary}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn four_in_a_row_show_every_habit() {
        let all: Vec<&str> = (0..4).flat_map(|number| Habits::of(number).arguments()).collect();
        for habit in ["--closes", "--recv-64", "--garbage"] {
            assert!(all.contains(&habit), "nobody has {habit}: {all:?}");
        }
        assert_eq!(Habits::of(0).arguments().count(), 0, "the first one is plain");
    }

    /// How long a step of the swarm below may take.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Serves on loopback; its address, for as long as the peer is kept.
    fn serving(store: Store, habits: Habits) -> (ForeignPeer, SocketAddrV4) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = ForeignPeer::serving(listener, Arc::new(store), habits.script());
        let SocketAddr::V4(address) = peer.addr else { panic!("not IPv4") };
        (peer, address)
    }

    #[test]
    fn a_download_past_a_liar_from_a_peer_that_closes() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataFile::random(dir.path(), 24 * 4096).unwrap();
        let cascade = data.cascade_file(dir.path(), 4096).unwrap();
        let metafile = || Metafile::parse(&fs::read(&cascade.path).unwrap()).unwrap();
        let closes = Habits { closes: true, recv_64: true, garbage: false };
        let (_seeds, seeder) = serving(Store::complete(metafile(), &data.path).unwrap(), closes);
        let (_lies, liar) = serving(Store::lying(metafile()), Habits::default());

        let (part, (ended, events)) = (dir.path().join("part"), sync_channel(1));
        let store = Store::empty(metafile(), &part).unwrap();
        let habits = Habits { garbage: true, ..Habits::default() };
        let leecher = Shared::new(store, habits, ended);
        download::start(&leecher);
        leecher.peers().learn([liar], clock::now());
        let asked = clock::now();
        while leecher.wrong_bytes.load(Ordering::Relaxed) == 0 {
            assert!(asked.elapsed() < PATIENCE, "the liar was not asked");
            std::thread::yield_now();
        }
        leecher.peers().learn([seeder], clock::now());
        events.recv_timeout(PATIENCE).unwrap().unwrap();
        data.check_copy(&part).unwrap();
        assert_eq!(leecher.wrong_bytes.load(Ordering::Relaxed), 4096, "the liar was asked again");
    }

    #[test]
    fn a_download_has_another_name_until_it_is_complete() {
        assert_eq!(part_of(Path::new("a/data.bin")), Path::new("a/data.bin.part"));
    }
}
