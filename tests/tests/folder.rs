use cascade_tests::foreign_client::ForeignClient;
use cascade_tests::launch::Launch;
use cascade_tests::process::Signal;
use cascade_tests::tree::{self, FolderScene};
use cascade_tests::unpack;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;

fn scene() -> FolderScene {
    FolderScene::new("photos", "10240", tree::make)
}

#[test]
fn a_version_1_peer_gets_an_archive_that_every_tar_unpacks() {
    let scene = scene();
    let (_seeder, addr) = scene.seeding();
    let file = scene.fetch(addr);
    let archive = file.write_data(scene.dir());
    unpack::unpack_with_each(&archive, |folder| tree::assert_same(&scene.source, folder));
}

#[test]
fn large_files_and_small_ones_are_served_in_blocks_of_any_size() {
    for block_size in ["700", "65536", "1MiB", "1GiB"] {
        let scene = FolderScene::new("photos", block_size, |root| {
            tree::make(root);
            fs::write(root.join("zz"), vec![3; 2_000_000]).unwrap();
        });
        let (_seeder, addr) = scene.seeding();
        let _ = scene.fetch(addr);
    }
}

#[test]
fn an_empty_folder_is_shared_too() {
    let scene = FolderScene::new("nothing", "65536", |_| ());
    let (_seeder, addr) = scene.seeding();
    let _ = scene.fetch(addr);
}

#[test]
fn a_folder_is_described_beside_it_and_always_the_same() {
    let scene = scene();
    let first = fs::read(&scene.cascade).unwrap();
    // With a slash behind it, from inside, and a copy under another name.
    let slash = format!("{}/", scene.source.display());
    Launch::peer("create").arg(slash).args(["-b", "10240"]).run().assert_success();
    assert_eq!(fs::read(&scene.cascade).unwrap(), first);
    Launch::peer("create").arg(".").args(["-b", "10240"]).cwd(&scene.source).run().assert_success();
    assert_eq!(fs::read(&scene.cascade).unwrap(), first);
    let copy = scene.dir().join("copy");
    let copied = Command::new("cp").arg("-a").arg(&scene.source).arg(&copy).status().unwrap();
    assert!(copied.success());
    let done = Launch::peer("create").arg(&copy).args(["-b", "10240", "--json"]).run();
    assert_eq!(fs::read(scene.dir().join("copy.cascade")).unwrap(), first);
    let told = &done.assert_success().json_lines()[0];
    assert_eq!(told["folder"], true, "{told}");
}

#[test]
fn verify_compares_a_folder() {
    let scene = scene();
    let verify = || Launch::peer("verify").arg(&scene.cascade).run();
    verify().assert_success();
    Launch::peer("verify").arg(&scene.cascade).arg(&scene.source).run().assert_success();
    let large = scene.source.join("large");
    let time = large.metadata().unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(&large).unwrap();
    file.write_all_at(b"wrong", 1_000_000).unwrap();
    file.set_modified(time).unwrap();
    verify().assert_one_line_error(&["photos", "1 block wrong"]);
    fs::remove_file(&large).unwrap();
    verify().assert_code(1);
    fs::remove_dir_all(&scene.source).unwrap();
    verify().assert_one_line_error(&["cannot read", "photos", "No such file"]);
}

