//! A tracker that shares a port with something else: somebody else accepts, reads and writes.

use crate::ask::Ask;
use crate::clock;
use crate::intake::{Intake, Parsed};
use crate::policy::Policy;
use crate::registry::Bounds;
use crate::responder::{Now, Responder, refuse};
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
        let request = Ask { form: Form::Plain, command: Command::Subscribe, cascade_hash, listen };
        self.respond(&request, listen.ip(), &mut Vec::new());
    }

    fn respond(&self, request: &Ask, from: IpAddr, answer: &mut Vec<u8>) {
        let steady = u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX);
        let now = Now { steady, unix: clock::unix_now() };
        let mut responder = self.responder.lock().unwrap_or_else(PoisonError::into_inner);
        // There is no log.
        let _ = responder.answer(request, from, now, answer);
        responder.sweep(now, SWEEP_PER_REQUEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn requests_in_pieces_and_wrong_ones() {
        let desk = Desk::new(Policy::open());
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(desk.answer(b"CASC\0\0\0\x01", false, from), None);
        let cut = desk.answer(b"CASC\0\0\0\x01", true, from).unwrap();
        assert!(cut[0] == 1 && String::from_utf8_lossy(&cut).contains("cut short"));
        assert_eq!(desk.answer(b"CASC\0\0\0\x02aaaabbbbccccdddd", false, from).unwrap()[0], 1);
    }
}
