use cascade_tests::cascade_file::{TestFile, sha256};
use cascade_tests::clock;
use cascade_tests::foreign_client::{blocks_given, fetch};
use cascade_tests::foreign_peer::{Answer, Ask, ForeignPeer, Script};
use cascade_tests::launch::{Launch, can_inject, can_mount, injected};
use cascade_tests::process::Process;
use cascade_tests::scene::Scene;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MIB: usize = 1 << 20;

fn file() -> TestFile {
    TestFile::random("kept.bin", 4 * MIB, 65_536)
}

#[test]
fn one_failed_sync_on_the_way_costs_a_look_at_the_disk_and_no_more() {
    if !can_inject() {
        eprintln!("skipped without strace");
        return;
    }
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..40));
    let scene = Scene::new(file(), &[peer.addr]);
    let log = scene.folder().join("strace.log");
    let mut process = scene.download().with_faults("fdatasync:error=EIO:when=1", &log).start();
    process.wait_until("a sync that fails", || (injected(&log) >= 1).then_some(()));
    process.wait_line("what is in doubt is read back", |line| {
        (line.contains("kept.bin.part") && line.contains("disk")).then_some(())
    });
    peer.gain(40..64);
    let done = process.wait_exit();
    done.assert_success();
    scene.assert_complete();
    // The data had not left: what was read back was right.
    assert_eq!(peer.journal().served.len(), 64, "blocks were fetched twice: {done}");
}

#[test]
fn one_failed_sync_at_the_end_is_no_failure() {
    if !can_inject() {
        eprintln!("skipped without strace");
        return;
    }
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let log = scene.folder().join("strace.log");
    let done = scene.download().with_faults("fdatasync:error=EIO:when=1", &log).run();
    done.assert_success();
    assert!(injected(&log) >= 1, "{done}");
    scene.assert_complete();
}

#[test]
fn a_disk_that_never_keeps_anything_ends_the_download() {
    if !can_inject() {
        eprintln!("skipped without strace");
        return;
    }
    for (call, part) in [("fdatasync", "kept.bin.part"), ("fsync", "kept.bin")] {
        let peer = ForeignPeer::honest(&file());
        let scene = Scene::new(file(), &[peer.addr]);
        let log = scene.folder().join("strace.log");
        let done = scene.download().with_faults(&format!("{call}:error=EIO:when=1+"), &log).run();
        done.assert_code(1).assert_error_mentions(&[part, "disk"]);
        assert!(!done.stderr.contains("author"), "the .cascade file is blamed: {done}");
        assert!(injected(&log) >= 5, "{call}: {done}");
        if call == "fdatasync" {
            assert!(!scene.target().exists(), "a file that is not on the disk has the name: {done}");
        }
        let again = scene.download().run();
        again.assert_success();
        scene.assert_complete();
    }
}

#[test]
fn a_failed_sync_of_an_interrupted_download_leaves_no_record() {
    if !can_inject() {
        eprintln!("skipped without strace");
        return;
    }
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..40));
    let scene = Scene::new(file(), &[peer.addr]);
    let log = scene.folder().join("strace.log");
    // strace hands the signal on to the peer.
    let mut process = scene.download().with_faults("fdatasync:error=EIO:when=1+", &log).start();
    process.wait_until("a sync that fails", || (injected(&log) >= 1).then_some(()));
    let _ = process.wait_exit();
    assert_eq!(records(&scene), 0, "a record of what may not be there");
}

fn records(scene: &Scene) -> usize {
    fs::read_dir(scene.state().join("cascade"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "checked"))
        .count()
}

#[test]
fn a_seeder_announces_nothing_that_only_memory_has() {
    if !can_inject() {
        eprintln!("skipped without strace");
        return;
    }
    let scene = Scene::new(file(), &[]);
    let _ = scene.file.write_data(scene.folder());
    let log = scene.folder().join("strace.log");
    let done = scene.seed().with_faults("fdatasync:error=EIO:when=1+", &log).run();
    done.assert_code(1).assert_error_mentions(&["kept.bin", "disk"]);
    assert!(scene.tracker.first_subscriber(&scene.file.hash).is_none(), "it was announced: {done}");
    // Once is not always.
    fs::remove_file(&log).unwrap();
    let mut seeder = scene.seed().with_faults("fdatasync:error=EIO:when=1", &log).start();
    let addr = scene.listening(&mut seeder);
    assert_eq!(blocks_given(addr, &scene.file).len(), 64);
    assert!(injected(&log) >= 1);
}

