use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::crowd::Crowd;
use cascade_tests::extended_client::ExtendedClient;
use cascade_tests::extension::{Item, Marker, NEWS};
use cascade_tests::foreign_client::{ForeignClient, fetch, request};
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::full_speed;
use cascade_tests::process::Process;
use cascade_tests::scene::Scene;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// "At once", on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What a process may use that has nothing to do, for each second: a busy loop uses all of it.
const IDLE_CPU: Duration = Duration::from_millis(150);

fn scene() -> Scene {
    Scene::new(TestFile::random("crowded.bin", 16 << 20, 64 << 10), &[])
}

/// These tests are of the extension, also where the environment switches it off.
const EXTENSION: [&str; 2] = ["--extension", "on"];

/// A seeder that knows the extension.
fn seeding(scene: &Scene) -> (Process, SocketAddr) {
    let _ = scene.file.write_data(scene.folder());
    let mut seeder = scene.seed().args(EXTENSION).start();
    let addr = scene.listening(&mut seeder);
    (seeder, addr)
}

/// Clients that send `requests` and read nothing.
fn hogs(addr: SocketAddr, count: usize, requests: &[u8]) -> Vec<ForeignClient> {
    let hog = |_| {
        let mut client = ForeignClient::connect(addr).with_small_buffer();
        client.send(requests).unwrap();
        client
    };
    (0..count).map(hog).collect()
}

#[test]
fn clients_that_take_nothing_cost_nothing() {
    let plain = |hash: &[u8; 32], block| request(hash, block);
    let marked = |hash: &[u8; 32], block| Marker::new(7001).request(hash, block);
    for ask in [&plain as &dyn Fn(&[u8; 32], u64) -> [u8; 64], &marked] {
        let scene = scene();
        let blocks = scene.file.blocks();
        let requests: Vec<u8> = (0..600).flat_map(|number| ask(&scene.file.hash, number % blocks)).collect();
        let (seeder, addr) = seeding(&scene);
        // It waits for news before they come.
        let mut client = ExtendedClient::connect(addr, &scene.file, 7002);
        client.ask(5).1.assert_block(&scene.file, 5);
        let _hogs = hogs(addr, 200, &requests);
        while client.news_within(Duration::from_millis(500)).is_some() {}
        // Their sockets take some megabytes each. Then there is nothing more to do.
        clock::within(Duration::from_secs(15), "a seeder that rests", || {
            (seeder.cpu_time_within(Duration::from_secs(1)) < IDLE_CPU).then_some(())
        });
        // What follows the question that waits is read, whatever the others have sent.
        let start = clock::now();
        client.send(&[5, 5]);
        let _ = client.receive_news();
        assert!(
            full_speed::since(start) < AT_ONCE,
            "a question for news was answered after {:?}",
            start.elapsed()
        );
        // And version 1 is served as if they were not there.
        let mut client = ForeignClient::connect(addr);
        let start = clock::now();
        for block in 0..blocks {
            client.ask(&scene.file.hash, block).unwrap().assert_block(&scene.file, block);
        }
        assert!(full_speed::since(start) < AT_ONCE * 2, "{blocks} blocks took {:?}", start.elapsed());
    }
}

/// A question that waits, with what cannot be understood behind it.
#[test]
fn garbage_behind_a_question_for_news_costs_nothing() {
    let scene = scene();
    let (seeder, addr) = seeding(&scene);
    let mut client = ForeignClient::connect(addr);
    client.send(&Marker::new(7001).request(&scene.file.hash, NEWS)).unwrap();
    let _ = client.receive();
    let question = Marker::new(7001).request(&scene.file.hash, NEWS);
    client.send(&[&question[..], b"GET / HTTP/1.1\r\n\r\n"].concat()).unwrap();
    client.send(b"more of it").unwrap();
    assert_eq!(client.receive().unwrap().status, 0x82);
    client.receive().unwrap().assert_message(4);
    client.assert_closed();
    let used = seeder.cpu_time_within(Duration::from_secs(1));
    assert!(used < IDLE_CPU, "{used:?}");
}

