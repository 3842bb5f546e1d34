use super::*;
use cascade_format::extension::FieldError;
use proptest::prelude::*;

fn reader(blocks: &[u64]) -> ResponseReader {
    let layout = Layout::new(1000, 64).unwrap();
    let mut reader = ResponseReader::new(layout, None, true);
    blocks.iter().for_each(|number| reader.asked(Ask::Block(layout.block(*number).unwrap())));
    reader
}

fn header(status: u8, body_len: u64) -> Vec<u8> {
    ResponseHeader { status: status.into(), body_len }.encode().to_vec()
}

/// A block's number, or 1000 and a slice's.
fn number(unit: Unit) -> u64 {
    match unit {
        Unit::Block(block) => block.number(),
        Unit::Slice(slice) => 1000 + slice.number(),
    }
}

/// Everything but the place in the given bytes: (block, status, bytes).
fn collect(
    reader: &mut ResponseReader,
    stream: &[u8],
    cuts: &[usize],
) -> Result<Vec<(u64, u8, Vec<u8>)>, Lie> {
    let (mut at, mut all): (usize, Vec<(u64, u8, Vec<u8>)>) = (0, Vec::new());
    let ends = cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([stream.len()]);
    for end in ends {
        let Some(part) = stream.get(at..end) else { continue };
        at = end;
        let mut segments = Vec::new();
        reader.read(part, &mut segments)?;
        for segment in segments {
            match segment {
                Segment::State(state) => all.push((u64::MAX, EXTENDED, state.to_vec())),
                Segment::Body { unit, offset, range, .. } => {
                    if offset == 0 {
                        all.push((number(unit), 0, Vec::new()));
                    }
                    all.last_mut().unwrap().2.extend(&part[range]);
                }
                Segment::Refused { unit, status, message } => {
                    all.push((number(unit), status.into(), message.into_bytes()));
                }
                Segment::News(news) => {
                    let told = if news.sliced { EXTENDED + 1 } else { EXTENDED };
                    all.push((u64::MAX, told, vec![u8::try_from(news.items.len()).unwrap()]));
                }
                Segment::Told => all.push((u64::MAX, 2, vec![])),
            }
        }
    }
    Ok(all)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_answers(mut cuts: Vec<usize>) {
        let body: Vec<u8> = (0..40).collect();
        let goodbye = vec![0, 3, 7, 0, 0];
        let stream = [
            header(2, 3), b"no!".to_vec(), header(0x80, 45), goodbye.clone(), body.clone(), header(77, 0),
            header(0x82, 5), goodbye, header(0, 64), vec![7; 64],
        ].concat();
        cuts.iter_mut().for_each(|cut| *cut %= stream.len());
        cuts.sort_unstable();
        let mut reader = reader(&[3, 15, 4]);
        reader.asked(Ask::News);
        reader.asked(Ask::Block(Layout::new(1000, 64).unwrap().block(5).unwrap()));
        let got = collect(&mut reader, &stream, &cuts).unwrap();
        let news = (u64::MAX, EXTENDED, vec![1]);
        let expected = vec![
            (3, 2, b"no!".to_vec()), news.clone(), (15, 0, body), (4, 77, vec![]), news,
            (u64::MAX, 2, vec![]), (5, 0, vec![7; 64]),
        ];
        prop_assert_eq!(got, expected);
        prop_assert!(reader.is_between() && reader.owed() == 0);
    }

    #[test]
    fn any_bytes_are_read_or_refused(stream: Vec<u8>, asked in 0usize..5) {
        let mut reader = reader(&[0, 1, 2, 3, 15][..asked]);
        let _ = collect(&mut reader, &stream, &[]);
    }
}

