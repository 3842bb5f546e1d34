use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock::eventually;
use cascade_tests::extended_peer::{ExtendedPeer, Log, Question, Reply, tell_once};
use cascade_tests::extension::{Item, NEWS};
use cascade_tests::foreign_client::blocks_given;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::launch::Launch;
use cascade_tests::outcome::Outcome;
use cascade_tests::scene::Scene;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const BLOCKS: u64 = 100;

fn file() -> TestFile {
    TestFile::random("hearsay.bin", 1_000_000, 10_000)
}

fn extended(scene: &Scene) -> Launch {
    scene.download().args(["--extension", "on"])
}

fn complete(scene: &Scene, download: Launch) -> Outcome {
    let done = download.run();
    done.assert_success();
    scene.assert_complete();
    done
}

fn v4(addr: SocketAddr) -> SocketAddrV4 {
    let (ip, port) = cascade_tests::address::v4(addr);
    SocketAddrV4::new(ip, port)
}

#[test]
fn every_request_carries_a_marker_with_the_port() {
    let peer = ExtendedPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    complete(&scene, extended(&scene));
    let port = scene.tracker.first_subscriber(&scene.file.hash).map(|addr| addr.port());
    let log = peer.log();
    for heard in &log.requests {
        assert_eq!(heard.marker.map(|marker| marker.port), port, "{heard:?}");
        assert_eq!(heard.marker.map(|marker| marker.offers_seen), Some(0), "{heard:?}");
    }
    assert_eq!(log.served.iter().collect::<BTreeSet<_>>().len() as u64, BLOCKS);
}

/// Of 100 blocks the byte is 1 at first and 255 at the end, when the last request is a question for news.
#[test]
fn requests_say_how_much_the_requester_has_and_the_last_one_that_it_has_all() {
    let peer = ExtendedPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    complete(&scene, extended(&scene));
    let said_all = |log: &Log| log.requests.last().is_some_and(|last| last.reserved[5] == 255);
    eventually("the question for news that says it", || peer.sees(said_all));
    let log = peer.log();
    let told: Vec<u8> = log.requests.iter().map(|heard| heard.reserved[5]).collect();
    assert!(told.is_sorted() && told[0] == 1, "{told:?}");
    for (nth, heard) in log.requests.iter().enumerate() {
        let has = usize::from(heard.reserved[5]);
        assert!(
            if heard.block == NEWS { has == 255 } else { has <= 1 + nth * 254 / 100 },
            "{heard:?}: {told:?}"
        );
    }
}

#[test]
fn who_does_not_serve_shows_port_0() {
    let peer = ExtendedPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let download = Launch::peer("download").arg(&scene.cascade).args(["--no-serve", "--extension", "on"]);
    complete(&scene, download.args(["--tracker", &scene.tracker.addr.to_string()]));
    assert!(peer.log().requests.iter().all(|heard| heard.marker.is_some_and(|marker| marker.port == 0)));
}

#[test]
fn switched_off_no_request_carries_anything() {
    let peer = ExtendedPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    complete(&scene, scene.download().args(["--extension", "off"]));
    let log = peer.log();
    assert!(log.requests.iter().all(|heard| heard.reserved == [0; 16]));
    assert_eq!(log.news(), 0);
}

#[test]
fn the_environment_switches_it_off_too() {
    let peer = ExtendedPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    complete(&scene, scene.download().env("CASCADE_EXTENSION", "off"));
    assert!(peer.log().requests.iter().all(|heard| heard.reserved == [0; 16]));
}

#[test]
fn version_1_peers_are_never_asked_for_news() {
    // The fast one is soon left with nothing to ask for.
    let fast = ForeignPeer::start(&file(), Script::default().holding(0..20));
    let slow = ForeignPeer::start(&file(), Script::default().slow(500_000));
    let scene = Scene::new(file(), &[fast.addr, slow.addr]);
    complete(&scene, extended(&scene));
    for peer in [fast, slow] {
        assert!(peer.journal().requests.iter().all(|seen| seen.block < BLOCKS && seen.reserved[0] == 0x9c));
    }
}

