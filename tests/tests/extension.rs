use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extended_client::ExtendedClient;
use cascade_tests::extension::{Item, Marker, NEWS, seal};
use cascade_tests::foreign_client::{ForeignClient, Response, fetch, request, request_with};
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::full_speed;
use cascade_tests::process::{Process, Signal};
use cascade_tests::scene::Scene;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// "At once", on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Long enough to say that an answer waits.
const A_WHILE: Duration = Duration::from_millis(500);

const BLOCKS: u64 = 100;

fn scene() -> Scene {
    Scene::new(TestFile::random("told.bin", 1_000_000, 10_000), &[])
}

/// A scene with a file that is too long for a seeder to offer all of it at once.
fn long_scene() -> Scene {
    Scene::new(TestFile::random("long.bin", 10_000_000, 100_000), &[])
}

fn seeding(scene: &Scene, extension: &str) -> (Process, SocketAddr) {
    let _ = scene.file.write_data(scene.folder());
    let mut seeder = scene.seed().args(["--extension", extension]).start();
    let addr = scene.listening(&mut seeder);
    (seeder, addr)
}

/// What was told, without how many wait: that depends on the moment.
fn told(items: Vec<Item>) -> Vec<Item> {
    items.into_iter().filter(|item| !matches!(item, Item::Load(_))).collect()
}

fn offers(items: &[Item]) -> Vec<u64> {
    items.iter().filter(|item| matches!(item, Item::Offer(_))).flat_map(Item::blocks).collect()
}

fn local(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// The hex dump in the protocol's code block called `name`.
fn dump(name: &str) -> Vec<u8> {
    let document = include_str!("../../docs/protocol.md");
    let (_, rest) = document.split_once(&format!("```text {name}\n")).expect(name);
    let (lines, _) = rest.split_once("```").expect(name);
    let digits = lines.lines().flat_map(|line| line[10..57].split_whitespace());
    digits.map(|digits| u8::from_str_radix(digits, 16).expect(digits)).collect()
}

#[test]
fn the_doubles_make_the_bytes_of_the_document() {
    let hash = cascade_tests::cascade_file::sha256(&dump("metafile"));
    let marker = Marker { port: 8889, offers_seen: 0, has: 0 };
    assert_eq!(dump("marked-request"), marker.request(&hash, 1));
    assert_eq!(dump("news-request"), Marker { offers_seen: 1, ..marker }.request(&hash, NEWS));
    let met = SocketAddrV4::new([192, 0, 2, 30].into(), 8889);
    let block = [Item::Choosing, Item::Offer(vec![(0, 1)]), Item::Peers(vec![met])];
    assert!(dump("extended-block")[9..].starts_with(&cascade_tests::extension::field(&block)));
    let (missing, message) = cascade_tests::extension::split(&dump("extended-missing")[9..]);
    assert_eq!((missing, message), (vec![Item::map([0], 2)], b"not yet\n".to_vec()));
    let (news, rest) = cascade_tests::extension::split(&dump("news")[9..]);
    assert_eq!((news, rest), (vec![Item::Have(vec![(1, 1)]), Item::Goodbye], vec![]));
}

#[test]
fn a_marked_request_is_answered_with_what_is_new() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
    let (items, response) = client.ask(5);
    response.assert_block(&scene.file, 5);
    assert_eq!(items.map(told), Some(vec![Item::Everything]));
    for block in [99, 0, 5] {
        let (items, response) = client.ask(block);
        response.assert_block(&scene.file, block);
        assert_eq!(items, None, "there is nothing new");
    }
}

#[test]
fn a_marked_request_that_is_refused_is_answered_as_ever() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
    let (_, response) = client.ask(BLOCKS);
    response.assert_message(3);
    client.assert_closed();
    let other = TestFile::random("another.bin", 1000, 100);
    let (items, response) = ExtendedClient::connect(addr, &other, 7001).ask(0);
    response.assert_message(1);
    assert_eq!(items, None);
}

