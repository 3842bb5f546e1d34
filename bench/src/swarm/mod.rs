//! A swarm on one machine: a tracker, a seeder and downloaders, each in a network namespace of its own behind
//! an emulated link.
//!
//! | module | what is in it |
//! |---|---|
//! | [`scenario`], [`role`] | what a swarm looks like |
//! | [`rows`] | the swarms of the table, and what each must reach |
//! | [`bound`] | the least time that any protocol needs |
//! | [`clients`] | the programs that can form a swarm |
//! | [`outcome`] | what came of it, as numbers and over time |

pub mod bound;
pub mod clients;
pub mod outcome;
pub mod role;
pub mod rows;
pub mod scenario;
mod watch;

use crate::clock;
use crate::data::DataFile;
use crate::error::{Result, failed};
use crate::interrupt;
use crate::linkemu::network::{ETHERNET_MTU, Network};
use crate::measure::Measured;
use clients::{Client, Node};
use outcome::{Finish, Outcome};
use role::Role;
use scenario::Scenario;
use std::path::Path;
use std::time::{Duration, Instant};
use watch::Watch;

/// The tracker's node. Its link has no limit.
pub const TRACKER: usize = 0;

/// The seeder's node. The downloaders follow.
pub const SEEDER: usize = 1;

/// How long the downloaders may take to print their summaries when everybody is done.
const SUMMARY_WITHIN: Duration = Duration::from_secs(1);

/// A leecher and when it was done.
struct Leecher {
    role: Role,
    process: Measured,
    node: Node,
    done: Option<Duration>,
}

impl Leecher {
    /// Whether the run still waits for it.
    fn lacks_blocks(&self) -> bool {
        self.role.downloads() && self.done.is_none()
    }
}

/// Runs one swarm until every downloader has the file; compares every copy.
///
/// # Errors
/// Namespaces are not permitted, a program fails, time is over.
pub fn run(scenario: &Scenario, client: &dyn Client, data: &DataFile, work: &Path) -> Result<Outcome> {
    let network = Network::star(&scenario.links(), ETHERNET_MTU, scenario.congestion)?;
    let mut tracker = Some(client.start_tracker(&network, work)?);
    let mut seeder = client.start_seeder(&network, data, work)?;
    seeder.mark();
    let mut seeder = Some(seeder);
    let roles = scenario.roles();
    let started = clock::now();
    let mut watch = Watch::start(&network, data.length, started);
    let mut leechers: Vec<Leecher> = Vec::new();
    while leechers.len() < roles.len() || leechers.iter().any(Leecher::lacks_blocks) {
        interrupt::check()?;
        if let Some(role) = roles.get(leechers.len())
            && started.elapsed() >= scenario.start_of(leechers.len())
        {
            let node = Node::new(&network, SEEDER + 1 + leechers.len(), work)?;
            let before = leechers.iter().filter(|leecher| leecher.role == *role).count();
            let process = start(*role, client, &network, &node, data, before)?;
            leechers.push(Leecher { role: *role, process, node, done: None });
            continue;
        }
        look(&mut leechers, client, data)?;
        watch.look(&network, roles.len(), &leechers);
        if scenario.seeder_leaves.is_some_and(|limit| watch.copies(&network) >= limit) && seeder.is_some() {
            watch.seeder_left = Some(started.elapsed());
            watch.cpu += seeder.take().map_or(0.0, |seeder| seeder.usage().cpu);
        }
        if scenario.tracker_dies.is_some_and(|limit| started.elapsed() >= Duration::from_secs(limit))
            && tracker.is_some()
        {
            watch.tracker_died = Some(started.elapsed());
            tracker = None;
        }
        check_time(scenario, started, &leechers)?;
        std::thread::sleep(clock::STEP);
    }
    watch.finish(&network, roles.len(), &leechers);
    let seeder_cpu = seeder.as_ref().map_or(0.0, |seeder| seeder.usage().cpu);
    watch.cpu += seeder_cpu + leechers.iter().map(|leecher| leecher.process.usage().cpu).sum::<f64>();
    drop((tracker, seeder));
    finish(leechers, client, data, &network, watch)
}

/// Starts a leecher; `before` of its role were started before it.
fn start(
    role: Role,
    client: &dyn Client,
    network: &Network,
    node: &Node,
    data: &DataFile,
    before: usize,
) -> Result<Measured> {
    match role {
        Role::Own | Role::Slow => client.start_leecher(network, node, data),
        Role::Version1 | Role::Liar | Role::Staller => {
            client.start_scripted(network, node, data, role, before)
        }
    }
}

/// Notes which leechers are done.
fn look(leechers: &mut [Leecher], client: &dyn Client, data: &DataFile) -> Result<()> {
    for leecher in leechers.iter_mut().filter(|leecher| leecher.done.is_none()) {
        if leecher.role.downloads() && client.is_done(&leecher.node, data) {
            leecher.done = Some(leecher.process.started().elapsed());
        } else if leecher.process.poll_exit()?.is_some() {
            return failed(format!("the leecher on node {} has ended too early", leecher.node.number));
        }
    }
    Ok(())
}

fn check_time(scenario: &Scenario, started: Instant, leechers: &[Leecher]) -> Result<()> {
    if started.elapsed() > scenario.within() {
        let lacking: Vec<usize> =
            leechers.iter().filter(|leecher| leecher.lacks_blocks()).map(|l| l.node.number).collect();
        return failed(format!(
            "the leechers on nodes {lacking:?} had no complete file after {:?}",
            scenario.within()
        ));
    }
    Ok(())
}

fn finish(
    mut leechers: Vec<Leecher>,
    client: &dyn Client,
    data: &DataFile,
    network: &Network,
    watch: Watch,
) -> Result<Outcome> {
    let counters = network.counters();
    let packets = counters.iter().map(|counters| counters.up_packets).sum();
    let drops = counters.iter().map(|counters| counters.up_drops + counters.down_drops).sum();
    let bad = leechers.iter().filter(|leecher| !leecher.role.downloads());
    let bad_sent = bad.filter_map(|leecher| counters.get(leecher.node.number)).map(|c| c.up_bytes).sum();
    leechers.retain(|leecher| leecher.role.downloads());
    // A summary follows the complete file; clients that print none are waited for once.
    let asked = clock::now();
    let said = |leecher: &Leecher| client.duplicates(&leecher.process.log_text());
    while asked.elapsed() < SUMMARY_WITHIN && leechers.iter().any(|leecher| said(leecher).is_none()) {
        std::thread::sleep(clock::STEP);
    }
    let mut times = Vec::new();
    let mut duplicates = Some(0);
    for leecher in leechers {
        times.push(Finish { role: leecher.role, seconds: leecher.done.unwrap_or_default().as_secs_f64() });
        duplicates = duplicates.zip(said(&leecher)).map(|(sum, own)| sum + own);
        drop(leecher.process);
        data.check_copy(&leecher.node.copy(data))?;
    }
    Ok(Outcome {
        times,
        seeder_sent: watch.seeder_sent,
        packets,
        drops,
        duplicates,
        bad_sent,
        seeder_left: watch.seeder_left.map(|at| at.as_secs_f64()),
        tracker_died: watch.tracker_died.map(|at| at.as_secs_f64()),
        busy: watch.busy.unwrap_or_default(),
        cpu: watch.cpu,
        readings: watch.readings,
    })
}
