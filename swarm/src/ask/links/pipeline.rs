//! How many bytes are kept under way on a link: about two bandwidth-delay products.

use crate::Time;
use crate::ask::tuning::Tuning;
use core::time::Duration;

/// Bytes to keep under way at `rate` bytes a second: two bandwidth-delay products, and what covers the
/// turnaround.
pub(in crate::ask) fn depth(tuning: &Tuning, rate: f64, round_trip: Duration) -> u64 {
    let seconds = (round_trip * 2 + tuning.turnaround).as_secs_f64();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
    let bytes = (rate * seconds) as u64;
    bytes
}

/// What links to one peer have shown, for the next one.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::ask) struct Pace {
    /// Bytes a second; 0 while unknown.
    pub(in crate::ask) rate: f64,
    pub(in crate::ask) round_trip: Option<Duration>,
}

impl Pace {
    /// How long `bytes` take that begin to arrive after `trips` round trips; a guess while the rate is unknown.
    pub(in crate::ask) fn time_for(&self, bytes: u64, trips: u32) -> Duration {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = if self.rate > 0.0 { bytes as f64 / self.rate } else { 1.0 };
        let longest = Duration::from_secs(u64::from(u32::MAX));
        let flowing = Duration::try_from_secs_f64(seconds).map_or(longest, |time| time.min(longest));
        flowing + self.round_trip.unwrap_or_default() * trips
    }
}

/// Rate and round trip of one link, as far as they are known.
#[derive(Debug)]
pub(in crate::ask) struct Pipeline {
    tuning: &'static Tuning,
    /// Bytes a second; 0 while unknown.
    rate: f64,
    round_trip: Option<Duration>,
    /// See [`Pipeline::depth`].
    depth: u64,
    /// When the only request under way was sent.
    asked_idle: Option<Time>,
    sample_start: Time,
    sample_bytes: u64,
}

impl Pipeline {
    /// A new one, to a peer whose links have shown `pace`.
    pub(in crate::ask) fn going_on(tuning: &'static Tuning, pace: Pace) -> Self {
        let Pace { rate, round_trip } = pace;
        let depth = depth(tuning, rate, round_trip.unwrap_or_default());
        Self { tuning, rate, round_trip, depth, asked_idle: None, sample_start: Time::ZERO, sample_bytes: 0 }
    }

    /// The rate or the round trip has changed.
    fn update_depth(&mut self) {
        self.depth = depth(self.tuning, self.rate, self.round_trip());
    }

    /// What it has shown.
    pub(in crate::ask) fn pace(&self) -> Pace {
        Pace { rate: self.rate, round_trip: self.round_trip }
    }

    /// A request leaves; `idle`: nothing else was under way.
    pub(in crate::ask) fn requested(&mut self, now: Time, idle: bool) {
        if idle {
            self.asked_idle = Some(now);
            self.sample_start = now;
            self.sample_bytes = 0;
        }
    }

    /// Bytes arrive. Tells how long the first of them took, if they answer a request that was alone.
    pub(in crate::ask) fn received(&mut self, now: Time, bytes: u64) -> Option<Duration> {
        let waited = self.asked_idle.take().map(|asked| now.saturating_sub(asked));
        if let Some(trip) = waited {
            self.round_trip = Some(self.round_trip.map_or(trip, |known| known.min(trip)));
            self.update_depth();
        }
        self.sample_bytes += bytes;
        let elapsed = now.saturating_sub(self.sample_start);
        if elapsed < self.tuning.turnaround.max(self.round_trip()) {
            return waited;
        }
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let sample = self.sample_bytes as f64 / elapsed.as_secs_f64();
        // Up at once, down slowly: a pipeline that is too short measures itself.
        self.rate = if sample > self.rate { sample } else { self.rate * 0.875 + sample * 0.125 };
        self.update_depth();
        self.sample_start = now;
        self.sample_bytes = 0;
        waited
    }

    /// A block has arrived; gives a first rate even where a block is faster than a sample.
    pub(in crate::ask) fn answered(&mut self, now: Time) {
        let elapsed = now.saturating_sub(self.sample_start);
        if self.rate == 0.0 && !elapsed.is_zero() {
            #[allow(clippy::cast_precision_loss, reason = "an estimate")]
            let sample = self.sample_bytes as f64 / elapsed.as_secs_f64();
            self.rate = sample;
            self.update_depth();
        }
    }

