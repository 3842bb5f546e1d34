//! The stream of answers on a link, as a downloading peer reads it: any answers, cut anywhere, with and
//! without the swarm extension and slices.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line, extension_field};
use cascade_format::{Layout, text};
use cascade_peer::limits::{KEPT_MESSAGE_LEN, MAX_MESSAGE_LEN};
use cascade_peer::link::Unit;
use cascade_peer::link::response::{Ask, ResponseReader, Segment};

/// The file of which blocks are asked: 16 blocks, the last of 40 bytes.
const LENGTH: u64 = 1000;
const BLOCK_SIZE: u64 = 64;

/// Its slices: 20, the last of 40 bytes. So their numbers and lengths are others than those of blocks.
const SLICES_LENGTH: u64 = 990;
const SLICE_LEN: u64 = 50;

/// The block number of a question for news.
const NEWS: u64 = u64::MAX;

/// What a slice's number is larger by in an [`Answer`].
const SLICE: u64 = 1000;

/// Bit of the first byte: requests carry markers.
const MARKED: u8 = 0x80;

/// Bit of the first byte: a question for news follows each request, if they carry markers.
const WITH_NEWS: u8 = 0x40;

/// Bit of the first byte: instead of each block with an odd number, the slice whose number is larger by 4 is requested, if
/// requests carry markers.
const WITH_SLICES: u8 = 0x20;

/// What became of a request: the block, the status, and the block's bytes so far. For a refusal, the
/// number of bytes of its message that are kept, as zeroes. For a field, what it tells instead of the status; for the
/// end of an answer to a question for news, 2.
type Answer = (u64, Said, Vec<u8>);

/// What an [`Answer`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Status(u8),
    /// How many items, and whether they are about slices.
    Items(usize, bool),
    /// The state in front of a slice.
    State,
    Told,
}

/// Something that was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// A block's number, a slice's, or [`NEWS`].
    number: u64,
    /// Whether it is asked for by the name of the slices.
    sliced: bool,
}

fn layout(sliced: bool) -> Option<Layout> {
    let (length, size) = if sliced { (SLICES_LENGTH, SLICE_LEN) } else { (LENGTH, BLOCK_SIZE) };
    Layout::new(length, size).ok()
}

/// Takes the first byte of `data` as the number of blocks that were asked for, from block 15 downwards
/// (bits 0 to 4), and as [`MARKED`], [`WITH_NEWS`] and [`WITH_SLICES`]; the second as the length of the pieces in which
/// the rest arrives (0: in one piece).
///
/// # Panics
/// The stream is read otherwise than protocol §3 and the chapter on the extension say, or differently
/// when it is cut.
pub fn run(data: &[u8]) {
    let Some((&[asked, piece], stream)) = data.split_first_chunk() else { return };
    let marked = asked & MARKED != 0;
    let (with_news, with_slices) = (marked && asked & WITH_NEWS != 0, marked && asked & WITH_SLICES != 0);
    let asks = (0..u64::from(asked & 0x1f) % 17).map(|i| match 15 - i {
        odd if with_slices && odd % 2 == 1 => Asked { number: odd + 4, sliced: true },
        number => Asked { number, sliced: false },
    });
    let asks: Vec<Asked> = asks
        .flat_map(|ask| [ask, Asked { number: NEWS, ..ask }])
        .filter(|ask| with_news || ask.number != NEWS)
        .collect();
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
    asks: &[Asked],
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Answer>, Option<String>) {
    let (mut answers, mut segments) = (Vec::new(), Vec::new());
    let (Some(blocks), Some(slices)) = (layout(false), layout(true)) else { return (answers, None) };
    let mut reader = ResponseReader::new(blocks, Some(slices), marked);
    for Asked { number, sliced } in asks {
        reader.asked(match sliced {
            true => slices.block(*number).map_or(Ask::SliceNews, Ask::Slice),
            false => blocks.block(*number).map_or(Ask::News, Ask::Block),
        });
    }
    for piece in pieces {
        let understood = reader.read(piece, &mut segments);
        segments.drain(..).for_each(|segment| append(&mut answers, segment, piece));
        if let Err(lie) = understood {
            return (answers, Some(lie.to_string()));
        }
    }
    (answers, None)
}

