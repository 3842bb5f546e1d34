//! The peers that are registered for each file. A plain data structure: the time and the random source are
//! arguments, and no call takes longer for having millions of peers.
//!
//! ```text
//!  cascade hash ──directory (Index)──► slot ──► Swarm: sources of good peers │ of others
//!                                                 ▲        └─► Group: one peer, or a crowd
//!                                                 │                       (14 or 10 bytes a peer)
//!                                          sweep cursor: every request moves it on a little
//! ```
//!
//! A registration belongs to its [`Source`]. One source has a bounded number of registrations in a
//! swarm and in all ([`Bounds`]), and lists are drawn over sources first ([`sample`]): so a source that
//! registers a million peers gains little, and costs others nothing.
//!
//! Every structure grows and shrinks in bounded steps ([`pages`], [`index`]), lists are drawn without
//! copying a swarm, and lapsed peers are removed by a cursor that goes round for ever, and by lists
//! that meet them.

mod address;
mod chain;
mod draw;
mod export;
mod group;
mod index;
mod ledger;
mod look;
mod members;
mod near;
mod network;
mod pages;
mod rings;
pub mod room;
mod sample;
mod source;
mod swarm;

pub use address::{Address, AddressV6};
use cascade_format::CascadeHash;
pub use export::{Cursor as ExportCursor, Registration};
use group::Member;
use index::Index;
use members::{Allowance, Place};
pub use near::Asker;
pub use network::{MAX_NETWORKS, Networks, Prefix, PrefixError};
use pages::Pages;
pub use source::Source;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddrV4;
use swarm::{Key, Shared, Swarm};

/// The most entries in a list (protocol §2).
pub const LIST_MAX: usize = 20;

/// A registration older than this is left out of lists and removed, in seconds (protocol §2).
pub const LIFETIME_SECS: u32 = 1800;

/// The most registrations. Together with [`MAX_SWARMS`] it keeps the registry below 1 GiB.
pub const MAX_PEERS: usize = 12 << 20;

/// The most registrations of IPv6 addresses: each takes up to 30 bytes instead of 14, so 64 MiB beside the others.
pub const MAX_PEERS_V6: usize = 2 << 20;

/// The most files with registered peers.
pub const MAX_SWARMS: usize = 10_000_000;

/// The most registrations of one source, for all files together: a sixteenth of [`MAX_SWARMS`], so that
/// one source cannot fill the registry, neither with peers nor with files.
pub const MAX_SOURCE_PEERS: usize = 625_000;

/// The most registrations of one source for one file; the newest takes the place of the oldest. A whole
/// company or school may be behind one address, or a laboratory on one machine.
pub const MAX_SOURCE_SWARM_PEERS: usize = 1024;

/// Of these, the most with one address that is not the source's own. Containers, port forwarding and
/// several addresses of one machine need some; an attacker that turns a swarm on a stranger needs many.
pub const MAX_SOURCE_PORTS: usize = 128;

/// Sweep work that a registration may do before it is refused because the registry is full.
const FULL_SWEEP: u32 = 4096;

/// Sweep work of removing a group, where looking at one peer is 1.
const REMOVAL_COST: u32 = 16;

/// The bounds of a registry.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most registrations.
    pub peers: usize,
    /// The most files with registered peers; less than 2^32.
    pub swarms: usize,
    /// The most registrations of one source.
    pub source_peers: usize,
    /// The most registrations of one source for one file.
    pub source_swarm_peers: usize,
    /// The most ports of an address that is not the source's, registered by one source for one file.
    pub source_ports: usize,
}

impl Bounds {
    /// The same for IPv6 addresses.
    #[must_use]
    pub fn for_v6(self) -> Self {
        let peers = self.peers.min(MAX_PEERS_V6);
        Self { peers, swarms: self.swarms.min(peers), ..self }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            peers: MAX_PEERS,
            swarms: MAX_SWARMS,
            source_peers: MAX_SOURCE_PEERS,
            source_swarm_peers: MAX_SOURCE_SWARM_PEERS,
            source_ports: MAX_SOURCE_PORTS,
        }
    }
}

