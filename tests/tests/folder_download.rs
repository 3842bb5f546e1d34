use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::foreign_client::blocks_given;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::full_speed;
use cascade_tests::launch::{Launch, can_inject, can_mount, injected};
use cascade_tests::process::{Process, Signal};
use cascade_tests::tree::{self, Elsewhere, FolderScene};
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

fn scene() -> FolderScene {
    FolderScene::new("photos", "10240", tree::make)
}

/// The archive of a folder, as a file of a scripted peer.
fn archive() -> (FolderScene, TestFile) {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let file = scene.fetch(addr);
    (scene, TestFile { name: "photos".into(), ..file })
}

#[test]
fn a_folder_is_downloaded() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let elsewhere = scene.elsewhere();
    elsewhere.download(addr).run().assert_success();
    assert_eq!(elsewhere.names(), ["photos", "photos.cascade"]);
    tree::assert_same(&scene.source, &elsewhere.target);
    // It is complete already.
    elsewhere.download(addr).arg("--no-wait").run().assert_success();
}

/// The second time there is a folder of that name, into which others would go.
#[test]
fn a_folder_under_a_chosen_name_is_found_again_and_updated() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let elsewhere = scene.elsewhere();
    let chosen = elsewhere.dir.path().join("chosen");
    let download = || elsewhere.download(addr).arg("-o").arg(&chosen).arg("--no-wait");
    for round in ["first", "again"] {
        let done = download().run();
        done.assert_success();
        assert_eq!(done.stdout.contains("complete and verified already"), round == "again", "{done}");
        tree::assert_same(&scene.source, &chosen);
    }
    // With an update it is that folder also when nothing is known of it.
    let copied = elsewhere.dir.path().join("copied");
    fs::create_dir(&copied).unwrap();
    elsewhere.download(addr).arg("-o").arg(&copied).args(["--no-wait", "--update"]).run().assert_success();
    tree::assert_same(&scene.source, &copied);
    // Into another folder it goes under its own name.
    fs::create_dir(elsewhere.dir.path().join("into")).unwrap();
    elsewhere.download(addr).arg("-o").arg(elsewhere.dir.path().join("into")).run().assert_success();
    tree::assert_same(&scene.source, &elsewhere.dir.path().join("into/photos"));
}

#[test]
fn a_folder_is_kept_as_one_file_that_tar_unpacks() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let elsewhere = scene.elsewhere();
    elsewhere.download(addr).arg("--tar").run().assert_success();
    assert_eq!(elsewhere.names(), ["photos.cascade", "photos.tar"]);
    scene.fetch(addr).assert_same(&elsewhere.dir.path().join("photos.tar"));
}

/// Whether it is one is seen by its length, or by its first bytes.
#[test]
fn a_file_keeps_its_name_where_archives_are_kept_as_one_file() {
    for length in [1_000_000, 512 * 2000] {
        let file = TestFile::random("film.bin", length, 10_000);
        let (peer, elsewhere) = (ForeignPeer::honest(&file), Elsewhere::of(&file));
        elsewhere.download(peer.addr).arg("--tar").run().assert_success();
        assert_eq!(elsewhere.names(), ["film.bin", "film.bin.cascade"]);
        file.assert_same(&elsewhere.target);
        assert!(peer.journal().asked().len() <= 110 + 5, "hardly anything is asked for twice");
        elsewhere.download(peer.addr).arg("--tar").run().assert_success();
        assert_eq!(elsewhere.names(), ["film.bin", "film.bin.cascade"]);
        // An older one is replaced, as without the option.
        fs::write(&elsewhere.target, "an older version").unwrap();
        elsewhere.download(peer.addr).arg("--tar").run().assert_success();
        file.assert_same(&elsewhere.target);
        let chosen = elsewhere.dir.path().join("chosen");
        elsewhere.download(peer.addr).args(["--tar", "-o"]).arg(&chosen).run().assert_success();
        file.assert_same(&chosen);
    }
    // What the user has named is the archive's name, too.
    let (scene, file) = archive();
    let (peer, elsewhere) = (ForeignPeer::honest(&file), Elsewhere::of(&file));
    let chosen = elsewhere.dir.path().join("chosen.tar");
    elsewhere.download(peer.addr).args(["--tar", "-o"]).arg(&chosen).run().assert_success();
    file.assert_same(&chosen);
    drop(scene);
}