/// Adds what a segment says, and checks that it continues the one before.
fn append(answers: &mut Vec<Answer>, segment: Segment, piece: &[u8]) {
    match segment {
        Segment::State(state) => answers.push((NEWS, Said::State, state.to_vec())),
        Segment::Body { unit, offset, range, last } => {
            let unit = name(unit);
            if offset == 0 {
                answers.push((unit, Said::Status(0), Vec::new()));
            }
            let Some((number, _, bytes)) = answers.last_mut() else { unreachable!("a body without a start") };
            assert_eq!((*number, bytes.len() as u64), (unit, offset));
            let Some(part) = piece.get(range) else { unreachable!("a segment outside of its piece") };
            assert!(!part.is_empty());
            bytes.extend_from_slice(part);
            assert_eq!(last, bytes.len() as u64 == length_of(unit));
        }
        Segment::Refused { unit, status, message } => {
            let shown = text::line(&message);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
            assert!(message.len() <= 3 * KEPT_MESSAGE_LEN, "{} bytes kept of a message", message.len());
            answers.push((name(unit), Said::Status(status.into()), Vec::new()));
        }
        Segment::News(news) => answers.push((NEWS, Said::Items(news.items.len(), news.sliced), Vec::new())),
        Segment::Told => answers.push((NEWS, Said::Told, Vec::new())),
    }
}

/// How an [`Answer`] names it.
fn name(unit: Unit) -> u64 {
    match unit {
        Unit::Block(block) => block.number(),
        Unit::Slice(slice) => SLICE + slice.number(),
    }
}

/// Length of what an [`Answer`] names so: block 15 and slice 19 are short.
fn length_of(name: u64) -> u64 {
    match name {
        15 | 1019 => 40,
        SLICE.. => SLICE_LEN,
        _ => BLOCK_SIZE,
    }
}

/// Something that no peer sends.
#[derive(Debug)]
struct Wrong;

/// The rule, applied to the whole stream at once: adds the answers.
fn expected(marked: bool, asks: &[Asked], mut stream: &[u8], answers: &mut Vec<Answer>) -> Result<(), Wrong> {
    for ask in asks {
        let (Some(status), Some(claimed)) = (number(stream, 0, 1), number(stream, 1, 8)) else {
            return Ok(());
        };
        let (mut status, mut claimed, mut state) = (u8::try_from(status).unwrap_or(0), claimed, None);
        stream = stream.get(9..).unwrap_or_default();
        if marked && status >= 0x80 {
            status -= 0x80;
            let Some((field, told)) = read_field(claimed, stream, ask.sliced, answers)? else {
                return Ok(());
            };
            state = told;
            claimed -= field as u64;
            stream = stream.get(field..).unwrap_or_default();
        }
        let (is_news, name) = (ask.number == NEWS, ask.number.wrapping_add(u64::from(ask.sliced) * SLICE));
        let is_block = status == 0 && !is_news;
        if if is_block { claimed != length_of(name) } else { claimed > MAX_MESSAGE_LEN } {
            return Err(Wrong);
        }
        if is_block && ask.sliced {
            // Without it, nobody could verify the slice.
            answers.push((NEWS, Said::State, state.ok_or(Wrong)?));
        }
        let there = stream.iter().take(usize::try_from(claimed).unwrap_or(usize::MAX));
        let complete = there.len() as u64 == claimed;
        if is_block && there.len() > 0 {
            answers.push((name, Said::Status(0), there.copied().collect()));
        } else if !is_block && complete {
            let said = if is_news { (NEWS, Said::Told) } else { (name, Said::Status(status)) };
            answers.push((said.0, said.1, Vec::new()));
        }
        if !complete {
            return Ok(());
        }
        stream = stream.get(usize::try_from(claimed).unwrap_or(usize::MAX)..).unwrap_or_default();
    }
    if stream.is_empty() { Ok(()) } else { Err(Wrong) }
}

/// Bytes of a field, and the state in it.
type Field = Option<(usize, Option<Vec<u8>>)>;

