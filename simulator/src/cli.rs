//! The command line.

use crate::preset::{find, presets};
use crate::scenario::{Habit, MAX_SUBNET_PEERS, MAX_SUBNETS, Network, Rates, Scenario, Subnets};
use crate::units::nanos;
use cascade_format::units::{Bytes, parse_nonzero_size};
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Simulates a swarm with the code that ships, in virtual time.
#[derive(Debug, Clone, Parser)]
#[command(name = "simulate", version)]
pub struct Cli {
    /// Start from the scenario of this name (see --list); the other options change it
    pub preset: Option<String>,
    /// Run every scenario of the table and say what passes
    #[arg(long)]
    pub table: bool,
    /// Halve and double each tuned constant, and say which rows of the table change
    #[arg(long, conflicts_with = "table")]
    pub sweep: bool,
    /// With --sweep: only constants whose name contains one of these (ask.pause)
    #[arg(long, value_name = "NAME", requires = "sweep")]
    pub constant: Vec<String>,
    /// With --sweep: simulations of each row, with a seed each
    #[arg(long, value_name = "N", requires = "sweep", default_value_t = 5)]
    pub seeds: u64,
    /// Simulate this number of random swarms, and show the worst; --seed is that of the first one
    #[arg(long, value_name = "N", conflicts_with_all = ["table", "sweep", "preset"])]
    pub search: Option<u64>,
    /// With --search: the number of swarms that are shown
    #[arg(long, value_name = "N", requires = "search", default_value_t = 10)]
    pub worst: usize,
    /// With --sweep or --search: simulations at a time
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub threads: usize,
    /// With --table or --sweep: only scenarios whose name contains one of these
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// With --table or --sweep: leave out scenarios with more peers
    #[arg(long, value_name = "N")]
    pub up_to: Option<usize>,
    /// Name the scenarios
    #[arg(long)]
    pub list: bool,
    /// Peers besides the seeder
    #[arg(long, value_name = "N")]
    pub peers: Option<usize>,
    /// Blocks of the file
    #[arg(long, value_name = "N")]
    pub blocks: Option<u64>,
    /// Size of a block: bytes, or with KiB or MiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub block_size: Option<u64>,
    /// Uplink of every peer, Mbit/s
    #[arg(long, value_name = "MBIT")]
    pub up: Option<f64>,
    /// Downlink of every peer, Mbit/s
    #[arg(long, value_name = "MBIT")]
    pub down: Option<f64>,
    /// Uplink of the seeder, Mbit/s
    #[arg(long, value_name = "MBIT")]
    pub seeder_up: Option<f64>,
    /// One way between two peers: 5ms, 0.1s
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub latency: Option<f64>,
    /// The peers are in this number of subnets, which are joined by thin links
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(MAX_SUBNETS)))]
    pub subnets: Option<u32>,
    /// With --subnets: rate of each subnet's link, Mbit/s
    #[arg(long, value_name = "MBIT")]
    pub thin: Option<f64>,
    /// With --subnets: connections between subnets fail, but those to the seeder
    #[arg(long)]
    pub firewalled: bool,
    /// With --subnets: whether the tracker prefers peers of the asker's subnet
    #[arg(long, value_enum)]
    pub prefer_near: Option<Switch>,
    /// Home links: 10 Mbit/s up, 50 down
    #[arg(long)]
    pub home: bool,
    /// Whether our peers use the extension
    #[arg(long, value_enum)]
    pub extension: Option<Switch>,
    /// Whether our peers request slices of large blocks
    #[arg(long, value_enum)]
    pub slices: Option<Switch>,
    /// The number of peers that are programs of the field and know only version 1
    #[arg(long, value_name = "N")]
    pub v1: Option<usize>,
    /// Those close each connection after one answer
    #[arg(long)]
    pub v1_closes: bool,
    /// The number of peers that answer with wrong bytes
    #[arg(long, value_name = "N")]
    pub liars: Option<usize>,
    /// The number of peers that stall in the middle of every answer
    #[arg(long, value_name = "N")]
    pub stallers: Option<usize>,
    /// The number of peers that have a tenth of the rates
    #[arg(long, value_name = "N")]
    pub slow: Option<usize>,
    /// The number of peers that are registered although nobody is there
    #[arg(long, value_name = "N")]
    pub dead: Option<usize>,
    /// The peers start spread over this time; without a value over F/u
    #[arg(long, value_name = "TIME", value_parser = time, num_args = 0..=1, default_missing_value = "0s")]
    pub spread: Option<f64>,
    /// Every other peer starts this time after the first ones
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub second_crowd: Option<f64>,
    /// The seeder leaves when it has sent COPIES copies
    #[arg(long, value_name = "COPIES")]
    pub seeder_leaves: Option<f64>,
    /// Peers leave TIME after they are complete
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub leave_after: Option<f64>,
    /// The number of our peers that leave, complete or not, at the time of --quit-at
    #[arg(long, value_name = "N", requires = "quit_at")]
    pub quitters: Option<usize>,
    /// When they leave
    #[arg(long, value_name = "TIME", value_parser = time, requires = "quitters")]
    pub quit_at: Option<f64>,
    /// The tracker dies at this time: 60, 60s
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub tracker_dies: Option<f64>,
    /// Decides every random number
    #[arg(long)]
    pub seed: Option<u64>,
    /// Answers of one peer that are under way at once
    #[arg(long, value_name = "N")]
    pub transfers: Option<usize>,
    /// Bytes that move at once
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub piece: Option<u64>,
    /// A peer looks at its plan at most once in this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub turn: Option<f64>,
    /// Packets have headers and are acknowledged
    #[arg(long, value_enum)]
    pub headers: Option<Switch>,
    /// Print also when each link of up to 32 peers was in use, and why it was idle
    #[arg(long, conflicts_with_all = ["table", "sweep", "json"])]
    pub links: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Draw the progress of the swarm into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

