//! The peers that one source has registered in one swarm.
//!
//! Nearly every source has one peer in a swarm, and that one stands in the [`Group`] itself. More of
//! them are a [`Crowd`], in a pool beside.

use super::address::Address;
use super::is_lapsed;
use super::pages::Pages;
use super::source::Source;
use std::net::SocketAddrV4;

/// One registered peer, 10 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<A = SocketAddrV4> {
    pub(super) addr: A,
    subscribed: [u8; 4],
}

/// The peers of one source, 14 bytes. Whether they are good, its position in the swarm tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group<A = SocketAddrV4> {
    source: [u8; 4],
    /// The only member; or, with the time [`CROWD`], a crowd, whose index is where the address is.
    member: Member<A>,
}

const _: () = assert!(size_of::<Group>() == 14, "memory per peer is promised");

/// A time of subscription that no member has.
const CROWD: u32 = u32::MAX;

/// The end of the list of free crowds.
const NONE: u32 = u32::MAX;

/// Two or more members of one source, in no order.
#[derive(Debug)]
pub(super) struct Crowd<A = SocketAddrV4> {
    pub(super) members: Vec<Member<A>>,
    /// No member has subscribed before; perhaps all did later. In a free crowd: the next free one.
    oldest: u32,
}

/// All crowds.
#[derive(Debug)]
pub(super) struct Crowds<A = SocketAddrV4> {
    crowds: Pages<Crowd<A>>,
    free: u32,
}

impl<A> Member<A> {
    /// `subscribed` is in seconds of the caller's clock.
    pub(super) const fn new(addr: A, subscribed: u32) -> Self
    where
        A: Copy,
    {
        let subscribed = if subscribed == CROWD { CROWD - 1 } else { subscribed };
        Self { addr, subscribed: subscribed.to_be_bytes() }
    }

    /// When it last subscribed, in seconds of the caller's clock.
    pub(super) const fn subscribed(&self) -> u32 {
        u32::from_be_bytes(self.subscribed)
    }

    /// Whether it has not lapsed.
    pub(super) const fn is_live(&self, now: u32) -> bool {
        !is_lapsed(self.subscribed(), now)
    }
}

impl<A: Address> Group<A> {
    /// A group of one.
    pub(super) const fn one(source: Source, member: Member<A>) -> Self {
        Self { source: source.to_bytes(), member }
    }

    /// A group whose members are crowd number `index`.
    pub(super) fn crowd(source: Source, index: u32) -> Self {
        let addr = A::from_number(index);
        Self { source: source.to_bytes(), member: Member { addr, subscribed: CROWD.to_be_bytes() } }
    }

    /// Whose members these are.
    pub(super) const fn source(&self) -> Source {
        Source::from_bytes(self.source)
    }

    /// The index of the crowd, where this is one.
    pub(super) fn crowd_index(&self) -> Option<u32> {
        if self.member.subscribed() == CROWD { Some(self.member.addr.number()) } else { None }
    }

    /// The only member, where this is no crowd.
    pub(super) const fn member(&self) -> &Member<A> {
        &self.member
    }

    /// The same, to be changed.
    pub(super) const fn member_mut(&mut self) -> &mut Member<A> {
        &mut self.member
    }

    /// The only member, unless this is a crowd or the member has lapsed: the quick way to most members.
    pub(super) fn live_member(&self, now: u32) -> Option<Member<A>> {
        let live = self.crowd_index().is_none() && !is_lapsed(self.member.subscribed(), now);
        live.then_some(self.member)
    }
}

impl<A> Crowd<A> {
    pub(super) fn push(&mut self, member: Member<A>) {
        self.oldest = self.oldest.min(member.subscribed());
        self.members.push(member);
    }

    /// One of the members has this time now, which may be before that of any other.
    pub(super) fn lower(&mut self, subscribed: u32) {
        self.oldest = self.oldest.min(subscribed);
    }

    /// Whether members may have lapsed. Where this is wrong, [`Crowd::purge`] sets it right.
    pub(super) const fn may_have_lapsed(&self, now: u32) -> bool {
        is_lapsed(self.oldest, now)
    }