/// Reserved bytes that are no marker of a request for block 5.
fn no_markers(file: &TestFile) -> Vec<(&'static str, [u8; 64])> {
    let marked = Marker::new(7001).request(&file.hash, 5);
    let with = |change: &dyn Fn(&mut [u8; 64])| {
        let mut request = marked;
        change(&mut request);
        request
    };
    let reserved = |other: [u8; 64]| {
        let reserved = std::array::from_fn(|at| other[8 + at]);
        request_with(&reserved, &file.hash, 5)
    };
    let mut garbage = [0; 16];
    fastrand::Rng::with_seed(1).fill(&mut garbage);
    vec![
        ("plain", request(&file.hash, 5)),
        ("garbage", request_with(&garbage, &file.hash, 5)),
        ("all ones", request_with(&[0xff; 16], &file.hash, 5)),
        ("the marker of another block", reserved(Marker::new(7001).request(&file.hash, 6))),
        ("the marker of another file", reserved(Marker::new(7001).request(&[7; 32], 5))),
        ("a marker with another port", with(&|request| request[15] ^= 1)),
        ("a marker with a wrong check", with(&|request| request[23] ^= 1)),
        (
            "another magic",
            with(&|request| {
                request[8] ^= 1;
                seal(request);
            }),
        ),
        (
            "another version",
            with(&|request| {
                request[12] = 2;
                seal(request);
            }),
        ),
    ]
}

#[test]
fn what_is_no_marker_gets_the_bytes_of_version_1() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    // There would be something to tell: somebody else has shown a marker.
    let _ = ExtendedClient::connect(addr, &scene.file, 7002).ask(1);
    let block = Response { status: 0, body: scene.file.block(5).unwrap().to_vec() };
    let mut one_connection = ForeignClient::connect(addr);
    for (what, request) in no_markers(&scene.file) {
        let mut client = ForeignClient::connect(addr);
        client.send(&request).unwrap();
        assert_eq!(client.receive().unwrap(), block, "{what}");
        one_connection.send(&request).unwrap();
        assert_eq!(one_connection.receive().unwrap(), block, "{what}, on a connection with others");
    }
}

#[test]
fn a_plain_request_gets_a_plain_answer_on_a_connection_with_markers_too() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let block = Response { status: 0, body: scene.file.block(5).unwrap().to_vec() };
    let mut client = ForeignClient::connect(addr);
    client.send(&request(&scene.file.hash, 5)).unwrap();
    assert_eq!(client.receive().unwrap(), block);
    client.send(&Marker::new(7001).request(&scene.file.hash, 5)).unwrap();
    assert_eq!(client.receive().unwrap().status, 0x80);
    client.send(&request(&scene.file.hash, 5)).unwrap();
    assert_eq!(client.receive().unwrap(), block);
}

#[test]
fn switched_off_a_marker_means_nothing() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "off");
    let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
    let (items, response) = client.ask(5);
    response.assert_block(&scene.file, 5);
    assert_eq!(items, None);
    client.send(&[NEWS]);
    let (items, response) = client.receive();
    response.assert_message(3);
    assert_eq!(items, None);
    client.assert_closed();
}

#[test]
fn a_question_for_news_waits_until_another_request_follows() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
    let _ = client.ask(5);
    client.send(&[NEWS]);
    client.assert_silence(A_WHILE);
    let start = clock::now();
    client.send(&[6]);
    assert_eq!(told(client.receive_news()), []);
    let (_, response) = client.receive();
    response.assert_block(&scene.file, 6);
    assert!(full_speed::since(start) < AT_ONCE, "the block waited {:?}", start.elapsed());
}

#[test]
fn a_question_for_news_may_be_the_first() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
    assert_eq!(told(client.ask_news()), [Item::Everything]);
}

#[test]
fn requesters_are_told_of_each_other_and_offered_different_blocks() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut first = ExtendedClient::connect(addr, &scene.file, 7001);
    let _ = first.ask(5);
    first.send(&[NEWS]);
    let mut second = ExtendedClient::connect(addr, &scene.file, 7002);
    let to_second = second.ask_news();
    let to_first = first.receive_news();
    assert!(to_second.contains(&Item::Peers(vec![local(7001)])), "{to_second:?}");
    assert!(to_first.contains(&Item::Peers(vec![local(7002)])), "{to_first:?}");
    for items in [&to_first, &to_second] {
        assert!(items.contains(&Item::Choosing) && !offers(items).is_empty(), "{items:?}");
    }
    let both: BTreeSet<_> = offers(&to_first).into_iter().chain(offers(&to_second)).collect();
    assert_eq!(both.len(), offers(&to_first).len() + offers(&to_second).len(), "a block was offered twice");
}

