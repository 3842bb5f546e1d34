use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::crowd::Crowd;
use cascade_tests::foreign_client::{ForeignClient, fetch, request, request_with};
use cascade_tests::full_speed;
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::scene::Scene;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// "At once", on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

fn file() -> TestFile {
    TestFile::random("seeded.bin", 1_000_000, 10_240)
}

fn scene() -> Scene {
    Scene::new(file(), &[])
}

/// Fails unless a new client gets a block at once.
fn served_at_once(addr: SocketAddr, file: &TestFile) {
    let start = clock::now();
    fetch(addr, file, 5).assert_block(file, 5);
    assert!(full_speed::since(start) < AT_ONCE, "a good client waited {:?}", start.elapsed());
}

#[test]
fn a_connection_for_every_block() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    for block in 0..scene.file.blocks() {
        fetch(addr, &scene.file, block).assert_block(&scene.file, block);
    }
}

#[test]
fn one_connection_for_all_blocks_the_last_is_short() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let mut client = ForeignClient::connect(addr);
    for block in (0..scene.file.blocks()).rev() {
        client.ask(&scene.file.hash, block).unwrap().assert_block(&scene.file, block);
    }
}

#[test]
fn five_hundred_requests_in_one_write() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let wanted: Vec<u64> = (0..500).map(|n| n * 7 % scene.file.blocks()).collect();
    let burst: Vec<u8> = wanted.iter().flat_map(|block| request(&scene.file.hash, *block)).collect();
    let mut client = ForeignClient::connect(addr);
    client.send(&burst).unwrap();
    for block in wanted {
        client.receive().unwrap().assert_block(&scene.file, block);
    }
}

#[test]
fn a_burst_that_mixes_right_and_missing_is_answered_in_order() {
    let scene = scene();
    std::fs::write(scene.target(), scene.file.data_with(|block| block % 2 == 1)).unwrap();
    let mut seeder = scene.seed().start();
    let addr = scene.listening(&mut seeder);
    let burst: Vec<u8> = (0..50).flat_map(|block| request(&scene.file.hash, block)).collect();
    let mut client = ForeignClient::connect(addr);
    client.send(&burst).unwrap();
    for block in 0..50 {
        let response = client.receive().unwrap_or_else(|error| panic!("{block}: {error}\n{}", seeder.log()));
        if block % 2 == 0 { response.assert_block(&scene.file, block) } else { response.assert_message(2) }
    }
}

#[test]
fn a_request_in_pieces() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let mut client = ForeignClient::connect(addr);
    for byte in request(&scene.file.hash, 7) {
        client.send(&[byte]).unwrap();
        // The habit itself: a slow client.
        clock::breathe();
    }
    client.receive().unwrap().assert_block(&scene.file, 7);
    // One and a half, then the other half.
    let three =
        [request(&scene.file.hash, 1), request(&scene.file.hash, 2), request(&scene.file.hash, 3)].concat();
    client.send(&three[..96]).unwrap();
    client.receive().unwrap().assert_block(&scene.file, 1);
    client.send(&three[96..]).unwrap();
    client.receive().unwrap().assert_block(&scene.file, 2);
    client.receive().unwrap().assert_block(&scene.file, 3);
}

#[test]
fn any_reserved_bytes() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let mut random = fastrand::Rng::with_seed(1);
    let mut reserved = vec![[0xff; 16], [0x80; 16], *b"CASCADE1CASCADE1", [b'C'; 16]];
    reserved.extend((0..200).map(|_| random.u128(..).to_be_bytes()));
    let mut client = ForeignClient::connect(addr);
    for bytes in reserved {
        client.send(&request_with(&bytes, &scene.file.hash, 3)).unwrap();
        client.receive().unwrap().assert_block(&scene.file, 3);
    }
}

#[test]
fn a_header_leaves_with_the_start_of_its_body() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    for (block, hash) in [(0, scene.file.hash), (97, scene.file.hash), (0, [1; 32]), (98, scene.file.hash)] {
        let mut client = ForeignClient::connect(addr);
        client.send(&request(&hash, block)).unwrap();
        let first = client.recv_once(4096).unwrap();
        assert!(first.len() > 9, "block {block}: one recv brought {} bytes", first.len());
        // And a client that takes the nine alone goes on with the rest.
        let mut client = ForeignClient::connect(addr);
        client.send(&request(&hash, block)).unwrap();
        let header = client.recv_once(9).unwrap();
        let response = client.receive_body(header.try_into().expect("nine bytes at once")).unwrap();
        assert!(!response.body.is_empty());
    }
}

