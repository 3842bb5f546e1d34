//! As what a block may be requested on a link: as it is, as a slice, or as a whole block that is divided into slices.
//!
//! Slices can be passed on as soon as each has arrived, so they are what leechers want of each other. A whole block takes
//! fewer requests and no work of its server. So where every link leads to a seeder, or more than
//! [`fast_rate`](crate::ask::Tuning::fast_rate) arrives, whole blocks are requested; and of a peer that does not give slices,
//! always.

use crate::Time;
use crate::ask::blocks::Blocks;
use crate::ask::known::Known;
use crate::ask::links::{Asked, Link, LinkId};
use crate::ask::peers::Peer;
use cascade_format::{Block, Have};

/// As what a block is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// As a slice; or as a block, where blocks are not divided.
    Each,
    /// As a whole block, of which nothing is there or in flight.
    Untouched,
    /// As a whole block, of which nothing is in flight. What is there of it comes again.
    Rest,
}

impl Way {
    /// The ways in which the link may be asked, the best one first.
    pub(super) fn of(known: &Known, link: &Link) -> &'static [Self] {
        if !known.blocks.are_sliced() {
            return &[Self::Each];
        }
        let pays = known.has_telling_leechers() && known.flow.received.rate() < known.tuning.fast_rate;
        match link.gives_slices() {
            true if pays => &[Self::Each],
            true => &[Self::Untouched, Self::Each],
            false => &[Self::Untouched, Self::Rest],
        }
    }

    /// What is asked for to get `block` in this way.
    pub(super) fn asked(self, known: &Known, block: Block) -> Asked {
        known.asked(block, self == Self::Each)
    }
}

/// Whether a link may be asked for a block in some way.
pub(super) struct MayAsk<'a> {
    pub(super) way: Way,
    pub(super) now: Time,
    pub(super) id: LinkId,
    pub(super) link: &'a Link,
    pub(super) peer: &'a Peer,
}

impl MayAsk<'_> {
    /// Whether `block`, which is missing, may be asked for; `have`: what the peer has, if it does not have everything.
    pub(super) fn allows(&self, blocks: &Blocks, have: Option<&Have>, block: Block) -> bool {
        let name = if self.way == Way::Each { block } else { blocks.name_of_whole(block) };
        let fits = match self.way {
            Way::Each => {
                let told = self.link.told.as_ref();
                let now =
                    told.is_none_or(|told| told.gives_slices_of(self.now, blocks.layout().block_of(block)));
                now && blocks.can_be_verified(block, Some(self.id))
            }
            Way::Untouched => blocks.is_untouched(block) && blocks.is_all_in(have, block),
            Way::Rest => blocks.is_at_rest(block) && blocks.is_all_in(have, block),
        };
        fits && self.peer.may_have(self.now, name) && !self.link.requests.owes_unwanted(name)
    }
}
