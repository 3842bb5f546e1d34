use cascade_tests::address::{Reserved, connect_from, v4};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extended_peer::{ExtendedPeer, Question, Reply};
use cascade_tests::extension::Item;
use cascade_tests::foreign_client::{ForeignClient, request};
use cascade_tests::foreign_peer::{Answer, ForeignPeer, Script};
use cascade_tests::full_speed;
use cascade_tests::launch::Launch;
use cascade_tests::scene::Scene;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// More than the places that a download has for peers it knows of by hearsay or a tracker alone.
const CROWD: usize = 45;

fn file() -> TestFile {
    TestFile::random("crowded.bin", 4 << 20, 65_536)
}

#[test]
fn clients_that_do_not_read_do_not_keep_a_leecher_from_its_blocks() {
    let scene = Scene::new(file(), &[]);
    let (_seeder, addr) = scene.seeding();
    let mut hogs: Vec<ForeignClient> = (0..8).map(|_| ForeignClient::connect(addr)).collect();
    let all: Vec<u8> = (0..scene.file.blocks()).flat_map(|block| request(&scene.file.hash, block)).collect();
    for hog in &mut hogs {
        (0..8).for_each(|_| hog.send(&all).unwrap());
    }
    let target = scene.folder().join("copy.bin");
    let started = clock::now();
    let download = scene.download_without_tracker().args(["--extension", "on", "--peer", &addr.to_string()]);
    let done = download.arg("-o").arg(&target).run();
    done.assert_success();
    scene.file.assert_same(&target);
    assert!(full_speed::since(started) < Duration::from_secs(20), "{:?}: {done}", started.elapsed());
}

#[test]
fn peers_that_give_nothing_make_room_for_one_that_does() {
    // Each tells that it knows the extension, and has nothing.
    let rule = |question: Question| if question.nth == 0 { Reply::Telling(Vec::new()) } else { Reply::Wait };
    let crowd: Vec<ExtendedPeer> = (0..CROWD).map(|_| ExtendedPeer::holding(&file(), [], rule)).collect();
    let scene = Scene::new(file(), &[]);
    let late = Reserved::new();
    let mut download = scene.download().args(["--extension", "on", "--peer", &late.addr.to_string()]);
    for peer in &crowd {
        download = download.args(["--peer", &peer.addr.to_string()]);
    }
    let mut process = download.start();
    process.wait_until("forty links", || {
        (crowd.iter().filter(|peer| !peer.log().connections.is_empty()).count() >= 40).then_some(())
    });
    let peer = ForeignPeer::start_at(&file(), Script::default(), late.addr);
    process.wait_exit().assert_success();
    scene.assert_complete();
    assert_eq!(peer.journal().served.len() as u64, scene.file.blocks());
}

#[test]
fn a_peer_that_said_goodbye_and_comes_back_is_asked_again() {
    let left: Mutex<Option<Instant>> = Mutex::new(None);
    let peer = ExtendedPeer::start(&file(), move |question| {
        let mut left = left.lock().unwrap();
        match (*left, question.nth) {
            (None, 0) => Reply::Telling(vec![Item::Everything]),
            (None, 5) => {
                *left = Some(clock::now());
                Reply::Telling(vec![Item::Goodbye])
            }
            (None, _) => Reply::Plain,
            (Some(at), _) if at.elapsed() < Duration::from_secs(3) => Reply::Close,
            (Some(_), 0) => Reply::Telling(vec![Item::Everything]),
            (Some(_), _) => Reply::Plain,
        }
    });
    let scene = Scene::new(file(), &[peer.addr]);
    let done = scene.download().args(["--extension", "on"]).run();
    done.assert_success();
    scene.assert_complete();
    assert!(peer.log().connections.len() >= 2, "it came back: {done}");
}

#[test]
fn a_version_1_peer_may_have_statuses_of_128_and_more() {
    let script = Script::default().ruled(|ask| match ask.nth {
        0 | 1 => Answer::Message { status: 255, text: b"internal error".to_vec(), close: true },
        _ => Answer::Block,
    });
    let peer = ForeignPeer::start(&file(), script);
    let scene = Scene::new(file(), &[peer.addr]);
    scene.download().args(["--extension", "on"]).run().assert_success();
    scene.assert_complete();
}

#[test]
fn a_host_that_asks_is_asked_at_the_port_that_the_others_use() {
    // One port on three hosts: a peer that the tracker lists, ours, and one that nobody has heard of.
    let [listed, ours, unknown] = [5, 6, 7].map(|host| Ipv4Addr::new(127, 0, 0, host));
    let on = |host: Ipv4Addr, port| SocketAddr::from((host, port));
    let reserved = Reserved::new();
    let port = v4(reserved.addr).1;
    let poor = ForeignPeer::start_at(&file(), Script::default().holding([]), on(listed, port));
    let rich = ForeignPeer::start_at(&file(), Script::default(), on(unknown, port));
    let scene = Scene::new(file(), &[poor.addr]);
    let download = Launch::peer("download").arg(&scene.cascade).args(["--extension", "off"]);
    let download = download.args(["--tracker", &scene.tracker.addr.to_string()]);
    let mut process = download.args(["--listen", &on(ours, port).to_string()]).start();
    process.wait_until("a question to the listed peer", || poor.sees(|journal| !journal.requests.is_empty()));
    assert!(rich.journal().requests.is_empty(), "nobody knows of it");
    let mut client = ForeignClient::over(connect_from(unknown, on(ours, port)));
    client.send(&request(&scene.file.hash, 0)).unwrap();
    assert_eq!(client.receive().unwrap().status, 2);
    process.wait_exit().assert_success();
    scene.assert_complete();
    assert_eq!(rich.journal().served.len() as u64, scene.file.blocks());
}