#[test]
fn folders_with_blocks_of_any_size_are_downloaded() {
    for block_size in ["500", "65536", "1MiB", "1GiB"] {
        let scene = FolderScene::new("photos", block_size, tree::make);
        let (_seeder, addr) = scene.seeding();
        let elsewhere = scene.elsewhere();
        elsewhere.download(addr).run().assert_success();
        tree::assert_same(&scene.source, &elsewhere.target);
    }
    let empty = FolderScene::new("nothing", "65536", |_| ());
    let (_seeder, addr) = empty.seeding();
    let elsewhere = empty.elsewhere();
    elsewhere.download(addr).run().assert_success();
    tree::assert_same(&empty.source, &elsewhere.target);
}

/// From a version 1 peer that has a part of the blocks; the downloader serves those to others.
#[test]
fn what_has_come_is_served_before_and_after_the_folder_is_complete() {
    let (scene, file) = archive();
    let half = file.blocks() / 2;
    let peer = ForeignPeer::start(&file, Script::default().holding(0..half));
    let (elsewhere, tracker) = (Elsewhere::of(&file), ForeignTracker::listing(&[]));
    let download = elsewhere.download(peer.addr).arg("--seed").arg("--tracker").arg(tracker.addr.to_string());
    let mut process = download.start();
    let addr = process.wait_until("a subscription", || tracker.first_subscriber(&file.hash));
    process
        .wait_until("half of the blocks", || (blocks_given(addr, &file).len() as u64 == half).then_some(()));
    assert!(elsewhere.part().join("files").is_dir() && !elsewhere.target.exists());
    peer.gain(half..file.blocks());
    process.wait_until("all blocks under the name", || elsewhere.target.exists().then_some(()));
    process
        .wait_until("all blocks", || (blocks_given(addr, &file).len() as u64 == file.blocks()).then_some(()));
    tree::assert_same(&scene.source, &elsewhere.target);
    assert_eq!(elsewhere.names(), ["photos", "photos.cascade"]);
    process.end_by(Signal::TERM).assert_success();
}