#[test]
fn listeners_that_take_nothing_cost_nothing() {
    let scene = scene();
    let (seeder, addr) = seeding(&scene);
    let questions: Vec<u8> = (0..200).flat_map(|_| Marker::new(0).request(&scene.file.hash, NEWS)).collect();
    let listeners = hogs(addr, 1000, &questions);
    assert_eq!(listeners.len(), 1000);
    // Their buffers are large enough for every answer.
    let used = seeder.cpu_time_within(Duration::from_secs(4));
    assert!(used < Duration::from_millis(1600), "{used:?} of four seconds");
    let start = clock::now();
    let mut client = ExtendedClient::connect(addr, &scene.file, 7002);
    assert!(!client.ask_news().is_empty(), "a newcomer is told what there is");
    client.ask(7).1.assert_block(&scene.file, 7);
    assert!(full_speed::since(start) < AT_ONCE, "a newcomer waited {:?}", start.elapsed());
}

/// A leecher has news all the time.
#[test]
fn listeners_do_not_slow_a_leecher() {
    let file = TestFile::random("listened.bin", 20_000_000, 5_000);
    let source = ForeignPeer::start(&file, Script::default().slow(1_000_000));
    let scene = Scene::new(file, &[source.addr]);
    let mut leecher = scene.download().args(EXTENSION).start();
    let addr = scene.listening(&mut leecher);
    let questions: Vec<u8> = (0..400).flat_map(|_| Marker::new(0).request(&scene.file.hash, NEWS)).collect();
    let start = clock::now();
    let mut listeners: Vec<ForeignClient> = (0..600)
        .map(|_| {
            let mut client = ForeignClient::connect(addr);
            client.send(&questions).unwrap();
            client
        })
        .collect();
    // The time over which the answers are counted.
    clock::pause(Duration::from_secs(3));
    // What is told to all of them together is bounded, whatever their number.
    let mut answers = 0;
    for listener in &mut listeners {
        while listener.hears_within(Duration::from_millis(1)) {
            assert_eq!(listener.receive().unwrap().status, 0x82);
            answers += 1;
        }
    }
    let most = start.elapsed().as_millis() * 1500 / 1000 + 100;
    assert!(answers <= most && answers > 600, "{answers} answers, {most} at most");
    // One that takes what it hears of is told as ever.
    let start = clock::now();
    let mut client = ExtendedClient::connect(addr, &scene.file, 0);
    let mut had = client.ask_news();
    for _ in 0..20 {
        let block = had.iter().flat_map(Item::blocks).max().expect("some block");
        client.ask(block).1.assert_block(&scene.file, block);
        had = loop {
            let items = client.ask_news();
            if items.iter().any(|item| !item.blocks().is_empty()) {
                break items;
            }
        };
    }
    assert!(full_speed::since(start) < Duration::from_secs(15), "20 blocks took {:?}", start.elapsed());
    assert!(
        listeners.iter_mut().all(|listener| listener.receive().is_ok()),
        "all of them were told something"
    );
}

#[test]
fn refusals_are_lines() {
    let scene = scene();
    let data = scene.file.data_with(|block| block == 4);
    std::fs::write(scene.target(), data).unwrap();
    let mut seeder = scene.seed().args(EXTENSION).start();
    let addr = scene.listening(&mut seeder);
    let hash = scene.file.hash;
    for (status, request) in
        [(1, request(&[1; 32], 0)), (2, request(&hash, 4)), (3, request(&hash, 1 << 40)), (4, [b'x'; 64])]
    {
        let mut client = ForeignClient::connect(addr);
        client.send(&request).unwrap();
        let response = client.receive().unwrap();
        assert_eq!(response.status, status);
        let text = String::from_utf8(response.body).unwrap();
        assert!(text.len() > 1 && text.find('\n') == Some(text.len() - 1), "{text:?} is no line");
    }
    // With something in front of it, too.
    let (items, response) = ExtendedClient::connect(addr, &scene.file, 7001).ask(4);
    assert!(items.is_some() && response.status == 2 && response.body.ends_with(b"\n"), "{response:?}");
    fetch(addr, &scene.file, 5).assert_block(&scene.file, 5);
}

/// With so few descriptors the seeder holds some sixteen clients, on a machine with two cores.
fn seeding_with_few_descriptors(scene: &Scene) -> (Process, SocketAddr) {
    let _ = scene.file.write_data(scene.folder());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let limit = 48 + 8 * cores;
    let mut seeder = scene.seed().after_shell(&format!("ulimit -n {limit}")).start();
    let addr = scene.listening(&mut seeder);
    (seeder, addr)
}

