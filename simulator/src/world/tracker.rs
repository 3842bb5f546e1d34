//! The tracker: its own registry, asked over the network.

use super::World;
use super::event::Event;
use super::node::Client;
use super::node_id::NodeId;
use crate::scenario::Subnets;
use crate::units::{Nanos, SECOND};
use cascade_format::tracker_wire::{Command, PeerEntry};
use cascade_format::{CascadeHash, PeerAddr};
use cascade_swarm::ask::Source;
use cascade_swarm::ask::announce::{Listed, Reply};
use cascade_tracker::registry::{Bounds, Claim, Networks, Registry};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const FILE: CascadeHash = CascadeHash([0x5a; 32]);

/// The tracker's clock at the start of the simulation, in seconds since the UNIX epoch.
const EPOCH: u32 = 1_800_000_000;

/// The registry and its random numbers.
pub(super) struct Tracker {
    registry: Registry,
    rng: fastrand::Rng,
    entries: Vec<PeerEntry>,
    alive: bool,
    subnets: Option<Subnets>,
}

impl Tracker {
    pub(super) fn new(seed: u64, subnets: Option<Subnets>) -> Self {
        let near = subnets.filter(|subnets| subnets.prefer_near);
        let networks = near.map(|subnets| {
            let site = |number| format!("{}/16", Ipv4Addr::from_bits(first_of(number))).parse();
            Arc::new(Networks::of_sites((0..subnets.count).map(|number| site(number).into_iter().collect())))
        });
        Self {
            registry: Registry::new(Bounds::default()).with_networks(networks),
            subnets,
            rng: fastrand::Rng::with_seed(seed),
            entries: Vec::new(),
            alive: true,
        }
    }

    pub(super) fn die(&mut self) {
        self.alive = false;
    }

    pub(super) fn register(&mut self, now: Nanos, addr: PeerAddr) {
        // The bounds are far beyond any simulation.
        let claim = self.known_as(addr).v4().map(Claim::own);
        let _ = claim.map(|claim| self.registry.subscribe(&FILE, claim, seconds(now)));
    }

    /// A peer that knows the extension says goodbye to the tracker.
    pub(super) fn unregister(&mut self, addr: PeerAddr) {
        let claim = self.known_as(addr).v4().map(Claim::own);
        claim.into_iter().for_each(|claim| self.registry.unsubscribe(&FILE, claim));
    }

    fn list(&mut self, now: Nanos, asker: PeerAddr, list: &mut Vec<PeerAddr>) {
        let asker = self.known_as(asker).v4();
        self.registry.list(&FILE, asker, seconds(now), &mut self.rng, &mut self.entries);
        list.clear();
        list.extend(self.entries.iter().map(|entry| self.called(entry.addr.into())));
    }

    /// The address by which it knows a peer: one of its subnet's network, so that it sees who is near.
    fn known_as(&self, addr: PeerAddr) -> PeerAddr {
        let Some((subnets, NodeId(number))) = self.subnets.zip(NodeId::of(addr)) else { return addr };
        let bits = first_of(number % subnets.count) + number / subnets.count;
        PeerAddr::new(IpAddr::V4(Ipv4Addr::from_bits(bits)), addr.port())
    }

    /// The address that the peer has in the world.
    fn called(&self, addr: PeerAddr) -> PeerAddr {
        let Some((subnets, known)) = self.subnets.zip(addr.v4()) else { return addr };
        let bits = known.ip().to_bits();
        let subnet = (bits - first_of(0)) >> 16;
        NodeId((bits & 0xffff) * subnets.count + subnet).addr()
    }
}

/// The first address of a subnet, 10.n.0.0.
const fn first_of(subnet: u32) -> u32 {
    0x0a00_0000 + (subnet << 16)
}

fn seconds(now: Nanos) -> u32 {
    EPOCH.saturating_add(u32::try_from(now / SECOND).unwrap_or(u32::MAX))
}

impl World {
    /// Asks the tracker if it is time to; gives when it will be.
    pub(super) fn announce(&mut self, id: NodeId, hungry: bool) -> Option<Nanos> {
        let now = self.now;
        let node = &mut self.nodes[id];
        let time = node.time(now);
        if let Some(command) = node.announce.poll(time, hungry) {
            node.asked_tracker = Some(command);
            // The tracker is as far away as any peer. A connection takes a round trip, the question half.
            let one_way = node.latency * 2;
            self.events.push(now + one_way * 3, Event::TrackerAsked(id));
        }
        let node = &self.nodes[id];
        node.announce.next_wakeup(hungry).map(|at| node.world_time(at))
    }

    pub(super) fn tracker_asked(&mut self, id: NodeId) {
        let (now, node) = (self.now, &mut self.nodes[id]);
        let ok = self.tracker.alive;
        if ok {
            if node.asked_tracker == Some(Command::Subscribe) {
                self.tracker.register(now, id.addr());
            }
            self.tracker.list(now, id.addr(), &mut node.list);
        }
        self.events.push(now + node.latency * 2, Event::TrackerAnswer { node: id, ok });
    }

    pub(super) fn tracker_answer(&mut self, id: NodeId, ok: bool) {
        let now = self.now;
        let node = &mut self.nodes[id];
        let time = node.time(now);
        if let Some(command) = node.asked_tracker.take() {
            let listed = Listed { peers: node.list.len(), subscribed: None };
            let reply = if ok { Reply::List(listed) } else { Reply::Unreachable };
            node.announce.handle_answer(time, command, reply);
        }
        let list = std::mem::take(&mut node.list);
        match &mut node.client {
            Client::Ours(ours) => ours.plan.handle_peers(time, Source::Tracker(0), &list),
            Client::Field(field) => field.learn(&list),
            Client::None => {}
        }
        self.touch(id);
    }
}