#[test]
fn what_cannot_be_shared_is_named_or_left_out() {
    type Plant = (&'static str, fn(&Path));
    let plants: [Plant; 4] = [
        ("named pipe", |path| mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap()),
        ("socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
        ("absolute", |path| symlink("/etc/passwd", path).unwrap()),
        ("leaves the folder", |path| symlink("../../secret", path).unwrap()),
    ];
    for (what, plant) in plants {
        let scene = scene();
        let before = fs::read(&scene.cascade).unwrap();
        plant(&scene.source.join("bin/special"));
        tree::set_times(&scene.source);
        let create = || Launch::peer("create").arg(&scene.source).args(["-b", "10240"]);
        create().run().assert_one_line_error(&["bin/special", what, "--skip-special"]);
        assert_eq!(fs::read(&scene.cascade).unwrap(), before, "it is not written");
        create().arg("--skip-special").run().assert_success();
        // Whoever seeds or verifies leaves out the same.
        Launch::peer("verify").arg(&scene.cascade).run().assert_success();
        let (_seeder, addr) = scene.seeding();
        let _ = scene.fetch(addr);
    }
}

#[test]
fn an_output_inside_the_folder_is_refused() {
    let scene = scene();
    let inside = scene.source.join("bin/out.cascade");
    let done = Launch::peer("create").arg(&scene.source).arg("-o").arg(&inside).run();
    done.assert_one_line_error(&["bin/out.cascade", "inside the folder"]);
    assert!(!inside.exists());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("changing");
    fs::create_dir(&folder).unwrap();
    for name in ["1", "2", "3"] {
        File::create(folder.join(name)).unwrap().set_len(256 << 20).unwrap();
    }
    // The first, which is read by then, and the last, which is not.
    for name in ["1", "3"] {
        let (path, second) = (folder.join(name), folder.join("2"));
        let mut create = Launch::peer("create").arg(&folder).start();
        let pid = create.pid();
        create.wait_until("create has opened the second file", || {
            cascade_tests::process::has_open(pid, &second).then_some(())
        });
        OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"changed", 0).unwrap();
        let name = path.display().to_string();
        create.wait_exit().assert_one_line_error(&[&name, "changed while it was read"]);
        assert!(!dir.path().join("changing.cascade").exists());
    }
}

#[test]
fn a_file_that_changes_is_not_served_any_more_until_it_is_checked() {
    let scene = scene();
    let (mut seeder, addr) = scene.seeding();
    let file = scene.fetch(addr);
    let large = scene.source.join("large");
    let before = fs::read(&large).unwrap();
    fs::write(&large, vec![0; before.len()]).unwrap();
    let middle = before.len() as u64 / 2;
    let block =
        file.data.windows(64).position(|bytes| bytes == &before[usize::try_from(middle).unwrap()..][..64]);
    let block = block.unwrap() as u64 / 10_240;
    let mut client = ForeignClient::connect(addr);
    client.ask(&file.hash, block).unwrap().assert_message(2);
    let name = large.display().to_string();
    seeder.wait_line("a warning that names the file", |line| {
        (line.contains(&name) && line.contains("was changed")).then_some(())
    });
    // What is right is served again, what is wrong is not.
    let last = file.blocks() - 1;
    seeder.wait_until("the last block", || {
        let response = ForeignClient::connect(addr).ask(&file.hash, last).unwrap();
        (response.status == 0).then(|| response.assert_block(&file, last))
    });
    client.ask(&file.hash, block).unwrap().assert_message(2);
    // A file that is gone, or shorter, stays so, and is looked at once.
    fs::write(&large, "short").unwrap();
    client.ask(&file.hash, block).unwrap().assert_message(2);
    // Its bytes are what they were; its time is not, and no part of the archive that is served.
    fs::write(&large, &before).unwrap();
    client.ask(&file.hash, last).unwrap().assert_block(&file, last);
    let _ = ForeignClient::connect(addr).ask(&file.hash, block - 1);
    seeder.assert_running();
}

/// Bytes that a process has read so far, from files and sockets.
fn bytes_read(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn nothing_is_hashed_twice() {
    let scene = scene();
    let content: u64 = tree::walk(&scene.source).iter().filter_map(|found| Some(found.content?.0)).sum();
    for again in [false, true] {
        let mut seeder = scene.seed().arg("--json").start();
        seeder.wait_line("it is seeding", |line| line.contains("\"seeding\"").then_some(()));
        let read = bytes_read(seeder.pid());
        assert_eq!(read < content, again, "{read} bytes were read, the folder has {content}");
        seeder.end_by(Signal::TERM).assert_success();
    }
    // One file has changed, and been changed back: all is read again.
    let path = scene.source.join("README");
    let (bytes, time) = (fs::read(&path).unwrap(), path.metadata().unwrap().modified().unwrap());
    fs::write(&path, bytes).unwrap();
    File::open(&path).unwrap().set_modified(time).unwrap();
    let mut seeder = scene.seed().arg("--json").start();
    seeder.wait_line("it is seeding", |line| line.contains("\"seeding\"").then_some(()));
    assert!(bytes_read(seeder.pid()) >= content);
}