fn even() -> impl Iterator<Item = u64> {
    (0..BLOCKS).filter(|block| block % 2 == 0)
}

fn odd() -> impl Iterator<Item = u64> {
    (0..BLOCKS).filter(|block| block % 2 == 1)
}

#[test]
fn a_peer_is_asked_for_what_it_has_told() {
    let (told, gained) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let rule = {
        let (told, gained) = (Arc::clone(&told), Arc::clone(&gained));
        move |question: Question| {
            let reply = tell_once(question, || vec![Item::map(even(), BLOCKS)]);
            let news = matches!(reply, Reply::Wait) && gained.load(Ordering::Acquire);
            if news && !told.swap(true, Ordering::AcqRel) {
                return Reply::Telling(vec![Item::Have(odd().map(|block| (block, 1)).collect())]);
            }
            reply
        }
    };
    let peer = ExtendedPeer::holding(&file(), even(), rule);
    let scene = Scene::new(file(), &[peer.addr]);
    let mut download = extended(&scene).start();
    download.wait_until("half of the file", || peer.sees(|log| log.served.len() as u64 >= BLOCKS / 2));
    download.wait_until("a question for news", || peer.sees(|log| log.news() > 0));
    peer.gain(odd());
    gained.store(true, Ordering::Release);
    download.wait_exit().assert_success();
    scene.assert_complete();
    let log = peer.log();
    // Before it has told anything, it is asked for any block.
    assert!(log.missing.len() <= 1, "asked in vain for {:?}", log.missing);
    assert!(log.news() < 10, "{} questions for news", log.news());
    assert_eq!(log.connections.len(), 1);
}

#[test]
fn offered_blocks_are_asked_for_and_counted() {
    let next = Arc::new(AtomicU64::new(0));
    let offer = move || match next.fetch_add(10, Ordering::Relaxed) {
        first if first < BLOCKS => vec![Item::Choosing, Item::Offer(vec![(first, 10)])],
        _ => vec![Item::Everything],
    };
    let offered = Arc::new(Mutex::new(0));
    let rule = {
        let offered = Arc::clone(&offered);
        move |question: Question| {
            let mut offered = offered.lock().unwrap();
            // More when the last of them was asked for.
            if question.nth == 0 || question.is_news() || question.block % 10 == 9 {
                let items = offer();
                *offered += items.iter().map(|item| item.blocks().len()).sum::<usize>();
                Reply::Telling(items)
            } else {
                Reply::Plain
            }
        }
    };
    let peer = ExtendedPeer::start(&file(), rule);
    let scene = Scene::new(file(), &[peer.addr]);
    complete(&scene, extended(&scene));
    let log = peer.log();
    let blocks: Vec<_> = log.requests.iter().skip(1).filter(|heard| heard.block != NEWS).collect();
    for heard in &blocks {
        let seen = heard.marker.map(|marker| u64::from(marker.offers_seen)).unwrap();
        assert!(seen % 10 == 0 && seen <= BLOCKS, "{heard:?}");
        // A block that is offered, and not one that is not.
        assert!(heard.block < seen, "{} of {seen} offered", heard.block);
    }
    assert!(blocks.is_sorted_by_key(|heard| heard.marker.map(|marker| marker.offers_seen)));
    assert_eq!(log.served.len() as u64, BLOCKS, "each block once: {:?}", log.served);
}

