//! Which clients read what was sent to them, and which hosts compete for the uplink.

use super::{FlowId, RECENT, Stage, Uplink};
use cascade_swarm::Time;
use cascade_swarm::pace::Rate;
use std::net::IpAddr;
use std::time::Duration;

/// How often the server looks which clients read.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Who takes less, in bytes a second, does not wait for the uplink, but for itself …
const MIN_TAKEN: f64 = 4096.0;

/// … and so does a client that takes less than one part in this number of what a client takes on average.
const SLOW_PART: f64 = 16.0;

/// The uplink is full while clients take this part of the highest rate that they have taken …
pub(super) const FULL_PART: f64 = 0.8;

/// … which shrinks by this part from one look to the next, by half in 17 s: the link may have become slower.
const FORGOTTEN_PART: f64 = 0.02;

/// The rate is smoothed over this number of looks: one client on the same machine may take more in one of them than the
/// link carries.
const SMOOTHED_LOOKS: f64 = 4.0;

/// Once in this number of looks the uplink counts as not full: only so is seen whether it would carry more.
pub(super) const TRIAL_LOOKS: u32 = 20;

#[derive(Debug)]
struct Look {
    id: FlowId,
    queued: u64,
    /// Bytes since the last look.
    taken: Option<f64>,
}

impl<H: Clone> Uplink<H> {
    /// Looks, if it is time, which clients read what was sent to them, and which hosts compete for the uplink.
    pub(in crate::serve) fn look(&mut self, now: Time, queued: &dyn Fn(&H) -> u64) {
        let elapsed = now.saturating_sub(self.looked_at);
        if elapsed < LOOK_INTERVAL {
            return;
        }
        self.looked_at = now;
        self.looks = self.looks.wrapping_add(1);
        let looks = self.measure(queued);
        let takes = |look: &&Look| look.queued > 0 || look.taken.is_some_and(|taken| taken > 0.0);
        let moving: Vec<f64> = looks.iter().filter(takes).filter_map(|look| look.taken).collect();
        let mean = moving.iter().sum::<f64>() / elapsed.as_secs_f64() / (moving.len().max(1) as f64);
        let least = (mean / SLOW_PART).max(self.min_taken()) * elapsed.as_secs_f64();
        let gone = std::mem::take(&mut self.taken_by_gone);
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let taken = gone as f64 + looks.iter().filter_map(|look| look.taken).sum::<f64>();
        self.latest_rate = taken / elapsed.as_secs_f64();
        self.rate += (self.latest_rate - self.rate) / SMOOTHED_LOOKS;
        self.full_rate = self.rate.max(self.full_rate * (1.0 - FORGOTTEN_PART));
        for look in looks {
            self.judge(now, &look, least);
        }
        self.forget_hosts(now);
    }

    /// Who takes less, in bytes a second, is slow. Where a limit leaves each less than that, they are not: it is we.
    fn min_taken(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let share = |limit: Rate| limit.bytes_a_second() as f64 / self.flows.len().max(1) as f64;
        self.limit.map_or(MIN_TAKEN, |limit| MIN_TAKEN.min(share(limit) / SLOW_PART))
    }

    /// What each connection's client has taken since the last look.
    fn measure(&mut self, queued: &dyn Fn(&H) -> u64) -> Vec<Look> {
        let mut looks = Vec::with_capacity(self.flows.len());
        for (id, flow) in &mut self.flows {
            let queued = queued(&flow.handle);
            let taken = flow.sent.cast_signed().saturating_sub(queued.cast_signed());
            let before = flow.taken.replace(taken);
            #[allow(clippy::cast_precision_loss, reason = "an estimate")]
            let taken = before.map(|before| taken.saturating_sub(before).max(0) as f64);
            looks.push(Look { id: *id, queued, taken });
        }
        looks
    }

    fn judge(&mut self, now: Time, look: &Look, least: f64) {
        let Some(flow) = self.flows.get_mut(&look.id) else { return };
        let (host, stage) = (flow.host, flow.stage);
        let Some(taken) = look.taken else { return };
        if taken >= least {
            flow.slow = false;
            self.competes(host, now);
        } else if look.queued > 0 {
            flow.slow = true;
            self.stop_holding(look.id);
            self.stop_draining(look.id);
        } else if stage == Stage::Rests {
            self.forget(look.id);
        }
    }

    /// Counts which hosts still wait for blocks. When only one is left, all of its connections may go.
    fn forget_hosts(&mut self, now: Time) {
        let was_contested = self.competing > 1;
        for host in self.hosts.values_mut() {
            if host.competes && host.last + RECENT <= now {
                host.competes = false;
                self.competing -= 1;
            }
        }
        self.hosts.retain(|_, host| host.competes || host.flows > 0);
        if was_contested && self.competing < 2 {
            let hosts: Vec<IpAddr> = self.hosts.keys().copied().collect();
            hosts.into_iter().for_each(|host| self.wake_first(host));
        }
    }
}
