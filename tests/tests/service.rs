//! `tracker` and `peer` under a service manager: what they tell it, and what it finds in its journal.

use crate::tracker_setup::RunningTracker;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::launch::{Launch, Sink};
use cascade_tests::process::Signal;
use cascade_tests::scene::Scene;
use cascade_tests::terminal;
use cascade_tests::tracker_client::{LIST, Request};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use tempfile::TempDir;

/// A service manager, which is told how a service is.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("socket")).unwrap();
        socket.set_read_timeout(Some(clock::LIMIT)).unwrap();
        Self { socket, folder }
    }

    fn start(&self, launch: Launch) -> Launch {
        launch.env("NOTIFY_SOCKET", self.folder.path().join("socket"))
    }

    /// The next message.
    fn hears(&self) -> String {
        let mut message = [0; 4096];
        let len = self.socket.recv(&mut message).expect("a message of the service");
        String::from_utf8(message[..len].to_vec()).unwrap()
    }
}

#[test]
fn a_tracker_tells_its_manager_and_bears_a_reload_with_nothing_to_read() {
    let manager = Manager::new();
    let mut tracker = RunningTracker::with_args(manager.start(Launch::tracker().args(["-l", "127.0.0.1:0"])));
    assert_eq!(manager.hears().trim(), "READY=1");
    tracker.process.signal(Signal::HUP);
    tracker.process.wait_line("a word", |line| line.contains("nothing to read again").then_some(()));
    assert_eq!(Request::new(LIST, [1; 32], [10, 0, 0, 1], 7).ask(tracker.addr).status, 0);
    tracker.process.signal(Signal::TERM);
    assert_eq!(manager.hears().trim(), "STOPPING=1");
    tracker.process.wait_exit().assert_code(0);
}

#[test]
fn the_end_of_its_terminal_ends_a_tracker_with_nothing_to_read() {
    let (end, _reader) = terminal::open();
    let name = fs::read_link(format!("/proc/self/fd/{}", end.as_raw_fd())).unwrap();
    let launch = Launch::tracker().after_shell(&format!("exec <{}", name.display()));
    let mut tracker = RunningTracker::with_args(launch.args(["-l", "127.0.0.1:0"]));
    tracker.process.signal(Signal::HUP);
    assert_eq!(tracker.process.wait_exit().code, None);
}

#[test]
fn a_seeder_and_a_server_tell_when_they_serve() {
    let scene = Scene::new(TestFile::random("film.bin", 100_000, 65_536), &[]);
    let _ = scene.file.write_data(scene.folder());
    let serve = Launch::peer("serve").args(["-l", "127.0.0.1:0", "--no-lan"]).arg(scene.folder());
    for launch in [scene.seed(), serve] {
        let manager = Manager::new();
        let process = manager.start(launch).start();
        assert_eq!(manager.hears().trim(), "READY=1");
        process.end_by(Signal::INT).assert_code(0);
    }
}

#[test]
fn what_is_wrong_has_its_priority_in_the_journal() {
    let scene = Scene::new(TestFile::random("film.bin", 100_000, 65_536), &[]);
    let _ = scene.file.write_data(scene.folder());
    fs::write(scene.folder().join("half.cascade"), "no such file").unwrap();
    let journal = scene.folder().join(".journal");
    let out = File::options().create(true).append(true).open(&journal).unwrap();
    let metadata = out.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let serve = Launch::peer("serve").args(["-l", "127.0.0.1:0", "--no-lan"]).arg(scene.folder());
    let serve = serve.args(["-t", "127.0.0.1:1"]).env("JOURNAL_STREAM", &stream);
    let server = serve.stdout(Sink::File(out.try_clone().unwrap())).stderr(Sink::File(out)).start();
    let has = |start: &str, text: &str| {
        let said = fs::read_to_string(&journal).unwrap();
        said.lines().any(|line| line.starts_with(start) && line.contains(text)).then_some(())
    };
    clock::eventually("the wrong file", || has("<3>peer: ", "half.cascade"));
    clock::eventually("the tracker", || has("<4>tracker 127.0.0.1:1: ", "0 of 1 file registered; "));
    clock::eventually("what is right", || has("film.bin: ", "seeding, all 2 blocks verified"));
    server.end_by(Signal::INT).assert_code(0);
}
