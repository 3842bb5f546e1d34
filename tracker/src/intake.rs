//! From the bytes of a connection, in whatever pieces they arrive, to a request. No I/O.

use crate::ask::Request;
use cascade_format::tracker_room::{Kind, MAX_REQUEST_LEN, Report, RoomRequest};
use cascade_format::tracker_wide::{Form, WideRequest};
use cascade_format::tracker_wire::{
    REQUEST_HEADER_LEN, REQUEST_LEN, REQUEST_MAGIC, RequestError, TrackerRequest,
};

/// What is known after some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The request is not complete.
    Incomplete,
    /// The request is complete.
    Complete {
        /// It.
        request: Request,
        /// Whether more bytes followed, against the protocol. They are ignored.
        trailing: bool,
    },
    /// It cannot become a request, whatever follows.
    Refused(RequestError),
}

/// The connection ended in the middle of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request was cut short: it has {1} bytes, {0} arrived")]
pub struct CutShort(pub usize, pub usize);

/// The bytes of one connection so far.
#[derive(Debug)]
pub struct Intake {
    request: [u8; MAX_REQUEST_LEN],
    len: usize,
    /// Length of the request: that of version 1 until its header says otherwise.
    wanted: usize,
}

impl Default for Intake {
    fn default() -> Self {
        Self { request: [0; MAX_REQUEST_LEN], len: 0, wanted: REQUEST_LEN }
    }
}

impl Intake {
    /// Takes the next bytes of the connection. Do not call it again after anything but
    /// [`Parsed::Incomplete`].
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Parsed {
        let before = self.len;
        let space = self.request.get_mut(before..).unwrap_or_default();
        space.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        let arrived = before.saturating_add(bytes.len());
        self.len = arrived.min(self.request.len());
        let received = self.request.get(..self.len).unwrap_or_default();
        // A client that speaks another protocol waits for an answer: it gets one as soon as it shows.
        let wrong_magic = received.iter().zip(REQUEST_MAGIC).any(|(is, should)| *is != should);
        let kind;
        (kind, self.wanted) = match received.first_chunk::<REQUEST_HEADER_LEN>().map(Kind::parse_header) {
            Some(Err(error)) => return Parsed::Refused(error),
            Some(Ok(known)) => known,
            None if wrong_magic => return Parsed::Refused(RequestError::Magic),
            None => return Parsed::Incomplete,
        };
        if arrived < self.wanted {
            return Parsed::Incomplete;
        }
        self.len = self.wanted;
        match self.parse(kind) {
            Ok(request) => Parsed::Complete { request, trailing: arrived > self.wanted },
            Err(error) => Parsed::Refused(error),
        }
    }

    fn parse(&self, kind: Kind) -> Result<Request, RequestError> {
        let whole = self.request.get(..self.wanted).unwrap_or_default();
        match kind {
            Kind::Peers(Form::Plain, _) => {
                TrackerRequest::parse(&start(whole)).map(|request| Request::Peers(request.into()))
            }
            Kind::Peers(Form::Wide, _) => {
                WideRequest::parse(&start(whole)).map(|request| Request::Peers(request.into()))
            }
            Kind::Report => Report::parse(whole).map(Request::Report),
            Kind::Room => RoomRequest::parse(&start(whole)).map(Request::Room),
        }
    }

    /// Takes note that the connection ended.
    #[must_use]
    pub const fn handle_end(&self) -> CutShort {
        CutShort(self.len, self.wanted)
    }

    /// Number of bytes of the request that arrived.
    #[must_use]
    pub const fn received(&self) -> usize {
        self.len
    }
}

