use crate::links::{any, assert_complete, download, link, seeding, three_parts};
use cascade_tests::clock;
use cascade_tests::foreign_peer::ForeignPeer;
use cascade_tests::full_speed;
use cascade_tests::metafile_peer::{MAX_PART, Manner, MetafilePeer};
use std::fs;
use std::time::Duration;

/// Answers that no peer gives.
const NONSENSE: &[(&str, &[u8])] = &[
    ("a block", b"\0\0\0\0\0\0\0\0\x04data"),
    ("no room for a field", b"\x80\0\0\0\0\0\0\0\x01\0"),
    ("a body without end", b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\0\x0b\x10\0\x08"),
    ("a field behind the body", b"\x80\0\0\0\0\0\0\0\x05\0\x0b\x10\0\x08"),
    ("a field too long", b"\x80\0\0\0\0\0\x01\0\0\xff\xff\x10\0\x08"),
    ("no length", b"\x80\0\0\0\0\0\0\0\x03\0\0x"),
    ("half a hash", b"\x80\0\0\0\0\0\0\0\x0e\0\x0b\x10\0\x08\0\0\0\0\0\0\0\x64x"),
    ("no bytes", b"\x80\0\0\0\0\0\0\0\x0d\0\x0b\x10\0\x08\0\0\0\0\0\0\0\x80"),
    ("nothing", b""),
    ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ("a message without end", b"\x01\xff\xff\xff\xff\xff\xff\xff\xffxxxx"),
];

#[test]
fn a_liar_costs_one_round_and_is_left_alone() {
    let file = three_parts();
    let (_seeder, at, _folder) = seeding(&file, any());
    for manner in [
        Manner::Wrong(9),
        Manner::Wrong(30),
        Manner::Wrong(64),
        Manner::Wrong(MAX_PART + 5),
        Manner::Wrong(file.cascade.len() - 1),
        Manner::Longer(32),
        Manner::Claims(640_064),
        Manner::Claims(4_294_967_264),
    ] {
        let liar = MetafilePeer::start(&file, manner);
        let folder = tempfile::tempdir().unwrap();
        let link = link(&file, &format!("&peer={}&peer={at}", liar.addr()));
        let done = download(&folder, &link).run();
        done.assert_success();
        assert_complete(folder.path(), &file);
        assert!(done.at_full_speed < Duration::from_secs(10), "{manner:?}: {done}");
        assert!(liar.connections() <= 1, "{manner:?}: asked again: {:?}", liar.asked());
    }
}

#[test]
fn answers_that_no_peer_gives() {
    let file = three_parts();
    let (_seeder, at, _folder) = seeding(&file, any());
    for (what, bytes) in NONSENSE {
        let liar = MetafilePeer::start(&file, Manner::Nonsense(bytes));
        let folder = tempfile::tempdir().unwrap();
        let link = link(&file, &format!("&peer={}&peer={at}", liar.addr()));
        let done = download(&folder, &link).run();
        done.assert_success();
        assert_complete(folder.path(), &file);
        assert!(done.at_full_speed < Duration::from_secs(10), "{what}: {done}");
    }
}

#[test]
fn another_peer_goes_on_at_the_same_byte() {
    let file = three_parts();
    let blocks = ForeignPeer::honest(&file);
    for (manner, least) in [(Manner::BreaksAfter(400_000), 0), (Manner::StallsAfter(300_000), 2)] {
        let first = MetafilePeer::start(&file, manner);
        let second = MetafilePeer::start(&file, Manner::Parts(50_000));
        let folder = tempfile::tempdir().unwrap();
        let peers = format!("&peer={}&peer={}&peer={}", first.addr(), second.addr(), blocks.addr);
        let done = download(&folder, &link(&file, &peers)).run();
        done.assert_success();
        assert_complete(folder.path(), &file);
        assert!(done.took >= Duration::from_secs(least), "{manner:?}: {done}");
        let (Manner::BreaksAfter(bytes) | Manner::StallsAfter(bytes)) = manner else { unreachable!() };
        let asked = second.asked();
        assert!(asked.iter().all(|(_, offset)| *offset as usize >= bytes), "{manner:?}: {asked:?}");
        assert_eq!(asked.len(), (file.cascade.len() - bytes).div_ceil(50_000), "{manner:?}: {asked:?}");
    }
}

#[test]
fn one_who_spoils_the_bytes_of_others_does_so_once() {
    let file = three_parts();
    let (_seeder, at, _folder) = seeding(&file, any());
    // It gives a wrong part, says goodbye, and leaves the rest to the honest one.
    let mut spoiled = file.clone();
    spoiled.cascade[100] ^= 1;
    let spoiler = MetafilePeer::start(&spoiled, Manner::BreaksAfter(300_000));
    let folder = tempfile::tempdir().unwrap();
    let done = download(&folder, &link(&file, &format!("&peer={}&peer={at}", spoiler.addr()))).run();
    done.assert_success();
    assert_complete(folder.path(), &file);
    assert!(done.stdout.contains("gave is wrong"), "{done}");
    assert!(spoiler.connections() <= 2, "{:?}", spoiler.asked());
}

#[test]
fn among_liars_alone_it_waits_without_work_and_leaves_nothing() {
    let file = three_parts();
    let liars = [Manner::Wrong(70), Manner::Longer(64), Manner::NotNow]
        .map(|manner| MetafilePeer::start(&file, manner));
    let folder = tempfile::tempdir().unwrap();
    let peers: String = liars.iter().map(|liar| format!("&peer={}", liar.addr())).collect();
    let mut process = download(&folder, &link(&file, &peers)).start();
    process.wait_line("that it waits", |line| line.contains("waiting for the .cascade file").then_some(()));
    assert!(
        process.cpu_time_within(Duration::from_secs(2)) < Duration::from_millis(500),
        "{}",
        process.log()
    );
    assert!(liars[..2].iter().all(|liar| liar.connections() <= 2));
    let done = download(&folder, &link(&file, &peers)).arg("--no-wait").run();
    done.assert_code(1);
    let start = clock::now();
    let done = process.end_by(rustix::process::Signal::INT);
    done.assert_code(130);
    assert!(full_speed::since(start) < Duration::from_secs(5), "{done}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}
