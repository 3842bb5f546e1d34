//! Clients of the tracker's protocol, where a peer and a tracker share a port.
//!
//! A tracker's request begins with `CASC` and a version, a peer's with `CASCADE1`: the fifth byte tells them apart.

use super::answer::Answer;
use super::connection::Connection;
use super::conversation::Head;
use super::response::Response;
use super::socket;
use cascade_format::metafile::MAGIC;
use cascade_format::tracker_room::MAX_REQUEST_LEN;
use cascade_format::tracker_wire::REQUEST_MAGIC;

/// Bytes of a guest that are kept: the longest request, and one that shows that more has come.
const MAX_GUEST_LEN: usize = MAX_REQUEST_LEN + 1;

/// What has come of a tracker's request.
#[derive(Debug)]
pub(super) struct Guest(Vec<u8>);

/// Whether a connection that begins so asks a tracker.
fn is_guest(first: &[u8]) -> bool {
    let fifth = first.get(REQUEST_MAGIC.len());
    first.starts_with(&REQUEST_MAGIC)
        && fifth.is_some_and(|byte| MAGIC.get(REQUEST_MAGIC.len()) != Some(byte))
}

impl Connection {
    /// Takes what has arrived if it is for the tracker; false: it is not.
    pub(super) fn receive_guest(&mut self, arrived: &[u8]) -> bool {
        if self.guest.is_none() {
            if self.worker.guests.is_none() || self.has_asked() {
                return false;
            }
            // What is begun agrees with the magic of a block request.
            let begun = MAGIC.get(..self.begun()).unwrap_or(&MAGIC);
            let first: Vec<u8> =
                begun.iter().chain(arrived.iter().take(REQUEST_MAGIC.len() + 1)).copied().collect();
            if !is_guest(&first) {
                return false;
            }
            self.guest = Some(Box::new(Guest(begun.to_vec())));
        }
        if let Some(Guest(guest)) = self.guest.as_deref_mut() {
            let room = MAX_GUEST_LEN.saturating_sub(guest.len());
            guest.extend(arrived.iter().take(room));
        }
        true
    }

    /// Has the guest answered, if its request is complete, or cannot become one.
    pub(super) fn answer_guest(&mut self) -> Option<Answer> {
        let (Guest(guest), guests) = (self.guest.as_deref()?, self.worker.guests.as_ref()?);
        let from = socket::client(&self.stream);
        let bytes = guests.0(guest, self.ended, from)?;
        let head = Some(Head { bytes, sent: 0 });
        Some(Answer { response: Response::Guest, file: None, head, sent: 0, settled: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_byte_tells_a_tracker_s_client_from_a_peer_s() {
        assert!(is_guest(b"CASC\0\0\0\x01") && is_guest(b"CASC\0") && is_guest(b"CASCX"));
        for other in [&b"CASCADE1"[..], b"CASC", b"CASCA", b"", b"GET / HT"] {
            assert!(!is_guest(other), "{other:?}");
        }
    }
}