    /// Bytes a second; 0 while unknown.
    pub(in crate::ask) fn rate(&self) -> f64 {
        self.rate
    }

    /// The shortest time between a request and the first byte of its answer; zero while unknown.
    pub(in crate::ask) fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or_default()
    }

    /// Bytes to keep under way.
    pub(in crate::ask) fn depth(&self) -> u64 {
        self.depth
    }

    /// The same with a batch, where leechers do not share the uplinks.
    pub(in crate::ask) fn depth_alone(&self) -> u64 {
        let depth = self.depth();
        depth.saturating_add(depth.saturating_mul(3).min(self.tuning.batch_len))
    }

    /// Requests are made when no more bytes than this are under way: some with one call are cheaper than each with its
    /// own. Where leechers do not share the uplinks it leaves the depth and half of it, or three quarters of what is kept
    /// under way if that is less. The depth alone is about what TCP itself keeps under way: the sender would run dry
    /// before the next requests come, and then send each batch as a burst.
    pub(in crate::ask) fn refill_below(&self, in_swarm: bool) -> u64 {
        let depth = self.depth();
        let left = depth.saturating_add(depth / 2);
        if in_swarm { depth / 4 * 3 } else { left.min(self.depth_alone() / 4 * 3) }
    }

    /// How long `bytes` take from now on; `None` while the rate is unknown.
    pub(in crate::ask) fn time_for(&self, bytes: u64) -> Option<Duration> {
        if self.rate <= 0.0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = bytes as f64 / self.rate;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests of `block` bytes that leave at once on a full pipeline at `rate` bytes a second.
    fn at_once(rate: f64, in_swarm: bool, block: u64) -> u64 {
        let pace = Pace { rate, round_trip: Some(Duration::from_millis(10)) };
        let pipeline = Pipeline::going_on(&Tuning::DEFAULT, pace);
        let depth = if in_swarm { pipeline.depth() } else { pipeline.depth_alone() };
        let filled = |under_way: u64| under_way + (depth.saturating_sub(under_way)).div_ceil(block) * block;
        let mut under_way = filled(0);
        while under_way > pipeline.refill_below(in_swarm) {
            under_way -= block;
        }
        assert!(under_way + block > pipeline.depth() / 4 * 3, "{under_way} of {} are left", pipeline.depth());
        (filled(under_way) - under_way) / block
    }

    #[test]
    fn a_link_alone_asks_for_a_batch_at_once() {
        // 100 Mbit/s, blocks of 128 KiB: 10 times a second.
        assert_eq!(at_once(12.5e6, false, 128 << 10), 10);
        assert_eq!(at_once(12.5e6, true, 128 << 10), 2);
        // On slow links a batch is two and a half depths, and on fast ones a quarter of what is under way.
        assert_eq!(at_once(0.125e6, false, 1 << 10), 16);
        assert_eq!(at_once(125e6, false, 1 << 20), 3);
    }

    #[test]
    fn the_depth_doubles_each_round_trip_until_the_link_is_full() {
        let (mut pipeline, mut now) = (Pipeline::going_on(&Tuning::DEFAULT, Pace::default()), Duration::ZERO);
        let (trip, block) = (Duration::from_millis(50), 64 << 10);
        let link_rate = 125e6;
        pipeline.requested(now, true);
        let mut under_way = block;
        for round in 0..12 {
            now += trip;
            // A full pipeline delivers what is under way once a round trip, at most the link's rate.
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            #[allow(clippy::allow_attributes_without_reason)]
            let delivered = (under_way as f64).min(link_rate * trip.as_secs_f64()) as u64;
            pipeline.received(now, delivered);
            let depth = pipeline.depth();
            assert!(round > 4 || depth >= under_way * 2, "round {round}: {under_way} then {depth}");
            under_way = depth;
        }
        let product = 125e6 * 0.05;
        #[allow(clippy::cast_precision_loss, reason = "a test")]
        let products = under_way as f64 / product;
        assert!((1.9..3.0).contains(&products), "{products} bandwidth-delay products");
    }
}
