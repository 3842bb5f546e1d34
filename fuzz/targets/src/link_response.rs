//! The stream of answers on a link, as a downloading peer reads it: any answers, cut anywhere, with and
//! without the swarm extension.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line, extension_field};
use cascade_format::{Layout, text};
use cascade_peer::limits::{KEPT_MESSAGE_LEN, MAX_MESSAGE_LEN};
use cascade_peer::link::response::{Ask, ResponseReader, Segment};

/// The file of which blocks are asked: 16 blocks, the last of 40 bytes.
const LENGTH: u64 = 1000;
const BLOCK_SIZE: u64 = 64;

/// The block number of a question for news.
const NEWS: u64 = u64::MAX;

/// Bit of the first byte: requests carry markers.
const MARKED: u8 = 0x80;

/// Bit of the first byte: a question for news follows each request, if they carry markers.
const WITH_NEWS: u8 = 0x40;

/// What became of a request: the block, the status, and the block's bytes so far. For a refusal, the
/// number of bytes of its message that are kept, as zeroes. For a field, its number of items in
/// the place of the status; for the end of an answer to a question for news, 2.
type Answer = (u64, Said, Vec<u8>);

/// What an [`Answer`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Status(u8),
    Items(usize),
    Told,
}

/// Takes the first byte of `data` as the number of blocks that were asked for, from block 15 downwards
/// (bits 0 to 5), and as [`MARKED`] and [`WITH_NEWS`]; the second as the length of the pieces in which
/// the rest arrives (0: in one piece).
///
/// # Panics
/// The stream is read otherwise than protocol §3 and the chapter on the extension say, or differently
/// when it is cut.
pub fn run(data: &[u8]) {
    let Some((&[asked, piece], stream)) = data.split_first_chunk() else { return };
    let marked = asked & MARKED != 0;
    let with_news = marked && asked & WITH_NEWS != 0;
    let blocks = (0..u64::from(asked & 0x3f) % 17).map(|i| 15 - i);
    let asks: Vec<u64> =
        blocks.flat_map(|block| [block, NEWS]).filter(|ask| with_news || *ask != NEWS).collect();
    let pieces = if piece == 0 { stream.len().max(1) } else { usize::from(piece) };
    let mut answers = Vec::new();
    let honest = expected(marked, &asks, stream, &mut answers).is_ok();
    let (read, error) = read(marked, &asks, stream.chunks(pieces));
    assert_eq!(read, answers);
    assert_eq!(error.is_none(), honest, "{error:?}");
    error.iter().for_each(|error| assert_one_line(error));
}

fn read<'a>(
    marked: bool,
    asks: &[u64],
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Answer>, Option<String>) {
    let (mut answers, mut segments) = (Vec::new(), Vec::new());
    let Ok(layout) = Layout::new(LENGTH, BLOCK_SIZE) else { return (answers, None) };
    let mut reader = ResponseReader::new(layout, marked);
    asks.iter().for_each(|number| reader.asked(layout.block(*number).map_or(Ask::News, Ask::Block)));
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
                answers.push((block.number(), Said::Status(0), Vec::new()));
            }
            let Some((number, _, bytes)) = answers.last_mut() else { unreachable!("a body without a start") };
            assert_eq!((*number, bytes.len() as u64), (block.number(), offset));
            let Some(part) = piece.get(range) else { unreachable!("a segment outside of its piece") };
            assert!(!part.is_empty());
            bytes.extend_from_slice(part);
            assert_eq!(last, bytes.len() as u64 == layout.len_of(block));
        }
        Segment::Refused { block, status, message } => {
            let shown = text::line(&message);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert!(message.len() <= 3 * KEPT_MESSAGE_LEN, "{} bytes kept of a message", message.len());
            answers.push((block.number(), Said::Status(status.into()), Vec::new()));
        }
        Segment::News(items) => answers.push((NEWS, Said::Items(items.len()), Vec::new())),
        Segment::Told => answers.push((NEWS, Said::Told, Vec::new())),
    }
}

/// Something that no peer sends.
#[derive(Debug)]
struct Wrong;

