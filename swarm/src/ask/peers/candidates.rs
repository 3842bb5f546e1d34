//! Which of the known peers deserves the next link.

use super::Peers;
use super::hosts::HostId;
use super::origin::Origins;
use super::outline::{Outline, Rank};
use super::peer::Peer;
use crate::Time;
use crate::ask::Random;
use crate::ask::earliest::Earliest;
use core::cell::LazyCell;

/// Which peers may be given a link.
#[derive(Debug, Clone, Copy)]
pub(in crate::ask) struct Wanted {
    /// Only those that have a link to this peer.
    pub(in crate::ask) mutual: bool,
    /// Only those that have spoken the protocol, or that the user named.
    pub(in crate::ask) known: bool,
    /// Whether those count whose links are opened with a request; see [`Wanted::with_request`].
    pub(in crate::ask) asked: bool,
    /// Nothing flows.
    pub(in crate::ask) quiet: bool,
    /// Whether those count of which it is not known what they will be asked for when the link is made.
    pub(in crate::ask) fresh: bool,
}

impl Wanted {
    /// Everybody.
    pub(in crate::ask) const ANY: Self =
        Self { mutual: false, known: false, asked: true, quiet: false, fresh: true };

    /// Whether a link to the peer is opened only with a block to ask for: it closes after each answer, or it speaks
    /// where nothing flows (`quiet`), and a silent one might be connected sooner and get the block.
    pub(in crate::ask) fn with_request(peer: &Peer, quiet: bool) -> bool {
        peer.habits.closes() || (quiet && peer.speaks_plainly())
    }

    fn fits(&self, peer: &Outline) -> bool {
        let with_request = peer.closes || (self.quiet && peer.plain);
        (!self.mutual || peer.mutual)
            && (!self.known || peer.shown)
            && (self.asked || !with_request)
            && (self.fresh || peer.closes || peer.may_tell)
    }
}

impl Peers {
    /// The peer that deserves the next link now.
    pub(in crate::ask) fn next_to_connect(
        &mut self,
        now: Time,
        wanted: Wanted,
        random: &mut Random,
    ) -> Option<usize> {
        let outlines = self.outlines.refresh(&self.peers, &self.hosts);
        let rivals = LazyCell::new(|| rivals(outlines));
        let rank = |peer: &Outline| -> Rank {
            let fewest = peer.origins.iter().filter_map(|kind| rivals.get(kind)).min();
            peer.rank(fewest.copied().unwrap_or(0))
        };
        let due = |(_, peer): &(usize, &Outline)| peer.from <= now && wanted.fits(peer);
        // A fair draw among the best, in one pass.
        let (mut best, mut equals): (Option<(Rank, usize)>, u64) = (None, 0);
        for (index, peer) in outlines.iter().enumerate().filter(due) {
            let rank = rank(peer);
            if best.is_none_or(|(other, _)| rank < other) {
                (best, equals) = (Some((rank, index)), 1);
            } else if best.is_some_and(|(other, _)| rank == other) {
                equals += 1;
                if random().is_multiple_of(equals) {
                    best = Some((rank, index));
                }
            }
        }
        best.map(|(_, index)| index)
    }

    /// A host on which a silent port waits for a link until there is room beside the others.
    pub(in crate::ask) fn crowded_host(&mut self, now: Time, wanted: Wanted) -> Option<HostId> {
        let hosts = &self.hosts;
        let outlines = self.outlines.refresh(&self.peers, hosts);
        let crowded = |(peer, outline): &(&Peer, &Outline)| {
            let waits = !outline.shown && wanted.fits(outline) && peer.due_at() <= now;
            waits && !hosts.has_room(peer.host()) && hosts.try_at(peer.host()) <= now
        };
        self.peers.iter().zip(outlines).find(crowded).map(|(peer, _)| peer.host())
    }

    /// When a peer is due for a link (if there is `room` for one), or ends a pause.
    pub(in crate::ask) fn wakeups(&mut self, now: Time, room: bool, next: &mut Earliest) {
        self.outlines.wakeups(&self.peers, &self.hosts, now, room, next);
    }
}

/// For each way by which peers were heard of, the links to those that never spoke.
fn rivals(outlines: &[Outline]) -> [u32; Origins::KINDS] {
    let mut rivals = [0; Origins::KINDS];
    for peer in outlines.iter().filter(|peer| peer.links > 0 && !peer.spoken) {
        for kind in peer.origins.iter() {
            if let Some(count) = rivals.get_mut(kind) {
                *count += peer.links;
            }
        }
    }
    rivals
}
