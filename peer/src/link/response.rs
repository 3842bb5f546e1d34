//! Reading the stream of responses on one link, without I/O: bytes in, segments out.
//!
//! Responses come in the order of the requests (protocol §3). What a header claims is compared with
//! what was asked: a block has its block's length, a message a bounded one, and nothing comes unasked.
//! Where requests carry the extension's marker, a body may have a field in front of it. A slice always has one,
//! with the state by which the slice is verified.

mod ask;
mod lie;
mod segment;

pub use ask::Ask;
pub use lie::Lie;
pub use segment::{News, Segment};

use super::unit::Unit;
use crate::limits::{KEPT_MESSAGE_LEN, MAX_MESSAGE_LEN};
use crate::store::slices;
use cascade_format::extension::field::{self, LENGTH_LEN, MAX_FIELD_LEN};
use cascade_format::extension::{EXTENDED, Item};
use cascade_format::peer_wire::{RESPONSE_HEADER_LEN, ResponseHeader, Status};
use cascade_format::{Layout, text};
use std::collections::VecDeque;

/// After this number of blocks in a row a link expects that the next answer is a block, too.
const STEADY_BLOCKS: u32 = 4;

#[derive(Debug)]
enum State {
    Header {
        bytes: [u8; RESPONSE_HEADER_LEN],
        filled: usize,
    },
    /// The extension's field, its own length first; `body_len` bytes of body follow.
    Field {
        status: Status,
        bytes: Vec<u8>,
        body_len: u64,
    },
    Body {
        unit: Unit,
        done: u64,
        length: u64,
    },
    Message {
        status: Status,
        left: u64,
        kept: Vec<u8>,
    },
}

/// Reads one link's stream.
#[derive(Debug)]
pub struct ResponseReader {
    layout: Layout,
    /// How the file is divided into slices, if slices are asked for.
    sliced: Option<Layout>,
    /// Whether the requests carry markers: without one, bit 7 of a status is part of the status.
    extension: bool,
    asked: VecDeque<Ask>,
    /// Bytes of the answers in `asked`, from their headers to their ends, if nothing is refused.
    expected: u64,
    state: State,
    /// Whether anything was ever requested.
    was_asked: bool,
    /// Answers that have ended.
    answers: u64,
    /// Blocks and slices that have come since an answer brought none.
    in_a_row: u32,
    /// Whether the peer has shown that it knows the extension.
    told: bool,
}

const NO_HEADER: State = State::Header { bytes: [0; RESPONSE_HEADER_LEN], filled: 0 };

impl ResponseReader {
    /// A reader for a new connection, on which requests carry markers if `extension`. Slices may be asked for if it is
    /// known how the file is divided into them.
    #[must_use]
    pub fn new(layout: Layout, sliced: Option<Layout>, extension: bool) -> Self {
        Self {
            layout,
            sliced,
            extension,
            asked: VecDeque::new(),
            expected: 0,
            state: NO_HEADER,
            was_asked: false,
            answers: 0,
            in_a_row: 0,
            told: false,
        }
    }

    /// Something was requested.
    pub fn asked(&mut self, ask: Ask) {
        self.expected += self.length_of(ask);
        self.asked.push_back(ask);
        self.was_asked = true;
    }

    /// Whether anything was ever requested.
    #[must_use]
    pub fn was_asked(&self) -> bool {
        self.was_asked
    }

