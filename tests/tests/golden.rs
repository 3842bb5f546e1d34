use crate::tracker_setup::RunningTracker;
use cascade_tests::cascade_file::{TestFile, hex, sha256};
use cascade_tests::clock::LIMIT;
use cascade_tests::foreign_client::request;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::foreign_tracker::{ForeignTracker, Manner};
use cascade_tests::launch::Launch;
use cascade_tests::scene::Scene;
use cascade_tests::tracker_client::{Entry, LIST, Request, SUBSCRIBE};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::path::PathBuf;

/// One line of `cascade-hashes.txt`.
struct Golden {
    hash: String,
    block_size: usize,
    name: String,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap_or_else(|error| panic!("fixture {name}: {error}"))
}

fn all() -> Vec<Golden> {
    let list = String::from_utf8(bytes("cascade-hashes.txt")).unwrap();
    let golden = list.lines().map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        Golden { hash: words[0].into(), block_size: words[1].parse().unwrap(), name: words[2].into() }
    });
    let golden: Vec<_> = golden.collect();
    assert_eq!(golden.len(), 7);
    golden
}

#[test]
fn the_doubles_make_the_same_cascade_files_as_the_script() {
    for golden in all() {
        let file = TestFile::of(&golden.name, bytes(&golden.name), golden.block_size);
        assert!(file.cascade == bytes(&format!("{}.cascade", golden.name)), "{}", golden.name);
        assert_eq!(file.hex(), golden.hash, "{}", golden.name);
    }
}

#[test]
fn the_doubles_make_the_same_messages_as_the_script() {
    let example = TestFile::of("example.bin", bytes("example.bin"), 64);
    assert_eq!(request(&example.hash, 15).to_vec(), bytes("block-request.bytes"));
    let ask = |command| Request::new(command, example.hash, [10, 0, 0, 7], 6881).bytes();
    assert_eq!(ask(LIST), bytes("tracker-list.bytes"));
    assert_eq!(ask(SUBSCRIBE), bytes("tracker-subscribe.bytes"));
    let good = Entry {
        addr: SocketAddrV4::new([10, 0, 0, 8].into(), 6881),
        subscribed: 1_700_000_000,
        good: 1,
        reserved: 0,
    };
    assert_eq!(good.bytes(), bytes("tracker-peers.bytes")[5..17]);
}

/// What a server sends back for these bytes, up to the length wanted.
fn exchange(addr: SocketAddr, bytes: &[u8], length: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn the_doubles_answer_with_the_script_s_bytes() {
    let example = TestFile::of("example.bin", bytes("example.bin"), 64);
    for (script, answer) in
        [(Script::default(), "block-response.bytes"), (Script::default().holding([]), "block-missing.bytes")]
    {
        let peer = ForeignPeer::start(&example, script);
        let golden = bytes(answer);
        assert_eq!(exchange(peer.addr, &bytes("block-request.bytes"), golden.len()), golden, "{answer}");
    }
    let tracker = ForeignTracker::start(Manner::Refusal(b"hash not allowed".to_vec()));
    let golden = bytes("tracker-refusal.bytes");
    assert_eq!(exchange(tracker.addr, &bytes("tracker-list.bytes"), golden.len()), golden);
}

#[test]
fn seed_answers_with_the_golden_bytes() {
    let example = TestFile::of("example.bin", bytes("example.bin"), 64);
    let scene = Scene::new(example, &[]);
    let (_seeder, addr) = scene.seeding();
    let golden = bytes("block-response.bytes");
    assert_eq!(exchange(addr, &bytes("block-request.bytes"), golden.len()), golden);
}

#[test]
fn the_tracker_answers_the_golden_bytes() {
    let tracker = RunningTracker::open();
    assert_eq!(exchange(tracker.addr, &bytes("tracker-subscribe.bytes"), 5), [0; 5]);
    assert_eq!(exchange(tracker.addr, &bytes("tracker-list.bytes"), 5), [0; 5], "the asker is left out");
    let example = TestFile::of("example.bin", bytes("example.bin"), 64);
    let list = Request::new(LIST, example.hash, [10, 0, 0, 8], 6881).ask(tracker.addr);
    assert_eq!(list.body[..6], [10, 0, 0, 7, 0x1a, 0xe1]);
}

#[test]
fn create_makes_the_golden_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for golden in all() {
        let data = folder.path().join(&golden.name);
        fs::copy(fixture(&golden.name), &data).unwrap();
        let done =
            Launch::peer("create").arg(&data).args(["--block-size", &golden.block_size.to_string()]).run();
        done.assert_success();
        assert!(done.stdout.contains(&golden.hash), "the cascade hash is not printed: {done}");
        let made = fs::read(folder.path().join(format!("{}.cascade", golden.name))).unwrap();
        assert!(
            made == bytes(&format!("{}.cascade", golden.name)),
            "{} has other bytes: {done}",
            golden.name
        );
    }
}

#[test]
fn info_reads_the_golden_files() {
    for golden in all() {
        let data = bytes(&golden.name);
        let done = Launch::peer("info").arg(fixture(&format!("{}.cascade", golden.name))).run();
        done.assert_success();
        let file_hash = hex(&sha256(&data));
        let blocks = data.len().div_ceil(golden.block_size);
        for part in [&golden.hash, &file_hash, &data.len().to_string(), &blocks.to_string()] {
            assert!(done.stdout.contains(part.as_str()), "{part} is not printed: {done}");
        }
    }
}

#[test]
fn verify_finds_the_golden_files_right() {
    for golden in all() {
        let cascade = fixture(&format!("{}.cascade", golden.name));
        Launch::peer("verify").arg(cascade).arg(fixture(&golden.name)).run().assert_success();
    }
}