#[test]
fn a_seeder_that_a_tracker_alone_knows_is_still_known_when_the_file_turns_out_to_be_a_folder() {
    let (scene, file) = archive();
    let peer = ForeignPeer::honest(&file);
    let tracker = ForeignTracker::listing(&[peer.addr]);
    let elsewhere = Elsewhere::of(&file);
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let start = clock::now();
    elsewhere.download(nobody).arg("--tracker").arg(tracker.addr.to_string()).run().assert_success();
    // The tracker's next list would come after thirty seconds.
    assert!(full_speed::since(start) < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(tracker.announces().len(), 1);
    tree::assert_same(&scene.source, &elsewhere.target);
}

/// A download that has half of the blocks, all of them in the folder's files, and waits for the others.
fn halfway(file: &TestFile, elsewhere: &Elsewhere) -> (ForeignPeer, Process, SocketAddr) {
    let half = file.blocks() / 2;
    let peer = ForeignPeer::start(file, Script::default().holding(0..half));
    let tracker = ForeignTracker::listing(&[]);
    let mut process = elsewhere.download(peer.addr).arg("--tracker").arg(tracker.addr.to_string()).start();
    let addr = process.wait_until("a subscription", || tracker.first_subscriber(&file.hash));
    process
        .wait_until("half of the blocks", || (blocks_given(addr, file).len() as u64 == half).then_some(()));
    let head = elsewhere.part().join("head");
    process.wait_until("all in their places", || {
        let length = fs::metadata(&head).map_or(u64::MAX, |head| head.len());
        (length < file.data.len() as u64).then_some(())
    });
    (peer, process, addr)
}

#[test]
fn it_goes_on_after_a_kill_with_what_was_verified() {
    let (scene, file) = archive();
    for signal in [Signal::KILL, Signal::TERM] {
        let elsewhere = Elsewhere::of(&file);
        let (peer, process, _) = halfway(&file, &elsewhere);
        let _ = process.end_by(signal);
        drop(peer);
        let asked_before = 0;
        let peer = ForeignPeer::honest(&file);
        elsewhere.download(peer.addr).run().assert_success();
        tree::assert_same(&scene.source, &elsewhere.target);
        let asked = peer.journal().asked().len() as u64 - asked_before;
        assert!(asked <= file.blocks() - file.blocks() / 2 + 2, "{asked} blocks were asked for again");
    }
}

#[test]
fn links_and_requests_stay_when_a_file_turns_out_to_be_a_folder() {
    let (scene, file) = archive();
    let peer = ForeignPeer::start(&file, Script::default().slow(2_000_000));
    let elsewhere = Elsewhere::of(&file);
    elsewhere.download(peer.addr).run().assert_success();
    tree::assert_same(&scene.source, &elsewhere.target);
    let requests = peer.finish().requests;
    let head = requests.iter().find(|request| request.block == 0).unwrap().connection;
    let on_it = requests.iter().filter(|request| request.connection == head).count() as u64;
    let (asked, all) = (requests.len() as u64, file.blocks());
    assert!(on_it > all / 2, "the link that gave the head gave {on_it} of {all} blocks");
    assert!(asked <= all + 5, "{asked} requests for {all} blocks");
}

/// Then some blocks are in the file that has turned, and others in the folder's files.
#[test]
fn it_goes_on_when_it_was_killed_as_soon_as_it_was_a_folder() {
    let (scene, file) = archive();
    for _ in 0..3 {
        let elsewhere = Elsewhere::of(&file);
        let peer = ForeignPeer::start(&file, Script::default().slow(2_000_000));
        let mut process = elsewhere.download(peer.addr).start();
        let files = elsewhere.part().join("files");
        process.wait_until("a folder", || files.exists().then_some(()));
        let _ = process.end_by(Signal::KILL);
        let given = peer.finish().served.len() as u64;
        let peer = ForeignPeer::honest(&file);
        elsewhere.download(peer.addr).run().assert_success();
        tree::assert_same(&scene.source, &elsewhere.target);
        assert_eq!(elsewhere.names(), ["photos", "photos.cascade"]);
        assert!(peer.finish().requests.len() as u64 + given >= file.blocks());
    }
}

#[test]
fn it_goes_on_wherever_it_was_killed() {
    let (scene, file) = archive();
    let mut random = fastrand::Rng::with_seed(7);
    let elsewhere = Elsewhere::of(&file);
    for _ in 0..12 {
        let peer = ForeignPeer::start(&file, Script::default().slow(8_000_000));
        let mut process = elsewhere.download(peer.addr).start();
        let until = random.usize(..400);
        let asked = |peer: &ForeignPeer| peer.journal().asked().len();
        process
            .wait_until("some blocks", || (asked(&peer) >= until || elsewhere.target.exists()).then_some(()));
        if elsewhere.target.exists() {
            process.wait_exit().assert_success();
            break;
        }
        let _ = process.end_by(Signal::KILL);
    }
    let peer = ForeignPeer::honest(&file);
    elsewhere.download(peer.addr).run().assert_success();
    tree::assert_same(&scene.source, &elsewhere.target);
    assert_eq!(elsewhere.names(), ["photos", "photos.cascade"]);
}

#[test]
fn a_name_that_somebody_has_is_left_alone() {
    let (_, file) = archive();
    let peer = ForeignPeer::honest(&file);
    type Plant = fn(&Path);
    let plants: [Plant; 3] = [
        |path| fs::write(path, "mine").unwrap(),
        |path| fs::create_dir(path).unwrap(),
        |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("README"), "mine").unwrap();
        },
    ];
    for plant in plants {
        let elsewhere = Elsewhere::of(&file);
        plant(&elsewhere.target);
        let before = fs::symlink_metadata(&elsewhere.target).unwrap();
        let name = elsewhere.target.display().to_string();
        elsewhere.download(peer.addr).run().assert_one_line_error(&[&name, "-o"]);
        let after = fs::symlink_metadata(&elsewhere.target).unwrap();
        assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
    }
}

