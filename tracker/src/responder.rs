//! From a request to an answer: policy and registry together. No I/O, no clock.

use crate::policy::Policy;
use crate::registry::{Bounds, Registry, Subscribed};
use cascade_format::CascadeHash;
use cascade_format::tracker_wire::{
    Command, ENTRY_LEN, PeerEntry, RESPONSE_HEADER_LEN, STATUS_OK, STATUS_REFUSED, TrackerRequest,
    TrackerResponseHeader,
};
use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddrV4};

/// A peer that was registered for a file and had not been: worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// The file.
    pub file: CascadeHash,
    /// Where the peer listens.
    pub peer: SocketAddrV4,
}

impl Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "registered {} for {}", self.peer, self.file)
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
    /// it clears). `now` is in seconds since the UNIX epoch. Returns what is worth a line in the log.
    pub fn answer(
        &mut self,
        request: &TrackerRequest,
        from: IpAddr,
        now: u32,
        answer: &mut Vec<u8>,
    ) -> Option<Registration> {
        if let Err(refusal) = self.policy.check(request, from) {
            refuse(&refusal, answer);
            return None;
        }
        let (file, peer) = (request.cascade_hash, request.listen);
        let mut news = None;
        match request.command {
            Command::List => {}
            Command::Subscribe => {
                match self.registry.subscribe(&file, peer, self.policy.is_good(*peer.ip()), now) {
                    Ok(Subscribed::New) => news = Some(Registration { file, peer }),
                    Ok(Subscribed::Renewed) => {}
                    Err(full) => {
                        refuse(&full, answer);
                        return None;
                    }
                }
            }
        }
        self.registry.list(&file, peer, now, &mut self.rng, &mut self.entries);
        list_peers(&self.entries, answer);
        news
    }

    /// The registrations.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Removes some lapsed registrations: see [`Registry::sweep`].
    pub fn sweep(&mut self, now: u32, work: u32) -> usize {
        self.registry.sweep(now, work)
    }
}

/// Writes a refusal with `why` as its message into `answer` (which it clears).
pub fn refuse(why: &impl Display, answer: &mut Vec<u8>) {
    let message = why.to_string();
    start(STATUS_REFUSED, message.len(), answer);
    answer.extend_from_slice(message.as_bytes());
}

fn list_peers(entries: &[PeerEntry], answer: &mut Vec<u8>) {
    start(STATUS_OK, entries.len() * ENTRY_LEN, answer);
    entries.iter().for_each(|entry| answer.extend_from_slice(&entry.encode()));
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
    const NOW: u32 = 1_800_000_000;

    fn request(command: Command, port: u16) -> TrackerRequest {
        TrackerRequest { command, cascade_hash: FILE, listen: SocketAddrV4::new([9, 8, 7, 6].into(), port) }
    }

    fn ask(responder: &mut Responder, command: Command, port: u16) -> (Option<Registration>, u8, Vec<u8>) {
        let mut answer = b"left over".to_vec();
        let news = responder.answer(&request(command, port), [9, 8, 7, 6].into(), NOW, &mut answer);
        let (header, body) = answer.split_first_chunk().unwrap();
        let header = TrackerResponseHeader::parse(header);
        assert_eq!(header.body_len as usize, body.len());
        (news, header.status, body.to_vec())
    }

    #[test]
    fn listing_does_not_register_subscribing_does_once() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        assert_eq!(ask(&mut responder, Command::List, 1), (None, 0, vec![]));
        let news = Some(Registration { file: FILE, peer: request(Command::List, 1).listen });
        assert_eq!(ask(&mut responder, Command::Subscribe, 1), (news, 0, vec![]));
        assert_eq!(ask(&mut responder, Command::Subscribe, 1), (None, 0, vec![]));
        let (_, status, body) = ask(&mut responder, Command::List, 2);
        let entries: Vec<_> = parse_peer_list(&body).unwrap().collect();
        let expected = PeerEntry { addr: request(Command::List, 1).listen, subscribed: NOW, good: false };
        assert_eq!((status, entries), (0, vec![expected]));
        assert_eq!(responder.registry().peers(), 1);
    }

    #[test]
    fn refusals_are_messages() {
        let mut strict = Responder::new(Policy::only([]), Bounds::default(), 1);
        let (news, status, body) = ask(&mut strict, Command::Subscribe, 1);
        let text = String::from_utf8(body).unwrap();
        assert_eq!((news, status, text), (None, 1, format!("this tracker does not track {FILE}")));
        let mut full = Responder::new(Policy::open(), Bounds { peers: 0, swarms: 0 }, 1);
        let (_, status, body) = ask(&mut full, Command::Subscribe, 1);
        assert_eq!(status, 1);
        assert!(String::from_utf8(body).unwrap().starts_with("the tracker is full"));
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