/// The bytes of a request, which has exactly `N` of them.
fn start<const N: usize>(request: &[u8]) -> [u8; N] {
    request.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::CascadeHash;
    use cascade_format::tracker_room::{PeerName, Program, Progress};
    use cascade_format::tracker_wire::Command;
    use proptest::prelude::*;

    fn sample() -> TrackerRequest {
        TrackerRequest {
            command: Command::Subscribe,
            cascade_hash: CascadeHash([9; 32]),
            listen: "10.1.2.3:4".parse().unwrap(),
        }
    }

    #[test]
    fn any_split_gives_the_request() {
        let (bytes, request) = (sample().encode(), Request::Peers(sample().into()));
        for split in 0..REQUEST_LEN {
            let mut intake = Intake::default();
            assert_eq!(intake.handle_bytes(&bytes[..split]), Parsed::Incomplete, "first {split}");
            assert_eq!(intake.handle_end(), CutShort(split, REQUEST_LEN));
            let parsed = intake.handle_bytes(&bytes[split..]);
            assert_eq!(parsed, Parsed::Complete { request, trailing: false });
        }
    }

    #[test]
    fn any_split_gives_a_request_for_both_families() {
        let wide = WideRequest {
            command: Command::List,
            cascade_hash: CascadeHash([9; 32]),
            listen: "[2001:db8::7]:4".parse::<std::net::SocketAddr>().unwrap().into(),
        };
        let bytes = wide.encode();
        for split in 0..bytes.len() {
            let mut intake = Intake::default();
            assert_eq!(intake.handle_bytes(&bytes[..split]), Parsed::Incomplete, "first {split}");
            let wanted = if split < REQUEST_HEADER_LEN { REQUEST_LEN } else { bytes.len() };
            assert_eq!(intake.handle_end(), CutShort(split, wanted));
            let parsed = intake.handle_bytes(&bytes[split..]);
            assert_eq!(parsed, Parsed::Complete { request: Request::Peers(wide.into()), trailing: false });
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(Intake::default().handle_bytes(&longer), Parsed::Complete { trailing: true, .. }));
    }

    #[test]
    fn any_split_gives_a_report_or_a_question_for_a_room() {
        let listen = "[2001:db8::7]:4".parse::<std::net::SocketAddr>().unwrap().into();
        let (cascade_hash, name) = (CascadeHash([9; 32]), PeerName::of(&"n".repeat(64)));
        let (progress, program) = (Progress::default(), Program::of(&"p".repeat(24)));
        let (goodbye, seeder, v4_only) = (false, true, false);
        let report =
            Report { cascade_hash, listen, number: 1, goodbye, seeder, v4_only, progress, program, name };
        let shortest = Report { program: Program::EMPTY, name: PeerName::EMPTY, ..report };
        let room = RoomRequest { cascade_hash, first: 3 };
        for (bytes, request) in [
            (report.encode(), Request::Report(report)),
            (shortest.encode(), Request::Report(shortest)),
            (room.encode().to_vec(), Request::Room(room)),
        ] {
            for split in 0..bytes.len() {
                let mut intake = Intake::default();
                assert_eq!(intake.handle_bytes(&bytes[..split]), Parsed::Incomplete, "first {split}");
                let parsed = intake.handle_bytes(&bytes[split..]);
                assert_eq!(parsed, Parsed::Complete { request, trailing: false });
            }
            let longer = [&bytes[..], b"x"].concat();
            let parsed = Intake::default().handle_bytes(&longer);
            assert_eq!(parsed, Parsed::Complete { request, trailing: true });
        }
        assert_eq!(report.encode().len(), MAX_REQUEST_LEN);
    }

    #[test]
    fn trailing_bytes_are_noticed() {
        let bytes = [&sample().encode()[..], b"x"].concat();
        let parsed = Intake::default().handle_bytes(&bytes);
        assert_eq!(parsed, Parsed::Complete { request: Request::Peers(sample().into()), trailing: true });
    }

    #[test]
    fn a_wrong_header_is_refused_before_the_rest_arrives() {
        assert_eq!(Intake::default().handle_bytes(b"GET"), Parsed::Refused(RequestError::Magic));
        let mut bytes = sample().encode();
        bytes[7] = 2;
        let mut intake = Intake::default();
        assert_eq!(intake.handle_bytes(&bytes[..15]), Parsed::Incomplete);
        assert_eq!(intake.handle_bytes(&bytes[15..16]), Parsed::Refused(RequestError::Version(2)));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(mut bytes in prop::collection::vec(any::<u8>(), 0..80), valid in 0usize..=54, pieces in prop::collection::vec(1usize..20, 1..80)) {
            bytes.iter_mut().zip(&sample().encode()[..valid]).for_each(|(to, from)| *to = *from);
            let whole = Intake::default().handle_bytes(&bytes);
            let (mut intake, mut rest, mut progress) = (Intake::default(), &bytes[..], Parsed::Incomplete);
            for piece in pieces.iter().cycle() {
                if rest.is_empty() || progress != Parsed::Incomplete {
                    break;
                }
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                progress = intake.handle_bytes(now);
                rest = later;
            }
            match (whole, progress) {
                (Parsed::Complete { request, .. }, Parsed::Complete { request: other, .. }) => {
                    prop_assert_eq!(request, other);
                }
                (whole, progress) => prop_assert_eq!(whole, progress),
            }
        }
    }
}
