//! What is noted while a swarm runs: what each leecher has received, what the seeder has sent, how busy the machine
//! is.

use super::outcome::Reading;
use super::role::Role;
use super::{Leecher, SEEDER, bound};
use crate::linkemu::network::{ETHERNET_MTU, Network};
use crate::procfs;
use std::time::{Duration, Instant};

/// Time between two readings.
const READ_EVERY: Duration = Duration::from_millis(100);

/// The most that an incomplete leecher has received, as a share of the file: requests and acknowledgements pass
/// the link too.
const NEARLY_ALL: f64 = 0.999;

/// The counters of a run, and its readings.
pub(super) struct Watch {
    started: Instant,
    /// Bytes of one copy with packet headers.
    copy: f64,
    sent_before: u64,
    /// Bytes that left the seeder until the end.
    pub(super) seeder_sent: u64,
    /// When the seeder left.
    pub(super) seeder_left: Option<Duration>,
    /// When the tracker died.
    pub(super) tracker_died: Option<Duration>,
    cpu_before: (Duration, Duration),
    /// Share of all cores that was busy, once all with the full rate are done.
    pub(super) busy: Option<f64>,
    /// CPU seconds of the seeder and of the leechers.
    pub(super) cpu: f64,
    /// The swarm over time.
    pub(super) readings: Vec<Reading>,
}

impl Watch {
    /// Counts from now on.
    pub(super) fn start(network: &Network, length: u64, started: Instant) -> Self {
        Self {
            started,
            copy: bound::on_the_wire(length, ETHERNET_MTU),
            sent_before: sent(network),
            seeder_sent: 0,
            seeder_left: None,
            tracker_died: None,
            cpu_before: procfs::machine_cpu(),
            busy: None,
            cpu: 0.0,
            readings: Vec::new(),
        }
    }

    /// Takes a reading when it is time.
    pub(super) fn look(&mut self, network: &Network, nodes: usize, leechers: &[Leecher]) {
        let fast_ones_lack = |leecher: &Leecher| leecher.lacks_blocks() && leecher.role != Role::Slow;
        if self.busy.is_none() && leechers.len() == nodes && !leechers.iter().any(fast_ones_lack) {
            self.busy = Some(self.busy_so_far());
        }
        let last = self.readings.last().map_or(f64::NEG_INFINITY, |reading| reading.at);
        if self.started.elapsed().as_secs_f64() >= last + READ_EVERY.as_secs_f64() {
            self.read(network, nodes, leechers);
        }
    }

    /// The last reading, when everybody is done.
    pub(super) fn finish(&mut self, network: &Network, nodes: usize, leechers: &[Leecher]) {
        self.read(network, nodes, leechers);
        self.seeder_sent = sent(network).saturating_sub(self.sent_before);
        if self.busy.is_none() {
            self.busy = Some(self.busy_so_far());
        }
    }

    fn read(&mut self, network: &Network, nodes: usize, leechers: &[Leecher]) {
        let counters = network.counters();
        let share = |at: usize| {
            if leechers.get(at).is_some_and(|leecher| leecher.done.is_some()) {
                return 1.0;
            }
            let received = counters.get(SEEDER + 1 + at).map_or(0, |counters| counters.down_bytes);
            (received as f64 / self.copy).min(NEARLY_ALL)
        };
        let received = (0..nodes).map(share).collect();
        let copies = self.copies(network);
        self.readings.push(Reading { at: self.started.elapsed().as_secs_f64(), received, copies });
    }

    /// Copies of the file that the seeder has sent so far.
    pub(super) fn copies(&self, network: &Network) -> f64 {
        sent(network).saturating_sub(self.sent_before) as f64 / self.copy
    }

    fn busy_so_far(&self) -> f64 {
        let (busy, all) = procfs::machine_cpu();
        let (busy, all) = (busy.saturating_sub(self.cpu_before.0), all.saturating_sub(self.cpu_before.1));
        busy.as_secs_f64() / all.as_secs_f64().max(0.01)
    }
}

fn sent(network: &Network) -> u64 {
    network.counters().get(SEEDER).map_or(0, |counters| counters.up_bytes)
}
