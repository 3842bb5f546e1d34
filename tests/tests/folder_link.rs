use crate::links::{any, download, listening, peer};
use cascade_tests::process::{Process, Signal};
use cascade_tests::tree;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use tempfile::TempDir;

/// A machine of its own with a folder `photos`, and what its commands remember.
struct Home {
    dir: TempDir,
    state: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() };
        fs::create_dir(home.photos()).unwrap();
        tree::make(&home.photos());
        home
    }

    fn photos(&self) -> PathBuf {
        self.dir.path().join("photos")
    }

    /// Shares `args` on any port of 127.0.0.1; tells the link.
    fn sharing(&self, args: &[&str]) -> (Process, String) {
        let launch = peer("share", &self.dir).env("CASCADE_STATE_DIR", self.state.path());
        let mut process = launch.args(args).args(["-l", "127.0.0.1:0"]).start();
        let link = process.wait_line("the line to paste", |line| {
            Some(line.trim_end().split_once("peer download '")?.1.strip_suffix('\'')?.to_owned())
        });
        (process, link)
    }
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_shared_folder_is_downloaded_by_its_link() {
    let home = Home::new();
    let (sharer, link) = home.sharing(&["photos/"]);
    assert!(link.contains("?name=photos&"), "{link}");
    let receiver = tempfile::tempdir().unwrap();
    let got = download(&receiver, &link).run();
    got.assert_success();
    // What came before it was known to be a folder was not there before either.
    assert!(!got.stdout.contains("there before"), "{got}");
    tree::assert_same(&home.photos(), &receiver.path().join("photos"));
    assert_eq!(names(&receiver), ["photos", "photos.cascade"]);
    // All of it is there: nothing is asked of anybody.
    download(&receiver, &link).arg("--no-wait").run().assert_success();

    let tar = tempfile::tempdir().unwrap();
    download(&tar, &link).arg("--tar").run().assert_success();
    assert_eq!(names(&tar), ["photos.tar", "photos.tar.cascade"]);

    let done = sharer.end_by(Signal::INT);
    done.assert_code(0);
    assert!(done.stdout.contains("photos: gave ") && done.stdout.contains(" entries) in "), "{done}");
    assert_eq!(names(&home.dir), ["photos"], "nothing is written beside the user's folder");
    // It is the same as before, however it is called.
    let (_sharer, again) = home.sharing(&["./photos"]);
    assert_eq!(again.split_once('&').unwrap().0, link.split_once('&').unwrap().0);
}

#[test]
fn a_folder_that_a_link_was_got_for_can_be_verified_and_seeded_by_it() {
    let home = Home::new();
    let (mut sharer, link) = home.sharing(&["photos"]);
    let (_, hash) = link.split_once(':').unwrap();
    let hash = &hash[..64];
    peer("verify", &home.dir).arg(&link).run().assert_success();
    // Under another name; the .cascade file does not go into the folder.
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("pictures")).unwrap();
    tree::make(&other.path().join("pictures"));
    let seed =
        |link: &str| peer("seed", &other).arg(link).args(["--data", "pictures", "-l", &any().to_string()]);
    let mut seeder = seed(&link).start();
    seeder.wait_line("that it seeds", |line| line.contains("seeding, all").then_some(()));
    assert_eq!(names(&other), ["pictures", "pictures.cascade"]);
    seeder.end_by(Signal::INT).assert_code(0);
    let mut seeder = peer("seed", &other).args(["pictures.cascade", "-l", &any().to_string()]).start();
    let at = listening(&mut seeder);
    sharer.signal(Signal::KILL);
    let receiver = tempfile::tempdir().unwrap();
    download(&receiver, &format!("cascade:{hash}?name=photos&peer={at}")).run().assert_success();
    tree::assert_same(&home.photos(), &receiver.path().join("photos"));
}

