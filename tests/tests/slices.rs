use crate::links;
use crate::serve::{ServedFolder, wait_served};
use crate::share::{Home, pasted};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extended_client::ExtendedClient;
use cascade_tests::extension::Item;
use cascade_tests::foreign_client::fetch;
use cascade_tests::foreign_peer::{ForeignPeer, Reading, Script};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::full_speed;
use cascade_tests::launch::Launch;
use cascade_tests::node::Node;
use cascade_tests::object_server::ObjectServer;
use cascade_tests::process::Process;
use cascade_tests::slices::Slices;
use cascade_tests::uplink::Uplink;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Blocks of 16 slices.
const LARGE: usize = 1 << 20;

/// A command that knows the extension and tells events.
pub(crate) fn launch(node: &Node, subcommand: &str, tracker: SocketAddr) -> Launch {
    node.launch(subcommand, tracker, ([127, 0, 0, 1], 0).into()).arg("--json").env("CASCADE_EXTENSION", "on")
}

/// Waits for an event, and returns its object.
pub(crate) fn event(process: &mut Process, name: &str) -> Value {
    process.wait_line(name, |line| {
        let value: Value = serde_json::from_str(line).ok()?;
        (value["event"] == name).then_some(value)
    })
}

/// Where a process listens.
pub(crate) fn address(process: &mut Process) -> SocketAddr {
    event(process, "listening")["address"].as_str().unwrap().parse().unwrap()
}

/// A seeder behind a line of `rate` bytes a second.
pub(crate) fn seeder(node: &Node, file: &TestFile, rate: u64, args: &[&str]) -> (Process, Uplink) {
    node.write_data(file);
    let tracker = ForeignTracker::listing(&[]);
    let mut seeder = launch(node, "seed", tracker.addr).args(args).start();
    let uplink = Uplink::to(address(&mut seeder), rate);
    (seeder, uplink)
}

pub(crate) fn nodes(file: &TestFile, count: usize) -> Vec<Node> {
    (0..count).map(|_| Node::new(file)).collect()
}

/// Leechers that stay, and are told of these peers.
pub(crate) fn leechers(nodes: &[Node], peers: &[SocketAddr], args: &[&str]) -> Vec<Process> {
    let start = |node: &Node| {
        let tracker = ForeignTracker::listing(peers);
        let mut process = launch(node, "download", tracker.addr).args(["--seed"]).args(args).start();
        let _ = address(&mut process);
        let _ = event(&mut process, "tracker");
        process
    };
    nodes.iter().map(start).collect()
}

/// Waits until all are done, with the right file each.
pub(crate) fn complete(leechers: &mut [Process], nodes: &[Node], file: &TestFile) -> Vec<Value> {
    let done = leechers.iter_mut().map(|leecher| event(leecher, "done")).collect();
    nodes.iter().for_each(|node| file.assert_same(&node.target(file)));
    done
}

fn sum(done: &[Value], what: &str) -> u64 {
    done.iter().filter_map(|done| done[what].as_u64()).sum()
}

/// A block that is refused behind one of its slices that was given was not complete before.
#[test]
fn a_leecher_passes_on_slices_of_blocks_that_it_does_not_have_yet() {
    for block_size in [256 << 10, LARGE] {
        let file = TestFile::random("passed.bin", 4 * LARGE + 70_000, block_size);
        let slices = Slices::of(&file).unwrap();
        let nodes = nodes(&file, 3);
        let (_seeder, uplink) = seeder(&nodes[2], &file, 700_000, &[]);
        let mut leechers = leechers(&nodes[..2], &[uplink.addr], &[]);
        let addr = address(&mut leechers[0]);
        let [mut of_slices, mut of_blocks] = [9, 10].map(|port| ExtendedClient::connect(addr, &file, port));
        of_slices.ask_by(slices.name);
        let mut given = 0;
        while given < 4 {
            let told: Vec<u64> = of_slices.ask_news().iter().flat_map(Item::blocks).collect();
            for slice in told {
                let (items, response) = of_slices.ask(slice);
                if response.status != 0 {
                    assert_eq!(response.status, 2, "slice {slice}");
                    continue;
                }
                let state = Item::state_in(&items.unwrap()).expect("a state");
                slices.assert_right(slice, state, &response.body);
                let (_, whole) = of_blocks.ask(slice / slices.a_block());
                given += usize::from(whole.status == 2);
            }
            let is_done = leechers[0].has_printed("\"done\"");
            assert!(!is_done || given >= 4, "{given} slices of incomplete blocks\n{}", leechers[0].log());
        }
        let _ = complete(&mut leechers, &nodes[..2], &file);
    }
}

