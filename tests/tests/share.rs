use crate::links::{assert_complete, download, peer};
use cascade_tests::address::Reserved;
use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::ForeignClient;
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::launch::Launch;
use cascade_tests::process::Process;
use cascade_tests::tracker_client::{LIST, Request, SUBSCRIBE};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use tempfile::TempDir;

/// A machine of its own: a folder with the shared files, and one with what is remembered.
pub(crate) struct Home {
    folder: TempDir,
    state: TempDir,
}

impl Home {
    pub(crate) fn with(files: &[&TestFile]) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() };
        for file in files {
            let _ = file.write_data(home.folder.path());
        }
        home
    }

    pub(crate) fn share(&self, names: &[&str]) -> Launch {
        peer("share", &self.folder).env("CASCADE_STATE_DIR", self.state.path()).args(names)
    }

    /// Shares on any port of 127.0.0.1.
    fn sharing(&self, names: &[&str]) -> Process {
        self.share(names).args(["-l", "127.0.0.1:0"]).start()
    }
}

/// The link in the line that is printed to be pasted.
pub(crate) fn pasted(process: &mut Process) -> String {
    process.wait_line("the line to paste", |line| {
        Some(line.trim_end().split_once("peer download '")?.1.strip_suffix('\'')?.to_owned())
    })
}

fn listening(process: &mut Process) -> SocketAddr {
    process.wait_line("an address", |line| {
        line.split_once("listening on ")?.1.split_whitespace().next()?.parse().ok()
    })
}

fn film() -> TestFile {
    TestFile::random("film.mkv", 5_000_000, 65_536)
}

#[test]
fn two_receivers_need_the_printed_line_and_nothing_else() {
    let file = film();
    let home = Home::with(&[&file]);
    let mut sharer = home.sharing(&["film.mkv"]);
    let link = pasted(&mut sharer);
    let receivers = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let running: Vec<_> = receivers.iter().map(|folder| download(folder, &link).start()).collect();
    for process in running {
        process.wait_exit().assert_success();
    }
    receivers.iter().for_each(|folder| assert_complete(folder.path(), &file));
    let done = sharer.end_by(Signal::INT);
    done.assert_code(0);
    let summary = done.stdout.lines().find(|line| line.contains("copies")).unwrap_or_default();
    assert!(summary.starts_with("film.mkv: gave ") && summary.contains("2 receivers"), "{done}");
    let (given, how) = summary.split_once(" copies; ").unwrap();
    let copies: f64 = given.rsplit_once(", ").unwrap().1.parse().unwrap();
    assert!((1.0..=2.2).contains(&copies), "{done}");
    assert!(how.starts_with("2 of 2 complete, the last after "), "{done}");
    let names: Vec<_> =
        fs::read_dir(home.folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["film.mkv"], "nothing is written beside the user's files");
}

#[test]
fn receivers_may_start_before_the_sharer() {
    let file = film();
    let (home, reserved) = (Home::with(&[&file]), Reserved::new());
    let start = || home.share(&["film.mkv"]).args(["-l", &reserved.addr.to_string()]).start();
    let mut first = start();
    let link = pasted(&mut first);
    let _ = listening(&mut first);
    first.end_by(Signal::INT).assert_code(0);
    let folder = tempfile::tempdir().unwrap();
    let mut early = download(&folder, &link).start();
    early.wait_line("that it waits", |line| line.contains("waiting for the .cascade file").then_some(()));
    let mut second = start();
    assert_eq!(pasted(&mut second), link, "the same file has the same link");
    early.wait_exit().assert_success();
    assert_complete(folder.path(), &file);
}

#[test]
fn a_link_works_when_its_tracker_is_gone() {
    let file = film();
    let home = Home::with(&[&file]);
    let tracker = ForeignTracker::listing(&[]);
    let at = tracker.addr.to_string();
    let mut sharer = home.share(&["film.mkv"]).args(["-l", "127.0.0.1:0", "-t", &at]).start();
    let link = pasted(&mut sharer);
    assert!(link.contains(&format!("tracker={}", at.replace(':', "%3A"))), "{link}");
    sharer.wait_until("its registration", || tracker.first_subscriber(&file_hash(&link)));
    drop(tracker);
    let folder = tempfile::tempdir().unwrap();
    download(&folder, &link).run().assert_success();
    assert_complete(folder.path(), &file);
}

/// The hash in a link.
fn file_hash(link: &str) -> [u8; 32] {
    let digits = &link["cascade:".len()..][..64];
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    }
    hash
}

#[test]
fn leechers_go_on_without_the_sharer() {
    let file = TestFile::random("film.mkv", 5_000_000, 65_536);
    let home = Home::with(&[&file]);
    let mut sharer = home.sharing(&["film.mkv"]);
    let link = pasted(&mut sharer);
    let first = tempfile::tempdir().unwrap();
    let mut seeding = download(&first, &link).arg("--seed").start();
    let at = listening(&mut seeding);
    seeding.wait_line("that it seeds", |line| line.contains("seeding, all").then_some(()));
    sharer.signal(Signal::KILL);
    let second = tempfile::tempdir().unwrap();
    download(&second, &link).args(["--peer", &at.to_string()]).run().assert_success();
    assert_complete(second.path(), &file);
}

