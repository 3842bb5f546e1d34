use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::foreign_peer::{Answer, ForeignPeer, Script};
use cascade_tests::foreign_tracker::{ForeignTracker, Manner};
use cascade_tests::full_speed;
use cascade_tests::holder::Holder;
use cascade_tests::launch::Launch;
use cascade_tests::scene::Scene;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Addresses that a hostile tracker lists.
const CROWD: u32 = 2000;

fn file() -> TestFile {
    TestFile::random("listed.bin", 300_000, 10_000)
}

/// A tracker that lists this crowd.
fn hostile(holder: &Holder) -> ForeignTracker {
    let tracker = ForeignTracker::start(Manner::Everybody);
    holder.addresses(CROWD).for_each(|addr| tracker.add(addr));
    tracker
}

#[test]
fn a_hostile_list_does_not_keep_out_who_is_known_by_another_way() {
    // It takes a second and a half: time for the crowd to be tried, too.
    let honest = ForeignPeer::start(&file(), Script::default().slow(200_000));
    let holder = Holder::new();
    let tracker = hostile(&holder);
    let scene = Scene::new(file(), &[honest.addr]);
    let hostile = || scene.download_without_tracker().args(["-t", &tracker.addr.to_string()]);
    let by_user = hostile().args(["--peer", &honest.addr.to_string()]);
    let by_tracker = hostile().args(["-t", &scene.tracker.addr.to_string()]);
    for download in [by_user, by_tracker] {
        let done = download.run();
        done.assert_success();
        scene.assert_complete();
        assert!(done.at_full_speed < Duration::from_secs(8), "{done}");
        std::fs::remove_file(scene.target()).unwrap();
    }
    assert!(!holder.called().is_empty(), "the crowd was never tried");
}

#[test]
fn an_honest_seeder_that_comes_late_is_found_among_a_crowd_that_holds_every_place() {
    let (reserved, holder) = (Reserved::new(), Holder::new());
    let tracker = hostile(&holder);
    let scene = Scene::new(file(), &[]);
    let download = scene.download_without_tracker().args(["-t", &tracker.addr.to_string()]);
    let mut process = download.args(["--peer", &reserved.addr.to_string()]).start();
    process.wait_until("all places are taken", || (holder.called().len() >= 150).then_some(()));
    let honest = ForeignPeer::start_at(&file(), Script::default(), reserved.addr);
    let since = clock::now();
    process.wait_exit().assert_success();
    scene.assert_complete();
    // It was tried in vain meanwhile: the pause before the next try is what is waited for.
    assert!(full_speed::since(since) < Duration::from_secs(20), "{:?}", since.elapsed());
    // One to see that it speaks, perhaps, and one for the blocks.
    assert!(honest.journal().connections.len() <= 2);
}

#[test]
fn an_honest_seeder_in_a_hostile_list_is_reached_in_the_time_that_the_list_takes() {
    // One block: the peer that is asked for it has it for 2 s, and all others are asked whether they speak at all.
    let file = TestFile::random("one-block.bin", 300_000, 300_000);
    let (honest, holder) = (ForeignPeer::honest(&file), Holder::new());
    let tracker = hostile(&holder);
    tracker.add(honest.addr);
    let scene = Scene::new(file, &[]);
    let done = scene.download_without_tracker().args(["-t", &tracker.addr.to_string()]).start();
    // 16 at once, then ten a second for 2 s, then fifty a second: 2001 addresses take 42 s at most.
    done.wait_exit_within(Duration::from_secs(55)).assert_success();
    scene.assert_complete();
    let mut called = holder.called();
    let all = called.len();
    called.sort_unstable();
    called.dedup();
    // One to which a connection was made when there was nothing left to ask for is tried again.
    let again = all - called.len();
    assert!(again <= all / 20, "{again} of {all} tries before all others had their turn");
}

