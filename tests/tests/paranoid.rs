use cascade_tests::cascade_file::TestFile;
use cascade_tests::clock;
use cascade_tests::foreign_client::ForeignClient;
use cascade_tests::mapping::Mapping;
use cascade_tests::process::Process;
use cascade_tests::scene::Scene;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// On tmpfs the pages of a mapping are never clean, so the change time does not move.
const MEMORY: &str = "/dev/shm";

/// Small blocks, and such as are longer than what is hashed at once.
const BLOCK_SIZES: [usize; 2] = [10_000, 1_000_000];

/// A scene whose data is in `folder`, with a mapping of it whose pages are dirty.
fn mapped(folder: &Path, block_size: usize) -> (Scene, tempfile::TempDir, Mapping) {
    let file = TestFile::random("mapped.bin", 8_000_000, block_size);
    let scene = Scene::new(file, &[]);
    let data = tempfile::tempdir_in(folder).unwrap();
    let path = scene.file.write_data(data.path());
    let mut mapping = Mapping::of(&path);
    (0..scene.file.data.len()).step_by(4096).for_each(|at| mapping.write(at, scene.file.data[at]));
    (scene, data, mapping)
}

fn seeding(scene: &Scene, data: &Path, arguments: &[&str]) -> (Process, SocketAddr) {
    let mut seeder = scene.seed().arg("--data").arg(data).args(arguments).start();
    let addr = scene.listening(&mut seeder);
    (seeder, addr)
}

/// What became of each block: given right, given wrong, or not given.
fn ask_all(scene: &Scene, addr: SocketAddr) -> [usize; 3] {
    let mut client = ForeignClient::connect(addr);
    let mut counts = [0; 3];
    for block in 0..scene.file.blocks() {
        let answer = client.ask(&scene.file.hash, block);
        if answer.is_err() {
            client = ForeignClient::connect(addr);
        }
        match answer {
            Ok(response) if response.status == 0 => {
                counts[usize::from(scene.file.block(block) != Some(&response.body))] += 1;
            }
            Ok(_) | Err(_) => counts[2] += 1,
        }
    }
    counts
}

/// Changes one byte of every second block; true if the change can be seen by a reader of the file, and not by
/// a look at its times.
fn change(scene: &Scene, data: &Path, mapping: &mut Mapping) -> bool {
    let path = data.join(&scene.file.name);
    let times = || fs::metadata(&path).and_then(|metadata| metadata.modified()).unwrap();
    let before = times();
    let places = (0..scene.file.data.len()).step_by(scene.file.block_size * 2);
    places.for_each(|at| mapping.write(at, !scene.file.data[at]));
    assert!(fs::read(&path).unwrap() != *scene.file.data, "the change is there");
    before == times()
}

#[test]
fn with_paranoid_no_change_through_a_mapping_is_served() {
    if !Path::new(MEMORY).is_dir() {
        println!("skipped: there is no {MEMORY}");
        return;
    }
    for block_size in BLOCK_SIZES {
        let (scene, data, mut mapping) = mapped(Path::new(MEMORY), block_size);
        let (mut seeder, addr) = seeding(&scene, data.path(), &["--paranoid"]);
        let blocks = usize::try_from(scene.file.blocks()).unwrap();
        assert_eq!(ask_all(&scene, addr), [blocks, 0, 0]);
        assert!(change(&scene, data.path(), &mut mapping), "the file system has noticed");
        let [_, wrong, missing] = ask_all(&scene, addr);
        assert_eq!(wrong, 0, "{missing} missing");
        assert!(missing > 0, "the change was found");
        seeder.wait_line("that it checks again", |line| line.contains("changed").then_some(()));
        // The check believes no record, and what is right is served again.
        clock::eventually("the right half", || {
            (ask_all(&scene, addr) == [blocks / 2, 0, blocks / 2]).then_some(())
        });
        seeder.assert_running();
    }
}

#[test]
fn without_it_a_disk_s_file_system_notices_a_mapping_after_the_check() {
    let (scene, data, mut mapping) = mapped(&std::env::temp_dir(), BLOCK_SIZES[0]);
    let (_seeder, addr) = seeding(&scene, data.path(), &[]);
    if change(&scene, data.path(), &mut mapping) {
        println!("skipped: {} is no file system with a disk", data.path().display());
        return;
    }
    let [_, wrong, _] = ask_all(&scene, addr);
    assert_eq!(wrong, 0, "the pages were clean when the seeder had checked them");
}

#[test]
fn a_download_that_was_changed_is_mended_and_says_so() {
    if !Path::new(MEMORY).is_dir() {
        println!("skipped: there is no {MEMORY}");
        return;
    }
    use cascade_tests::foreign_peer::{ForeignPeer, Script};
    let file = TestFile::random("changed.bin", 4_000_000, 10_000);
    let source = ForeignPeer::start(&file, Script::default().slow(800_000));
    let scene = Scene::new(file, &[source.addr]);
    let folder = tempfile::tempdir_in(MEMORY).unwrap();
    let target = folder.path().join("changed.bin");
    let download = scene.download().args(["--paranoid", "--sequential", "-o"]).arg(&target);
    let mut process = download.start();
    let addr = scene.listening(&mut process);
    let mut client = ForeignClient::connect(addr);
    process.wait_until("block 3", || {
        client.ask(&scene.file.hash, 3).is_ok_and(|response| response.status == 0).then_some(())
    });
    let part = folder.path().join("changed.bin.part");
    Mapping::of(&part).write(35_000, !scene.file.data[35_000]);
    let answer = client.ask(&scene.file.hash, 3);
    assert!(answer.as_ref().is_ok_and(|response| response.status == 2), "{answer:?}");
    let done = process.wait_exit();
    done.assert_success();
    assert!(done.both().contains("another program changed"), "{}", done.both());
    scene.file.assert_same(&target);
    let journal = source.journal();
    assert_eq!(
        journal.served.iter().filter(|block| **block == 3).count(),
        2,
        "the wrong block was not fetched again"
    );
}