#[test]
fn several_files_have_a_line_each() {
    let files =
        [film(), TestFile::random("notes.txt", 10, 65_536), TestFile::of("empty", Vec::new(), 65_536)];
    let home = Home::with(&files.each_ref());
    let mut sharer = home.share(&["film.mkv", "notes.txt", "empty", "-l", "127.0.0.1:0", "--json"]).start();
    let folder = tempfile::tempdir().unwrap();
    for file in &files {
        let start = format!("\"file\":\"{}\"", file.name);
        let link = sharer.wait_line("a link", |line| {
            let line =
                Some(line).filter(|line| line.contains(&start) && line.contains(r#""event":"share""#))?;
            Some(line.split_once(r#""link":""#)?.1.split_once('"')?.0.to_owned())
        });
        download(&folder, &link).run().assert_success();
        file.assert_same(&folder.path().join(&file.name));
    }
    let done = sharer.end_by(Signal::TERM);
    done.assert_code(0);
    let given: Vec<_> = done.stdout.lines().filter(|line| line.contains(r#""event":"given""#)).collect();
    assert_eq!(given.len(), 3, "{done}");
    assert!(given[0].contains(r#""receivers":1"#) && given[1].contains(r#""receivers":1"#), "{done}");
    assert!(given[0].contains(r#""bytes":5000000"#) && given[2].contains(r#""bytes":0"#), "{done}");
}

#[test]
fn what_was_described_once_is_not_read_again() {
    let file = TestFile::random("large.bin", 64 << 20, 65_536);
    let home = Home::with(&[&file]);
    let read = |process: &mut Process| {
        process.wait_line("that it seeds", |line| line.contains("seeding, all").then_some(()));
        let io = fs::read_to_string(format!("/proc/{}/io", process.pid())).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let mut first = home.sharing(&["large.bin"]);
    let link = pasted(&mut first);
    let bytes = read(&mut first);
    assert!((64 << 20..72 << 20).contains(&bytes), "it is hashed once: {bytes} bytes were read");
    drop(first);
    let mut second = home.sharing(&["large.bin"]);
    let again = pasted(&mut second);
    assert_eq!(again.split_once('?').unwrap().0, link.split_once('?').unwrap().0);
    let bytes = read(&mut second);
    assert!(bytes < 8 << 20, "{bytes} bytes were read");
    drop(second);
    // It has changed: another link.
    fs::write(home.folder.path().join("large.bin"), b"now it is small").unwrap();
    let mut third = home.sharing(&["large.bin"]);
    assert_ne!(pasted(&mut third).split_once('?').unwrap().0, link.split_once('?').unwrap().0);
}

#[test]
fn a_cascade_file_of_the_user_s_is_used_if_it_is_right_and_never_written_to() {
    let file = TestFile::random("film.mkv", 50_000, 1000);
    let home = Home::with(&[&file]);
    let cascade = file.write_cascade(home.folder.path());
    let mut sharer = home.sharing(&["film.mkv"]);
    assert!(pasted(&mut sharer).contains(&file.hex()), "the block size of what is there is kept");
    drop(sharer);
    fs::write(&cascade, b"something else").unwrap();
    let mut sharer = home.sharing(&["film.mkv"]);
    assert!(!pasted(&mut sharer).contains(&file.hex()));
    assert_eq!(fs::read(&cascade).unwrap(), b"something else");
}

#[test]
fn peer_and_tracker_answer_on_one_port() {
    let file = TestFile::random("film.mkv", 50_000, 65_536);
    let home = Home::with(&[&file]);
    let mut sharer = home.sharing(&["film.mkv"]);
    let hash = file_hash(&pasted(&mut sharer));
    let at = listening(&mut sharer);
    // Before, it may answer that it does not have the block yet.
    sharer.wait_line("that it seeds", |line| line.contains("seeding, all").then_some(()));
    // A block; the sharer in a list; a subscriber in the next one.
    let block = ForeignClient::connect(at).ask(&hash, 0).unwrap();
    assert_eq!((block.status, block.body.as_slice()), (0, &*file.data));
    let list = Request::new(LIST, hash, [10, 0, 0, 1], 1).ask(at);
    assert_eq!(list.entries().len(), 1);
    let _ = Request::new(SUBSCRIBE, hash, [10, 0, 0, 2], 7).ask(at);
    assert_eq!(Request::new(LIST, hash, [10, 0, 0, 1], 1).ask(at).entries().len(), 2);
    // Byte by byte, cut short, of another version, about another file; and neither protocol.
    let whole = Request::new(LIST, hash, [10, 0, 0, 1], 1).bytes();
    let talk = |pieces: &[&[u8]]| {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_nodelay(true).unwrap();
        pieces.iter().for_each(|piece| stream.write_all(piece).unwrap());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    assert_eq!(talk(&bytes)[..5], [0, 0, 0, 0, 24]);
    let trailing = [&whole[..], &[7; 100]].concat();
    assert_eq!(talk(&[&trailing])[..5], [0, 0, 0, 0, 24]);
    for (what, wrong, part) in [
        ("cut short", whole[..30].to_vec(), "cut short"),
        ("another version", [&whole[..7], &[9], &whole[8..]].concat(), "version"),
        ("another file", Request::new(LIST, [9; 32], [10, 0, 0, 1], 1).bytes(), "does not track"),
    ] {
        let answer = talk(&[&wrong]);
        assert_eq!(answer[0], 1, "{what}");
        assert!(
            String::from_utf8_lossy(&answer[5..]).contains(part),
            "{what}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    for neither in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"CAS", b"CASCADE2", b"CASC"] {
        assert_eq!(talk(&[neither])[0], 4, "{neither:?}");
    }
    sharer.assert_running();
}

#[test]
fn version_1_is_served_by_its_own_ways() {
    let file = TestFile::random("film.mkv", 500_000, 65_536);
    let home = Home::with(&[&file]);
    let mut sharer = home.sharing(&["film.mkv"]);
    let _ = pasted(&mut sharer);
    let at = listening(&mut sharer);
    let folder = tempfile::tempdir().unwrap();
    let cascade = file.write_cascade(folder.path());
    let plain = Launch::peer("download").arg(&cascade).args(["--extension", "off", "-l", "127.0.0.1:0"]);
    plain.args(["-t", &at.to_string()]).run().assert_success();
    file.assert_same(&folder.path().join("film.mkv"));
}

#[test]
fn what_cannot_be_shared_is_one_line() {
    let file = TestFile::random("film.mkv", 5000, 100);
    let home = Home::with(&[&file]);
    home.share(&["film.mkv", "nothing"]).run().assert_one_line_error(&["nothing", "no such file"]);
    home.share(&["/dev/null"]).run().assert_one_line_error(&["/dev/null"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    home.share(&["film.mkv", "-l", &at]).run().assert_one_line_error(&[&at, "in use", "--listen"]);
    // Its name is too long for a link, and the user knows it by no other.
    let long = "n".repeat(255);
    fs::write(home.folder.path().join(&long), "named").unwrap();
    let done = home.share(&[&long]).run();
    done.assert_one_line_error(&[&format!("no link for {long}: "), "240", "a shorter name"]);
    fs::create_dir_all(home.folder.path().join("folder/a/b/c/d/e/f/g/h/i")).unwrap();
    let done = home.share(&["folder"]).after_shell("ulimit -n 10").run();
    done.assert_one_line_error(&["folder", "too many open files", "ulimit -n"]);
    for wrong in [
        &["film.mkv", "--address", "a b"][..],
        &["film.mkv", "--address", "::1:80"],
        &["film.mkv", "--address", "0.0.0.0"],
        &["film.mkv", "--address", "x:0"],
        &[],
        &["film.mkv", "-t", "x"],
    ] {
        home.share(wrong).run().assert_code(2);
    }
}

#[test]
fn the_link_says_where_others_reach_the_machine() {
    let file = TestFile::random("my film.mkv", 5000, 100);
    let home = Home::with(&[&file]);
    let addresses = ["--address", "203.0.113.7", "--address", "box.example:99"];
    let mut sharer = home.share(&["my film.mkv"]).args(addresses).start();
    let link = pasted(&mut sharer);
    let port = listening(&mut sharer).port();
    assert!(link.contains("name=my%20film.mkv&length=5000"), "{link}");
    let where_to = format!("&tracker=203.0.113.7%3A{port}&peer=203.0.113.7%3A{port}&peer=box.example%3A99");
    assert!(link.ends_with(&where_to), "{link}");
    drop(sharer);
    // Without it the machine's own, and those of loopback only if there is no other.
    let mut sharer = home.share(&["my film.mkv"]).start();
    let link = pasted(&mut sharer);
    let (peers, routes) = (link.matches("&peer=").count(), fs::read_to_string("/proc/net/route").unwrap());
    assert!((1..=3).contains(&peers), "{link}");
    assert!(routes.lines().count() < 2 || !link.contains("127.0.0.1"), "{link}");
}

#[test]
fn without_a_folder_for_records_it_is_shared_all_the_same() {
    let file = TestFile::random("film.mkv", 50_000, 1000);
    let folder = tempfile::tempdir().unwrap();
    let _ = file.write_data(folder.path());
    let temporary = tempfile::tempdir().unwrap();
    let share =
        peer("share", &folder).env("TMPDIR", temporary.path()).args(["film.mkv", "-l", "127.0.0.1:0"]);
    let mut sharer = share.start();
    let link = pasted(&mut sharer);
    let receiver = tempfile::tempdir().unwrap();
    download(&receiver, &link).run().assert_success();
    file.assert_same(&receiver.path().join("film.mkv"));
    sharer.end_by(Signal::INT).assert_code(0);
    assert!(is_empty(temporary.path()), "the temporary folder stays");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}