/// A record that says of a file with a wrong block that all of it is right: as one from before a failed
/// sync that nobody heard of.
#[test]
fn what_verify_finds_wrong_is_mended_by_the_next_download_whatever_a_record_says() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    scene.download().run().assert_success();
    let data = OpenOptions::new().write(true).open(scene.target()).unwrap();
    data.write_all_at(&[0; 100], 20 * 65_536).unwrap();
    drop(data);
    falsify_record(&scene);
    let believed = scene.download().run();
    believed.assert_success();
    assert_eq!(peer.journal().asked().len(), 64, "the record was not believed, so this proves nothing");
    let looked = scene.verify().run();
    looked.assert_code(1).assert_error_mentions(&["1 block wrong"]);
    scene.download().run().assert_success();
    scene.assert_complete();
    assert_eq!(peer.journal().asked().len(), 65);
}

fn falsify_record(scene: &Scene) {
    let now = fs::metadata(scene.target()).unwrap();
    let folder = scene.state().join("cascade");
    let is_record = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "checked");
    let record = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).find(is_record).unwrap();
    let bytes = fs::read(&record).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[..end]).unwrap();
    let ns = |seconds: i64, ns: i64| serde_json::json!(seconds * 1_000_000_000 + ns);
    header["stamp"]["modified_ns"] = ns(now.mtime(), now.mtime_nsec());
    header["stamp"]["changed_ns"] = ns(now.ctime(), now.ctime_nsec());
    let mut body = serde_json::to_vec(&header).unwrap();
    body.extend_from_slice(&bytes[end..bytes.len() - 32]);
    let sum = sha256(&body);
    body.extend_from_slice(&sum);
    fs::write(record, body).unwrap();
}

/// In a namespace of its own, on a disk of its own: fills the disk when told, and makes room when told.
fn download_to_a_small_disk(scene: &Scene) -> Launch {
    let disk = scene.folder().join("disk");
    fs::create_dir(&disk).unwrap();
    let setup = r"
        mount -t tmpfs -o size=6m tmpfs disk
        (until [ -e fill ]; do sleep 0.02; done; dd if=/dev/zero of=disk/filler 2>/dev/null || true; mv fill full
         until [ -e free ]; do sleep 0.02; done; rm disk/filler) &
    ";
    let launch = scene.download().arg("-o").arg(disk.join("x.bin")).cwd(scene.folder());
    launch.after_shell_with_mounts(&format!("{setup}\n"))
}

fn wait_for_forty_blocks(process: &mut Process, addr: SocketAddr, scene: &Scene) {
    process.wait_until("the first forty blocks, verified", || {
        (0..40).all(|block| fetch(addr, &scene.file, block).status == 0).then_some(())
    });
}

#[test]
fn a_disk_that_fills_up_on_the_way_is_waited_for() {
    if !can_mount() {
        eprintln!("skipped without user namespaces; see a_full_quota_is_waited_for_and_a_broken_disk_is_not");
        return;
    }
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..40));
    let scene = Scene::new(file(), &[peer.addr]);
    let at = |name: &str| scene.folder().join(name);
    let mut process = download_to_a_small_disk(&scene).start();
    let addr = scene.listening(&mut process);
    wait_for_forty_blocks(&mut process, addr, &scene);
    fs::write(at("fill"), b"").unwrap();
    process.wait_until("the disk is full", || at("full").exists().then_some(()));
    peer.gain(40..64);
    process.wait_line("the disk is full", |line| {
        (line.contains("x.bin") && line.to_lowercase().contains("no space")).then_some(())
    });
    // The blocks that are there are served meanwhile.
    assert!(blocks_given(addr, &scene.file).len() >= 40);
    process.assert_running();
    fs::write(at("free"), b"").unwrap();
    let done = process.wait_exit();
    done.assert_success();
    assert_eq!(done.stdout.matches("No space").count(), 1, "one line is enough: {done}");
    let again = peer.journal().asked().iter().filter(|block| **block < 40).count() - 40;
    assert!(again <= 1, "{again} blocks that were verified were fetched again: {done}");
}

/// A block that came wrong has its room, so a write of it tells nothing of the disk.
#[test]
fn while_a_disk_is_full_nothing_is_asked_for_again() {
    if !can_mount() {
        eprintln!("skipped without user namespaces");
        return;
    }
    let lies = |ask: Ask| if ask.block == 40 { Answer::WrongBytes } else { Answer::Block };
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..41).ruled(lies));
    let scene = Scene::new(file(), &[peer.addr]);
    let at = |name: &str| scene.folder().join(name);
    let mut process = download_to_a_small_disk(&scene).start();
    let addr = scene.listening(&mut process);
    wait_for_forty_blocks(&mut process, addr, &scene);
    process.wait_line("a wrong block", |line| line.contains("block 40").then_some(()));
    fs::write(at("fill"), b"").unwrap();
    process.wait_until("the disk is full", || at("full").exists().then_some(()));
    peer.gain(41..64);
    process.wait_line("the disk is full", |line| line.contains("make room").then_some(()));
    // Longer than the pause between two looks for room.
    let end = clock::now() + Duration::from_secs(12);
    process.wait_until("a look for room", || (clock::now() > end).then_some(()));
    let served = peer.journal().served;
    let mut blocks: Vec<_> = served.iter().filter(|block| **block > 40).collect();
    blocks.sort_unstable();
    let again = blocks.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(!blocks.is_empty() && again == 0, "{again} blocks were asked for again: {}", process.log());
    fs::write(at("free"), b"").unwrap();
    process.wait_until("all other blocks", || peer.sees(|journal| journal.served.len() > served.len()));
}

