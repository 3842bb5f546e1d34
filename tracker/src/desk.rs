//! A tracker that shares a port with something else: somebody else accepts, reads and writes.

use crate::ask::{Ask, Request};
use crate::clock;
use crate::intake::{Intake, Parsed};
use crate::policy::Policy;
use crate::registry::Bounds;
use crate::responder::{Now, Responder, SwarmState, refuse};
use cascade_format::tracker_room::{Page, Report};
use cascade_format::tracker_wide::Form;
use cascade_format::tracker_wire::Command;
use cascade_format::{CascadeHash, PeerAddr};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Sweep work (see [`crate::registry::Registry::sweep`]) of every request.
const SWEEP_PER_REQUEST: u32 = 64;

/// Answers requests that others have read.
#[derive(Debug)]
pub struct Desk {
    responder: Mutex<Responder>,
    started: Instant,
}

impl Desk {
    /// A tracker that knows nobody.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let responder = Responder::new(policy, Bounds::default(), fastrand::u64(..));
        Self { responder: Mutex::new(responder), started: clock::now() }
    }

    /// The whole answer to a request of which `bytes` have come over a connection from `from`, after which the
    /// connection is closed; `None`: more bytes are needed. No more come when it has `ended`.
    #[must_use]
    pub fn answer(&self, bytes: &[u8], ended: bool, from: IpAddr) -> Option<Vec<u8>> {
        let (mut intake, mut answer) = (Intake::default(), Vec::new());
        match intake.handle_bytes(bytes) {
            Parsed::Incomplete if !ended => return None,
            Parsed::Incomplete => refuse(&intake.handle_end(), &mut answer),
            Parsed::Refused(why) => refuse(&why, &mut answer),
            Parsed::Complete { request, .. } => self.respond(&request, from, &mut answer),
        }
        Some(answer)
    }

    /// Registers a peer of the process itself. It lapses as others do: to be called again every ten minutes.
    pub fn subscribe(&self, cascade_hash: CascadeHash, listen: PeerAddr) {
        let ask = Ask { form: Form::Plain, command: Command::Subscribe, cascade_hash, listen };
        self.respond(&Request::Peers(ask), listen.ip(), &mut Vec::new());
    }

    /// Registers a peer of the process itself, and says how far it is: to be called again as other peers report.
    pub fn report(&self, report: &Report) {
        self.respond(&Request::Report(*report), report.listen.ip(), &mut Vec::new());
    }

    /// Files and how far their peers are, at most `max`.
    #[must_use]
    pub fn swarms(&self, max: usize) -> Vec<SwarmState> {
        self.with(|responder, now| responder.swarms(max, now))
    }

    /// A part of the room of a file, from `first` on: 0, or what [`Page::next`] was.
    #[must_use]
    pub fn room(&self, cascade_hash: &CascadeHash, first: u32) -> Page {
        self.with(|responder, now| responder.page(cascade_hash, first, now))
    }

    fn respond(&self, request: &Request, from: IpAddr, answer: &mut Vec<u8>) {
        self.with(|responder, now| {
            // There is no log.
            let _ = responder.answer(request, from, now, answer);
            responder.sweep(now, SWEEP_PER_REQUEST);
        });
    }

    fn with<T>(&self, work: impl FnOnce(&mut Responder, Now) -> T) -> T {
        let steady = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        let now = Now { steady, unix: clock::unix_now() };
        work(&mut self.responder.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::tracker_room::{PeerName, Program, Progress, Summary};
    use cascade_format::tracker_wide::WideRequest;
    use cascade_format::tracker_wire::TrackerRequest;
    use std::net::{Ipv4Addr, SocketAddrV4};

    const HASH: CascadeHash = CascadeHash([7; 32]);

    fn ask(desk: &Desk, hash: CascadeHash, last: u8) -> Vec<u8> {
        let listen = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, last), 8889);
        let request = TrackerRequest { command: Command::Subscribe, cascade_hash: hash, listen };
        desk.answer(&request.encode(), false, IpAddr::V4(*listen.ip())).unwrap()
    }

    #[test]
    fn it_answers_as_a_tracker_does() {
        let desk = Desk::new(Policy::only([HASH]));
        desk.subscribe(HASH, "192.0.2.1:8889".parse().unwrap());
        assert_eq!(ask(&desk, HASH, 2)[..11], [0, 0, 0, 0, 12, 192, 0, 2, 1, 0x22, 0xb9]);
        assert_eq!(ask(&desk, HASH, 3)[..5], [0, 0, 0, 0, 24]);
        assert_eq!(ask(&desk, CascadeHash([8; 32]), 3)[0], 1, "it tracks nothing else");
    }

    #[test]
    fn it_answers_with_addresses_of_both_families() {
        let desk = Desk::new(Policy::only([HASH]));
        desk.subscribe(HASH, "192.0.2.1:8889".parse().unwrap());
        let listen = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 2), 8889);
        let request =
            WideRequest { command: Command::List, cascade_hash: HASH, listen: listen.into() }.encode();
        let from = IpAddr::V4(*listen.ip());
        assert_eq!(desk.answer(&request[..request.len() - 1], false, from), None);
        assert_eq!(desk.answer(&request, false, from).unwrap()[..5], [0, 0, 0, 0, 24]);
    }

    #[test]
    fn it_keeps_a_room_and_shows_it_without_a_socket() {
        let desk = Desk::new(Policy::only([HASH]));
        let listen = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 8889);
        let report = Report {
            cascade_hash: HASH,
            listen: listen.into(),
            number: 1,
            goodbye: false,
            seeder: true,
            v4_only: false,
            progress: Progress { blocks_done: 3, blocks: 3, received: 0, given: 7 },
            program: Program::of("test"),
            name: PeerName::of("teacher"),
        };
        desk.report(&report);
        let other = Report {
            number: 2,
            seeder: false,
            listen: SocketAddrV4::new([192, 0, 2, 2].into(), 1).into(),
            ..report
        };
        assert_eq!(desk.answer(&other.encode(), false, other.listen.ip()).unwrap()[..5], [0, 0, 0, 0, 24]);
        ask(&desk, HASH, 3);
        let room = desk.room(&HASH, 0);
        let summary = Summary { complete: 1, seeders: 1, unknown: 1, ..Summary::default() };
        assert_eq!((room.summary, room.members.len(), room.next), (summary, 3, 0));
        assert_eq!(desk.swarms(9), [SwarmState { cascade_hash: HASH, summary }]);
    }

    #[test]
    fn requests_in_pieces_and_wrong_ones() {
        let desk = Desk::new(Policy::open());
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(desk.answer(b"CASC\0\0\0\x01", false, from), None);
        let cut = desk.answer(b"CASC\0\0\0\x01", true, from).unwrap();
        assert!(cut[0] == 1 && String::from_utf8_lossy(&cut).contains("cut short"));
        assert_eq!(desk.answer(b"CASC\0\0\0\x02aaaabbbbccccdddd", false, from).unwrap()[0], 1);
    }
}
