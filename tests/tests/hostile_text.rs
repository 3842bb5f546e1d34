use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_peer::{Answer, ForeignPeer, Script};
use cascade_tests::foreign_tracker::{ForeignTracker, Manner};
use cascade_tests::hostile_text::{HOSTILE, HOSTILE_SHOWN, is_forbidden};
use cascade_tests::launch::{Launch, Sink};
use cascade_tests::outcome::Outcome;
use cascade_tests::process::Signal;
use cascade_tests::scene::Scene;
use cascade_tests::terminal;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;

fn file() -> TestFile {
    TestFile::random(HOSTILE, 300_000, 10_000)
}

/// The last part of a path in a JSON object.
fn name_of<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_else(|| panic!("no {field}: {object}")).rsplit('/').next().unwrap()
}

/// Runs a command in both forms; the name is shown safely in the one and exact in the other.
fn both_forms(launch: impl Fn() -> Launch, code: i32, field: &str, name: &str) {
    let plain = launch().run();
    plain.assert_code(code).assert_tame();
    assert!(plain.both().contains(HOSTILE_SHOWN), "the name is not shown: {plain}");
    let json = launch().arg("--json").run();
    json.assert_code(code).assert_tame();
    let lines = json.json_lines();
    assert!(lines.iter().any(|line| line.get(field).is_some() && name_of(line, field) == name), "{json}");
}

#[test]
fn create_info_and_verify_show_names_safely() {
    let folder = tempfile::tempdir().unwrap();
    let data = file().write_data(folder.path());
    let cascade = format!("{HOSTILE}.cascade");
    both_forms(|| Launch::peer("create").arg(&data), 0, "path", HOSTILE);
    let path = folder.path().join(&cascade);
    both_forms(|| Launch::peer("info").arg(&path), 0, "file", &cascade);
    both_forms(|| Launch::peer("verify").arg(&path), 0, "path", HOSTILE);
    fs::write(&data, file().data_with(|block| block == 3)).unwrap();
    both_forms(|| Launch::peer("verify").arg(&path), 1, "path", HOSTILE);
    fs::write(&path, b"damaged").unwrap();
    both_forms(|| Launch::peer("info").arg(&path), 1, "file", &cascade);
}

#[test]
fn errors_about_hostile_names_are_one_safe_line() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join(HOSTILE);
    for command in ["share", "create", "info", "link", "verify", "download", "seed", "demo"] {
        let done = Launch::peer(command).arg(&missing).run();
        done.assert_tame().assert_one_line_error(&[HOSTILE_SHOWN]);
    }
    // A folder can be shared, but not with a pipe in it.
    fs::create_dir(&missing).unwrap();
    mknodat(CWD, missing.join(HOSTILE), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for command in ["share", "create", "info", "link", "verify", "download", "seed", "demo"] {
        let done = Launch::peer(command).arg(&missing).run();
        done.assert_tame().assert_one_line_error(&[HOSTILE_SHOWN]);
    }
}

#[test]
fn wrong_arguments_are_shown_safely() {
    for launch in [
        Launch::peer(HOSTILE),
        Launch::peer("info").arg(format!("--{HOSTILE}")),
        Launch::peer("create").args(["x", "-b", HOSTILE]),
        Launch::peer("download").args(["x", "--listen", HOSTILE]),
        Launch::peer("download").args(["x", "--peer", HOSTILE]),
        Launch::peer("seed").args(["x", "--extension", HOSTILE]),
        Launch::peer("seed").args(["x"]).env("CASCADE_EXTENSION", HOSTILE),
        Launch::tracker().arg(format!("--{HOSTILE}")),
        Launch::tracker().args(["--listen", HOSTILE]),
    ] {
        launch.run().assert_tame().assert_code(2);
    }
    Launch::tracker().arg(HOSTILE).run().assert_tame().assert_one_line_error(&[HOSTILE_SHOWN]);
    let allowed = Launch::tracker().args(["--allow", HOSTILE]).run();
    allowed.assert_tame().assert_code(2).assert_error_mentions(&[HOSTILE_SHOWN]);
}

#[test]
fn a_download_shows_names_safely() {
    let peer = ForeignPeer::honest(&file());
    for json in [false, true] {
        let scene = Scene::new(file(), &[peer.addr]);
        let launch = scene.download();
        let done = if json { launch.arg("--json") } else { launch }.run();
        done.assert_success().assert_tame();
        scene.assert_complete();
        if json {
            let lines = done.json_lines();
            let ended = lines.iter().find(|line| line["event"] == "done").unwrap();
            assert_eq!((name_of(ended, "file"), name_of(ended, "path")), (HOSTILE, HOSTILE), "{done}");
        } else {
            assert!(done.stdout.contains(HOSTILE_SHOWN), "{done}");
        }
    }
}

#[test]
fn a_seeder_and_the_demo_show_names_safely() {
    let scene = Scene::new(file(), &[]);
    let (mut seeder, _) = scene.seeding();
    seeder.wait_line("what it seeds", |line| line.contains("seeding").then_some(()));
    seeder.end_by(Signal::TERM).assert_success().assert_tame();
    let done = Launch::peer("demo").arg(scene.target()).run();
    done.assert_success().assert_tame();
    assert!(done.stdout.contains("peer create $'na"), "{done}");
}

/// A download that nobody helps, in the given form.
fn refused(launch: Launch, json: bool) -> Outcome {
    let done = if json { launch.arg("--json") } else { launch }.run();
    done.assert_code(1).assert_tame();
    done
}

