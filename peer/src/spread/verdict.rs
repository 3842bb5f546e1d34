//! How good a spread was, and what held it back: only what was seen is told, and what is not known is none.

use super::history::{History, Moment, Receiver, count, rate};
use std::net::IpAddr;
use std::time::Duration;

/// A time up to this many times the bound needs no excuse: packet headers alone take 1.055 times, and eight leechers
/// reach 1.10 over emulated links.
const CLOSE: f64 = 1.15;

/// A time below this many times the bound shows that the bound is wrong. (The bound is measured to a few per cent.)
const AT_LEAST: f64 = 0.9;

/// The uplink counts as busy while it sends at this part of its best rate.
const BUSY_FROM: f64 = 0.75;

/// It held the spread back if it was busy for this part of the time.
const BUSY_PART: f64 = 0.6;

/// Receivers held it back by their coming if, for this part of the time, none was there that lacked something.
const ALONE_PART: f64 = 0.25;

/// The last receiver held it back by coming if it came in this last part of the time.
const LATE_PART: f64 = 0.5;

/// A receiver was slow if it took this many times as long as the receiver in the middle.
const SLOW: f64 = 1.5;

/// How a file has spread.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// Receivers that were given something by this machine.
    pub(crate) receivers: usize,
    /// Those, and others that have asked this machine for news.
    pub(crate) known: usize,
    /// Those that have told that they have everything.
    pub(crate) complete: usize,
    /// Those that do not tell how far they are.
    pub(crate) unknown: usize,
    /// Bytes that this machine has given.
    pub(crate) sent: u64,
    /// The same in lengths of the file.
    pub(crate) copies: f64,
    /// From the coming of the first receiver until the last of those that are complete was so.
    pub(crate) last: Option<Duration>,
    /// How far that is from the optimum.
    pub(crate) optimum: Result<Optimum, Unknown>,
    /// What held it back; `None`: it is not known.
    pub(crate) held: Option<Held>,
}

/// The distance to the optimum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Optimum {
    /// The best rate at which this machine has sent, in bytes a second.
    pub(crate) rate: f64,
    /// The time in which one copy leaves this machine at that rate: nobody can have the whole sooner.
    pub(crate) bound: Duration,
    /// The time of the last receiver as a multiple of it.
    pub(crate) ratio: f64,
}

/// Why the distance to the optimum is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// None has told that it has everything.
    NoneComplete,
    /// Less than one copy left this machine: others had the file, too, and how fast they are is not known.
    OthersGave,
    /// Too little was sent to measure a rate.
    TooShort,
}

/// What held a spread back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Held {
    /// Nothing to speak of.
    Nothing,
    /// The uplink of this machine, which was busy for this part of the time.
    Uplink(f64),
    /// For this long none was there that lacked anything.
    Alone(Duration),
    /// The last receiver came this long after the first.
    Late(Duration),
    /// This receiver took so long, and the one in the middle so long.
    Slow {
        /// Its address.
        ip: IpAddr,
        /// The port that it tells.
        port: Option<u16>,
        /// How long it took from its coming on.
        took: Duration,
        /// How long the receiver in the middle took.
        middle: Duration,
    },
}

impl Verdict {
    /// What is to be said of a spread.
    pub(crate) fn of(history: &History) -> Self {
        let receivers = &history.receivers;
        let begin = history.begin().unwrap_or_default();
        let last = receivers.iter().filter_map(|receiver| receiver.done).max();
        let last = last.map(|last| last.saturating_sub(begin));
        #[allow(clippy::cast_precision_loss, reason = "a shown number")]
        let copies = if history.length > 0 { history.sent as f64 / history.length as f64 } else { 0.0 };
        let optimum = last.ok_or(Unknown::NoneComplete).and_then(|last| optimum(history, last));
        Self {
            receivers: history.given,
            known: count(receivers.iter()) + history.more,
            complete: count(receivers.iter().filter(|receiver| receiver.done.is_some())),
            unknown: count(receivers.iter().filter(|receiver| !receiver.tells)),
            sent: history.sent,
            copies,
            last,
            optimum,
            held: optimum.ok().and_then(|optimum| held(history, begin, optimum, last.unwrap_or_default())),
        }
    }
}

