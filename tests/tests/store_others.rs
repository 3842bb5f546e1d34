use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::{ForeignClient, blocks_given};
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::launch::Launch;
use cascade_tests::process::Process;
use cascade_tests::scene::Scene;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::time::Duration;

/// Nothing here waits for anything but itself.
const AT_ONCE: Duration = Duration::from_secs(15);

fn file() -> TestFile {
    TestFile::random("shared.bin", 640_000, 10_000)
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// A download that has 32 of 64 blocks, and waits for the others.
struct Halfway {
    scene: Scene,
    peer: ForeignPeer,
    process: Process,
    addr: SocketAddr,
}

fn halfway() -> Halfway {
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..32));
    let scene = Scene::new(file(), &[peer.addr]);
    let mut process = scene.download().start();
    let addr = scene.listening(&mut process);
    process.wait_until("32 blocks", || (blocks_given(addr, &scene.file).len() == 32).then_some(()));
    Halfway { scene, peer, process, addr }
}

impl Halfway {
    /// Asks for every block, as soon as somebody has done something: none comes wrong. (Those that come at
    /// all are compared.)
    fn assert_nothing_wrong(&self) {
        let mut client = ForeignClient::connect(self.addr);
        for block in 0..32 {
            match client.ask(&self.scene.file.hash, block) {
                Ok(response) if response.status == 0 => response.assert_block(&self.scene.file, block),
                Ok(_) => {}
                // Given up in the middle: honest, too.
                Err(_) => client = ForeignClient::connect(self.addr),
            }
        }
    }

    fn finish(self) {
        self.peer.gain(32..64);
        let done = self.process.wait_exit();
        done.assert_success();
        self.scene.assert_complete();
        let again = self.scene.download().run();
        again.assert_success();
        self.scene.assert_complete();
    }
}

/// What somebody does to a name, in words and in deed.
type Deed = (&'static str, fn(&Path));

/// What other programs do to a part file.
const DEEDS: [Deed; 7] = [
    ("edited", |part| {
        let file = OpenOptions::new().write(true).open(part).unwrap();
        (0..16).for_each(|block| file.write_all_at(&[0; 5000], block * 10_000).unwrap());
    }),
    ("edited, and the time set back", |part| {
        let file = OpenOptions::new().write(true).open(part).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        file.write_all_at(&[0; 5000], 70_000).unwrap();
        file.set_modified(before).unwrap();
    }),
    ("cut", |part| OpenOptions::new().write(true).open(part).unwrap().set_len(100_000).unwrap()),
    ("cut and made longer again", |part| {
        let file = OpenOptions::new().write(true).open(part).unwrap();
        file.set_len(0).unwrap();
        file.set_len(640_000).unwrap();
    }),
    ("replaced", |part| {
        let other = part.with_extension("other");
        fs::write(&other, vec![7; 640_000]).unwrap();
        fs::rename(other, part).unwrap();
    }),
    ("replaced by an edited copy", |part| {
        let mut bytes = fs::read(part).unwrap();
        bytes[..10_000].fill(1);
        let other = part.with_extension("other");
        fs::write(&other, bytes).unwrap();
        fs::rename(other, part).unwrap();
    }),
    ("removed", |part| fs::remove_file(part).unwrap()),
];

#[test]
fn a_part_file_that_others_change_is_never_served_wrong_and_ends_right() {
    for (what, deed) in DEEDS {
        eprintln!("{what}");
        let halfway = halfway();
        deed(&halfway.scene.part());
        halfway.assert_nothing_wrong();
        halfway.finish();
    }
}

/// Through a descriptor that was open before, and with everything else in motion.
#[test]
fn edits_while_blocks_arrive_are_mended() {
    let big = TestFile::random("busy.bin", 16 << 20, 65_536);
    let peer = ForeignPeer::start(&big, Script::default().slow(4 << 20));
    let scene = Scene::new(big, &[peer.addr]);
    let mut process = scene.download().start();
    let addr = scene.listening(&mut process);
    let enough = || blocks_given(addr, &scene.file).len() >= 40;
    process.wait_until("forty blocks", || enough().then_some(()));
    let part = OpenOptions::new().write(true).open(scene.part()).unwrap();
    for round in 0..20_u64 {
        for block in 0..256 {
            part.write_all_at(&[9; 7], block * 65_536 + round).unwrap();
        }
        // Spreads the edits over the download.
        cascade_tests::clock::pause(Duration::from_millis(20));
    }
    drop(part);
    process.wait_exit().assert_success();
    scene.assert_complete();
}

#[test]
fn a_reader_of_the_part_file_disturbs_nobody() {
    let halfway = halfway();
    let reader = fs::File::open(halfway.scene.part()).unwrap();
    let _ = fs::read(halfway.scene.part()).unwrap();
    assert_eq!(blocks_given(halfway.addr, &halfway.scene.file).len(), 32);
    let asked = halfway.peer.journal().asked().len();
    halfway.peer.gain(32..64);
    let done = halfway.process.wait_exit();
    done.assert_success();
    halfway.scene.assert_complete();
    assert!(!done.both().contains("another program"), "{done}");
    let lost = halfway.peer.journal().served.len();
    assert_eq!(lost, 64, "blocks were fetched twice; {asked} were asked for before");
    drop(reader);
}

#[test]
fn a_planted_part_file_is_not_followed() {
    type Plant = (&'static str, fn(&Path, &Path));
    let plants: [Plant; 4] = [
        ("a link", |precious, part| symlink(precious, part).unwrap()),
        ("a dangling link", |precious, part| symlink(precious.with_extension("none"), part).unwrap()),
        ("a second name", |precious, part| fs::hard_link(precious, part).unwrap()),
        ("a pipe", |_, part| fifo(part)),
    ];
    for (what, plant) in plants {
        let peer = ForeignPeer::honest(&file());
        let scene = Scene::new(file(), &[peer.addr]);
        let precious = scene.folder().join("precious");
        fs::write(&precious, b"precious").unwrap();
        plant(&precious, &scene.part());
        let done = scene.download().run();
        done.assert_success();
        scene.file.assert_same(&scene.target());
        let target = fs::symlink_metadata(scene.target()).unwrap();
        assert!(target.is_file(), "{what}: the file's name is a link");
        assert_eq!(fs::read(&precious).unwrap(), b"precious", "{what}: somebody's file was changed");
        assert!(!precious.with_extension("none").exists(), "{what}: a file was made elsewhere");
        assert!(scene.part().symlink_metadata().is_ok(), "{what}: it was not ours to remove");
    }
}

#[test]
fn another_part_name_is_found_again_after_an_interrupt() {
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..32));
    let scene = Scene::new(file(), &[peer.addr]);
    symlink("nowhere", scene.part()).unwrap();
    let mut process = scene.download().start();
    let addr = scene.listening(&mut process);
    process.wait_until("32 blocks", || (blocks_given(addr, &scene.file).len() == 32).then_some(()));
    let _ = process.end_by(cascade_tests::process::Signal::KILL);
    peer.gain(32..64);
    let before = peer.journal().served.len();
    scene.download().run().assert_success();
    scene.file.assert_same(&scene.target());
    assert_eq!(peer.journal().served.len() - before, 32);
}