/// As of an unfinished file.
#[test]
fn what_there_is_of_an_unfinished_folder_is_seeded() {
    let (scene, file) = archive();
    let elsewhere = Elsewhere::of(&file);
    let (_peer, process, _) = halfway(&file, &elsewhere);
    process.end_by(Signal::TERM).assert_code(130);
    let tracker = ForeignTracker::listing(&[]);
    for named in [&[][..], &["--data"]] {
        let seed = Launch::peer("seed").env("XDG_STATE_HOME", elsewhere.state.path()).arg(&elsewhere.cascade);
        let seed = seed.args(["--listen", "127.0.0.1:0", "--tracker"]).arg(tracker.addr.to_string());
        let seed = seed.args(named).args((!named.is_empty()).then(|| elsewhere.part()));
        let mut seeder = seed.start();
        let half = file.blocks() / 2;
        let addr = seeder.wait_line("its address", |line| {
            line.rsplit_once("listening on ")?.1.trim().parse::<SocketAddr>().ok()
        });
        seeder.wait_line("what it seeds", |line| line.contains(&format!("seeding {half} of")).then_some(()));
        assert_eq!(blocks_given(addr, &file).len() as u64, half);
    }
    let seeder = ForeignPeer::honest(&file);
    elsewhere.download(seeder.addr).run().assert_success();
    tree::assert_same(&scene.source, &elsewhere.target);
}

