//! The marker in a request's reserved bytes.

use crate::CascadeHash;
use crate::field::{bytes, put, u32_at};
use crate::peer_wire::{BlockRequest, REQUEST_LEN};
use core::num::NonZeroU8;

/// The marker's first bytes.
pub const MAGIC: [u8; 4] = [0x9c, 0xa5, 0xca, 0xde];

/// The version of the extension that this crate speaks.
pub const VERSION: u8 = 1;

/// Where the reserved bytes stand in a request.
const RESERVED: usize = 8;

/// Where the check stands in a request.
const CHECK: usize = RESERVED + 12;

/// What a requester says about itself.
///
/// Other programs may leave any bytes in the reserved part of a request, even bytes that they once received from us. So
/// the marker ends with a CRC-32 of the rest of its request: bytes that were copied from another request are no valid
/// marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The port that the requester listens on; 0 when it does not serve.
    pub port: u16,
    /// How many offered blocks the requester has read on this connection so far, modulo 2³².
    pub offers_seen: u32,
    /// How much of the file it has; `None`: it does not say.
    pub progress: Option<Progress>,
}

/// How much of a file a peer has: no block, every block, or its share in steps of 1/254, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Progress(NonZeroU8);

impl Progress {
    /// The progress of a peer that has no block, or less than 1/254 of them.
    pub const NOTHING: Self = Self(NonZeroU8::MIN);

    /// The progress of a peer that has every block.
    pub const COMPLETE: Self = Self(NonZeroU8::MAX);

    /// The steps between none and all.
    const STEPS: u128 = NonZeroU8::MAX.get() as u128 - 1;

    /// The progress of a peer that has `had` of `blocks` blocks; `None` if the file has no block.
    #[must_use]
    pub fn of(had: u64, blocks: u64) -> Option<Self> {
        let steps = (u128::from(had.min(blocks)) * Self::STEPS).checked_div(u128::from(blocks))?;
        u8::try_from(steps + 1).ok().and_then(Self::read)
    }

    /// Reads the progress from a marker's byte; `None` if the byte is 0, with which a requester says nothing.
    #[must_use]
    pub fn read(byte: u8) -> Option<Self> {
        NonZeroU8::new(byte).map(Self)
    }

    /// The marker's byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0.get()
    }

    /// The smallest number of blocks, out of `blocks`, that a peer with this progress can have.
    #[must_use]
    pub fn blocks(self, blocks: u64) -> u64 {
        let had = (u128::from(self.byte() - 1) * u128::from(blocks)).div_ceil(Self::STEPS);
        u64::try_from(had).unwrap_or(blocks)
    }
}

impl Marker {
    /// The bytes of a request for block `block` (a number, or [`super::NEWS`]) that carries this marker.
    #[must_use]
    pub fn request(&self, cascade_hash: CascadeHash, block: u64) -> [u8; REQUEST_LEN] {
        let mut out = BlockRequest { reserved: [0; 16], block, cascade_hash }.encode();
        put(&mut out, RESERVED, &MAGIC);
        put(&mut out, RESERVED + 4, &[VERSION, self.progress.map_or(0, Progress::byte)]);
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
        (told == check(&request.encode())).then(|| Self {
            port: u16::from_be_bytes(bytes(reserved, 6)),
            offers_seen: u32_at(reserved, 8),
            progress: reserved.get(5).copied().and_then(Progress::read),
        })
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
        let request = Marker { port: 7001, offers_seen: 3, progress: None }.request(HASH, 0x0304);
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

    #[test]
    fn progress_is_exact_at_both_ends_and_never_too_much() {
        assert_eq!(Progress::of(0, 0), None);
        for blocks in [1, 2, 253, 254, 255, 1000, u64::MAX] {
            let of = |had| Progress::of(had, blocks).unwrap();
            assert_eq!((of(0).byte(), of(0).blocks(blocks)), (1, 0));
            assert_eq!((of(blocks), of(blocks).blocks(blocks)), (Progress::COMPLETE, blocks));
            assert!(of(blocks - 1) < Progress::COMPLETE);
        }
    }

    proptest! {
        #[test]
        fn progress_says_at_most_a_254th_too_little(blocks in 1..u64::MAX, part in 0.0..1.0_f64) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "any number")]
            let had = ((blocks as f64 * part) as u64).min(blocks);
            let told = Progress::of(had, blocks).unwrap().blocks(blocks);
            prop_assert!(told <= had && had - told <= blocks / 254 + 1, "{told} of {had}");
        }

        #[test]
        fn a_marker_is_read_as_it_was_written(port: u16, offers_seen: u32, byte: u8, block: u64, hash: [u8; 32]) {
            let marker = Marker { port, offers_seen, progress: Progress::read(byte) };
            let request = BlockRequest::parse(&marker.request(CascadeHash(hash), block)).unwrap();
            prop_assert_eq!(Marker::of(&request), Some(marker));
        }

        #[test]
        fn reserved_bytes_kept_from_another_request_are_no_marker(port: u16, seen: u32, block: u64, other: u64) {
            prop_assume!(block != other);
            let old = Marker { port, offers_seen: seen, progress: None }.request(HASH, block);
            let reserved = BlockRequest::parse(&old).unwrap().reserved;
            prop_assert_eq!(Marker::of(&BlockRequest { reserved, block: other, cascade_hash: HASH }), None);
        }

        #[test]
        fn garbage_is_no_marker(reserved: [u8; 16], block: u64) {
            prop_assert_eq!(Marker::of(&BlockRequest { reserved, block, cascade_hash: HASH }), None);
        }
    }
}
