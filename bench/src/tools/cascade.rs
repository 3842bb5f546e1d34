//! Cascade as a contestant, and its parts for the other benchmarks: a tracker, a seeder, downloads.

use super::binaries::Binaries;
use super::{Job, READY_WITHIN, TRANSFER_WITHIN, Tool, Transfer, free_address, probe};
use crate::clock;
use crate::data::{CascadeFile, DataFile};
use crate::error::{Context, Result, failed};
use crate::measure::{Measured, Usage};
use cascade_format::{CascadeHash, Metafile};
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// One seeder and its tracker, both on loopback and ready.
#[derive(Debug)]
pub struct Source {
    _tracker: Measured,
    seeder: Measured,
    /// Where the tracker listens.
    pub tracker_address: SocketAddrV4,
    /// Where the seeder listens.
    pub seeder_address: SocketAddrV4,
}

impl Source {
    /// Starts both and waits until the tracker lists the seeder and the seeder serves the last block.
    ///
    /// # Errors
    /// One of them fails or is not ready in time.
    pub fn start(binaries: &Binaries, data: &DataFile, cascade: &CascadeFile, logs: &Path) -> Result<Self> {
        Self::start_with(binaries, cascade, logs, |command| {
            command.arg("--data").arg(&data.path);
        })
    }

    /// The same with a seeder to which `tell` says where its data is.
    ///
    /// # Errors
    /// Those of [`Source::start`].
    pub fn start_with(
        binaries: &Binaries,
        cascade: &CascadeFile,
        logs: &Path,
        tell: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let (tracker_address, seeder_address) = (free_address()?, free_address()?);
        let mut command = Command::new(&binaries.tracker);
        command.args(["--listen", &tracker_address.to_string(), "--allow"]).arg(&cascade.path);
        let mut tracker = Measured::start("tracker", &mut command, &logs.join("tracker.log"))?;
        tracker.wait_until(READY_WITHIN, |_| probe::accepts(tracker_address))?;
        let mut command = Command::new(&binaries.peer);
        command.arg("seed").arg(&cascade.path).args(["-t", &tracker_address.to_string()]);
        command.args(["-l", &seeder_address.to_string()]);
        tell(&mut command);
        let mut seeder = Measured::start("peer seed", &mut command, &logs.join("seed.log"))?;
        let mut ready = probe::Readiness::of(seeder_address, cascade);
        seeder.wait_until(READY_WITHIN, |_| {
            ready.check() && probe::listed(tracker_address, cascade.hash).contains(&seeder_address)
        })?;
        seeder.mark();
        Ok(Self { _tracker: tracker, seeder, tracker_address, seeder_address })
    }

    /// Counts what the seeder uses from here on.
    pub fn mark(&mut self) {
        self.seeder.mark();
    }

    /// What the seeder has used since it was ready, or since the mark.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.seeder.usage()
    }

    /// The command of a download from here into `out`.
    #[must_use]
    pub fn download(&self, binaries: &Binaries, cascade: &CascadeFile, out: &Path) -> Command {
        let mut command = Command::new(&binaries.peer);
        command.arg("download").arg(&cascade.path).args(["-t", &self.tracker_address.to_string()]);
        command.args(["-l", "127.0.0.1:0", "-o"]).arg(out);
        command
    }

    /// The same, for many downloads at once: each is told the seeder's address. A tracker's list has 20 entries,
    /// so that some of a hundred would have to wait for the next list to learn of anybody who stays.
    #[must_use]
    pub fn one_of_many(&self, binaries: &Binaries, cascade: &CascadeFile, out: &Path) -> Command {
        let mut command = self.download(binaries, cascade, out);
        command.args(["--peer", &self.seeder_address.to_string()]);
        command
    }
}

/// `peer seed` to `peer download`, through a tracker.
#[derive(Debug)]
pub struct Cascade {
    binaries: Binaries,
    cascade: CascadeFile,
    name: String,
    /// How many look at the download's page, if it has one.
    viewers: Option<usize>,
}

