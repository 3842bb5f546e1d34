//! A swarm on one machine: a tracker, a seeder and downloaders, each in a network namespace of its own behind
//! an emulated link.

pub mod bound;
pub mod clients;

use crate::clock;
use crate::data::DataFile;
use crate::error::{Result, failed};
use crate::interrupt;
use crate::linkemu::Link;
use crate::linkemu::network::{ETHERNET_MTU, Network};
use crate::measure::Measured;
use crate::procfs;
use clients::{Client, Node};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// The tracker's node. Its link has no limit.
pub const TRACKER: usize = 0;

/// The seeder's node. The downloaders follow.
pub const SEEDER: usize = 1;

/// How long the downloaders may take to print their summaries when everybody is done.
const SUMMARY_WITHIN: Duration = Duration::from_secs(1);

/// What a swarm looks like.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Number of downloaders.
    pub leechers: usize,
    /// The downloaders' links.
    pub link: Link,
    /// The seeder's link.
    pub seeder_link: Link,
    /// How many of the downloaders, the last ones, have a tenth of the rate.
    pub slow: usize,
    /// Time over which the starts are spread; zero starts all at once.
    pub spread: Duration,
    /// The seeder leaves when it has sent this many copies of the file.
    pub seeder_leaves_after: Option<f64>,
    /// The tracker dies this long after the first start.
    pub tracker_dies_after: Option<Duration>,
    /// The longest time that a run may take.
    pub within: Duration,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Seconds of each downloader from its own start to its complete file; the slow ones come last.
    pub times: Vec<f64>,
    /// Bytes that left the seeder, packet headers included.
    pub seeder_sent: u64,
    /// Packets that found a queue full, in all links together.
    pub drops: u64,
    /// Bytes that were received more than once, as the downloaders themselves report them.
    pub duplicates: Option<u64>,
    /// Share of all cores that was busy: near 1, the machine is the limit and not the swarm.
    pub busy: f64,
}

/// A downloader and when it was done.
struct Leecher {
    process: Measured,
    node: Node,
    done: Option<Duration>,
}

/// Runs one swarm to its end; compares every copy.
///
/// # Errors
/// Namespaces are not permitted, a program fails, time is over.
pub fn run(plan: &Plan, client: &dyn Client, data: &DataFile, work: &Path) -> Result<Outcome> {
    let network = Network::star(&links(plan), ETHERNET_MTU)?;
    let mut tracker = Some(client.start_tracker(&network, work)?);
    let mut seeder = Some(client.start_seeder(&network, data, work)?);
    let sent_before = sent(&network);
    let (busy, all) = procfs::machine_cpu();
    let started = clock::now();
    let mut leechers: Vec<Leecher> = Vec::new();
    while leechers.len() < plan.leechers || leechers.iter().any(|leecher| leecher.done.is_none()) {
        interrupt::check()?;
        if leechers.len() < plan.leechers && started.elapsed() >= start_of(plan, leechers.len()) {
            let node = Node::new(&network, SEEDER + 1 + leechers.len(), work)?;
            let process = client.start_leecher(&network, &node, data)?;
            leechers.push(Leecher { process, node, done: None });
            continue;
        }
        look(&mut leechers, client, data)?;
        let copies = (sent(&network) - sent_before) as f64 / bound::on_the_wire(data.length, ETHERNET_MTU);
        if plan.seeder_leaves_after.is_some_and(|limit| copies >= limit) {
            seeder = None;
        }
        if plan.tracker_dies_after.is_some_and(|limit| started.elapsed() >= limit) {
            tracker = None;
        }
        check_time(plan, started, &leechers)?;
        std::thread::sleep(clock::STEP);
    }
    let (busy_after, all_after) = procfs::machine_cpu();
    let seeder_sent = sent(&network) - sent_before;
    drop((tracker, seeder));
    finish(leechers, client, data, &network, seeder_sent, (busy_after - busy, all_after - all))
}

fn links(plan: &Plan) -> Vec<Link> {
    let mut links = vec![Link::unlimited(plan.link.delay), plan.seeder_link];
    let slow = Link { up: plan.link.up / 10, down: plan.link.down / 10, ..plan.link };
    links.extend((0..plan.leechers).map(|at| if at + plan.slow < plan.leechers { plan.link } else { slow }));
    links
}

fn start_of(plan: &Plan, leecher: usize) -> Duration {
    plan.spread.mul_f64(leecher as f64 / plan.leechers.max(1) as f64)
}

fn sent(network: &Network) -> u64 {
    network.counters().get(SEEDER).map_or(0, |counters| counters.up_bytes)
}

/// Looks who is done.
fn look(leechers: &mut [Leecher], client: &dyn Client, data: &DataFile) -> Result<()> {
    for leecher in leechers.iter_mut().filter(|leecher| leecher.done.is_none()) {
        if client.is_done(&leecher.node, data) {
            leecher.done = Some(leecher.process.started().elapsed());
        } else if leecher.process.poll_exit()?.is_some() {
            return failed(format!("the downloader on node {} has ended too early", leecher.node.number));
        }
    }
    Ok(())
}

fn check_time(plan: &Plan, started: Instant, leechers: &[Leecher]) -> Result<()> {
    let done = leechers.iter().filter(|leecher| leecher.done.is_some()).count();
    if started.elapsed() > plan.within {
        return failed(format!("{done} of {} were done after {:?}", plan.leechers, plan.within));
    }
    Ok(())
}

fn finish(
    leechers: Vec<Leecher>,
    client: &dyn Client,
    data: &DataFile,
    network: &Network,
    seeder_sent: u64,
    (busy, all): (Duration, Duration),
) -> Result<Outcome> {
    let drops = network.counters().iter().map(|counters| counters.up_drops + counters.down_drops).sum();
    // A summary follows the complete file; those who print none are waited for once.
    let asked = clock::now();
    let said = |leecher: &Leecher| client.duplicates(&leecher.process.log_text());
    while asked.elapsed() < SUMMARY_WITHIN && leechers.iter().any(|leecher| said(leecher).is_none()) {
        std::thread::sleep(clock::STEP);
    }
    let mut times = Vec::new();
    let mut duplicates = Some(0);
    for leecher in leechers {
        times.push(leecher.done.unwrap_or_default().as_secs_f64());
        duplicates = duplicates.zip(said(&leecher)).map(|(sum, own)| sum + own);
        drop(leecher.process);
        data.check_copy(&leecher.node.copy(data))?;
    }
    let busy = busy.as_secs_f64() / all.as_secs_f64().max(0.01);
    Ok(Outcome { times, seeder_sent, drops, duplicates, busy })
}
