use super::*;
use cascade_format::tracker_room::{PeerName, Presence, Program, Progress};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

const FILE: CascadeHash = CascadeHash([1; 32]);

fn addr(n: u16) -> PeerAddr {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), n).into()
}

fn report(number: u64, had: u64) -> Report {
    Report {
        cascade_hash: FILE,
        listen: addr(u16::try_from(number).unwrap()),
        number,
        goodbye: false,
        seeder: false,
        v4_only: false,
        progress: Progress { blocks_done: had, blocks: 10, received: had * 100, given: 0 },
        program: Program::of("test 1"),
        name: PeerName::of("somebody"),
    }
}

fn reporter(from: u8, listen: PeerAddr) -> Reporter {
    let source = Source::of(Ipv4Addr::new(10, 0, 0, from).into());
    Reporter { source, registered: Some(listen), shown: listen, elsewhere: false }
}

fn tell(rooms: &mut Rooms, report: &Report, now: u32) {
    rooms.report(report, reporter(1, report.listen), now);
}

/// Complete, incomplete, silent, seeders.
fn numbers(rooms: &mut Rooms, now: u32) -> (u32, u32, u32, u32) {
    let Summary { complete, incomplete, silent, seeders, .. } = rooms.summary(&FILE, now).unwrap_or_default();
    (complete, incomplete, silent, seeders)
}

fn members(rooms: &Rooms, now: u32) -> Vec<Member> {
    rooms.page(&FILE, 0, 1000, now).0
}

#[test]
fn a_receiver_comes_goes_on_and_is_remembered_when_it_has_left() {
    let mut rooms = Rooms::new(RoomBounds::default());
    tell(&mut rooms, &report(1, 0), 100);
    tell(&mut rooms, &Report { seeder: true, ..report(2, 10) }, 100);
    assert_eq!(numbers(&mut rooms, 100), (0, 1, 0, 1));
    tell(&mut rooms, &report(1, 5), 130);
    let member = members(&rooms, 140).into_iter().find(|member| !member.seeder).unwrap();
    assert_eq!((member.rate, member.since, member.progress.unwrap().blocks_done), (500 / 30, 10, 5));
    assert_eq!((rooms.registered(&FILE), member.presence), (2, Presence::Here));
    tell(&mut rooms, &Report { goodbye: true, ..report(1, 10) }, 160);
    tell(&mut rooms, &Report { goodbye: true, seeder: true, ..report(2, 10) }, 160);
    assert_eq!(numbers(&mut rooms, 160), (1, 0, 0, 0));
    assert_eq!((rooms.registered(&FILE), members(&rooms, 160)[0].presence), (0, Presence::Left));
    assert_eq!(numbers(&mut rooms, 160 + REMEMBERED_SECS), (1, 0, 0, 0));
    assert_eq!((rooms.summary(&FILE, 161 + REMEMBERED_SECS), rooms.members()), (None, 0));
}

#[test]
fn who_leaves_without_everything_is_forgotten() {
    let mut rooms = Rooms::new(RoomBounds::default());
    tell(&mut rooms, &report(1, 5), 100);
    tell(&mut rooms, &Report { goodbye: true, ..report(1, 6) }, 110);
    tell(&mut rooms, &Report { goodbye: true, ..report(2, 6) }, 110);
    assert_eq!((rooms.members(), rooms.summary(&FILE, 110)), (0, None));
    // Its only report says that it has everything and leaves.
    tell(&mut rooms, &Report { goodbye: true, ..report(3, 10) }, 110);
    assert_eq!(numbers(&mut rooms, 110), (1, 0, 0, 0));
}

