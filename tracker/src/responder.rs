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
mod tests {
    use super::*;
    use cascade_format::tracker_wire::{TrackerRequest, parse_peer_list};
    use std::net::{SocketAddr, SocketAddrV4};

    const FILE: CascadeHash = CascadeHash([1; 32]);
    const NOW: Now = Now { steady: 5000, unix: 1_800_000_000 };

    fn request(command: Command, port: u16) -> TrackerRequest {
        TrackerRequest { command, cascade_hash: FILE, listen: SocketAddrV4::new([9, 8, 7, 6].into(), port) }
    }

    fn ask(responder: &mut Responder, command: Command, port: u16) -> (Option<News>, u8, Vec<u8>) {
        ask_at(responder, &request(command, port), NOW)
    }

    fn ask_at(responder: &mut Responder, request: &TrackerRequest, now: Now) -> (Option<News>, u8, Vec<u8>) {
        let mut answer = b"left over".to_vec();
        let request = Request::Peers((*request).into());
        let news = responder.answer(&request, [9, 8, 7, 6].into(), now, &mut answer);
        let (header, body) = answer.split_first_chunk().unwrap();
        let header = TrackerResponseHeader::parse(header);
        assert_eq!(header.body_len as usize, body.len());
        (news, header.status, body.to_vec())
    }

