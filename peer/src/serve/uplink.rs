//! Which client is answered when clients of several hosts wait for blocks (pure: no socket, no clock).
//!
//! An uplink is divided by the bytes that each connection has waiting in front of it. So a host with fifty connections
//! would get fifty shares. Here each host has one *place*: one of its connections at a time may send, and the others
//! wait in line. The place passes on when that connection has sent a block, or a burst of small ones, and the system
//! holds little of its answer any more (see [`drain`]). A client that reads slowly, or not at all, loses the place, and does
//! not count as a competitor, until it reads more. While a single host waits, all of its connections may send: a whole
//! swarm may run on one machine, or behind one address.

use crate::limits::{MAX_UNSENT_LEN, MIN_UNSENT_LEN, UNSENT_LEN};
use cascade_swarm::Time;
use cascade_swarm::pace::Rate;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

mod drain;
mod look;

use drain::Drain;
use look::{FULL_PART, LOOK_INTERVAL, TRIAL_LOOKS};

/// For this time after a host last waited for a block it still counts as waiting: between two blocks, it asks.
const RECENT: Duration = Duration::from_secs(1);

/// Connections of one host whose answers may drain at once while another one waits: each is asked about at each look.
const MAX_DRAINING: usize = 64;

/// Of all hosts' first in line together, one looks so often whether the place is free.
const LINE_PAUSE: Duration = Duration::from_millis(5);

/// A connection's number.
pub(super) type FlowId = u32;

/// A connection that asks for a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub(super) id: FlowId,
    pub(super) host: IpAddr,
    /// Bytes that its socket has taken so far.
    pub(super) sent: u64,
    /// No answer of it is under way: others of its host may go first.
    pub(super) fresh: bool,
}

/// What it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// It may send to the end of its block, or one burst of small ones.
    Go {
        /// It counts as one that waits for a block.
        counted: bool,
        /// Bytes that may wait in its socket, in addition to those on their way; `None`: as many as the system likes.
        unsent: Option<u32>,
    },
    /// It stands in line: it is woken, or asks again after this time if it is the first.
    Wait(Option<Duration>),
}

/// The places of all hosts. `H` is the handle by which the system is asked about a connection, and by which it is
/// woken.
#[derive(Debug)]
pub(super) struct Uplink<H> {
    flows: HashMap<FlowId, Flow<H>>,
    hosts: HashMap<IpAddr, Host>,
    /// Hosts that wait for blocks.
    competing: usize,
    /// Connections in a line, and lines.
    waiting: usize,
    lines: usize,
    /// Connections that wait for a block, but for those in a line.
    busy: usize,
    looked_at: Time,
    looks: u32,
    /// Bytes that clients whose connections have closed had taken since the last look.
    taken_by_gone: u64,
    /// Bytes a second that all clients took between the last two looks; the same, smoothed; and the most that the latter
    /// was lately.
    latest_rate: f64,
    rate: f64,
    full_rate: f64,
    /// What leaves in a second at most.
    limit: Option<Rate>,
    woken: Vec<H>,
}

#[derive(Debug)]
struct Flow<H> {
    host: IpAddr,
    handle: H,
    stage: Stage,
    counted: bool,
    /// It takes what was sent too slowly to count.
    slow: bool,
    /// Bytes of it may still be in the system, and keep others of its host waiting.
    drains: bool,
    sent: u64,
    /// What its client had taken at the last look, and perhaps some bytes less than nothing.
    taken: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It asks for nothing.
    Rests,
    /// It stands in its host's line.
    Waits,
    /// It may send.
    Holds,
}

#[derive(Debug, Default)]
struct Host {
    flows: usize,
    line: VecDeque<FlowId>,
    holds: usize,
    draining: Vec<FlowId>,
    drain: Drain,
    /// It counts as one that competes for the uplink; when it last did something that makes it one.
    competes: bool,
    last: Time,
}

impl<H: Clone> Uplink<H> {
    pub(super) fn new(limit: Option<Rate>) -> Self {
        Self {
            flows: HashMap::new(),
            hosts: HashMap::new(),
            competing: 0,
            waiting: 0,
            lines: 0,
            busy: 0,
            looked_at: Time::ZERO,
            looks: 0,
            taken_by_gone: 0,
            latest_rate: 0.0,
            rate: 0.0,
            full_rate: 0.0,
            limit,
            woken: Vec::new(),
        }
    }

    /// Connections that wait for a block, have their host's place, and take what they are sent.
    pub(super) fn busy(&self) -> usize {
        self.busy
    }