fn optimum(history: &History, last: Duration) -> Result<Optimum, Unknown> {
    if history.sent < history.length {
        return Err(Unknown::OthersGave);
    }
    let rate = history.best_rate.filter(|rate| *rate > 0.0).ok_or(Unknown::TooShort)?;
    #[allow(clippy::cast_precision_loss, reason = "a shown number")]
    let bound = Duration::try_from_secs_f64(history.length as f64 / rate).map_err(|_| Unknown::TooShort)?;
    let ratio = last.as_secs_f64() / bound.as_secs_f64().max(f64::MIN_POSITIVE);
    // Nobody is faster than the bound: the rate was that of a spread much shorter than the time over which it is measured.
    if ratio < AT_LEAST { Err(Unknown::TooShort) } else { Ok(Optimum { rate, bound, ratio }) }
}

fn held(history: &History, begin: Duration, optimum: Optimum, last: Duration) -> Option<Held> {
    if optimum.ratio <= CLOSE {
        return Some(Held::Nothing);
    }
    // All of it counts until the last one was complete; what came later is over.
    let span = last.as_secs_f64().max(f64::MIN_POSITIVE);
    let after = history.last_look.saturating_sub(begin + last);
    let alone = history.alone.saturating_sub(after);
    if alone.as_secs_f64() >= ALONE_PART * span {
        return Some(Held::Alone(alone));
    }
    let done: Vec<(&Receiver, Duration)> =
        history.receivers.iter().filter_map(|receiver| Some((receiver, receiver.done?))).collect();
    let (latest, _) = done.iter().max_by_key(|(_, done)| *done)?;
    let late = latest.came.saturating_sub(begin);
    if late.as_secs_f64() >= LATE_PART * span {
        return Some(Held::Late(late));
    }
    let mut times: Vec<Duration> =
        done.iter().map(|(receiver, done)| done.saturating_sub(receiver.came)).collect();
    times.sort_unstable();
    let middle = *times.get((times.len() - 1) / 2)?;
    let took = latest.done?.saturating_sub(latest.came);
    let busy = busy(&history.moments, optimum.rate, begin + last);
    if times.len() > 1 && took.as_secs_f64() >= SLOW * middle.as_secs_f64() {
        let Receiver { ip, port, .. } = **latest;
        return Some(Held::Slow { ip, port, took, middle });
    }
    (busy >= BUSY_PART).then_some(Held::Uplink(busy))
}