    #[test]
    fn listing_does_not_register_subscribing_does_once() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        assert_eq!(ask(&mut responder, Command::List, 1), (None, 0, vec![]));
        let peer = request(Command::List, 1).listen;
        let news = Some(News { what: What::Registered, file: FILE, peer: peer.into() });
        assert_eq!(ask(&mut responder, Command::Subscribe, 1), (news, 0, vec![]));
        assert_eq!(ask(&mut responder, Command::Subscribe, 1), (None, 0, vec![]));
        let (_, status, body) = ask(&mut responder, Command::List, 2);
        let entries: Vec<_> = parse_peer_list(&body).unwrap().collect();
        let expected = PeerEntry { addr: peer, subscribed: NOW.unix, good: false };
        assert_eq!((status, entries), (0, vec![expected]));
        assert_eq!(responder.registry().peers(), 1);
    }

    #[test]
    fn refusals_are_messages() {
        let mut strict = Responder::new(Policy::only([]), Bounds::default(), 1);
        let (news, status, body) = ask(&mut strict, Command::Subscribe, 1);
        let text = String::from_utf8(body).unwrap();
        assert_eq!((news, status, text), (None, 1, format!("this tracker does not track {FILE}\n")));
        let mut full = Responder::new(Policy::open(), Bounds { peers: 0, ..Bounds::default() }, 1);
        let (_, status, body) = ask(&mut full, Command::Subscribe, 1);
        assert_eq!(status, 1);
        assert!(String::from_utf8(body).unwrap().starts_with("the tracker is full"));
    }

    #[test]
    fn every_message_ends_its_line() {
        let mut answer = Vec::new();
        refuse(&"no", &mut answer);
        assert_eq!(answer, b"\x01\0\0\0\x03no\n");
    }

    #[test]
    fn who_can_listen_nowhere_is_not_registered_and_gets_the_list() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        ask(&mut responder, Command::Subscribe, 1);
        for (ip, port) in
            [([9, 8, 7, 6], 0), ([0, 0, 0, 0], 9), ([0, 1, 2, 3], 9), ([224, 0, 0, 1], 9), ([255; 4], 9)]
        {
            let listen = SocketAddrV4::new(ip.into(), port);
            let request = TrackerRequest { listen, ..request(Command::Subscribe, 1) };
            let (news, status, body) = ask_at(&mut responder, &request, NOW);
            assert_eq!(news, Some(News { what: What::NotListening, file: FILE, peer: listen.into() }));
            assert_eq!((status, body.len()), (0, ENTRY_LEN), "{listen}");
            assert_eq!(responder.registry().peers(), 1, "{listen}");
        }
    }

    #[test]
    fn the_wall_clock_may_be_set_to_anything() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        ask(&mut responder, Command::Subscribe, 1);
        const TEN_YEARS: u32 = 315_576_000;
        let times = |responder: &mut Responder, now| {
            let (_, _, body) = ask_at(responder, &request(Command::List, 2), now);
            parse_peer_list(&body).unwrap().map(|entry| entry.subscribed).collect::<Vec<_>>()
        };
        // Forwards, backwards, to the epoch: the age is told by the clock as it is set at the time.
        for unix in [NOW.unix + TEN_YEARS, NOW.unix - TEN_YEARS, 100, 0, u32::MAX] {
            let now = Now { steady: NOW.steady + 100, unix };
            assert_eq!(times(&mut responder, now), [unix.saturating_sub(100)], "{unix}");
        }
        let last = Now { steady: NOW.steady + 1800, unix: 5 };
        assert_eq!(times(&mut responder, last).len(), 1);
        assert_eq!(times(&mut responder, Now { steady: NOW.steady + 1801, unix: NOW.unix }), [0u32; 0]);
    }

    #[test]
    fn good_addresses_are_marked() {
        let policy = Policy::open().with_good([[9, 8, 7, 6].into()]);
        let mut responder = Responder::new(policy, Bounds::default(), 1);
        ask(&mut responder, Command::Subscribe, 1);
        let (_, _, body) = ask(&mut responder, Command::List, 2);
        assert_eq!(body.get(10), Some(&1));
    }

    pub(super) fn wide(responder: &mut Responder, command: Command, listen: &str) -> (u8, Vec<WideEntry>) {
        let listen: SocketAddr = listen.parse().unwrap();
        let ask = Ask { form: Form::Wide, command, cascade_hash: FILE, listen: listen.into() };
        let mut answer = Vec::new();
        responder.answer(&Request::Peers(ask), listen.ip(), NOW, &mut answer);
        let (header, body) = answer.split_first_chunk().unwrap();
        let status = TrackerResponseHeader::parse(header).status;
        (status, tracker_wide::parse_peer_list(body).map(Iterator::collect).unwrap_or_default())
    }

    fn shown(entries: &[WideEntry]) -> Vec<String> {
        let mut shown: Vec<_> = entries.iter().map(|entry| entry.addr.to_string()).collect();
        shown.sort();
        shown
    }

    #[test]
    fn each_form_lists_what_it_can_hold() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        wide(&mut responder, Command::Subscribe, "[2001:db8::1]:1");
        wide(&mut responder, Command::Subscribe, "9.8.7.6:1");
        let (status, all) = wide(&mut responder, Command::List, "[2001:db8::9]:9");
        assert_eq!((status, shown(&all)), (0, vec!["9.8.7.6:1".to_owned(), "[2001:db8::1]:1".to_owned()]));
        assert!(all.iter().all(|entry| entry.subscribed == NOW.unix));
        let (_, _, body) = ask(&mut responder, Command::List, 2);
        let plain: Vec<_> = parse_peer_list(&body).unwrap().map(|entry| entry.addr.to_string()).collect();
        assert_eq!(plain, ["9.8.7.6:1"]);
        // Who asks is left out, in either family.
        assert_eq!(shown(&wide(&mut responder, Command::Subscribe, "[2001:db8::1]:1").1), ["9.8.7.6:1"]);
        assert_eq!(shown(&wide(&mut responder, Command::List, "9.8.7.6:1").1), ["[2001:db8::1]:1"]);
        assert_eq!(responder.peers(), 2);
    }

    #[test]
    fn a_crowd_in_one_family_hides_nobody_in_the_other() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        for site in 0..500 {
            wide(&mut responder, Command::Subscribe, &format!("[2001:db8:{site:x}::1]:1"));
        }
        for port in 1..=8 {
            wide(&mut responder, Command::Subscribe, &format!("9.8.7.{port}:1"));
        }
        for _ in 0..20 {
            let (_, list) = wide(&mut responder, Command::List, "[2001:db8:ffff::9]:9");
            assert_eq!(list.len(), LIST_MAX);
            assert_eq!(list.iter().filter(|entry| entry.addr.v4().is_some()).count(), 8);
        }
    }

    #[test]
    fn ipv6_registrations_lapse_and_nobody_listens_nowhere() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        for nowhere in ["[::]:1", "[fe80::1]:1", "[ff02::1]:1", "[2001:db8::1]:0"] {
            assert_eq!(wide(&mut responder, Command::Subscribe, nowhere), (0, vec![]), "{nowhere}");
        }
        assert_eq!(responder.peers(), 0);
        wide(&mut responder, Command::Subscribe, "[2001:db8::1]:1");
        let later = Now { steady: NOW.steady + 1801, ..NOW };
        assert_eq!((responder.sweep(later, 100), responder.peers()), (1, 0));
    }
}
