use cascade_tests::address::{Mute, Reserved};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_peer::{Answer, ForeignPeer, Greeting, Journal, Script};
use cascade_tests::outcome::Outcome;
use cascade_tests::scene::Scene;
use std::time::Duration;

/// Blocks of the file.
const BLOCKS: u64 = 100;

/// The honest peer alone needs two seconds: time enough for a liar to be asked again and again, by a
/// download that does not learn.
const HONEST_RATE: u64 = 500_000;

/// What a download among liars may take. A stall that is waited for costs more.
const QUICK: Duration = Duration::from_secs(12);

/// How often a liar may be tried again over the whole download.
const RETRIES: usize = 5;

/// Memory of a download, in bytes.
const MEMORY: u64 = 64 << 20;

fn file() -> TestFile {
    TestFile::random("contested.bin", 1_000_000, 10_000)
}

/// Downloads from an honest, slow peer and this one; returns what the latter saw and the outcome.
fn among(script: Script) -> (Journal, Outcome) {
    let honest = ForeignPeer::start(&file(), Script::default().slow(HONEST_RATE));
    let liar = ForeignPeer::start(&file(), script);
    let scene = Scene::new(file(), &[liar.addr, honest.addr]);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.at_full_speed < QUICK, "the liar cost too much: {done}");
    assert!(done.peak_memory < MEMORY, "{done}");
    let journal = liar.journal();
    assert!(!journal.lies.is_empty(), "the fault never happened: {done}");
    (journal, done)
}

/// A liar that was left alone after its first lies, as fast and as often as can be asked.
fn left_alone(script: Script) {
    let (journal, done) = among(script);
    let (lies, again) = (journal.lies.len(), journal.connections_after_lie());
    assert!(again <= RETRIES, "{again} connections after the first lie: {done}");
    assert!(lies <= RETRIES + 1, "{lies} lies were listened to: {done}");
}

fn always(answer: Answer) -> Script {
    Script::default().answering(answer)
}

#[test]
fn wrong_bytes() {
    left_alone(always(Answer::WrongBytes));
}

#[test]
fn wrong_bytes_in_some_blocks() {
    let rule = |ask: cascade_tests::foreign_peer::Ask| {
        if ask.block % 5 == 3 { Answer::WrongBytes } else { Answer::Block }
    };
    // It may have been believed, and pipelined, before: what it was asked by then it may still answer.
    let (journal, done) = among(Script::default().slow(2_000_000).ruled(rule));
    assert!(journal.lies.len() <= 16, "{} lies were listened to: {done}", journal.lies.len());
    assert!(journal.connections_after_lie() <= RETRIES, "{done}");
}

#[test]
fn a_wrong_block_is_told_in_the_summary() {
    let (_, done) = among(always(Answer::WrongBytes));
    assert!(done.both().contains(" wrong block"), "{done}");
    assert!(!done.both().contains(", 0 wrong blocks"), "{done}");
}

#[test]
fn the_greatest_length_with_status_0() {
    left_alone(always(Answer::Claim { status: 0, length: u64::MAX }));
}

#[test]
fn the_greatest_length_with_status_1() {
    left_alone(always(Answer::Claim { status: 1, length: u64::MAX }));
}

#[test]
fn the_greatest_length_with_status_2() {
    left_alone(always(Answer::Claim { status: 2, length: u64::MAX }));
}

#[test]
fn a_length_that_is_one_too_great_or_too_small() {
    left_alone(always(Answer::Claim { status: 0, length: 10_001 }));
    left_alone(always(Answer::Claim { status: 0, length: 9_999 }));
    left_alone(always(Answer::Claim { status: 0, length: 0 }));
}

#[test]
fn half_a_block_and_a_close() {
    left_alone(always(Answer::HalfThenClose));
}

#[test]
fn half_a_block_and_silence() {
    left_alone(always(Answer::HalfThenSilence));
}

#[test]
fn silence() {
    left_alone(always(Answer::Silence));
}

#[test]
fn silence_after_some_blocks() {
    let rule =
        |ask: cascade_tests::foreign_peer::Ask| if ask.nth < 10 { Answer::Block } else { Answer::Silence };
    left_alone(Script::default().ruled(rule));
}

#[test]
fn a_close_without_an_answer() {
    left_alone(always(Answer::Close));
}

