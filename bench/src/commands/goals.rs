//! What the transfers must reach, as ratios within one run of the benchmark.

use super::entry::{Entry, Kind, SMALL_BLOCK};
use crate::stats::Spread;
use crate::table::Goal;
use crate::units::{MIB, mib_per_second, show_size};

/// Memory that neither side may exceed, in MiB.
pub const MAX_PEAK_MIB: f64 = 32.0;

/// The floor of a benchmark: in every round the faster of the program's variants, then the median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloorTime {
    /// Bytes transferred.
    pub length: u64,
    /// Seconds from start to exit of the receiver.
    pub wall: f64,
    /// CPU seconds of both sides.
    pub cpu: f64,
}

/// The floor among the entries, if it ran.
#[must_use]
pub fn floor_of(entries: &[Entry]) -> Option<FloorTime> {
    let variants: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == Kind::Floor).collect();
    let rounds = variants.iter().map(|entry| entry.runs.len()).min()?;
    let best = |round: usize| {
        let of_round = variants.iter().filter_map(|entry| entry.runs.get(round));
        of_round.min_by(|a, b| a.wall.total_cmp(&b.wall))
    };
    let best: Vec<_> = (0..rounds).filter_map(best).collect();
    Some(FloorTime {
        length: variants.first()?.length,
        wall: Spread::of(best.iter().map(|run| run.wall))?.median,
        cpu: Spread::of(best.iter().map(|run| run.sender.cpu + run.receiver.cpu))?.median,
    })
}

/// The goals that these entries allow to check.
#[must_use]
pub fn of_transfers(entries: &[Entry]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let main = entries.iter().find(|entry| entry.kind == Kind::Cascade && entry.block == MIB);
    if let Some((main, wall)) = main.and_then(|main| Some((main, main.wall()?))) {
        beside_others(&mut goals, entries, main, wall);
        beside_itself(&mut goals, entries, wall);
    }
    for entry in entries.iter().filter(|entry| entry.kind == Kind::Cascade && !entry.runs.is_empty()) {
        if let (SMALL_BLOCK, Some(wall)) = (entry.block, entry.wall()) {
            let rate = mib_per_second(entry.length, wall);
            goals.push(Goal::at_least(format!("{}: rate", entry.name), rate, 150.0).in_unit("MiB/s"));
        }
        let peak = entry.peak() as f64 / MIB as f64;
        goals.push(Goal::at_most(format!("{}: peak memory", entry.name), peak, MAX_PEAK_MIB).in_unit("MiB"));
    }
    goals
}

fn beside_others(goals: &mut Vec<Goal>, entries: &[Entry], main: &Entry, wall: f64) {
    if let Some(floor) = floor_of(entries) {
        goals.push(Goal::at_most("1 MiB blocks: wall ÷ floor", wall / floor.wall, 1.25));
        let cpu =
            main.spread(|run| run.sender.cpu + run.receiver.cpu).map_or(f64::NAN, |spread| spread.median);
        goals.push(Goal::at_most("1 MiB blocks: CPU of both sides ÷ floor", cpu / floor.cpu, 1.3));
    }
    for (kind, limit) in [(Kind::Curl, 1.0), (Kind::Aria2, 0.35), (Kind::Rqbit, 0.25)] {
        let other = entries.iter().find(|entry| entry.kind == kind).and_then(|o| Some((o, o.wall()?)));
        if let Some((other, other_wall)) = other {
            goals.push(Goal::at_most(
                format!("1 MiB blocks: wall ÷ {}", other.name),
                wall / other_wall,
                limit,
            ));
        }
    }
}

/// Other block sizes of the same file beside 1 MiB.
fn beside_itself(goals: &mut Vec<Goal>, entries: &[Entry], wall: f64) {
    for entry in entries.iter().filter(|entry| entry.kind == Kind::Cascade && entry.block != SMALL_BLOCK) {
        let limit = match entry.block {
            MIB => continue,
            small if small < 64 * 1024 => 1.5,
            _ => 1.1,
        };
        let Some(own) = entry.wall() else { continue };
        let what = format!("{} blocks: wall ÷ 1 MiB blocks", show_size(entry.block));
        goals.push(Goal::at_most(what, own / wall, limit));
    }
}
