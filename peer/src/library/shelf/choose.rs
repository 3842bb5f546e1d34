//! Of several `.cascade` files with the same hash, which is served.

use super::{Act, Shelf, State};
use crate::library::inspect::Described;
use cascade_format::CascadeHash;
use std::sync::Arc;

impl Shelf {
    /// Its `.cascade` file says this.
    pub(super) fn describe(&mut self, id: u32, described: Described) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let before = item.described.replace(described);
        if before.map(|before| before.hash) != Some(described.hash) {
            if let Some(before) = before {
                self.leave(id, before.hash);
            }
            self.by_hash.entry(described.hash).or_default().push(id);
        }
    }

    pub(super) fn forget_description(&mut self, id: u32) {
        let Some(item) = self.items.get_mut(&id) else { return };
        (item.checked, item.remote, item.failures) = (None, false, 0);
        if let Some(before) = item.described.take() {
            self.leave(id, before.hash);
        }
    }

    pub(super) fn leave(&mut self, id: u32, hash: CascadeHash) {
        if let Some(ids) = self.by_hash.get_mut(&hash) {
            ids.retain(|there| *there != id);
            if ids.is_empty() {
                self.by_hash.remove(&hash);
            }
        }
        self.choose(hash);
    }

    /// Nothing is known of its blocks.
    pub(super) fn forget_blocks(&mut self, id: u32) {
        if let Some(item) = self.items.get_mut(&id) {
            (item.checked, item.remote) = (None, false);
        }
        self.choose_for(id);
    }

    pub(super) fn choose_for(&mut self, id: u32) {
        if let Some(described) = self.items.get(&id).and_then(|item| item.described) {
            self.choose(described.hash);
        }
    }

    /// Decides which of several files with the same hash is served, if any.
    pub(super) fn choose(&mut self, hash: CascadeHash) {
        let ids = self.by_hash.get(&hash).map(Vec::as_slice).unwrap_or_default();
        let items = || ids.iter().filter_map(|id| Some((*id, self.items.get(id)?)));
        let best = items()
            .filter(|(_, item)| item.state != State::Downloading)
            .filter_map(|(id, item)| {
                // What is here is better than what must be fetched.
                Some(((item.given()?, item.checked.is_some(), std::cmp::Reverse(id)), item))
            })
            .max_by_key(|(rank, _)| *rank);
        let served = self.published.get(&hash).copied();
        match best {
            Some(((.., std::cmp::Reverse(id)), item)) => {
                let chosen = (id, item.checked.as_ref().map(|checked| checked.stamp));
                if served != Some(chosen) {
                    let (path, described) = (Arc::clone(&item.path), item.described);
                    let act = match (item.checked.clone(), described) {
                        (Some(checked), _) => Act::Publish(path, checked),
                        (None, Some(described)) => Act::PublishRemote(path, described),
                        (None, None) => return,
                    };
                    self.published.insert(hash, chosen);
                    self.acts.push_back(act);
                }
                if self.registered.insert(hash) {
                    self.acts.push_back(Act::Register(hash));
                }
            }
            None => {
                // One that is checked again, or downloaded, is served again soon.
                let known = items().any(|(_, item)| item.is_under_way());
                if self.published.remove(&hash).is_some() || !known {
                    self.acts.push_back(Act::Withdraw { hash, known });
                }
                if !known && self.registered.remove(&hash) {
                    self.acts.push_back(Act::Unregister(hash));
                }
            }
        }
    }

    /// Whether another `.cascade` file with this hash has its data, or gets it.
    pub(super) fn is_had_by_another(&self, id: u32, hash: CascadeHash) -> bool {
        let others = self.by_hash.get(&hash).into_iter().flatten().filter(|other| **other != id);
        others.filter_map(|other| self.items.get(other)).any(|item| {
            item.state == State::Downloading
                || item.checked.as_ref().is_some_and(|checked| checked.have.is_none())
        })
    }
}