#[test]
fn who_does_not_report_is_silent_and_then_forgotten_unless_it_had_everything() {
    let mut rooms = Rooms::new(RoomBounds::default());
    tell(&mut rooms, &report(1, 5), 100);
    tell(&mut rooms, &report(2, 10), 100);
    assert_eq!(numbers(&mut rooms, 100 + SILENT_SECS), (1, 1, 0, 0));
    assert_eq!(numbers(&mut rooms, 101 + SILENT_SECS), (1, 0, 1, 0));
    let presences: Vec<_> = members(&rooms, 300).iter().map(|member| member.presence).collect();
    assert_eq!(presences, [Presence::Silent, Presence::Here]);
    tell(&mut rooms, &report(1, 6), 1000);
    assert_eq!(numbers(&mut rooms, 1000), (1, 1, 0, 0));
    assert_eq!(numbers(&mut rooms, 1000 + LIFETIME_SECS), (1, 0, 1, 0));
    assert_eq!(numbers(&mut rooms, 1001 + LIFETIME_SECS), (1, 0, 0, 0));
    assert_eq!(members(&rooms, 3000)[0].presence, Presence::Left);
}

#[test]
fn a_peer_with_several_addresses_is_one_member() {
    let mut rooms = Rooms::new(RoomBounds::default());
    for listen in 0..40 {
        let report = Report { listen: addr(listen), ..report(1, 5) };
        rooms.report(&report, reporter(1, report.listen), 100);
        rooms.report(&report, reporter(1, report.listen), 100);
    }
    assert_eq!((rooms.members(), rooms.registered(&FILE)), (1, 16), "the last addresses count");
    let source = reporter(1, addr(0)).source;
    assert!(rooms.covers(&FILE, source, addr(39)) && !rooms.covers(&FILE, source, addr(5)));
    tell(&mut rooms, &Report { goodbye: true, ..report(1, 5) }, 100);
    assert_eq!((rooms.members(), rooms.registered(&FILE)), (0, 0));
    assert!(!rooms.covers(&FILE, source, addr(39)));
}

#[test]
fn a_peer_that_is_started_again_is_the_same_member() {
    let mut rooms = Rooms::new(RoomBounds::default());
    tell(&mut rooms, &report(1, 10), 100);
    tell(&mut rooms, &Report { goodbye: true, ..report(1, 10) }, 110);
    // At the same address, with another number, and now to give what it has received.
    let again = Report {
        number: 2,
        seeder: true,
        v4_only: false,
        progress: Progress { received: 0, ..report(1, 10).progress },
        ..report(1, 10)
    };
    tell(&mut rooms, &again, 200);
    assert_eq!((numbers(&mut rooms, 200), rooms.registered(&FILE)), ((1, 0, 0, 0), 1));
    assert_eq!(members(&rooms, 200)[0].rate, 0);
    // Its other address comes first, then the one that was known.
    let third = Report { number: 3, listen: addr(77), ..report(1, 10) };
    tell(&mut rooms, &third, 300);
    assert_eq!(rooms.members(), 2);
    tell(&mut rooms, &Report { listen: addr(1), ..third }, 300);
    assert_eq!((rooms.members(), rooms.registered(&FILE)), (1, 2));
}

#[test]
fn nobody_reports_in_the_name_of_another() {
    let mut rooms = Rooms::new(RoomBounds::default());
    tell(&mut rooms, &report(1, 5), 100);
    // The address is that of the first, the source and the number are not.
    let liar = Report { number: 9, goodbye: true, ..report(1, 10) };
    rooms.report(&liar, reporter(66, addr(1)), 100);
    assert_eq!(numbers(&mut rooms, 100), (1, 1, 0, 0));
    rooms.report(&Report { goodbye: false, ..liar }, reporter(66, addr(1)), 100);
    assert_eq!((rooms.members(), rooms.covers(&FILE, reporter(1, addr(1)).source, addr(1))), (2, true));
}

#[test]
fn peers_that_listen_nowhere_are_members_by_their_numbers() {
    let mut rooms = Rooms::new(RoomBounds::default());
    for number in [1, 2, 1] {
        let nowhere = Reporter { registered: None, ..reporter(1, addr(0)) };
        rooms.report(&report(number, 5), nowhere, 100);
    }
    assert_eq!((numbers(&mut rooms, 100), rooms.registered(&FILE)), ((0, 2, 0, 0), 0));
}

