//! How much of the uplink of a choosing seeder, or of a leecher, goes to clients that know only version 1.
//!
//! They ask at random for what others have got, and pass it on slowly; while leechers fill the uplink that
//! take what is rarest and pass it on at once, all of them together get one part in [`Tuning::version1_part`] + 1.

use super::tuning::Tuning;
use crate::Time;
use crate::meter::Meter;
use core::time::Duration;

/// The account.
#[derive(Debug)]
pub(super) struct Version1Share {
    tuning: Tuning,
    /// Bytes that they may still get; negative: that they got too early.
    credit: i64,
    /// Until when leechers with the extension are thought to wait.
    until: Time,
    /// What those with the extension get, and what everybody gets.
    extended: Meter,
    all: Meter,
    /// The highest rate of all, in bytes a second, when it was last looked at.
    most: f64,
    looked_at: Time,
}

impl Version1Share {
    pub(super) fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            credit: 0,
            until: Time::ZERO,
            extended: Meter::new(tuning.rate_window),
            all: Meter::new(tuning.rate_window),
            most: 0.0,
            looked_at: Time::ZERO,
        }
    }

    /// `bytes` went to a leecher with the extension.
    pub(super) fn sent(&mut self, now: Time, bytes: u64) {
        self.extended.add(now, bytes);
        self.carried(now, bytes);
        let (tuning, max_credit) = (&self.tuning, self.max_credit());
        let earned = i64::try_from(bytes / tuning.version1_part).unwrap_or(max_credit);
        self.credit = self.credit.saturating_add(earned).min(max_credit);
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = bytes as f64 * tuning.waits_after_blocks / self.extended.rate();
        let (least, most) = (tuning.waits_after_block, tuning.max_waits_after_block);
        let few_blocks = Duration::try_from_secs_f64(seconds).unwrap_or(most);
        self.until = now + few_blocks.min(most).max(least);
    }

    /// A client without the extension asks for a block of `bytes`, which it is given whatever the account
    /// says (`must`) or not: whether it is given now.
    pub(super) fn asked(&mut self, now: Time, bytes: u64, must: bool) -> bool {
        let filled = now < self.until && self.extended.rate() >= self.most * self.tuning.fills;
        if !filled {
            self.credit = 0;
        } else if must || self.credit > 0 {
            let most = i64::try_from(bytes).unwrap_or(self.max_credit());
            self.credit = self.credit.saturating_sub(most).max(-most);
        } else {
            return false;
        }
        self.carried(now, bytes);
        true
    }

    fn max_credit(&self) -> i64 {
        i64::try_from(self.tuning.version1_credit).unwrap_or(i64::MAX)
    }

    fn carried(&mut self, now: Time, bytes: u64) {
        self.all.add(now, bytes);
        let age = now.saturating_sub(self.looked_at).as_secs_f64();
        let faded = self.most * libm::pow(0.5, age / self.tuning.fade.as_secs_f64());
        (self.most, self.looked_at) = (faded.max(self.all.rate()), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u64 = 1000;
    const STEP: Duration = Duration::from_millis(100);

    #[test]
    fn they_get_one_for_ten_while_others_wait() {
        let (mut share, mut now, mut got) = (Version1Share::new(Tuning::DEFAULT), STEP, 0);
        for _ in 0..100 {
            share.sent(now, BLOCK);
            got += u32::from(share.asked(now, BLOCK, false));
            now += STEP;
        }
        assert!((9..=10).contains(&got), "{got}");
    }

    #[test]
    fn they_get_everything_when_nobody_else_does() {
        let mut share = Version1Share::new(Tuning::DEFAULT);
        assert!(share.asked(STEP, BLOCK, false));
        share.sent(STEP, BLOCK);
        assert!(share.asked(STEP, BLOCK, false));
        assert!(!share.asked(STEP, BLOCK, false));
        assert!(share.asked(STEP, BLOCK, true));
        assert!((0..10).all(|_| share.asked(STEP + Tuning::DEFAULT.max_waits_after_block, BLOCK, false)));
    }

    #[test]
    fn one_who_takes_little_does_not_hold_them_up() {
        let (mut share, mut now) = (Version1Share::new(Tuning::DEFAULT), STEP);
        for _ in 0..50 {
            assert!(share.asked(now, BLOCK * 100, false));
            now += STEP;
        }
        for _ in 0..20 {
            share.sent(now, BLOCK);
            assert!(share.asked(now, BLOCK * 100, false) && share.asked(now, BLOCK * 100, false));
            now += STEP;
        }
    }

    #[test]
    fn what_is_saved_and_owed_is_bounded() {
        let mut share = Version1Share::new(Tuning::DEFAULT);
        (0..10).for_each(|_| share.sent(STEP, 1 << 30));
        let saved = (0..10_000).take_while(|_| share.asked(STEP, BLOCK, false)).count() as u64;
        assert!(saved <= (1 << 20) / BLOCK + 1, "{saved}");
        assert!((0..10).all(|_| share.asked(STEP, BLOCK, true)));
        share.sent(STEP, 11 * BLOCK);
        assert!(share.asked(STEP, BLOCK, false), "one block is owed at most");
    }
}
