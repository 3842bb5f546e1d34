//! Who is registered for which file. A plain data structure: the time and the random source are
//! arguments, and no call takes longer for having millions of peers.
//!
//! ```text
//!  cascade hash ──directory (Index)──► slot ──► Swarm: good peers │ others     (10 bytes a peer)
//!                                                 ▲
//!                                          sweep cursor: every request moves it on a little
//! ```
//!
//! Every structure grows and shrinks in bounded steps ([`pages`], [`index`]), lists are drawn without
//! copying a swarm ([`sample`]), and lapsed peers are removed by a cursor that goes round for ever,
//! and by lists that meet them.

mod chain;
mod index;
mod pages;
mod sample;
mod swarm;

use cascade_format::CascadeHash;
use cascade_format::tracker_wire::PeerEntry;
use index::Index;
use pages::Pages;
use sample::Asker;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddrV4;
use swarm::{Member, Shared, Swarm};

/// The most entries in a list (protocol §2).
pub const LIST_MAX: usize = 20;

/// A registration older than this is left out of lists and removed, in seconds (protocol §2).
pub const LIFETIME_SECS: u32 = 1800;

/// The most registrations. Together with [`MAX_SWARMS`] it keeps the registry below 1 GiB.
pub const MAX_PEERS: usize = 12 << 20;

/// The most files with registered peers.
pub const MAX_SWARMS: usize = 10 << 20;

/// Sweep work that a registration may do before it is refused because the registry is full.
const FULL_SWEEP: u32 = 4096;

/// Sweep work of removing one peer, where looking at one is 1.
const REMOVAL_COST: u32 = 16;

/// The bounds of a registry.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most registrations.
    pub peers: usize,
    /// The most files with registered peers; less than 2^32.
    pub swarms: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { peers: MAX_PEERS, swarms: MAX_SWARMS }
    }
}

/// What a subscription did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribed {
    /// The peer was not registered for the file, or not any more.
    New,
    /// The peer was registered: its time is renewed.
    Renewed,
}

/// Why a new peer cannot be registered. Peers that are registered can still renew, and lists go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistryFull {
    /// As many registrations as the bound allows.
    #[error("the tracker is full: it has {0} registered peers, try again later")]
    Peers(usize),
    /// As many files as the bound allows.
    #[error("the tracker is full: it tracks {0} files, try again later")]
    Swarms(usize),
}

/// All registrations of a tracker.
#[derive(Debug)]
pub struct Registry {
    slots: Pages<Slot>,
    /// The first of the free slots.
    free: Option<u32>,
    /// From cascade hash to slot.
    directory: Index,
    shared: Shared,
    cursor: Cursor,
    peers: usize,
    swarms: usize,
    bounds: Bounds,
}

#[derive(Debug)]
enum Slot {
    Used(Swarm),
    Free { next: Option<u32> },
}

const _: () = assert!(size_of::<Slot>() <= 56, "memory per swarm is promised");

