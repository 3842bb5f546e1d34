use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extended_peer::{ExtendedPeer, Log, Question, Reply, field_of, tell_once};
use cascade_tests::extension::{Item, field};
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::outcome::Outcome;
use cascade_tests::scene::Scene;
use std::net::{SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const BLOCKS: u64 = 100;

/// The honest peer alone needs two seconds.
const HONEST_RATE: u64 = 500_000;

/// What a download may take that has an honest peer, whatever other peers there are.
const QUICK: Duration = Duration::from_secs(5);

/// How often a liar may be tried again over the whole download.
const RETRIES: usize = 5;

/// Questions for news to one peer in a second: there are ten milliseconds between two.
const MOST_NEWS: usize = 110;

/// Memory of a download, in bytes.
const MEMORY: u64 = 64 << 20;

fn file() -> TestFile {
    TestFile::random("rumour.bin", 1_000_000, 10_000)
}

type Rule = Box<dyn Fn(Question) -> Reply + Send + Sync>;

/// Downloads from an honest, slow version 1 peer and these; tells how it went.
fn among(extension: &str, liars: &[&ExtendedPeer]) -> Outcome {
    let honest = ForeignPeer::start(&file(), Script::default().slow(HONEST_RATE));
    let addrs: Vec<_> = liars.iter().map(|liar| liar.addr).chain([honest.addr]).collect();
    let scene = Scene::new(file(), &addrs);
    let done = scene.download().args(["--extension", extension]).run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.at_full_speed < QUICK, "the liars cost too much: {done}");
    assert!(done.peak_memory < MEMORY, "{done}");
    assert!(liars.iter().all(|liar| !liar.log().requests.is_empty()), "a liar was never asked: {done}");
    done
}

fn among_one(liar: &ExtendedPeer) -> (Log, Outcome) {
    let done = among("on", &[liar]);
    (liar.log(), done)
}

/// Liars whose connections end with the first lie, and who are hardly tried again.
fn left_alone(rules: Vec<(String, Rule)>) {
    let (names, rules): (Vec<_>, Vec<_>) = rules.into_iter().unzip();
    let liars: Vec<_> = rules.into_iter().map(|rule| ExtendedPeer::start(&file(), rule)).collect();
    let done = among("on", &liars.iter().collect::<Vec<_>>());
    for (name, log) in names.iter().zip(liars.iter().map(ExtendedPeer::log)) {
        assert!(log.connections.len() <= RETRIES, "{name}: {} connections: {done}", log.connections.len());
        // As much as can be under way on a new link.
        assert!(log.requests.len() <= 4 * RETRIES, "{name}: {} requests: {done}", log.requests.len());
    }
}

/// A liar that gives every answer behind this field.
fn behind(name: &str, field: Vec<u8>) -> (String, Rule) {
    (name.to_owned(), Box::new(move |_| Reply::Behind(field.clone())))
}

/// The same with a field of these items.
fn telling(items: &[Item]) -> (String, Rule) {
    behind(&format!("{} items, the first {:?}", items.len(), items.first()), field(items))
}

#[test]
fn it_has_nothing_of_what_it_tells() {
    for item in [Item::Everything, Item::map(0..BLOCKS, BLOCKS)] {
        let told = item.clone();
        let rule = move |question| tell_once(question, || vec![told.clone()]);
        let (log, done) = among_one(&ExtendedPeer::holding(&file(), [], rule));
        assert!(log.missing.len() <= 400, "{item:?}: asked {} times in vain: {done}", log.missing.len());
    }
}

#[test]
fn it_gives_wrong_bytes_of_what_it_tells() {
    left_alone(vec![(
        "everything".to_owned(),
        Box::new(|question| match question.is_news() {
            true => Reply::Telling(vec![Item::Everything]),
            false => Reply::WrongBytes(vec![Item::Everything]),
        }),
    )]);
}

#[test]
fn it_tells_blocks_that_do_not_exist() {
    let wrong = [
        Item::Have(vec![(0, 101)]),
        Item::Have(vec![(u64::MAX, u32::MAX)]),
        Item::Have(vec![(5, 0)]),
        Item::Offer(vec![(0, 1), (100, 1)]),
        Item::Map(0, vec![0xff; 14]),
        Item::Map(96, vec![0xff]),
        Item::Map(u64::MAX - 7, vec![0xff]),
        Item::Map(4, vec![1]),
        Item::Map(0, vec![]),
    ];
    left_alone(wrong.into_iter().map(|item| telling(&[item])).collect());
}

