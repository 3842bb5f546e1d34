use super::*;
use proptest::prelude::*;

fn reader(blocks: &[u64]) -> ResponseReader {
    let layout = Layout::new(1000, 64).unwrap();
    let mut reader = ResponseReader::new(layout, true);
    blocks.iter().for_each(|number| reader.asked(Ask::Block(layout.block(*number).unwrap())));
    reader
}

fn header(status: u8, body_len: u64) -> Vec<u8> {
    ResponseHeader { status: status.into(), body_len }.encode().to_vec()
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
                Segment::Body { block, offset, range, .. } => {
                    if offset == 0 {
                        all.push((block.number(), 0, Vec::new()));
                    }
                    all.last_mut().unwrap().2.extend(&part[range]);
                }
                Segment::Refused { block, status, message } => {
                    all.push((block.number(), status.into(), message.into_bytes()));
                }
                Segment::News(items) => {
                    all.push((u64::MAX, EXTENDED, vec![u8::try_from(items.len()).unwrap()]));
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
    let mut reader = ResponseReader::new(layout, false);
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