#[test]
fn an_unknown_file_is_status_1() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    ForeignClient::connect(addr).ask(&[1; 32], 0).unwrap().assert_message(1);
    served_at_once(addr, &scene.file);
}

#[test]
fn a_number_that_is_too_large_is_status_3() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    for number in [scene.file.blocks(), scene.file.blocks() + 1, 1 << 32, 1 << 63, u64::MAX] {
        ForeignClient::connect(addr).ask(&scene.file.hash, number).unwrap().assert_message(3);
    }
    served_at_once(addr, &scene.file);
}

#[test]
fn a_wrong_magic_is_status_4_and_a_close() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    for wrong in [b'x'; 64]
        .chunks(64)
        .chain([&b"GET / HTTP/1.1\r\nHost: somewhere.example\r\nAccept: anything-ok\r\n\r\n"[..64]])
    {
        let mut client = ForeignClient::connect(addr);
        client.send(wrong).unwrap();
        client.receive().unwrap().assert_message(4);
        client.assert_closed();
    }
    served_at_once(addr, &scene.file);
}

#[test]
fn a_missing_block_is_status_2_and_the_connection_stays() {
    let scene = scene();
    std::fs::write(scene.target(), scene.file.data_with(|block| block == 4)).unwrap();
    let mut seeder = scene.seed().start();
    let addr = scene.listening(&mut seeder);
    let mut client = ForeignClient::connect(addr);
    client.ask(&scene.file.hash, 4).unwrap().assert_message(2);
    client.ask(&scene.file.hash, 4).unwrap().assert_message(2);
    client.ask(&scene.file.hash, 5).unwrap().assert_block(&scene.file, 5);
}

#[test]
fn a_client_that_idles_is_served_when_it_asks_again() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let mut client = ForeignClient::connect(addr);
    client.ask(&scene.file.hash, 1).unwrap().assert_block(&scene.file, 1);
    // The habit itself: minutes in the field, seconds here.
    clock::pause(Duration::from_secs(12));
    client.ask(&scene.file.hash, 2).unwrap().assert_block(&scene.file, 2);
}

#[test]
fn a_client_that_sends_half_a_request_and_leaves_harms_nobody() {
    let scene = scene();
    let (mut seeder, addr) = scene.seeding();
    for length in [1, 8, 63] {
        let mut client = ForeignClient::connect(addr);
        client.send(&request(&scene.file.hash, 1)[..length]).unwrap();
        client.finish_sending();
    }
    served_at_once(addr, &scene.file);
    seeder.assert_running();
}

#[test]
fn a_client_that_says_no_more_requests_still_gets_its_blocks() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let mut client = ForeignClient::connect(addr);
    let burst: Vec<u8> = (0..20).flat_map(|block| request(&scene.file.hash, block)).collect();
    client.send(&burst).unwrap();
    client.finish_sending();
    for block in 0..20 {
        client.receive().unwrap().assert_block(&scene.file, block);
    }
    client.assert_closed();
}

#[test]
fn slow_readers_do_not_hold_workers() {
    let scene = Scene::new(TestFile::random("slow-readers.bin", 16 << 20, 64 << 10), &[]);
    let (seeder, addr) = scene.seeding();
    let burst: Vec<u8> = (0..256).flat_map(|block| request(&scene.file.hash, block)).collect();
    let mut readers: Vec<_> = (0..64)
        .map(|_| {
            let mut client = ForeignClient::connect(addr).with_small_buffer();
            client.send(&burst).unwrap();
            client
        })
        .collect();
    served_at_once(addr, &scene.file);
    // They read slowly, and still get everything right.
    for client in readers.iter_mut().take(2) {
        for block in 0..2 {
            client.receive().unwrap().assert_block(&scene.file, block);
        }
    }
    served_at_once(addr, &scene.file);
    let memory = seeder.peak_memory();
    assert!(memory < 64 << 20, "the seeder took {} MiB\n{}", memory >> 20, seeder.log());
}

#[test]
fn thousands_of_idle_and_half_sent_connections() {
    let scene = scene();
    let (mut seeder, addr) = scene.seeding();
    let before = seeder.descriptors();
    let idle = Crowd::gather(addr, 5000, b"");
    let half = Crowd::gather(addr, 5000, &request(&scene.file.hash, 1)[..40]);
    assert!(idle.len() + half.len() > 6000, "{} + {} connections came about", idle.len(), half.len());
    served_at_once(addr, &scene.file);
    seeder.assert_running();
    drop((idle, half));
    clock::eventually("the descriptors of those that left are closed", || {
        (seeder.descriptors() <= before + 16).then_some(())
    });
    served_at_once(addr, &scene.file);
    let memory = seeder.peak_memory();
    assert!(memory < 64 << 20, "the seeder took {} MiB", memory >> 20);
}

