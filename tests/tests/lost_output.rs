use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::fetch;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::launch::{Launch, Sink};
use cascade_tests::process::Signal;
use cascade_tests::scene::Scene;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;

fn file() -> TestFile {
    TestFile::random("shown.bin", 300_000, 10_000)
}

const SINKS: [fn() -> Sink; 2] = [|| Sink::BrokenPipe, || Sink::Full];

#[test]
fn an_error_that_cannot_be_told_is_an_error_all_the_same() {
    for sink in SINKS {
        for command in ["share", "create", "info", "link", "verify", "download", "seed", "demo"] {
            Launch::peer(command).arg("/nonexistent/x.cascade").stderr(sink()).run().assert_code(1);
        }
        Launch::peer("info").stderr(sink()).run().assert_code(2);
        Launch::peer("info").arg("--juggle").stderr(sink()).run().assert_code(2);
        Launch::tracker().arg("--juggle").stderr(sink()).run().assert_code(2);
        Launch::tracker().arg("/nonexistent/config.json").stderr(sink()).run().assert_code(1);
    }
}

#[test]
fn of_two_downloads_the_good_one_is_completed_whatever_becomes_of_the_output() {
    for stdout in SINKS {
        for stderr in SINKS {
            let peer = ForeignPeer::honest(&file());
            let scene = Scene::new(file(), &[peer.addr]);
            let bad = TestFile::random("bad.bin", 1000, 100);
            let cascade = bad.write_cascade(scene.folder());
            fs::create_dir(scene.folder().join("bad.bin")).unwrap();
            let done = scene.download().arg(cascade).stdout(stdout()).stderr(stderr()).run();
            done.assert_code(1);
            scene.assert_complete();
        }
    }
}

#[test]
fn output_that_is_lost_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = file().write_data(folder.path());
    let cascade = file().write_cascade(folder.path());
    let launches = || {
        [
            Launch::peer("create").arg(&data).args(["-b", "10000"]),
            Launch::peer("info").arg(&cascade),
            Launch::peer("info").arg(&cascade).arg("--json"),
            Launch::peer("verify").arg(&cascade),
            Launch::peer("--help"),
            Launch::peer("--version"),
        ]
    };
    for launch in launches() {
        launch.stdout(Sink::Full).run().assert_one_line_error(&["standard output", "space"]);
    }
    for launch in launches() {
        launch.stdout(Sink::Full).stderr(Sink::Full).run().assert_code(1);
    }
    for launch in launches() {
        launch.stdout(Sink::BrokenPipe).stderr(Sink::BrokenPipe).run().assert_code(0);
    }
}

#[test]
fn a_reader_that_goes_away_does_not_hide_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let cascade = file().write_cascade(folder.path());
    fs::write(folder.path().join("shown.bin"), b"wrong").unwrap();
    Launch::peer("verify").arg(&cascade).stdout(Sink::BrokenPipe).run().assert_one_line_error(&["shown.bin"]);
}

#[test]
fn a_download_goes_on_and_tells_that_its_output_was_lost() {
    let peer = ForeignPeer::honest(&file());
    for (sink, code) in [(Sink::Full, 1), (Sink::BrokenPipe, 0)] {
        let scene = Scene::new(file(), &[peer.addr]);
        let done = scene.download().stdout(sink).run();
        done.assert_code(code);
        assert_eq!(done.stderr.lines().count(), usize::from(code == 1), "{done}");
        scene.assert_complete();
    }
}

#[test]
fn a_download_and_a_seeder_go_on_without_anybody_who_listens() {
    for sink in SINKS {
        let scene = Scene::new(file(), &[]);
        let _ = file().write_data(scene.folder());
        let mut seeder = scene.seed().stdout(sink()).stderr(sink()).start();
        let addr = scene.listening(&mut seeder);
        fetch(addr, &scene.file, 1).assert_block(&scene.file, 1);
        let code = if matches!(sink(), Sink::Full) { 1 } else { 0 };
        seeder.end_by(Signal::TERM).assert_code(code);
    }
}

#[test]
fn a_reader_that_goes_away_in_the_middle_ends_nothing() {
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..20));
    let scene = Scene::new(file(), &[peer.addr]);
    let (reader, writer) = std::io::pipe().unwrap();
    let sink = Sink::File(File::from(OwnedFd::from(writer)));
    let process = scene.download().arg("--json").stdout(sink).start();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
    drop(reader);
    peer.gain(20..30);
    let done = process.wait_exit();
    done.assert_success();
    assert_eq!(done.stderr, "");
    scene.assert_complete();
}

#[test]
fn a_pipe_that_does_not_block_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cascade = file().write_cascade(folder.path());
    let (mut reader, writer) = std::io::pipe().unwrap();
    fcntl_setfl(&writer, fcntl_getfl(&writer).unwrap() | OFlags::NONBLOCK).unwrap();
    let sink = Sink::File(File::from(OwnedFd::from(writer)));
    // More than a pipe holds.
    let count = 1000;
    let mut info = Launch::peer("info").args(std::iter::repeat_n(&cascade, count)).stdout(sink).start();
    // It sleeps because the pipe is full, or it is slow: then it has to wait later.
    let stat = format!("/proc/{}/stat", info.pid());
    info.wait_until("it sleeps", || {
        fs::read_to_string(&stat).unwrap_or_default().contains(") S ").then_some(())
    });
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    info.wait_exit().assert_success();
    assert_eq!(text.matches(&file().hex()).count(), count);
}
