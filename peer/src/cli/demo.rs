//! `peer demo`: a whole swarm on this machine, over real sockets, to see how it works.

use super::given::{link_of, metafile_path};
use super::host::{Front, Host, Listen, show};
use super::interrupt::Ear;
use super::shell::quote;
use super::{CliError, ExitCode, link};
use crate::clock;
use crate::create::Source;
use crate::folder::Special;
use crate::human::{Bytes, Name, Speed};
use crate::limits::PIECE_LEN;
use crate::metafile::MetafileOnDisk;
use crate::peer::{ANYWHERE, Options, Peer};
use crate::report::{Style, line};
use crate::session::engine::Stop;
use crate::session::{Download, Event, Fetch, FetchError, Observer, Replaces, Seed};
use crate::store::{DataFile, Records};
use cascade_format::PeerAddr;
use cascade_swarm::Listening;
use cascade_swarm::ask::Order;
use cascade_tracker::{Policy, Tracker};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// Length of the file that the demo makes, in bytes.
const DEMO_LEN: u64 = 256 << 20;

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Try it: a tracker, two seeders and a download, all on this machine
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to share [default: the demo makes one of 256 MiB]
    file: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// The file cannot be read, or there is no room for two more copies of it.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let style = Style::choose(false);
    // First: whatever ends the demo, its folder is removed.
    let cancel = ear.flag();
    let folder = tempfile::Builder::new().prefix("cascade-demo-").tempdir();
    let folder = folder.map_err(|error| {
        CliError::failed(format!("cannot make a temporary folder: {error}; name another place with TMPDIR"))
    })?;
    let result = Stage::set(args, &folder, &cancel).and_then(|stage| {
        let options = Options { records: stage.records.clone(), ..Options::default() };
        let host =
            Host::start(options, Listen::At(ANYWHERE), &style, ear).map_err(|error| error.to_string())?;
        host.run(async |front: &mut Front| {
            let (stop, interrupted) = (front.peer.stopper(), Arc::clone(&cancel));
            ear.on_signal(move || {
                interrupted.store(true, Ordering::Relaxed);
                stop.stop();
            });
            front.open().map_err(|error| error.to_string())?;
            stage.play(&front.peer, &style).await
        })?;
        stage.compare(&cancel)?;
        stage.explain();
        Ok(())
    });
    match result {
        Ok(()) => Ok(ExitCode::Done),
        // Whatever it was that failed, it failed because of this.
        Err(_) if cancel.load(Ordering::Relaxed) => Ok(ExitCode::Interrupted),
        Err(message) => Err(CliError::failed(format!("demo: {message}"))),
    }
}

/// The files of the demo.
struct Stage {
    name: OsString,
    original: PathBuf,
    half: PathBuf,
    target: PathBuf,
    metafile: Arc<MetafileOnDisk>,
    records: Records,
}

impl Stage {
    fn set(args: &Args, folder: &TempDir, cancel: &AtomicBool) -> Result<Self, String> {
        let folder = folder.path();
        let original = match &args.file {
            Some(file) => file.clone(),
            None => make_file(folder, cancel)
                .map_err(|error| format!("cannot make a file in {}: {error}", Name(folder)))?,
        };
        let name = original.file_name().unwrap_or(original.as_os_str()).to_owned();
        let source = Source::open(&original, Special::Refuse, cancel).map_err(|error| error.to_string())?;
        if source.archive().is_some() {
            return Err(format!("{} is a folder; the demo takes one file", Name(&original)));
        }
        line(&format!("demo: describing {} with the hash of every block", Name(&original)));
        let block_size = source.default_block_size();
        let start = clock::now();
        let out = metafile_path(&folder.join(&name));
        let metafile =
            source.describe(&out, block_size, &|_| {}, cancel).map_err(|error| error.to_string())?;
        let speed = Speed { bytes: source.length(), time: start.elapsed() };
        let layout = metafile.layout();
        line(&format!(
            "demo: {}, {} blocks of {}, hashed at {speed}",
            Bytes(layout.length()),
            layout.blocks(),
            Bytes(layout.block_size())
        ));
        let half = folder.join("half");
        copy_half(&original, &half, &metafile, cancel)
            .map_err(|error| format!("cannot write {}: {error}", Name(&half)))?;
        let target = folder.join("downloaded").join(&name);
        std::fs::create_dir(folder.join("downloaded")).map_err(|error| error.to_string())?;
        let records = Records::in_folder(&folder.join("state"));
        Ok(Self { name, original, half, target, metafile: Arc::new(metafile), records })
    }

    /// A tracker, two seeders, one download that begins with a link.
    async fn play(&self, peer: &Peer, style: &Style) -> Result<(), String> {
        let tracker = Tracker::bind(SocketAddr::from((LOCAL, 0)), Policy::open());
        let tracker = tracker.map_err(|error| format!("cannot start the tracker: {error}"))?;
        let address = tracker.local_addr().to_string();
        line(&format!("demo: tracker on {address}"));
        let stop = peer.stopper();
        tokio::spawn(async move { tracker.run(async { stop.stopped().await }).await });
        let seeders = [("all blocks", &self.original), ("every second block", &self.half)];
        let mut peers = Vec::new();
        for (what, data) in seeders {
            peers.push(self.seed(what, data, &address, &peer.stopper()).await?);
        }
        let mut observer = style.observer(Path::new(&self.name), &self.metafile.cascade_hash().to_string());
        let metafile = match self.fetch(peer, &address, &mut *observer).await {
            Ok(metafile) => Arc::new(metafile),
            Err(error) => return Err(error.to_string()),
        };
        let download = Download {
            metafile,
            target: self.target.clone(),
            trackers: vec![address],
            peers: Vec::new(),
            order: Order::Random,
            no_wait: false,
            as_tar: None,
            from: None,
            update: false,
            lan: false,
            replaces: Replaces::Found,
        };
        let done = show(peer.download(download), &mut *observer).await;
        for peer in peers {
            peer.shut_down().await;
        }
        done.map(drop).map_err(|error| error.to_string())
    }