/// What somebody does to the folder of an unfinished download.
type Deed = (&'static str, fn(&Path));

#[test]
fn what_others_do_to_an_unfinished_folder_is_found_and_mended() {
    let (scene, file) = archive();
    let deeds: [Deed; 4] = [
        ("a file is edited", |files| {
            let open = OpenOptions::new().write(true).open(files.join("large")).unwrap();
            open.write_all_at(&[0; 5000], 100_000).unwrap();
        }),
        ("a file is cut", |files| {
            OpenOptions::new().write(true).open(files.join("large")).unwrap().set_len(1_000_000).unwrap();
        }),
        ("a file is removed", |files| fs::remove_file(files.join("large")).unwrap()),
        ("a file is replaced", |files| {
            fs::copy(files.join("large"), files.join("copy")).unwrap();
            fs::rename(files.join("copy"), files.join("large")).unwrap();
        }),
    ];
    for (what, deed) in deeds {
        let elsewhere = Elsewhere::of(&file);
        let (peer, process, _) = halfway(&file, &elsewhere);
        deed(&elsewhere.part().join("files"));
        peer.gain(file.blocks() / 2..file.blocks());
        let done = process.wait_exit();
        assert!(done.stdout.len() + done.stderr.len() > 0, "{what}");
        done.assert_success();
        tree::assert_same(&scene.source, &elsewhere.target);
    }
}

#[test]
fn links_and_strange_files_in_an_unfinished_folder_lead_nowhere() {
    let (_, file) = archive();
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    // In place of a file, of a folder, beside them.
    type Plant = fn(&Path, &Path);
    let plants: [Plant; 4] = [
        |files, outside| {
            let _ = fs::remove_file(files.join("large"));
            symlink(outside.join("precious"), files.join("large")).unwrap();
        },
        |files, outside| {
            let _ = fs::remove_file(files.join("large"));
            fs::hard_link(outside.join("precious"), files.join("large")).unwrap();
        },
        |files, outside| {
            fs::remove_dir_all(files.join("bin")).unwrap();
            symlink(outside, files.join("bin")).unwrap();
        },
        |files, _| fs::write(files.join("stranger"), "mine").unwrap(),
    ];
    for plant in plants {
        fs::write(&precious, "precious").unwrap();
        let elsewhere = Elsewhere::of(&file);
        let (peer, process, _) = halfway(&file, &elsewhere);
        plant(&elsewhere.part().join("files"), outside.path());
        peer.gain(file.blocks() / 2..file.blocks());
        let done = process.wait_exit();
        assert!(!elsewhere.target.exists(), "{}", done.both());
        done.assert_code(1);
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}

/// A folder of 40 files, and the next version of it: one file has other bytes, one is longer, one is new and stands
/// before all others, one is gone.
#[test]
fn of_an_earlier_version_only_what_changed_is_downloaded() {
    let make = |root: &Path| {
        for number in 0..40 {
            fs::write(
                root.join(format!("file {number:02}")),
                TestFile::random(&number.to_string(), 50_000, 50_000).data,
            )
            .unwrap();
        }
    };
    let old = FolderScene::new("photos", "4096", make);
    let new = FolderScene::new("photos", "4096", |root| {
        make(root);
        fs::write(root.join("a new one"), "new").unwrap();
        fs::remove_file(root.join("file 39")).unwrap();
        let open = |name: &str| OpenOptions::new().write(true).open(root.join(name)).unwrap();
        open("file 07").write_all_at(b"other bytes", 20_000).unwrap();
        open("file 20").write_all_at(b"more", 50_000).unwrap();
    });
    let (_seeder, addr) = new.seeding();
    let file = TestFile { name: "photos".into(), ..new.fetch(addr) };
    let before = tree::walk(&old.source);
    let (peer, elsewhere) = (ForeignPeer::honest(&file), Elsewhere::of(&file));
    let done = elsewhere.download(peer.addr).arg("--from").arg(&old.source).run();
    done.assert_success();
    tree::assert_same(&new.source, &elsewhere.target);
    assert_eq!(tree::walk(&old.source), before, "the earlier version is untouched");
    let asked = peer.journal().asked().len();
    // The head, what came before it was known to be a folder, and a block or two for each change.
    assert!(
        asked < 30 && (asked as u64) < file.blocks() / 10,
        "{asked} of {} blocks were asked for",
        file.blocks()
    );
    let missing = elsewhere.download(peer.addr).args(["--from", "/nonexistent/old"]).run();
    missing.assert_one_line_error(&["/nonexistent/old"]);
}

#[test]
fn of_an_earlier_version_of_a_file_what_is_right_is_copied() {
    let file = TestFile::random("film.bin", 1_000_000, 10_000);
    let (peer, elsewhere) = (ForeignPeer::honest(&file), Elsewhere::of(&file));
    let old = elsewhere.dir.path().join("old version");
    fs::write(&old, file.data_with(|block| block % 10 == 0)).unwrap();
    elsewhere.download(peer.addr).arg("--from").arg(&old).run().assert_success();
    file.assert_same(&elsewhere.target);
    assert_eq!(peer.journal().asked().len(), 10);
    assert_eq!(elsewhere.names(), ["film.bin", "film.bin.cascade", "old version"]);
}

/// One write finds no room, one sync fails, every sync fails.
#[test]
fn a_disk_that_is_full_or_keeps_nothing_is_waited_for_or_told() {
    if !can_inject() {
        return;
    }
    let (scene, file) = archive();
    let peer = ForeignPeer::honest(&file);
    // The fault is counted for each thread: the one that looks whether there is room again must not meet it.
    for (fault, succeeds) in [
        ("pwritev:error=ENOSPC:when=7", true),
        ("pwritev:error=ENOSPC:when=20", true),
        ("syncfs:error=EIO:when=1", true),
        ("syncfs:error=EIO:when=1+", false),
    ] {
        let elsewhere = Elsewhere::of(&file);
        let log = elsewhere.dir.path().join("strace.log");
        let done = elsewhere.download(peer.addr).with_faults(fault, &log).run();
        assert!(injected(&log) >= 1, "{fault}: {done}");
        if succeeds {
            done.assert_success();
        } else {
            done.assert_code(1).assert_error_mentions(&["photos", "disk"]);
            assert!(!elsewhere.target.exists(), "a folder that is not on the disk has the name: {done}");
            elsewhere.download(peer.addr).run().assert_success();
        }
        tree::assert_same(&scene.source, &elsewhere.target);
    }
}

/// As of an unfinished file: what is there stays, and goes on where there is room.
#[test]
fn an_unfinished_folder_on_a_disk_that_is_too_small_is_an_error_at_once() {
    if !can_mount() {
        eprintln!("skipped without user namespaces");
        return;
    }
    let (scene, file) = archive();
    let elsewhere = Elsewhere::of(&file);
    let (_peer, process, _) = halfway(&file, &elsewhere);
    process.end_by(Signal::TERM).assert_code(130);
    let dir = elsewhere.dir.path();
    fs::create_dir(dir.join("disk")).unwrap();
    let seeder = ForeignPeer::honest(&file);
    let download = elsewhere.download(seeder.addr).args(["-o", "disk/photos"]).cwd(dir);
    let setup = "mount -t tmpfs -o size=2500k tmpfs disk\ncp -a photos.part disk\n";
    let done = download.after_shell_with_mounts(setup).run();
    done.assert_code(1).assert_error_mentions(&["no space for disk/photos.part", "make room"]);
    assert_eq!(seeder.journal().asked(), [0; 0], "blocks were asked for: {done}");
    elsewhere.download(seeder.addr).run().assert_success();
    tree::assert_same(&scene.source, &elsewhere.target);
}