/// The part of the time until `end` in which the uplink was busy.
fn busy(moments: &[Moment], best: f64, end: Duration) -> f64 {
    let (mut busy, mut all) = (Duration::ZERO, Duration::ZERO);
    for pair in moments.windows(2) {
        let [one, other] = pair else { continue };
        if other.at > end {
            break;
        }
        let time = other.at.saturating_sub(one.at);
        all += time;
        if rate(other.sent_of_all.saturating_sub(one.sent_of_all), time) >= BUSY_FROM * best {
            busy += time;
        }
    }
    busy.as_secs_f64() / all.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, at};
    use super::*;

    fn optimum(verdict: &Verdict) -> (f64, f64) {
        let optimum = verdict.optimum.unwrap();
        ((optimum.bound.as_secs_f64() * 10.0).round() / 10.0, (optimum.ratio * 100.0).round() / 100.0)
    }

    #[test]
    fn without_receivers_nothing_is_known() {
        let mut scene = Scene::new(1000);
        scene.pass(10.0, 0.0, &[]);
        let verdict = scene.verdict();
        assert_eq!(
            (verdict.known, verdict.last, verdict.optimum, verdict.held),
            (0, None, Err(Unknown::NoneComplete), None)
        );
    }

    #[test]
    fn one_copy_at_the_best_rate_is_the_optimum() {
        let mut scene = Scene::new(1000);
        scene.pass(3.0, 0.0, &[]);
        for _ in 0..2 {
            scene.comes();
        }
        scene.pass(10.0, 100.0, &[0.1, 0.1]);
        scene.completes(0);
        scene.completes(1);
        let verdict = scene.verdict();
        assert_eq!((verdict.known, verdict.complete, verdict.unknown), (2, 2, 0));
        assert_eq!((verdict.copies, verdict.last), (1.0, Some(at(10.0))));
        assert_eq!((optimum(&verdict), verdict.held), ((10.0, 1.0), Some(Held::Nothing)));
    }

    #[test]
    fn an_uplink_that_is_busy_all_the_time_is_what_holds_back() {
        let mut scene = Scene::new(1000);
        scene.comes();
        scene.comes();
        scene.pass(20.0, 100.0, &[0.05, 0.05]);
        scene.completes(0);
        scene.completes(1);
        let verdict = scene.verdict();
        assert_eq!(optimum(&verdict), (10.0, 2.0));
        let Some(Held::Uplink(busy)) = verdict.held else { panic!("{verdict:?}") };
        assert!(busy > 0.9, "{busy}");
    }

    #[test]
    fn a_receiver_that_takes_longer_than_the_others_is_named() {
        let mut scene = Scene::new(1000);
        (0..3).for_each(|_| scene.comes());
        scene.pass(10.0, 100.0, &[0.1, 0.1, 0.02]);
        scene.completes(0);
        scene.completes(1);
        scene.pass(40.0, 5.0, &[0.0, 0.0, 0.02]);
        scene.completes(2);
        let verdict = scene.verdict();
        assert_eq!(optimum(&verdict), (10.0, 5.0));
        let Some(Held::Slow { port, took, middle, .. }) = verdict.held else { panic!("{verdict:?}") };
        assert_eq!((port, took, middle), (Some(3), at(50.0), at(10.0)));
    }

    #[test]
    fn waiting_for_receivers_is_told_from_being_slow() {
        let mut scene = Scene::new(1000);
        scene.comes();
        scene.pass(10.0, 100.0, &[0.1]);
        scene.completes(0);
        scene.pass(30.0, 0.0, &[]);
        scene.comes();
        scene.pass(10.0, 100.0, &[0.0, 0.1]);
        scene.completes(1);
        // What comes after the last one was complete does not count.
        scene.pass(100.0, 0.0, &[]);
        let verdict = scene.verdict();
        assert_eq!((optimum(&verdict), verdict.last), ((10.0, 5.0), Some(at(50.0))));
        let Some(Held::Alone(alone)) = verdict.held else { panic!("{verdict:?}") };
        assert!((at(29.0)..=at(31.0)).contains(&alone), "{alone:?}");
    }

    #[test]
    fn who_comes_late_is_no_slow_receiver() {
        let mut scene = Scene::new(1000);
        scene.comes();
        scene.pass(14.0, 70.0, &[0.05]);
        scene.comes();
        scene.pass(6.0, 100.0, &[0.05, 0.16]);
        scene.completes(0);
        scene.pass(4.0, 10.0, &[0.0, 0.01]);
        scene.completes(1);
        let verdict = scene.verdict();
        assert_eq!(verdict.held, Some(Held::Late(at(14.0))), "{verdict:?}");
    }

    #[test]
    fn where_others_gave_the_file_too_the_optimum_is_not_known() {
        let mut scene = Scene::new(1000);
        scene.comes();
        scene.pass(8.0, 100.0, &[0.12]);
        scene.completes(0);
        let verdict = scene.verdict();
        assert_eq!((verdict.complete, verdict.optimum, verdict.held), (1, Err(Unknown::OthersGave), None));
    }

    #[test]
    fn who_does_not_tell_is_counted_and_of_a_moment_no_rate_is_measured() {
        let mut scene = Scene::new(1000);
        scene.comes();
        scene.comes_silently();
        scene.pass(1.0, 2000.0, &[1.0, 0.0]);
        scene.completes(0);
        let verdict = scene.verdict();
        assert_eq!((verdict.known, verdict.complete, verdict.unknown), (2, 1, 1));
        assert_eq!((verdict.last, verdict.optimum), (Some(at(1.0)), Err(Unknown::TooShort)));
    }

    /// The rate is measured over two seconds, of which the file took a part.
    #[test]
    fn nobody_is_said_to_be_faster_than_the_bound() {
        let mut scene = Scene::new(1000);
        scene.comes();
        scene.pass(0.5, 2000.0, &[1.0]);
        scene.completes(0);
        scene.pass(5.0, 0.0, &[]);
        let verdict = scene.verdict();
        assert_eq!((verdict.complete, verdict.optimum, verdict.held), (1, Err(Unknown::TooShort), None));
    }
}
