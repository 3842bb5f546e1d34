//! What is observed while a swarm runs: how busy the links are, and how much each peer has.

use crate::idle::IdleTimes;
use crate::units::{Nanos, seconds};

/// Most readings that are kept; beyond, every other one is merged into the next and they are taken half as often.
const MAX_READINGS: usize = 256;

/// Rows of the picture: each is a peer, or a group of them.
pub const MAX_ROWS: usize = 160;

/// What the gauges showed over one span of time. Shares are between 0 and 1.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Reading {
    /// The end of the span, in seconds since the first peer might start.
    pub at: f64,
    /// Share of all uplinks' capacity that was used (seeder and downloaders that are there).
    pub uplinks: f64,
    /// The same of the seeder alone.
    pub seeder: f64,
    /// Share of the capacity of the downloaders' downlinks that was used.
    pub downlinks: f64,
    /// At the end of the span: share of uplinks that nobody asks for anything.
    pub unasked: f64,
    /// Share of downloaders that have asked for nothing.
    pub asking_nothing: f64,
    /// Requests for blocks that wait at the seeder.
    pub seeder_queue: f64,
    /// Requests for blocks that wait at a peer that serves: the mean.
    pub queue: f64,
    /// The same: the most.
    pub longest_queue: f64,
    /// Number of downloaders.
    pub downloading: usize,
    /// Share of the file that each row has, 255 for all of it.
    #[serde(skip)]
    pub rows: Vec<u8>,
}

/// All readings.
#[derive(Debug)]
pub struct Gauges {
    pub(crate) interval: Nanos,
    pub(crate) last: Nanos,
    /// Busy time of each peer's uplink and downlink at the last reading.
    pub(crate) busy: Vec<(Nanos, Nanos)>,
    pub(crate) readings: Vec<Reading>,
    /// Of a small swarm.
    pub(crate) idle: Option<IdleTimes>,
}

impl Gauges {
    /// Gauges to be read at this interval.
    #[must_use]
    pub fn new(interval: Nanos, peers: usize) -> Self {
        let idle = (peers <= crate::idle::MAX_PEERS).then(IdleTimes::new);
        Self { interval, last: 0, busy: vec![(0, 0); peers], readings: Vec::new(), idle }
    }

    pub(crate) fn push(&mut self, reading: Reading) {
        self.readings.push(reading);
        if self.readings.len() < MAX_READINGS {
            return;
        }
        self.interval = self.interval.saturating_mul(2);
        let old = std::mem::take(&mut self.readings);
        self.readings = old.chunks(2).filter_map(merge).collect();
    }
}

fn merge(pair: &[Reading]) -> Option<Reading> {
    let last = pair.last()?.clone();
    let mean = |of: fn(&Reading) -> f64| pair.iter().map(of).sum::<f64>() / pair.len() as f64;
    Some(Reading {
        uplinks: mean(|reading| reading.uplinks),
        seeder: mean(|reading| reading.seeder),
        downlinks: mean(|reading| reading.downlinks),
        unasked: mean(|reading| reading.unasked),
        asking_nothing: mean(|reading| reading.asking_nothing),
        seeder_queue: mean(|reading| reading.seeder_queue),
        queue: mean(|reading| reading.queue),
        longest_queue: mean(|reading| reading.longest_queue),
        ..last
    })
}

/// A part of a swarm's life, until the last but slow ones is complete, and what was lost in it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Phase {
    /// Its start, in seconds.
    pub from: f64,
    /// Its end, in seconds.
    pub to: f64,
    /// As in [`Reading`], over the phase.
    pub uplinks: f64,
    /// As in [`Reading`], over the phase.
    pub seeder: f64,
    /// As in [`Reading`], over the phase.
    pub downlinks: f64,
    /// As in [`Reading`], mean.
    pub unasked: f64,
    /// As in [`Reading`], mean.
    pub asking_nothing: f64,
    /// As in [`Reading`], mean.
    pub seeder_queue: f64,
    /// As in [`Reading`], mean.
    pub queue: f64,
    /// As in [`Reading`], mean.
    pub longest_queue: f64,
    /// Time of all uplinks together in which they were idle, in seconds.
    pub lost_up: f64,
    /// The same of the downloaders' downlinks.
    pub lost_down: f64,
    /// The same of the seeder's uplink.
    pub lost_seeder: f64,
}

/// Where phases end, as shares of the whole.
const BORDERS: [f64; 5] = [0.05, 0.25, 0.75, 0.95, 1.0];

/// The phases of a swarm that ended at `end`.
#[must_use]
pub fn phases(readings: &[Reading], end: Nanos) -> Vec<Phase> {
    let end = seconds(end);
    let mut from = 0.0;
    let mut phases = Vec::new();
    for border in BORDERS {
        let to = end * border;
        phases.push(phase(readings, from, to));
        from = to;
    }
    phases
}

/// Each reading counts with the part of its span that lies in the phase.
fn phase(readings: &[Reading], from: f64, to: f64) -> Phase {
    let mut sums = [0.0; 8];
    let (mut total, mut before) = (0.0, 0.0);
    for reading in readings {
        let weight = (reading.at.min(to) - f64::max(before, from)).max(0.0);
        before = reading.at;
        total += weight;
        let used = [reading.uplinks, reading.seeder, reading.downlinks];
        let asked = [reading.unasked, reading.asking_nothing];
        let queues = [reading.seeder_queue, reading.queue, reading.longest_queue];
        let values = used.into_iter().chain(asked).chain(queues);
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * weight);
    }
    let [uplinks, seeder, downlinks, unasked, asking_nothing, seeder_queue, queue, longest_queue] =
        sums.map(|sum| if total > 0.0 { sum / total } else { 0.0 });
    let lost = |used: f64| (1.0 - used) * (to - from);
    let (lost_up, lost_down, lost_seeder) = (lost(uplinks), lost(downlinks), lost(seeder));
    Phase {
        from,
        to,
        uplinks,
        seeder,
        downlinks,
        unasked,
        asking_nothing,
        seeder_queue,
        queue,
        longest_queue,
        lost_up,
        lost_down,
        lost_seeder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: f64, uplinks: f64) -> Reading {
        Reading {
            at,
            uplinks,
            seeder: 1.0,
            downlinks: 0.5,
            unasked: 0.0,
            asking_nothing: 0.0,
            seeder_queue: 0.0,
            queue: 0.0,
            longest_queue: 0.0,
            downloading: 1,
            rows: vec![255],
        }
    }

    #[test]
    fn a_phase_is_a_weighted_mean() {
        let readings = [reading(4.0, 0.0), reading(6.0, 1.0)];
        let phase = phase(&readings, 2.0, 6.0);
        assert!((phase.uplinks - 0.5).abs() < 1e-9 && (phase.lost_up - 2.0).abs() < 1e-9, "{phase:?}");
    }

    #[test]
    fn readings_are_bounded() {
        let mut gauges = Gauges::new(1, 1);
        (0..10_000u32).for_each(|at| gauges.push(reading(f64::from(at), 0.5)));
        assert!(gauges.readings.len() <= MAX_READINGS);
        assert!(gauges.interval > 16 && (gauges.readings[0].uplinks - 0.5).abs() < 1e-9);
    }
}
