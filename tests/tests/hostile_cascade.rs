use cascade_tests::cascade_file::{TestFile, header};
use cascade_tests::foreign_peer::ForeignPeer;
use cascade_tests::launch::Launch;
use cascade_tests::scene::Scene;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Address space that no honest reading of a small file needs; an allocation of what a hostile header
/// claims ends the process here, at once and for sure, however much memory the machine has.
const ADDRESS_SPACE: &str = "ulimit -v 4194304";

/// Peak of resident memory for refusing a small file, in bytes.
const MEMORY: u64 = 32 << 20;

/// `.cascade` files that must be refused, each with what is wrong.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let whole = TestFile::random("hostile", 1000, 64).cascade;
    let claim = |length, block_size| {
        let mut bytes = header(length, block_size, [1; 32]).to_vec();
        bytes.extend([2; 64]);
        bytes
    };
    let mut magic = whole.clone();
    magic[7] = b'2';
    vec![
        ("empty", Vec::new()),
        ("another format", b"#!/bin/sh\necho no\n".to_vec()),
        ("wrong magic", magic),
        ("magic alone", b"CASCADE1".to_vec()),
        ("header cut short", whole[..63].to_vec()),
        ("no hashes", whole[..64].to_vec()),
        ("last hash cut short", whole[..575].to_vec()),
        ("a hash missing", whole[..544].to_vec()),
        ("a byte too many", [&whole[..], b"x"].concat()),
        ("a hash too many", [&whole[..], &[7; 32]].concat()),
        ("block size 0", claim(128, 0)),
        ("block size 0 of an empty file", claim(0, 0)),
        ("both lengths at their greatest", claim(u64::MAX, u64::MAX)),
        ("a sum that overflows to two blocks", claim(u64::MAX, 1 << 63)),
        ("a product that overflows", claim(1 << 63, 1 << 4)),
        ("two exbibytes of hashes", claim(1 << 62, 64)),
        ("petabytes in blocks of one byte", claim(1 << 50, 1)),
        ("petabytes that two hashes do not describe", claim(1 << 52, 1 << 20)),
        ("terabytes", claim(1 << 42, 1 << 16)),
    ]
}

/// Starts `launch` on each hostile file and fails unless it is refused well.
fn refused(launch: impl Fn(&Scene) -> Launch) {
    for (name, bytes) in hostile() {
        let mut file = TestFile::random("hostile", 1000, 64);
        let peer = ForeignPeer::honest(&file);
        file.cascade = bytes;
        let scene = Scene::new(file, &[peer.addr]);
        let done = launch(&scene).after_shell(ADDRESS_SPACE).run();
        assert_eq!(done.code, Some(1), "{name}: {done}");
        done.assert_one_line_error(&["hostile.cascade"]);
        scene.assert_nothing_made();
        assert!(done.at_full_speed < Duration::from_secs(5), "{name}: not at once: {done}");
        assert!(done.peak_memory < MEMORY, "{name}: {done}");
        assert_eq!(scene.tracker.connections(), 0, "{name}: the tracker was bothered with it");
    }
}

#[test]
fn info_refuses() {
    refused(|scene| Launch::peer("info").arg(&scene.cascade));
}

#[test]
fn verify_refuses() {
    refused(|scene| Launch::peer("verify").arg(&scene.cascade).arg("/dev/null"));
}

#[test]
fn download_refuses() {
    refused(Scene::download);
}

#[test]
fn seed_refuses() {
    refused(|scene| scene.seed().args(["--data", "/dev/null"]));
}

#[test]
fn a_cascade_that_is_missing_or_a_folder_is_one_line() {
    for subcommand in ["info", "verify", "download", "seed"] {
        for path in ["/nonexistent/x.cascade", "/tmp"] {
            Launch::peer(subcommand).arg(path).run().assert_one_line_error(&[path]);
        }
    }
}

/// A pipe that nobody writes to: a process that opens it for reading waits for ever.
fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe.cascade");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    path
}

#[test]
fn a_pipe_or_a_device_is_one_line_wherever_a_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = TestFile::random("piped", 1000, 100);
    let cascade = file.write_cascade(folder.path());
    let pipe = pipe(folder.path());
    for path in [pipe.as_path(), Path::new("/dev/zero")] {
        for command in ["info", "link", "verify", "download", "seed", "create", "share", "demo"] {
            let done = Launch::peer(command).arg(path).run();
            done.assert_one_line_error(&[path.to_str().unwrap(), "pipe"]);
        }
        Launch::peer("verify").arg(&cascade).arg(path).run().assert_one_line_error(&["pipe"]);
    }
}

#[test]
fn a_cascade_file_takes_the_place_of_no_pipe_and_no_device() {
    let folder = tempfile::tempdir().unwrap();
    let data = TestFile::random("piped", 1000, 100).write_data(folder.path());
    let pipe = pipe(folder.path());
    let device = folder.path().join("device");
    std::os::unix::fs::symlink("/dev/null", &device).unwrap();
    for out in [&pipe, &device] {
        let done = Launch::peer("create").arg(&data).arg("-o").arg(out).run();
        done.assert_one_line_error(&[out.to_str().unwrap(), "-o"]);
    }
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert!(fs::symlink_metadata(&device).unwrap().is_symlink());
}

#[test]
fn blocks_larger_than_the_file_are_legal() {
    let mut file = TestFile::random("one-block", 1000, 1000);
    file.cascade[24..32].copy_from_slice(&u64::MAX.to_be_bytes());
    file.hash = cascade_tests::cascade_file::sha256(&file.cascade);
    let peer = ForeignPeer::honest(&file);
    let scene = Scene::new(file, &[peer.addr]);
    scene.download().run().assert_success();
    scene.assert_complete();
}
