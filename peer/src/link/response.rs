//! Reading the stream of responses on one link, without I/O: bytes in, segments out.
//!
//! Responses come in the order of the requests (protocol §3). What a header claims is compared with
//! what was asked: a block has its block's length, a message a bounded one, and nothing comes unasked.
//! Where requests carry the extension's marker, a field may stand in front of a body.

use crate::limits::{KEPT_MESSAGE_LEN, MAX_MESSAGE_LEN};
use cascade_format::extension::field::{self, LENGTH_LEN, MAX_FIELD_LEN};
use cascade_format::extension::{EXTENDED, FieldError, Item};
use cascade_format::peer_wire::{RESPONSE_HEADER_LEN, ResponseHeader, Status};
use cascade_format::{Block, Layout, text};
use std::collections::VecDeque;
use std::ops::Range;

/// After this number of blocks in a row a link expects that the next answer is a block, too.
const STEADY_BLOCKS: u32 = 4;

/// What no honest peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lie {
    /// Bytes without a request.
    #[error("it sent an answer that nobody asked for")]
    Unasked,
    /// A block of another length.
    #[error("it announced {claimed} bytes for block {block}, which has {expected}")]
    Length {
        /// Which block was asked for.
        block: Block,
        /// The header's body length.
        claimed: u64,
        /// The block's length.
        expected: u64,
    },
    /// A message of a length that no message has.
    #[error("it announced a message of {0} bytes")]
    Message(u64),
    /// The extension's field is longer than any, or than the body that it stands in.
    #[error("it announced an extension field of {0} bytes")]
    Field(u64),
    /// The extension's field makes no sense.
    #[error("its extension field makes no sense: {0}")]
    Items(#[from] FieldError),
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A block.
    Block(Block),
    /// News alone.
    News,
    /// A block that does not exist: something had to be asked for, and a peer that answers speaks the protocol.
    NoBlock,
}

/// What a part of the received bytes is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Bytes of a block.
    Body {
        /// Which block.
        block: Block,
        /// Where in the block these bytes begin.
        offset: u64,
        /// Where in the given bytes they are.
        range: Range<usize>,
        /// Whether the block ends with them.
        last: bool,
    },
    /// The block was refused.
    Refused {
        /// Which block was asked for.
        block: Block,
        /// The answer's status.
        status: Status,
        /// The start of the peer's message.
        message: String,
    },
    /// What the peer tells of itself, in front of an answer.
    News(Vec<Item>),
    /// The answer to a question for news alone, or for a block that does not exist, has ended.
    Told,
}

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
        block: Block,
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
    /// Blocks that have come since an answer brought none.
    in_a_row: u32,
    /// Whether the peer has shown that it knows the extension.
    told: bool,
}

const NO_HEADER: State = State::Header { bytes: [0; RESPONSE_HEADER_LEN], filled: 0 };

impl ResponseReader {
    /// A reader for a new connection, on which requests carry markers if `extension`.
    #[must_use]
    pub fn new(layout: Layout, extension: bool) -> Self {
        Self {
            layout,
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
            (State::Message { status, .. }, Some(Ask::Block(_))) => Some(*status),
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

    /// Bytes that are still to come of the block that is being read; 0 between two blocks.
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
            Some(ask @ Ask::Block(_)) if steady && self.is_between() && self.asked.len() > 1 => {
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
        RESPONSE_HEADER_LEN as u64
            + match ask {
                Ask::Block(block) => self.layout.len_of(block),
                Ask::News | Ask::NoBlock => 0,
            }
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
            State::Body { block, done, length } => {
                let taken = within(*length - *done, rest.len());
                let last = *done + taken as u64 == *length;
                segments.push(Segment::Body { block: *block, offset: *done, range: at..at + taken, last });
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
            return self.begin_body(ask, header);
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
            let items = field::parse(&self.layout, bytes.get(LENGTH_LEN..).unwrap_or_default())?;
            let header = ResponseHeader { status: *status, body_len: *body_len - length as u64 };
            let ask = *ask;
            self.told = true;
            segments.push(Segment::News(items));
            self.begin_body(ask, header)?;
            self.end_message(segments);
        }
        Ok(taken)
    }

    fn begin_body(&mut self, ask: Ask, header: ResponseHeader) -> Result<(), Lie> {
        let claimed = header.body_len;
        self.state = match (header.status, ask) {
            (Status::Block, Ask::Block(block)) => {
                let expected = self.layout.len_of(block);
                if claimed != expected {
                    return Err(Lie::Length { block, claimed, expected });
                }
                State::Body { block, done: 0, length: expected }
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
            match *ask {
                Ask::Block(block) => {
                    self.in_a_row = 0;
                    segments.push(Segment::Refused { block, status: *status, message });
                }
                Ask::News | Ask::NoBlock => segments.push(Segment::Told),
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
