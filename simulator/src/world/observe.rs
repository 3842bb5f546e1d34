//! Reading the gauges, and what came of it all.

use super::event::Event;
use super::node::{Client, Node, Presence};
use super::{HEAD_START, World};
use crate::bound::best;
use crate::gauge::{MAX_ROWS, Reading, phases};
use crate::outcome::{Group, Outcome, Times, Traffic};
use crate::scenario::Habit;
use crate::units::{Nanos, seconds};

impl World {
    pub(super) fn gauge(&mut self) {
        if self.now > HEAD_START {
            self.read_gauges();
        } else {
            self.gauges.last = self.now;
        }
        self.events.push(self.now + self.gauges.interval, Event::Gauge);
    }

    pub(super) fn read_gauges(&mut self) {
        let span = self.now.saturating_sub(self.gauges.last);
        if span == 0 {
            return;
        }
        let (mut up, mut down) = (Share::default(), Share::default());
        let (mut seeder, mut unasked, mut asking_nothing) = (0.0, Share::default(), Share::default());
        let (mut queue, mut longest_queue) = (Share::default(), 0);
        let mut samples = Vec::new();
        for id in self.nodes.ids() {
            let node = &self.nodes[id];
            let busy = (node.up.busy, node.down.busy);
            let before = self.gauges.busy.get_mut(id.0 as usize).map(|old| std::mem::replace(old, busy));
            let before = before.unwrap_or_default();
            let serves = node.habit == Habit::Seeder || node.habit.downloads();
            if node.presence != Presence::There || !serves {
                continue;
            }
            let rates = self.scenario.rates_of(node.habit);
            let used = |now: Nanos, before: Nanos| now.saturating_sub(before) as f64 / span as f64;
            up.add(used(busy.0, before.0), rates.up);
            queue.add(node.queued as f64, 1.0);
            longest_queue = longest_queue.max(node.queued);
            unasked.add(f64::from(u8::from(node.up.has_nothing_to_send())), 1.0);
            if node.is_downloading() {
                down.add(used(busy.1, before.1), rates.down);
                asking_nothing.add(f64::from(u8::from(!self.has_asked(node))), 1.0);
            }
            if self.gauges.idle.is_some() {
                samples.push(self.sample(id, span, used(busy.0, before.0), used(busy.1, before.1)));
            }
            if id == Self::SEEDER {
                seeder = used(busy.0, before.0).min(1.0);
            }
        }
        self.gauges.last = self.now;
        self.gauges.idle.iter_mut().for_each(|idle| samples.drain(..).for_each(|sample| idle.add(sample)));
        let reading = Reading {
            at: seconds(self.now.saturating_sub(HEAD_START)),
            uplinks: up.mean().min(1.0),
            seeder,
            downlinks: down.mean().min(1.0),
            unasked: unasked.mean(),
            asking_nothing: asking_nothing.mean(),
            seeder_queue: self.nodes[Self::SEEDER].queued as f64,
            queue: queue.mean(),
            longest_queue: longest_queue as f64,
            downloading: asking_nothing.count,
            rows: self.rows(),
        };
        self.gauges.push(reading);
    }

    /// Whether the peer waits for a block.
    pub(super) fn has_asked(&self, node: &Node) -> bool {
        match &node.client {
            Client::Ours(ours) => {
                ours.links.iter().filter_map(|(_, conn)| self.conns.get(*conn)).any(|conn| {
                    !conn.answers.is_empty()
                        || conn.asks.iter().chain(&conn.queue).any(|ask| ask.block.is_some())
                })
            }
            Client::Field(field) => field.has_asked(),
            Client::None => false,
        }
    }

    fn rows(&self) -> Vec<u8> {
        let peers = self.nodes.0.len();
        let rows = peers.min(MAX_ROWS);
        let mut sums = vec![Share::default(); rows];
        for (index, node) in self.nodes.0.iter().enumerate() {
            if let Some(row) = sums.get_mut(index * rows / peers.max(1)) {
                row.add(node.have.count() as f64 / self.layout.blocks().max(1) as f64, 1.0);
            }
        }
        let level =
            |share: &Share| u8::try_from(crate::units::whole(share.mean() * 255.0)).unwrap_or(u8::MAX);
        sums.iter().map(level).collect()
    }

    /// Sums up.
    pub(super) fn outcome(self) -> Outcome {
        let mut groups: Vec<Group> = Vec::new();
        for (habit, count) in
            self.scenario.groups.iter().filter(|(habit, count)| habit.downloads() && *count > 0)
        {
            groups.push(Group { habit: *habit, count: *count, times: self.times(|other| other == *habit) });
        }
        let end = self.last_complete.saturating_sub(HEAD_START);
        let downloaders = || self.nodes.0.iter().filter(|node| node.habit.downloads());
        let length = self.layout.length().max(1) as f64;
        let duplicate: u64 = downloaders().map(|node| node.counters.duplicate).sum();
        let received = downloaders().filter(|node| node.complete.is_some()).count() as f64 * length;
        let links: Vec<usize> = downloaders().map(|node| node.counters.links).collect();
        let counters = self.counters;
        Outcome {
            unit: self.scenario.unit(),
            bound: best(&self.scenario),
            downloaders: downloaders()
                .filter(|node| node.complete.is_some() || node.presence != Presence::Gone)
                .count(),
            times: self.times(Habit::downloads),
            groups,
            end: seconds(end),
            copies: self.nodes[Self::SEEDER].counters.sent as f64 / length,
            duplicates: if received > 0.0 { duplicate as f64 / received } else { 0.0 },
            idle_up: 1.0 - self.busy(|node| (node.counters.busy_up, node.start, node.complete)),
            idle_down: 1.0 - self.busy(|node| (node.counters.busy_down, node.start, node.complete)),
            traffic: Traffic {
                requests: counters.requests,
                refusals: counters.refusals,
                polls: counters.polls,
                news_messages: counters.news,
                news_bytes: counters.news_bytes,
                connections: counters.connections,
                links_mean: links.iter().sum::<usize>() as f64 / links.len().max(1) as f64,
                links_most: links.iter().copied().max().unwrap_or(0),
                across: self.subnets.bytes_across(),
                events: counters.events,
            },
            phases: phases(&self.gauges.readings, end),
            readings: self.gauges.readings,
            idle: self.gauges.idle.unwrap_or_default(),
            scenario: self.scenario,
        }
    }

    /// When those complete for whom `which` holds, each since its own start.
    fn times(&self, which: impl Fn(Habit) -> bool) -> Times {
        let nodes = self.nodes.0.iter().filter(|node| which(node.habit));
        let took = |node: &Node| node.complete.map(|at| seconds(at.saturating_sub(node.start)));
        Times::of(nodes.filter_map(took).collect())
    }

    /// Mean share of the time until completion for which something was busy.
    fn busy(&self, of: impl Fn(&Node) -> (Nanos, Nanos, Option<Nanos>)) -> f64 {
        let mut share = Share::default();
        for node in self.nodes.0.iter().filter(|node| node.habit.downloads()) {
            if let (busy, start, Some(complete)) = of(node) {
                share.add(busy as f64 / complete.saturating_sub(start).max(1) as f64, 1.0);
            }
        }
        share.mean().min(1.0)
    }
}

/// A weighted mean.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    sum: f64,
    weight: f64,
    count: usize,
}

impl Share {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.weight += weight;
        self.count += 1;
    }

    fn mean(&self) -> f64 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}
