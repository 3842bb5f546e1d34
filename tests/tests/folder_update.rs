use cascade_tests::cascade_file::TestFile;
use cascade_tests::foreign_client::blocks_given;
use cascade_tests::foreign_peer::{ForeignPeer, Script};
use cascade_tests::foreign_tracker::ForeignTracker;
use cascade_tests::launch::can_inject;
use cascade_tests::process::Signal;
use cascade_tests::tree::{self, Elsewhere, FolderScene};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The first version: 40 files of 50,000 bytes, and one of everything else.
fn first(root: &Path) {
    for folder in ["sub/deep", "empty"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for number in 0..40 {
        let bytes = TestFile::random(&number.to_string(), 50_000, 50_000).data;
        fs::write(root.join(format!("file {number:02}")), bytes).unwrap();
    }
    let bytes = TestFile::random("moves", 60_000, 60_000).data;
    fs::write(root.join("sub/deep/moves"), bytes).unwrap();
    fs::write(root.join("sub/none"), "").unwrap();
    fs::set_permissions(root.join("file 05"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("file 01", root.join("link")).unwrap();
    symlink("file 02", root.join("other link")).unwrap();
    tree::set_times(root);
}

/// The next one: new files and folders, other bytes, other lengths, other names, another link, another permission.
fn second(root: &Path) {
    let write = |name: &str, bytes: &[u8], at: u64| {
        OpenOptions::new().write(true).open(root.join(name)).unwrap().write_all_at(bytes, at).unwrap();
    };
    fs::write(root.join("a new one"), "new").unwrap();
    fs::create_dir(root.join("new folder")).unwrap();
    fs::write(root.join("new folder/empty too"), "").unwrap();
    write("file 07", b"other bytes", 20_000);
    write("file 20", b"more", 50_000);
    OpenOptions::new().write(true).open(root.join("file 30")).unwrap().set_len(40_000).unwrap();
    fs::rename(root.join("sub/deep/moves"), root.join("new folder/moved")).unwrap();
    fs::remove_file(root.join("file 39")).unwrap();
    fs::remove_file(root.join("other link")).unwrap();
    symlink("file 03", root.join("other link")).unwrap();
    fs::set_permissions(root.join("file 06"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Both versions, each as a folder and as a file of a scripted peer.
struct Versions {
    old: FolderScene,
    new: FolderScene,
    old_file: TestFile,
    new_file: TestFile,
}

impl Versions {
    fn new() -> Self {
        let old = FolderScene::new("photos", "4096", first);
        let new = FolderScene::new("photos", "4096", |root| {
            // Times and all.
            for entry in tree::walk(&old.source) {
                let (from, to) = (old.source.join(&entry.path), root.join(&entry.path));
                match fs::symlink_metadata(&from).unwrap().file_type() {
                    kind if kind.is_dir() => fs::create_dir_all(&to).unwrap(),
                    kind if kind.is_symlink() => symlink(fs::read_link(&from).unwrap(), &to).unwrap(),
                    _ => {
                        fs::create_dir_all(to.parent().unwrap()).unwrap();
                        fs::copy(&from, &to).unwrap();
                        let time = fs::metadata(&from).unwrap().modified().unwrap();
                        OpenOptions::new().write(true).open(&to).unwrap().set_modified(time).unwrap();
                    }
                }
            }
            second(root);
        });
        let file = |scene: &FolderScene| {
            let (_seeder, addr) = scene.seeding();
            TestFile { name: "photos".into(), ..scene.fetch(addr) }
        };
        let (old_file, new_file) = (file(&old), file(&new));
        Self { old, new, old_file, new_file }
    }

    /// A folder to which the old version was downloaded, beside the `.cascade` file of the new one.
    fn with_old(&self) -> Elsewhere {
        let elsewhere = Elsewhere::of(&self.old_file);
        elsewhere.download(ForeignPeer::honest(&self.old_file).addr).run().assert_success();
        fs::copy(&self.new.cascade, &elsewhere.cascade).unwrap();
        elsewhere
    }

    /// Fails unless the target has the new version, and the files that only the old one had.
    #[track_caller]
    fn assert_updated(&self, target: &Path) {
        let found: BTreeMap<_, _> =
            tree::walk(target).into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        for expected in tree::walk(&self.new.source) {
            assert_eq!(Some(&expected), found.get(&expected.path));
        }
        let file = |name: &str| fs::read(self.old.source.join(name)).unwrap();
        assert!(
            fs::read(target.join("file 39")).unwrap() == file("file 39"),
            "what only the old one has stays"
        );
        assert!(fs::read(target.join("sub/deep/moves")).unwrap() == file("sub/deep/moves"));
    }
}

fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[test]
fn an_earlier_version_is_brought_up_to_date_where_it_is() {
    let versions = Versions::new();
    let (peer, elsewhere) = (ForeignPeer::honest(&versions.new_file), versions.with_old());
    let target = &elsewhere.target;
    let inode = |name: &str| fs::metadata(target.join(name)).unwrap().ino();
    let (same, other) = (inode("file 01"), inode("file 07"));
    fs::set_permissions(target.join("file 07"), fs::Permissions::from_mode(0o600)).unwrap();

    // Nothing is done unasked.
    let before = tree::walk(target);
    let refused = elsewhere.download(peer.addr).run();
    refused.assert_one_line_error(&["photos", "--update", "-o"]);
    assert_eq!(tree::walk(target), before);

    fs::write(target.join("mine"), "mine").unwrap();
    fs::create_dir(target.join("my folder")).unwrap();
    fs::write(target.join("my folder/mine"), "mine too").unwrap();
    let asked_before = peer.journal().asked().len();
    let done = elsewhere.download(peer.addr).args(["--update", "--json"]).run();
    done.assert_success();
    versions.assert_updated(target);
    assert_eq!(fs::read(target.join("mine")).unwrap(), b"mine");
    assert_eq!(fs::read(target.join("my folder/mine")).unwrap(), b"mine too");
    assert_eq!(inode("file 01"), same, "what has not changed stays where it is");
    assert_ne!(inode("file 07"), other, "what has changed is replaced as a whole");
    assert_eq!(fs::metadata(target.join("file 07")).unwrap().mode() & 0o777, 0o600);

    let asked = peer.journal().asked().len() - asked_before;
    assert!(asked < 40 && asked * 10 < versions.new_file.data.len() / 4096, "{asked} blocks were asked for");
    let events = done.json_lines();
    let end = events.iter().find(|event| event["event"] == "done").unwrap();
    let number = |name: &str| end[name].as_u64().unwrap();
    let from_peers: u64 =
        end["shares"].as_array().unwrap().iter().map(|share| share["bytes"].as_u64().unwrap()).sum();
    assert_eq!(number("taken_bytes") + number("resumed_bytes") + from_peers, number("bytes"));
    assert!(number("taken_bytes") > 1_900_000, "{end}");
    assert_eq!(Path::new(end["taken_from"].as_str().unwrap()), fs::canonicalize(target).unwrap());
    // The user has changed the permissions of "file 07", which is a change.
    assert_eq!(elsewhere.names(), ["photos", "photos.cascade", "photos.replaced"]);
    let kept = tree::walk(&beside(target, ".replaced"));
    assert_eq!(kept.iter().map(|entry| entry.path.as_path()).collect::<Vec<_>>(), [Path::new("file 07")]);

    // All of it is there now, with the user's own files.
    let again = elsewhere.download(peer.addr).arg("--update").run();
    again.assert_success();
    // What is there is not known before it is known that this is a folder.
    let all = versions.new_file.data.len();
    assert!(again.both().contains(&format!("{all} of {all} bytes are there, 0 blocks to get")), "{again}");
    assert_eq!(again.both().matches("bytes are there").count(), 1, "{again}");
    assert_eq!(elsewhere.names(), ["photos", "photos.cascade", "photos.replaced"]);
    versions.assert_updated(target);
}

/// The folder came in another way, or was edited: what is replaced is kept.
#[test]
fn what_may_be_the_users_own_work_is_kept_when_it_is_replaced() {
    let versions = Versions::new();
    let peer = ForeignPeer::honest(&versions.new_file);
    let elsewhere = versions.with_old();
    let target = &elsewhere.target;
    for (name, text) in
        [("file 01", "edited"), ("a new one", "a new one of mine"), ("sub/none", "no longer empty")]
    {
        fs::write(target.join(name), text).unwrap();
    }
    let done = elsewhere.download(peer.addr).arg("--update").run();
    done.assert_success();
    versions.assert_updated(target);
    let kept = beside(target, ".replaced");
    let names: Vec<_> = tree::walk(&kept).into_iter().map(|entry| entry.path).collect();
    assert_eq!(names, ["a new one", "file 01", "sub", "sub/none"].map(PathBuf::from));
    assert_eq!(fs::read(kept.join("file 01")).unwrap(), b"edited");
    assert_eq!(fs::read(kept.join("sub/none")).unwrap(), b"no longer empty");
    assert!(done.both().contains("3 files of yours") && done.both().contains("photos.replaced"), "{done}");

    // What was kept before stays.
    fs::write(target.join("file 01"), "edited again").unwrap();
    elsewhere.download(peer.addr).arg("--update").run().assert_success();
    assert_eq!(fs::read(kept.join("file 01")).unwrap(), b"edited");
    assert_eq!(fs::read(beside(target, ".replaced.2").join("file 01")).unwrap(), b"edited again");

    // Nothing is known of a copy.
    let unknown = Elsewhere::of(&versions.new_file);
    fs::rename(&versions.old.source, &unknown.target).unwrap();
    unknown.download(peer.addr).arg("--update").run().assert_success();
    let kept = tree::walk(&beside(&unknown.target, ".replaced"));
    let names: Vec<_> = kept.into_iter().map(|entry| entry.path).collect();
    assert_eq!(names, ["file 07", "file 20", "file 30", "other link"].map(PathBuf::from));
}

/// What the user changes while it runs is found, and kept.
#[test]
fn what_is_edited_during_an_update_is_kept() {
    let versions = Versions::new();
    let elsewhere = versions.with_old();
    let file = &versions.new_file;
    // The last block is wanted: the new version has another last file.
    let peer = ForeignPeer::start(file, Script::default().holding(0..10));
    let tracker = ForeignTracker::listing(&[]);
    let launch = elsewhere.download(peer.addr).arg("--update").arg("--tracker").arg(tracker.addr.to_string());
    let mut process = launch.start();
    let addr = process.wait_until("a subscription", || tracker.first_subscriber(&file.hash));
    process.wait_until("most blocks", || (blocks_given(addr, file).len() > 400).then_some(()));
    fs::write(elsewhere.target.join("file 03"), "edited meanwhile").unwrap();
    // A client that asks finds it; the download finds it at its end otherwise.
    let _ = blocks_given(addr, file);
    peer.gain(10..file.blocks());
    process.wait_exit().assert_success();
    versions.assert_updated(&elsewhere.target);
    let kept = beside(&elsewhere.target, ".replaced");
    assert_eq!(fs::read(kept.join("file 03")).unwrap(), b"edited meanwhile");
}

#[test]
fn what_cannot_be_brought_up_to_date_is_refused_before_anything_is_changed() {
    let versions = Versions::new();
    let peer = ForeignPeer::honest(&versions.new_file);
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 5] = [
        ("a new one", |at| fs::create_dir(at).unwrap()),
        ("new folder", |at| fs::write(at, "mine").unwrap()),
        ("new folder", |at| symlink("/tmp", at).unwrap()),
        ("sub", |at| {
            fs::remove_dir_all(at).unwrap();
            symlink("empty", at).unwrap();
        }),
        ("a new one", |at| {
            let status = std::process::Command::new("mkfifo").arg(at).status().unwrap();
            assert!(status.success());
        }),
    ];
    for (name, plant) in plants {
        let elsewhere = versions.with_old();
        plant(&elsewhere.target.join(name));
        let look = || {
            let entries = tree::walk(&elsewhere.target).into_iter();
            entries
                .map(|entry| {
                    (entry.path.clone(), elsewhere.target.join(entry.path).symlink_metadata().unwrap().ino())
                })
                .collect::<Vec<_>>()
        };
        let before = look();
        let done = elsewhere.download(peer.addr).arg("--update").run();
        done.assert_one_line_error(&[&format!("photos/{name} is a"), "in the new version", "-o"]);
        assert_eq!(look(), before);
        assert!(!beside(&elsewhere.target, ".replaced").exists());
    }
    // A file cannot take the place of a folder.
    let file = TestFile::random("photos", 1_000_000, 10_000);
    let elsewhere = Elsewhere::of(&file);
    fs::create_dir(&elsewhere.target).unwrap();
    let peer = ForeignPeer::honest(&file);
    elsewhere.download(peer.addr).arg("--update").run().assert_one_line_error(&["photos", "a folder"]);
    assert_eq!(fs::read_dir(&elsewhere.target).unwrap().count(), 0);
}

/// The process is killed at each of its renamings in the end, at each file that it keeps, and while it copies.
#[test]
fn killed_at_any_moment_each_name_has_the_old_file_or_the_new_one_and_it_goes_on() {
    if !can_inject() {
        return;
    }
    let versions = Versions::new();
    let peer = ForeignPeer::honest(&versions.new_file);
    let contents = |scene: &FolderScene| -> BTreeMap<_, _> {
        tree::walk(&scene.source)
            .into_iter()
            .map(|entry| (entry.path, (entry.content, entry.target)))
            .collect()
    };
    let (old, new) = (contents(&versions.old), contents(&versions.new));
    let calls = [
        ("renameat,renameat2", 1..=9),
        ("linkat", 1..=3),
        ("copy_file_range", 1..=4),
        ("mkdirat", 1..=2),
        ("syncfs", 1..=2),
    ];
    for (call, times) in calls {
        let mut kills = 0;
        for when in times {
            let elsewhere = versions.with_old();
            let target = &elsewhere.target;
            for name in ["file 01", "file 07", "sub/none"] {
                fs::write(target.join(name), format!("my {name}")).unwrap();
            }
            let log = elsewhere.dir.path().join("strace.log");
            let fault = format!("{call}:signal=KILL:when={when}");
            let killed = elsewhere.download(peer.addr).arg("--update").with_faults(&fault, &log).run();
            assert!(killed.code.is_none() || killed.code == Some(0), "{fault}: {killed}");
            kills += u32::from(killed.code.is_none());
            for entry in tree::walk(target) {
                let found = (entry.content, entry.target);
                let mine = fs::read(target.join(&entry.path)).is_ok_and(|bytes| bytes.starts_with(b"my "));
                let known =
                    old.get(&entry.path) == Some(&found) || new.get(&entry.path) == Some(&found) || mine;
                assert!(known, "{fault}: {} has other bytes", entry.path.display());
            }
            for path in old.keys() {
                assert!(target.join(path).symlink_metadata().is_ok(), "{fault}: {} is gone", path.display());
            }
            elsewhere.download(peer.addr).arg("--update").run().assert_success();
            versions.assert_updated(target);
            let kept = beside(target, ".replaced");
            for name in ["file 01", "file 07", "sub/none"] {
                assert_eq!(fs::read(kept.join(name)).unwrap(), format!("my {name}").as_bytes(), "{fault}");
            }
            assert!(!elsewhere.part().exists(), "{fault}: {:?}", elsewhere.names());
        }
        assert!(kills > 0, "nobody was killed at {call}");
    }
}

/// After an update, the new version is served from where it is.
#[test]
fn a_folder_is_served_during_and_after_its_update() {
    let versions = Versions::new();
    let elsewhere = versions.with_old();
    fs::write(elsewhere.target.join("mine"), "mine").unwrap();
    let file = &versions.new_file;
    let peer = ForeignPeer::honest(file);
    let tracker = ForeignTracker::listing(&[]);
    let launch = elsewhere.download(peer.addr).args(["--update", "--seed"]).arg("--tracker");
    let mut process = launch.arg(tracker.addr.to_string()).start();
    let addr: SocketAddr = process.wait_until("a subscription", || tracker.first_subscriber(&file.hash));
    process
        .wait_until("all blocks", || (blocks_given(addr, file).len() as u64 == file.blocks()).then_some(()));
    process.wait_until("the end of the update", || (!elsewhere.part().exists()).then_some(()));
    assert_eq!(blocks_given(addr, file).len() as u64, file.blocks());
    versions.assert_updated(&elsewhere.target);
    process.end_by(Signal::TERM).assert_success();
}
