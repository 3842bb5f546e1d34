//! Offers that nobody asks for.

use super::*;
use alloc::vec::Vec;

/// When nothing else is left to offer, it is looked this many times more often for offers that nobody asks for.
const LAST_CHECKS: u32 = 10;

impl Offers {
    /// Looks for offers that were not taken in time, and whether everything is given. Then all may ask for anything, also
    /// when a subscriber leaves with what it has not passed on: to choose again would keep the rest from those that ask.
    pub fn handle_time(&mut self, now: Time) {
        if self.is_open(now) {
            return;
        }
        if now >= self.check_at {
            self.check_at = now + self.tuning.idle;
            let forgotten = self.tuning.idle.as_secs_f64() / self.tuning.lapse.as_secs_f64();
            self.uplink_rate -= (self.uplink_rate - self.sent.rate()) * forgotten;
            self.queues.handle_time(now, self.room_for_each());
            self.take_back_late(now, false);
        }
        if self.next_run().is_none() && now >= self.last_check_at {
            self.last_check_at = now + self.tuning.idle / LAST_CHECKS;
            self.take_back_late(now, true);
        }
        let nothing_left = self.next_run().is_none();
        if nothing_left {
            // They go first: others have had the time to take them.
            while self.put_off.pop_front_if(|put_off| put_off.until <= now).is_some() {}
        }
        if !nothing_left || !self.put_off.is_empty() {
            self.opens = None;
        } else {
            // What is on offer goes out first, and the leechers tell each other of the last first copies; but one slow
            // subscriber does not hold up the others.
            let opens = now + (self.tuning.idle / 2).max(self.time_for_offers());
            self.opens = Some(self.opens.map_or(opens, |before| before.min(opens)));
        }
    }

    /// Takes back what was not asked for in time; at once, when it is all that is left to offer.
    fn take_back_late(&mut self, now: Time, nothing_left: bool) {
        let (mut late, mut stale, mut subscribers) = (Vec::new(), Vec::new(), Vec::new());
        let ahead = self.time_for_offers();
        let (lapse, stale_after) = (self.tuning.lapse, self.tuning.idle);
        let is_untaken_for =
            |offer: &Offer, time| offer.untaken_since().is_some_and(|since| now >= since + time);
        for (subscriber, account) in &mut self.accounts {
            let Some(front) = account.offers.front() else { continue };
            // Those behind the first are asked for when its block is out.
            let idle = front.idle_since.map_or(Time::ZERO, |since| now.saturating_sub(since));
            if (nothing_left && is_untaken_for(front, stale_after + ahead))
                || now >= front.made + lapse + ahead * 2
                || idle >= lapse + ahead
            {
                account.lazy |= account.took_at.is_none_or(|at| now >= at + lapse);
                subscribers.push(*subscriber);
                late.extend(account.offers.drain(..).map(|offer| (account.host, offer)));
                continue;
            }
            // Nor may those behind a slow first one keep others from being offered anything.
            for offer in &mut account.offers {
                if offer.stale || !is_untaken_for(offer, stale_after) {
                    continue;
                }
                stale.push((offer.run, offer.newcomer));
                offer.stale = true;
            }
        }
        stale.into_iter().for_each(|(run, newcomer)| self.count_less(run, newcomer));
        // A fixed order: hash maps have none.
        late.sort_by_key(|(_, offer)| offer.run.first);
        for host in
            late.iter().map(|(host, _)| *host).filter(|host| self.queues.is_crowd(*host)).collect::<Vec<_>>()
        {
            self.queues.rest(host, now + lapse);
        }
        late.iter().for_each(|(host, offer)| self.take_back(*host, offer));
        subscribers.sort_unstable();
        for subscriber in subscribers {
            self.leave_if_lazy(subscriber);
            self.join_queue(subscriber);
        }
    }

    /// A lazy subscriber gets no offer, also if it waits for one already.
    fn leave_if_lazy(&mut self, subscriber: SubscriberId) {
        let room = self.room_for_each();
        if let Some(account) = self.accounts.get_mut(&subscriber)
            && account.lazy
        {
            self.trips.forget(&mut account.trip);
            if core::mem::take(&mut account.waiting) {
                self.queues.leave(account.candidate(subscriber), room);
            }
        }
    }

    /// There are several hosts from now on: what one of them was offered alone, and has not asked for, may be more
    /// than its part.
    pub(super) fn take_back_untaken(&mut self, now: Time) {
        let (mut back, mut subscribers) = (Vec::new(), Vec::new());
        for (subscriber, account) in &mut self.accounts {
            let (untaken, taken): (VecDeque<Offer>, _) = core::mem::take(&mut account.offers)
                .into_iter()
                .partition(|offer| offer.unsent == offer.run.count && offer.untaken_since().is_some());
            account.offers = taken;
            if !untaken.is_empty() {
                subscribers.push(*subscriber);
                back.extend(untaken.into_iter().map(|offer| (account.host, offer)));
            }
        }
        // Several of one host got what they liked: the new one may never get it from there. A host that leaves and comes
        // back changes nothing any more; nor does one that comes when all may ask for anything.
        let first_time = !core::mem::replace(&mut self.several_hosts, true);
        if first_time && self.accounts.len() > 2 && !self.is_open(now) {
            self.begin_again();
        }
        // A fixed order: hash maps have none.
        back.sort_by_key(|(_, offer)| offer.run.first);
        back.iter().for_each(|(host, offer)| self.take_back(*host, offer));
        subscribers.sort_unstable();
        subscribers.into_iter().for_each(|subscriber| self.join_queue(subscriber));
    }

    /// When [`Offers::handle_time`] may have something to do.
    #[must_use]
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        if self.is_open(now) {
            return None;
        }
        let open = self.opens;
        let check_at =
            if self.opens.is_some() { self.last_check_at.min(self.check_at) } else { self.check_at };
        let late = self.accounts.values().any(|account| !account.offers.is_empty()).then_some(check_at);
        let put_off = self.put_off.front().map(|put_off| put_off.until).filter(|at| *at > now);
        [open, late, put_off].into_iter().flatten().min()
    }
}
