//! A star of links: what is offered by a node passes its uplink (rate, drop-tail queue), a delay, and the
//! other node's downlink (rate, drop-tail queue). Time is an argument, in nanoseconds from any start.

use super::{LinkSpec, nanoseconds, transmission_time};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A packet, with its IP header.
pub type Packet = Vec<u8>;

/// What has passed a node's link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes accepted from the node, packet headers included.
    pub up_bytes: u64,
    /// Packets accepted from the node.
    pub up_packets: u64,
    /// Packets from the node that found the queue full.
    pub up_drops: u64,
    /// Bytes delivered to the node.
    pub down_bytes: u64,
    /// Packets to the node that found the queue full.
    pub down_drops: u64,
}

#[derive(Debug)]
struct Node {
    link: LinkSpec,
    /// When the uplink has sent everything that it has accepted.
    up_free: u64,
    /// When the downlink has sent everything that it has accepted.
    down_free: u64,
    /// Packets in the downlink's queue, with the time at which each is through.
    down: VecDeque<(u64, Packet)>,
    counters: Counters,
}

/// A packet between uplink and downlink. Ordered by arrival, then by number, so that a flow keeps its order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    arrival: u64,
    number: u64,
    to: usize,
    packet: Packet,
}

/// All nodes and every packet on its way.
#[derive(Debug)]
pub struct Star {
    nodes: Vec<Node>,
    flying: BinaryHeap<Reverse<Flying>>,
    offered: u64,
}

impl Star {
    /// A star without traffic.
    #[must_use]
    pub fn new(links: &[LinkSpec]) -> Self {
        let node = |link: &LinkSpec| Node {
            link: *link,
            up_free: 0,
            down_free: 0,
            down: VecDeque::new(),
            counters: Counters::default(),
        };
        Self { nodes: links.iter().map(node).collect(), flying: BinaryHeap::new(), offered: 0 }
    }

    /// Takes a packet from a node. Gives it back when it is dropped: the queue is full, or there is no such
    /// node.
    ///
    /// # Errors
    /// The packet, when it is dropped.
    pub fn offer(&mut self, now: u64, from: usize, to: usize, packet: Packet) -> Result<(), Packet> {
        if to >= self.nodes.len() || to == from {
            return Err(packet);
        }
        let Some(node) = self.nodes.get_mut(from) else { return Err(packet) };
        let start = now.max(node.up_free);
        if start - now > nanoseconds(node.link.queue) {
            node.counters.up_drops += 1;
            return Err(packet);
        }
        node.up_free = start + transmission_time(packet.len(), node.link.up);
        node.counters.up_bytes += packet.len() as u64;
        node.counters.up_packets += 1;
        self.offered += 1;
        let arrival = node.up_free + nanoseconds(node.link.delay);
        self.flying.push(Reverse(Flying { arrival, number: self.offered, to, packet }));
        Ok(())
    }

    /// Moves everything that is due at `now`; gives each delivered packet to `deliver` with its node, and each
    /// dropped or delivered one back through `used`.
    pub fn advance(&mut self, now: u64, mut deliver: impl FnMut(usize, &[u8]), mut used: impl FnMut(Packet)) {
        while self.flying.peek().is_some_and(|Reverse(next)| next.arrival <= now) {
            let Some(Reverse(next)) = self.flying.pop() else { break };
            if let Some(dropped) =
                self.nodes.get_mut(next.to).and_then(|node| node.arrive(next.arrival, next.packet))
            {
                used(dropped);
            }
        }
        for (at, node) in self.nodes.iter_mut().enumerate() {
            while node.down.front().is_some_and(|(through, _)| *through <= now) {
                let Some((_, packet)) = node.down.pop_front() else { break };
                node.counters.down_bytes += packet.len() as u64;
                deliver(at, &packet);
                used(packet);
            }
        }
    }

    /// When [`Star::advance`] has something to do next; `None` while nothing is on its way.
    #[must_use]
    pub fn next_event(&self) -> Option<u64> {
        let arrival = self.flying.peek().map(|Reverse(next)| next.arrival);
        let through =
            self.nodes.iter().filter_map(|node| node.down.front().map(|(through, _)| *through)).min();
        arrival.into_iter().chain(through).min()
    }