#[test]
fn its_field_is_no_field() {
    left_alone(vec![
        behind("the greatest length", vec![0xff, 0xff]),
        behind("one byte too many", field_of(0, 8193)),
        behind("longer than its items", vec![0, 200, 7, 0, 0]),
        behind("an item longer than the field", vec![0, 3, 4, 0, 12]),
        telling(&vec![Item::Goodbye; 17]),
        telling(&vec![Item::Goodbye; 2730]),
        telling(&vec![Item::Unknown(99, vec![]); 2730]),
    ]);
}

#[test]
fn it_tells_the_same_for_ever() {
    let all = field(&[Item::Have(vec![(0, 100); 600])]);
    let (log, done) = among_one(&ExtendedPeer::holding(&file(), [], move |_| Reply::Behind(all.clone())));
    assert!(log.connections.len() <= RETRIES, "{} connections: {done}", log.connections.len());
    assert!(log.requests.len() <= 20, "{} requests: {done}", log.requests.len());
}

#[test]
fn it_offers_what_it_does_not_have() {
    let offers = || vec![Item::Choosing, Item::Offer(vec![(0, 100)])];
    let once = move |question| tell_once(question, offers);
    let (log, done) = among_one(&ExtendedPeer::holding(&file(), [], once));
    assert!(log.missing.len() <= 400, "asked {} times in vain: {done}", log.missing.len());
    let (log, done) = among_one(&ExtendedPeer::holding(&file(), [], move |_| Reply::Telling(offers())));
    assert!(log.missing.len() <= 1000, "asked {} times in vain: {done}", log.missing.len());
}

#[test]
fn it_tells_that_everybody_waits_or_nobody() {
    for load in [0, u16::MAX] {
        let rule = move |question| tell_once(question, || vec![Item::Everything, Item::Load(load)]);
        among("on", &[&ExtendedPeer::start(&file(), rule)]);
    }
}

/// Counts connections to a port, at any address of this machine.
fn counter() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        while listener.accept().is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, count)
}

#[test]
fn it_tells_of_a_million_peers() {
    for extended in [true, false] {
        let (port, count) = counter();
        let next = AtomicU32::new(0x7f01_0000);
        let rule = move |_: Question| {
            let peers =
                (0..1300).map(|_| SocketAddrV4::new(next.fetch_add(1, Ordering::Relaxed).into(), port));
            Reply::Telling(vec![if extended {
                Item::Peers(peers.collect())
            } else {
                Item::PlainPeers(peers.collect())
            }])
        };
        let (_, done) = among_one(&ExtendedPeer::holding(&file(), [], rule));
        let connections = count.load(Ordering::Relaxed);
        // 128 are believed; each is tried a few times while the download lasts.
        assert!((1..=128 * RETRIES).contains(&connections), "{connections} connections: {done}");
    }
}

#[test]
fn it_sends_a_field_though_there_was_no_marker() {
    let liar = ExtendedPeer::start(&file(), |_| Reply::Telling(vec![Item::Everything]));
    let done = among("off", &[&liar]);
    let log = liar.log();
    assert!(log.connections.len() <= RETRIES, "{} connections: {done}", log.connections.len());
    assert!(log.requests.iter().all(|heard| heard.marker.is_none()));
}

#[test]
fn it_answers_questions_for_news_at_once_and_for_ever() {
    let offers = vec![Item::Choosing, Item::Offer(vec![(0, 100)])];
    for items in [vec![], vec![Item::Load(0)], vec![Item::Peers(vec![])], offers] {
        let rule = move |_: Question| Reply::Telling(items.clone());
        let (log, done) = among_one(&ExtendedPeer::holding(&file(), [], rule));
        let most = log.most_news_in_a_second();
        assert!(most <= MOST_NEWS, "{most} questions for news in a second: {done}");
    }
}

#[test]
fn answers_at_once_without_news_are_asked_for_less_and_less_often() {
    for items in [vec![], vec![Item::Load(0)], vec![Item::Goodbye], vec![Item::Have(vec![(0, 1)])]] {
        let idle = ExtendedPeer::holding(&file(), [], move |_: Question| Reply::Telling(items.clone()));
        let scene = Scene::new(file(), &[idle.addr]);
        let mut process = scene.download().args(["--extension", "on"]).start();
        process.wait_until("a question", || idle.sees(|log| !log.requests.is_empty()));
        // The time over which the questions are counted.
        clock::pause(Duration::from_secs(4));
        process.assert_running();
        // 10, 20, 40 … 640 ms, then a second.
        let news = idle.log().news();
        assert!(news <= 12, "{news} questions for news in four seconds: {}", process.log());
    }
}

#[test]
fn it_says_goodbye_and_stays() {
    let (log, _) = among_one(&ExtendedPeer::start(&file(), |question| match question.is_news() {
        true => Reply::Wait,
        false => Reply::Telling(vec![Item::Goodbye, Item::Everything]),
    }));
    assert_eq!(log.connections.len(), 1);
}
