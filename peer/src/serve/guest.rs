//! Clients of the tracker's protocol, where a peer and a tracker share a port.
//!
//! A tracker's request begins with `CASC` and a version, a peer's with `CASCADE1`: the fifth byte tells them apart.

use cascade_format::metafile::MAGIC;
use cascade_format::tracker_room::MAX_REQUEST_LEN;
use cascade_format::tracker_wire::REQUEST_MAGIC;

/// Bytes of a guest that are kept: the longest request, and one that shows that more has come.
const MAX_GUEST_LEN: usize = MAX_REQUEST_LEN + 1;

/// What has come of a tracker's request.
#[derive(Debug)]
pub(super) struct Guest(Vec<u8>);

impl Guest {
    /// Whether a connection asks a tracker that has sent `begun` bytes, which agree with the magic of a block request,
    /// and now `arrived`. What has `arrived` is still to be [taken](Self::take).
    pub(super) fn begin(begun: usize, arrived: &[u8]) -> Option<Self> {
        let begun = MAGIC.get(..begun).unwrap_or(&MAGIC);
        let first: Vec<u8> =
            begun.iter().chain(arrived.iter().take(REQUEST_MAGIC.len() + 1)).copied().collect();
        is_guest(&first).then(|| Self(begun.to_vec()))
    }

    /// Keeps what has arrived, as far as a tracker reads.
    pub(super) fn take(&mut self, arrived: &[u8]) {
        let room = MAX_GUEST_LEN.saturating_sub(self.0.len());
        self.0.extend(arrived.iter().take(room));
    }

    /// All that has come and was kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether a connection that begins so asks a tracker.
fn is_guest(first: &[u8]) -> bool {
    let fifth = first.get(REQUEST_MAGIC.len());
    first.starts_with(&REQUEST_MAGIC)
        && fifth.is_some_and(|byte| MAGIC.get(REQUEST_MAGIC.len()) != Some(byte))
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