/// The field at the start of a body of `claimed` bytes: how many it takes of it, and the state in it; `None` if it has not
/// arrived whole.
fn read_field(claimed: u64, body: &[u8], sliced: bool, answers: &mut Vec<Answer>) -> Result<Field, Wrong> {
    if claimed < 2 {
        return Err(Wrong);
    }
    let Some(length) = number(body, 0, 2) else { return Ok(None) };
    if length > 8192 || length + 2 > claimed {
        return Err(Wrong);
    }
    let end = 2 + usize::try_from(length).unwrap_or(0);
    let (Some(field), Some(layout)) = (body.get(2..end), layout(sliced)) else { return Ok(None) };
    let items = extension_field::items(&layout, field).ok_or(Wrong)?;
    let (states, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.first() == Some(&17));
    // A state alone is no news of the peer.
    if states.is_empty() || !others.is_empty() {
        answers.push((NEWS, Said::Items(others.len(), sliced), Vec::new()));
    }
    let state = states.last().and_then(|state| state.get(3..)).map(Vec::from);
    Ok(Some((end, state)))
}

fn answer(status: u8, length: u64, body: &[u8]) -> Vec<u8> {
    join(&[&[status], &length.to_be_bytes(), body])
}

/// An answer with a field of these items.
fn extended(status: u8, items: &[u8], body: &[u8]) -> Vec<u8> {
    let field = join(&[&u16::try_from(items.len()).unwrap_or(0).to_be_bytes(), items]);
    answer(0x80 | status, (field.len() + body.len()) as u64, &join(&[&field, body]))
}

/// What [`run`] takes.
fn stream(asked: u8, piece: u8, parts: &[&[u8]]) -> Vec<u8> {
    join(&[&[asked, piece], &parts.concat()])
}

/// Streams of peers with every habit and lie.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let (last, full) = (answer(0, 40, &[0x40; 40]), answer(0, 64, &[0x64; 64]));
    let (map, goodbye) = ([3, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], [7, 0, 0]);
    let news = extended(2, &goodbye, b"");
    let with_map = extended(0, &map, &[0x40; 40]);
    let (one, one_and_news) = (MARKED | 1, MARKED | WITH_NEWS | 1);
    let mut seeds = vec![
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
    ];
    seeds.extend(slice_seeds());
    seeds
}

/// Those with slices.
fn slice_seeds() -> Vec<Seed> {
    let (last, full) = (answer(0, 40, &[0x40; 40]), answer(0, 64, &[0x64; 64]));
    let (news, one) = (extended(2, &[7, 0, 0], b""), MARKED | 1);
    let (slice, two_and_slice) = (MARKED | WITH_SLICES | 1, MARKED | WITH_SLICES | 3);
    let state = join(&[&[17, 0, 32], &[0x17; 32]]);
    // Only slices have number 16.
    let have_16 = [4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1];
    let (short, whole) = (extended(0, &state, &[0x40; 40]), extended(0, &state, &[0x50; 50]));
    vec![
        ("slices-and-a-block", stream(two_and_slice, 0, &[&short, &full, &whole])),
        ("slices-and-a-block-byte-by-byte", stream(two_and_slice, 1, &[&short, &full, &whole])),
        (
            "slices-and-news",
            stream(
                MARKED | WITH_NEWS | WITH_SLICES | 2,
                7,
                &[&short, &extended(2, &have_16, b""), &full, &news],
            ),
        ),
        ("slice-with-news", stream(slice, 0, &[&extended(0, &join(&[&have_16, &state]), &[0x40; 40])])),
        ("slice-refused", stream(slice, 0, &[&extended(2, &have_16, b"not yet")])),
        ("slice-without-a-field", stream(slice, 0, &[&last])),
        ("slice-without-a-state", stream(slice, 0, &[&extended(0, &have_16, &[0x40; 40])])),
        ("slice-with-two-states", stream(slice, 0, &[&extended(0, &state.repeat(2), &[0x40; 40])])),
        ("slice-too-long", stream(slice, 0, &[&extended(0, &state, &[0x40; 50])])),
        ("slice-with-a-state-that-is-cut", stream(slice, 0, &[&extended(0, &[17, 0, 1, 0], &[0x40; 40])])),
        ("block-with-the-number-of-a-slice", stream(one, 0, &[&extended(0, &have_16, &[0x40; 40])])),
        ("block-with-a-state", stream(one, 0, &[&short])),
    ]
}
