//! How much of the uplink goes to clients that know only version 1, while leechers with the extension wait for blocks.
//!
//! They ask at random for what others have got, and pass it on slowly; leechers with the extension take what is rarest
//! and pass it on at once. So of a choosing seeder and of a leecher, version 1 clients together get one byte for each
//! [`version1_part`](super::Tuning::version1_part) that go to the others, and everything while no other waits.

/// What they have not used is saved up to this, in bytes.
const MAX_CREDIT: i64 = 1 << 20;

/// The account.
#[derive(Debug, Default)]
pub(super) struct Version1Share {
    /// Bytes that they may still get; negative: that they got too early.
    credit: i64,
}

impl Version1Share {
    /// `bytes` went to a leecher with the extension; one in `part` is theirs.
    pub(super) fn sent(&mut self, bytes: u64, part: u64) {
        let earned = i64::try_from(bytes / part).unwrap_or(MAX_CREDIT);
        self.credit = self.credit.saturating_add(earned).min(MAX_CREDIT);
    }

    /// A client without the extension asks for a block of `bytes`. `others`: leechers with the extension wait for
    /// blocks. `must`: it is given whatever the account says. Whether it is given now.
    pub(super) fn gives(&mut self, bytes: u64, others: bool, must: bool) -> bool {
        if !others {
            self.credit = 0;
            return true;
        }
        let given = must || self.credit > 0;
        if given {
            let most = i64::try_from(bytes).unwrap_or(MAX_CREDIT);
            self.credit = self.credit.saturating_sub(most).max(-most);
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u64 = 1000;

    #[test]
    fn they_get_one_for_ten_while_others_wait() {
        let (mut share, mut got) = (Version1Share::default(), 0);
        for _ in 0..100 {
            share.sent(BLOCK, 10);
            got += u32::from(share.gives(BLOCK, true, false));
        }
        assert!((9..=10).contains(&got), "{got}");
    }

    #[test]
    fn they_get_everything_while_no_other_waits() {
        let mut share = Version1Share::default();
        share.sent(BLOCK, 10);
        assert!(share.gives(BLOCK, true, false) && !share.gives(BLOCK, true, false));
        assert!(share.gives(BLOCK, true, true), "it has waited long enough");
        assert!((0..10).all(|_| share.gives(BLOCK, false, false)));
    }

    #[test]
    fn what_is_saved_and_owed_is_bounded() {
        let mut share = Version1Share::default();
        (0..10).for_each(|_| share.sent(1 << 30, 10));
        let saved = (0..10_000).take_while(|_| share.gives(BLOCK, true, false)).count() as u64;
        assert!(saved <= (1 << 20) / BLOCK + 1, "{saved}");
        assert!((0..10).all(|_| share.gives(BLOCK, true, true)));
        share.sent(11 * BLOCK, 10);
        assert!(share.gives(BLOCK, true, false), "one block is owed at most");
    }
}