#[test]
fn who_does_not_listen_is_told_of_to_nobody() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut first = ExtendedClient::connect(addr, &scene.file, 0);
    let _ = first.ask(5);
    let (items, _) = ExtendedClient::connect(addr, &scene.file, 7002).ask(6);
    let items = items.expect("there is much to tell");
    assert!(!items.iter().any(|item| matches!(item, Item::Peers(_) | Item::PlainPeers(_))), "{items:?}");
}

/// A requester that takes what it is offered, and nothing else.
struct Taker {
    client: ExtendedClient,
    offered: Vec<u64>,
    everything: bool,
}

impl Taker {
    /// One that has asked for news, and for nothing else.
    fn new(mut client: ExtendedClient) -> Self {
        let news = client.ask_news();
        let mut taker = Self { client, offered: Vec::new(), everything: false };
        taker.hear(&news);
        taker
    }

    fn hear(&mut self, items: &[Item]) {
        self.offered.extend(offers(items));
        self.everything |= items.contains(&Item::Everything);
    }

    /// Takes what is offered, or hears what is new; gives the blocks that came.
    fn go_on(&mut self, file: &TestFile) -> Vec<u64> {
        let taken = std::mem::take(&mut self.offered);
        for block in &taken {
            let (news, response) = self.client.ask(*block);
            response.assert_block(file, *block);
            self.hear(&news.unwrap_or_default());
        }
        if taken.is_empty() {
            let news = self.client.news_within(Duration::from_millis(50));
            self.hear(&news.unwrap_or_default());
        }
        taken
    }
}

/// Two requesters of a seeder that take what they are offered until each block has come once.
fn take_everything_once(scene: &Scene, addr: SocketAddr) -> [Taker; 2] {
    let mut first = ExtendedClient::connect(addr, &scene.file, 7001);
    assert_eq!(told(first.ask_news()), [Item::Everything], "it is alone");
    let second = Taker::new(ExtendedClient::connect(addr, &scene.file, 7002));
    let mut takers = [Taker::new(first), second];
    let (mut got, start) = (Vec::new(), clock::now());
    while got.len() < 100 {
        takers.iter_mut().for_each(|taker| got.extend(taker.go_on(&scene.file)));
        assert!(start.elapsed() < clock::LIMIT, "only {} blocks were offered", got.len());
        assert!(takers.iter().all(|taker| !taker.everything), "after {} blocks", got.len());
    }
    got.sort_unstable();
    assert_eq!(got, (0..BLOCKS).collect::<Vec<_>>(), "each block once");
    takers
}

#[test]
fn every_block_is_offered_once() {
    let scene = long_scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let _ = take_everything_once(&scene, addr);
}

#[test]
fn when_every_block_was_given_all_may_be_asked_soon() {
    let scene = long_scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut takers = take_everything_once(&scene, addr);
    let start = clock::now();
    while !takers.iter().all(|taker| taker.everything) {
        takers.iter_mut().for_each(|taker| drop(taker.go_on(&scene.file)));
        assert!(full_speed::since(start) < AT_ONCE, "the seeder still chooses");
    }
}

