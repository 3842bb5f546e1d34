//! Telling our own writes to a file from those of others.
//!
//! While a file is downloaded to, its change time moves with every write of ours, so a stamp alone says
//! nothing. But before each write it must be what it was after the last one, and it must not move while
//! no write of ours is under way. What is changed by others in the very moment of a write of ours is not
//! seen in the stamp; whether anybody else had the file open is told by the system (see
//! [`super::watch`]).

use crate::ground::Stamp;

/// What is known of one file that this process writes to.
#[derive(Debug, Default)]
pub struct OwnWrites {
    /// Writes of ours under way.
    under_way: u32,
    /// What the file looked like after the last one; `None`: it is not guarded yet.
    last: Option<Stamp>,
    /// Somebody else has changed it.
    meddled: bool,
    /// Others that have it open now, as far as is known.
    others: u32,
    /// Somebody was heard of since the last alarm.
    heard: bool,
    /// Times that a stamp had moved, nobody was heard of, and every byte was as it should be.
    false_alarms: u32,
}

/// From this number of them on, a file system counts as one whose stamps move by themselves (those of other machines
/// do: they tell the time of a write when it has arrived). Then the stamp is not compared any more, but for
/// the length, and the whole file is checked at the end.
pub const MAX_FALSE_ALARMS: u32 = 2;

impl OwnWrites {
    /// From now on, whatever differs from `stamp` and is not done by us is somebody else's work.
    pub fn guard(&mut self, stamp: Stamp) {
        (self.last, self.meddled) = (Some(stamp), false);
    }

    /// Nobody writes to the file any more; it is guarded by its stamp alone.
    pub fn end_guard(&mut self) {
        *self = Self::default();
    }

    /// Whether somebody looks at the file's stamp.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.last.is_some()
    }

    /// A write begins; `now` is the stamp just before it.
    pub fn begins(&mut self, now: Option<Stamp>) {
        self.compare(now);
        self.under_way += 1;
    }

    /// A write has ended; `now` is the stamp just after it.
    pub fn ends(&mut self, now: Option<Stamp>) {
        self.under_way = self.under_way.saturating_sub(1);
        let Some(last) = self.last else { return };
        let Some(now) = now else {
            self.meddled = true;
            return;
        };
        // The file has its full length from the start: none of our writes moves its end.
        self.meddled |= (now.device, now.inode, now.length) != (last.device, last.inode, last.length);
        if self.under_way == 0 {
            self.last = Some(now);
        }
    }

    /// Looks at the file between two writes.
    pub fn compare(&mut self, now: Option<Stamp>) {
        let Some(last) = self.last else { return };
        let same = match now {
            Some(now) if self.stamps_tell_nothing() => {
                (now.device, now.inode, now.length) == (last.device, last.inode, last.length)
            }
            now => now == Some(last),
        };
        self.meddled |= self.under_way == 0 && !same;
    }

    /// The file was checked because of its stamp, and nothing was wrong.
    pub fn false_alarm(&mut self) {
        let heard = std::mem::take(&mut self.heard);
        self.false_alarms = self.false_alarms.saturating_add(u32::from(!heard));
    }

    /// Whether the stamps of this file system move by themselves.
    #[must_use]
    pub fn stamps_tell_nothing(&self) -> bool {
        self.false_alarms >= MAX_FALSE_ALARMS
    }

    /// Somebody else has opened the file.
    pub fn opened(&mut self) {
        self.others = self.others.saturating_add(1);
        self.heard = true;
    }

    /// Another process has closed it, which was able to write (`wrote`) or not.
    pub fn closed(&mut self, wrote: bool) {
        self.others = self.others.saturating_sub(1);
        self.heard = true;
        self.meddled |= wrote && self.last.is_some();
    }

    /// Whether nobody else has changed the file, as far as is known.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        !self.meddled
    }

    /// Whether somebody else has the file open, perhaps to write to it.
    #[must_use]
    pub fn has_company(&self) -> bool {
        self.others > 0
    }

    /// The stamp after the last write.
    #[must_use]
    pub fn last(&self) -> Option<Stamp> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(time: i128) -> Option<Stamp> {
        Some(Stamp { device: 1, inode: 2, length: 100, modified_ns: time, changed_ns: time, files: None })
    }

    fn guarded() -> OwnWrites {
        let mut own = OwnWrites::default();
        own.guard(stamp(0).unwrap());
        own
    }

    #[test]
    fn our_own_writes_are_ours_one_by_one_and_at_the_same_time() {
        let mut own = guarded();
        own.begins(stamp(0));
        own.ends(stamp(1));
        own.begins(stamp(1));
        own.begins(stamp(2));
        own.ends(stamp(3));
        own.begins(stamp(4));
        own.ends(stamp(5));
        own.ends(stamp(6));
        own.compare(stamp(6));
        assert!(own.is_ours());
    }

    #[test]
    fn what_moves_between_our_writes_is_not_ours() {
        for found in [stamp(9), None, stamp(1).map(|stamp| Stamp { length: 99, ..stamp })] {
            let mut own = guarded();
            own.begins(stamp(0));
            own.ends(stamp(1));
            own.compare(found);
            assert!(!own.is_ours(), "{found:?}");
            // It is seen by the next write, too, and not forgotten.
            let mut own = guarded();
            own.begins(found);
            own.ends(stamp(10));
            own.compare(stamp(10));
            assert!(!own.is_ours(), "{found:?}");
        }
    }

    #[test]
    fn a_cut_during_a_write_of_ours_is_seen_by_the_length() {
        let mut own = guarded();
        own.begins(stamp(0));
        own.ends(stamp(1).map(|stamp| Stamp { length: 50, ..stamp }));
        assert!(!own.is_ours());
    }

    #[test]
    fn a_reader_is_company_and_a_writer_has_changed_it() {
        let mut own = guarded();
        own.opened();
        assert!(own.has_company() && own.is_ours());
        own.closed(false);
        assert!(!own.has_company() && own.is_ours());
        own.opened();
        own.closed(true);
        assert!(!own.is_ours());
        own.guard(stamp(3).unwrap());
        assert!(own.is_ours());
    }

    #[test]
    fn stamps_that_move_by_themselves_are_not_compared_for_ever() {
        let mut own = guarded();
        for time in 1..=i128::from(MAX_FALSE_ALARMS) {
            own.compare(stamp(time));
            assert!(!own.is_ours());
            own.false_alarm();
            own.guard(stamp(time).unwrap());
        }
        assert!(own.stamps_tell_nothing());
        own.compare(stamp(99));
        assert!(own.is_ours());
        own.compare(stamp(99).map(|stamp| Stamp { length: 1, ..stamp }));
        assert!(!own.is_ours());
    }

    #[test]
    fn a_file_that_is_not_guarded_is_left_alone() {
        let mut own = OwnWrites::default();
        own.begins(stamp(7));
        own.ends(stamp(9));
        own.compare(stamp(11));
        own.closed(true);
        assert!(own.is_ours() && !own.is_guarded());
    }
}