/// A peer that somebody wants to register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<A = SocketAddrV4> {
    /// Where it listens.
    pub addr: A,
    /// Where the claim comes from.
    pub source: Source,
    /// Whether it is listed before others.
    pub good: bool,
}

impl<A: Address> Claim<A> {
    /// A peer that registers itself, over a connection from its own address.
    #[must_use]
    pub fn own(addr: A) -> Self {
        Self { addr, source: Source::of(addr.host()), good: false }
    }
}

/// What a subscription did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribed {
    /// The peer was not registered for the file by this source, or not any more.
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
    /// As many registrations of this source as the bound allows.
    #[error("your address has {0} registrations here, which is the most for one address, try again later")]
    Source(usize),
}

/// All registrations of a tracker, of peers in one family.
#[derive(Debug)]
pub struct Registry<A = SocketAddrV4> {
    slots: Pages<Slot<A>>,
    /// The first of the free slots.
    free: Option<u32>,
    /// From cascade hash to slot.
    directory: Index,
    shared: Shared<A>,
    cursor: Cursor,
    swarms: usize,
    bounds: Bounds,
}

#[derive(Debug)]
enum Slot<A = SocketAddrV4> {
    Used(Swarm<A>),
    Free { next: Option<u32> },
}

const _: () = assert!(size_of::<Slot>() <= 56, "memory per swarm is promised");

/// Where the sweep goes on.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    slot: u32,
    position: u32,
}