/// Where the sweep goes on.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    slot: u32,
    position: u32,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            slots: Pages::new(),
            free: None,
            directory: Index::new(),
            shared: Shared::new(),
            cursor: Cursor::default(),
            peers: 0,
            swarms: 0,
            bounds,
        }
    }

    /// Number of registrations, lapsed ones that were not met yet among them.
    #[must_use]
    pub const fn peers(&self) -> usize {
        self.peers
    }

    /// Number of files with registrations.
    #[must_use]
    pub const fn swarms(&self) -> usize {
        self.swarms
    }

    /// Registers the peer at `addr` for the file, or renews its registration. `now` is in seconds
    /// since the UNIX epoch.
    ///
    /// # Errors
    /// The peer is new and the registry full, also after removing some lapsed peers.
    pub fn subscribe(
        &mut self,
        file: &CascadeHash,
        addr: SocketAddrV4,
        good: bool,
        now: u32,
    ) -> Result<Subscribed, RegistryFull> {
        if let Some(subscribed) = self.renew(file, addr, good, now) {
            return Ok(subscribed);
        }
        if self.peers >= self.bounds.peers || self.swarms >= self.bounds.swarms {
            self.sweep(now, FULL_SWEEP);
        }
        if self.peers >= self.bounds.peers {
            return Err(RegistryFull::Peers(self.bounds.peers));
        }
        let slot = match self.find(file) {
            Some(slot) => slot,
            None if self.swarms >= self.bounds.swarms => {
                return Err(RegistryFull::Swarms(self.bounds.swarms));
            }
            None => self.add_swarm(*file),
        };
        if let Some(Slot::Used(swarm)) = self.slots.get_mut(slot as usize) {
            swarm.insert(Member::new(addr, now), good, &mut self.shared);
            self.peers += 1;
        }
        Ok(Subscribed::New)
    }

    /// Fills `list` (which it clears) with at most [`LIST_MAX`] live peers of the file but `asker`:
    /// good peers first, otherwise in random order.
    pub fn list(
        &mut self,
        file: &CascadeHash,
        asker: SocketAddrV4,
        now: u32,
        rng: &mut fastrand::Rng,
        list: &mut Vec<PeerEntry>,
    ) {
        list.clear();
        let Some(slot) = self.find(file) else { return };
        let Some(Slot::Used(swarm)) = self.slots.get_mut(slot as usize) else { return };
        self.peers -= sample::sample(swarm, Asker { addr: asker, now }, &mut self.shared, rng, list);
        self.drop_if_empty(slot);
    }

    /// Looks for lapsed peers where the last sweep stopped, and removes them. One unit of `work` is a
    /// look at one peer (some nanoseconds); a removal counts as sixteen. Returns the number removed.
    pub fn sweep(&mut self, now: u32, work: u32) -> usize {
        let before = self.peers;
        let mut left = work;
        // One round at most, however little there is.
        let mut slots_left = self.slots.len() + 1;
        while left > 0 && slots_left > 0 && self.peers > 0 {
            left -= 1;
            let at = self.cursor;
            let member = match self.slots.get(at.slot as usize) {
                Some(Slot::Used(swarm)) => swarm.get(at.position, &self.shared).copied(),
                Some(Slot::Free { .. }) | None => None,
            };
            match member {
                Some(member) if is_lapsed(member.subscribed(), now) => {
                    self.remove(at);
                    left = left.saturating_sub(REMOVAL_COST);
                }
                Some(_) => self.cursor.position += 1,
                None => {
                    let next = at.slot + 1;
                    let slot = if (next as usize) < self.slots.len() { next } else { 0 };
                    self.cursor = Cursor { slot, position: 0 };
                    slots_left -= 1;
                }
            }
        }
        before - self.peers
    }

    /// Renews a registration that is there and of the same rank. Takes out one that changes rank.
    fn renew(&mut self, file: &CascadeHash, addr: SocketAddrV4, good: bool, now: u32) -> Option<Subscribed> {
        let slot = self.find(file)?;
        let Some(Slot::Used(swarm)) = self.slots.get_mut(slot as usize) else { return None };
        let position = swarm.find(addr, &self.shared)?;
        if good != (position < swarm.good()) {
            self.remove(Cursor { slot, position });
            return None;
        }
        let lapsed =
            swarm.get(position, &self.shared).is_some_and(|member| is_lapsed(member.subscribed(), now));
        swarm.renew(position, now, &mut self.shared);
        Some(if lapsed { Subscribed::New } else { Subscribed::Renewed })
    }

    fn find(&self, file: &CascadeHash) -> Option<u32> {
        self.directory.find(
            self.shared.keys.hash_one(file),
            |slot| matches!(self.slots.get(slot as usize), Some(Slot::Used(swarm)) if swarm.hash == *file),
        )
    }

    fn add_swarm(&mut self, file: CascadeHash) -> u32 {
        let swarm = Slot::Used(Swarm::new(file));
        let slot = match self.free {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize)
                    && let Slot::Free { next } = std::mem::replace(place, swarm)
                {
                    self.free = next;
                }
                slot
            }
            None => {
                self.slots.push(swarm);
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let (slots, keys) = (&self.slots, &self.shared.keys);
        self.directory.insert(keys.hash_one(file), slot, |slot| hash_at(slots, slot, keys));
        self.swarms += 1;
        slot
    }

    fn remove(&mut self, at: Cursor) {
        if let Some(Slot::Used(swarm)) = self.slots.get_mut(at.slot as usize) {
            swarm.remove(at.position, &mut self.shared);
            self.peers -= 1;
        }
        self.drop_if_empty(at.slot);
    }

    fn drop_if_empty(&mut self, slot: u32) {
        match self.slots.get(slot as usize) {
            Some(Slot::Used(swarm)) if swarm.len() == 0 => {}
            Some(Slot::Used(_) | Slot::Free { .. }) | None => return,
        }
        let (slots, keys) = (&self.slots, &self.shared.keys);
        self.directory.remove(hash_at(slots, slot, keys), slot, |slot| hash_at(slots, slot, keys));
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Slot::Free { next: self.free.replace(slot) };
            self.swarms -= 1;
        }
    }
}

/// Whether a registration of the second `subscribed` is too old at `now`. One from the future (the
/// clock was set back) is not.
const fn is_lapsed(subscribed: u32, now: u32) -> bool {
    now.saturating_sub(subscribed) > LIFETIME_SECS
}

fn hash_at(slots: &Pages<Slot>, slot: u32, keys: &RandomState) -> u64 {
    match slots.get(slot as usize) {
        Some(Slot::Used(swarm)) => keys.hash_one(swarm.hash),
        Some(Slot::Free { .. }) | None => 0,
    }
}

#[cfg(test)]
mod tests;
