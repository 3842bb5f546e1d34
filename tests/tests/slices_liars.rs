use crate::slices::launch;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::extended_peer::{ExtendedPeer, Log, Question, Reply, tell_of_slices};
use cascade_tests::extension::Item;
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::node::Node;
use cascade_tests::outcome::Outcome;
use cascade_tests::slices::Slices;
use cascade_tests::uplink::Uplink;
use std::net::SocketAddr;
use std::time::Duration;

/// The honest seeder alone needs some three seconds.
const HONEST_RATE: u64 = 1_500_000;

/// What a download may take that has an honest peer, whatever other peers there are.
const QUICK: Duration = Duration::from_secs(9);

/// How often a liar may be tried again over the whole download.
const RETRIES: usize = 5;

/// Slices that may be under way on a new link.
const UNDER_WAY: usize = 64;

/// Blocks of eight slices, and a last one of two.
fn file() -> TestFile {
    TestFile::random("parts.bin", (4 << 20) + 70_000, 512 << 10)
}

fn slices() -> Slices {
    Slices::of(&file()).unwrap()
}

/// The slices of a file of the same layout with other bytes everywhere.
fn garbage() -> Slices {
    let other = TestFile::of("parts.bin", file().data_with(|_| true), 512 << 10);
    Slices::of(&other).unwrap()
}

type Rule = Box<dyn Fn(Question) -> Reply + Send + Sync>;

/// A liar that tells that it has everything, and answers each request for a slice in this way.
fn liar(answer: impl Fn(u64) -> Reply + Send + Sync + 'static) -> Rule {
    Box::new(move |question| match question.is_news() {
        true => tell_of_slices(question),
        false => answer(question.block),
    })
}

/// Downloads from an honest, slow seeder, a leecher that has nothing, and these; tells how it went, and what they saw.
fn among(rules: Vec<Rule>) -> (Outcome, Vec<Log>) {
    let file = file();
    let seeding = Node::new(&file);
    seeding.write_data(&file);
    let mut seeder = launch(&seeding, "seed", ForeignTracker::listing(&[]).addr).start();
    let uplink = Uplink::to(crate::slices::address(&mut seeder), HONEST_RATE);
    // Slices are asked for because there is a leecher.
    let idler = ExtendedPeer::holding(&file, [], |question| match question.first {
        true => Reply::Telling(Vec::new()),
        false => Reply::Wait,
    });
    let liars: Vec<_> = rules.into_iter().map(|rule| ExtendedPeer::giving_slices(&file, rule)).collect();
    let addrs: Vec<SocketAddr> =
        liars.iter().map(|liar| liar.addr).chain([idler.addr, uplink.addr]).collect();
    let tracker = ForeignTracker::listing(&addrs);
    let node = Node::new(&file);
    let done = launch(&node, "download", tracker.addr).run();
    done.assert_success();
    file.assert_same(&node.target(&file));
    assert!(done.at_full_speed < QUICK, "the liars cost too much: {done}");
    (done, liars.iter().map(ExtendedPeer::log).collect())
}

/// Such a liar is found out, and hardly tried again.
fn is_left_alone(rule: Rule) {
    let (done, logs) = among(vec![rule]);
    let log = &logs[0];
    assert!(log.lies > 0, "the fault never happened: {done}");
    assert!(log.connections.len() <= RETRIES, "{} connections: {done}", log.connections.len());
    assert!(log.lies <= UNDER_WAY * RETRIES, "{} lies: {done}", log.lies);
}

#[test]
fn wrong_slices() {
    is_left_alone(liar(|_| Reply::WrongBytes(Vec::new())));
}

#[test]
fn right_slices_with_a_wrong_state_or_none() {
    for state in [Some([7; 32]), None] {
        let slices = slices();
        is_left_alone(liar(move |slice| Reply::Slice(state, slices.bytes(slice).unwrap().to_vec())));
    }
}

#[test]
fn garbage_whose_states_fit_each_other() {
    let garbage = garbage();
    is_left_alone(liar(move |slice| {
        Reply::Slice(Some(garbage.state(slice)), garbage.bytes(slice).unwrap().to_vec())
    }));
}

