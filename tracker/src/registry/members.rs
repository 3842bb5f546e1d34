//! What happens to the peers of a swarm's groups.
//!
//! A registration belongs to the source that made it: nobody else can renew it, replace it or bring
//! about its end. So one address and port may be registered by several sources; lists show it once.

use super::address::Address;
use super::group::{Group, Member};
use super::source::Source;
use super::swarm::{Key, Shared, Swarm};
use super::{Subscribed, is_lapsed};

/// What one source may register in one swarm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Peers.
    pub(super) peers: usize,
    /// Of them, those with one address that is not the source's.
    pub(super) ports: usize,
}

/// Where there is room for one more peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a new group: the source has none in the swarm.
    NoGroup,
    /// In the source's group.
    Group,
}

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Purged {
    /// Members that it looked at.
    pub(super) looked: u32,
    /// Members that had lapsed and were removed.
    pub(super) removed: u32,
    /// Whether the group is gone; another may be at its position now.
    pub(super) gone: bool,
}

impl<A: Address> Swarm<A> {
    /// The members of the group at `position`.
    pub(super) fn members<'s>(&'s self, position: u32, shared: &'s Shared<A>) -> &'s [Member<A>] {
        let Some(group) = self.get(position, shared) else { return &[] };
        match group.crowd_index() {
            None => std::slice::from_ref(group.member()),
            Some(index) => shared.crowds.get(index).map_or(&[], |crowd| &crowd.members),
        }
    }

