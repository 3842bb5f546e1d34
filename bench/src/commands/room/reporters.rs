//! Many simulated peers that report to a real tracker every 30 seconds.

use crate::clock;
use crate::error::{Context, Result, failed};
use crate::interrupt;
use crate::measure::Measured;
use crate::tools::binaries::Binaries;
use crate::tools::{READY_WITHIN, free_address, probe};
use crate::units::show_size;
use cascade_format::tracker_room::{Page, PeerName, Program, Progress, Report, RoomRequest, Summary};
use cascade_format::tracker_wire::{RESPONSE_HEADER_LEN, STATUS_OK, TrackerResponseHeader};
use cascade_format::{CascadeHash, PeerAddr};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Semaphore;

/// How often each reports.
const INTERVAL: Duration = Duration::from_secs(30);

/// Reports under way at once.
const CONCURRENCY: usize = 64;

/// The file that they share.
const FILE: CascadeHash = CascadeHash([0xca; 32]);

/// Its blocks.
const BLOCKS: u64 = 1000;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Run {
    /// How many report.
    pub(super) reporters: u32,
    /// The part of a core that the tracker took.
    pub(super) core: f64,
    /// The tracker's peak memory, in bytes.
    pub(super) peak: u64,
    /// The same before the first report.
    pub(super) peak_before: u64,
    /// Reports in the time that was measured.
    pub(super) reports: u64,
}

/// Lets them report for `seconds`, after each has reported once.
///
/// # Errors
/// The tracker does not start, refuses a report, or has another room than was reported.
pub(super) fn run(reporters: u32, seconds: u64, binaries: &Binaries, folder: &Path) -> Result<Run> {
    let address = free_address()?;
    let mut command = Command::new(&binaries.tracker);
    command.args(["--listen", &address.to_string(), "--allow", &FILE.to_string()]);
    let mut tracker = Measured::start("tracker", &mut command, &folder.join("reporters.log"))?;
    tracker.wait_until(READY_WITHIN, |_| probe::accepts(address))?;
    let peak_before = tracker.usage().peak;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(|| "cannot start the runtime".to_owned())?;
    let address = address.into();
    let (reports, core) = runtime.block_on(async {
        all_once(address, reporters).await?;
        tracker.mark();
        let started = clock::now();
        let reports = in_turns(address, reporters, Duration::from_secs(seconds)).await?;
        Ok::<_, crate::error::BenchError>((reports, tracker.usage().cpu / started.elapsed().as_secs_f64()))
    })?;
    let summary = runtime.block_on(look(address))?;
    if summary.incomplete + summary.complete != reporters || summary.unknown > 0 {
        return failed(format!("the room of {reporters} reporters is {summary:?}"));
    }
    let peak = tracker.usage().peak;
    println!(
        "{reporters} reporters every {} s: {reports} reports in {seconds} s, {:.2} % of a core, peak {} (before: {})",
        INTERVAL.as_secs(),
        core * 100.0,
        show_size(peak),
        show_size(peak_before)
    );
    Ok(Run { reporters, core, peak, peak_before, reports })
}

/// Each reports once, as fast as it goes.
async fn all_once(tracker: SocketAddr, reporters: u32) -> Result<()> {
    let permits = Arc::new(Semaphore::new(CONCURRENCY));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..reporters {
        let permit = Arc::clone(&permits).acquire_owned().await;
        tasks.spawn(async move {
            let _permit = permit;
            report(tracker, number, 0).await
        });
    }
    while let Some(told) = tasks.join_next().await {
        told.unwrap_or_else(|_| failed("a reporter died"))?;
    }
    Ok(())
}

/// One after the other reports, so that each does every [`INTERVAL`]. How many reports there were.
async fn in_turns(tracker: SocketAddr, reporters: u32, time: Duration) -> Result<u64> {
    let (started, mut reports) = (clock::now(), 0u64);
    let mut tasks = tokio::task::JoinSet::new();
    let due = |reports: u64| -> Instant { started + INTERVAL.mul_f64(reports as f64 / f64::from(reporters)) };
    while started.elapsed() < time {
        interrupt::check()?;
        tokio::time::sleep_until(due(reports).into()).await;
        let number = u32::try_from(reports % u64::from(reporters)).unwrap_or(0);
        tasks.spawn(report(tracker, number, reports));
        reports += 1;
        while let Some(told) = tasks.try_join_next() {
            told.unwrap_or_else(|_| failed("a reporter died"))?;
        }
    }
    while let Some(told) = tasks.join_next().await {
        told.unwrap_or_else(|_| failed("a reporter died"))?;
    }
    Ok(reports)
}

/// One report of peer `number`, which has an address of its own.
async fn report(tracker: SocketAddr, number: u32, at: u64) -> Result<()> {
    let ip = Ipv4Addr::from_bits(0x7f10_0000 + number);
    let listen: PeerAddr = SocketAddrV4::new(ip, 9000).into();
    let had = (u64::from(number) + at) % BLOCKS;
    let report = Report {
        cascade_hash: FILE,
        listen,
        number: u64::from(number) + 1,
        goodbye: false,
        seeder: false,
        v4_only: true,
        progress: Progress { blocks_done: had, blocks: BLOCKS, received: had << 18, given: at },
        program: Program::of("bench"),
        name: PeerName::of(&format!("reporter-{number}")),
    };
    let (status, _) = exchange(tracker, ip, &report.encode()).await?;
    if status == STATUS_OK { Ok(()) } else { failed("the tracker refused a report") }
}

async fn look(tracker: SocketAddr) -> Result<Summary> {
    let request = RoomRequest { cascade_hash: FILE, first: 0 }.encode();
    let (_, body) = exchange(tracker, Ipv4Addr::LOCALHOST, &request).await?;
    match Page::parse(&body) {
        Ok(page) => Ok(page.summary),
        Err(error) => failed(format!("the tracker's room: {error}")),
    }
}

async fn exchange(tracker: SocketAddr, from: Ipv4Addr, request: &[u8]) -> Result<(u8, Vec<u8>)> {
    let talk = async {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddrV4::new(from, 0).into())?;
        let mut stream = socket.connect(tracker).await?;
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = talk.await.context(|| format!("cannot talk to the tracker at {tracker}"))?;
    match answer.split_first_chunk::<RESPONSE_HEADER_LEN>() {
        Some((header, body)) => Ok((TrackerResponseHeader::parse(header).status, body.to_vec())),
        None => failed("the tracker closed without an answer"),
    }
}