/// A version 1 leecher: it asks one peer for whole blocks, and gives each that it has.
fn version_1_leecher(addr: SocketAddr, file: &TestFile, peer: &ForeignPeer) {
    for block in 0..file.blocks() {
        let start = clock::now();
        loop {
            let response = fetch(addr, file, block);
            if response.status == 0 {
                response.assert_block(file, block);
                peer.gain([block]);
                break;
            }
            assert_eq!(response.status, 2, "block {block}");
            assert!(full_speed::since(start) < clock::LIMIT, "block {block} was always refused");
            clock::pause(Duration::from_millis(20));
        }
    }
}

/// What version 1 programs of the field do.
fn habits() -> Vec<Script> {
    let script = Script::default;
    vec![
        script(),
        script().closing(),
        script().reading(Reading::OneAtATime),
        script().reading(Reading::OneRecv).closing(),
        script().zeros_only(),
        script().serial().closing(),
    ]
}

/// The block behind the last one is asked for where nothing else is, so that no connection ends without a request.
fn hears_of_blocks_alone(peer: &ForeignPeer, file: &TestFile) {
    let journal = peer.journal();
    let strange = journal.requests.iter().find(|seen| seen.hash != file.hash || seen.block > file.blocks());
    assert!(strange.is_none(), "{strange:?}");
}

/// Our leechers give each other slices of what they get in whole blocks from a version 1 seeder.
#[test]
fn a_version_1_seeder_of_any_habit_is_asked_for_whole_blocks() {
    let file = TestFile::random("old.bin", 3 * LARGE + 70_000, LARGE / 2);
    for script in habits() {
        let peer = ForeignPeer::start(&file, script.slow(4_000_000));
        let nodes = nodes(&file, 2);
        let mut leechers = leechers(&nodes, &[peer.addr], &[]);
        let _ = complete(&mut leechers, &nodes, &file);
        hears_of_blocks_alone(&peer, &file);
    }
}

/// One version 1 leecher of each habit, and two leechers of ours, at a seeder of ours.
#[test]
fn version_1_leechers_among_ours_get_the_file_and_never_hear_of_slices() {
    let file = TestFile::random("mixed.bin", 5 * LARGE + 1, LARGE);
    let nodes = nodes(&file, 3);
    let (_seeder, uplink) = seeder(&nodes[2], &file, 5_000_000, &[]);
    let foreign: Vec<_> = habits()
        .into_iter()
        .map(|script| ForeignPeer::start(&file, script.holding([]).slow(3_000_000)))
        .collect();
    let peers: Vec<_> = foreign.iter().map(|peer| peer.addr).chain([uplink.addr]).collect();
    let mut leechers = leechers(&nodes[..2], &peers, &[]);
    let addrs: Vec<_> = leechers.iter_mut().map(address).chain([uplink.addr]).collect();
    std::thread::scope(|scope| {
        for (peer, addr) in foreign.iter().zip(addrs.iter().cycle()) {
            let file = &file;
            scope.spawn(move || version_1_leecher(*addr, file, peer));
        }
    });
    let _ = complete(&mut leechers, &nodes[..2], &file);
    foreign.iter().for_each(|peer| hears_of_blocks_alone(peer, &file));
}

/// Among three leechers the line of a slow seeder carries little more than one copy.
#[test]
fn a_seeder_sends_large_blocks_about_once() {
    for (block_size, most) in [(256 << 10, 1.4), (LARGE, 2.0)] {
        let file = TestFile::random("once.bin", 6 * LARGE, block_size);
        let nodes = nodes(&file, 4);
        let (_seeder, uplink) = seeder(&nodes[3], &file, 2_000_000, &[]);
        let mut leechers = leechers(&nodes[..3], &[uplink.addr], &[]);
        let done = complete(&mut leechers, &nodes[..3], &file);
        let length = file.data.len() as f64;
        let sent = uplink.passed() as f64 / length;
        assert!((0.99..=most).contains(&sent), "the seeder sent {sent} copies: {done:?}");
        let duplicate = sum(&done, "bytes_duplicate") as f64 / length;
        assert!(duplicate <= 0.1, "{duplicate} copies in duplicate: {done:?}");
    }
}

#[test]
fn peers_without_slices_take_part_with_whole_blocks() {
    let file = TestFile::random("without.bin", 5 * LARGE + 70_000, LARGE);
    for paranoid in [false, true] {
        let nodes = nodes(&file, 4);
        let args: &[&str] = if paranoid { &["--paranoid"] } else { &[] };
        let (_seeder, uplink) = seeder(&nodes[3], &file, 4_000_000, args);
        let mut first = leechers(&nodes[..1], &[uplink.addr], &[]);
        let addr = address(&mut first[0]);
        let mut others = leechers(&nodes[1..2], &[uplink.addr, addr], &["--extension", "off"]);
        others.extend(leechers(&nodes[2..3], &[uplink.addr, addr], args));
        let _ = complete(&mut first, &nodes[..1], &file);
        let _ = complete(&mut others, &nodes[1..3], &file);
    }
}

