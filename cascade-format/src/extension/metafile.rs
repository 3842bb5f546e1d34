//! Asking a peer for the `.cascade` file itself, part by part.
//!
//! The request is a request with a marker for block number [`METAFILE`]. Its marker has the offset of the part in the
//! place of the number of offers. The answer has status 0 with bit 7 set: first a field with the length of the whole
//! `.cascade` file, then the part. The cascade hash can verify the bytes only when all parts are there; until then each
//! part and the length are unproved claims.

use super::field::{LENGTH_LEN, MAX_FIELD_LEN, MAX_ITEMS};
use super::{EXTENDED, Marker};
use crate::CascadeHash;
use crate::hash::HASH_LEN;
use crate::metafile::HEADER_LEN;
use crate::peer_wire::{BlockRequest, REQUEST_LEN, RESPONSE_HEADER_LEN, ResponseHeader, Status};
use alloc::vec::Vec;

/// The block number of a request for a part of the `.cascade` file. Version 1 answers status 3 and closes.
pub const METAFILE: u64 = u64::MAX - 1;

/// The most bytes of one part. A `.cascade` file of the default block size has no more for up to 8 GiB of data.
pub const MAX_PART_LEN: u32 = 256 << 10;

/// The longest `.cascade` file that can be asked for, in bytes: an offset has four bytes.
pub const MAX_METAFILE_LEN: u64 = u32::MAX as u64;

/// The item that says how long the `.cascade` file is: eight bytes.
const KIND: u8 = 16;

/// Length of an item's type and length, in bytes.
const ITEM_HEADER_LEN: usize = 3;

/// Length of everything in front of a part, in bytes, as [`PartHead`] writes it.
pub const PART_HEAD_LEN: usize = RESPONSE_HEADER_LEN + LENGTH_LEN + ITEM_HEADER_LEN + 8;

/// The bytes of a request for the part at `offset`, from a peer that listens on `port` (0: it does not).
#[must_use]
pub fn request(cascade_hash: CascadeHash, offset: u32, port: u16) -> [u8; REQUEST_LEN] {
    Marker { port, offers_seen: offset, progress: None }.request(cascade_hash, METAFILE)
}

/// The offset that `request` asks for, if it is one for a part.
#[must_use]
pub fn asked(request: &BlockRequest) -> Option<u32> {
    if request.block == METAFILE { Marker::of(request).map(|marker| marker.offers_seen) } else { None }
}

/// The fields in front of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartHead {
    /// Length of the whole `.cascade` file, in bytes.
    pub total: u64,
    /// Length of the part, in bytes.
    pub len: u32,
}

impl PartHead {
    /// The part that answers a request for `offset` of a `.cascade` file of `total` bytes. `None`: there is
    /// nothing at that offset.
    #[must_use]
    pub fn at(total: u64, offset: u32) -> Option<Self> {
        let left = total.checked_sub(u64::from(offset)).filter(|left| *left > 0)?;
        Some(Self { total, len: u32::try_from(left).unwrap_or(u32::MAX).min(MAX_PART_LEN) })
    }

    /// The answer's bytes up to the part.
    #[must_use]
    pub fn encode(&self) -> [u8; PART_HEAD_LEN] {
        // One item: its type, its length, eight bytes.
        const FIELD_LEN: u16 = 11;
        let body_len = u64::from(self.len) + (PART_HEAD_LEN - RESPONSE_HEADER_LEN) as u64;
        let header = ResponseHeader { status: Status::from(EXTENDED), body_len };
        let mut out = [0; PART_HEAD_LEN];
        let total = self.total.to_be_bytes();
        let pieces: [&[u8]; 4] = [&header.encode(), &FIELD_LEN.to_be_bytes(), &[KIND, 0, 8], &total];
        out.iter_mut().zip(pieces.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        out
    }
}

/// Why an answer is none that a peer gives to a request for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// A block, or a body whose length no part and no message has.
    #[error("it answers {0} bytes where a part of the .cascade file was asked for")]
    Body(u64),
    /// The field ends behind the body, or is longer than any.
    #[error("the field in front of the part has {0} bytes")]
    Field(usize),
    /// The items do not fill the field.
    #[error("an item in front of the part is cut short, or there are too many")]
    Items,
    /// There is no length, or two, or one of another size than eight bytes.
    #[error("the part does not say how long the .cascade file is")]
    NoTotal,
    /// No `.cascade` file has this length.
    #[error("no .cascade file has {0} bytes")]
    Total(u64),
    /// The part has no bytes, more than any has, or ends behind the file.
    #[error("the part has {0} bytes")]
    Part(u64),
}

