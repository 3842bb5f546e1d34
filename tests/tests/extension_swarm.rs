use cascade_tests::cascade_file::TestFile;
use cascade_tests::extended_client::ExtendedClient;
use cascade_tests::extended_peer::{ExtendedPeer, tell_once};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::launch::Launch;
use cascade_tests::node::Node;
use cascade_tests::process::Process;
use cascade_tests::uplink::Uplink;
use serde_json::Value;
use std::net::SocketAddr;

/// The seeder's line, in bytes a second: two seconds and a half for one copy.
const RATE: u64 = 2_500_000;

fn file() -> TestFile {
    TestFile::random("shared.bin", 6_250_000, 62_500)
}

/// A command that knows the extension and tells events.
fn launch(node: &Node, subcommand: &str, tracker: SocketAddr) -> Launch {
    node.launch(subcommand, tracker, ([127, 0, 0, 1], 0).into()).args(["--json", "--extension", "on"])
}

/// Waits for an event, and returns its object.
fn event(process: &mut Process, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    process.wait_line(name, |line| {
        let value: Value = serde_json::from_str(line).ok()?;
        (value["event"] == name && fits(&value)).then_some(value)
    })
}

fn address(process: &mut Process) -> String {
    event(process, "listening", |_| true)["address"].as_str().unwrap().to_owned()
}

/// Bytes that the peer at `addr` gave, as the `done` event says.
fn share(done: &Value, addr: &str) -> u64 {
    let shares = done["shares"].as_array().unwrap();
    shares.iter().filter(|share| share["address"] == addr).filter_map(|share| share["bytes"].as_u64()).sum()
}

/// A seeder behind a narrow line.
fn seeder(node: &Node, file: &TestFile) -> (Process, Uplink) {
    node.write_data(file);
    let tracker = ForeignTracker::listing(&[]);
    let mut seeder = launch(node, "seed", tracker.addr).start();
    let addr = address(&mut seeder).parse().unwrap();
    let uplink = Uplink::to(addr, RATE);
    (seeder, uplink)
}

#[test]
fn leechers_learn_of_each_other_from_the_seeder_and_go_on_without_a_tracker() {
    let file = file();
    let nodes = [Node::new(&file), Node::new(&file), Node::new(&file)];
    let (_seeder, uplink) = seeder(&nodes[2], &file);
    // Each leecher has a tracker of its own, which knows the seeder alone.
    let mut trackers: Vec<_> = (0..2).map(|_| ForeignTracker::listing(&[uplink.addr])).collect();
    let mut leechers: Vec<Process> = nodes
        .iter()
        .zip(&trackers)
        .map(|(node, tracker)| launch(node, "download", tracker.addr).arg("--seed").start())
        .collect();
    let addrs: Vec<String> = leechers.iter_mut().map(address).collect();
    for leecher in &mut leechers {
        event(leecher, "peer", |peer| peer["state"] == "connected");
    }
    trackers.clear();
    let done: Vec<Value> = leechers.iter_mut().map(|leecher| event(leecher, "done", |_| true)).collect();
    for (node, (done, other)) in nodes.iter().zip(done.iter().zip(addrs.iter().rev())) {
        file.assert_same(&node.target(&file));
        assert!(share(done, other) > file.data.len() as u64 / 4, "little came from {other}: {done}");
    }
}

#[test]
fn a_seeder_sends_each_block_about_once() {
    let file = file();
    let nodes = [Node::new(&file), Node::new(&file), Node::new(&file)];
    let (_seeder, uplink) = seeder(&nodes[2], &file);
    let tracker = ForeignTracker::listing(&[uplink.addr]);
    let mut leechers: Vec<Process> =
        nodes[..2].iter().map(|node| launch(node, "download", tracker.addr).arg("--seed").start()).collect();
    let done: Vec<Value> = leechers.iter_mut().map(|leecher| event(leecher, "done", |_| true)).collect();
    let from_seeder: u64 = done.iter().map(|done| share(done, &uplink.addr.to_string())).sum();
    let duplicate: u64 = done.iter().filter_map(|done| done["bytes_duplicate"].as_u64()).sum();
    let length = file.data.len() as u64;
    let copies = from_seeder as f64 / length as f64;
    assert!((0.99..=1.15).contains(&copies), "the seeder gave {copies} copies: {done:?}");
    let sent = uplink.passed() as f64 / length as f64;
    assert!((0.99..=1.2).contains(&sent), "the seeder sent {sent} copies: {done:?}");
    assert!(duplicate <= length / 50, "{duplicate} duplicate bytes: {done:?}");
    nodes[..2].iter().for_each(|node| file.assert_same(&node.target(&file)));
}

/// A leecher that shows itself to the seeder, has nothing, and never asks for a block: whatever it is
/// offered lapses.
fn idler(file: &TestFile, seeder: SocketAddr) -> (ExtendedPeer, ExtendedClient) {
    let peer = ExtendedPeer::holding(file, [], |question| tell_once(question, Vec::new));
    let mut client = ExtendedClient::connect(seeder, file, peer.addr.port());
    let _ = client.ask_news();
    (peer, client)
}

#[test]
fn leechers_that_take_and_give_nothing_do_not_hold_up_another() {
    let file = file();
    let nodes = [Node::new(&file), Node::new(&file)];
    let (_seeder, uplink) = seeder(&nodes[1], &file);
    let idlers = [idler(&file, uplink.addr), idler(&file, uplink.addr)];
    let tracker = ForeignTracker::listing(&[uplink.addr]);
    let mut leecher = launch(&nodes[0], "download", tracker.addr).arg("--seed").start();
    let done = event(&mut leecher, "done", |_| true);
    file.assert_same(&nodes[0].target(&file));
    assert!(idlers.iter().all(|(peer, _)| !peer.log().requests.is_empty()), "the idlers were not found");
    let seconds = done["seconds"].as_f64().unwrap();
    assert!(seconds < 6.0, "{seconds} seconds for what takes two and a half: {done}");
}