#[test]
fn lies_are_named() {
    let read = |stream: &[u8], asked: &[u64]| collect(&mut reader(asked), stream, &[]).unwrap_err();
    assert_eq!(read(&[0], &[]), Lie::Unasked);
    let Lie::Length { claimed, expected, .. } = read(&header(0, u64::MAX), &[1]) else { panic!() };
    assert_eq!((claimed, expected), (u64::MAX, 64));
    assert!(matches!(read(&header(0, 64), &[15]), Lie::Length { expected: 40, .. }));
    assert_eq!(read(&header(1, u64::MAX), &[1]), Lie::Message(u64::MAX));
    assert_eq!(read(&header(0x80, 1), &[1]), Lie::Field(1));
    assert_eq!(read(&[header(0x80, 66), vec![0xff, 0xff]].concat(), &[1]), Lie::Field(0xffff));
    assert_eq!(read(&[header(0x80, 66), vec![0, 65]].concat(), &[1]), Lie::Field(65));
    assert_eq!(read(&[header(0x80, 69), vec![0, 3, 1, 0, 1]].concat(), &[1]), Lie::Items(FieldError::Cut));
    assert!(matches!(read(&[header(0x80, 69), vec![0, 3, 7, 0, 0]].concat(), &[15]), Lie::Length { .. }));
}

#[test]
fn without_markers_bit_7_is_part_of_the_status() {
    let layout = Layout::new(1000, 64).unwrap();
    let mut reader = ResponseReader::new(layout, None, false);
    reader.asked(Ask::Block(layout.block(1).unwrap()));
    let got = collect(&mut reader, &[header(0x80, 2), b"no".to_vec()].concat(), &[]).unwrap();
    assert_eq!(got, [(1, 0x80, b"no".to_vec())]);
}

#[test]
fn what_is_still_to_come_is_known() {
    let mut reader = reader(&[1, 15]);
    assert_eq!((reader.left_of_body(), reader.expected()), (0, 9 + 64 + 9 + 40));
    let stream = [header(0, 64), vec![7; 64], header(2, 1), vec![b'-']].concat();
    let mut segments = Vec::new();
    reader.read(&stream[..5], &mut segments).unwrap();
    assert_eq!((reader.left_of_body(), reader.expected()), (0, 4 + 64 + 9 + 40));
    reader.read(&stream[5..19], &mut segments).unwrap();
    assert_eq!((reader.left_of_body(), reader.expected()), (54, 54 + 9 + 40));
    reader.read(&stream[19..], &mut segments).unwrap();
    assert_eq!((reader.left_of_body(), reader.expected()), (0, 0), "the other one was refused");
}

#[test]
fn a_long_message_is_kept_in_part_and_as_it_came() {
    let stream = [header(1, 2000), b"\n".to_vec(), vec![0x1b; 1999]].concat();
    let got = collect(&mut reader(&[1]), &stream, &[]).unwrap();
    // The output makes it fit for a terminal.
    assert_eq!(got, [(1, 1, vec![0x1b; KEPT_MESSAGE_LEN - 1])]);
}