    /// The same, to be changed.
    pub(super) fn members_mut<'s>(
        &'s mut self,
        position: u32,
        shared: &'s mut Shared<A>,
    ) -> &'s mut [Member<A>] {
        match self.get(position, shared).map(Group::crowd_index) {
            None => &mut [],
            Some(None) => match self.get_mut(position, shared) {
                Some(group) => std::slice::from_mut(group.member_mut()),
                None => &mut [],
            },
            Some(Some(index)) => match shared.crowds.get_mut(index) {
                Some(crowd) => &mut crowd.members,
                None => &mut [],
            },
        }
    }

    /// Registers a member where the source has registered it before, or in the place of its oldest one
    /// where it has used up its allowance: the oldest of all, or of those with the same address.
    ///
    /// # Errors
    /// There is room for one more.
    pub(super) fn renew_or_replace(
        &mut self,
        key: Key,
        new: Member<A>,
        allowance: Allowance,
        shared: &mut Shared<A>,
    ) -> Result<Subscribed, Place> {
        let (position, now) = (self.find(key, shared).ok_or(Place::NoGroup)?, new.subscribed());
        let is_it = |member: &&mut Member<A>| member.addr == new.addr;
        if let Some(member) = self.members_mut(position, shared).iter_mut().find(is_it) {
            let lapsed = is_lapsed(member.subscribed(), now);
            *member = new;
            self.lower(position, now, shared);
            return Ok(if lapsed { Subscribed::New } else { Subscribed::Renewed });
        }
        if self.purge(position, now, shared).gone {
            return Err(Place::NoGroup);
        }
        let members = self.members_mut(position, shared);
        let same_ip = |member: &&mut Member<A>| member.addr.same_ip(new.addr);
        let victim = if !new.addr.is_own_of(key.source)
            && members.iter_mut().filter(same_ip).count() >= allowance.ports
        {
            members.iter_mut().filter(same_ip).min_by_key(|member| member.subscribed())
        } else if members.len() >= allowance.peers {
            members.iter_mut().min_by_key(|member| member.subscribed())
        } else {
            None
        };
        *victim.ok_or(Place::Group)? = new;
        self.lower(position, now, shared);
        Ok(Subscribed::New)
    }

    /// A registration that is taken over after a restart may be older than one that is there.
    fn lower(&self, position: u32, subscribed: u32, shared: &mut Shared<A>) {
        let index = self.get(position, shared).and_then(Group::crowd_index);
        if let Some(crowd) = index.and_then(|index| shared.crowds.get_mut(index)) {
            crowd.lower(subscribed);
        }
    }

    /// Removes the last group, with all of its members; returns how many they were.
    pub(super) fn end_last(&mut self, shared: &mut Shared<A>) -> u32 {
        let Some(position) = self.len().checked_sub(1) else { return 0 };
        let Some(group) = self.get(position, shared).copied() else { return 0 };
        let members = u32::try_from(self.members(position, shared).len()).unwrap_or(u32::MAX);
        if let Some(index) = group.crowd_index() {
            shared.crowds.remove(index);
        }
        self.remove(position, shared);
        shared.ledger.remove(group.source(), members);
        members
    }

    /// Adds a member, which is not in its group yet. Where there was a group, it may have ended since.
    pub(super) fn add(&mut self, key: Key, member: Member<A>, place: Place, shared: &mut Shared<A>) {
        shared.ledger.add(key.source);
        let group = if place == Place::Group { self.find(key, shared) } else { None };
        let Some(position) = group else {
            return self.insert(Group::one(key.source, member), key.good, shared);
        };
        match self.get(position, shared).copied() {
            None => {}
            Some(group) => match group.crowd_index() {
                None => {
                    let index = shared.crowds.add(*group.member(), member);
                    self.put(position, Group::crowd(key.source, index), shared);
                }
                Some(index) => {
                    if let Some(crowd) = shared.crowds.get_mut(index) {
                        crowd.push(member);
                    }
                }
            },
        }
    }

    /// Removes the member with this address, if it is there.
    pub(super) fn take(&mut self, key: Key, addr: A, shared: &mut Shared<A>) {
        let Some(position) = self.find(key, shared) else { return };
        let Some(at) = self.members(position, shared).iter().position(|member| member.addr == addr) else {
            return;
        };
        shared.ledger.remove(key.source, 1);
        match self.get(position, shared).and_then(Group::crowd_index) {
            None => self.remove(position, shared),
            Some(index) => {
                if let Some(crowd) = shared.crowds.get_mut(index) {
                    crowd.members.swap_remove(at);
                }
                self.settle(position, key.source, index, shared);
            }
        }
    }

    /// Removes the lapsed members of the group at `position`.
    pub(super) fn purge(&mut self, position: u32, now: u32, shared: &mut Shared<A>) -> Purged {
        let nothing = Purged { looked: 1, removed: 0, gone: false };
        let Some(group) = self.get(position, shared).copied() else { return nothing };
        let Some(index) = group.crowd_index() else {
            if !is_lapsed(group.member().subscribed(), now) {
                return nothing;
            }
            self.remove(position, shared);
            shared.ledger.remove(group.source(), 1);
            return Purged { looked: 1, removed: 1, gone: true };
        };
        let Some(crowd) = shared.crowds.get_mut(index).filter(|crowd| crowd.may_have_lapsed(now)) else {
            return nothing;
        };
        let looked = u32::try_from(crowd.members.len()).unwrap_or(u32::MAX);
        let removed = crowd.purge(now);
        shared.ledger.remove(group.source(), removed);
        Purged { looked, removed, gone: self.settle(position, group.source(), index, shared) }
    }

    /// Makes a crowd that has shrunk to one member, or none, what it is. Returns whether it is gone.
    fn settle(&mut self, position: u32, source: Source, index: u32, shared: &mut Shared<A>) -> bool {
        let Some(crowd) = shared.crowds.get(index) else { return false };
        let last = match crowd.members.as_slice() {
            [] => None,
            [last] => Some(*last),
            [..] => return false,
        };
        shared.crowds.remove(index);
        match last {
            None => self.remove(position, shared),
            Some(last) => self.put(position, Group::one(source, last), shared),
        }
        last.is_none()
    }

    fn put(&mut self, position: u32, group: Group<A>, shared: &mut Shared<A>) {
        if let Some(place) = self.get_mut(position, shared) {
            *place = group;
        }
    }
}