#[test]
fn a_full_quota_is_waited_for_and_a_broken_disk_is_not() {
    if !can_inject() {
        eprintln!("skipped without strace");
        return;
    }
    for (error, waits) in [("EDQUOT", true), ("EIO", false)] {
        let peer = ForeignPeer::honest(&file());
        let scene = Scene::new(file(), &[peer.addr]);
        let log = scene.folder().join("strace.log");
        let faults = format!("pwritev,pwrite64:error={error}:when=2");
        let done = scene.download().with_faults(&faults, &log).run();
        assert!(injected(&log) >= 1, "{done}");
        if waits {
            done.assert_success();
            scene.assert_complete();
            assert!(done.stdout.contains("make room") || done.stderr.contains("make room"), "{done}");
        } else {
            done.assert_code(1).assert_error_mentions(&["kept.bin.part", "error 5"]);
            assert!(!done.both().contains("make room"), "{done}");
        }
    }
}

#[test]
fn room_is_reserved_where_the_disk_can() {
    let peer = ForeignPeer::start(&file(), Script::default().holding(0..1));
    let scene = Scene::new(file(), &[peer.addr]);
    let probe = fs::File::create(scene.folder().join("probe")).unwrap();
    let whole = 4 * MIB as u64;
    let in_memory = rustix::fs::fstatfs(&probe).is_ok_and(|stat| stat.f_type == 0x0102_1994);
    if in_memory || rustix::fs::fallocate(&probe, rustix::fs::FallocateFlags::KEEP_SIZE, 0, whole).is_err() {
        eprintln!("skipped: nothing can be reserved here");
        return;
    }
    let mut process = scene.download().start();
    process.wait_until("four megabytes are taken", || {
        let part = fs::metadata(scene.part()).ok()?;
        (part.len() == whole && part.blocks() * 512 >= whole).then_some(())
    });
    // What is reserved was never written: it is no data.
    let _ = process.end_by(cascade_tests::process::Signal::KILL);
    peer.gain(1..64);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
}

/// The real thing: a disk (ext4 in a file on a full tmpfs) whose writes come to nothing, which the system
/// tells once.
#[test]
fn a_disk_that_loses_data_is_found_out_and_what_is_lost_is_fetched_again() {
    let Some(disk) = LosingDisk::make() else {
        eprintln!("skipped: no root, no loop devices");
        return;
    };
    let file = TestFile::random("lost.bin", 24 * MIB, 262_144);
    let peer = ForeignPeer::honest(&file);
    let scene = Scene::new(file, &[peer.addr]);
    let target = disk.mount.join("lost.bin");
    let done = scene.download().arg("-o").arg(&target).run();
    assert!(done.code == Some(1), "{done}");
    done.assert_error_mentions(&["lost.bin"]);
    assert!(!done.both().contains("author"), "the .cascade file is blamed: {done}");
    assert!(!target.exists(), "a file with holes has the name: {done}");
    assert_eq!(records(&scene), 0, "{done}");
}

struct LosingDisk {
    folder: tempfile::TempDir,
    mount: PathBuf,
}

impl LosingDisk {
    fn make() -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/usr/sbin/mkfs.ext4").exists() {
            return None;
        }
        let folder = tempfile::tempdir().ok()?;
        let script = r"
            mkdir back disk
            mount -t tmpfs -o size=40m tmpfs back
            truncate -s 64m back/image
            mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=0 back/image
            mount -o loop back/image disk
            dd if=/dev/zero of=back/filler bs=1M count=30 2>/dev/null
        ";
        let made = Launch::program(Path::new("sh")).args(["-ec", script]).cwd(folder.path()).run();
        let mount = folder.path().join("disk");
        let disk = Self { folder, mount };
        (made.code == Some(0)).then_some(disk)
    }
}

impl Drop for LosingDisk {
    fn drop(&mut self) {
        let script = "umount disk || umount -l disk; umount back || umount -l back; true";
        let _ = Launch::program(Path::new("sh")).args(["-c", script]).cwd(self.folder.path()).run();
    }
}
