//! How much of a choosing seeder's uplink goes to clients that know only version 1.
//!
//! They ask for blocks that others have got, and get them; while leechers wait whose blocks are first copies,
//! all of them together get one part in [`PLAIN_SHARE`] + 1.

use crate::plan::Time;
use std::time::Duration;

/// For so many bytes that leechers with the extension get, those without get one.
const PLAIN_SHARE: u64 = 6;

/// What they have not used is saved up to so much, in bytes.
const MAX_CREDIT: i64 = 1 << 20;

/// So long after a block went out, those with the extension still count as waiting; more for large blocks.
const RECENT: Duration = Duration::from_millis(500);

/// And at most so long.
const MAX_RECENT: Duration = Duration::from_secs(5);

/// The account.
#[derive(Debug, Default)]
pub(super) struct PlainShare {
    /// Bytes that they may still get; negative: that they got too early.
    credit: i64,
    /// Until when leechers with the extension are thought to wait.
    until: Time,
}

impl PlainShare {
    /// `bytes` went to a leecher with the extension, at `rate` bytes a second.
    pub(super) fn sent(&mut self, now: Time, bytes: u64, rate: f64) {
        let earned = i64::try_from(bytes / PLAIN_SHARE).unwrap_or(MAX_CREDIT);
        self.credit = self.credit.saturating_add(earned).min(MAX_CREDIT);
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let few_blocks = Duration::try_from_secs_f64(bytes as f64 * 4.0 / rate).unwrap_or(MAX_RECENT);
        self.until = now + few_blocks.clamp(RECENT, MAX_RECENT);
    }

    /// Whether a block of `bytes` may go to a client without the extension now.
    pub(super) fn take(&mut self, now: Time, bytes: u64) -> bool {
        if now >= self.until {
            self.credit = 0;
            return true;
        }
        let may = self.credit > 0;
        if may {
            self.charge(bytes);
        }
        may
    }

    /// A block of `bytes` goes to one of them, whatever the account says.
    pub(super) fn charge(&mut self, bytes: u64) {
        let most = i64::try_from(bytes).unwrap_or(MAX_CREDIT);
        self.credit = self.credit.saturating_sub(most).max(-most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u64 = 1000;
    const RATE: f64 = 10_000.0;

    #[test]
    fn they_get_one_for_six_while_others_wait() {
        let mut share = PlainShare::default();
        let mut now = Duration::ZERO;
        let mut got = 0;
        for _ in 0..100 {
            share.sent(now, BLOCK, RATE);
            got += u32::from(share.take(now, BLOCK));
            now += Duration::from_millis(100);
        }
        assert!((16..=17).contains(&got), "{got}");
    }

    #[test]
    fn they_get_everything_when_nobody_else_does() {
        let mut share = PlainShare::default();
        assert!(share.take(Duration::ZERO, BLOCK));
        share.sent(Duration::ZERO, BLOCK, RATE);
        assert!(share.take(Duration::ZERO, BLOCK));
        assert!(!share.take(Duration::ZERO, BLOCK));
        assert!((0..10).all(|_| share.take(RECENT, BLOCK)));
    }

    #[test]
    fn what_is_saved_and_owed_is_bounded() {
        let mut share = PlainShare::default();
        let now = Duration::ZERO;
        (0..10).for_each(|_| share.sent(now, 1 << 30, RATE));
        let saved = (0..10_000).take_while(|_| share.take(now, BLOCK)).count() as u64;
        assert!(saved <= (1 << 20) / BLOCK + 1, "{saved}");
        (0..10).for_each(|_| share.charge(BLOCK));
        share.sent(now, 7 * BLOCK, RATE);
        assert!(share.take(now, BLOCK), "one block is owed at most");
    }
}
