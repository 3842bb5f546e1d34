use crate::slices::{address, complete, launch, leechers, nodes, seeder};
use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::extended_peer::{ExtendedPeer, Reply};
use cascade_tests::foreign_client::blocks_given;
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::launch::{Launch, can_inject, can_mount, injected};
use cascade_tests::node::Node;
use cascade_tests::process::{Process, Signal};
use cascade_tests::tree::{self, Elsewhere, FolderScene};
use cascade_tests::uplink::Uplink;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Blocks of eight slices, and a last one of two.
fn file() -> TestFile {
    TestFile::random("fragile.bin", (4 << 20) + 70_000, 512 << 10)
}

/// A leecher that has nothing: because of it, slices are asked for.
fn idler(file: &TestFile) -> ExtendedPeer {
    ExtendedPeer::holding(file, [], |question| match question.first {
        true => Reply::Telling(Vec::new()),
        false => Reply::Wait,
    })
}

fn part(node: &Node, file: &TestFile) -> PathBuf {
    let mut name = node.target(file).into_os_string();
    name.push(".part");
    name.into()
}

/// A folder with some three megabytes of its own, whose blocks have four slices.
fn folder() -> FolderScene {
    FolderScene::new("photos", "262144", |root| {
        tree::make(root);
        fs::write(root.join("large.raw"), &TestFile::random("large.raw", 3_000_000, 65_536).data).unwrap();
    })
}

fn leech(elsewhere: &Elsewhere, peer: SocketAddr) -> Launch {
    elsewhere.download(peer).arg("--seed").env("CASCADE_EXTENSION", "on")
}

/// Waits until the folder has its name.
fn wait_folder(process: &mut Process, scene: &FolderScene, elsewhere: &Elsewhere) {
    process.wait_until("the folder", || elsewhere.target.exists().then_some(()));
    tree::assert_same(&scene.source, &elsewhere.target);
    assert_eq!(elsewhere.names(), ["photos", "photos.cascade"]);
}

#[test]
fn a_folder_comes_in_slices_from_several_leechers() {
    let scene = folder();
    let (_seeder, addr) = scene.seeding();
    let uplink = Uplink::to(addr, 1_500_000);
    let elsewhere = [scene.elsewhere(), scene.elsewhere(), scene.elsewhere()];
    let mut leechers: Vec<_> = elsewhere.iter().map(|place| leech(place, uplink.addr).start()).collect();
    for (process, place) in leechers.iter_mut().zip(&elsewhere) {
        wait_folder(process, &scene, place);
    }
}

/// Two leechers of a folder, which are killed in turns, and a third one that stays.
#[test]
fn leechers_of_a_folder_that_are_killed_again_and_again_end_with_what_is_right() {
    let scene = folder();
    let (_seeder, addr) = scene.seeding();
    let file = scene.fetch(addr);
    let uplink = Uplink::to(addr, 1_500_000);
    let (staying, places) = (scene.elsewhere(), [scene.elsewhere(), scene.elsewhere()]);
    for place in &places {
        fs::write(place.dir.path().join("mine"), "of the user").unwrap();
    }
    let mut stays = leech(&staying, uplink.addr).start();
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..10 {
        let place = &places[round % 2];
        let tracker = ForeignTracker::listing(&[]);
        let launch = leech(place, uplink.addr).arg("--tracker").arg(tracker.addr.to_string());
        let mut process = launch.start();
        let at = process.wait_until("a subscription", || tracker.first_subscriber(&file.hash));
        // The moment is what the test is about.
        clock::pause(Duration::from_millis(random.u64(50..500)));
        // What it gives is compared.
        let _ = blocks_given(at, &file);
        let _ = process.end_by(Signal::KILL);
    }
    wait_folder(&mut stays, &scene, &staying);
    for place in &places {
        let mut process = leech(place, uplink.addr).start();
        process.wait_until("the folder", || place.target.exists().then_some(()));
        tree::assert_same(&scene.source, &place.target);
        assert_eq!(place.names(), ["mine", "photos", "photos.cascade"]);
        assert_eq!(fs::read_to_string(place.dir.path().join("mine")).unwrap(), "of the user");
    }
}

#[test]
fn leechers_of_a_file_that_are_killed_again_and_again_end_with_what_is_right() {
    let file = TestFile::random("killed.bin", 6 << 20, 1 << 20);
    let nodes = nodes(&file, 4);
    let (_seeder, uplink) = seeder(&nodes[3], &file, 2_000_000, &[]);
    let mut staying = leechers(&nodes[..1], &[uplink.addr], &[]);
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..8 {
        let node = &nodes[1 + round % 2];
        fs::write(node.target(&file), "older").unwrap();
        let mut killed = leechers(std::slice::from_ref(node), &[uplink.addr], &[]);
        let at = address(&mut killed[0]);
        clock::pause(Duration::from_millis(random.u64(50..600)));
        let _ = blocks_given(at, &file);
        killed.drain(..).for_each(|process| drop(process.end_by(Signal::KILL)));
        // The target is not touched before all is there.
        let target = fs::read(node.target(&file)).unwrap();
        assert!(target == b"older" || target == *file.data, "{} bytes", target.len());
    }
    let _ = complete(&mut staying, &nodes[..1], &file);
    let mut others = leechers(&nodes[1..3], &[uplink.addr], &[]);
    let _ = complete(&mut others, &nodes[1..3], &file);
}

