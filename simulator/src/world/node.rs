//! One peer.

use super::field::Field;
use super::line::{Downlink, Uplink};
use super::node_id::NodeId;
use super::slab::ConnId;
use crate::scenario::Habit;
use crate::units::Nanos;
use cascade_format::tracker_wire::Command;
use cascade_format::{Block, Have, Layout, PeerAddr};
use cascade_swarm::ask::announce::Announce;
use cascade_swarm::ask::{LinkId, Plan};
use cascade_swarm::give::{SubscriberId, Upload};
use std::ops::{Index, IndexMut};
use std::time::Duration;

/// Whether a peer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    NotYet,
    There,
    Gone,
}

/// The downloading side of a peer.
pub(super) enum Client {
    /// Our plan.
    Ours(Box<Ours>),
    /// A program of the field.
    Field(Box<Field>),
    /// It downloads nothing, or nothing more.
    None,
}

/// Our plan and its links.
pub(super) struct Ours {
    pub(super) plan: Plan,
    /// In the order of their numbers.
    pub(super) links: Vec<(LinkId, ConnId)>,
    /// How many of the peers that have asked this one the plan was told of …
    pub(super) asking_peers: u64,
    /// … and how many of the hosts that have asked without the marker.
    pub(super) asking_hosts: u64,
    pub(super) tick: Nanos,
    pub(super) hungry: bool,
}

/// Our serving side: of the file, and of its slices if its blocks are divided.
pub(super) struct Serving {
    pub(super) names: Vec<Named>,
}

/// What is given by one name, and the connections of its subscribers.
pub(super) struct Named {
    pub(super) upload: Upload,
    /// In the order of their numbers.
    pub(super) subscribers: Vec<(SubscriberId, ConnId)>,
}

/// Sums of one peer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    /// Bytes of blocks that left.
    pub(super) sent: u64,
    /// Bytes of blocks that arrived and were there already.
    pub(super) duplicate: u64,
    /// Most connections that it asked on at one time.
    pub(super) links: usize,
    pub(super) busy_up: Nanos,
    pub(super) busy_down: Nanos,
}

/// One peer.
pub(super) struct Node {
    pub(super) habit: Habit,
    pub(super) presence: Presence,
    pub(super) start: Nanos,
    /// One way to the middle of the network.
    pub(super) latency: Nanos,
    pub(super) up: Uplink,
    pub(super) down: Downlink,
    pub(super) have: Have,
    /// The slices that it has, if blocks are divided.
    pub(super) slices: Option<Have>,
    pub(super) complete: Option<Nanos>,
    pub(super) client: Client,
    pub(super) serving: Option<Serving>,
    /// Connections that others have made to it.
    pub(super) inbound: Vec<ConnId>,
    pub(super) announce: Announce,
    pub(super) asked_tracker: Option<Command>,
    pub(super) list: Vec<PeerAddr>,
    pub(super) turn_set: bool,
    pub(super) last_turn: Nanos,
    pub(super) wake_set: Nanos,
    pub(super) counters: Counters,
    /// Requests for blocks that are queued here.
    pub(super) queued: usize,
}

impl Node {
    pub(super) fn new(
        layout: &Layout,
        sliced: Option<&Layout>,
        habit: Habit,
        start: Nanos,
        latency: Nanos,
        up: Uplink,
        down: Downlink,
    ) -> Self {
        let seeder = habit == Habit::Seeder;
        Self {
            habit,
            presence: Presence::NotYet,
            start,
            latency,
            up,
            down,
            have: if seeder { Have::all(layout) } else { Have::none(layout) },
            slices: sliced.map(|layout| if seeder { Have::all(layout) } else { Have::none(layout) }),
            complete: None,
            client: Client::None,
            serving: None,
            inbound: Vec::new(),
            announce: Announce::new(true),
            asked_tracker: None,
            list: Vec::new(),
            turn_set: false,
            last_turn: 0,
            wake_set: Nanos::MAX,
            counters: Counters::default(),
            queued: 0,
        }
    }

    /// The peer's own time.
    pub(super) fn time(&self, now: Nanos) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.start))
    }

    /// When time alone changes something for its clients.
    pub(super) fn next_wakeup(&self, time: Duration) -> Option<Nanos> {
        let names = &self.serving.as_ref()?.names;
        let at = names.iter().filter_map(|named| named.upload.next_wakeup(time)).min()?;
        Some(self.world_time(at))
    }

    /// Whether it has the block, or slice.
    pub(super) fn has(&self, block: Block, sliced: bool) -> bool {
        if sliced {
            self.slices.as_ref().is_some_and(|slices| slices.has(block))
        } else {
            self.have.has(block)
        }
    }

    /// A block, or slice, is verified. Returns the slices that are new, and the block, if it is complete now.
    pub(super) fn gets(
        &mut self,
        block: Block,
        sliced: bool,
        layout: Option<&Layout>,
    ) -> (Vec<Block>, Option<Block>) {
        let (Some(layout), Some(slices)) = (layout, &mut self.slices) else {
            return (Vec::new(), self.have.insert(block).then_some(block));
        };
        let whole = if sliced { layout.block_of(block) } else { block };
        let all = layout.slices_of(whole);
        let got = if sliced { block.number()..block.number() + 1 } else { all.clone() };
        let new =
            got.filter_map(|number| layout.block(number)).filter(|slice| slices.insert(*slice)).collect();
        let complete = slices.find(all.clone(), false).is_none_or(|missing| missing >= all.end);
        (new, (complete && self.have.insert(whole)).then_some(whole))
    }

    /// A time of the peer as the world's.
    pub(super) fn world_time(&self, time: Duration) -> Nanos {
        self.start.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Whether it wants the file and does not have it.
    pub(super) fn is_downloading(&self) -> bool {
        self.presence == Presence::There && self.habit.downloads() && self.complete.is_none()
    }
}

/// All peers.
pub(super) struct Nodes(pub(super) Vec<Node>);

impl Nodes {
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.0.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    pub(super) fn exists(&self, id: NodeId) -> bool {
        (id.0 as usize) < self.0.len()
    }
}

impl Index<NodeId> for Nodes {
    type Output = Node;

    #[allow(clippy::indexing_slicing, reason = "peers are never removed; numbers come from this table")]
    fn index(&self, id: NodeId) -> &Node {
        &self.0[id.0 as usize]
    }
}

impl IndexMut<NodeId> for Nodes {
    #[allow(clippy::indexing_slicing, reason = "peers are never removed; numbers come from this table")]
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.0[id.0 as usize]
    }
}
