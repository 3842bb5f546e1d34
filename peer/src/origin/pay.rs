//! Which requests to origins may be made: a bounded number at a time, and within the limit on what this peer receives.
//!
//! Under a limit a request is for as many bytes as it lets through in [`ASK_TIME`], and they are paid for before it is
//! made: what is on its way from a server uses the link, whether it is read or not. Requests are paid for one after
//! another, so that the first one is not kept waiting by those that are made ahead.

use crate::limits::{MAX_ORIGIN_REQUESTS, MIN_PAID_LEN};
use crate::pace::Limit;
use cascade_swarm::pace::Rate;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// What a limit lets through in this time is asked for at once: of ten seconds it is a fiftieth, and the way there and
/// back is short beside it.
const ASK_TIME: Duration = Duration::from_millis(200);

/// The gate that all requests to origins pass.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    limit: Option<Limit>,
    turn: Arc<Mutex<()>>,
}

impl Gate {
    /// Nothing is asked for yet.
    pub(crate) fn new(limit: Option<Limit>) -> Self {
        Self { permits: Arc::new(Semaphore::new(MAX_ORIGIN_REQUESTS)), limit, turn: Arc::default() }
    }

    /// How many of `wanted` bytes the next request is for.
    pub(crate) fn part_of(&self, wanted: u64) -> u64 {
        self.limit.as_ref().map_or(wanted, |limit| wanted.min(ask_len(limit.rate())))
    }

    /// Waits until a request for `bytes` may be made; others are held up while what this gives is held.
    pub(crate) async fn pass(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok();
        if let Some(limit) = &self.limit {
            let _turn = self.turn.lock().await;
            let (mut allowance, mut left) = (limit.allowance(), bytes);
            while left > 0 {
                match allowance.take(left) {
                    Ok(paid) => {
                        allowance.used(paid);
                        left = left.saturating_sub(paid as u64);
                    }
                    Err(until) => tokio::time::sleep_until(until.into()).await,
                }
            }
        }
        permit
    }

    /// These bytes were paid for, and do not come.
    pub(crate) fn give_back(&self, bytes: u64) {
        if let Some(limit) = self.limit.as_ref().filter(|_| bytes > 0) {
            limit.give_back(bytes);
        }
    }
}

/// The bytes of one request under a limit.
fn ask_len(rate: Rate) -> u64 {
    rate.bytes_in(ASK_TIME).max(MIN_PAID_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_swarm::pace::Pacer;

    /// Requests of several files, each paid for in pieces before it is made: what has come after ten seconds is what the
    /// limit lets through, within 5 %.
    #[test]
    fn requests_that_are_paid_for_keep_the_limit() {
        const TEN: Duration = Duration::from_secs(10);
        for bytes in [100_000, 1 << 20, 50_000_000, 1 << 30] {
            let rate = Rate::new(bytes).unwrap();
            let (mut pacer, mut now, mut came) = (Pacer::new(rate, Duration::ZERO), Duration::ZERO, 0);
            'time: loop {
                let mut left = ask_len(rate);
                while left > 0 {
                    let promise = pacer.promise(now, left);
                    // The timer is late by a bit.
                    now = now.max(promise.at) + Duration::from_micros(50 * u64::from(promise.at > now));
                    if now > TEN {
                        break 'time;
                    }
                    pacer.used(promise.len, promise.len);
                    left = left.saturating_sub(promise.len);
                }
                came += ask_len(rate);
            }
            let part = came as f64 / (bytes * 10) as f64;
            assert!((0.95..=1.05).contains(&part), "{part} of {bytes} bytes a second");
        }
    }

    #[tokio::test]
    async fn without_a_limit_everything_is_asked_for_at_once() {
        let gate = Gate::new(None);
        assert_eq!(gate.part_of(u64::MAX), u64::MAX);
        assert!(gate.pass(u64::MAX).await.is_some());
        let gate = Gate::new(Some(Limit::new(Rate::new(1 << 20).unwrap())));
        assert_eq!((gate.part_of(u64::MAX), gate.part_of(9)), (209_715, 9));
        gate.pass(1000).await;
        gate.give_back(1000);
    }
}