    /// The counters of every node.
    pub fn counters(&self) -> impl Iterator<Item = Counters> + '_ {
        self.nodes.iter().map(|node| node.counters)
    }
}

impl Node {
    /// A packet reaches the downlink; given back when the queue is full.
    fn arrive(&mut self, arrival: u64, packet: Packet) -> Option<Packet> {
        let start = arrival.max(self.down_free);
        if start - arrival > nanoseconds(self.link.queue) {
            self.counters.down_drops += 1;
            return Some(packet);
        }
        self.down_free = start + transmission_time(packet.len(), self.link.down);
        self.down.push_back((self.down_free, packet));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: u64 = 1_000_000;

    fn star(up: u64, down: u64) -> Star {
        let link = |up, down| LinkSpec {
            up: up * 1_000_000,
            down: down * 1_000_000,
            delay: Duration::from_millis(5),
            queue: Duration::from_millis(20),
        };
        Star::new(&[link(up, up), link(down, down)])
    }

    /// Runs until nothing is on its way; the times of all deliveries to node 1.
    fn deliveries(star: &mut Star) -> Vec<u64> {
        let mut times = Vec::new();
        while let Some(now) = star.next_event() {
            star.advance(now, |to, _| times.push((to, now)), drop);
        }
        assert!(times.iter().all(|(to, _)| *to == 1), "delivered to somebody else: {times:?}");
        times.into_iter().map(|(_, now)| now).collect()
    }

    #[test]
    fn one_packet_takes_both_transmissions_and_the_delay() {
        let mut star = star(8, 4);
        star.offer(0, 0, 1, vec![0; 1000]).unwrap();
        // 1 ms at 8 Mbit/s, 5 ms of delay, 2 ms at 4 Mbit/s.
        assert_eq!(deliveries(&mut star), [8 * MS]);
    }

    #[test]
    fn a_burst_leaves_at_the_rate_of_the_slower_link() {
        let mut star = star(8, 4);
        (0..5).for_each(|_| star.offer(0, 0, 1, vec![0; 1000]).unwrap());
        assert_eq!(deliveries(&mut star), [8 * MS, 10 * MS, 12 * MS, 14 * MS, 16 * MS]);
    }

    #[test]
    fn a_full_queue_drops_the_tail() {
        let mut star = star(8, 8);
        let accepted = (0..40).filter(|_| star.offer(0, 0, 1, vec![0; 1000]).is_ok()).count();
        // 20 ms of queue hold 20 packets of 1 ms, and one more is being sent.
        assert_eq!(accepted, 21);
        let counters: Vec<_> = star.counters().collect();
        assert_eq!((counters[0].up_bytes, counters[0].up_packets), (21_000, 21));
        assert_eq!(counters[0].up_drops, 19);
        assert_eq!(deliveries(&mut star).len(), 21);
        assert_eq!(star.counters().nth(1).unwrap().down_bytes, 21_000);
    }

    #[test]
    fn a_slow_downlink_drops_too() {
        let mut star = star(80, 8);
        (0..100).for_each(|i| star.offer(i * MS / 10, 0, 1, vec![0; 1000]).unwrap());
        let delivered = deliveries(&mut star).len();
        let drops = star.counters().nth(1).unwrap().down_drops;
        assert_eq!(delivered as u64 + drops, 100);
        assert!(drops > 50, "only {drops} of 100 packets were dropped at a tenth of the rate");
    }

    #[test]
    fn without_limits_only_the_delay_counts() {
        let mut star = Star::new(&[LinkSpec::unlimited(Duration::from_millis(5)); 2]);
        star.offer(7, 0, 1, vec![0; 1500]).unwrap();
        assert_eq!(deliveries(&mut star), [7 + 5 * MS]);
    }

    #[test]
    fn nowhere_and_oneself_are_no_destinations() {
        let mut star = star(8, 8);
        assert!(star.offer(0, 0, 2, vec![0]).is_err());
        assert!(star.offer(0, 0, 0, vec![0]).is_err());
        assert_eq!(star.next_event(), None);
    }
}