    /// Whether clients take about as much as they took at most lately: then what one gets more, another gets less.
    pub(super) fn is_full(&self) -> bool {
        let is_trial = self.looks.is_multiple_of(TRIAL_LOOKS);
        !is_trial && self.rate.min(self.latest_rate) > self.full_rate * FULL_PART
    }

    /// Those that should ask again at once.
    pub(super) fn take_woken(&mut self) -> Vec<H> {
        std::mem::take(&mut self.woken)
    }

    /// A connection wants to send a block, or more of one. `queued` tells how many bytes the system holds of a
    /// connection's answers.
    pub(super) fn ask(&mut self, now: Time, asker: Asker, handle: &H, queued: &dyn Fn(&H) -> u64) -> Reply {
        self.look(now, queued);
        let Asker { id, host, sent, fresh } = asker;
        self.enter(id, host, handle);
        let Some(flow) = self.flows.get_mut(&id) else { return Reply::Wait(Some(LOOK_INTERVAL)) };
        flow.sent = sent;
        let (stage, slow) = (flow.stage, flow.slow);
        if !slow {
            self.competes(host, now);
        }
        let alone = self.competing < 2;
        let Some(at) = self.hosts.get(&host) else { return Reply::Wait(Some(LOOK_INTERVAL)) };
        if stage == Stage::Holds {
            if alone || (at.holds == 1 && (!fresh || at.line.is_empty())) {
                return self.go(id);
            }
            self.stop_holding(id);
        }
        if stage != Stage::Waits {
            self.line_up(id);
        }
        if alone || self.may_go(now, id, host, queued) {
            self.leave_line(id);
            self.set_stage(id, Stage::Holds);
            if alone {
                self.wake_first(host);
            }
            return self.go(id);
        }
        Reply::Wait(self.pause(id, host))
    }

    /// The connection has nothing to send for now. True: nobody waits for a block any more.
    pub(super) fn rest(&mut self, id: FlowId, sent: u64) -> bool {
        let Some(flow) = self.flows.get_mut(&id) else { return false };
        flow.sent = sent;
        let was_counted = flow.counted;
        self.stop_holding(id);
        self.leave_line(id);
        was_counted && self.busy == 0
    }

    /// The connection has its place, but waits for something else than its client.
    pub(super) fn hold_back(&mut self, id: FlowId) {
        self.set_counted(id, false);
    }

    /// The connection is closed.
    pub(super) fn leave(&mut self, id: FlowId) {
        self.stop_holding(id);
        self.leave_line(id);
        self.forget(id);
    }

    /// Whether others of its host wait until the system has sent what it holds of the connection's answers.
    pub(super) fn is_waited_for(&self, id: FlowId, queued: &dyn Fn(&H) -> u64) -> bool {
        let Some(flow) = self.flows.get(&id) else { return false };
        let Some(host) = self.hosts.get(&flow.host) else { return false };
        !host.line.is_empty() && flow.drains && queued(&flow.handle) >= host.drain.bound()
    }

    fn go(&mut self, id: FlowId) -> Reply {
        let counted = self.flows.get(&id).is_some_and(|flow| !flow.slow);
        self.set_counted(id, counted);
        Reply::Go { counted, unsent: unsent(self.flows.len() - self.waiting) }
    }

    /// Whether the place of `host` is free, and `id` is the next.
    fn may_go(&mut self, now: Time, id: FlowId, host: IpAddr, queued: &dyn Fn(&H) -> u64) -> bool {
        let pause = self.line_pause();
        let Some(at) = self.hosts.get_mut(&host) else { return false };
        if at.holds > 0 || at.line.front() != Some(&id) {
            return false;
        }
        let (mut held, flows) = (0u64, &mut self.flows);
        at.draining.retain(|other| {
            let Some(flow) = flows.get_mut(other) else { return false };
            let bytes = queued(&flow.handle);
            held = held.saturating_add(if *other == id { 0 } else { bytes });
            flow.drains = bytes > 0;
            flow.drains
        });
        at.draining.len() <= MAX_DRAINING && at.drain.may_follow(now, id, held, pause)
    }

    /// The pause of the first in line; of the others, `None`.
    fn pause(&self, id: FlowId, host: IpAddr) -> Option<Duration> {
        let at = self.hosts.get(&host)?;
        if at.line.front() != Some(&id) {
            return None;
        }
        // The connection that holds the place wakes the first in line.
        Some(if at.holds > 0 { LOOK_INTERVAL } else { self.line_pause() })
    }

