use crate::tracker_setup::RunningTracker;
use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::ForeignClient;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::launch::Launch;
use cascade_tests::node::Node;
use cascade_tests::process::Process;
use cascade_tests::tracker_client::{LIST, Request};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

/// Waits until a real tracker lists `count` peers for the file, of whom `one` must not end before.
pub(crate) fn registered(tracker: &RunningTracker, file: &TestFile, count: usize, one: &mut Process) {
    one.wait_until(&format!("{count} registered peers\n{}", tracker.process.log()), || {
        let list = Request::new(LIST, file.hash, [10, 0, 0, 1], 1).ask(tracker.addr);
        (list.entries().len() >= count).then_some(())
    });
}

pub(crate) fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn two_seeders_three_downloaders_and_a_seeder_is_killed_on_the_way() {
    let file = TestFile::random("swarm.bin", 128 << 20, 256 << 10);
    let tracker =
        RunningTracker::with_args(Launch::tracker().args(["-l", "127.0.0.1:0", "--allow", &file.hex()]));
    let seeders = [Node::new(&file), Node::new(&file)];
    let mut running: Vec<Process> = seeders
        .iter()
        .map(|node| {
            node.write_data(&file);
            node.launch("seed", tracker.addr, any()).start()
        })
        .collect();
    registered(&tracker, &file, 2, &mut running[1]);

    let nodes = [Node::new(&file), Node::new(&file), Node::new(&file)];
    let ports = [Reserved::new(), Reserved::new(), Reserved::new()];
    let mut downloads: Vec<Process> = nodes
        .iter()
        .zip(&ports)
        .map(|(node, port)| node.launch("download", tracker.addr, port.addr).start())
        .collect();
    downloads[0]
        .wait_until("a downloader has a verified block", || has_a_block(ports[0].addr, &file).then_some(()));
    drop(running.remove(0)); // Killed, as a machine that loses its power.
    let unfinished = downloads.iter_mut().filter_map(|download| download.is_running().then_some(())).count();
    assert!(unfinished > 0, "all downloads were complete before the seeder was killed");
    for (download, node) in downloads.into_iter().zip(&nodes) {
        download.wait_exit().assert_success();
        file.assert_same(&node.target(&file));
    }
    running.iter_mut().for_each(Process::assert_running);
}

/// Whether a peer gives any of the blocks.
fn has_a_block(addr: SocketAddr, file: &TestFile) -> bool {
    if std::net::TcpStream::connect(addr).is_err() {
        return false;
    }
    let mut client = ForeignClient::connect(addr);
    (0..file.blocks()).any(|block| client.ask(&file.hash, block).is_ok_and(|response| response.status == 0))
}

#[test]
fn leechers_complete_each_other_when_the_seeders_are_gone() {
    let file = TestFile::random("union.bin", 2_000_000, 10_000);
    let half =
        |rest| Script::default().slow(1_000_000).holding((0..200).filter(move |block| block % 2 == rest));
    let mut seeders = [0, 1].map(|rest| ForeignPeer::start(&file, half(rest)));
    let nodes = [Node::new(&file), Node::new(&file)];
    let ports = [Reserved::new(), Reserved::new()];
    let nobody = Reserved::new();
    // Each knows one of the seeders, and the other leecher: what it lacks, only that one can have.
    let start = |own: usize, other: usize| {
        let launch = nodes[own].launch("download", nobody.addr, ports[own].addr).arg("--seed");
        let peers = [seeders[own].addr, ports[other].addr].map(|addr| addr.to_string());
        launch.args(["--peer", &peers[0], "--peer", &peers[1]]).start()
    };
    let mut leechers = [start(0, 1), start(1, 0)];
    for (seeder, leecher) in seeders.iter_mut().zip(&mut leechers) {
        leecher.wait_until("its half was given", || {
            seeder.sees(|journal| journal.served.iter().collect::<BTreeSet<_>>().len() == 100)
        });
        seeder.vanish();
    }
    for (node, leecher) in nodes.iter().zip(&mut leechers) {
        leecher.wait_until("the union is everywhere", || node.target(&file).exists().then_some(()));
        file.assert_same(&node.target(&file));
    }
    leechers.iter_mut().for_each(Process::assert_running);
}

#[test]
fn downloaders_that_start_together_learn_of_each_other_from_the_tracker() {
    let file = TestFile::random("together.bin", 4 << 20, 64 << 10);
    let tracker = RunningTracker::open();
    let seeder = Node::new(&file);
    seeder.write_data(&file);
    let mut seeding = seeder.launch("seed", tracker.addr, any()).start();
    registered(&tracker, &file, 1, &mut seeding);
    let nodes: Vec<_> = (0..4).map(|_| Node::new(&file)).collect();
    let mut downloads: Vec<_> =
        nodes.iter().map(|node| node.launch("download", tracker.addr, any()).arg("--seed").start()).collect();
    registered(&tracker, &file, 5, &mut downloads[3]);
    for (node, download) in nodes.iter().zip(&mut downloads) {
        download.wait_until("every downloader is complete", || node.target(&file).exists().then_some(()));
        file.assert_same(&node.target(&file));
    }
}

#[test]
fn the_demo_needs_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("demo.bin", 3_000_000, 65_536);
    let data = file.write_data(folder.path());
    let scratch = folder.path().join("tmp");
    fs::create_dir(&scratch).unwrap();
    let done = Launch::peer("demo").arg(&data).env("TMPDIR", &scratch).cwd(folder.path()).run();
    done.assert_success();
    file.assert_same(&data);
    for part in ["tracker", "peer share", "link cascade:", "peer create", "peer download"] {
        assert!(done.both().contains(part), "the equivalent commands: {part}: {done}");
    }
    // By way of 127.0.0.1 it would register at an address that means nothing to B.
    assert!(done.stdout.contains("A$ peer seed demo.bin.cascade --tracker A:8888"), "{done}");
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "it should clean up: {done}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "beside the file it made something: {done}");
}

#[test]
fn the_demo_of_a_missing_file_is_one_line() {
    Launch::peer("demo").arg("/nonexistent/file").run().assert_one_line_error(&["/nonexistent/file"]);
}
