use super::*;
use crate::tracker_wire::TrackerRequest;
use alloc::string::String;
use alloc::vec;
use core::net::SocketAddr;
use proptest::prelude::*;

fn addr(text: &str) -> PeerAddr {
    text.parse::<SocketAddr>().unwrap().into()
}

fn sample() -> Report {
    Report {
        cascade_hash: CascadeHash([9; 32]),
        listen: addr("[2001:db8::7]:4660"),
        number: 0x0102_0304_0506_0708,
        goodbye: false,
        seeder: true,
        v4_only: false,
        progress: Progress { blocks_done: 3, blocks: 4, received: 5, given: 6 },
        program: Program::of("cascade 0.1.0"),
        name: PeerName::of("lab-07"),
    }
}

fn member() -> Member {
    Member {
        addr: addr("1.2.3.4:5"),
        progress: Some(Progress { blocks_done: 1, blocks: 2, received: 3, given: 4 }),
        seeder: false,
        presence: Presence::Silent,
        elsewhere: true,
        rate: 5,
        since: 6,
        program: Program::of("p"),
        name: PeerName::of("né"),
    }
}

#[test]
fn golden_report() {
    let bytes = sample().encode();
    assert_eq!(&bytes[..16], b"CASC\0\0\0\x01\0\0\0\x05\0\0\0\x6f");
    assert_eq!(&bytes[16..48], [9; 32]);
    assert_eq!(&bytes[48..66], b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x12\x34");
    assert_eq!(&bytes[66..75], [1, 2, 3, 4, 5, 6, 7, 8, 2]);
    assert_eq!(
        &bytes[75..107],
        [
            [0, 0, 0, 0, 0, 0, 0, 3],
            [0, 0, 0, 0, 0, 0, 0, 4],
            [0, 0, 0, 0, 0, 0, 0, 5],
            [0, 0, 0, 0, 0, 0, 0, 6]
        ]
        .concat()
    );
    assert_eq!(&bytes[107..], b"\x0dcascade 0.1.0lab-07");
    assert_eq!(Report::parse(&bytes), Ok(sample()));
}

#[test]
fn golden_question() {
    let request = RoomRequest { cascade_hash: CascadeHash([9; 32]), first: 0x0a0b_0c0d };
    let bytes = request.encode();
    assert_eq!(&bytes[..16], b"CASC\0\0\0\x01\0\0\0\x06\0\0\0\x28");
    assert_eq!((&bytes[16..48], &bytes[48..]), (&[9; 32][..], &[10, 11, 12, 13, 0, 0, 0, 0][..]));
    assert_eq!(RoomRequest::parse(&bytes), Ok(request));
}

#[test]
fn version_1_refuses_what_it_does_not_know() {
    let report = sample().encode();
    assert_eq!(TrackerRequest::parse_header(&bytes(&report, 0)), Err(RequestError::Command(5)));
    assert_eq!(Form::parse_header(&bytes(&report, 0)), Err(RequestError::Command(5)));
}

#[test]
fn each_wrong_field_is_named() {
    let wrong = |at: usize, byte: u8| {
        let mut bytes = sample().encode();
        bytes[at] = byte;
        Report::parse(&bytes)
    };
    assert_eq!(wrong(0, 7), Err(RequestError::Magic));
    assert_eq!(wrong(7, 7), Err(RequestError::Version(7)));
    assert_eq!(wrong(11, 7), Err(RequestError::Command(7)));
    assert_eq!(wrong(15, 91), Err(RequestError::ReportLength(91)));
    assert_eq!(wrong(15, 181), Err(RequestError::ReportLength(181)));
    assert_eq!(wrong(82, 5), Err(RequestError::ReportBlocks(5, 4)));
    assert_eq!(wrong(107, 20), Err(RequestError::ReportText));
    assert_eq!(wrong(107, 25), Err(RequestError::ReportText));
    assert_eq!(wrong(121, 0x1b), Err(RequestError::ReportText));
    assert_eq!(wrong(121, 0xff), Err(RequestError::ReportText));
    let mut room = RoomRequest { cascade_hash: CascadeHash([9; 32]), first: 0 }.encode();
    room[15] = 41;
    assert_eq!(RoomRequest::parse(&room), Err(RequestError::RoomLength(41)));
}

#[test]
fn unknown_flags_mean_nothing() {
    let mut bytes = sample().encode();
    bytes[74] |= 0xf8;
    assert_eq!(Report::parse(&bytes), Ok(sample()));
}

#[test]
fn golden_page() {
    let summary = Summary { complete: 1, incomplete: 2, silent: 3, seeders: 4, unknown: 5 };
    let mut bytes = vec![];
    Page { summary, next: 6, members: vec![member()] }.encode(&mut bytes);
    assert_eq!(bytes[..24], [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6]);
    assert_eq!(bytes[24..26], [0, 70]);
    assert_eq!(bytes[36..46], [0xff, 0xff, 1, 2, 3, 4, 0, 5, 2 | 8 | 16, 0]);
    assert_eq!(bytes[46..], *b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x05\0\0\0\x06\x01p\x03n\xc3\xa9");
    assert_eq!(Page::parse(&bytes), Ok(Page { summary, next: 6, members: vec![member()] }));
    for cut in 25..bytes.len() {
        assert!(Page::parse(&bytes[..cut]).is_err(), "{cut}");
    }
    // What is behind the texts is for later.
    let mut longer = bytes.clone();
    longer[25] += 2;
    longer.extend([7, 7]);
    assert_eq!(Page::parse(&longer), Page::parse(&bytes));
    let mut hostile = bytes;
    hostile[91] = 0x1b;
    assert_eq!(Page::parse(&hostile), Err(PageError::Member));
}

#[test]
fn a_page_is_bounded_and_the_largest_fits_a_socket() {
    let longest =
        Member { program: Program::of(&"v".repeat(99)), name: PeerName::of(&"n".repeat(99)), ..member() };
    let page = |count| Page { members: vec![longest; count], ..Page::default() };
    let mut bytes = vec![];
    page(MAX_PAGE).encode(&mut bytes);
    assert!(bytes.len() < 8 << 10, "{} bytes", bytes.len());
    assert_eq!(Page::parse(&bytes), Ok(page(MAX_PAGE)));
    let mut more = vec![];
    page(MAX_PAGE + 1).encode(&mut more);
    assert_eq!(Page::parse(&more), Err(PageError::TooMany));
}

proptest! {
    #[test]
    fn every_report_comes_back(number: u64, flags in 0u8..8, numbers: [u64; 4], program: String, name: String) {
        let [had, blocks, received, given] = numbers;
        let (had, blocks) = (had.min(blocks), had.max(blocks));
        let report = Report {
            number,
            goodbye: flags & 1 != 0,
            seeder: flags & 2 != 0,
            v4_only: flags & 4 != 0,
            progress: Progress { blocks_done: had, blocks, received, given },
            program: Program::of(&program),
            name: PeerName::of(&name),
            ..sample()
        };
        prop_assert_eq!(Report::parse(&report.encode()), Ok(report));
    }

    #[test]
    fn reading_a_report_is_total_and_what_is_read_is_written_again(
        mut bytes in prop::collection::vec(any::<u8>(), 0..220), sound in 0usize..130,
    ) {
        let good = sample().encode();
        let copied = sound.min(bytes.len()).min(good.len());
        bytes[..copied].copy_from_slice(&good[..copied]);
        if let Ok(report) = Report::parse(&bytes) {
            bytes[74] &= 7;
            prop_assert_eq!(report.encode(), bytes);
        }
    }

    #[test]
    fn reading_a_page_is_total_and_what_is_read_can_be_shown(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(page) = Page::parse(&bytes) {
            for member in page.members {
                prop_assert!(member.name.as_str().chars().all(crate::text::is_shown));
            }
        }
    }
}