#[test]
fn a_peer_that_is_told_of_is_found() {
    let second = ExtendedPeer::holding(&file(), 50..BLOCKS, |question| {
        tell_once(question, || vec![Item::map(50..BLOCKS, BLOCKS)])
    });
    let told = second.addr_v4();
    let first = ExtendedPeer::holding(&file(), 0..50, move |question| {
        tell_once(question, || vec![Item::map(0..50, BLOCKS), Item::Peers(vec![told])])
    });
    let scene = Scene::new(file(), &[first.addr]);
    complete(&scene, extended(&scene));
    let log = second.log();
    assert_eq!(log.served.len(), 50);
    assert!(log.missing.is_empty(), "it begins with a question for news: {:?}", log.missing);
}

#[test]
fn a_version_1_peer_that_is_told_of_is_asked_as_such() {
    let second = ForeignPeer::start(&file(), Script::default());
    let told = v4(second.addr);
    let first = ExtendedPeer::holding(&file(), 0..50, move |question| {
        tell_once(question, || vec![Item::map(0..50, BLOCKS), Item::PlainPeers(vec![told])])
    });
    let scene = Scene::new(file(), &[first.addr]);
    complete(&scene, extended(&scene));
    assert!(second.journal().requests.iter().all(|seen| seen.block < BLOCKS));
}

#[test]
fn a_version_1_peer_that_is_said_to_know_the_extension_is_asked_the_ordinary_way_in_the_end() {
    let second = ForeignPeer::start(&file(), Script::default());
    let told = v4(second.addr);
    let first = ExtendedPeer::holding(&file(), 0..50, move |question| {
        tell_once(question, || vec![Item::map(0..50, BLOCKS), Item::Peers(vec![told])])
    });
    let scene = Scene::new(file(), &[first.addr]);
    complete(&scene, extended(&scene));
    let asked = second.journal().asked();
    assert_eq!(asked.iter().filter(|block| **block == NEWS).count(), 1, "asked for news once: {asked:?}");
}

#[test]
fn a_peer_that_says_goodbye_is_left_alone() {
    let first = ExtendedPeer::start(&file(), |question| match question.nth {
        0 => Reply::Telling(vec![Item::Everything]),
        3 => Reply::Telling(vec![Item::Goodbye]),
        4.. => Reply::Close,
        _ => Reply::Plain,
    });
    let second = ForeignPeer::start(&file(), Script::default().slow(400_000));
    let scene = Scene::new(file(), &[first.addr, second.addr]);
    complete(&scene, extended(&scene));
    assert_eq!(first.log().connections.len(), 1, "it was tried again");
}

#[test]
fn unknown_items_are_skipped() {
    let peer = ExtendedPeer::start(&file(), |question| {
        tell_once(question, || {
            vec![Item::Unknown(200, b"later".to_vec()), Item::Everything, Item::Unknown(0, vec![])]
        })
    });
    let scene = Scene::new(file(), &[peer.addr]);
    complete(&scene, extended(&scene));
    assert_eq!(peer.log().connections.len(), 1);
}

/// What was told on a connection cannot be taken back, so the seeder ends it.
#[test]
fn a_seeder_that_loses_blocks_gives_the_others_to_those_that_it_told_of_all() {
    let file = TestFile::random("film.mkv", 4_000_000, 10_000);
    let seeding = Scene::new(file.clone(), &[]);
    let data = file.write_data(seeding.folder());
    let mut seeder = seeding.seed().args(["--extension", "on"]).start();
    let at = seeding.listening(&mut seeder);
    let scene = Scene::new(file.clone(), &[at]);
    let mut download = extended(&scene).args(["--max-down", "1MiB/s"]).start();
    let addr = scene.listening(&mut download);
    download.wait_until("a part", || (blocks_given(addr, &file).len() >= 40).then_some(()));
    OpenOptions::new().write(true).open(&data).unwrap().write_all_at(&vec![0; 200_000], 3_800_000).unwrap();
    seeder.wait_line("the loss", |line| line.contains("seeding 380 of 400 blocks").then_some(()));
    // It may have some of those that are lost.
    download.wait_until("all others", || (blocks_given(addr, &file).len() >= 380).then_some(()));
}