/// What [`PartReader::read`] has found in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// More bytes are needed.
    More,
    /// A part follows, of a `.cascade` file of this length in bytes.
    Total(u64),
    /// The next bytes of the part.
    Bytes(&'a [u8]),
    /// The part is complete.
    End,
    /// The peer gives no part: the status (without bit 7), and the number of bytes that still follow and may be
    /// skipped.
    Refused(Status, u64),
}

/// Reads the answer to one request for a part. The answer may arrive in pieces of any size. The reader keeps at most
/// one field in memory.
#[derive(Debug)]
pub struct PartReader {
    offset: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The header and the field's length, or what has come of them.
    Head(Vec<u8>),
    /// The field, or what has come of it; the bytes that the part has.
    Field { bytes: Vec<u8>, len: usize, part: u64 },
    /// Bytes of the part that have not come.
    Part(u64),
    /// Nothing follows.
    Over,
}

impl PartReader {
    /// A reader for the answer to a request for the part at `offset`.
    #[must_use]
    pub const fn new(offset: u32) -> Self {
        Self { offset: offset as u64, state: State::Head(Vec::new()) }
    }

    /// Reads from the front of `bytes` and removes what it has read. Call it again until it returns [`Heard::More`]
    /// (then append more bytes) or the answer is over (then send the next request).
    ///
    /// # Errors
    /// No peer answers so. Nothing more can be read.
    pub fn read<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Heard<'a>, PartError> {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Head(head) => self.read_head(head, bytes),
            State::Field { bytes: kept, len, part } => self.read_field(kept, len, part, bytes),
            State::Part(0) | State::Over => Ok(Heard::End),
            State::Part(left) => {
                let len = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (piece, rest) = bytes.split_at(len);
                *bytes = rest;
                self.state = State::Part(left - len as u64);
                Ok(if piece.is_empty() { Heard::More } else { Heard::Bytes(piece) })
            }
        }
    }

    fn read_head<'a>(&mut self, mut head: Vec<u8>, bytes: &mut &'a [u8]) -> Result<Heard<'a>, PartError> {
        if !fill(&mut head, RESPONSE_HEADER_LEN, bytes) {
            self.state = State::Head(head);
            return Ok(Heard::More);
        }
        let Some(header) = head.first_chunk::<RESPONSE_HEADER_LEN>().map(ResponseHeader::parse) else {
            return Err(PartError::Items);
        };
        let status = u8::from(header.status);
        if status != EXTENDED {
            let plain = Status::from(status & !EXTENDED);
            // A block under this number is nothing that version 1 sends.
            return if plain == Status::Block {
                Err(PartError::Body(header.body_len))
            } else {
                Ok(Heard::Refused(plain, header.body_len))
            };
        }
        let most = (LENGTH_LEN + MAX_FIELD_LEN) as u64 + u64::from(MAX_PART_LEN);
        if header.body_len < LENGTH_LEN as u64 || header.body_len > most {
            return Err(PartError::Body(header.body_len));
        }
        if !fill(&mut head, RESPONSE_HEADER_LEN + LENGTH_LEN, bytes) {
            self.state = State::Head(head);
            return Ok(Heard::More);
        }
        let Some([high, low]) = head.last_chunk() else { return Err(PartError::Items) };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let part = (header.body_len - LENGTH_LEN as u64).checked_sub(len as u64);
        let Some(part) = part.filter(|_| len <= MAX_FIELD_LEN) else { return Err(PartError::Field(len)) };
        self.read_field(Vec::new(), len, part, bytes)
    }

    fn read_field<'a>(
        &mut self,
        mut kept: Vec<u8>,
        len: usize,
        part: u64,
        bytes: &mut &'a [u8],
    ) -> Result<Heard<'a>, PartError> {
        if !fill(&mut kept, len, bytes) {
            self.state = State::Field { bytes: kept, len, part };
            return Ok(Heard::More);
        }
        let total = total_in(&kept)?;
        let has_hashes = |rest: u64| rest.is_multiple_of(HASH_LEN as u64);
        if !total.checked_sub(HEADER_LEN as u64).is_some_and(has_hashes) || total > MAX_METAFILE_LEN {
            return Err(PartError::Total(total));
        }
        let fits = self.offset.checked_add(part).is_some_and(|end| end <= total);
        if part == 0 || part > u64::from(MAX_PART_LEN) || !fits {
            return Err(PartError::Part(part));
        }
        self.state = State::Part(part);
        Ok(Heard::Total(total))
    }
}

