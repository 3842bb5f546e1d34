//! From a request to an answer: policy and registry together. No I/O, no clock.

use crate::policy::{Policy, can_listen};
use crate::registry::{Bounds, Claim, Registry, Source, Subscribed};
use cascade_format::CascadeHash;
use cascade_format::tracker_wire::{
    Command, ENTRY_LEN, PeerEntry, RESPONSE_HEADER_LEN, STATUS_OK, STATUS_REFUSED, TrackerRequest,
    TrackerResponseHeader,
};
use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddrV4};

/// Something worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// What happened.
    pub what: What,
    /// The file.
    pub file: CascadeHash,
    /// Where the peer listens, or says so.
    pub peer: SocketAddrV4,
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
    rng: fastrand::Rng,
    entries: Vec<PeerEntry>,
}

impl Responder {
    /// A responder with nobody registered. `seed` decides the order of lists.
    #[must_use]
    pub fn new(policy: Policy, bounds: Bounds, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self { policy, registry: Registry::new(bounds), rng, entries: Vec::new() }
    }

    /// Writes the answer to `request`, which came over a connection from `from`, into `answer` (which
    /// it clears). Returns what is worth a line in the log.
    pub fn answer(
        &mut self,
        request: &TrackerRequest,
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
            let good = self.policy.is_good(*peer.ip());
            let claim = Claim { addr: peer, source: Source::of(from), good };
            match self.registry.subscribe(&file, claim, now.steady) {
                Ok(Subscribed::New) => what = Some(What::Registered),
                Ok(Subscribed::Renewed) => {}
                Err(full) => {
                    refuse(&full, answer);
                    return None;
                }
            }
        }
        self.registry.list(&file, peer, now.steady, &mut self.rng, &mut self.entries);
        list_peers(&self.entries, now, answer);
        what.map(|what| News { what, file, peer })
    }

    /// The registrations.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Removes some lapsed registrations: see [`Registry::sweep`].
    pub fn sweep(&mut self, now: Now, work: u32) -> usize {
        self.registry.sweep(now.steady, work)
    }
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

fn start(status: u8, body_len: usize, answer: &mut Vec<u8>) {
    let body_len = u32::try_from(body_len).unwrap_or(u32::MAX);
    answer.clear();
    answer.reserve(RESPONSE_HEADER_LEN + body_len as usize);
    answer.extend_from_slice(&TrackerResponseHeader { status, body_len }.encode());
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::tracker_wire::parse_peer_list;

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
        let news = responder.answer(request, [9, 8, 7, 6].into(), now, &mut answer);
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
        let news = Some(News { what: What::Registered, file: FILE, peer });
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
            assert_eq!(news, Some(News { what: What::NotListening, file: FILE, peer: listen }));
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
}
