//! From a request to an answer: policy and registry together. No I/O, no clock.

use crate::ask::{Ask, Request};
use crate::policy::{Policy, can_listen};
use crate::registry::room::{RoomBounds, Rooms};
use crate::registry::{
    AddressV6, Asker, Bounds, Claim, LIST_MAX, Registry, RegistryFull, Source, Subscribed,
};
use cascade_format::tracker_wide::{self, Form, WideEntry};
use cascade_format::tracker_wire::{
    Command, ENTRY_LEN, PeerEntry, RESPONSE_HEADER_LEN, STATUS_OK, STATUS_REFUSED, TrackerResponseHeader,
};
use cascade_format::{CascadeHash, PeerAddr};
use std::fmt::{self, Display};
use std::net::IpAddr;

mod keep;
mod near;
mod rooms;
mod shared;

pub use keep::{Export, Part};

pub use rooms::SwarmState;

/// Something worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// What happened.
    pub what: What,
    /// The file.
    pub file: CascadeHash,
    /// Where the peer listens, or says so.
    pub peer: PeerAddr,
}

/// What happens to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The peer was registered and had not been.
    Registered,
    /// The peer was not registered: see [`can_listen`]. It got its list all the same.
    NotListening,
}

impl Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, file, peer } = self;
        match what {
            What::Registered => write!(f, "registered {peer} for {file}"),
            What::NotListening => write!(f, "did not register {peer} for {file}: no peer can listen there"),
        }
    }
}

/// The time, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Seconds of a clock that never goes back: registrations lapse by this one.
    pub steady: u32,
    /// Seconds since the UNIX epoch, as the wire has them. Somebody may set this clock at any time.
    pub unix: u32,
}

impl Now {
    /// The second since the UNIX epoch, by today's setting of the clock, in which it was `steady` o'clock.
    const fn unix_of(self, steady: u32) -> u32 {
        self.unix.saturating_sub(self.steady.saturating_sub(steady))
    }
}

/// Answers requests. Each answer is complete, header and body, so that one call can send it.
#[derive(Debug)]
pub struct Responder {
    policy: Policy,
    registry: Registry,
    registry_v6: Registry<AddressV6>,
    rooms: Rooms,
    rng: fastrand::Rng,
    /// Files that are no longer allowed, and may have registrations.
    ending: Vec<CascadeHash>,
    /// Lists while they are made.
    entries: Vec<PeerEntry>,
    entries_v6: Vec<WideEntry>,
    /// Where a store is shared with other trackers.
    shared: Option<Box<shared::Shared>>,
}

impl Responder {
    /// A responder with nobody registered. `seed` decides the order of lists.
    #[must_use]
    pub fn new(policy: Policy, bounds: Bounds, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        let near = policy.near().cloned();
        Self {
            policy,
            registry: Registry::new(bounds).with_networks(near.clone()),
            registry_v6: Registry::new(bounds.for_v6()).with_networks(near),
            rooms: Rooms::new(RoomBounds::default()),
            rng,
            ending: Vec::new(),
            entries: Vec::new(),
            entries_v6: Vec::new(),
            shared: None,
        }
    }

    /// Writes the answer to `request`, which came over a connection from `from`, into `answer` (which
    /// it clears). Returns what is worth a line in the log.
    pub fn answer(
        &mut self,
        request: &Request,
        from: IpAddr,
        now: Now,
        answer: &mut Vec<u8>,
    ) -> Option<News> {
        match request {
            Request::Peers(ask) => self.peers_for(ask, true, from, now, answer),
            Request::Report(report) => self.report(report, from, now, answer),
            Request::Room(request) => {
                self.room(*request, now, answer);
                None
            }
        }
    }

    /// `v6`: whether addresses of IPv6 are of use.
    fn peers_for(
        &mut self,
        request: &Ask,
        v6: bool,
        from: IpAddr,
        now: Now,
        answer: &mut Vec<u8>,
    ) -> Option<News> {
        if let Err(refusal) = self.policy.check(request, from) {
            refuse(&refusal, answer);
            return None;
        }
        let (file, peer) = (request.cascade_hash, request.listen);
        let mut what = None;
        if request.command == Command::Subscribe && !can_listen(peer) {
            // Programs that do not know their own address subscribe for the list alone.
            what = Some(What::NotListening);
        } else if request.command == Command::Subscribe {
            match self.subscribe(&file, peer, from, now) {
                Ok(subscribed) => {
                    what = (subscribed == Subscribed::New).then_some(What::Registered);
                    self.note_here(file, peer, from, now);
                }
                Err(full) => {
                    refuse(&full, answer);
                    return None;
                }
            }
        }
        let asker = Asker { addr: peer.v4(), host: near::place(self.policy.near(), peer, from, false) };
        self.registry.list(&file, asker, now.steady, &mut self.rng, &mut self.entries);
        let v6 = v6 && request.form == Form::Wide;
        self.entries_v6.clear();
        if v6 {
            let host = near::place(self.policy.near(), peer, from, true);
            let asker = Asker { addr: AddressV6::of(peer), host };
            let (rng, entries) = (&mut self.rng, &mut self.entries_v6);
            self.registry_v6.list(&file, asker, now.steady, rng, entries);
        }
        self.add_others(&file, peer, v6, now);
        match request.form {
            Form::Plain => list_peers(&self.entries, now, answer),
            Form::Wide => {
                let entries = both_families(&self.entries, &self.entries_v6, self.rng.bool());
                list_both(entries, now, answer);
            }
        }
        what.map(|what| News { what, file, peer })
    }

