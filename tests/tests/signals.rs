use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::{TestFile, header, sha256};
use cascade_tests::clock::{now, pause};
use cascade_tests::foreign_client::{blocks_given, fetch};
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::launch::{Launch, Sink};
use cascade_tests::process::{Process, Signal, has_open};
use cascade_tests::scene::Scene;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::{self, File};
use std::io::{PipeReader, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

const ENDING: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::HUP];

/// Far less than hashing what these tests hash takes.
const AT_ONCE: Duration = Duration::from_secs(20);

fn file() -> TestFile {
    TestFile::random("signalled.bin", 1_000_000, 10_000)
}

/// A file that takes some seconds to hash and no room on the disk.
const LONG: u64 = 8 << 30;

/// A folder with `long.bin` and `long.bin.cascade`, of which nothing is right.
fn long_scene() -> Scene {
    let mut file = TestFile::random("long.bin", 10, 10);
    let hashes = vec![7; 32 * 8];
    file.cascade = [&header(LONG, LONG / 8, [1; 32])[..], &hashes].concat();
    file.hash = sha256(&file.cascade);
    let scene = Scene::new(file, &[]);
    File::create(scene.target()).unwrap().set_len(LONG).unwrap();
    scene
}

#[test]
fn each_signal_ends_each_command_while_it_hashes() {
    for signal in ENDING {
        for command in ["share", "create", "verify", "download", "seed", "demo"] {
            let scene = long_scene();
            let scratch = tempfile::tempdir().unwrap();
            let launch = match command {
                "share" | "create" => Launch::peer(command).arg(scene.target()),
                "verify" => Launch::peer("verify").arg(&scene.cascade),
                "download" => scene.download(),
                "seed" => scene.seed(),
                _ => Launch::peer("demo").arg(scene.target()),
            };
            let mut process = launch.env("TMPDIR", scratch.path()).start();
            let (pid, target) = (process.pid(), scene.target());
            process.wait_until("it has opened the data", || has_open(pid, &target).then_some(()));
            if !["share", "create"].contains(&command) {
                // What it hashes takes seconds; it has all of its threads by now.
                process.wait_until("it computes", || (busy_ticks(pid) > 20).then_some(()));
            }
            process.signal(signal);
            let done = process.wait_exit_within(AT_ONCE);
            done.assert_code(if command == "seed" { 0 } else { 130 });
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "it should clean up: {done}");
            let left = fs::read_dir(scene.folder()).unwrap().flatten().map(|entry| entry.path());
            let expected = [scene.target(), scene.part(), scene.cascade.clone()];
            let others: Vec<_> = left.filter(|path| !expected.contains(path)).collect();
            assert!(others.is_empty(), "{command} left {others:?}: {done}");
        }
    }
}

/// Also where the process that started it ignored SIGINT, as a shell does for what it starts with `&`.
#[test]
fn each_signal_ends_it_while_it_reads_its_cascade_files() {
    let folder = tempfile::tempdir().unwrap();
    let cascade = folder.path().join("large.cascade");
    // Two gigabytes of hashes that take no room on the disk.
    let blocks = 1 << 26;
    let large = File::create(&cascade).unwrap();
    (&large).write_all(&header(blocks, 1, [1; 32])).unwrap();
    large.set_len(64 + 32 * blocks).unwrap();
    for signal in ENDING {
        for command in ["info", "verify", "download", "seed"] {
            let setup = if signal == Signal::INT { "trap '' INT" } else { "" };
            let mut process = Launch::peer(command).arg(&cascade).after_shell(setup).start();
            let pid = process.pid();
            process.wait_until("it reads", || has_open(pid, &cascade).then_some(()));
            process.signal(signal);
            process.wait_exit_within(AT_ONCE).assert_code(130);
        }
    }
}

/// Processor time that a process has used, in ticks of 10 ms.
fn busy_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may hold anything: the fields are counted from its end.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    after_name.split(' ').nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

