//! `bench store`: two trackers, one store, many swarms; a tracker is killed, and the store restarted with nothing in it.

use super::{CommonOptions, Start};
use crate::clock;
use crate::error::{BenchError, Context, Result, failed};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::table::{self, Goal};
use crate::tools::binaries::Binaries;
use crate::tools::{READY_WITHIN, free_address, probe};
use cascade_format::CascadeHash;
use cascade_format::tracker_wire::{
    self, Command, RESPONSE_HEADER_LEN, TrackerRequest, TrackerResponseHeader,
};
use cascade_tests::redis::{self, Redis};
use serde::Serialize;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Options of `bench store`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Peers
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    peers: u32,
    /// Files
    #[arg(long, value_name = "N", default_value_t = 1000)]
    files: u32,
    /// Clients at once
    #[arg(long, value_name = "N", default_value_t = 16)]
    concurrency: usize,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    errors: u64,
    missing: u64,
    goals: &'a [Goal],
}

/// How long an exchange may take.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(10);

/// How long a file is asked for until all of its peers were listed: much less than the interval of the peers.
const LISTED_WITHIN: Duration = Duration::from_secs(20);

/// Runs the benchmark.
///
/// # Errors
/// A program that does not start.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let Some(program) = redis::program("bench store") else {
        return Err(BenchError::Unavailable("redis-server is not installed".to_owned()));
    };
    let mut store = Redis::start(&program);
    let url = store.url();
    let start = |name: &str| start(&binaries, &url, &folder.path().join(name));
    let (_first, one) = start("one")?;
    let (second, two) = start("two")?;
    let (errors, time) = subscribe_all(options, |peer| if peer % 2 == 0 { one } else { two });
    println!("subscribed at two trackers: {} peers in {time:.1} s, {errors} errors", options.peers);
    drop(second);
    store.restart();
    println!("one tracker killed, the store restarted with nothing in it");
    // Every peer subscribes again within its interval: those of the tracker that was killed at the other one.
    let (again, time) = subscribe_all(options, |_| one);
    println!("subscribed again at the one that is left: {time:.1} s, {again} errors");
    let (_third, three) = start("three")?;
    let (at_one, at_three) = (missing(options, one)?, missing(options, three)?);
    println!("not listed, at that tracker: {at_one}; at one that has just started: {at_three}");
    let missing = at_one + at_three;
    let goals = [
        #[allow(clippy::cast_precision_loss, reason = "a goal is a float")]
        Goal::at_most("client errors", (errors + again) as f64, 0.0),
        #[allow(clippy::cast_precision_loss, reason = "a goal is a float")]
        Goal::at_most("peers that are listed nowhere", missing as f64, 0.0),
    ];
    table::print_goals(&goals);
    let report = Report { machine: &machine, errors: errors + again, missing, goals: &goals };
    options.common.place.write_json(&report)
}

fn start(binaries: &Binaries, url: &str, log: &Path) -> Result<(Measured, SocketAddr)> {
    let address = free_address()?;
    let mut command = std::process::Command::new(&binaries.tracker);
    command.args(["--listen", &address.to_string(), "--store", url]);
    let mut process = Measured::start("tracker", &mut command, log)?;
    process.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
    process.wait_until(READY_WITHIN, |p| p.log_text().contains(": connected"))?;
    Ok((process, address.into()))
}

/// Every peer subscribes at its tracker; the number of those that got no list, and the seconds of all.
fn subscribe_all(options: &Options, tracker: impl Fn(u32) -> SocketAddr + Sync) -> (u64, f64) {
    let (errors, begin) = (AtomicU64::new(0), clock::now());
    std::thread::scope(|scope| {
        for first in 0..options.concurrency {
            let (errors, tracker) = (&errors, &tracker);
            scope.spawn(move || {
                for peer in (0..options.peers).skip(first).step_by(options.concurrency) {
                    let listen = address(peer);
                    if ask(tracker(peer), Command::Subscribe, peer % options.files, listen).is_err() {
                        errors.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    (errors.into_inner(), begin.elapsed().as_secs_f64())
}

/// How many peers a tracker does not list.
fn missing(options: &Options, tracker: SocketAddr) -> Result<u64> {
    let mut missing = 0;
    for file in 0..options.files {
        let mut left: HashSet<SocketAddrV4> =
            (file..options.peers).step_by(options.files as usize).map(address).collect();
        let begin = clock::now();
        while !left.is_empty() && begin.elapsed() < LISTED_WITHIN {
            for addr in ask(tracker, Command::List, file, SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 1))?
            {
                left.remove(&addr);
            }
        }
        missing += left.len() as u64;
    }
    Ok(missing)
}

const fn address(peer: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000 + peer), 8889)
}

fn ask(tracker: SocketAddr, command: Command, file: u32, listen: SocketAddrV4) -> Result<Vec<SocketAddrV4>> {
    let mut hash = [0xca; 32];
    hash[..4].copy_from_slice(&file.to_be_bytes());
    let request = TrackerRequest { command, cascade_hash: CascadeHash(hash), listen };
    let exchange = || {
        let mut stream = TcpStream::connect(tracker)?;
        stream.set_read_timeout(Some(EXCHANGE_WITHIN))?;
        stream.write_all(&request.encode())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let answer = exchange().context(|| format!("cannot ask {tracker}"))?;
    let Some((head, body)) = answer.split_first_chunk::<RESPONSE_HEADER_LEN>() else {
        return failed("the answer is too short");
    };
    if TrackerResponseHeader::parse(head).status != 0 {
        return failed(String::from_utf8_lossy(body).into_owned());
    }
    let entries = tracker_wire::parse_peer_list(body).or_else(|error| failed(error.to_string()))?;
    Ok(entries.map(|entry| entry.addr).collect())
}
