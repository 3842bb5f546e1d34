//! The stream of answers on a link, as a downloading peer reads it: any answers, cut anywhere.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line};
use cascade_format::Layout;
use cascade_peer::limits::{KEPT_MESSAGE_LEN, MAX_MESSAGE_LEN};
use cascade_peer::link::response::{Ask, ResponseReader, Segment};

/// The file of which blocks are asked: 16 blocks, the last of 40 bytes.
const LENGTH: u64 = 1000;
const BLOCK_SIZE: u64 = 64;

/// What became of a request: the block, the status, and the block's bytes so far. For a refusal, the
/// number of bytes of its message that are kept, as so many zeroes.
type Answer = (u64, u8, Vec<u8>);

/// Takes the first byte of `data` as the number of blocks that were asked for, from block 15 downwards,
/// the second as the length of the pieces in which the rest arrives (0: in one piece).
///
/// # Panics
/// The stream is read otherwise than protocol §3 says, or differently when it is cut.
pub fn run(data: &[u8]) {
    let Some((&[asked, piece], stream)) = data.split_first_chunk() else { return };
    let asked = u64::from(asked % 17);
    let pieces = if piece == 0 { stream.len().max(1) } else { usize::from(piece) };
    let (answers, honest) = expected(asked, stream);
    let (read, error) = read(asked, stream.chunks(pieces));
    assert_eq!(read, answers);
    assert_eq!(error.is_none(), honest, "{error:?}");
    error.iter().for_each(|error| assert_one_line(error));
}

fn read<'a>(asked: u64, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Answer>, Option<String>) {
    let (mut answers, mut segments) = (Vec::new(), Vec::new());
    let Ok(layout) = Layout::new(LENGTH, BLOCK_SIZE) else { return (answers, None) };
    let mut reader = ResponseReader::new(layout, false);
    (0..asked).filter_map(|i| layout.block(15 - i)).for_each(|block| reader.asked(Ask::Block(block)));
    for piece in pieces {
        let understood = reader.read(piece, &mut segments);
        segments.drain(..).for_each(|segment| append(&mut answers, &layout, segment, piece));
        if let Err(lie) = understood {
            return (answers, Some(lie.to_string()));
        }
    }
    (answers, None)
}

/// Adds what a segment says, and checks that it continues the one before.
fn append(answers: &mut Vec<Answer>, layout: &Layout, segment: Segment, piece: &[u8]) {
    match segment {
        Segment::Body { block, offset, range, last } => {
            if offset == 0 {
                answers.push((block.number(), 0, Vec::new()));
            }
            let Some((number, _, bytes)) = answers.last_mut() else { unreachable!("a body without a start") };
            assert_eq!((*number, bytes.len() as u64), (block.number(), offset));
            let Some(part) = piece.get(range) else { unreachable!("a segment outside of its piece") };
            assert!(!part.is_empty());
            bytes.extend_from_slice(part);
            assert_eq!(last, bytes.len() as u64 == layout.len_of(block));
        }
        Segment::Refused { block, status, message } => {
            assert!(message.is_empty() || !message.chars().any(char::is_control), "{message:?}");
            assert!(message.len() <= 3 * KEPT_MESSAGE_LEN, "{} bytes kept of a message", message.len());
            answers.push((block.number(), status.into(), Vec::new()));
        }
        Segment::News(_) | Segment::Told => unreachable!("no request carried a marker"),
    }
}

/// The rule, applied to the whole stream at once: the answers, and whether nothing was wrong.
fn expected(asked: u64, mut stream: &[u8]) -> (Vec<Answer>, bool) {
    let mut answers = Vec::new();
    for block in (0..asked).map(|i| 15 - i) {
        let (Some(status), Some(claimed)) = (number(stream, 0, 1), number(stream, 1, 8)) else {
            return (answers, true);
        };
        let body = stream.get(9..).unwrap_or_default();
        let length = if block == 15 { 40 } else { 64 };
        if if status == 0 { claimed != length } else { claimed > MAX_MESSAGE_LEN } {
            return (answers, false);
        }
        let there = body.iter().take(usize::try_from(claimed).unwrap_or(usize::MAX));
        let complete = there.len() as u64 == claimed;
        if status == 0 && there.len() > 0 {
            answers.push((block, 0, there.copied().collect()));
        } else if status != 0 && complete {
            answers.push((block, u8::try_from(status).unwrap_or(0), Vec::new()));
        }
        if !complete {
            return (answers, true);
        }
        stream = body.get(usize::try_from(claimed).unwrap_or(usize::MAX)..).unwrap_or_default();
    }
    (answers, stream.is_empty())
}

/// Streams of peers with every habit and lie.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let answer = |status: u8, length: u64, body: &[u8]| join(&[&[status], &length.to_be_bytes(), body]);
    let (last, full) = (answer(0, 40, &[0x40; 40]), answer(0, 64, &[0x64; 64]));
    let stream = |asked: u8, piece: u8, parts: &[&[u8]]| join(&[&[asked, piece], &parts.concat()]);
    vec![
        ("two-blocks", stream(2, 0, &[&last, &full])),
        ("byte-by-byte", stream(2, 1, &[&last, &full])),
        ("block-missing-then-block", stream(2, 16, &[&answer(2, 7, b"not yet"), &full])),
        ("refused-without-message", stream(1, 0, &[&answer(1, 0, b"")])),
        ("control-characters", stream(1, 3, &[&answer(4, 8, b"\x1b[2Jno\r\n")])),
        ("not-utf-8", stream(1, 0, &[&answer(3, 4, b"\xff\xfe\xc3\x28")])),
        ("long-message", stream(2, 200, &[&answer(9, 2000, &[b'm'; 2000]), &full])),
        ("absurd-message", stream(1, 0, &[&answer(1, u64::MAX, b"")])),
        ("absurd-block", stream(1, 0, &[&answer(0, u64::MAX, &[0; 64])])),
        ("block-too-short", stream(1, 0, &[&answer(0, 39, &[0; 39])])),
        ("half-a-block", stream(1, 0, &[&answer(0, 40, &[0; 20])])),
        ("half-a-header", stream(1, 0, &[&[0, 0, 0, 0]])),
        ("unasked", stream(1, 0, &[&last, &full])),
        ("nothing-asked", stream(0, 0, &[&[0]])),
        ("nothing-sent", stream(5, 0, &[])),
    ]
}
