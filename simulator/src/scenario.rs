//! Who takes part in a swarm, over which links, and what happens to it.

use crate::units::{Nanos, SECOND, nanos};
use cascade_swarm::{ask, give};

/// What a peer is and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    /// Ours, with the whole file from the start.
    Seeder,
    /// Ours.
    Ours,
    /// Ours, with a tenth of the rates.
    Slow,
    /// A program of the field, version 1: random order, up to four connections with one request at a
    /// time on each. Keeps connections open.
    Version1,
    /// The same; as a server it closes after each answer.
    Version1Closing,
    /// Answers every request with a block of wrong bytes. Downloads nothing.
    Liar,
    /// Answers every request with half a block, then says nothing more. Downloads nothing.
    Staller,
    /// Registered at the tracker, but nobody is there.
    Dead,
}

impl Habit {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seeder => "seeder",
            Self::Ours => "ours",
            Self::Slow => "slow",
            Self::Version1 => "version 1",
            Self::Version1Closing => "v1, closing",
            Self::Liar => "liar",
            Self::Staller => "staller",
            Self::Dead => "dead",
        }
    }

    /// Whether it runs our plan.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Slow)
    }

    /// Whether it is a program of the field that downloads.
    #[must_use]
    pub const fn is_version1(self) -> bool {
        matches!(self, Self::Version1 | Self::Version1Closing)
    }

    /// Whether it wants the file.
    #[must_use]
    pub const fn downloads(self) -> bool {
        self.is_ours() || self.is_version1()
    }
}

/// The rates of an access link, in bits a second, packet headers included.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Rates {
    /// To the network.
    pub up: f64,
    /// From the network.
    pub down: f64,
}

/// How the network is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Network {
    /// Bytes of the pieces in which data moves.
    pub piece: u64,
    /// Answers of one peer that are under way at once and share its uplink.
    pub transfers: usize,
    /// Whether packets have headers.
    pub headers: bool,
    /// Whether acknowledgements take room on the way back.
    pub acknowledgements: bool,
    /// A peer looks at its plan at most once in this time.
    pub turn: Nanos,
}

/// Subnets with a link each to the middle of the network. Peers come to them in turns; the seeder is in the first.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Subnets {
    /// Their number.
    pub count: u32,
    /// The rate of each one's link, in bits a second both ways, packet headers included.
    pub rate: f64,
    /// Whether connections between them fail, but those to the seeder.
    pub firewalled: bool,
    /// Whether the tracker prefers peers of the asker's subnet.
    pub prefer_near: bool,
}

/// The most subnets.
pub const MAX_SUBNETS: u32 = 64;

/// The most peers of a subnet.
pub const MAX_SUBNET_PEERS: usize = 1 << 16;

/// A swarm.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Decides every random number.
    pub seed: u64,
    /// Blocks of the file.
    pub blocks: u64,
    /// Bytes of a block.
    pub block_size: u64,
    /// The downloaders, and the peers that only pretend to be, in groups.
    pub groups: Vec<(Habit, usize)>,
    /// Their links; those of slow ones have a tenth.
    pub rates: Rates,
    /// The seeder's link.
    pub seeder: Rates,
    /// One way between any two peers.
    pub latency: Nanos,
    /// The subnets that the peers are in; `None`: the middle of the network is never full.
    pub subnets: Option<Subnets>,
    /// Whether our peers use the extension.
    pub extension: bool,
    /// Whether our peers request slices of large blocks.
    pub slices: bool,
    /// The peers start within this time, at random.
    pub spread: Nanos,
    /// Every other peer starts this time later: a second crowd.
    pub second_crowd: Option<Nanos>,
    /// The copies of the file after which the seeder leaves.
    pub seeder_leaves: Option<f64>,
    /// The time that downloaders stay after they are complete.
    pub leave_after: Option<Nanos>,
    /// The number of our ordinary peers that leave at this time, complete or not.
    pub quitters: Option<(usize, Nanos)>,
    /// The tracker dies at this time.
    pub tracker_dies: Option<Nanos>,
    /// How the network is modelled.
    pub network: Network,
    /// The tuned constants of the asking side.
    #[serde(skip)]
    pub ask: &'static ask::Tuning,
    /// The tuned constants of the giving side.
    #[serde(skip)]
    pub give: give::Tuning,
}

/// Peers that start together do so within this time: nothing is quite simultaneous.
pub const TOGETHER: Nanos = SECOND / 20;

impl Default for Scenario {
    fn default() -> Self {
        let rates = Rates { up: 50e6, down: 50e6 };
        Self {
            name: "swarm".into(),
            seed: 1,
            blocks: 512,
            block_size: 256 << 10,
            groups: vec![(Habit::Ours, 8)],
            rates,
            seeder: rates,
            latency: nanos(0.005),
            subnets: None,
            extension: true,
            slices: true,
            spread: TOGETHER,
            second_crowd: None,
            seeder_leaves: None,
            leave_after: None,
            quitters: None,
            tracker_dies: None,
            network: Network::for_blocks(256 << 10),
            ask: &ask::Tuning::DEFAULT,
            give: give::Tuning::DEFAULT,
        }
    }
}

impl Network {
    /// The network for blocks of this size, in bytes.
    #[must_use]
    pub fn for_blocks(block_size: u64) -> Self {
        Self {
            piece: (block_size / 8).max(16 << 10),
            transfers: 16,
            headers: true,
            acknowledgements: true,
            turn: SECOND / 1000,
        }
    }
}

impl Scenario {
    /// Length of the file, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.blocks.saturating_mul(self.block_size)
    }

    /// Peers besides the seeder.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.groups.iter().map(|(_, count)| count).sum()
    }

    /// How many peers have a habit for which `which` holds.
    #[must_use]
    pub fn count(&self, which: impl Fn(Habit) -> bool) -> usize {
        self.groups.iter().filter(|(habit, _)| which(*habit)).map(|(_, count)| count).sum()
    }

    /// The habit of each peer, the seeder first.
    #[must_use]
    pub fn habits(&self) -> Vec<Habit> {
        let groups = self.groups.iter().flat_map(|(habit, count)| std::iter::repeat_n(*habit, *count));
        std::iter::once(Habit::Seeder).chain(groups).collect()
    }

    /// How long after the first peers the peer of this number starts at the earliest; the seeder has number 0.
    #[must_use]
    pub fn comes_after(&self, number: u32) -> Nanos {
        self.second_crowd.filter(|_| number > 0 && number.is_multiple_of(2)).unwrap_or(0)
    }

    /// The link of a peer with this habit.
    #[must_use]
    pub fn rates_of(&self, habit: Habit) -> Rates {
        let tenth = Rates { up: self.rates.up / 10.0, down: self.rates.down / 10.0 };
        if habit == Habit::Seeder {
            self.seeder
        } else if habit == Habit::Slow {
            tenth
        } else {
            self.rates
        }
    }

    /// What the file takes over a downloader's downlink, headers not counted: F/u, in seconds.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.length() as f64 * 8.0 / self.rates.down
    }
}
