//! What subscribers are told, and when it is whose turn.

use super::*;
use crate::limits::NEWS_AT_ONCE;
use cascade_format::extension::Item;

impl Upload {
    /// Whether there is something that the subscriber does not know. If not, it is woken when there is.
    pub(in crate::give) fn has_news(&mut self, id: SubscriberId) -> bool {
        let has_news = self.is_untold(id);
        if !has_news
            && let Some(subscriber) = self.subscribers.get_mut(&id)
            && !core::mem::replace(&mut subscriber.idle, true)
        {
            self.idle.push_back(id);
        }
        has_news
    }

    fn is_untold(&self, id: SubscriberId) -> bool {
        let Some(subscriber) = self.subscribers.get(&id) else { return false };
        let has_peers = subscriber.met_at < self.met.end() && subscriber.peers_told < MAX_PEERS_TOLD;
        let has_blocks = if self.is_complete() {
            subscriber.choosing_told != Some(self.was_choosing)
        } else {
            subscriber.map_at < self.layout.blocks() || subscriber.log_at < self.released
        };
        let has_offers = self.offers.as_ref().is_some_and(|offers| offers.has_untold(id));
        let has_goodbye = self.leaving && !subscriber.goodbye_told;
        !subscriber.greeted || subscriber.invited || has_blocks || has_offers || has_peers || has_goodbye
    }

    /// Whether the subscriber may have an answer that brings no block now. If not, it joins the queue, and is woken
    /// when its turn has come.
    pub(in crate::give) fn may_answer(&mut self, now: Time, id: SubscriberId) -> bool {
        self.join_queue(id);
        self.call(now);
        let may = self.subscribers.get(&id).is_some_and(|subscriber| subscriber.ticket);
        if may {
            self.woken.retain(|other| *other != id);
        }
        may
    }

    /// The subscriber has had an answer that brings no block, and no news either.
    pub(in crate::give) fn answered(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.subscribers.get_mut(&id) {
            subscriber.ticket = false;
            subscriber.times_told = subscriber.times_told.saturating_add(1);
            subscriber.place.take().into_iter().for_each(|place| self.queue.leave(place));
        }
    }

    /// What to put in front of the next answer to the subscriber; `None`: nothing, a plain answer. `have`
    /// tells which blocks this peer has.
    pub(in crate::give) fn news(
        &mut self,
        now: Time,
        id: SubscriberId,
        have: &dyn Fn(Block) -> bool,
    ) -> Option<Vec<Item>> {
        self.look(now);
        let items = self.is_untold(id).then(|| self.items(now, id, have));
        if items.is_some() {
            self.answered(id);
        }
        let _ = self.has_news(id);
        items
    }

    /// The subscribers whose questions for news should be answered now: since the last call there is news for them, and
    /// it is their turn.
    pub fn take_woken(&mut self, now: Time) -> Vec<SubscriberId> {
        self.call(now);
        let mut woken = core::mem::take(&mut self.woken);
        // The others find what there is when they ask; and those that were there before the file was checked again
        // are not known any more.
        woken.retain(|id| self.subscribers.get(id).is_none_or(|subscriber| subscriber.waits_since.is_some()));
        woken
    }

    /// Lets all know what has come.
    pub(in crate::give) fn release(&mut self, now: Time) {
        self.released = self.log.end();
        // Each subscriber gets a message of it: together they stay below a bound.
        let subscribers = u32::try_from(self.subscribers.len()).unwrap_or(u32::MAX);
        self.release_at = now + self.tuning.news_spacing * subscribers.min(NEWS_AT_ONCE);
        self.wake_idle();
    }

    pub(in crate::give) fn wake(&mut self, id: SubscriberId) {
        if let Some(subscriber) = self.subscribers.get_mut(&id)
            && core::mem::take(&mut subscriber.idle)
        {
            self.idle.retain(|other| *other != id);
            self.join_queue(id);
        }
    }

    pub(in crate::give) fn wake_idle(&mut self) {
        for id in core::mem::take(&mut self.idle) {
            if let Some(subscriber) = self.subscribers.get_mut(&id) {
                subscriber.idle = false;
            }
            self.join_queue(id);
        }
    }

    /// The subscriber waits to be told something, unless it does already; if it is its turn, it is woken.
    pub(in crate::give) fn join_queue(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        if subscriber.ticket {
            self.woken.push(id);
        } else if subscriber.place.is_none() {
            subscriber.place = Some(self.queue.join(id, subscriber.times_told));
        }
    }

    /// Lets those be told whose turn it is.
    fn call(&mut self, now: Time) {
        while let Some(id) = self.queue.next(now, self.leaving) {
            if let Some(subscriber) = self.subscribers.get_mut(&id) {
                (subscriber.place, subscriber.ticket) = (None, true);
                self.woken.push(id);
            }
        }
    }

    fn items(&mut self, now: Time, id: SubscriberId, have: &dyn Fn(Block) -> bool) -> Vec<Item> {
        let (complete, choosing, leaving) = (self.is_complete(), self.was_choosing, self.leaving);
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return Vec::new() };
        let mut items = Vec::new();
        if !core::mem::replace(&mut subscriber.greeted, true) && self.gives_slices {
            items.push(Item::Slices);
        }
        if leaving && !core::mem::replace(&mut subscriber.goodbye_told, true) {
            items.push(Item::Goodbye);
        }
        if complete {
            if subscriber.choosing_told.replace(choosing) != Some(choosing) {
                items.push(if choosing { Item::Choosing } else { Item::Everything });
            }
        } else {
            if self.log.has_forgotten(subscriber.log_at) {
                // The map holds what has come, whether it is released or not.
                (subscriber.map_at, subscriber.log_at) = (0, self.log.end());
            }
            items.extend(subscriber.map_part(&self.layout, have));
            items.extend(subscriber.new_blocks(&self.log, self.released));
        }
        if let Some(offers) = &mut self.offers {
            let runs = offers.tell(now, id);
            if !runs.is_empty() {
                items.push(Item::Offer(runs));
            }
        }
        items.extend(subscriber.new_peers(&self.met));
        if core::mem::take(&mut subscriber.invited) || subscriber.waiting_told != self.waiting {
            subscriber.waiting_told = self.waiting;
            items.push(Item::Load(self.waiting));
        }
        items
    }
}