    /// Between two looks of the first in one line.
    fn line_pause(&self) -> Duration {
        let lines = u32::try_from(self.lines).unwrap_or(u32::MAX);
        (LINE_PAUSE * lines).min(LOOK_INTERVAL)
    }

    fn enter(&mut self, id: FlowId, host: IpAddr, handle: &H) {
        if self.flows.contains_key(&id) {
            return;
        }
        let flow = Flow {
            host,
            handle: handle.clone(),
            stage: Stage::Rests,
            counted: false,
            slow: false,
            drains: false,
            sent: 0,
            taken: None,
        };
        self.flows.insert(id, flow);
        self.hosts.entry(host).or_default().flows += 1;
    }

    fn forget(&mut self, id: FlowId) {
        self.stop_draining(id);
        let Some(flow) = self.flows.remove(&id) else { return };
        let taken = flow.sent.cast_signed().saturating_sub(flow.taken.unwrap_or(0));
        self.taken_by_gone = self.taken_by_gone.saturating_add_signed(taken);
        if let Some(host) = self.hosts.get_mut(&flow.host) {
            host.flows -= 1;
        }
        self.wake_first(flow.host);
    }

    fn competes(&mut self, host: IpAddr, now: Time) {
        let Some(host) = self.hosts.get_mut(&host) else { return };
        host.last = now;
        if !std::mem::replace(&mut host.competes, true) {
            self.competing += 1;
        }
    }

    fn set_counted(&mut self, id: FlowId, counted: bool) {
        if let Some(flow) = self.flows.get_mut(&id) {
            match (std::mem::replace(&mut flow.counted, counted), counted) {
                (false, true) => self.busy += 1,
                (true, false) => self.busy -= 1,
                (true, true) | (false, false) => {}
            }
        }
    }

    fn set_stage(&mut self, id: FlowId, stage: Stage) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let was = std::mem::replace(&mut flow.stage, stage);
        if let Some(host) = self.hosts.get_mut(&flow.host) {
            host.holds += usize::from(stage == Stage::Holds);
            host.holds -= usize::from(was == Stage::Holds);
        }
    }

    /// Gives the place back, if it is had; what was sent drains.
    fn stop_holding(&mut self, id: FlowId) {
        self.set_counted(id, false);
        let Some(flow) = self.flows.get_mut(&id).filter(|flow| flow.stage == Stage::Holds) else { return };
        let host = flow.host;
        if !std::mem::replace(&mut flow.drains, true)
            && let Some(host) = self.hosts.get_mut(&host)
        {
            host.draining.push(id);
        }
        self.set_stage(id, Stage::Rests);
        self.wake_first(host);
    }

    fn stop_draining(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(&id)
            && std::mem::take(&mut flow.drains)
            && let Some(host) = self.hosts.get_mut(&flow.host)
        {
            host.draining.retain(|other| *other != id);
            // What it holds has not left.
            host.drain.interrupt();
        }
    }

    fn line_up(&mut self, id: FlowId) {
        self.set_stage(id, Stage::Waits);
        let Some(flow) = self.flows.get(&id) else { return };
        if let Some(host) = self.hosts.get_mut(&flow.host) {
            self.lines += usize::from(host.line.is_empty());
            self.waiting += 1;
            host.line.push_back(id);
        }
    }

    fn leave_line(&mut self, id: FlowId) {
        let Some(flow) = self.flows.get(&id).filter(|flow| flow.stage == Stage::Waits) else { return };
        let address = flow.host;
        if let Some(host) = self.hosts.get_mut(&address) {
            let first = host.line.front() == Some(&id);
            host.line.retain(|other| *other != id);
            self.waiting -= 1;
            self.lines -= usize::from(host.line.is_empty());
            self.set_stage(id, Stage::Rests);
            if first {
                self.wake_first(address);
            }
        }
    }

    fn wake_first(&mut self, host: IpAddr) {
        let first = self.hosts.get(&host).and_then(|host| host.line.front());
        if let Some(flow) = first.and_then(|first| self.flows.get(first)) {
            self.woken.push(flow.handle.clone());
        }
    }
}

/// Bytes that may wait in the socket of each of `flows` connections, in addition to those on their way.
pub(super) fn unsent(flows: usize) -> Option<u32> {
    let each = MAX_UNSENT_LEN.checked_div(u32::try_from(flows).unwrap_or(u32::MAX)).filter(|_| flows > 1)?;
    // A power of two: it seldom changes.
    Some((1 << each.max(1).ilog2()).clamp(MIN_UNSENT_LEN, UNSENT_LEN))
}

#[cfg(test)]
mod tests;
