//! Which files are downloaded, and when.

use super::{Ended, Order, Shelf, State, Time};
use crate::library::inspect::{Checked, Described};
use crate::library::limits::DOWNLOAD_RETRY;
use crate::library::told::How;
use std::sync::Arc;

impl Shelf {
    /// Which download is to begin next, if one is; `running` downloads do so already.
    pub(in crate::library) fn poll_download(&mut self, now: Time) -> Option<Order> {
        for _ in 0..self.wanted.len() {
            let (id, at) = self.wanted.pop_front()?;
            let Some(item) = self.items.get(&id) else { continue };
            if at > now {
                // Also while it is looked at again: that alone must not make it begin sooner.
                self.wanted.push_back((id, at));
                continue;
            }
            let (Some(described), State::Resting(_)) = (item.described, item.state) else { continue };
            if self.is_had_by_another(id, described.hash) {
                self.wanted.push_back((id, at));
                continue;
            }
            let order = Order { id, path: Arc::clone(&item.path), hash: described.hash };
            self.set_state(id, State::Downloading);
            self.choose(described.hash);
            return Some(order);
        }
        None
    }

    /// Whether a download waits that could begin.
    pub(in crate::library) fn has_download(&self, now: Time) -> bool {
        self.wanted.iter().any(|(id, at)| {
            let item = self.items.get(id);
            let hash = item.and_then(|item| Some(item.described?.hash));
            *at <= now && hash.is_some_and(|hash| !self.is_had_by_another(*id, hash))
        })
    }

    /// A download has ended.
    pub(in crate::library) fn handle_downloaded(&mut self, now: Time, id: u32, ended: &Ended) {
        let Some(item) = self.items.get_mut(&id).filter(|item| item.state == State::Downloading) else {
            return;
        };
        match ended {
            Ended::Done(stamp) => {
                item.how = How::Downloaded;
                item.tree = None;
                match (*stamp, item.described) {
                    (Some(stamp), Some(described)) => {
                        let described = Described { was_complete: true, ..described };
                        let checked = Checked { described, have: None, stamp, how: How::Downloaded };
                        self.handle_checked(id, now, checked);
                    }
                    _ => self.set_state(id, State::Settling),
                }
            }
            Ended::PutOff => {
                self.set_state(id, State::Settling);
                self.want(id, now);
            }
            Ended::Kept(why) => {
                self.set_state(id, State::Resting(None));
                self.choose_for(id);
                self.complain(id, why.clone());
            }
            Ended::Failed => {
                self.set_state(id, State::Settling);
                self.want(id, now + DOWNLOAD_RETRY);
            }
        }
    }

    pub(super) fn want(&mut self, id: u32, at: Time) {
        match self.wanted.iter_mut().find(|(there, _)| *there == id) {
            Some((_, there)) => *there = at.max(*there),
            None => self.wanted.push_back((id, at)),
        }
    }
}