#[test]
fn a_target_that_no_file_may_replace_is_one_line() {
    let plants: [Deed; 4] = [
        ("a dangling link", |target| symlink("nowhere", target).unwrap()),
        ("a link to a device", |target| symlink("/dev/null", target).unwrap()),
        ("a pipe", fifo),
        ("a socket", |target| drop(std::os::unix::net::UnixListener::bind(target).unwrap())),
    ];
    for (what, plant) in plants {
        let peer = ForeignPeer::honest(&file());
        let scene = Scene::new(file(), &[peer.addr]);
        plant(&scene.target());
        let done = scene.download().start().wait_exit_within(AT_ONCE);
        // A link is followed first, and what it leads to is named.
        done.assert_one_line_error(&[if what == "a link to a device" { "/dev/null" } else { "shared.bin" }]);
        assert!(!scene.part().exists(), "{what}: {done}");
        assert!(!scene.folder().join("nowhere").exists(), "{what}: {done}");
        assert!(!scene.target().is_file(), "{what}: {done}");
    }
    let scene = Scene::new(file(), &[]);
    let done = scene.download().args(["-o", "/dev/null"]).start().wait_exit_within(AT_ONCE);
    done.assert_one_line_error(&["/dev/null"]);
}

#[test]
fn a_target_that_is_a_link_to_a_file_stays_one() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let elsewhere = scene.folder().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("real"), b"older").unwrap();
    symlink("elsewhere/real", scene.target()).unwrap();
    scene.download().run().assert_success();
    assert!(scene.target().is_symlink());
    scene.file.assert_same(&elsewhere.join("real"));
}

