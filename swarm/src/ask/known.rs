//! What a download knows of its swarm: the common ground of all that decides.

use super::action::Action;
use super::blocks::Blocks;
use super::links::{Asked, Link, LinkId, Links, Rarity};
use super::peers::Peers;
use super::tuning::Tuning;
use crate::Time;
use crate::meter::Meter;
use alloc::boxed::Box;
use cascade_format::{Block, Have, Layout};
use core::time::Duration;

/// A source of random numbers; a simulation passes a seeded one.
pub type Random = Box<dyn FnMut() -> u64 + Send + Sync>;

/// What arrives, on all links together.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) received: Meter,
    /// How long the first byte of an answer takes, as a mean of late.
    pub(super) usual_wait: Duration,
    /// When progress was made last, on any link.
    pub(super) last_progress: Time,
    /// When a block was verified last.
    pub(super) last_verified: Time,
    /// See [`held_up`](super::held_up).
    pub(super) held_up_until: Time,
}

/// What is known of the swarm.
pub(super) struct Known {
    pub(super) tuning: &'static Tuning,
    pub(super) blocks: Blocks,
    pub(super) peers: Peers,
    pub(super) links: Links,
    pub(super) rarity: Rarity,
    pub(super) flow: Flow,
    pub(super) random: Random,
    /// Something has happened that may concern every link, or every peer.
    pub(super) changed: bool,
    /// A block is done with: there may be room for another, on any link.
    pub(super) refill: bool,
}

impl Known {
    pub(super) fn new(tuning: &'static Tuning, layout: Layout, have: &Have, random: Random) -> Self {
        Self {
            tuning,
            blocks: Blocks::new(layout, have),
            peers: Peers::new(tuning),
            links: Links::new(tuning),
            rarity: Rarity::default(),
            flow: Flow::default(),
            random,
            changed: true,
            refill: false,
        }
    }

    /// Whether a linked peer that knows the extension has only some blocks.
    pub(super) fn has_telling_leechers(&self) -> bool {
        self.rarity.partial > 0
    }

    /// Whether no block is missing: all are verified or asked for.
    pub(super) fn all_asked(&self) -> bool {
        self.blocks.missing_bytes() == 0
    }

    /// Whether every block is verified or asked for. Of a block that is divided into slices, one slice is enough: those
    /// behind it follow on the same link.
    pub(super) fn all_begun(&self) -> bool {
        self.blocks.none_at_rest()
    }

    /// Whether no progress was made on any link for a while.
    pub(super) fn nothing_flows(&self, now: Time) -> bool {
        now >= self.flow.last_progress + self.tuning.stall_after
    }

    /// Puts what is missing in flight on a link, and asks for it.
    pub(super) fn request(&mut self, now: Time, link: LinkId, asked: Asked) -> Option<Action> {
        self.links.get(link)?;
        self.take(now, link, asked);
        Some(self.request_of(link, asked))
    }

    /// The request for what was [taken](Self::take).
    pub(super) fn request_of(&self, link: LinkId, asked: Asked) -> Action {
        Action::Request { link, blocks: alloc::vec![asked.block], sliced: self.is_sliced(asked) }
    }

    /// Whether it is asked for by the name of the slices.
    pub(super) fn is_sliced(&self, asked: Asked) -> bool {
        self.blocks.are_sliced() && !asked.whole
    }

    /// Puts what is missing in flight on a link.
    pub(super) fn take(&mut self, now: Time, link: LinkId, asked: Asked) {
        self.blocks.take(asked.block, link, asked.whole);
        self.links.requested(now, link, asked, self.flow.usual_wait);
    }

    /// What is asked for to get the block; `sliced`: the slice alone.
    pub(super) fn asked(&self, block: Block, sliced: bool) -> Asked {
        if sliced || !self.blocks.are_sliced() {
            return Asked { block, whole: false, length: self.blocks.layout().len_of(block) };
        }
        Asked {
            block: self.blocks.name_of_whole(block),
            whole: true,
            length: self.blocks.len_of_whole(block),
        }
    }

    /// Ends a link that is no more worth having.
    pub(super) fn close(&mut self, link: LinkId) -> Option<Action> {
        self.changed = true;
        self.remove(link).map(|_| Action::Close { link })
    }

    /// A link is no more: what it had in flight is missing again.
    pub(super) fn remove(&mut self, link: LinkId) -> Option<Link> {
        let state = self.links.remove(link)?;
        self.peers.link_ended(state.peer);
        self.peers.get_mut(state.peer).remember_pace(state.pipeline.pace());
        if let Some(have) = state.told.as_ref().and_then(|told| told.part()) {
            self.rarity.leaves(self.blocks.layout(), have);
        }
        let mut any = false;
        for Asked { block, whole, .. } in state.requests.wanted() {
            any |= self.blocks.give_back(block, link, whole);
        }
        if any {
            self.links.wake_all();
        }
        Some(state)
    }
}