#[test]
fn held_connections_keep_nobody_out_and_leave_no_trace() {
    let scene = scene();
    let (mut seeder, addr) = seeding_with_few_descriptors(&scene);
    let served = || {
        let mut client = ForeignClient::connect(addr);
        client.ask(&scene.file.hash, 5).is_ok_and(|response| response.status == 0).then_some(())
    };
    let held = Crowd::gather(addr, 200, b"");
    assert_eq!(held.len(), 200);
    // A newcomer is answered at once, and soon with a block: a client that takes nothing makes room.
    let start = clock::now();
    let answer = ForeignClient::connect(addr).ask(&scene.file.hash, 5);
    assert!(full_speed::since(start) < AT_ONCE, "{answer:?} after {:?}", start.elapsed());
    clock::within(Duration::from_secs(4), "a block while others hold connections", served);
    // Half of a request is nothing either.
    drop(held);
    clock::within(Duration::from_secs(1), "a block after they have left", served);
    let half = Crowd::gather(addr, 200, &request(&scene.file.hash, 1)[..63]);
    clock::within(Duration::from_secs(4), "a block while others send half a request", served);
    drop(half);
    clock::within(Duration::from_secs(1), "a block after they have left", served);
    seeder.assert_running();
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_without_a_descriptor_says_so_and_goes_on() {
    let scene = scene();
    let (mut seeder, addr) = scene.seeding();
    // It has opened what it needs when it serves, and has let go of the tracker.
    seeder.wait_line("that it listens", |line| line.contains("listening on").then_some(()));
    seeder.wait_line("the tracker's answer", |line| line.contains("knows 0 other").then_some(()));
    let open = seeder.descriptors();
    fetch(addr, &scene.file, 5).assert_block(&scene.file, 5);
    clock::within(AT_ONCE, "the end of a connection", || (seeder.descriptors() == open).then_some(()));
    // From now on it may open nothing but what it has in hand, and the numbers that are free below it. The system limits
    // numbers: were the limit below the one in hand, giving that up would not help.
    let limit = seeder.highest_descriptor() + 1;
    seeder.limit_descriptors(limit);
    let free = usize::try_from(limit).unwrap() - open;
    let (mut answers, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..free + 20 {
        let start = clock::now();
        let mut client = ForeignClient::connect(addr);
        answers.push(client.ask(&scene.file.hash, 5).map(|response| response.status));
        // Held: where one descriptor has become free meanwhile, it is free once.
        clients.push(client);
        assert!(full_speed::since(start) < AT_ONCE, "{answers:?} after {:?}", start.elapsed());
    }
    seeder.wait_line("a warning", |line| line.contains("ulimit -n").then_some(()));
    assert_eq!(seeder.log().matches("ulimit -n").count(), 1, "{}", seeder.log());
    drop(clients);
    seeder.limit_descriptors(seeder.highest_descriptor() + 10);
    fetch(addr, &scene.file, 5).assert_block(&scene.file, 5);
}

#[test]
fn hundreds_of_files_are_seeded_or_refused_at_once() {
    let scene = scene();
    let files: Vec<TestFile> =
        (0..600).map(|number| TestFile::random(&format!("file-{number}"), 1000, 100)).collect();
    let cascades: Vec<_> = files
        .iter()
        .map(|file| {
            let _ = file.write_data(scene.folder());
            file.write_cascade(scene.folder())
        })
        .collect();
    let _ = scene.file.write_data(scene.folder());
    let refused = scene.seed().args(&cascades).after_shell("ulimit -n 256").run();
    refused.assert_one_line_error(&["601 files", "256", "ulimit -n"]);
    let mut seeder = scene.seed().args(&cascades).after_shell("ulimit -n 1024").start();
    let addr = scene.listening(&mut seeder);
    for file in files.iter().step_by(50).chain(files.last()) {
        seeder.wait_until("each file", || (fetch(addr, file, 7).status == 0).then_some(()));
        fetch(addr, file, 7).assert_block(file, 7);
    }
    // And clients find room beside them.
    let mut clients: Vec<_> = (0..150).map(|_| ForeignClient::connect(addr)).collect();
    for client in &mut clients {
        client.ask(&scene.file.hash, 3).unwrap().assert_block(&scene.file, 3);
    }
    seeder.assert_running();
    assert!(!seeder.has_printed("descriptor"), "{}", seeder.log());
}