impl<A: Address> Registry<A> {
    /// An empty registry.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            slots: Pages::new(),
            free: None,
            directory: Index::new(),
            shared: Shared::new(),
            cursor: Cursor::default(),
            swarms: 0,
            bounds,
        }
    }

    /// Number of registrations, lapsed ones that were not met yet among them.
    #[must_use]
    pub const fn peers(&self) -> usize {
        self.shared.ledger.total()
    }

    /// Number of files with registrations.
    #[must_use]
    pub const fn swarms(&self) -> usize {
        self.swarms
    }

    /// Registers a peer for the file, or renews its registration. Where its source has used up what it
    /// may register for one file, its oldest registration ends. `now` is in seconds of a clock that
    /// never goes back.
    ///
    /// # Errors
    /// The peer is new, and its source has used up its share; or the registry is full, also after
    /// removing some lapsed peers.
    pub fn subscribe(
        &mut self,
        file: &CascadeHash,
        claim: Claim<A>,
        now: u32,
    ) -> Result<Subscribed, RegistryFull> {
        let Claim { addr, source, good } = claim;
        let (key, member) = (Key { source, good }, Member::new(addr, now));
        let (found, mut place) = (self.find(file), Place::NoGroup);
        if let Some(slot) = found
            && let Some(Slot::Used(swarm)) = self.slots.get_mut(slot as usize)
        {
            let shared = &mut self.shared;
            let allowance =
                Allowance { peers: self.bounds.source_swarm_peers, ports: self.bounds.source_ports };
            // It may change its rank.
            swarm.take(Key { good: !good, ..key }, addr, shared);
            match swarm.renew_or_replace(key, member, allowance, shared) {
                Ok(done) => return Ok(done),
                Err(room) => place = room,
            }
            self.drop_if_empty(slot);
        }
        let slot = self.make_room(file, found, source, now)?;
        if let Some(Slot::Used(swarm)) = self.slots.get_mut(slot as usize) {
            swarm.add(key, member, place, &mut self.shared);
        }
        Ok(Subscribed::New)
    }

    /// Fills `list` (which it clears) with at most [`LIST_MAX`] live peers of the file but `asker`:
    /// good peers first, otherwise in random order, drawn over sources; where it knows networks, up to half of the list
    /// are peers near the asker, and these and others take turns. `now` and the times in the list are in seconds of the
    /// clock of [`Registry::subscribe`].
    pub fn list(
        &mut self,
        file: &CascadeHash,
        asker: impl Into<Asker<A>>,
        now: u32,
        rng: &mut fastrand::Rng,
        list: &mut Vec<A::Entry>,
    ) {
        list.clear();
        let Some(slot) = self.find(file) else { return };
        let Some(Slot::Used(swarm)) = self.slots.get_mut(slot as usize) else { return };
        let Asker { addr, host } = asker.into();
        let network = self.shared.networks.as_ref().zip(host).map(|(networks, host)| networks.of(host));
        sample::sample(swarm, draw::Asker { addr, now, network }, &mut self.shared, rng, list);
        self.drop_if_empty(slot);
    }

    /// Looks for lapsed peers where the last sweep stopped, and removes them. One unit of `work` is a
    /// look at one peer (some nanoseconds); a removal of a source from a swarm counts as sixteen. The
    /// last step may go beyond `work` by the peers of one source. Returns the number removed.
    pub fn sweep(&mut self, now: u32, work: u32) -> usize {
        let before = self.peers();
        let mut left = work;
        // One round at most, however little there is.
        let mut slots_left = self.slots.len() + 1;
        while left > 0 && slots_left > 0 && self.peers() > 0 {
            let at = self.cursor;
            match self.slots.get_mut(at.slot as usize) {
                Some(Slot::Used(swarm)) if at.position < swarm.len() => {
                    let purged = swarm.purge(at.position, now, &mut self.shared);
                    left = left.saturating_sub(purged.looked);
                    if purged.gone {
                        left = left.saturating_sub(REMOVAL_COST);
                        self.drop_if_empty(at.slot);
                    } else {
                        self.cursor.position += 1;
                    }
                }
                Some(Slot::Used(_) | Slot::Free { .. }) | None => {
                    left -= 1;
                    let next = at.slot + 1;
                    let slot = if (next as usize) < self.slots.len() { next } else { 0 };
                    self.cursor = Cursor { slot, position: 0 };
                    slots_left -= 1;
                }
            }
        }
        before - self.peers()
    }

    /// The slot of the file, after looking that one more registration of `source` fits there. `found` is where it was.
    fn make_room(
        &mut self,
        file: &CascadeHash,
        found: Option<u32>,
        source: Source,
        now: u32,
    ) -> Result<u32, RegistryFull> {
        if self.shared.ledger.of(source) >= self.bounds.source_peers {
            return Err(RegistryFull::Source(self.bounds.source_peers));
        }
        if self.peers() >= self.bounds.peers || self.swarms >= self.bounds.swarms {
            self.sweep(now, FULL_SWEEP);
        }
        if self.peers() >= self.bounds.peers {
            return Err(RegistryFull::Peers(self.bounds.peers));
        }
        // It may have ended since.
        match found.filter(|slot| self.is_at(*slot, file)) {
            Some(slot) => Ok(slot),
            None if self.swarms >= self.bounds.swarms => Err(RegistryFull::Swarms(self.bounds.swarms)),
            None => Ok(self.add_swarm(*file)),
        }
    }

    fn find(&self, file: &CascadeHash) -> Option<u32> {
        self.directory.find(self.shared.keys.hash_one(file), |slot| self.is_at(slot, file))
    }

    fn is_at(&self, slot: u32, file: &CascadeHash) -> bool {
        matches!(self.slots.get(slot as usize), Some(Slot::Used(swarm)) if swarm.hash == *file)
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

/// Whether a registration of the second `subscribed` is too old at `now`. One from the future (a clock
/// that was set back after all) is not.
const fn is_lapsed(subscribed: u32, now: u32) -> bool {
    now.saturating_sub(subscribed) > LIFETIME_SECS
}

fn hash_at<A: Address>(slots: &Pages<Slot<A>>, slot: u32, keys: &RandomState) -> u64 {
    match slots.get(slot as usize) {
        Some(Slot::Used(swarm)) => keys.hash_one(swarm.hash),
        Some(Slot::Free { .. }) | None => 0,
    }
}

#[cfg(test)]
mod floods;
#[cfg(test)]
mod nearby;
#[cfg(test)]
mod tests;