    /// Removes the lapsed members; returns how many.
    pub(super) fn purge(&mut self, now: u32) -> u32 {
        let before = self.members.len();
        self.members.retain(|member| !is_lapsed(member.subscribed(), now));
        self.oldest = self.members.iter().map(Member::subscribed).min().unwrap_or(now);
        if self.members.len() < self.members.capacity() / 4 {
            self.members.shrink_to(self.members.len() * 2);
        }
        u32::try_from(before - self.members.len()).unwrap_or(u32::MAX)
    }
}

impl<A> Crowds<A> {
    pub(super) const fn new() -> Self {
        Self { crowds: Pages::new(), free: NONE }
    }

    pub(super) fn get(&self, index: u32) -> Option<&Crowd<A>> {
        self.crowds.get(index as usize)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Crowd<A>> {
        self.crowds.get_mut(index as usize)
    }

    /// Adds a crowd of two; returns its index.
    pub(super) fn add(&mut self, first: Member<A>, second: Member<A>) -> u32 {
        let oldest = first.subscribed().min(second.subscribed());
        let crowd = Crowd { members: vec![first, second], oldest };
        let index = self.free;
        if let Some(place) = self.crowds.get_mut(index as usize) {
            self.free = place.oldest;
            *place = crowd;
            return index;
        }
        self.crowds.push(crowd);
        u32::try_from(self.crowds.len() - 1).unwrap_or(NONE)
    }

    /// Frees a crowd and what its members take.
    pub(super) fn remove(&mut self, index: u32) {
        if let Some(place) = self.crowds.get_mut(index as usize) {
            *place = Crowd { members: Vec::new(), oldest: self.free };
            self.free = index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(port: u16, subscribed: u32) -> Member {
        Member::new(SocketAddrV4::new([10, 0, 0, 1].into(), port), subscribed)
    }

    #[test]
    fn a_group_is_one_member_or_a_crowd() {
        let source = Source::of([127, 0, 0, 1].into());
        for subscribed in [0, 1, u32::MAX - 1, u32::MAX] {
            let one = Group::one(source, member(7, subscribed));
            assert_eq!((one.crowd_index(), one.member().addr.port()), (None, 7), "{subscribed}");
            assert_eq!(one.source(), source);
        }
        for index in [0, 1, 1 << 31, u32::MAX] {
            assert_eq!(Group::<SocketAddrV4>::crowd(source, index).crowd_index(), Some(index));
        }
    }

    #[test]
    fn crowds_are_used_again() {
        let mut crowds = Crowds::new();
        let numbers: Vec<u32> = (0..5).map(|n| crowds.add(member(n, 1), member(n + 100, 1))).collect();
        crowds.remove(numbers[1]);
        crowds.remove(numbers[3]);
        assert_eq!(crowds.add(member(8, 1), member(9, 1)), numbers[3]);
        assert_eq!(crowds.add(member(8, 1), member(9, 1)), numbers[1]);
        assert_eq!(crowds.add(member(8, 1), member(9, 1)), 5);
        assert_eq!(crowds.get(numbers[2]).unwrap().members[1].addr.port(), 102);
    }

    #[test]
    fn a_crowd_loses_what_has_lapsed_and_knows_its_oldest() {
        let mut crowds = Crowds::new();
        let index = crowds.add(member(0, 1000), member(1, 1001));
        let crowd = crowds.get_mut(index).unwrap();
        (2..1000).for_each(|n| crowd.push(member(n, 1000 + u32::from(n))));
        assert!(!crowd.may_have_lapsed(2800) && crowd.may_have_lapsed(2801));
        assert_eq!((crowd.purge(2801), crowd.members.len()), (1, 999));
        assert!(!crowd.may_have_lapsed(2801));
        assert_eq!((crowd.purge(3700), crowd.members.len()), (899, 100));
        assert!(crowd.members.capacity() < 500, "{} places are kept", crowd.members.capacity());
    }
}
