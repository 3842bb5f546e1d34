//! From the bytes of a connection, in whatever pieces they arrive, to a request. No I/O.

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
        request: TrackerRequest,
        /// Whether more bytes followed, against the protocol. They are ignored.
        trailing: bool,
    },
    /// It cannot become a request, whatever follows.
    Refused(RequestError),
}

/// The connection ended in the middle of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request was cut short: it has {REQUEST_LEN} bytes, {0} arrived")]
pub struct CutShort(pub usize);

/// The bytes of one connection so far.
#[derive(Debug)]
pub struct Intake {
    request: [u8; REQUEST_LEN],
    len: usize,
}

impl Default for Intake {
    fn default() -> Self {
        Self { request: [0; REQUEST_LEN], len: 0 }
    }
}

impl Intake {
    /// Takes the next bytes of the connection. Do not call it again after anything but
    /// [`Parsed::Incomplete`].
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Parsed {
        let space = self.request.get_mut(self.len..).unwrap_or_default();
        let taken = space.len().min(bytes.len());
        space.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.len += taken;
        if self.len == REQUEST_LEN {
            let trailing = bytes.len() > taken;
            return match TrackerRequest::parse(&self.request) {
                Ok(request) => Parsed::Complete { request, trailing },
                Err(error) => Parsed::Refused(error),
            };
        }
        // A client that speaks another protocol waits for an answer: it gets one as soon as it shows.
        let received = self.request.get(..self.len).unwrap_or_default();
        let wrong_magic = received.iter().zip(REQUEST_MAGIC).any(|(is, should)| *is != should);
        match received.first_chunk::<REQUEST_HEADER_LEN>().map(TrackerRequest::parse_header) {
            Some(Err(error)) => Parsed::Refused(error),
            Some(Ok(_)) => Parsed::Incomplete,
            None if wrong_magic => Parsed::Refused(RequestError::Magic),
            None => Parsed::Incomplete,
        }
    }

    /// Takes note that the connection ended.
    #[must_use]
    pub const fn handle_end(&self) -> CutShort {
        CutShort(self.len)
    }

    /// Number of bytes of the request that arrived.
    #[must_use]
    pub const fn received(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::CascadeHash;
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
        let (bytes, request) = (sample().encode(), sample());
        for split in 0..REQUEST_LEN {
            let mut intake = Intake::default();
            assert_eq!(intake.handle_bytes(&bytes[..split]), Parsed::Incomplete, "first {split}");
            assert_eq!(intake.handle_end(), CutShort(split));
            let parsed = intake.handle_bytes(&bytes[split..]);
            assert_eq!(parsed, Parsed::Complete { request, trailing: false });
        }
    }

    #[test]
    fn trailing_bytes_are_noticed() {
        let bytes = [&sample().encode()[..], b"x"].concat();
        let parsed = Intake::default().handle_bytes(&bytes);
        assert_eq!(parsed, Parsed::Complete { request: sample(), trailing: true });
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
            let (mut intake, mut rest, mut parsed) = (Intake::default(), &bytes[..], Parsed::Incomplete);
            for piece in pieces.iter().cycle() {
                if rest.is_empty() || parsed != Parsed::Incomplete {
                    break;
                }
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                parsed = intake.handle_bytes(now);
                rest = later;
            }
            match (whole, parsed) {
                (Parsed::Complete { request, .. }, Parsed::Complete { request: other, .. }) => {
                    prop_assert_eq!(request, other);
                }
                (whole, parsed) => prop_assert_eq!(whole, parsed),
            }
        }
    }
}