    fn subscribe(
        &mut self,
        file: &CascadeHash,
        peer: PeerAddr,
        from: IpAddr,
        now: Now,
    ) -> Result<Subscribed, RegistryFull> {
        let source = Source::of(from);
        if let Some(addr) = AddressV6::of(peer) {
            return self.registry_v6.subscribe(file, Claim { addr, source, good: false }, now.steady);
        }
        let Some(addr) = peer.v4() else { return Ok(Subscribed::Renewed) };
        let good = self.policy.is_good(*addr.ip());
        self.registry.subscribe(file, Claim { addr, source, good }, now.steady)
    }

    /// The registrations of IPv4 addresses.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Number of registrations in both families.
    #[must_use]
    pub const fn peers(&self) -> usize {
        self.registry.peers() + self.registry_v6.peers()
    }

    /// Number of files with registrations; one that has them in both families counts twice.
    #[must_use]
    pub const fn files(&self) -> usize {
        self.registry.swarms() + self.registry_v6.swarms()
    }

    /// Removes some lapsed registrations: see [`Registry::sweep`].
    pub fn sweep(&mut self, now: Now, work: u32) -> usize {
        self.rooms.age(now.steady, work as usize / 16);
        self.forget_others(now);
        self.end_some(work) + self.registry.sweep(now.steady, work) + self.registry_v6.sweep(now.steady, work)
    }
}

/// At most [`LIST_MAX`] peers of both families, good ones first: as many of one as of the other while both have
/// more, so that a crowd in one family hides nobody in the other.
fn both_families(v4: &[PeerEntry], v6: &[WideEntry], v6_first: bool) -> Vec<WideEntry> {
    let v4 = v4.iter().map(|entry| WideEntry {
        addr: entry.addr.into(),
        subscribed: entry.subscribed,
        good: entry.good,
    });
    let (v4, v6): (Vec<_>, Vec<_>) = (v4.collect(), v6.to_vec());
    let (first, second) = if v6_first { (v6, v4) } else { (v4, v6) };
    let mut list = Vec::with_capacity(LIST_MAX);
    for good in [true, false] {
        let mut ranks =
            [&first, &second].map(|entries| entries.iter().filter(move |entry| entry.good == good));
        loop {
            let before = list.len();
            list.extend(ranks.iter_mut().filter_map(Iterator::next));
            if list.len() == before {
                break;
            }
        }
    }
    list.truncate(LIST_MAX);
    list
}

/// Writes a refusal with `why` as its message into `answer` (which it clears). The message ends with a
/// newline: some clients read lines.
pub fn refuse(why: &impl Display, answer: &mut Vec<u8>) {
    let message = format!("{why}\n");
    start(STATUS_REFUSED, message.len(), answer);
    answer.extend_from_slice(message.as_bytes());
}

fn list_peers(entries: &[PeerEntry], now: Now, answer: &mut Vec<u8>) {
    start(STATUS_OK, entries.len() * ENTRY_LEN, answer);
    for entry in entries {
        let entry = PeerEntry { subscribed: now.unix_of(entry.subscribed), ..*entry };
        answer.extend_from_slice(&entry.encode());
    }
}

fn list_both(entries: Vec<WideEntry>, now: Now, answer: &mut Vec<u8>) {
    start(STATUS_OK, entries.len() * tracker_wide::ENTRY_LEN, answer);
    for entry in entries {
        let entry = WideEntry { subscribed: now.unix_of(entry.subscribed), ..entry };
        answer.extend_from_slice(&entry.encode());
    }
}

fn start(status: u8, body_len: usize, answer: &mut Vec<u8>) {
    let body_len = u32::try_from(body_len).unwrap_or(u32::MAX);
    answer.clear();
    answer.reserve(RESPONSE_HEADER_LEN + body_len as usize);
    answer.extend_from_slice(&TrackerResponseHeader { status, body_len }.encode());
}

#[cfg(test)]
mod tests;
