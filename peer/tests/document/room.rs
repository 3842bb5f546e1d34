//! The dumps about rooms.

use super::{dump, metafile};
use cascade_format::PeerAddr;
use cascade_format::tracker_room::{Member, Page, PeerName, Program, Progress, Report, RoomRequest, Summary};
use cascade_format::tracker_wire::TrackerResponseHeader;

fn report() -> Report {
    Report {
        cascade_hash: metafile().cascade_hash(),
        listen: "[2001:db8::10]:8889".parse().unwrap(),
        number: 0x0123_4567_89ab_cdef,
        goodbye: false,
        seeder: false,
        v4_only: false,
        progress: Progress { blocks_done: 1, blocks: 2, received: 8, given: 0 },
        program: Program::of("cascade 0.1.0"),
        name: PeerName::of("lab-07"),
    }
}

#[test]
fn a_report_and_a_question() {
    assert_eq!(dump("room-report"), report().encode());
    assert_eq!(Report::parse(&dump("room-report")), Ok(report()));
    let question = RoomRequest { cascade_hash: metafile().cascade_hash(), first: 0 };
    assert_eq!(dump("room-question"), question.encode());
}

#[test]
fn an_answer() {
    let Report { listen, progress, program, name, .. } = report();
    let reports = Member { progress: Some(progress), program, name, ..Member::unknown(listen, 3) };
    let addr: PeerAddr = "192.0.2.20:8889".parse().unwrap();
    let summary = Summary { incomplete: 1, unknown: 1, ..Summary::default() };
    let page = Page { summary, next: 0, members: vec![reports, Member::unknown(addr, 60)] };
    let mut body = Vec::new();
    page.encode(&mut body);
    let header = TrackerResponseHeader { status: 0, body_len: u32::try_from(body.len()).unwrap() };
    assert_eq!(dump("room-answer"), [&header.encode()[..], &body].concat());
    assert_eq!(Page::parse(&body), Ok(page));
}