#[test]
fn a_tracker_s_message_is_shown_safely_and_exact_in_json() {
    let message = [HOSTILE.as_bytes(), b" \xff\xfe\n"].concat();
    let tracker = ForeignTracker::start(Manner::Refusal(message));
    let scene = Scene::new(TestFile::random("plain.bin", 1000, 100), &[]);
    let launch =
        || scene.download_without_tracker().args(["--no-wait", "--tracker", &tracker.addr.to_string()]);
    let done = refused(launch(), false);
    let shown = format!("{HOSTILE_SHOWN} \\xff\\xfe");
    assert!(done.stdout.contains(&shown) && done.stderr.contains(&shown), "{done}");
    let done = refused(launch(), true);
    let exact = format!("{HOSTILE} \\xff\\xfe");
    let told = |line: &Value| line["error"].as_str().is_some_and(|error| error.ends_with(&exact));
    assert!(done.json_lines().iter().any(told), "{done}");
}

#[test]
fn a_peer_s_message_is_shown_safely_and_exact_in_json() {
    for status in [1, 3, 4, 77] {
        for json in [false, true] {
            let message = Answer::Message { status, text: format!("{HOSTILE}\n").into(), close: true };
            let scene = Scene::new(TestFile::random("plain.bin", 1000, 100), &[]);
            let rude = ForeignPeer::start(&scene.file, Script::default().answering(message));
            let launch = scene.download_without_tracker().args(["--peer", &rude.addr.to_string()]);
            let mut process = if json { launch.arg("--json") } else { launch }.start();
            let said = if json { "refuses: na\u{ef}ve\\nFORGED" } else { HOSTILE_SHOWN };
            process.wait_line("what the peer said", |line| line.contains(said).then_some(()));
            let done = process.end_by(Signal::INT);
            done.assert_code(130).assert_tame();
            if json {
                let told =
                    |line: &Value| line["message"].as_str().is_some_and(|text| text.ends_with(HOSTILE));
                assert!(done.json_lines().iter().any(told), "{done}");
            }
        }
    }
}

#[test]
fn names_that_are_not_utf_8_are_shown_and_can_be_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = TestFile::random("x", 1000, 100);
    for name in
        [b"gpj.\xe2\x80\xae\xff\xc3.exe" as &[u8], HOSTILE.as_bytes(), b"-it's $HOME `x`!\\", b"a\xff7"]
    {
        let data = folder.path().join(OsStr::from_bytes(name));
        fs::write(&data, &hostile.data).unwrap();
        let done = Launch::peer("create")
            .arg(Path::new(".").join(data.file_name().unwrap()))
            .cwd(folder.path())
            .run();
        done.assert_success().assert_tame();
        assert!(!done.stdout.contains('\u{fffd}'), "a name is shown as another: {done}");
        if !Path::new("/bin/bash").exists() {
            eprintln!("skipped: there is no bash here");
            continue;
        }
        for command in ["peer seed ", "peer download "] {
            let word = done.stdout.lines().find_map(|line| line.split_once(command)).unwrap().1;
            // The same words, another command: this one ends by itself.
            let script = format!("exec \"$0\" verify {word}");
            let bash = Launch::program(Path::new("/bin/bash")).cwd(folder.path()).args(["-c", &script]);
            bash.arg(cascade_tests::binaries::peer()).run().assert_success().assert_tame();
        }
    }
}

/// Takes out what bars are made of: colours, ways of the cursor, new lines.
fn without_drawing(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap();
        assert!("mABCDK".contains(&part[end..=end]), "no bar is made of {part:?}");
        plain += &part[end + 1..];
    }
    plain.replace(['\r', '\n'], "")
}

#[test]
fn bars_show_names_safely() {
    let peer = ForeignPeer::start(&file(), Script::default().slow(400_000));
    let tracker = ForeignTracker::start(Manner::Refusal(HOSTILE.into()));
    let scene = Scene::new(file(), &[peer.addr]);
    let _ = file().write_data(scene.folder());
    fs::rename(scene.target(), scene.folder().join("data")).unwrap();
    for (launch, wanted) in [
        (scene.download().args(["--tracker", &tracker.addr.to_string()]), "it refuses"),
        (Launch::peer("verify").arg(&scene.cascade).arg(scene.folder().join("data")), ""),
        (Launch::peer("create").arg(scene.target()), ""),
    ] {
        let (terminal, mut reader) = terminal::open();
        let process = launch.stderr(Sink::File(terminal)).start();
        let seen = thread::spawn(move || {
            let mut bytes = Vec::new();
            // A terminal that nobody has open any more ends with an error.
            let _ = reader.read_to_end(&mut bytes);
            String::from_utf8(bytes).unwrap()
        });
        process.wait_exit().assert_success().assert_tame();
        let seen = seen.join().unwrap();
        let plain = without_drawing(&seen);
        assert!(!plain.chars().any(is_forbidden), "it plays with the terminal: {seen:?}");
        assert!(plain.contains(wanted), "this proves nothing: {seen:?}");
    }
    scene.assert_complete();
}

#[test]
fn a_terminal_that_goes_away_does_not_end_a_download() {
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..20));
    let scene = Scene::new(file(), &[peer.addr]);
    let (terminal, mut reader) = terminal::open();
    let [stdout, stderr] = [terminal.try_clone().unwrap(), terminal].map(Sink::File);
    let mut process = scene.download().stdout(stdout).stderr(stderr).start();
    let _ = scene.listening(&mut process);
    assert!(reader.read(&mut [0; 100]).unwrap() > 0, "it shows nothing");
    drop(reader);
    peer.gain(20..30);
    let done = process.wait_exit();
    // The line that ends a download could not be shown.
    done.assert_code(1);
    scene.assert_complete();
}
