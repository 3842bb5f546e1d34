//! Programs that bring a file from here to there, behind one trait.

pub mod aria2;
pub mod binaries;
pub mod cascade;
pub mod floor;
pub mod folders;
pub mod garage;
pub mod nginx;
pub mod probe;
pub mod rqbit;
pub mod rsync;
pub mod sendme;
pub mod torrent;
pub mod trackers;

use crate::data::DataFile;
use crate::error::{Context, Result};
use crate::measure::Usage;
use crate::units::{mib_per_second, show_size};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a server may take until it is ready.
pub const READY_WITHIN: Duration = Duration::from_secs(120);

/// How long a transfer may take.
pub const TRANSFER_WITHIN: Duration = Duration::from_secs(900);

/// One transfer to make.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The file.
    pub data: &'a DataFile,
    /// An empty folder for this transfer, on the file system of the data.
    pub work: &'a Path,
}

impl Job<'_> {
    /// A new folder inside the work folder.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.work.join(name);
        std::fs::create_dir_all(&path).context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// A folder that holds the data under its own name, by a hard link.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder_with_data(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder(name)?;
        let link = folder.join(self.data.name());
        std::fs::hard_link(&self.data.path, &link).context(|| format!("cannot link {}", link.display()))?;
        Ok(folder)
    }

    /// Where a program's messages go.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.work.join(format!("{name}.log"))
    }
}

/// A transfer that was made.
#[derive(Debug, Clone, Serialize)]
pub struct Transfer {
    /// From the start of the receiving program to its exit, or to the moment that it reports completion where
    /// it does not exit by itself; seconds.
    pub wall: f64,
    /// The sending side, during the transfer.
    pub sender: Usage,
    /// The receiving side, from its start to the end of the transfer.
    pub receiver: Usage,
    /// The copy.
    #[serde(skip)]
    pub copy: PathBuf,
}

impl Transfer {
    /// Tells of it in one line; `what` was transferred, of `length` bytes.
    pub fn tell(&self, what: &str, length: u64) {
        println!(
            "{what:<34} {:7.3} s  {:6.0} MiB/s  cpu {:5.2} + {:5.2} s  memory {} + {}",
            self.wall,
            mib_per_second(length, self.wall),
            self.sender.cpu,
            self.receiver.cpu,
            show_size(self.sender.peak),
            show_size(self.receiver.peak),
        );
    }
}

/// A program, or a pair of them, that transfers files.
pub trait Tool {
    /// The name in tables.
    fn name(&self) -> String;

    /// Makes one transfer, from a sender that is ready to a complete copy.
    ///
    /// # Errors
    /// A program is missing or fails.
    fn transfer(&mut self, job: &Job<'_>) -> Result<Transfer>;
}

/// A loopback address whose port was free a moment ago, for programs that must be told one.
///
/// # Errors
/// No port is free.
pub fn free_address() -> Result<SocketAddrV4> {
    let listener = TcpListener::bind("127.0.0.1:0").context(|| "no free port".to_owned())?;
    let port = listener.local_addr().context(|| "no local address".to_owned())?.port();
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}