impl Cascade {
    /// A contestant for one `.cascade` file.
    #[must_use]
    pub fn new(binaries: Binaries, cascade: CascadeFile) -> Self {
        let name = format!("cascade, {} blocks", crate::units::show_size(cascade.layout.block_size()));
        Self { binaries, cascade, name, viewers: None }
    }

    /// The same with a page, and this number of viewers of it.
    #[must_use]
    pub fn with_page(self, viewers: usize) -> Self {
        let name = format!("{}, page, {viewers} viewers", self.name);
        Self { name, viewers: Some(viewers), ..self }
    }

    /// A contestant for data that is described by `peer create`.
    ///
    /// # Errors
    /// Those of [`describe`].
    pub fn described(binaries: &Binaries, data: &DataFile) -> Result<Self> {
        Ok(Self::new(binaries.clone(), describe(binaries, data, None)?))
    }
}

/// Describes the data by `peer create`, with its default block size or this one.
///
/// # Errors
/// It fails, or what it writes cannot be read.
pub fn describe(binaries: &Binaries, data: &DataFile, block: Option<u64>) -> Result<CascadeFile> {
    let mut path = data.path.clone().into_os_string();
    path.push(".cascade");
    let path = PathBuf::from(path);
    let mut command = Command::new(&binaries.peer);
    command.arg("create").arg(&data.path);
    block.into_iter().for_each(|block| {
        command.args(["-b", &block.to_string()]);
    });
    let created = command.output();
    let created = created.context(|| "cannot start peer create".to_owned())?;
    if !created.status.success() {
        return failed(format!("peer create: {}", String::from_utf8_lossy(&created.stderr)));
    }
    let bytes = std::fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
    let metafile = Metafile::parse(&bytes).or_else(|error| failed(format!("{}: {error}", path.display())))?;
    let layout = metafile.header().layout;
    Ok(CascadeFile { path, hash: CascadeHash::of(&bytes), layout })
}

impl Tool for Cascade {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer> {
        let source = Source::start(&self.binaries, job.data, &self.cascade, job.work)?;
        let copy: PathBuf = job.folder("download")?.join(job.data.name());
        let mut command = source.download(&self.binaries, &self.cascade, &copy);
        let page = self.viewers.map(|_| free_address()).transpose()?;
        command.args(page.iter().map(|page| format!("--web={page}")));
        let download = Measured::start("peer download", &mut command, &job.log("download"))?;
        let viewers = page.iter().flat_map(|page| (0..self.viewers.unwrap_or(0)).map(|_| viewer(*page)));
        let viewers: Vec<_> = viewers.collect();
        let done = download.finish(TRANSFER_WITHIN)?;
        let seen =
            viewers.into_iter().filter_map(|viewer| viewer.join().ok()).filter(|seen| *seen > 0).count();
        if seen < self.viewers.unwrap_or(0) {
            return failed(format!("only {seen} viewers saw the page"));
        }
        Ok(Transfer { wall: done.wall.as_secs_f64(), sender: source.usage(), receiver: done.usage, copy })
    }
}

/// Looks at the page until the program ends; returns the number of bytes that were seen.
fn viewer(page: SocketAddrV4) -> JoinHandle<usize> {
    thread::spawn(move || {
        let start = clock::now();
        let mut stream = loop {
            match TcpStream::connect(page) {
                Ok(stream) => break stream,
                Err(_) if start.elapsed() < READY_WITHIN => thread::sleep(LOOK_AGAIN),
                Err(_) => return 0,
            }
        };
        let asked =
            stream.write_all(format!("GET /api/v1/events HTTP/1.1\r\nHost: {page}\r\n\r\n").as_bytes());
        let (mut seen, mut buffer) = (0, vec![0; 64 << 10]);
        while asked.is_ok()
            && let Ok(read @ 1..) = stream.read(&mut buffer)
        {
            seen += read;
        }
        seen
    })
}

/// Between two tries to reach the page.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