#[test]
fn a_folder_of_the_users_is_no_place_for_another_one() {
    let home = Home::new();
    let (_sharer, link) = home.sharing(&["photos"]);
    let receiver = tempfile::tempdir().unwrap();
    let old = receiver.path().join("photos");
    fs::create_dir(&old).unwrap();
    fs::write(old.join("mine"), "mine").unwrap();
    let refused = download(&receiver, &link).run();
    refused.assert_code(1);
    assert!(
        refused.stderr.contains("photos is there already and is not the folder of the link"),
        "{refused}"
    );
    assert_eq!(names(&receiver), ["photos"]);
    assert_eq!(fs::read(old.join("mine")).unwrap(), b"mine");
    download(&receiver, &link).args(["-o", "new", "--from", "photos"]).run().assert_success();
    tree::assert_same(&home.photos(), &receiver.path().join("new"));
}

#[test]
fn what_cannot_be_shared_of_a_folder_is_named_or_left_out() {
    let home = Home::new();
    symlink("/etc/passwd", home.photos().join("out")).unwrap();
    let refused = peer("share", &home.dir).args(["photos", "-l", "127.0.0.1:0"]).run();
    refused.assert_code(1);
    assert!(refused.stderr.contains("photos/out") && refused.stderr.contains("--skip-special"), "{refused}");
    let (_sharer, link) = home.sharing(&["photos", "--skip-special"]);
    let receiver = tempfile::tempdir().unwrap();
    download(&receiver, &link).run().assert_success();
    fs::remove_file(home.photos().join("out")).unwrap();
    assert!(!receiver.path().join("photos/out").exists());
}

/// The link of a new version brings the folder of the old one up to date, if the user says so.
#[test]
fn a_folder_is_brought_up_to_date_by_the_link_of_its_new_version() {
    let home = Home::new();
    let receiver = tempfile::tempdir().unwrap();
    let (sharer, link) = home.sharing(&["photos"]);
    download(&receiver, &link).run().assert_success();
    drop(sharer);
    fs::write(home.photos().join("README"), "the second version").unwrap();
    let (_sharer, link) = home.sharing(&["photos"]);
    let old = fs::read(receiver.path().join("photos.cascade")).unwrap();
    download(&receiver, &link).run().assert_one_line_error(&["photos.cascade"]);
    download(&receiver, &link).arg("--update").run().assert_success();
    tree::assert_same(&home.photos(), &receiver.path().join("photos"));
    assert_eq!(names(&receiver)[..3], ["photos", "photos.cascade", "photos.cascade.1"]);
    assert_eq!(
        fs::read(receiver.path().join("photos.cascade.1")).unwrap(),
        old,
        "the old one is moved aside"
    );

    // Another folder of that name is not touched unasked; asked, nothing of it is lost.
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("photos")).unwrap();
    fs::write(other.path().join("photos/README"), "mine").unwrap();
    download(&other, &link).run().assert_one_line_error(&["photos", "--update", "-o"]);
    assert_eq!(names(&other), ["photos"]);
    download(&other, &link).arg("--update").run().assert_success();
    tree::assert_same(&home.photos(), &other.path().join("photos"));
    assert_eq!(fs::read(other.path().join("photos.replaced/README")).unwrap(), b"mine");
}

#[test]
fn a_file_keeps_its_name_by_a_link_too_and_replaces_nothing() {
    for length in [100_000, 512 * 200] {
        let home = Home::new();
        let bytes: Vec<u8> = (0..length).map(|at: u32| at.to_be_bytes()[2] ^ at.to_be_bytes()[3]).collect();
        fs::write(home.dir.path().join("film.bin"), &bytes).unwrap();
        let (_sharer, link) = home.sharing(&["film.bin"]);
        let receiver = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            download(&receiver, &link).arg("--tar").run().assert_success();
            assert_eq!(names(&receiver), ["film.bin", "film.bin.cascade"]);
            assert!(fs::read(receiver.path().join("film.bin")).unwrap() == bytes);
        }
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("film.bin"), "mine").unwrap();
        download(&other, &link).arg("--tar").run().assert_one_line_error(&["film.bin", "-o"]);
        assert_eq!(fs::read(other.path().join("film.bin")).unwrap(), b"mine");
    }
}