#[test]
fn a_list_is_no_weapon_against_one_host() {
    let victim = Ipv4Addr::new(127, 9, 9, 9);
    // Enough of them that some are called by chance: 30 calls to 1,000 ports.
    let doors: Vec<_> = (0..500).map(|_| std::net::TcpListener::bind((victim, 0)).unwrap()).collect();
    let tracker = ForeignTracker::start(Manner::Everybody);
    doors.iter().for_each(|door| tracker.add(door.local_addr().unwrap()));
    (1..500).for_each(|port| tracker.add(SocketAddr::from((victim, port))));
    doors.iter().for_each(|door| door.set_nonblocking(true).unwrap());
    let scene = Scene::new(file(), &[]);
    let mut process = scene.download_without_tracker().args(["-t", &tracker.addr.to_string()]).start();
    let (since, mut calls) = (clock::now(), 0);
    while since.elapsed() < Duration::from_secs(8) {
        // Closed at once: nothing keeps the next try back.
        calls += doors.iter().filter(|door| door.accept().is_ok()).count();
        clock::breathe();
    }
    process.assert_running();
    assert!((1..=30).contains(&calls), "{calls} connections to one host in 8 s");
}

#[test]
fn a_swarm_on_one_host_is_found_in_spite_of_that() {
    let file = TestFile::random("one-host.bin", 400_000, 10_000);
    let blocks = file.blocks();
    let part = |number: u64| (0..blocks).filter(move |block| block % 20 == number);
    let peers: Vec<_> =
        (0..20).map(|number| ForeignPeer::start(&file, Script::default().holding(part(number)))).collect();
    let scene = Scene::new(file, &peers.iter().map(|peer| peer.addr).collect::<Vec<_>>());
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.at_full_speed < Duration::from_secs(10), "{done}");
}

#[test]
fn connections_come_from_the_address_that_it_listens_on() {
    let ours = Ipv4Addr::new(127, 0, 0, 9);
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let download = Launch::peer("download").arg(&scene.cascade);
    let download = download.args(["--tracker", &scene.tracker.addr.to_string()]);
    download.args(["--listen", &format!("{ours}:0")]).run().assert_success();
    let (from, asked) = (peer.journal().from, scene.tracker.announces());
    assert!(!from.is_empty() && from.iter().all(|addr| addr.ip() == ours), "{from:?}");
    assert!(asked.iter().all(|asked| asked.from.ip() == ours && *asked.listen.ip() == ours), "{asked:?}");
}

#[test]
fn it_does_not_connect_to_itself() {
    let reserved = Reserved::everywhere();
    let (everywhere, port) = (reserved.addr, reserved.addr.port());
    let tracker = ForeignTracker::start(Manner::Everybody);
    (1..20).for_each(|host| tracker.add(SocketAddr::from(([127, 0, 0, host], port))));
    let scene = Scene::new(file(), &[]);
    let download = Launch::peer("download").arg(&scene.cascade).args(["--json"]);
    let download = download.args(["--listen", &everywhere.to_string(), "-t", &tracker.addr.to_string()]);
    let mut process = download.start();
    process.wait_line("the tracker's list", |line| line.contains("\"tracker\"").then_some(()));
    // The time over which it must not connect: nothing tells that it does not.
    clock::pause(Duration::from_secs(1));
    assert!(!process.has_printed("connected"), "{}", process.log());
}

#[test]
fn a_tracker_that_comes_late_hears_of_it_soon() {
    let reserved = Reserved::new();
    let scene = Scene::new(file(), &[]);
    let download = scene.download_without_tracker().args(["-t", &reserved.addr.to_string()]);
    let mut process = download.start();
    process.wait_line("that the tracker is not there", |line| {
        line.contains(&reserved.addr.to_string()).then_some(())
    });
    let tracker = ForeignTracker::start_at(Manner::Proper, reserved.addr);
    process.wait_until("a subscription", || tracker.first_subscriber(&scene.file.hash));
}

#[test]
fn a_tracker_that_has_forgotten_everybody_hears_of_it_again() {
    // A peer that has nothing: the download goes on for as long as it takes.
    let poor = ForeignPeer::start(
        &file(),
        Script::default().answering(Answer::Message { status: 2, text: b"not yet\n".to_vec(), close: false }),
    );
    let scene = Scene::new(file(), &[poor.addr]);
    let mut process = scene.download().start();
    let _ = scene.listening(&mut process);
    scene.tracker.forget();
    // The next list, after 30 s, shows it; 30 s later it subscribes.
    let since = clock::now();
    while scene.tracker.first_subscriber(&scene.file.hash).is_none() {
        assert!(full_speed::since(since) < Duration::from_secs(75), "it stays unknown: {}", process.log());
        process.assert_running();
        clock::breathe();
    }
    assert!(since.elapsed() > Duration::from_secs(55), "too soon: {:?}", since.elapsed());
}
