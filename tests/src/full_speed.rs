//! How long something would have taken if no other program had used the machine.
//!
//! A bound on time shows that nobody waits in vain for a timeout, and means a machine that has time for the test. On one that
//! is busy everything takes several times as long. So a thread does a little work again and again, and looks how much
//! longer it takes than the time on a core that it needs: that share of the time counts. On a quiet machine it is all of
//! it.

use crate::clock;
use rustix::time::{ClockId, clock_gettime};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time on a core that the thread takes for a look: longer than a thread runs without giving way to others.
const WORK: Duration = Duration::from_millis(10);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(190);

/// A machine that is slower than this by a factor is too slow for tests.
const SLOWEST: u32 = 10;

/// Time at full speed, from the first look on.
struct Recorder {
    /// When somebody looked, and how much time at full speed had passed.
    looks: Mutex<Vec<(Instant, Duration)>>,
}

fn recorder() -> &'static Recorder {
    static RECORDER: OnceLock<&'static Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let first = vec![(clock::now(), Duration::ZERO)];
        let recorder: &Recorder = Box::leak(Box::new(Recorder { looks: Mutex::new(first) }));
        thread::spawn(move || {
            loop {
                recorder.add(share());
                thread::sleep(PAUSE);
            }
        });
        recorder
    })
}

impl Recorder {
    fn add(&self, share: f64) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now();
        if let Some((at, passed)) = looks.last().copied() {
            looks.push((now, passed + now.duration_since(at).mul_f64(share)));
        }
    }

    /// The time at full speed between two moments; what lies beyond the looks counts as the nearest that was seen.
    fn between(&self, from: Instant, to: Instant) -> Duration {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        passed(&looks, to).saturating_sub(passed(&looks, from))
    }
}

/// The time at full speed until `moment`.
fn passed(looks: &[(Instant, Duration)], moment: Instant) -> Duration {
    let behind = looks.partition_point(|(at, _)| *at < moment).clamp(1, looks.len().max(2) - 1);
    let (Some(before), Some(after)) = (looks.get(behind - 1), looks.get(behind)) else {
        // Nobody has looked yet.
        let first = looks.first().map_or(moment, |(at, _)| *at);
        return moment.saturating_duration_since(first);
    };
    let (took, counted) = (after.0.duration_since(before.0), after.1.saturating_sub(before.1));
    let share = if took.is_zero() { 1.0 } else { counted.as_secs_f64() / took.as_secs_f64() };
    before.1 + moment.saturating_duration_since(before.0).mul_f64(share)
}

/// The share of the time that a thread has which wants to run, from 0 to 1.
fn share() -> f64 {
    let (begin, start) = (clock::now(), time_on_a_core());
    while time_on_a_core() - start < WORK {
        std::hint::spin_loop();
    }
    (WORK.as_secs_f64() / begin.elapsed().as_secs_f64()).min(1.0)
}

fn time_on_a_core() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Begins to look how busy the machine is; otherwise the first question does.
pub fn begin() {
    recorder();
}

/// The time since `start` at full speed: at most as long as it was.
#[must_use]
pub fn since(start: Instant) -> Duration {
    let recorder = recorder();
    let now = clock::now();
    recorder.between(start, now).min(now.duration_since(start))
}

/// Whether `limit` has passed since `start` at full speed. A test that hangs ends in any case.
pub(crate) fn is_over(start: Instant, limit: Duration) -> bool {
    let took = start.elapsed();
    took >= limit && (since(start) >= limit || took >= limit * SLOWEST)
}
