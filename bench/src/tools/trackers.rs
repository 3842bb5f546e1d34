//! Trackers that the load generator can be put on: ours, the bare server, and BitTorrent's where installed.

use super::binaries::Binaries;
use super::{READY_WITHIN, free_address, probe};
use crate::error::{BenchError, Context, Result, failed};
use crate::load::Exchange;
use crate::measure::{Measured, find_program};
use crate::programs::{own, printed_address};
use cascade_format::CascadeHash;
use cascade_tests::redis::{self, Redis};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The file that everybody subscribes to.
const FILE: CascadeHash = CascadeHash([0xca; 32]);

/// The torrent that everybody announces.
const TORRENT: [u8; 20] = [0xca; 20];

/// A tracker that runs.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub process: Measured,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it understands.
    pub exchange: Exchange,
    /// The store that it uses, which ends with it.
    pub store: Option<Redis>,
}

/// The kinds of trackers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The bare server, on this many threads.
    Bare(usize),
    /// Our tracker.
    Cascade,
    /// Our tracker with a Redis server on this machine.
    CascadeStore,
    /// `opentracker`.
    Opentracker,
    /// `aquatic_http`.
    Aquatic,
}

impl Kind {
    /// The name in tables.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Bare(1) => "bare server, 1 thread".to_owned(),
            Self::Bare(threads) => format!("bare server, {threads} threads"),
            Self::Cascade => "cascade tracker".to_owned(),
            Self::CascadeStore => "cascade tracker, Redis".to_owned(),
            Self::Opentracker => "opentracker (HTTP)".to_owned(),
            Self::Aquatic => "aquatic_http".to_owned(),
        }
    }

    /// Starts it with its files in `work`; the bare server answers with bodies of `body_len` bytes.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub fn start(self, binaries: &Binaries, body_len: u32, work: &Path) -> Result<Running> {
        let log = work.join("log");
        match self {
            Self::Bare(threads) => {
                let mut command = own(&["bare-tracker", &body_len.to_string(), &threads.to_string()])?;
                let mut process = Measured::start("the bare tracker", &mut command, &log)?;
                process.wait_until(READY_WITHIN, |p| printed_address(&p.log_text()).is_some())?;
                match printed_address(&process.log_text()) {
                    Some(address) => {
                        Ok(Running { process, address, exchange: Exchange::Subscribe(FILE), store: None })
                    }
                    None => failed("the bare tracker has no address"),
                }
            }
            Self::Cascade => {
                let address = free_address()?;
                let mut command = Command::new(&binaries.tracker);
                command.args(["--listen", &address.to_string(), "--allow", &FILE.to_string()]);
                wait_for_port(&mut command, "tracker", address, &log, Exchange::Subscribe(FILE))
            }
            Self::CascadeStore => {
                let Some(program) = redis::program("the tracker with a store") else {
                    return Err(BenchError::Unavailable("redis-server is not installed".to_owned()));
                };
                let store = Redis::start(&program);
                let address = free_address()?;
                let mut command = Command::new(&binaries.tracker);
                command.args(["--listen", &address.to_string(), "--allow", &FILE.to_string()]);
                command.args(["--store", &store.url()]);
                let exchange = Exchange::Subscribe(FILE);
                let running = wait_for_port(&mut command, "tracker with a store", address, &log, exchange)?;
                Ok(Running { store: Some(store), ..running })
            }
            Self::Opentracker => start_opentracker(work, &log),
            Self::Aquatic => start_aquatic(work, &log),
        }
    }
}

fn start_opentracker(work: &Path, log: &Path) -> Result<Running> {
    let address = free_address()?;
    // Debian's build tracks only what its whitelist names; it reads it as another user, after a chroot.
    let hash: String = TORRENT.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = work.join("whitelist");
    std::fs::write(&list, hash + "\n").context(|| format!("cannot write {}", list.display()))?;
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(work, open).context(|| format!("cannot change {}", work.display()))?;
    let mut command = Command::new(find_program("opentracker")?);
    let port = address.port().to_string();
    command.args(["-i", "127.0.0.1", "-p", &port, "-P", &port, "-w", "whitelist", "-d"]).arg(work);
    wait_for_port(&mut command, "opentracker", address, log, Exchange::Announce(TORRENT))
}

fn start_aquatic(work: &Path, log: &Path) -> Result<Running> {
    let address = free_address()?;
    let config = work.join("aquatic.toml");
    let text = format!("[network]\naddress = \"{address}\"\nkeep_alive = false\n");
    std::fs::write(&config, text).context(|| format!("cannot write {}", config.display()))?;
    let mut command = Command::new(find_program("aquatic_http")?);
    command.arg("-c").arg(&config);
    wait_for_port(&mut command, "aquatic_http", address, log, Exchange::Announce(TORRENT))
}

fn wait_for_port(
    command: &mut Command,
    name: &str,
    address: std::net::SocketAddrV4,
    log: &Path,
    exchange: Exchange,
) -> Result<Running> {
    let mut process = Measured::start(name, command, log)?;
    process.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
    process.mark();
    Ok(Running { process, address: address.into(), exchange, store: None })
}