#[test]
fn memory_is_bounded_for_all_and_for_one_source() {
    let mut rooms = Rooms::new(RoomBounds { members: 100, source_members: 30 });
    for n in 0..1000 {
        let report = report(n, n % 11);
        rooms.report(&report, reporter(1, report.listen), 100);
    }
    assert_eq!(rooms.members(), 30, "one source");
    for n in 0..1000u16 {
        let report = report(u64::from(n) + 1000, u64::from(n % 11));
        rooms.report(&report, reporter(u8::try_from(2 + n % 200).unwrap(), report.listen), 200);
    }
    assert_eq!(rooms.members(), 100, "all");
    assert!(members(&rooms, 200).iter().all(|member| member.since == 0), "the oldest make room");
    assert_eq!(rooms.records.end(), 100);
}

#[test]
fn pages_have_every_member_once() {
    let mut rooms = Rooms::new(RoomBounds::default());
    (0..120).for_each(|n| tell(&mut rooms, &report(n, 1), 100));
    let mut seen = BTreeSet::new();
    for first in [0, 50, 100] {
        let (page, all) = rooms.page(&FILE, first, 50, 100);
        assert_eq!(all, 120);
        seen.extend(page.iter().map(|member| member.addr));
    }
    assert_eq!(seen.len(), 120);
    assert_eq!(rooms.page(&CascadeHash([2; 32]), 0, 50, 100), (vec![], 0));
    assert_eq!(rooms.files(10), [FILE]);
}

/// What should be known of a member.
#[derive(Debug, Clone, Copy)]
struct Model {
    had: u64,
    seeder: bool,
    reported: u32,
    left: bool,
}

proptest! {
    #[test]
    fn numbers_are_those_of_a_simple_model(
        steps in prop::collection::vec((0u64..12, 0u64..=3, any::<bool>(), 0u8..6, 0u32..60), 0..400)
    ) {
        let mut rooms = Rooms::new(RoomBounds::default());
        let mut model: BTreeMap<u64, Model> = BTreeMap::new();
        let (mut now, blocks) = (0, 3);
        for (number, had, seeder, kind, passed) in steps {
            now += passed;
            model.retain(|_, member| {
                let old = now - member.reported > LIFETIME_SECS;
                member.left |= old;
                !old || (member.had == blocks && !member.seeder)
            });
            let goodbye = kind == 0;
            let report = Report { seeder, goodbye, progress: Progress { blocks_done: had, blocks, received: 0, given: 0 }, ..report(number, 0) };
            tell(&mut rooms, &report, now);
            let before = model.get(&number).copied();
            let seeder = seeder && before.is_none_or(|before| before.seeder || before.had < blocks);
            model.insert(number, Model { had, seeder, reported: now, left: goodbye });
            model.retain(|_, member| !member.left || (member.had == blocks && !member.seeder));
            let count = |is: &dyn Fn(&Model) -> bool| u32::try_from(model.values().filter(|member| is(member)).count()).unwrap();
            let lacks = |member: &Model| !member.seeder && member.had < blocks;
            let late = |member: &Model| now - member.reported > SILENT_SECS;
            let expected = (
                count(&|member| !member.seeder && member.had == blocks),
                count(&|member| lacks(member) && !late(member)),
                count(&|member| lacks(member) && late(member)),
                count(&|member| member.seeder),
            );
            prop_assert_eq!(numbers(&mut rooms, now), expected);
            prop_assert_eq!(rooms.registered(&FILE), count(&|member| !member.left));
            prop_assert_eq!(rooms.members(), model.len());
        }
        numbers(&mut rooms, now + 2 * REMEMBERED_SECS);
        numbers(&mut rooms, now + 4 * REMEMBERED_SECS);
        prop_assert_eq!((rooms.members(), rooms.rooms.len(), rooms.addresses.len()), (0, 0, 0));
        prop_assert_eq!((rooms.by_number.len(), rooms.by_address.len(), rooms.by_file.len()), (0, 0, 0));
    }
}