#[test]
fn a_full_disk_and_a_quota_are_waited_for() {
    if !can_inject() {
        eprintln!("skipped without strace");
        return;
    }
    let file = file();
    let seeding = Node::new(&file);
    let (_seeder, uplink) = seeder(&seeding, &file, 3_000_000, &[]);
    let idler = idler(&file);
    for fault in ["pwritev,pwrite64:error=ENOSPC:when=3", "pwritev,pwrite64:error=EDQUOT:when=9"] {
        let (node, log) = (Node::new(&file), tempfile::NamedTempFile::new().unwrap());
        let tracker = ForeignTracker::listing(&[uplink.addr, idler.addr]);
        let done = launch(&node, "download", tracker.addr).with_faults(fault, log.path()).run();
        done.assert_success();
        file.assert_same(&node.target(&file));
        assert!(injected(log.path()) >= 1, "{done}");
        assert!(done.both().contains("make room"), "{done}");
    }
}

/// One of two leechers has no room for a while; the other one and then itself get all.
#[test]
fn a_disk_that_fills_up_in_the_middle_of_blocks_is_waited_for() {
    if !can_mount() {
        eprintln!("skipped without user namespaces");
        return;
    }
    let file = file();
    let nodes = nodes(&file, 3);
    let (_seeder, uplink) = seeder(&nodes[2], &file, 1_500_000, &[]);
    let mut other = leechers(&nodes[..1], &[uplink.addr], &[]);
    let folder = nodes[1].target(&file).parent().unwrap().to_owned();
    fs::create_dir(folder.join("disk")).unwrap();
    // All that the download does not reserve is taken as soon as there is a part file.
    let setup = r"
        mount -t tmpfs -o size=5m tmpfs disk
        (until [ -e disk/x.bin.part ]; do sleep 0.02; done; sleep 1
         dd if=/dev/zero of=disk/filler bs=64k 2>/dev/null || true; touch full
         until [ -e free ]; do sleep 0.02; done; rm disk/filler
         until [ -e disk/x.bin ]; do sleep 0.02; done; cp disk/x.bin copy.new; mv copy.new copy) &
    ";
    let tracker = ForeignTracker::listing(&[uplink.addr]);
    let launch = launch(&nodes[1], "download", tracker.addr).arg("-o").arg(folder.join("disk/x.bin"));
    let mut process = launch.cwd(&folder).after_shell_with_mounts(&format!("{setup}\n")).start();
    process.wait_until("the disk is full", || folder.join("full").exists().then_some(()));
    process.assert_running();
    let _ = complete(&mut other, &nodes[..1], &file);
    fs::write(folder.join("free"), b"").unwrap();
    // The disk is seen in the process's own namespace alone.
    let copy = clock::eventually("a copy of the file", || fs::read(folder.join("copy")).ok());
    assert!(copy[..] == file.data[..], "the file has its name and wrong bytes");
    process.wait_exit().assert_success();
}

/// What somebody does to a part file.
type Deed = fn(&Path);

const DEEDS: [Deed; 5] = [
    |part| {
        let file = OpenOptions::new().write(true).open(part).unwrap();
        (0..65).for_each(|slice| file.write_all_at(&[0; 500], slice * 65_536 + 1000).unwrap());
    },
    |part| {
        let file = OpenOptions::new().write(true).open(part).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        (0..65).for_each(|slice| file.write_all_at(&[0; 500], slice * 65_536 + 1000).unwrap());
        file.set_modified(before).unwrap();
    },
    |part| OpenOptions::new().write(true).open(part).unwrap().set_len(100_000).unwrap(),
    |part| {
        let bytes = fs::read(part).unwrap();
        let other = part.with_extension("other");
        fs::write(&other, vec![7; bytes.len()]).unwrap();
        fs::rename(other, part).unwrap();
    },
    |part| fs::remove_file(part).unwrap(),
];

/// A leecher whose file others change while slices come and go, and one that takes slices from it.
#[test]
fn a_part_file_that_others_change_ends_right_and_so_do_those_that_take_from_it() {
    for (number, deed) in DEEDS.iter().enumerate() {
        let file = file();
        let nodes = nodes(&file, 3);
        let (_seeder, uplink) = seeder(&nodes[2], &file, 1_500_000, &[]);
        let mut leechers = leechers(&nodes[..2], &[uplink.addr], &[]);
        let addr = address(&mut leechers[0]);
        let some = || (blocks_given(addr, &file).len() >= 2).then_some(());
        leechers[0].wait_until("some blocks", some);
        let part = part(&nodes[0], &file);
        eprintln!("deed {number}: there yet: {}", part.exists());
        deed(&part);
        let _ = blocks_given(addr, &file);
        let _ = complete(&mut leechers, &nodes[..2], &file);
    }
}

#[test]
fn edits_while_slices_arrive_are_mended() {
    let file = TestFile::random("busy.bin", 8 << 20, 1 << 20);
    let nodes = nodes(&file, 3);
    let (_seeder, uplink) = seeder(&nodes[2], &file, 2_500_000, &[]);
    let mut leechers = leechers(&nodes[..2], &[uplink.addr], &[]);
    let path = part(&nodes[0], &file);
    leechers[0].wait_until("a part file", || path.exists().then_some(()));
    let part = OpenOptions::new().write(true).open(path).unwrap();
    for round in 0..20_u64 {
        for slice in 0..128 {
            part.write_all_at(&[9; 7], slice * 65_536 + round).unwrap();
        }
        // Spreads the edits over the download.
        clock::pause(Duration::from_millis(60));
    }
    drop(part);
    let _ = complete(&mut leechers, &nodes[..2], &file);
}