/// The rule, applied to the whole stream at once: adds the answers.
fn expected(marked: bool, asks: &[u64], mut stream: &[u8], answers: &mut Vec<Answer>) -> Result<(), Wrong> {
    for ask in asks {
        let (Some(status), Some(claimed)) = (number(stream, 0, 1), number(stream, 1, 8)) else {
            return Ok(());
        };
        let (mut status, mut claimed) = (u8::try_from(status).unwrap_or(0), claimed);
        stream = stream.get(9..).unwrap_or_default();
        if marked && status >= 0x80 {
            status -= 0x80;
            let Some(field) = read_field(claimed, stream, answers)? else { return Ok(()) };
            claimed -= field as u64;
            stream = stream.get(field..).unwrap_or_default();
        }
        let length = if *ask == 15 { 40 } else { 64 };
        let is_block = status == 0 && *ask != NEWS;
        if if is_block { claimed != length } else { claimed > MAX_MESSAGE_LEN } {
            return Err(Wrong);
        }
        let there = stream.iter().take(usize::try_from(claimed).unwrap_or(usize::MAX));
        let complete = there.len() as u64 == claimed;
        if is_block && there.len() > 0 {
            answers.push((*ask, Said::Status(0), there.copied().collect()));
        } else if !is_block && complete {
            let said = if *ask == NEWS { Said::Told } else { Said::Status(status) };
            answers.push((*ask, said, Vec::new()));
        }
        if !complete {
            return Ok(());
        }
        stream = stream.get(usize::try_from(claimed).unwrap_or(usize::MAX)..).unwrap_or_default();
    }
    if stream.is_empty() { Ok(()) } else { Err(Wrong) }
}

/// The field at the start of a body of `claimed` bytes: how many it takes of it; `None` if it has not
/// arrived whole.
fn read_field(claimed: u64, body: &[u8], answers: &mut Vec<Answer>) -> Result<Option<usize>, Wrong> {
    if claimed < 2 {
        return Err(Wrong);
    }
    let Some(length) = number(body, 0, 2) else { return Ok(None) };
    if length > 8192 || length + 2 > claimed {
        return Err(Wrong);
    }
    let end = 2 + usize::try_from(length).unwrap_or(0);
    let (Some(field), Ok(layout)) = (body.get(2..end), Layout::new(LENGTH, BLOCK_SIZE)) else {
        return Ok(None);
    };
    let items = extension_field::items(&layout, field).ok_or(Wrong)?;
    answers.push((NEWS, Said::Items(items.len()), Vec::new()));
    Ok(Some(end))
}

/// Streams of peers with every habit and lie.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let answer = |status: u8, length: u64, body: &[u8]| join(&[&[status], &length.to_be_bytes(), body]);
    let (last, full) = (answer(0, 40, &[0x40; 40]), answer(0, 64, &[0x64; 64]));
    let field = |items: &[u8]| join(&[&u16::try_from(items.len()).unwrap_or(0).to_be_bytes(), items]);
    let extended = |status: u8, items: &[u8], body: &[u8]| {
        let field = field(items);
        answer(0x80 | status, (field.len() + body.len()) as u64, &join(&[&field, body]))
    };
    let (map, goodbye) = ([3, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], [7, 0, 0]);
    let news = extended(2, &goodbye, b"");
    let with_map = extended(0, &map, &[0x40; 40]);
    let (one, one_and_news) = (MARKED | 1, MARKED | WITH_NEWS | 1);
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
        ("marked-plain-answers", stream(MARKED | 2, 0, &[&last, &full])),
        ("field-and-block", stream(one, 0, &[&with_map])),
        ("field-and-block-byte-by-byte", stream(one_and_news, 1, &[&with_map, &news])),
        ("field-and-refusal", stream(MARKED | 2, 0, &[&extended(2, &map, b"not yet"), &full])),
        ("blocks-and-news", stream(MARKED | WITH_NEWS | 2, 5, &[&last, &news, &full, &news])),
        ("empty-field", stream(one_and_news, 0, &[&extended(0, &[], &[0x40; 40]), &extended(2, &[], b"")])),
        ("news-of-version-1", stream(one_and_news, 0, &[&last, &answer(3, 4, b"what")])),
        ("news-without-an-end", stream(one_and_news, 0, &[&last, &extended(2, &[1, 0], b"")])),
        ("field-longer-than-its-body", stream(one, 0, &[&answer(0x80, 42, &[0, 41]), &[0; 41]])),
        ("field-longer-than-any", stream(one, 0, &[&answer(0x80, 70_000, &[0x20, 1])])),
        ("field-without-room", stream(one, 0, &[&answer(0x80, 1, &[0])])),
        (
            "field-of-no-such-block",
            stream(one, 0, &[&extended(0, &[3, 0, 9, 0, 0, 0, 0, 0, 0, 0, 16, 1], &[0; 40])]),
        ),
        ("field-with-too-many-items", stream(one, 0, &[&extended(0, &goodbye.repeat(17), &[0; 40])])),
        ("field-and-wrong-length", stream(one, 0, &[&extended(0, &goodbye, &[0; 39])])),
        ("field-though-no-marker", stream(1, 0, &[&with_map])),
    ]
}