#[test]
fn many_clients_at_once() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let clients = (0..16).map(|start| {
        let file = scene.file.clone();
        thread::spawn(move || {
            let mut client = ForeignClient::connect(addr);
            for n in 0..file.blocks() {
                let block = (n + start * 6) % file.blocks();
                client.ask(&file.hash, block).unwrap().assert_block(&file, block);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    clients.into_iter().for_each(|client| client.join().expect("a client failed"));
}

#[test]
fn one_port_serves_several_files() {
    let scene = scene();
    let files = ["other-a", "other-b"].map(|name| TestFile::random(name, 50_000, 1000));
    let _ = scene.file.write_data(scene.folder());
    let cascades = files.each_ref().map(|file| {
        let _ = file.write_data(scene.folder());
        file.write_cascade(scene.folder())
    });
    let mut seeder = scene.seed().args(cascades).start();
    let addr = scene.listening(&mut seeder);
    let mut client = ForeignClient::connect(addr);
    for file in files.iter().chain([&scene.file]) {
        let subscribed = seeder.wait_until("each file", || scene.tracker.first_subscriber(&file.hash));
        assert_eq!(subscribed, addr, "one listener for all");
        client.ask(&file.hash, 7).unwrap().assert_block(file, 7);
    }
}

#[test]
fn the_data_may_lie_elsewhere() {
    let scene = scene();
    let elsewhere = scene.folder().join("elsewhere.bin");
    std::fs::write(&elsewhere, &scene.file.data).unwrap();
    let mut seeder = scene.seed().arg("--data").arg(&elsewhere).start();
    let addr = scene.listening(&mut seeder);
    served_at_once(addr, &scene.file);
}

#[test]
fn missing_data_is_one_line() {
    let scene = scene();
    scene.seed().run().assert_one_line_error(&["seeded.bin"]);
    scene.seed().args(["--data", "/nonexistent/data"]).run().assert_one_line_error(&["/nonexistent/data"]);
}

#[test]
fn while_the_data_is_checked_nobody_is_told_that_the_file_is_unknown() {
    // Large enough that the check takes a while.
    let scene = Scene::new(TestFile::random("unchecked.bin", 256 << 20, 1 << 20), &[]);
    let _ = scene.file.write_data(scene.folder());
    let reserved = Reserved::new();
    let seeder = Launch::peer("seed").arg(&scene.cascade).args(["-l", &reserved.addr.to_string()]);
    let mut seeder = seeder.args(["-t", &scene.tracker.addr.to_string()]).start();
    let stream = seeder.wait_until("it listens", || TcpStream::connect(reserved.addr).ok());
    // Status 1 sends a peer away for good; not to accept, to let it wait or to say "not yet" does not.
    let answer = ForeignClient::over(stream).ask(&scene.file.hash, 5);
    assert!(!answer.is_ok_and(|response| response.status == 1), "status 1 from a peer that has the file");
}

#[test]
fn it_stops_cleanly_on_each_signal() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let scene = scene();
        let (seeder, addr) = scene.seeding();
        // Somebody is in the middle of things.
        let mut client = ForeignClient::connect(addr);
        client.ask(&scene.file.hash, 1).unwrap().assert_block(&scene.file, 1);
        let start = clock::now();
        let done = seeder.end_by(signal);
        assert!(matches!(done.code, Some(0 | 130 | 143)), "{signal:?} is no clean end: {done}");
        assert!(full_speed::since(start) < Duration::from_secs(5), "{done}");
        scene.file.assert_same(&scene.target());
    }
}

#[test]
fn json_lines_and_a_dead_tracker() {
    let scene = scene();
    let _ = scene.file.write_data(scene.folder());
    let (dead, reserved) = (Reserved::new(), Reserved::new());
    let seed = Launch::peer("seed").arg(&scene.cascade).arg("--json");
    let launch = seed.args(["-l", &reserved.addr.to_string(), "-t", &dead.addr.to_string()]);
    let mut seeder = launch.start();
    // It serves whether or not a tracker can be reached.
    let listens = || TcpStream::connect(reserved.addr).is_ok();
    let serves = || fetch(reserved.addr, &scene.file, 5).status == 0;
    seeder.wait_until("it serves", || (listens() && serves()).then_some(()));
    served_at_once(reserved.addr, &scene.file);
    seeder.assert_running();
    let done = seeder.end_by(Signal::INT);
    assert!(!done.json_lines().is_empty(), "{done}");
}