impl Cli {
    /// The scenario that was asked for.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn scenario(&self) -> Result<Scenario, String> {
        let mut scenario = match &self.preset {
            None => Scenario::default(),
            Some(name) => {
                let names = || {
                    presets().into_iter().map(|preset| preset.scenario.name).collect::<Vec<_>>().join(", ")
                };
                find(name)
                    .ok_or_else(|| format!("there is no scenario {name}; there are {}", names()))?
                    .scenario
            }
        };
        self.change_links(&mut scenario);
        self.change_subnets(&mut scenario)?;
        self.change_file(&mut scenario);
        self.change_peers(&mut scenario)?;
        self.change_life(&mut scenario);
        let rates = [scenario.rates.up, scenario.rates.down, scenario.seeder.up];
        if scenario.blocks == 0 || scenario.block_size == 0 || rates.iter().any(|rate| *rate < 1e3) {
            return Err("a swarm needs blocks and links".into());
        }
        if scenario.peers() > MAX_PEERS || scenario.blocks > MAX_BLOCKS {
            return Err(format!("at most {MAX_PEERS} peers and {MAX_BLOCKS} blocks can be simulated"));
        }
        let subnets = scenario.subnets.map_or(usize::MAX, |subnets| subnets.count as usize);
        if scenario.peers() / subnets >= MAX_SUBNET_PEERS {
            return Err(format!("at most {MAX_SUBNET_PEERS} peers can be in a subnet"));
        }
        Ok(scenario)
    }

    fn change_links(&self, scenario: &mut Scenario) {
        if self.home {
            let rates = Rates { up: 10e6, down: 50e6 };
            (scenario.rates, scenario.seeder) = (rates, rates);
        }
        if let Some(up) = self.up {
            (scenario.rates.up, scenario.seeder.up) = (up * 1e6, up * 1e6);
        }
        if let Some(down) = self.down {
            (scenario.rates.down, scenario.seeder.down) = (down * 1e6, down * 1e6);
        }
        if let Some(up) = self.seeder_up {
            scenario.seeder.up = up * 1e6;
        }
        if let Some(latency) = self.latency {
            scenario.latency = nanos(latency);
        }
    }

    fn change_subnets(&self, scenario: &mut Scenario) -> Result<(), String> {
        if let Some(count) = self.subnets {
            let before = scenario.subnets.unwrap_or(Subnets {
                count,
                rate: THIN,
                firewalled: false,
                prefer_near: false,
            });
            scenario.subnets = Some(Subnets { count, ..before });
        }
        let changes = self.thin.is_some() || self.firewalled || self.prefer_near.is_some();
        let Some(subnets) = &mut scenario.subnets else {
            return if changes { Err("there are no subnets: give --subnets N".into()) } else { Ok(()) };
        };
        subnets.rate = self.thin.map_or(subnets.rate, |mbit| (mbit * 1e6).max(1e3));
        subnets.firewalled |= self.firewalled;
        subnets.prefer_near = self.prefer_near.map_or(subnets.prefer_near, |switch| switch == Switch::On);
        Ok(())
    }

    fn change_file(&self, scenario: &mut Scenario) {
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        scenario.blocks = self.blocks.unwrap_or(scenario.blocks);
        if let Some(size) = self.block_size {
            scenario.block_size = size;
            scenario.network.piece = Network::for_blocks(size).piece;
        }
        scenario.network.piece = self.piece.unwrap_or(scenario.network.piece).max(1);
        scenario.network.transfers = self.transfers.unwrap_or(scenario.network.transfers).max(1);
        scenario.network.turn = self.turn.map_or(scenario.network.turn, nanos);
        if let Some(headers) = self.headers {
            let on = headers == Switch::On;
            (scenario.network.headers, scenario.network.acknowledgements) = (on, on);
        }
        if let Some(extension) = self.extension {
            scenario.extension = extension == Switch::On;
        }
        if let Some(slices) = self.slices {
            scenario.slices = slices == Switch::On;
        }
    }

    fn change_peers(&self, scenario: &mut Scenario) -> Result<(), String> {
        let version1 = if self.v1_closes { Habit::Version1Closing } else { Habit::Version1 };
        let others = [
            (Habit::Slow, self.slow),
            (version1, self.v1),
            (Habit::Liar, self.liars),
            (Habit::Staller, self.stallers),
            (Habit::Dead, self.dead),
        ];
        if self.peers.is_none() && others.iter().all(|(_, count)| count.is_none()) {
            return Ok(());
        }
        let all = self.peers.unwrap_or_else(|| scenario.peers());
        let mut groups = Vec::new();
        for (habit, count) in others {
            let before = scenario.count(|other| other == habit);
            let count = count.unwrap_or(before);
            if count > 0 {
                groups.push((habit, count));
            }
        }
        let others: usize = groups.iter().map(|(_, count)| count).sum();
        let ours = all.checked_sub(others).ok_or(format!("{others} of {all} peers are too many"))?;
        groups.insert(0, (Habit::Ours, ours));
        scenario.groups = groups;
        Ok(())
    }

    fn change_life(&self, scenario: &mut Scenario) {
        if let Some(spread) = self.spread {
            scenario.spread = nanos(if spread > 0.0 { spread } else { scenario.unit() });
        }
        scenario.second_crowd = self.second_crowd.map(nanos).or(scenario.second_crowd);
        scenario.seeder_leaves = self.seeder_leaves.or(scenario.seeder_leaves);
        scenario.leave_after = self.leave_after.map(nanos).or(scenario.leave_after);
        scenario.quitters = self.quitters.zip(self.quit_at.map(nanos)).or(scenario.quitters);
        scenario.tracker_dies = self.tracker_dies.map(nanos).or(scenario.tracker_dies);
    }
}

