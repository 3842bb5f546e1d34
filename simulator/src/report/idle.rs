//! When each link was idle, as text.

use crate::Outcome;
use crate::idle::Cell;
use std::fmt::Write;

/// A row for each second: of each peer the blocks that it has, and how much of its uplink and downlink was in use, in
/// percent. Then the idle time of all links by reason.
#[must_use]
pub fn links(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_links(&mut text, outcome);
    text
}

fn write_links(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let peers = outcome.idle.rows.iter().map(Vec::len).max().unwrap_or(0);
    write!(out, "\nsecond")?;
    (0..peers).try_for_each(|peer| match peer {
        0 => write!(out, "{:>14}", "seeder"),
        _ => write!(out, "{:>14}", format!("peer {peer}")),
    })?;
    writeln!(out, "\n      {}", "  blk  up down".repeat(peers))?;
    for (second, row) in outcome.idle.rows.iter().enumerate() {
        write!(out, "{second:>6}")?;
        for cell in row {
            let Cell { up, down, blocks } = cell;
            write!(out, "{blocks:>5}{:>4.0}{:>5.0}", up * 100.0, down * 100.0)?;
        }
        out.push('\n');
    }
    writeln!(out, "\nidle time of all links, in seconds")?;
    let sums = outcome.idle.sums.iter();
    sums.into_iter().try_for_each(|(reason, sum)| writeln!(out, "{:<26}{sum:>8.2}", reason.name()))
}