/// The slice at the end of each block is right, and those before it are consistent among themselves.
#[test]
fn garbage_behind_a_right_beginning() {
    let (right, garbage) = (slices(), garbage());
    is_left_alone(liar(move |slice| {
        let from = if slice == right.of_block(slice / right.a_block()).start { &right } else { &garbage };
        Reply::Slice(Some(from.state(slice)), from.bytes(slice).unwrap().to_vec())
    }));
}

/// Right slices, with right states, but not the ones that were asked for.
#[test]
fn slices_of_other_blocks() {
    for away in [1, 8] {
        let slices = slices();
        is_left_alone(liar(move |slice| {
            let other = (slice + away) % (slices.count() - 2);
            Reply::Slice(Some(slices.state(other)), slices.bytes(other).unwrap().to_vec())
        }));
    }
}

#[test]
fn slices_of_another_length() {
    for longer in [false, true] {
        let slices = slices();
        is_left_alone(liar(move |slice| {
            let mut bytes = slices.bytes(slice).unwrap().to_vec();
            let length = if longer { bytes.len() + 64 } else { bytes.len() - 64 };
            bytes.resize(length, 0);
            Reply::Slice(Some(slices.state(slice)), bytes)
        }));
    }
}

#[test]
fn a_stall_in_the_middle_of_a_slice() {
    let (done, logs) = among(vec![liar(|_| Reply::Half)]);
    assert!(logs[0].lies > 0 && logs[0].lies <= RETRIES, "{} stalls: {done}", logs[0].lies);
}

#[test]
fn everything_is_told_and_all_is_refused() {
    let (done, logs) = among(vec![liar(|_| Reply::Refuse(Vec::new()))]);
    assert!((1..=400).contains(&logs[0].lies), "{} refusals: {done}", logs[0].lies);
}

#[test]
fn everything_is_offered_and_all_is_refused() {
    let count = u32::try_from(slices().count()).unwrap();
    let (done, logs) = among(vec![Box::new(move |question| match question.first {
        true => Reply::Telling(vec![Item::Choosing, Item::Offer(vec![(0, count)])]),
        false if question.is_news() => Reply::Wait,
        false => Reply::Refuse(Vec::new()),
    })]);
    assert!((1..=400).contains(&logs[0].lies), "{} refusals: {done}", logs[0].lies);
}

#[test]
fn slices_that_do_not_exist_are_told() {
    let count = slices().count();
    for item in [
        Item::Have(vec![(count, 1)]),
        Item::Offer(vec![(count - 1, 2)]),
        Item::Map(count / 8 * 8, vec![0xff]),
    ] {
        let (done, logs) = among(vec![Box::new(move |_| Reply::Telling(vec![item.clone()]))]);
        assert!(logs[0].connections.len() <= RETRIES, "{} connections: {done}", logs[0].connections.len());
        assert!(logs[0].requests.iter().any(|heard| heard.sliced), "never asked about slices: {done}");
    }
}

#[test]
fn half_of_a_swarm_lies_in_every_way() {
    let (right, other) = (slices(), garbage());
    let again = right.clone();
    let rules: Vec<Rule> = vec![
        liar(|_| Reply::WrongBytes(Vec::new())),
        liar(move |slice| Reply::Slice(Some([7; 32]), right.bytes(slice).unwrap().to_vec())),
        liar(move |slice| Reply::Slice(Some(other.state(slice)), other.bytes(slice).unwrap().to_vec())),
        liar(move |slice| match slice % 8 {
            0 => Reply::Plain,
            _ => Reply::Slice(Some(again.state(0)), again.bytes(slice).unwrap().to_vec()),
        }),
        liar(|_| Reply::Half),
        liar(|_| Reply::Refuse(Vec::new())),
        liar(|_| Reply::Close),
    ];
    let (done, logs) = among(rules);
    for (liar, log) in logs.iter().enumerate() {
        assert!(
            log.lies <= if liar == 5 { 400 } else { UNDER_WAY * RETRIES },
            "liar {liar}: {} lies: {done}",
            log.lies
        );
    }
    assert!(logs.iter().filter(|log| log.lies > 0).count() >= 3, "they were not asked: {done}");
}