/// Takes from the front of `bytes` what is missing of `len` in `kept`; whether that was enough.
fn fill(kept: &mut Vec<u8>, len: usize, bytes: &mut &[u8]) -> bool {
    let missing = len.saturating_sub(kept.len());
    let (now, later) = bytes.split_at(missing.min(bytes.len()));
    kept.extend_from_slice(now);
    *bytes = later;
    kept.len() >= len
}

/// The length in a field; other items are skipped.
fn total_in(mut field: &[u8]) -> Result<u64, PartError> {
    let (mut total, mut left) = (None, MAX_ITEMS);
    while let Some((&[kind, high, low], rest)) = field.split_first_chunk() {
        left = left.checked_sub(1).ok_or(PartError::Items)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(PartError::Items)?;
        if kind == KIND {
            let value = <[u8; 8]>::try_from(value).map_err(|_| PartError::NoTotal)?;
            if total.replace(u64::from_be_bytes(value)).is_some() {
                return Err(PartError::NoTotal);
            }
        }
        field = rest;
    }
    if field.is_empty() { total.ok_or(PartError::NoTotal) } else { Err(PartError::Items) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    const HASH: CascadeHash = CascadeHash([7; 32]);

    /// Everything that an answer says when it comes in pieces of these lengths.
    fn read_all(
        offset: u32,
        answer: &[u8],
        cuts: &[usize],
    ) -> Result<(Option<u64>, Vec<u8>, bool), PartError> {
        let (mut reader, mut total, mut part) = (PartReader::new(offset), None, Vec::new());
        let (mut rest, mut cuts) = (answer, cuts.iter().cycle());
        loop {
            let (mut now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap_or(&usize::MAX)));
            loop {
                match reader.read(&mut now)? {
                    Heard::More => break,
                    Heard::Total(said) => total = Some(said),
                    Heard::Bytes(bytes) => part.extend_from_slice(bytes),
                    Heard::End => return Ok((total, part, true)),
                    Heard::Refused(..) => return Ok((total, part, false)),
                }
            }
            if later.is_empty() {
                return Ok((total, part, false));
            }
            rest = later;
        }
    }

    fn answer(status: u8, body_len: u64, field: &[u8], part: &[u8]) -> Vec<u8> {
        let header = ResponseHeader { status: Status::from(status), body_len };
        [&header.encode()[..], &u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes(), field, part]
            .concat()
    }

    fn item(total: u64) -> Vec<u8> {
        [&[KIND, 0, 8][..], &total.to_be_bytes()].concat()
    }

    #[test]
    fn a_part_is_as_long_as_it_may_be() {
        let most = MAX_PART_LEN;
        let head = |total, offset| PartHead::at(total, offset).map(|head| head.len);
        assert_eq!(head(128, 0), Some(128));
        assert_eq!(head(128, 127), Some(1));
        assert_eq!((head(128, 128), head(128, u32::MAX)), (None, None));
        assert_eq!(head(u64::from(most) + 1, 0), Some(most));
        assert_eq!(head(u64::MAX, u32::MAX), Some(most));
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let bytes = request(HASH, 0x0102_0304, 7001);
        let request = BlockRequest::parse(&bytes).unwrap();
        assert_eq!((request.block, asked(&request)), (u64::MAX - 1, Some(0x0102_0304)));
        assert_eq!(asked(&BlockRequest { reserved: [0; 16], ..request }), None, "version 1 asks for a block");
        let news = Marker { port: 1, offers_seen: 0, progress: None }.request(HASH, super::super::NEWS);
        assert_eq!(asked(&BlockRequest::parse(&news).unwrap()), None);
    }

    #[test]
    fn every_wrong_answer_is_refused() {
        let whole =
            |field: &[u8], part: &[u8]| answer(0x80, (2 + field.len() + part.len()) as u64, field, part);
        let long = u64::from(MAX_PART_LEN) + 1;
        let far = 64 + 32 * 10_000;
        for (what, offset, answer, error) in [
            ("a block", 0, answer(0, 4, &[], b"data"), PartError::Body(4)),
            ("no room for a field", 0, answer(0x80, 1, &[], b""), PartError::Body(1)),
            ("a body without end", 0, answer(0x80, u64::MAX, &item(128), b""), PartError::Body(u64::MAX)),
            ("a field behind the body", 0, answer(0x80, 12, &item(128), b"xy"), PartError::Field(11)),
            ("a field too long", 0, answer(0x80, 9000, &[0; 8193], b""), PartError::Field(8193)),
            ("an item cut short", 0, whole(&[KIND, 0, 9, 0], b"x"), PartError::Items),
            ("half an item", 0, whole(&[KIND, 0], b"x"), PartError::Items),
            ("too many items", 0, whole(&[200, 0, 0].repeat(17), b"x"), PartError::Items),
            ("no length", 0, whole(&[], b"x"), PartError::NoTotal),
            ("two lengths", 0, whole(&[item(128), item(128)].concat(), b"x"), PartError::NoTotal),
            ("a short length", 0, whole(&[KIND, 0, 4, 0, 0, 0, 128], b"x"), PartError::NoTotal),
            ("no header", 0, whole(&item(32), b"x"), PartError::Total(32)),
            ("half a hash", 0, whole(&item(100), b"x"), PartError::Total(100)),
            ("longer than any offset", 0, whole(&item(1 << 32), b"x"), PartError::Total(1 << 32)),
            ("no bytes", 0, whole(&item(128), b""), PartError::Part(0)),
            ("behind the end", 100, whole(&item(128), &[0; 29]), PartError::Part(29)),
            ("too long a part", 0, answer(0x80, 13 + long, &item(far), b""), PartError::Part(long)),
        ] {
            assert_eq!(read_all(offset, &answer, &[]), Err(error), "{what}");
            assert_eq!(read_all(offset, &answer, &[1]), Err(error), "{what}, byte by byte");
        }
    }

    #[test]
    fn refusals_are_told_apart_from_lies() {
        for (status, plain) in [
            (1, Status::UnknownFile),
            (0x82, Status::MissingBlock),
            (3, Status::NoSuchBlock),
            (0x83, Status::NoSuchBlock),
            (4, Status::BadRequest),
            (77, Status::Other(77)),
        ] {
            let bytes = answer(status, u64::MAX, &[], b"");
            assert_eq!(
                PartReader::new(0).read(&mut bytes.as_slice()),
                Ok(Heard::Refused(plain, u64::MAX)),
                "{status}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_part(
            hashes in 0_u64..2000, offset in 0_u32..70_000, cuts in prop::collection::vec(1_usize..5000, 1..9), unknown: u8,
        ) {
            let total = 64 + 32 * hashes;
            let Some(head) = PartHead::at(total, offset) else { return Ok(()) };
            let part: Vec<u8> = (0..head.len).map(|at| at.to_be_bytes()[3]).collect();
            let ours = [&head.encode()[..], &part].concat();
            prop_assert_eq!(read_all(offset, &ours, &cuts), Ok((Some(total), part.clone(), true)));
            // Later versions may say more.
            let field = [&[unknown | 0x80, 0, 1, 7][..], &item(total)].concat();
            let later = answer(0x80, 2 + field.len() as u64 + part.len() as u64, &field, &part);
            prop_assert_eq!(read_all(offset, &later, &cuts), Ok((Some(total), part, true)));
        }

        #[test]
        fn any_bytes_are_survived_and_never_give_more_than_a_part(offset: u32, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for bytes in [bytes.clone(), [&[0x80, 0, 0, 0, 0, 0, 0, 0], &bytes[..]].concat()] {
                if let Ok((total, part, _)) = read_all(offset, &bytes, &[7]) {
                    prop_assert!(part.len() as u64 <= u64::from(MAX_PART_LEN));
                    prop_assert!(total.is_none_or(|total| u64::from(offset) + part.len() as u64 <= total));
                }
            }
        }

        #[test]
        fn an_answer_cut_short_is_not_over(hashes in 0_u64..50, cut in 0_usize..1000) {
            let head = PartHead::at(64 + 32 * hashes, 0).unwrap();
            let whole = [&head.encode()[..], &vec![1; head.len as usize]].concat();
            let cut = cut.min(whole.len() - 1);
            prop_assert!(!read_all(0, &whole[..cut], &[11]).unwrap().2);
        }
    }
}