/// Rate of a subnet's link that is told nothing else, in bits a second.
const THIN: f64 = 100e6;

/// Peers of one simulation.
pub const MAX_PEERS: usize = 100_000;

/// Blocks of one simulation.
pub const MAX_BLOCKS: u64 = 1 << 20;

/// The largest block, and the most bytes that move at once, in bytes.
pub const MAX_SIZE: u64 = 1 << 30;

fn size(text: &str) -> Result<u64, String> {
    let size = parse_nonzero_size(text).map_err(|error| error.to_string())?.get();
    if size <= MAX_SIZE { Ok(size) } else { Err(format!("at most {:#}", Bytes(MAX_SIZE))) }
}

fn time(text: &str) -> Result<f64, String> {
    let (number, factor) = if let Some(number) = text.strip_suffix("ms") {
        (number, 1e-3)
    } else {
        (text.strip_suffix('s').unwrap_or(text), 1.0)
    };
    let number: f64 = number.trim().parse().map_err(|error| format!("{text}: {error}"))?;
    let seconds = number * factor;
    if (0.0..1e6).contains(&seconds) { Ok(seconds) } else { Err(format!("{text}: not a time")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(line: &str) -> Result<Scenario, String> {
        let words = std::iter::once("simulate").chain(line.split_whitespace());
        Cli::try_parse_from(words).map_err(|error| error.to_string())?.scenario()
    }

    #[test]
    fn options_change_a_preset() {
        let changed =
            scenario("bad-peers --peers 20 --block-size 64KiB --latency 20ms --seed 7 --liars 0").unwrap();
        assert_eq!(changed.groups, [(Habit::Ours, 18), (Habit::Slow, 1), (Habit::Staller, 1)]);
        assert_eq!((changed.block_size, changed.network.piece), (64 << 10, 16 << 10));
        assert_eq!((changed.latency, changed.seed), (20_000_000, 7));
    }

    #[test]
    fn spread_without_a_value_is_the_unit() {
        let changed = scenario("--peers 8 --spread --tracker-dies 60").unwrap();
        assert_eq!(changed.spread, nanos(changed.unit()));
        assert_eq!(changed.tracker_dies, Some(60_000_000_000));
        assert_eq!(scenario("--spread 2.5s").unwrap().spread, 2_500_000_000);
    }

    #[test]
    fn nonsense_is_told() {
        assert!(scenario("--peers 3 --liars 4").unwrap_err().contains("too many"));
        assert!(scenario("nowhere").unwrap_err().contains("1-8"));
        assert!(scenario("--block-size 0").is_err());
    }
}