#[test]
fn each_signal_ends_what_waits_before_anything_is_done() {
    // A tracker that never answers, a peer that never accepts: nothing but waiting.
    for signal in ENDING {
        let scene = Scene::new(file(), &[]);
        let mut process = scene.download().start();
        let _ = scene.listening(&mut process);
        process.signal(signal);
        process.wait_exit_within(AT_ONCE).assert_code(130);
    }
}

#[test]
fn each_signal_leaves_a_record_of_the_download() {
    for signal in ENDING {
        let peer = ForeignPeer::start(&file(), Script::default().holding(0..40));
        let scene = Scene::new(file(), &[peer.addr]);
        let state = tempfile::tempdir().unwrap();
        let mut process = scene.download().env("CASCADE_STATE_DIR", state.path()).start();
        let addr = scene.listening(&mut process);
        process.wait_until("the first forty blocks", || {
            (blocks_given(addr, &scene.file).len() == 40).then_some(())
        });
        // One of the files notes when old records were looked for.
        let is_record = |entry: &fs::DirEntry| entry.file_name() != "swept";
        let records = || fs::read_dir(state.path()).unwrap().flatten().filter(is_record).count();
        assert_eq!(records(), 0, "there is a record already: this proves nothing");
        process.end_by(signal).assert_code(130);
        assert_eq!(records(), 1, "{signal:?}: no record");
    }
}

#[test]
fn who_wants_it_to_outlive_the_terminal_is_obeyed() {
    let scene = Scene::new(file(), &[]);
    let _ = file().write_data(scene.folder());
    let mut seeder = scene.seed().after_shell("trap '' HUP").start();
    let addr = scene.listening(&mut seeder);
    fetch(addr, &scene.file, 1).assert_block(&scene.file, 1);
    seeder.signal(Signal::HUP);
    fetch(addr, &scene.file, 2).assert_block(&scene.file, 2);
    seeder.assert_running();
    seeder.end_by(Signal::TERM).assert_success();
}

/// A pipe that takes nothing more, and whom nobody reads.
fn full_pipe() -> (PipeReader, Sink) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, Sink::File(File::from(OwnedFd::from(writer))))
}

/// A seeder that hangs in its first line of output, while its threads serve.
fn hanging() -> (Scene, PipeReader, Process) {
    let scene = Scene::new(file(), &[]);
    let _ = file().write_data(scene.folder());
    let (reader, sink) = full_pipe();
    let reserved = Reserved::new();
    let seed = Launch::peer("seed").arg(&scene.cascade).args(["-l", &reserved.addr.to_string()]);
    let mut process = seed.stdout(sink).start();
    let serves =
        || TcpStream::connect(reserved.addr).is_ok() && fetch(reserved.addr, &scene.file, 1).status == 0;
    process.wait_until("it serves", || serves().then_some(()));
    (scene, reader, process)
}

#[test]
fn a_second_signal_ends_what_hangs() {
    for (first, second) in [(Signal::INT, Signal::INT), (Signal::HUP, Signal::TERM)] {
        let (_scene, _reader, mut process) = hanging();
        process.signal(first);
        // Two signals of one kind that come at once are one.
        pause(Duration::from_millis(300));
        process.assert_running();
        process.signal(second);
        process.wait_exit_within(AT_ONCE).assert_code(130);
    }
}

#[test]
fn one_signal_ends_what_hangs_after_a_minute() {
    let (_scene, _reader, mut process) = hanging();
    let start = now();
    process.signal(Signal::TERM);
    process.wait_exit_within(Duration::from_secs(90)).assert_code(130);
    assert!(start.elapsed() >= Duration::from_secs(59), "it did not hang: this proves nothing");
}

#[test]
fn without_descriptors_the_programs_end_with_one_line() {
    for limit in 6..9 {
        let setup = format!("ulimit -n {limit}");
        let info = Launch::peer("info").arg("nothing").after_shell(&setup).run();
        info.assert_one_line_error(&["ulimit -n"]);
        let tracker = Launch::tracker().args(["-l", "127.0.0.1:0"]).after_shell(&setup).run();
        tracker.assert_one_line_error(&["ulimit -n"]);
    }
}
