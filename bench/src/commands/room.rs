//! `bench room`: whether who waits for a room hears of its end in time, and whether what the room says is right; and
//! what a tracker pays for many that report.

mod reporters;

use super::{CommonOptions, Start};
use crate::clock;
use crate::data::DataFile;
use crate::error::{Context, Result, failed};
use crate::interrupt;
use crate::linkemu::network::{ETHERNET_MTU, Network};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::swarm::clients::{Cascade, Client, Node, TRACKER_PORT};
use crate::swarm::scenario::Scenario;
use crate::swarm::{SEEDER, TRACKER};
use crate::table::{self, Goal};
use crate::tools::binaries::Binaries;
use crate::turns;
use crate::units::parse_size;
use serde::Serialize;
use serde_json::Value;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Options of `bench room`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Real receivers, each in a network namespace of its own; 0 for none
    #[arg(long, value_name = "N", default_value_t = 30)]
    receivers: usize,
    /// Size of the file
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "256MiB")]
    size: u64,
    /// Block size
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "256KiB")]
    block: u64,
    /// Rate of every link, both ways
    #[arg(long, value_name = "MBIT/S", default_value_t = 20)]
    rate: u64,
    /// Simulated peers that report to a tracker; 0 for none
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    reporters: u32,
    /// How long they report
    #[arg(long, value_name = "S", default_value_t = 60)]
    seconds: u64,
    #[command(flatten)]
    common: CommonOptions,
}

/// A room of real peers.
#[derive(Debug, Serialize)]
struct Real {
    /// Seconds from the first start until the last receiver had the file.
    last: f64,
    /// Seconds from there until `peer wait` had ended.
    wait: f64,
    /// The greatest difference between what the room says that a peer has received, and what the peer says, as a share.
    received: f64,
    /// The same of the sum of what all have given, and what all have received.
    given: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    real: Option<Real>,
    reporters: Option<reporters::Run>,
    goals: &'a [Goal],
}

/// How long a peer's last report of what it has given may be old.
const LAST_REPORT: Duration = Duration::from_secs(32);

/// Runs the benchmark.
///
/// # Errors
/// A program that does not start or fails; a copy that differs.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let mut goals = Vec::new();
    let real = (options.receivers > 0).then(|| real(options, &binaries, folder.path()));
    let real = real.transpose()?;
    if let Some(real) = &real {
        goals.push(Goal::at_most("`peer wait` after the last receiver's end", real.wait, 2.0).in_unit("s"));
        goals.push(Goal::at_most(
            "the room beside each peer: bytes received, difference",
            real.received,
            0.01,
        ));
        // What was sent and not read any more, when a link was given up, is given and not received.
        goals.push(Goal::at_most("the room: bytes given ÷ received, difference", real.given, 0.05));
    }
    let reporters = (options.reporters > 0)
        .then(|| reporters::run(options.reporters, options.seconds, &binaries, folder.path()));
    let reporters = reporters.transpose()?;
    if let Some(run) = &reporters {
        let what = format!("a core, for {} reporters every 30 s", run.reporters);
        goals.push(Goal::at_most(what, run.core, 0.1));
    }
    table::print_goals(&goals);
    options.common.place.write_json(&Report { machine: &machine, real, reporters, goals: &goals })
}

/// A swarm of real peers.
struct Swarm<'a> {
    network: Network,
    client: Cascade,
    tracker: SocketAddrV4,
    data: &'a DataFile,
    work: &'a Path,
}

/// A receiver that runs.
struct Receiver {
    process: Measured,
    node: Node,
    done: Option<Instant>,
}

