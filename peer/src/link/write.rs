//! Where the bytes that come over one link are written.
//!
//! What is verified is never written again, right or wrong: others are served it. Of a block whose slices are verified
//! from its end on, a whole answer writes the bytes in front of these alone.

use super::lane::Lane;
use super::response::Segment;
use super::unit::Unit;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Writes for one link.
#[derive(Debug)]
pub(super) struct Writer {
    lane: Arc<Lane>,
    /// Bytes that may be written from the start of the block or the slice on that is arriving, looked up when it begins.
    /// Meanwhile nobody else is asked for a part of it, so no more of it becomes verified; and before anything that is
    /// verified is doubted, the links are ended.
    unverified_len: u64,
}

impl Writer {
    pub(super) const fn new(lane: Arc<Lane>) -> Self {
        Self { lane, unverified_len: 0 }
    }

    /// Writes bodies at their places, neighbours with one call, under the lease. Tells for each segment whether it is
    /// written, or verified already: only the writer knows, for the lease may change at any moment.
    pub(super) fn write(&mut self, bytes: &[u8], segments: &[Segment]) -> io::Result<Vec<bool>> {
        let data = self.lane.file.shared.data();
        let writing = self.lane.lease.write();
        let mut written = Vec::with_capacity(segments.len());
        let mut neighbours = Vec::new();
        let (mut start, mut end) = (0, 0);
        for segment in segments {
            let Segment::Body { unit, offset, range, .. } = segment else {
                written.push(false);
                continue;
            };
            if *offset == 0 {
                self.unverified_len = unverified_len(&self.lane, *unit);
            }
            let allowed = writing.allows(*unit);
            written.push(allowed);
            let room = self.unverified_len.saturating_sub(*offset);
            let body = bytes.get(range.clone()).unwrap_or_default();
            let body = body.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(body);
            if !allowed || body.is_empty() {
                continue;
            }
            let at = start_of(&self.lane, *unit) + offset;
            if at != end {
                data.write_all_at(&mut neighbours, start)?;
                neighbours.clear();
                start = at;
            }
            neighbours.push(IoSlice::new(body));
            end = at + body.len() as u64;
        }
        data.write_all_at(&mut neighbours, start)?;
        Ok(written)
    }
}

/// Bytes from the start of `unit` on that are not verified.
fn unverified_len(lane: &Lane, unit: Unit) -> u64 {
    let shared = &lane.file.shared;
    match unit {
        Unit::Block(block) => {
            // In this order: a block of which the last slice has just been verified has no verified slices any more.
            let unverified = shared.unverified_len(block);
            if shared.have().has(block) { 0 } else { unverified }
        }
        Unit::Slice(slice) if shared.has_slice(slice) => 0,
        Unit::Slice(slice) => lane.file.slices.map_or(0, |slices| slices.layout.len_of(slice)),
    }
}

/// Where `unit` begins in the file.
fn start_of(lane: &Lane, unit: Unit) -> u64 {
    match unit {
        Unit::Block(block) => lane.file.shared.layout().start(block),
        Unit::Slice(slice) => lane.file.slices.map_or(0, |slices| slices.layout.start(slice)),
    }
}
