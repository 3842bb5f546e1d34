//! The marker in a request's reserved bytes.

use crate::CascadeHash;
use crate::field::{bytes, put, u32_at};
use crate::peer_wire::{BlockRequest, REQUEST_LEN};

/// The marker's first bytes.
pub const MAGIC: [u8; 4] = [0x9c, 0xa5, 0xca, 0xde];

/// The version of the extension that this crate speaks.
pub const VERSION: u8 = 1;

/// Where the reserved bytes stand in a request.
const RESERVED: usize = 8;

/// Where the check stands in a request.
const CHECK: usize = RESERVED + 12;

/// What the requester says of itself.
///
/// Clients of the field may leave anything in the reserved bytes, also what they once received from
/// us. So the marker ends with a CRC-32 of the rest of the request: a marker of another request is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The port that the requester listens on; 0 when it does not serve.
    pub port: u16,
    /// How many offered blocks the requester has read on this connection so far, modulo 2³².
    pub offers_seen: u32,
}

impl Marker {
    /// The bytes of a request for block `block` (a number, or [`super::NEWS`]) that carries this marker.
    #[must_use]
    pub fn request(&self, cascade_hash: CascadeHash, block: u64) -> [u8; REQUEST_LEN] {
        let mut out = BlockRequest { reserved: [0; 16], block, cascade_hash }.encode();
        put(&mut out, RESERVED, &MAGIC);
        put(&mut out, RESERVED + 4, &[VERSION, 0]);
        put(&mut out, RESERVED + 6, &self.port.to_be_bytes());
        put(&mut out, RESERVED + 8, &self.offers_seen.to_be_bytes());
        let check = check(&out);
        put(&mut out, CHECK, &check.to_be_bytes());
        out
    }

    /// The marker of a request, if it carries one of a version that we speak.
    #[must_use]
    pub fn of(request: &BlockRequest) -> Option<Self> {
        let reserved = &request.reserved;
        if bytes(reserved, 0) != MAGIC || bytes(reserved, 4) != [VERSION] {
            return None;
        }
        let told = u32_at(reserved, CHECK - RESERVED);
        (told == check(&request.encode()))
            .then(|| Self { port: u16::from_be_bytes(bytes(reserved, 6)), offers_seen: u32_at(reserved, 8) })
    }
}

/// CRC-32 (ISO-HDLC, that of gzip) of all of a request but the check itself.
fn check(request: &[u8; REQUEST_LEN]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(request.get(..CHECK).unwrap_or_default());
    crc.update(request.get(CHECK + 4..).unwrap_or_default());
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: CascadeHash = CascadeHash([7; 32]);

    #[test]
    fn golden_marker() {
        let request = Marker { port: 7001, offers_seen: 3 }.request(HASH, 0x0304);
        assert_eq!(&request[..8], b"CASCADE1");
        assert_eq!(request[8..20], [0x9c, 0xa5, 0xca, 0xde, 1, 0, 0x1b, 0x59, 0, 0, 0, 3]);
        assert_eq!(request[20..24], GOLDEN_CHECK);
        assert_eq!(&request[24..32], [0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(&request[32..], [7; 32]);
    }

    /// From Python's `zlib.crc32` over the golden request without its bytes 20 to 23.
    const GOLDEN_CHECK: [u8; 4] = [0xb6, 0xd0, 0xba, 0x94];

    #[test]
    fn a_plain_request_has_no_marker() {
        let plain = BlockRequest { reserved: [0; 16], block: 1, cascade_hash: HASH };
        assert_eq!(Marker::of(&plain), None);
    }

    proptest! {
        #[test]
        fn a_marker_is_read_as_it_was_written(port: u16, offers_seen: u32, block: u64, hash: [u8; 32]) {
            let marker = Marker { port, offers_seen };
            let request = BlockRequest::parse(&marker.request(CascadeHash(hash), block)).unwrap();
            prop_assert_eq!(Marker::of(&request), Some(marker));
        }

        #[test]
        fn reserved_bytes_kept_from_another_request_are_no_marker(port: u16, seen: u32, block: u64, other: u64) {
            prop_assume!(block != other);
            let old = Marker { port, offers_seen: seen }.request(HASH, block);
            let reserved = BlockRequest::parse(&old).unwrap().reserved;
            prop_assert_eq!(Marker::of(&BlockRequest { reserved, block: other, cascade_hash: HASH }), None);
        }

        #[test]
        fn garbage_is_no_marker(reserved: [u8; 16], block: u64) {
            prop_assert_eq!(Marker::of(&BlockRequest { reserved, block, cascade_hash: HASH }), None);
        }
    }
}