    /// Number of blocks of the file.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.layout.blocks()
    }

    /// Whether the peer has shown that it does not mind if a connection ends before its answers do: it has given
    /// two on this one, or knows the extension.
    #[must_use]
    pub fn is_used_to_more(&self) -> bool {
        self.answers > 1 || self.told
    }

    /// Whether the peer has shown that it knows the extension.
    #[must_use]
    pub fn knows_extension(&self) -> bool {
        self.told
    }

    /// The status of the message that is being read instead of a block. Where a peer closes with requests unread,
    /// the rest of its message may never come.
    #[must_use]
    pub fn refusing(&self) -> Option<Status> {
        match (&self.state, self.asked.front()) {
            (State::Message { status, .. }, Some(ask)) if ask.unit().is_some() => Some(*status),
            _ => None,
        }
    }

    /// Bytes that are left of the answer that has begun; of its header alone while that is not complete.
    #[must_use]
    pub fn rest(&self) -> Option<u64> {
        match &self.state {
            State::Header { filled: 0, .. } => None,
            State::Header { filled, .. } => Some((RESPONSE_HEADER_LEN - filled) as u64),
            State::Field { bytes, body_len, .. } => {
                Some((LENGTH_LEN as u64 + *body_len).saturating_sub(bytes.len() as u64))
            }
            State::Body { done, length, .. } => Some(*length - *done),
            State::Message { left, .. } => Some(*left),
        }
    }

    /// Bytes that are still to come of the block or the slice that is being read; 0 between two of them.
    #[must_use]
    pub fn left_of_body(&self) -> u64 {
        match &self.state {
            State::Body { done, length, .. } => length - done,
            State::Header { .. } | State::Field { .. } | State::Message { .. } => 0,
        }
    }

    /// Bytes of the next answer, between two answers, if it should be a block, and another answer follows it. Else 0. The
    /// peer must know the extension, so that it sends an answer without a pause, and must have given the last
    /// [`STEADY_BLOCKS`] blocks that it was asked for.
    #[must_use]
    pub fn next_block(&self) -> u64 {
        let steady = self.told && self.in_a_row >= STEADY_BLOCKS;
        match self.asked.front() {
            Some(ask) if steady && ask.unit().is_some() && self.is_between() && self.asked.len() > 1 => {
                self.length_of(*ask)
            }
            _ => 0,
        }
    }

    /// Bytes that are still to come of everything that was asked for, if nothing is refused; what the peer
    /// tells of itself not included.
    #[must_use]
    pub fn expected(&self) -> u64 {
        let read = match &self.state {
            State::Body { done, .. } => RESPONSE_HEADER_LEN as u64 + done,
            State::Header { filled, .. } => *filled as u64,
            State::Field { .. } | State::Message { .. } => 0,
        };
        self.expected.saturating_sub(read)
    }

    fn length_of(&self, ask: Ask) -> u64 {
        RESPONSE_HEADER_LEN as u64 + ask.unit().map_or(0, |unit| self.len_of(unit))
    }

    fn len_of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Block(block) => self.layout.len_of(block),
            Unit::Slice(slice) => self.layout_of_slices().len_of(slice),
        }
    }

    /// Nobody asks for slices where there are none.
    fn layout_of_slices(&self) -> &Layout {
        self.sliced.as_ref().unwrap_or(&self.layout)
    }

    /// Number of answers that are owed, the one being read included.
    #[must_use]
    pub fn owed(&self) -> usize {
        self.asked.len()
    }

    /// Whether the stream stands between two answers.
    #[must_use]
    pub fn is_between(&self) -> bool {
        matches!(self.state, State::Header { filled: 0, .. })
    }

    /// Reads all of `bytes` and appends what they are to `segments`. After an error the stream is
    /// beyond understanding; the segments before it are right.
    ///
    /// # Errors
    /// The peer sent what no peer may send.
    pub fn read(&mut self, bytes: &[u8], segments: &mut Vec<Segment>) -> Result<(), Lie> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..)
            && !rest.is_empty()
        {
            at += self.step(rest, at, segments)?;
        }
        Ok(())
    }

    /// Reads some of `rest`, which begins at `at` of what was given; tells how much.
    fn step(&mut self, rest: &[u8], at: usize, segments: &mut Vec<Segment>) -> Result<usize, Lie> {
        match &mut self.state {
            State::Header { bytes, filled } => {
                let Some(ask) = self.asked.front().copied() else { return Err(Lie::Unasked) };
                let wanted = bytes.get_mut(*filled..).unwrap_or_default();
                let taken = wanted.len().min(rest.len());
                wanted.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                *filled += taken;
                if *filled == RESPONSE_HEADER_LEN {
                    let header = ResponseHeader::parse(bytes);
                    self.begin(ask, header)?;
                    self.end_message(segments);
                }
                Ok(taken)
            }
            State::Field { .. } => self.step_field(rest, segments),
            State::Body { unit, done, length } => {
                let taken = within(*length - *done, rest.len());
                let last = *done + taken as u64 == *length;
                segments.push(Segment::Body { unit: *unit, offset: *done, range: at..at + taken, last });
                *done += taken as u64;
                if last {
                    self.next();
                    self.in_a_row = self.in_a_row.saturating_add(1);
                }
                Ok(taken)
            }
            State::Message { left, kept, .. } => {
                let taken = within(*left, rest.len());
                let room = KEPT_MESSAGE_LEN.saturating_sub(kept.len());
                kept.extend(rest.iter().take(taken.min(room)));
                *left -= taken as u64;
                self.end_message(segments);
                Ok(taken)
            }
        }
    }

    fn begin(&mut self, ask: Ask, header: ResponseHeader) -> Result<(), Lie> {
        let status = u8::from(header.status);
        if !self.extension || status & EXTENDED == 0 {
            return self.begin_body(ask, header, None);
        }
        let Some(body_len) = header.body_len.checked_sub(LENGTH_LEN as u64) else {
            return Err(Lie::Field(header.body_len));
        };
        let status = Status::from(status & !EXTENDED);
        self.state = State::Field { status, bytes: Vec::new(), body_len };
        Ok(())
    }

    /// Reads some of a field; at its end the ordinary body begins.
    fn step_field(&mut self, rest: &[u8], segments: &mut Vec<Segment>) -> Result<usize, Lie> {
        let (State::Field { status, bytes, body_len }, Some(ask)) = (&mut self.state, self.asked.front())
        else {
            return Ok(0);
        };
        let claimed =
            |bytes: &[u8]| bytes.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
        let wanted = LENGTH_LEN + claimed(bytes).unwrap_or(0) - bytes.len();
        let taken = wanted.min(rest.len());
        bytes.extend(rest.iter().take(taken));
        let Some(length) = claimed(bytes) else { return Ok(taken) };
        if length > MAX_FIELD_LEN || length as u64 > *body_len {
            return Err(Lie::Field(length as u64));
        }
        if bytes.len() == LENGTH_LEN + length {
            let (field, ask) = (bytes.split_off(LENGTH_LEN), *ask);
            let header = ResponseHeader { status: *status, body_len: *body_len - length as u64 };
            self.end_field(ask, header, &field, segments)?;
        }
        Ok(taken)
    }

    /// The field is there: tells what it says, and begins the ordinary body.
    fn end_field(
        &mut self,
        ask: Ask,
        header: ResponseHeader,
        field: &[u8],
        segments: &mut Vec<Segment>,
    ) -> Result<(), Lie> {
        let sliced = ask.is_sliced();
        let layout = if sliced { self.layout_of_slices() } else { &self.layout };
        let (mut items, mut state) = (field::parse(layout, field)?, None);
        items.retain(|item| {
            if let Item::State(told) = item {
                state = Some(*told);
            }
            !matches!(item, Item::State(_))
        });
        self.told = true;
        // In front of most slices there is their state alone, which is no news of the peer.
        if state.is_none() || !items.is_empty() {
            segments.push(Segment::News(News { items, sliced }));
        }
        self.begin_body(ask, header, state)?;
        if let (State::Body { unit: Unit::Slice(_), .. }, Some(state)) = (&self.state, state) {
            segments.push(Segment::State(state));
        }
        self.end_message(segments);
        Ok(())
    }

    fn begin_body(
        &mut self,
        ask: Ask,
        header: ResponseHeader,
        state: Option<slices::State>,
    ) -> Result<(), Lie> {
        let claimed = header.body_len;
        self.state = match (header.status, ask.unit()) {
            (Status::Block, Some(unit)) => {
                if let (Unit::Slice(slice), None) = (unit, state) {
                    return Err(Lie::NoState(slice));
                }
                let expected = self.len_of(unit);
                if claimed != expected {
                    return Err(Lie::Length { unit, claimed, expected });
                }
                State::Body { unit, done: 0, length: expected }
            }
            (status, _) if claimed <= MAX_MESSAGE_LEN => {
                State::Message { status, left: claimed, kept: Vec::new() }
            }
            (_, _) => return Err(Lie::Message(claimed)),
        };
        Ok(())
    }

    /// Ends a message of which nothing is left.
    fn end_message(&mut self, segments: &mut Vec<Segment>) {
        if let (State::Message { status, left: 0, kept }, Some(ask)) = (&self.state, self.asked.front()) {
            let message = text::message(kept);
            match ask.unit() {
                Some(unit) => {
                    self.in_a_row = 0;
                    segments.push(Segment::Refused { unit, status: *status, message });
                }
                None => segments.push(Segment::Told),
            }
            self.next();
        }
    }

    fn next(&mut self) {
        if let Some(ask) = self.asked.pop_front() {
            self.expected -= self.length_of(ask);
        }
        self.answers += 1;
        self.state = NO_HEADER;
    }
}

/// How many of `available` bytes belong to something of which `left` are left.
fn within(left: u64, available: usize) -> usize {
    usize::try_from(left).map_or(available, |left| left.min(available))
}

#[cfg(test)]
mod tests;
