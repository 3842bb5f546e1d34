//! The line that ends a download.

use crate::human::{Bytes, Count, Name, Span, Speed};
use crate::session::{Progress, Summary};
use crate::store::distinct;
use cascade_swarm::ask::{PeerShare, WrongBlock};
use std::time::Duration;

/// Mean speed of what was downloaded.
pub(super) fn speed(summary: &Summary) -> Speed {
    let here = summary.resumed_bytes.saturating_add(taken_bytes(summary));
    Speed { bytes: summary.bytes.saturating_sub(here), time: summary.time }
}

/// Bytes that were taken from an earlier version.
pub(super) fn taken_bytes(summary: &Summary) -> u64 {
    summary.taken.as_ref().map_or(0, |taken| taken.bytes)
}

/// A speed that was measured in bytes a second.
pub(super) fn per_second(bytes: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
    let bytes = bytes.max(0.0) as u64;
    Speed { bytes, time: Duration::from_secs(1) }.to_string()
}

/// Those that gave right blocks.
pub(super) fn givers(summary: &Summary) -> impl Iterator<Item = &PeerShare> {
    summary.shares.iter().filter(|share| share.bytes > 0)
}

/// How many they are: one that was reached at addresses of both families is one.
pub(super) fn givers_count(summary: &Summary) -> usize {
    distinct(givers(summary).map(|share| (share.addr.ip(), share.addr.port())))
}

/// Those that sent wrong ones.
pub(super) fn liars(summary: &Summary) -> impl Iterator<Item = &PeerShare> {
    summary.shares.iter().filter(|share| share.wrong_blocks > 0)
}

/// What is told of a wrong block when it comes.
pub(super) fn wrong_block(wrong: &WrongBlock) -> String {
    let WrongBlock { addr, block, times, again } = wrong;
    let times = if *times > 1 { format!(", {times} times so far") } else { String::new() };
    let then = match again {
        Some(pause) => format!("nobody else has it, so that peer is asked again in {}", Span(*pause)),
        None => "others are asked for it".into(),
    };
    format!("block {block} came wrong from {addr}{times}; {then}")
}

/// What is told while a `.cascade` file is fetched.
pub(super) fn fetching(done: u64, total: Option<u64>, known: usize) -> String {
    match total {
        Some(total) => format!("{done} of {total} bytes of the .cascade file are there"),
        None => format!("waiting for the .cascade file, {} known", Count(known as u64, "peer")),
    }
}

/// What takes the place of the speed when no data comes: since when, and what happens next. `None`: it comes.
pub(super) fn silence(progress: &Progress) -> Option<String> {
    if !progress.is_silent() {
        return None;
    }
    let next =
        if progress.peers == 0 { "no peer can be reached, trying again" } else { "waiting for the peers" };
    Some(format!("no data for {}: {next}", Span(progress.silent_for)))
}

/// Peers named in the summary as those that sent wrong blocks; the JSON names all.
const MAX_LIARS: usize = 5;

fn wrong(summary: &Summary) -> String {
    let liars: Vec<String> = liars(summary)
        .take(MAX_LIARS)
        .map(|share| format!("{} from {}", share.wrong_blocks, share.addr))
        .collect();
    let more = if self::liars(summary).count() > MAX_LIARS { ", …" } else { "" };
    if liars.is_empty() { String::new() } else { format!(" ({}{more})", liars.join(", ")) }
}

/// The whole line.
pub(super) fn text(summary: &Summary) -> String {
    let path = Name(&summary.path);
    let bytes = Bytes(summary.bytes);
    if summary.resumed_bytes == summary.bytes {
        return format!("{path}: complete and verified already, {bytes}");
    }
    let resumed = if summary.resumed_bytes > 0 {
        format!(", {} were there before", Bytes(summary.resumed_bytes))
    } else {
        String::new()
    };
    let taken = summary.taken.as_ref().map_or_else(String::new, |taken| {
        format!(", {} taken from {}", Bytes(taken.bytes), Name(&taken.from))
    });
    let twice = if summary.bytes_duplicate > 0 {
        format!(", {} came twice", Bytes(summary.bytes_duplicate))
    } else {
        String::new()
    };
    let wrong = wrong(summary);
    format!(
        "{path}: {bytes} complete and verified in {}, {}, from {}, {}{wrong}{twice}{resumed}{taken}, downlink busy {:.0} %",
        Span(summary.time),
        speed(summary),
        Count(givers_count(summary) as u64, "peer"),
        Count(summary.blocks_wrong, "wrong block"),
        summary.busy * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn a_download_that_gets_nothing_says_so_and_what_happens_next() {
        let of = |seconds, peers| {
            let silent_for = Duration::from_secs(seconds);
            silence(&Progress { bytes_done: 5, bytes_total: 10, peers, silent_for, ..Progress::default() })
        };
        assert_eq!(of(9, 2), None);
        assert_eq!(of(40, 2).as_deref(), Some("no data for 40.0 s: waiting for the peers"));
        let alone = "no data for 1 min 05 s: no peer can be reached, trying again";
        assert_eq!(of(65, 0).as_deref(), Some(alone));
        let complete = Progress { silent_for: Duration::from_secs(40), ..Progress::default() };
        assert_eq!(silence(&complete), None, "nothing is waited for");
    }

    #[test]
    fn a_peer_that_gave_at_addresses_of_both_families_is_one() {
        let share = |addr: &str, bytes| PeerShare {
            addr: addr.parse::<SocketAddr>().unwrap().into(),
            bytes,
            wrong_blocks: 0,
        };
        let shares = vec![share("10.0.0.1:8889", 5), share("[fd00::1]:8889", 5), share("10.0.0.2:8889", 0)];
        let summary = Summary { shares, bytes: 10, ..Summary::default() };
        assert_eq!(givers_count(&summary), 1);
        assert!(text(&summary).contains("from 1 peer,"), "{}", text(&summary));
    }
}