#[test]
fn pipes_and_devices_are_no_data_and_no_cascade_files() {
    let scene = Scene::new(file(), &[]);
    let pipe = scene.folder().join("pipe.cascade");
    fifo(&pipe);
    let at_once = |launch: Launch, named: &str| {
        launch.start().wait_exit_within(AT_ONCE).assert_one_line_error(&[named]);
    };
    let data = [pipe.as_path(), Path::new("/dev/zero")];
    for path in data {
        let name = path.to_str().unwrap();
        at_once(scene.seed().arg("--data").arg(path), name);
        at_once(scene.verify().arg(path), name);
        at_once(Launch::peer("create").arg(path).arg("-o").arg(scene.folder().join("out")), name);
        for subcommand in ["info", "verify", "seed", "download"] {
            at_once(Launch::peer(subcommand).arg(path), name);
        }
    }
    // An endless one, as far as its length goes.
    let huge = scene.folder().join("huge.cascade");
    fs::File::create(&huge).unwrap().set_len(100 << 30).unwrap();
    at_once(Launch::peer("info").arg(&huge), "huge.cascade");
}

#[test]
fn a_part_file_goes_when_another_program_has_completed_the_file() {
    // At the start.
    let scene = Scene::new(file(), &[]);
    let _ = scene.file.write_data(scene.folder());
    let half = [scene.file.data[..320_000].to_vec(), vec![0; 320_000]].concat();
    fs::write(scene.part(), half).unwrap();
    scene.download().arg("--no-wait").run().assert_success();
    scene.assert_complete();
    // Somebody else's file of that name stays.
    fs::write(scene.part(), b"somebody else's").unwrap();
    scene.download().arg("--no-wait").run().assert_success();
    assert_eq!(fs::read(scene.part()).unwrap(), b"somebody else's");

    // At the end.
    let halfway = halfway();
    let _ = halfway.scene.file.write_data(halfway.scene.folder());
    halfway.finish();
}

/// Blocks are served while the whole file is hashed, so a client may be the first who finds that it was changed.
#[test]
fn a_complete_file_that_is_changed_while_it_is_hashed_as_a_whole_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("zeroes.bin");
    // It takes no room, and a second or so to be hashed.
    let length: u64 = 2 << 30;
    fs::File::create(&data).unwrap().set_len(length).unwrap();
    let made = Launch::peer("create").cwd(folder.path()).args(["zeroes.bin", "--json"]).run();
    made.assert_success();
    let hash = made.json_lines()[0]["cascade_hash"].as_str().unwrap().to_owned();
    let hash = std::array::from_fn(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap());
    let state = folder.path().join("state");
    let launch = Launch::peer("download").cwd(folder.path()).env("CASCADE_STATE_DIR", &state);
    let mut process = launch.args(["zeroes.bin.cascade", "-l", "127.0.0.1:0", "--no-lan"]).start();
    let addr = process.wait_line("where it listens", |line| {
        line.split_once("listening on ")?.1.split_whitespace().next()?.parse::<SocketAddr>().ok()
    });
    let given = || ForeignClient::connect(addr).ask(&hash, 0).is_ok_and(|answer| answer.status == 0);
    process.wait_until("a block", || given().then_some(()));
    OpenOptions::new().write(true).open(&data).unwrap().write_all_at(b"x", length - 1).unwrap();
    process.wait_until("no block", || (!given()).then_some(()));
    process
        .wait_line("that it is noticed", |line| line.contains("another program has changed").then_some(()));
    process.wait_line("that one block lacks", |line| line.contains("1 block to get").then_some(()));
}

/// Of several files, one is complete while another is still downloaded: it is looked after for as long.
#[test]
fn a_complete_file_that_others_touch_is_served_again_while_another_one_is_downloaded() {
    let (first, other) = (file(), TestFile::random("other.bin", 640_000, 10_000));
    let peers = [ForeignPeer::honest(&first), ForeignPeer::start(&other, Script::default().holding(0..32))];
    let scene = Scene::new(first, &peers.each_ref().map(|peer| peer.addr));
    let mut process = scene.download().arg(other.write_cascade(scene.folder())).start();
    let addr = scene.listening(&mut process);
    process.wait_until("the first file", || scene.target().exists().then_some(()));
    process.wait_until("half of the other", || (blocks_given(addr, &other).len() == 32).then_some(()));
    let target = OpenOptions::new().write(true).open(scene.target()).unwrap();
    target.set_modified(std::time::UNIX_EPOCH).unwrap();
    // Whoever asks finds out.
    let _ = blocks_given(addr, &scene.file);
    process.wait_line("that it has changed", |line| line.contains("was changed; checking").then_some(()));
    process.wait_until("the first file again", || {
        (blocks_given(addr, &scene.file).len() as u64 == scene.file.blocks()).then_some(())
    });
    peers[1].gain(32..64);
    let done = process.wait_exit();
    assert!(!done.assert_success().both().contains("seeding"), "it was not to be seeded: {done}");
    scene.assert_complete();
    other.assert_same(&scene.folder().join(&other.name));
}