#[test]
fn max_up_holds_for_slices() {
    let file = TestFile::random("bounded.bin", 3 * LARGE, LARGE);
    let nodes = nodes(&file, 3);
    nodes[2].write_data(&file);
    let tracker = ForeignTracker::listing(&[]);
    let mut seeder = launch(&nodes[2], "seed", tracker.addr).args(["--max-up", "1MB/s"]).start();
    let addr = address(&mut seeder);
    let start = clock::now();
    let mut leechers = leechers(&nodes[..2], &[addr], &[]);
    let _ = complete(&mut leechers, &nodes[..2], &file);
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds > 2.0, "three megabytes came in {seconds} seconds over one megabyte a second");
}

#[test]
fn a_served_folder_gives_slices() {
    let file = TestFile::random("served.bin", 4 * LARGE + 70_000, LARGE);
    let scene = ServedFolder::new();
    let _ = scene.put(&file);
    let (mut server, addr) = scene.start();
    wait_served(&mut server, addr, &file);
    let slices = Slices::of(&file).unwrap();
    let mut client = ExtendedClient::connect(addr, &file, 9);
    assert!(client.ask_news().contains(&Item::Slices), "slices are told of");
    client.ask_by(slices.name);
    for slice in [0, 1, 15, slices.count() - 1, slices.count() - 2] {
        take(&mut client, &slices, slice);
    }
    let uplink = Uplink::to(addr, 3_000_000);
    let nodes = nodes(&file, 3);
    let mut leechers = leechers(&nodes, &[uplink.addr], &[]);
    let _ = complete(&mut leechers, &nodes, &file);
}

/// Takes a slice, which must come and be right.
#[track_caller]
fn take(client: &mut ExtendedClient, slices: &Slices, slice: u64) {
    let (items, response) = client.ask(slice);
    let text = String::from_utf8_lossy(&response.body[..response.body.len().min(80)]).into_owned();
    assert_eq!(response.status, 0, "slice {slice}: {text}");
    let state = Item::state_in(&items.unwrap_or_default());
    slices.assert_right(slice, state.expect("a state"), &response.body);
}

#[test]
fn receivers_of_a_link_pass_on_slices() {
    let file = TestFile::random("film.mkv", 4 * LARGE + 70_000, LARGE);
    let home = Home::with(&[&file]);
    let mut sharer =
        home.share(&["film.mkv", "-b", "1MiB", "--max-up", "2MB/s"]).args(["-l", "127.0.0.1:0"]).start();
    let link = pasted(&mut sharer);
    let receivers =
        [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let running: Vec<_> =
        receivers.iter().map(|folder| links::download(folder, &link).arg("--seed").start()).collect();
    for (mut process, folder) in running.into_iter().zip(&receivers) {
        process.wait_until("the file", || folder.path().join("film.mkv").exists().then_some(()));
        file.assert_same(&folder.path().join("film.mkv"));
    }
}

#[test]
fn blocks_of_an_origin_come_whole_and_are_passed_on_in_slices() {
    let file = TestFile::random("origin.bin", 4 * LARGE + 70_000, LARGE);
    let server = ObjectServer::start(Arc::clone(&file.data));
    let origin = Node::new(&file);
    let seed = launch(&origin, "seed", ForeignTracker::listing(&[]).addr);
    let mut seeder = seed.args(["--origin", &server.url()]).start();
    let uplink = Uplink::to(address(&mut seeder), 2_000_000);
    let mut client = ExtendedClient::connect(uplink.addr, &file, 9);
    assert!(!client.ask_news().contains(&Item::Slices), "it gives no slices");
    let nodes = nodes(&file, 2);
    let mut leechers = leechers(&nodes, &[uplink.addr], &[]);
    let _ = complete(&mut leechers, &nodes, &file);
}

/// Last blocks of one byte, of less than a slice, of exactly one and of one more byte; few and many slices a block.
#[test]
fn blocks_of_every_shape_are_downloaded_in_slices() {
    for (block_size, rest) in [
        (128 << 10, 1),
        (128 << 10, 65_536),
        (192 << 10, 98_304),
        (192 << 10, 98_305),
        (256 << 10, 60_000),
        (2 << 20, 65_537),
        (16 << 20, 1),
        (16 << 20, (256 << 10) + 1),
    ] {
        let whole = if block_size > LARGE { block_size } else { 4 * block_size };
        let file = TestFile::random("shapes.bin", whole + rest, block_size);
        let nodes = nodes(&file, 3);
        let (_seeder, uplink) = seeder(&nodes[2], &file, 12_000_000, &[]);
        let slices = Slices::of(&file).unwrap();
        let mut client = ExtendedClient::connect(uplink.addr, &file, 9);
        client.ask_by(slices.name);
        let _ = client.ask_news();
        for slice in [0, slices.a_block() - 1, slices.a_block(), slices.count() - 1] {
            take(&mut client, &slices, slice);
        }
        let mut leechers = leechers(&nodes[..2], &[uplink.addr], &[]);
        let _ = complete(&mut leechers, &nodes[..2], &file);
    }
}
