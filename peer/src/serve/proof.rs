//! Hashing blocks before they are sent: what is hashed is what leaves, and no wrong block is ever completed.
//!
//! A file can be changed so that its stamp shows nothing: through a mapping whose pages were dirty already. Who
//! does not trust that has every block hashed. A block that fits a burst is hashed before any of it leaves.
//! Of a longer one each piece is hashed as it leaves, from the same buffer, and the last piece leaves
//! only when the hash of all is right. A piece that the socket took in part is read again from where it
//! stopped; so the hash follows what the socket took, not what was read.

use super::response::Response;
use super::segment::Segment;
use crate::store::Shared;
use cascade_format::peer_wire::RESPONSE_HEADER_LEN;
use cascade_format::{Block, BlockHash};
use cascade_hash::Sha256Stream;
use std::ops::Range;

/// The hash of what the socket has taken of the block under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Proof(Sha256Stream);

impl Proof {
    /// Whether the block whose last `bytes` are these is right; it is withdrawn if it is not.
    fn completes(mut self, bytes: &[u8], block: Block, file: &Shared) -> bool {
        let Some(expected) = file.proof().map(|metafile| metafile.hash_of(block)) else { return true };
        self.0.update(bytes);
        let right = expected.is_ok_and(|expected| BlockHash(self.0.finish()) == expected);
        if !right {
            file.found_wrong();
        }
        right
    }

    /// `segment` was put together as `bytes`, of which the socket took `taken`: the hash of what it has taken
    /// of the block now. `before`: the one up to the segment.
    pub(super) fn follow(
        before: Option<Box<Self>>,
        segment: &Segment,
        bytes: &[u8],
        taken: usize,
    ) -> Box<Self> {
        let mut proof = before.filter(|_| continues(segment)).unwrap_or_default();
        let body = body_of(segment);
        proof.0.update(bytes.get(body.start..body.end.min(taken)).unwrap_or_default());
        proof
    }
}

/// Whether all blocks that end in `place`, of which `segments` tells what is in it, are right; else the first that
/// is wrong, and where it begins. `before`: the hash of what the socket has taken of the first.
pub(super) fn find_wrong(
    file: &Shared,
    before: Option<&Proof>,
    segments: &[Segment],
    place: &[u8],
) -> Option<(usize, usize)> {
    file.proof()?;
    let mut at = 0;
    for (index, segment) in segments.iter().enumerate() {
        let bytes = place.get(at..).unwrap_or_default();
        if let Response::Block(block) = segment.response
            && segment.part.end == segment.total
        {
            let proof = before.filter(|_| continues(segment)).cloned().unwrap_or_default();
            if !proof.completes(bytes.get(body_of(segment)).unwrap_or_default(), block, file) {
                return Some((index, at));
            }
        }
        at += usize::try_from(segment.part.end - segment.part.start).unwrap_or(usize::MAX);
    }
    None
}

/// Whether some of the block's bytes are out already.
fn continues(segment: &Segment) -> bool {
    segment.part.start > RESPONSE_HEADER_LEN as u64
}

/// Where in a segment the block's bytes are.
fn body_of(segment: &Segment) -> Range<usize> {
    let [start, end] =
        [segment.part.start, segment.part.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
    let header = start.max(RESPONSE_HEADER_LEN).min(end) - start;
    header..end - start
}
