//! Puts many small answers together, so that they take one read of the file and one send.
//!
//! The blocks of a run of consecutive numbers lie one after the other in the file. They are read with
//! one call, as far to the right of their place in the buffer as the run has header bytes; then, from
//! the first to the last, each is moved to its place and its header put in front of it:
//!
//! ```text
//! read    |          block 7 | block 8 | block 9 |
//! spread  | h | block 7 | h | block 8 | h | block 9 |
//! ```
//!
//! (The alternative, reading each block to its place with `preadv`, saves the move, which stays within
//! the cache, for a slice a block and a system call that not every system has.)

use super::proof::{Proof, find_wrong};
use super::response::Response;
use super::segment::{Range64, Segment};
use crate::store::Shared;
use cascade_format::extension::metafile::PartHead;
use cascade_format::peer_wire::{RESPONSE_HEADER_LEN, ResponseHeader};
use cascade_format::{Block, Layout};
use std::io;
use std::ops::Range;

/// A burst while it is put together. All of it is of one file.
pub(super) struct Burst<'a> {
    file: &'a Shared,
    out: &'a mut [u8],
    filled: usize,
    segments: &'a mut Vec<Segment>,
    run: Option<Run>,
    /// A block cannot be read, or is not what it was.
    unreadable: bool,
    /// The hash of what is out of the first block, where blocks are hashed.
    proof: Option<&'a Proof>,
}

/// Blocks that follow each other in the file and have not been read yet.
struct Run {
    /// Where it starts in the buffer.
    at: usize,
    /// Its first segment.
    first: usize,
    /// Its bytes in the file.
    range: Range<u64>,
}

impl<'a> Burst<'a> {
    /// An empty burst of at most `out.len()` bytes; `segments` is emptied and says afterwards what is
    /// in it.
    pub(super) fn new(file: &'a Shared, out: &'a mut [u8], segments: &'a mut Vec<Segment>) -> Self {
        segments.clear();
        Self { file, out, filled: 0, segments, run: None, unreadable: false, proof: None }
    }

    /// The hash of what the socket has taken of the first block.
    pub(super) fn after(self, proof: Option<&'a Proof>) -> Self {
        Self { proof, ..self }
    }

    /// Adds the answer `response` from its byte `start` on. Only the first answer of a burst is cut where
    /// the buffer ends; false means that another has no room, and nothing more can be added.
    pub(super) fn push(&mut self, response: Response, start: u64) -> bool {
        let total = response.answer_len(self.file);
        let wanted = usize::try_from(total.saturating_sub(start)).unwrap_or(usize::MAX);
        let len = wanted.min(self.out.len() - self.filled);
        if len < wanted && !self.segments.is_empty() {
            return false;
        }
        let part = Range64 { start, end: start + len as u64 };
        match response {
            Response::Block(block) | Response::Slice(block) => {
                self.extend_run(file_range(response.layout(self.file), block, part));
            }
            Response::Part { offset, head } => {
                self.read_run();
                let place = self.out.get_mut(self.filled..self.filled + len).unwrap_or_default();
                if read_part(self.file, offset, head, start, place).is_err() {
                    self.unreadable = true;
                }
            }
            Response::Refusal(refusal) => {
                self.read_run();
                let answer = refusal.encode();
                let bytes = answer.iter().skip(usize::try_from(start).unwrap_or(usize::MAX));
                let place = self.out.get_mut(self.filled..).unwrap_or_default();
                place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            }
            // Never goes into a burst.
            Response::News | Response::Guest => return false,
        }
        if self.unreadable {
            return false;
        }
        self.segments.push(Segment { response, part, total });
        self.filled += len;
        true
    }

    /// Reads what is left to read. Returns the length of the burst; it ends before the first block that
    /// could not be read, and has length 0 when that is the very first.
    pub(super) fn finish(mut self) -> usize {
        self.read_run();
        self.filled
    }

    fn extend_run(&mut self, bytes: Range<u64>) {
        if let Some(run) = &mut self.run {
            if run.range.end == bytes.start {
                run.range.end = bytes.end;
                return;
            }
            self.read_run();
        }
        self.run = Some(Run { at: self.filled, first: self.segments.len(), range: bytes });
    }

    fn read_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        let place = self.out.get_mut(run.at..self.filled).unwrap_or_default();
        let bytes = usize::try_from(run.range.end - run.range.start).unwrap_or(usize::MAX);
        let headers = place.len().saturating_sub(bytes);
        let Some(room) = place.get_mut(headers..) else { return };
        if self.file.read_exact_at(room, run.range.start).is_err() {
            (self.filled, self.unreadable) = (run.at, true);
            self.segments.truncate(run.first);
            return;
        }
        let segments = self.segments.get(run.first..).unwrap_or_default();
        spread(self.file, place, headers, segments);
        if let Some((index, at)) = find_wrong(self.file, self.proof, segments, place) {
            (self.filled, self.unreadable) = (run.at + at, true);
            self.segments.truncate(run.first + index);
        }
    }
}