    /// Gets the `.cascade` file as who has only the link does.
    async fn fetch(
        &self,
        peer: &Peer,
        tracker: &str,
        observer: &mut dyn Observer,
    ) -> Result<MetafileOnDisk, FetchError> {
        // A name too long for a link has none; the rest goes on as if it had.
        if let Ok(mut link) = link_of(&self.metafile, Some(&self.name.to_string_lossy()))
            && link::add(&mut link, &[tracker.to_owned()], &[]).is_ok()
        {
            line(&format!("demo: the receiver has nothing but the link {link}"));
        }
        let fetch = Fetch {
            cascade_hash: self.metafile.cascade_hash(),
            out: metafile_path(&self.target),
            trackers: vec![tracker.to_owned()],
            peers: Vec::new(),
            no_wait: false,
            lan: false,
            aside: false,
        };
        show(peer.fetch(fetch), observer).await
    }

    /// A seeder with a listener and threads of its own, as in another process, which has registered with the
    /// tracker.
    async fn seed(&self, what: &str, data: &Path, tracker: &str, stop: &Stop) -> Result<Peer, String> {
        let listen = Some(Listening::at(PeerAddr::new(IpAddr::V4(LOCAL), 0)));
        let peer = Peer::start(Options { listen, records: self.records.clone(), ..Options::default() });
        let peer = peer.map_err(|error| format!("cannot start a seeder: {error}"))?;
        let port = peer.address().map_or(0, |address| address.port());
        line(&format!("demo: seeder with {what} on 127.0.0.1:{port}"));
        let mut seeding = peer.seed(Seed {
            metafile: Arc::clone(&self.metafile),
            data: data.to_owned(),
            trackers: vec![tracker.to_owned()],
            lan: false,
        });
        let registered = async {
            while let Some(event) = seeding.next().await {
                if matches!(event, Event::Tracker { .. }) {
                    break;
                }
            }
        };
        tokio::select! {
            () = registered => {}
            // The demo was interrupted: the download ends at once, too.
            () = stop.stopped() => {}
        }
        Ok(peer)
    }

    /// Compares the download with the original, byte by byte.
    fn compare(&self, cancel: &AtomicBool) -> Result<(), String> {
        let same = same_bytes(&self.original, &self.target, cancel);
        match same.map_err(|error| format!("cannot compare the files: {error}"))? {
            true => {
                line("demo: compared byte by byte with the original: the same");
                Ok(())
            }
            false => Err("the downloaded bytes are not those of the original; please report this".into()),
        }
    }

    fn explain(&self) {
        let name = Path::new(&self.name);
        let (cascade, name) = (quote(&metafile_path(name)), quote(name));
        for text in [
            "",
            "The same on several machines, A with the file:",
            &format!("  A$ peer share {name}"),
            "then paste the line that it prints on each of the others, at once or later:",
            "  B$ peer download 'cascade:…'",
            "  C$ peer download 'cascade:…'",
            "Or by hand, with a tracker that stays, and the .cascade file by mail or from a web page:",
            "  A$ tracker",
            &format!("  A$ peer create {name}"),
            &format!("  A$ peer seed {cascade}"),
            &format!("  B$ peer download {cascade} --tracker A:8888"),
        ] {
            line(text);
        }
    }
}

/// An error as soon as the work should end.
fn go_on(cancel: &AtomicBool) -> io::Result<()> {
    if cancel.load(Ordering::Relaxed) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
}

/// A file of bytes that cannot be compressed.
fn make_file(folder: &Path, cancel: &AtomicBool) -> io::Result<PathBuf> {
    use std::io::Write;
    let path = folder.join("demo.bin");
    let mut file = File::create(&path)?;
    let mut buffer = vec![0; PIECE_LEN];
    for _ in 0..DEMO_LEN / PIECE_LEN as u64 {
        go_on(cancel)?;
        fastrand::fill(&mut buffer);
        file.write_all(&buffer)?;
    }
    Ok(path)
}

/// A file of the same length in which every second block is missing.
fn copy_half(original: &Path, half: &Path, metafile: &MetafileOnDisk, cancel: &AtomicBool) -> io::Result<()> {
    let layout = *metafile.layout();
    let from = DataFile::new(File::open(original)?, original, layout);
    let to = DataFile::new(File::create(half)?, half, layout);
    to.set_full_length()?;
    let mut buffer = vec![0; PIECE_LEN];
    for block in layout.iter().step_by(2) {
        let range = layout.range(block);
        let mut at = range.start;
        while at < range.end {
            go_on(cancel)?;
            let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(PIECE_LEN);
            let piece = buffer.get_mut(..length).unwrap_or_default();
            from.read_exact_at(piece, at)?;
            to.write_all_at(&mut [IoSlice::new(piece)], at)?;
            at += length as u64;
        }
    }
    Ok(())
}

fn same_bytes(left: &Path, right: &Path, cancel: &AtomicBool) -> io::Result<bool> {
    use std::io::Read;
    let (mut left, mut right) = (File::open(left)?, File::open(right)?);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    loop {
        go_on(cancel)?;
        one.clear();
        other.clear();
        left.by_ref().take(PIECE_LEN as u64).read_to_end(&mut one)?;
        right.by_ref().take(PIECE_LEN as u64).read_to_end(&mut other)?;
        if one != other {
            return Ok(false);
        }
        if one.is_empty() {
            return Ok(true);
        }
    }
}