fn real(options: &Options, binaries: &Binaries, folder: &Path) -> Result<Real> {
    let scenario = Scenario {
        leechers: options.receivers,
        size: options.size,
        block: options.block,
        rate: options.rate,
        seeder_rate: options.rate,
        ..Scenario::PLAIN
    };
    println!("{}", scenario.describe());
    let data = DataFile::random(folder, options.size)?;
    let cascade = data.cascade_file(folder, options.block)?;
    let work = turns::run_folder(folder)?;
    let network = Network::star(&scenario.links(), ETHERNET_MTU, scenario.congestion)?;
    let (binaries, extra) = (binaries.clone(), Vec::new());
    let client = Cascade { name: "cascade", binaries, cascade, extra, v1_seeder: false };
    let _tracker = client.start_tracker(&network, work.path())?;
    let tracker = SocketAddrV4::new(network.address(TRACKER)?, TRACKER_PORT);
    let swarm = Swarm { network, client, tracker, data: &data, work: work.path() };
    let _seeder = swarm.client.start_seeder(&swarm.network, &data, work.path())?;
    let wait = swarm.on_tracker("wait", &["--complete", &options.receivers.to_string()])?;
    let started = clock::now();
    let mut receivers = Vec::new();
    for number in 0..options.receivers {
        let node = Node::new(&swarm.network, SEEDER + 1 + number, work.path())?;
        let process = swarm.client.start_leecher(&swarm.network, &node, &data)?;
        receivers.push(Receiver { process, node, done: None });
    }
    let last = swarm.wait_for_all(&mut receivers, scenario.within())?;
    let wait_started = wait.started();
    let waited = wait_started + wait.finish(scenario.within())?.wall;
    // What was given is told as it changes, every 30 s.
    std::thread::sleep(LAST_REPORT);
    let status = swarm.on_tracker("status", &[])?;
    let said = swarm.work.join("status");
    status.finish(Duration::from_secs(60))?;
    let said = std::fs::read_to_string(&said).context(|| "cannot read what the room is".to_owned())?;
    let (received, given) = compare(&said, &receivers)?;
    let late = waited.saturating_duration_since(last).as_secs_f64();
    let last = last.saturating_duration_since(started).as_secs_f64();
    println!(
        "{} receivers: the last had it after {last:.1} s, `peer wait` ended {late:.2} s later; what the room says of \
         bytes received differs by {received:.4} at most, of bytes given by {given:.4}",
        options.receivers
    );
    Ok(Real { last, wait: late, received, given })
}

impl Swarm<'_> {
    /// A command of `peer` about the room, on the tracker's node.
    fn on_tracker(&self, subcommand: &str, arguments: &[&str]) -> Result<Measured> {
        let mut command = Command::new(&self.client.binaries.peer);
        command.arg(subcommand).arg(&self.client.cascade.path).args(arguments);
        command.args(["--json", "-t", &self.tracker.to_string()]);
        let name = format!("peer {subcommand}");
        Measured::start(&name, &mut self.network.on(TRACKER, &command)?, &self.work.join(subcommand))
    }

    /// Waits until all have the file; when the last had it.
    fn wait_for_all(&self, receivers: &mut [Receiver], limit: Duration) -> Result<Instant> {
        let started = clock::now();
        while receivers.iter().any(|receiver| receiver.done.is_none()) {
            interrupt::check()?;
            for receiver in receivers.iter_mut().filter(|receiver| receiver.done.is_none()) {
                if self.client.is_done(&receiver.node, self.data) {
                    receiver.done = Some(clock::now());
                } else if receiver.process.poll_exit()?.is_some() {
                    return failed(format!("the receiver on node {} has ended", receiver.node.number));
                }
            }
            if started.elapsed() > limit {
                return failed(format!("not all had the file after {limit:?}"));
            }
            std::thread::sleep(clock::STEP);
        }
        Ok(receivers.iter().filter_map(|receiver| receiver.done).max().unwrap_or(started))
    }
}

/// By how much the room that `status` shows differs from what the receivers have said themselves: what each has
/// received, and what all have given. All must have everything.
fn compare(status: &str, receivers: &[Receiver]) -> Result<(f64, f64)> {
    let objects =
        |text: &str| text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect();
    let members: Vec<Value> = objects(status);
    let number = |object: &Value, name: &str| object[name].as_u64().unwrap_or(0) as f64;
    let mut worst = 0.0f64;
    for receiver in receivers {
        let address = receiver.node.listen.to_string();
        let Some(member) = members.iter().find(|member| member["address"] == address.as_str()) else {
            return failed(format!("the room lacks {address}"));
        };
        if member["state"] != "complete" || number(member, "blocks_done") != number(member, "blocks_total") {
            return failed(format!("the room has {address} as {member}"));
        }
        let log: Vec<Value> = objects(&receiver.process.log_text());
        let own = log.iter().find(|object| object["event"] == "done").map_or(0.0, |done| {
            done["shares"].as_array().into_iter().flatten().map(|share| number(share, "bytes")).sum()
        });
        worst = worst.max((number(member, "bytes_received") - own).abs() / own.max(1.0));
    }
    let sum = |name: &str| members.iter().map(|member| number(member, name)).sum::<f64>();
    let given = (sum("bytes_given") / sum("bytes_received").max(1.0) - 1.0).abs();
    Ok((worst, given))
}