/// The bytes of the answer with a part of the `.cascade` file, from its byte `start` on.
fn read_part(file: &Shared, offset: u32, head: PartHead, start: u64, place: &mut [u8]) -> io::Result<()> {
    let head = head.encode();
    let front = usize::try_from(start).ok().and_then(|start| head.get(start..)).unwrap_or_default();
    let (first, rest) = place.split_at_mut(front.len().min(place.len()));
    first.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
    let at = u64::from(offset) + start.saturating_sub(head.len() as u64);
    file.metafile().ok_or(io::ErrorKind::NotFound)?.read_exact_at(rest, at)
}

/// Moves the blocks of a run, read to `place[from..]`, to their places, and writes their headers.
fn spread(file: &Shared, place: &mut [u8], mut from: usize, segments: &[Segment]) {
    let mut to = 0;
    for Segment { response, part, .. } in segments {
        let Some(block) = response.carried() else { return };
        let header = ResponseHeader::of_block(response.layout(file), block).encode();
        let [start, end] = [part.start, part.end]
            .map(|at| usize::try_from(at).unwrap_or(usize::MAX).min(RESPONSE_HEADER_LEN));
        let body = usize::try_from(part.end - part.start).unwrap_or(0) - (end - start);
        let header = header.get(start..end).unwrap_or_default();
        if from != to + header.len() {
            place.copy_within(from..from + body, to + header.len());
        }
        if let Some(here) = place.get_mut(to..to + header.len()) {
            here.copy_from_slice(header);
        }
        (from, to) = (from + body, to + header.len() + body);
    }
}

/// The bytes of the data file in `part` of the answer that carries `block`, a block or a slice by `layout`.
pub(super) fn file_range(layout: &Layout, block: Block, part: Range64) -> Range<u64> {
    let start = layout.start(block);
    let body = |at: u64| start + at.saturating_sub(RESPONSE_HEADER_LEN as u64);
    body(part.start)..body(part.end)
}

#[cfg(test)]
mod tests {
    use super::super::response::Refusal;
    use super::super::tests::support::{Sample, answer_of};
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is asked for, wherever bursts are cut: the bytes are those of the answers.
        #[test]
        fn bursts_join_to_the_answers(
            length in 1u64..3000,
            block_size in 1u64..200,
            asked in prop::collection::vec(prop::option::weighted(0.9, 0u64..60), 1..40),
            sizes in prop::collection::vec(10usize..600, 1..20),
        ) {
            let sample = Sample::new(length, block_size);
            let layout = *sample.shared.layout();
            let responses: Vec<Response> = asked
                .iter()
                .enumerate()
                .map(|(at, number)| match number {
                    // Mostly consecutive numbers, as clients ask.
                    Some(jump) => {
                        let number = if *jump < 50 { at as u64 } else { *jump } % layout.blocks();
                        Response::Block(layout.block(number).unwrap())
                    }
                    None => Response::Refusal(Refusal::MissingBlock),
                })
                .collect();
            let expected: Vec<u8> = responses.iter().flat_map(|response| answer_of(&sample, *response)).collect();
            let (mut got, mut next, mut start, mut segments) = (Vec::new(), 0, 0, Vec::new());
            let mut sizes = sizes.iter().cycle();
            while next < responses.len() {
                let mut out = vec![0; *sizes.next().unwrap()];
                let mut burst = Burst::new(&sample.shared, &mut out, &mut segments);
                let mut from = start;
                for response in &responses[next..] {
                    if !burst.push(*response, from) {
                        break;
                    }
                    from = 0;
                }
                let filled = burst.finish();
                prop_assert!(filled > 0);
                got.extend_from_slice(&out[..filled]);
                for segment in &segments {
                    if segment.part.end == segment.total {
                        (next, start) = (next + 1, 0);
                    } else {
                        start = segment.part.end;
                    }
                }
            }
            prop_assert!(got == expected, "{} bytes instead of {}", got.len(), expected.len());
        }
    }

    #[test]
    fn an_unreadable_block_ends_the_burst_before_it() {
        let sample = Sample::new(300, 100);
        sample.file().set_len(250).unwrap();
        let block = |number| Response::Block(sample.shared.layout().block(number).unwrap());
        let (mut out, mut segments) = ([0; 1000], Vec::new());
        let mut burst = Burst::new(&sample.shared, &mut out, &mut segments);
        assert!(burst.push(block(0), 0));
        assert!(burst.push(block(2), 0));
        assert!(!burst.push(block(0), 0), "block 2 is read when a new run begins, and cannot be");
        assert_eq!(burst.finish(), 109);
        assert_eq!(segments.len(), 1);
        let mut burst = Burst::new(&sample.shared, &mut out, &mut segments);
        assert!(burst.push(block(2), 0));
        assert_eq!((burst.finish(), segments.len()), (0, 0));
    }
}
