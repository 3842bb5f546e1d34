//! Why a link is idle.

use super::node::{Client, Node};
use super::node_id::NodeId;
use super::{HEAD_START, World};
use crate::idle::{Reason, Sample};
use crate::units::{Nanos, seconds};

impl World {
    /// How a peer's links were used in the last `span`, and why they were not used for the rest.
    pub(super) fn sample(&self, id: NodeId, span: Nanos, up: f64, down: f64) -> Sample {
        let node = &self.nodes[id];
        Sample {
            peer: id.0 as usize,
            at: seconds(self.now.saturating_sub(HEAD_START)),
            span: seconds(span),
            up: (up, self.why_uplink_is_idle(node)),
            down: node.is_downloading().then(|| (down, self.why_downlink_is_idle(node))),
            blocks: node.have.count(),
        }
    }

    fn why_uplink_is_idle(&self, node: &Node) -> Reason {
        if node.slices.as_ref().unwrap_or(&node.have).count() == 0 {
            return Reason::HasNothing;
        }
        if !node.up.has_nothing_to_send() {
            return Reason::ReceiversFull;
        }
        let lacks = |other: &Node| {
            let layout = self.sliced.as_ref().unwrap_or(&self.layout);
            other.is_downloading()
                && layout.iter().any(|block| {
                    node.has(block, self.sliced.is_some()) && !other.has(block, self.sliced.is_some())
                })
        };
        if self.nodes.0.iter().any(lacks) { Reason::NobodyAsks } else { Reason::NobodyLacks }
    }

    fn why_downlink_is_idle(&self, node: &Node) -> Reason {
        if !self.has_asked(node) {
            return Reason::AsksNothing;
        }
        let comes = match &node.client {
            Client::Ours(ours) => ours
                .links
                .iter()
                .filter_map(|(_, conn)| self.conns.get(*conn))
                .any(|conn| conn.sending.is_some() || conn.in_flight > 0),
            Client::Field(_) | Client::None => true,
        };
        if comes { Reason::SendersShared } else { Reason::NothingComes }
    }
}