#[test]
fn a_close_at_once() {
    left_alone(Script::default().greeting(Greeting::Close));
}

#[test]
fn a_stream_of_garbage() {
    left_alone(Script::default().greeting(Greeting::Garbage));
}

#[test]
fn a_message_without_end() {
    left_alone(always(Answer::Endless { status: 1 }));
    left_alone(always(Answer::Endless { status: 2 }));
}

#[test]
fn a_block_without_end() {
    left_alone(always(Answer::Endless { status: 0 }));
}

fn message(status: u8, close: bool) -> Script {
    always(Answer::Message { status, text: b"so there\x1b[31m\n\xff".to_vec(), close })
}

#[test]
fn it_says_that_it_does_not_have_the_file() {
    left_alone(message(1, true));
    left_alone(message(1, false));
}

#[test]
fn it_says_that_a_block_does_not_exist_that_does() {
    left_alone(message(3, true));
    left_alone(message(3, false));
}

#[test]
fn it_says_that_a_right_request_cannot_be_parsed() {
    left_alone(message(4, true));
}

#[test]
fn a_status_that_nobody_knows() {
    left_alone(message(77, true));
    left_alone(message(77, false));
}

#[test]
fn bit_7_of_the_status_unasked() {
    left_alone(message(0x80, false));
    left_alone(message(0x82, true));
}

#[test]
fn a_message_cannot_play_with_the_terminal() {
    for status in [1, 77] {
        let (_, done) = among(message(status, true));
        assert!(!done.both().contains('\x1b'), "{done}");
    }
}

#[test]
fn dead_peers_cost_nothing() {
    let dead: Vec<_> = (0..19).map(|_| Reserved::new()).collect();
    let honest = ForeignPeer::honest(&file());
    let mut addresses: Vec<_> = dead.iter().map(|dead| dead.addr).collect();
    addresses.push(honest.addr);
    let scene = Scene::new(file(), &addresses);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.at_full_speed < Duration::from_secs(5), "{done}");
}

#[test]
fn peers_that_take_a_connection_and_are_never_heard_cost_nothing() {
    // Each on a host of its own: few ports of one that has never spoken are tried at a time.
    let mute: Vec<_> = (2..12).map(Mute::on_host).collect();
    let honest = ForeignPeer::start(&file(), Script::default().slow(HONEST_RATE));
    let mut addresses: Vec<_> = mute.iter().map(|mute| mute.addr).collect();
    addresses.push(honest.addr);
    let scene = Scene::new(file(), &addresses);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.at_full_speed < QUICK, "{done}");
}

#[test]
fn a_crowd_of_liars_of_every_kind() {
    let answers = [
        Answer::WrongBytes,
        Answer::Silence,
        Answer::HalfThenClose,
        Answer::HalfThenSilence,
        Answer::Close,
        Answer::Claim { status: 0, length: u64::MAX },
        Answer::Claim { status: 9, length: u64::MAX },
        Answer::Endless { status: 0 },
        Answer::Endless { status: 5 },
    ];
    let liars = answers.map(|answer| ForeignPeer::start(&file(), always(answer)));
    let honest = ForeignPeer::start(&file(), Script::default().slow(HONEST_RATE));
    let mut addresses: Vec<_> = liars.iter().map(|liar| liar.addr).collect();
    addresses.push(honest.addr);
    let scene = Scene::new(file(), &addresses);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.at_full_speed < Duration::from_secs(20), "{done}");
    assert!(done.peak_memory < MEMORY, "{done}");
    assert!(liars.iter().all(|liar| !liar.journal().lies.is_empty()), "not every liar was asked: {done}");
    let by_honest: std::collections::BTreeSet<_> = honest.journal().served.into_iter().collect();
    assert_eq!(by_honest.len() as u64, BLOCKS, "who else served the blocks?");
}

#[test]
fn the_only_peer_lies_now_and_then_and_the_next_one_is_honest() {
    let liar = ForeignPeer::start(&file(), always(Answer::WrongBytes));
    let scene = Scene::new(file(), &[liar.addr]);
    let done = scene.download().arg("--no-wait").run();
    done.assert_code(1);
    assert!(!scene.target().exists());
    let honest = ForeignPeer::honest(&file());
    scene.tracker.add(honest.addr);
    scene.download().run().assert_success();
    scene.assert_complete();
}
