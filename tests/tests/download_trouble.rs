use cascade_tests::address::listener;
use cascade_tests::cascade_file::{TestFile, header, sha256};
use cascade_tests::crowd::raise_descriptor_limit;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::launch::{Launch, can_mount};
use cascade_tests::scene::Scene;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const MIB: usize = 1 << 20;

/// What a download may take, whatever its peers and its blocks, in bytes.
const MEMORY: u64 = 64 << 20;

fn file() -> TestFile {
    TestFile::random("troubled.bin", 4 * MIB, 65_536)
}

#[test]
fn a_missing_target_folder_is_one_line() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let done = scene.download().args(["-o", "/nonexistent/folder/file"]).run();
    done.assert_one_line_error(&["/nonexistent/folder"]);
    scene.assert_nothing_made();
}

#[test]
fn a_folder_that_takes_no_files_is_one_line() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    // Nobody can make a file there, root neither.
    scene.download().args(["-o", "/proc/troubled.bin"]).run().assert_one_line_error(&["/proc/troubled.bin"]);
}

#[test]
fn a_read_only_folder_is_one_line() {
    if rustix::process::geteuid().is_root() {
        // The permissions of a folder do not bind root.
        eprintln!("skipped for root; see a_folder_that_takes_no_files_is_one_line");
        return;
    }
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    fs::set_permissions(scene.folder(), fs::Permissions::from_mode(0o555)).unwrap();
    scene.download().run().assert_one_line_error(&["troubled.bin"]);
    fs::set_permissions(scene.folder(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_target_that_is_a_folder_is_one_line() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    fs::create_dir(scene.target()).unwrap();
    scene.download().run().assert_one_line_error(&["troubled.bin"]);
    assert!(scene.target().is_dir());
}

#[test]
fn a_port_in_use_is_one_line() {
    let taken = listener();
    let addr = taken.local_addr().unwrap().to_string();
    let scene = Scene::new(file(), &[]);
    let _ = file().write_data(scene.folder());
    let seed = Launch::peer("seed").arg(&scene.cascade).args(["-l", &addr]);
    seed.run().assert_one_line_error(&[&addr, "in use"]);
    fs::remove_file(scene.target()).unwrap();
    let download = Launch::peer("download").arg(&scene.cascade).args(["-l", &addr]);
    download.run().assert_one_line_error(&[&addr, "in use"]);
}

#[test]
fn a_full_disk_is_a_clear_error_and_a_restart_finishes() {
    if !can_mount() {
        eprintln!("skipped without user namespaces; see a_file_that_may_not_grow_is_a_clear_error");
        return;
    }
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    let small = scene.folder().join("small");
    fs::create_dir(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size=1m tmpfs '{}'", small.display());
    let done = scene.download().arg("-o").arg(small.join("x.bin")).after_shell_with_mounts(&mount).run();
    done.assert_code(1).assert_error_mentions(&["x.bin", "disk"]);
    scene.download().run().assert_success();
    scene.assert_complete();
}

#[test]
fn a_file_that_may_not_grow_is_a_clear_error() {
    let peer = ForeignPeer::honest(&file());
    let scene = Scene::new(file(), &[peer.addr]);
    // In units of 512 bytes: 2 of the 4 MiB.
    let done = scene.download().arg("--sequential").after_shell("trap '' XFSZ; ulimit -f 4096").run();
    done.assert_code(1).assert_error_mentions(&["troubled.bin", "large"]);
    assert!(!scene.target().exists());
    scene.download().run().assert_success();
    scene.assert_complete();
}

#[test]
fn memory_with_a_hundred_peers() {
    let file = TestFile::random("large.bin", 128 * MIB, MIB);
    raise_descriptor_limit();
    let peers: Vec<_> =
        (0..100).map(|_| ForeignPeer::start(&file, Script::default().slow(2_000_000))).collect();
    let scene = Scene::new(file, &[]);
    let by_hand = peers.iter().flat_map(|peer| ["--peer".to_owned(), peer.addr.to_string()]);
    let done = scene.download().args(by_hand).run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.peak_memory > 0 && done.peak_memory < MEMORY, "{done}");
    let used = peers.iter().filter(|peer| !peer.journal().served.is_empty()).count();
    assert!(used >= 20, "only {used} of 100 peers were used: this proves nothing");
}

#[test]
fn memory_with_one_huge_block() {
    let file = TestFile::random("huge-block.bin", 100 * MIB, 100 * MIB);
    let peer = ForeignPeer::honest(&file);
    let scene = Scene::new(file, &[peer.addr]);
    let done = scene.download().run();
    done.assert_success();
    scene.assert_complete();
    assert!(done.peak_memory > 0 && done.peak_memory < MEMORY, "{done}");
}

#[test]
fn a_petabyte_in_one_block_costs_nothing_before_anybody_offers_it() {
    let mut file = TestFile::random("petabyte", 10, 10);
    file.cascade = [&header(1 << 50, 1 << 50, [1; 32])[..], &[2; 32]].concat();
    file.hash = sha256(&file.cascade);
    let scene = Scene::new(file, &[]);
    let done = scene.download().arg("--no-wait").run();
    done.assert_code(1);
    assert!(done.at_full_speed < Duration::from_secs(10), "{done}");
    assert!(done.peak_memory < MEMORY, "{done}");
}

#[test]
fn more_files_than_descriptors_are_refused_before_anything_is_made() {
    let scene = Scene::new(file(), &[]);
    let cascades: Vec<_> = (0..600)
        .map(|number| TestFile::random(&format!("file-{number}"), 100, 100).write_cascade(scene.folder()))
        .collect();
    let refused = scene.download().args(&cascades).after_shell("ulimit -n 1024").run();
    refused.assert_one_line_error(&["601 files", "1024", "ulimit -n"]);
    let made = fs::read_dir(scene.folder()).unwrap().count();
    assert_eq!(made, 601, "something was made beside the .cascade files");
}