#[test]
fn after_some_blocks_the_next_answer_is_expected_to_be_a_block() {
    let told = [header(0x80, 5 + 64), vec![0, 3, 7, 0, 0], vec![7; 64]].concat();
    let block = [header(0, 64), vec![7; 64]].concat();
    let mut reader = reader(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    reader.asked(Ask::News);
    for answer in [&told, &block, &block] {
        assert_eq!(reader.next_block(), 0, "too few have come");
        collect(&mut reader, answer, &[]).unwrap();
    }
    collect(&mut reader, &block[..1], &[]).unwrap();
    assert_eq!(reader.next_block(), 0, "in the middle of an answer");
    collect(&mut reader, &block[1..], &[]).unwrap();
    assert_eq!(reader.next_block(), 9 + 64);
    collect(&mut reader, &header(2, 0), &[]).unwrap();
    assert_eq!(reader.next_block(), 0, "one was refused");
    for _ in 0..STEADY_BLOCKS {
        collect(&mut reader, &block, &[]).unwrap();
    }
    assert_eq!(reader.next_block(), 0, "news are next");
}

#[test]
fn of_a_peer_without_the_extension_nothing_is_expected() {
    let block = [header(0, 64), vec![7; 64]].concat();
    let mut reader = reader(&[1, 2, 3, 4, 5, 6]);
    for _ in 0..STEADY_BLOCKS {
        collect(&mut reader, &block, &[]).unwrap();
    }
    assert_eq!(reader.next_block(), 0);
}

#[test]
fn the_last_answer_is_not_expected_to_be_a_block() {
    let told = [header(0x80, 5 + 64), vec![0, 3, 7, 0, 0], vec![7; 64]].concat();
    let mut reader = reader(&[1, 2, 3, 4, 5, 6]);
    for _ in 0..4 {
        collect(&mut reader, &told, &[]).unwrap();
    }
    assert_eq!(reader.next_block(), 9 + 64);
    collect(&mut reader, &told, &[]).unwrap();
    assert_eq!(reader.next_block(), 0, "nothing follows it");
}

/// The slices of a file of 20 blocks of 50 bytes: other numbers and lengths than those of the blocks.
fn slices() -> Layout {
    Layout::new(1000, 50).unwrap()
}

fn slice_reader(asks: &[Ask]) -> ResponseReader {
    let mut reader = ResponseReader::new(Layout::new(1000, 64).unwrap(), Some(slices()), true);
    asks.iter().for_each(|ask| reader.asked(*ask));
    reader
}

fn slice(number: u64) -> Ask {
    Ask::Slice(slices().block(number).unwrap())
}

fn block(number: u64) -> Ask {
    Ask::Block(Layout::new(1000, 64).unwrap().block(number).unwrap())
}

/// An extended answer: its field's items, and its body.
fn extended(status: u8, items: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(items.len()).unwrap().to_be_bytes();
    let body = [&length, items, body].concat();
    [header(EXTENDED | status, body.len() as u64), body].concat()
}

/// The item that is in front of every slice.
fn state(byte: u8) -> Vec<u8> {
    [vec![17, 0, 32], vec![byte; 32]].concat()
}

/// That the peer has block or slice `number`.
fn has(number: u8) -> Vec<u8> {
    vec![4, 0, 12, 0, 0, 0, 0, 0, 0, 0, number, 0, 0, 0, 1]
}

proptest! {
    #[test]
    fn blocks_and_slices_mix_however_the_stream_is_cut(mut cuts: Vec<usize>) {
        let stream = [
            extended(0, &state(5), &[1; 50]),
            [header(0, 64), vec![2; 64]].concat(),
            extended(0, &[has(19), state(6)].concat(), &[3; 50]),
            extended(2, &has(19), b"no!"),
            header(2, 0),
            extended(2, &has(15), b""),
            extended(2, &has(19), b""),
        ].concat();
        cuts.iter_mut().for_each(|cut| *cut %= stream.len());
        cuts.sort_unstable();
        let asks = [slice(0), block(3), slice(19), slice(1), slice(2), Ask::News, Ask::SliceNews];
        let mut reader = slice_reader(&asks);
        let got = collect(&mut reader, &stream, &cuts).unwrap();
        let (news, slice_news) = ((u64::MAX, EXTENDED, vec![1]), (u64::MAX, EXTENDED + 1, vec![1]));
        let (in_front, told) = (|byte| (u64::MAX, EXTENDED, vec![byte; 32]), (u64::MAX, 2, vec![]));
        let expected = [
            in_front(5), (1000, 0, vec![1; 50]), (3, 0, vec![2; 64]),
            slice_news.clone(), in_front(6), (1019, 0, vec![3; 50]),
            slice_news.clone(), (1001, 2, b"no!".to_vec()), (1002, 2, vec![]),
            news, told.clone(), slice_news, told,
        ];
        prop_assert_eq!(got, expected);
        prop_assert!(reader.is_between() && reader.owed() == 0 && reader.expected() == 0);
    }
}

#[test]
fn a_slice_without_a_state_or_of_another_length_is_a_lie() {
    let read = |stream: &[u8]| collect(&mut slice_reader(&[slice(7)]), stream, &[]).unwrap_err();
    let number = slices().block(7).unwrap();
    assert_eq!(read(&header(0, 50)), Lie::NoState(number));
    assert_eq!(read(&extended(0, &has(3), &[0; 50])), Lie::NoState(number));
    assert_eq!(read(&extended(0, &[], &[0; 50])), Lie::NoState(number));
    for wrong in [0, 49, 51, 64] {
        let (unit, claimed) = (Unit::Slice(number), wrong as u64);
        let lie = Lie::Length { unit, claimed, expected: 50 };
        assert_eq!(read(&extended(0, &state(1), &vec![0; wrong])), lie);
    }
    assert_eq!(
        read(&extended(0, &[17, 0, 1, 0], &[0; 50])),
        Lie::Items(FieldError::Length { kind: 17, length: 1 })
    );
    let lie = Lie::Length { unit: Unit::Slice(number), claimed: 1, expected: 50 };
    assert_eq!(lie.to_string(), "it announced 1 bytes for slice 7, which has 50");
}

#[test]
fn each_field_is_read_with_the_numbers_that_its_question_is_about() {
    // There are 16 blocks and 20 slices.
    let read = |ask, items: &[u8], body: &[u8], status| {
        collect(&mut slice_reader(&[ask]), &extended(status, items, body), &[])
    };
    let none = Err(Lie::Items(FieldError::NoSuchBlock(4)));
    assert_eq!(read(block(0), &has(16), &[0; 64], 0), none);
    assert_eq!(read(Ask::News, &has(16), &[], 2), none);
    assert_eq!(read(Ask::NoBlock, &has(16), &[], 3), none);
    assert!(read(slice(0), &[state(0), has(16)].concat(), &[0; 50], 0).is_ok());
    assert!(read(Ask::SliceNews, &has(16), &[], 2).is_ok());
    assert_eq!(read(Ask::SliceNews, &has(20), &[], 2), none);
}

#[test]
fn a_state_is_told_in_front_of_a_slice_alone() {
    let got = |ask, status, body: &[u8]| {
        let mut segments = Vec::new();
        slice_reader(&[ask]).read(&extended(status, &state(1), body), &mut segments).unwrap();
        segments
    };
    assert!(matches!(got(slice(3), 0, &[0; 50])[..], [Segment::State(_), Segment::Body { .. }]));
    assert!(matches!(got(slice(3), 2, b"")[..], [Segment::Refused { .. }]));
    assert!(matches!(got(block(3), 0, &[0; 64])[..], [Segment::Body { .. }]));
    assert!(matches!(got(Ask::SliceNews, 2, b"")[..], [Segment::Told]));
}

#[test]
fn slices_count_among_what_is_expected() {
    let mut reader = slice_reader(&[slice(0), block(1), slice(19)]);
    assert_eq!(reader.expected(), 3 * 9 + 50 + 64 + 50);
    let answer = extended(0, &state(1), &[0; 50]);
    let (start, rest) = answer.split_at(answer.len() - 30);
    let mut segments = Vec::new();
    reader.read(start, &mut segments).unwrap();
    assert_eq!((reader.left_of_body(), reader.expected()), (30, 30 + 9 + 64 + 9 + 50));
    reader.read(rest, &mut segments).unwrap();
    assert_eq!((reader.left_of_body(), reader.expected()), (0, 9 + 64 + 9 + 50));
    let slices: Vec<Ask> = (0..6).map(slice).collect();
    let mut reader = slice_reader(&slices);
    for _ in 0..STEADY_BLOCKS {
        collect(&mut reader, &answer, &[]).unwrap();
    }
    assert_eq!(reader.next_block(), 9 + 50);
}