#[test]
fn what_a_leecher_got_last_is_told_soon() {
    let scene = scene();
    let source = ForeignPeer::start(&scene.file, Script::default().holding([]));
    scene.tracker.add(source.addr);
    let mut leecher = scene.download().args(["--extension", "on"]).start();
    let addr = scene.listening(&mut leecher);
    let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
    let mut known: BTreeSet<u64> = client.ask_news().iter().flat_map(Item::blocks).collect();
    // With many who are told, a message is worth the wait for what comes soon after.
    let mut others: Vec<_> = (0..40).map(|_| ExtendedClient::connect(addr, &scene.file, 0)).collect();
    others.iter_mut().for_each(|other| drop(other.ask_news()));
    source.gain(0..20);
    // They come in a burst, and then nothing more.
    leecher.wait_until("the first blocks", || source.sees(|journal| journal.served.len() >= 20));
    let start = clock::now();
    while known.len() < 20 {
        let news = client.news_within(Duration::from_millis(50)).unwrap_or_default();
        known.extend(news.iter().flat_map(Item::blocks));
        assert!(
            full_speed::since(start) < AT_ONCE,
            "only {} of 20 blocks were told of\n{}",
            known.len(),
            leecher.log()
        );
    }
}

#[test]
fn what_is_declined_is_not_offered_again_to_the_same() {
    let scene = long_scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut first = ExtendedClient::connect(addr, &scene.file, 7001);
    let _other = {
        let _ = first.ask(98);
        let mut other = ExtendedClient::connect(addr, &scene.file, 7002);
        let _ = other.ask(99);
        other
    };
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let offered = offers(&first.ask_news());
        assert!(!offered.is_empty(), "nothing more is offered");
        assert!(offered.iter().all(|block| seen.insert(*block)), "offered again: {offered:?}");
    }
}

#[test]
fn a_seeder_that_leaves_says_goodbye() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let scene = scene();
        let (mut seeder, addr) = seeding(&scene, "on");
        let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
        let _ = client.ask(5);
        client.send(&[NEWS]);
        client.assert_silence(A_WHILE);
        seeder.signal(signal);
        assert_eq!(told(client.receive_news()), [Item::Goodbye], "{signal:?}");
        client.assert_closed();
        seeder.wait_exit().assert_success();
    }
}

#[test]
fn a_leecher_tells_what_it_has_and_gives_it() {
    let scene = scene();
    let source = ForeignPeer::start(&scene.file, Script::default().slow(700_000));
    scene.tracker.add(source.addr);
    let mut leecher = scene.download().args(["--extension", "on", "--seed"]).start();
    let addr = scene.listening(&mut leecher);
    let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
    let (mut known, mut complete, mut tellings) = (BTreeSet::new(), false, 0);
    let mut new: Vec<u64> = Vec::new();
    while !complete {
        // It is told with the answer to any question, and once.
        let items = match new.pop() {
            Some(block) => {
                let (items, response) = client.ask(block);
                response.assert_block(&scene.file, block);
                items.unwrap_or_default()
            }
            None => {
                tellings += 1;
                client.ask_news()
            }
        };
        complete = items.contains(&Item::Everything);
        new.extend(items.iter().flat_map(Item::blocks).filter(|block| known.insert(*block)));
    }
    assert!(known.len() as u64 > BLOCKS / 4, "only {} blocks were told of\n{}", known.len(), leecher.log());
    // About 1.4 seconds, with 20 milliseconds between two tellings.
    assert!(tellings < 200, "{tellings} tellings");
}

#[test]
fn questions_for_news_without_end_cost_others_nothing() {
    let scene = scene();
    let (_seeder, addr) = seeding(&scene, "on");
    let mut client = ExtendedClient::connect(addr, &scene.file, 7001);
    let _ = client.ask(5);
    client.send(&[NEWS; 1000]);
    let start = clock::now();
    for _ in 0..40 {
        assert_eq!(told(client.receive_news()), []);
    }
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(20 * 38), "40 answers within {took:?}");
    // A request behind such questions waits for them, and for nothing else.
    let mut client = ExtendedClient::connect(addr, &scene.file, 7002);
    let start = clock::now();
    client.send(&[NEWS, NEWS, NEWS, NEWS, 6]);
    for _ in 0..4 {
        let _ = client.receive_news();
    }
    client.receive().1.assert_block(&scene.file, 6);
    assert!(full_speed::since(start) < AT_ONCE, "the block waited {:?}", start.elapsed());
    let start = clock::now();
    fetch(addr, &scene.file, 5).assert_block(&scene.file, 5);
    assert!(full_speed::since(start) < AT_ONCE, "a good client waited {:?}", start.elapsed());
}
