//! Folders: made, described, and compared.

use crate::cascade_file::{TestFile, sha256};
use crate::foreign_client::ForeignClient;
use crate::foreign_tracker::ForeignTracker;
use crate::launch::Launch;
use crate::process::Process;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Makes a folder with everything that one may have: about 3.4 MB in 13 files.
pub fn make(root: &Path) {
    let long = "n".repeat(120);
    let deep = format!("{0}/{0}/{0}", "d".repeat(90));
    for folder in ["empty", "bin", "ünïcødé/日本", &deep] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (path, len) in [
        ("empty file", 0),
        ("README", 1),
        ("bin/run", 512),
        ("bin/unit and one", 513),
        ("large", 3_000_000),
        ("middle", 300_000),
        ("-rf", 5),
        ("a\\b", 5),
        ("ünïcødé/日本/👍 é", 700),
        (&long, 7),
        (&format!("bin/{long}"), 8),
        (&format!("{deep}/file"), 9),
        (&format!("{deep}/{long}"), 100_010),
    ] {
        fs::write(root.join(path), noise(path, len)).unwrap();
    }
    fs::set_permissions(root.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    for (path, target) in [
        ("link", "README"),
        ("dangling", "nowhere/at all"),
        ("bin/up", "../README"),
        ("bin/folder", ".."),
        ("ünïcødé/link", "日本/👍 é"),
        (&format!("{deep}/far"), &format!("../../../{deep}/{long}")),
    ] {
        symlink(target, root.join(path)).unwrap();
    }
    set_times(root);
}

/// Bytes that are always the same for the same name.
fn noise(name: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(name.len() as u64).fill(&mut bytes);
    bytes
}

/// Gives everything below `root` a time of its own, long ago.
pub fn set_times(root: &Path) {
    // Deepest first: what is made in a folder changes its time.
    for (number, entry) in (0..).zip(walk(root).iter().rev()) {
        let time = Timespec { tv_sec: 1_000_000_000 + number * 86_400, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        // A symbolic link has a time of its own, which the archive holds too.
        utimensat(CWD, root.join(&entry.path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
}

/// What there is at a path below a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Of a link: what it leads to.
    pub target: Option<PathBuf>,
    /// Of a file: its length, and a hash of its bytes.
    pub content: Option<(u64, [u8; 32])>,
    /// Of a file: whether its owner may run it.
    pub executable: bool,
    /// Of a file or folder: the second in which it was last changed.
    pub mtime: i64,
}

/// Everything below `root`, sorted by path.
#[must_use]
pub fn walk(root: &Path) -> Vec<Found> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let at = entry.unwrap().path();
            let path = at.strip_prefix(root).unwrap().to_owned();
            let metadata = at.symlink_metadata().unwrap();
            let target = metadata.is_symlink().then(|| fs::read_link(&at).unwrap());
            let content = metadata.is_file().then(|| (metadata.len(), sha256(&fs::read(&at).unwrap())));
            let executable = metadata.is_file() && metadata.mode() & 0o100 != 0;
            let mtime = if target.is_some() { 0 } else { metadata.mtime() };
            if metadata.is_dir() {
                folders.push(at);
            }
            found.push(Found { path, target, content, executable, mtime });
        }
    }
    found.sort();
    found
}

/// Fails unless the two folders hold the same.
#[track_caller]
pub fn assert_same(expected: &Path, found: &Path) {
    let (expected, found) = (walk(expected), walk(found));
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(expected, found);
    }
    assert_eq!(expected.len(), found.len(), "one folder has more than the other");
}

/// A folder beside its `.cascade` file, a tracker, and a place for records.
pub struct FolderScene {
    dir: TempDir,
    /// Where processes remember what they have found.
    pub state: TempDir,
    /// A tracker that follows the rules.
    pub tracker: ForeignTracker,
    /// The folder.
    pub source: PathBuf,
    /// Its `.cascade` file.
    pub cascade: PathBuf,
    /// The archive, as the first seeder gave it.
    pub file: Option<TestFile>,
}

impl FolderScene {
    /// A folder that `make` fills, called `NAME`, described by `peer create`.
    #[must_use]
    pub fn new(name: &str, block_size: &str, make: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join(name);
        fs::create_dir(&source).unwrap();
        make(&source);
        Launch::peer("create").arg(&source).args(["-b", block_size]).run().assert_success();
        let cascade = dir.path().join(format!("{name}.cascade"));
        let (state, tracker) = (tempfile::tempdir().unwrap(), ForeignTracker::listing(&[]));
        Self { dir, state, tracker, source, cascade, file: None }
    }

    /// The folder that all is in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The cascade hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&fs::read(&self.cascade).unwrap())
    }

    /// `peer seed` of the folder.
    pub fn seed(&self) -> Launch {
        let launch = Launch::peer("seed").env("XDG_STATE_HOME", self.state.path()).arg(&self.cascade);
        launch.args(["--listen", "127.0.0.1:0", "--tracker"]).arg(self.tracker.addr.to_string())
    }

    /// Starts it, and waits until it has subscribed.
    #[must_use]
    pub fn seeding(&self) -> (Process, SocketAddr) {
        let mut seeder = self.seed().start();
        let addr = seeder.wait_until("a subscription", || self.tracker.first_subscriber(&self.hash()));
        (seeder, addr)
    }

    /// A new folder with a copy of the `.cascade` file, to download to.
    #[must_use]
    pub fn elsewhere(&self) -> Elsewhere {
        let dir = tempfile::tempdir().unwrap();
        let name = self.cascade.file_name().unwrap();
        let cascade = dir.path().join(name);
        fs::copy(&self.cascade, &cascade).unwrap();
        let target = dir.path().join(self.source.file_name().unwrap());
        Elsewhere { dir, state: tempfile::tempdir().unwrap(), cascade, target, hash: self.hash() }
    }

    /// The archive, block by block, as a version 1 client gets it.
    #[must_use]
    pub fn fetch(&self, addr: SocketAddr) -> TestFile {
        let cascade = fs::read(&self.cascade).unwrap();
        let number = |at: usize| u64::from_be_bytes(cascade[at..at + 8].try_into().unwrap());
        let (length, block_size, hash) = (number(16), number(24), self.hash());
        let mut client = ForeignClient::connect(addr);
        let mut data = Vec::new();
        for block in 0..length.div_ceil(block_size) {
            let response = client.ask(&hash, block).unwrap();
            assert_eq!(response.status, 0, "{}", String::from_utf8_lossy(&response.body));
            data.extend(response.body);
        }
        let file = TestFile::of("folder.tar", data, usize::try_from(block_size).unwrap());
        assert!(file.cascade == cascade, "the blocks are not those of {}", self.cascade.display());
        file
    }
}

/// Where a folder is downloaded to.
pub struct Elsewhere {
    /// The folder of all that is made.
    pub dir: TempDir,
    /// Where processes remember what they have found.
    pub state: TempDir,
    /// The `.cascade` file.
    pub cascade: PathBuf,
    /// The folder, when it is complete.
    pub target: PathBuf,
    /// The cascade hash.
    pub hash: [u8; 32],
}

impl Elsewhere {
    /// Writes the `.cascade` file of an archive to a new folder.
    #[must_use]
    pub fn of(file: &TestFile) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cascade = file.write_cascade(dir.path());
        let (target, state) = (dir.path().join(&file.name), tempfile::tempdir().unwrap());
        Self { dir, state, cascade, target, hash: file.hash }
    }

    /// `peer download` from a peer.
    pub fn download(&self, peer: SocketAddr) -> Launch {
        let launch = Launch::peer("download").env("XDG_STATE_HOME", self.state.path()).arg(&self.cascade);
        launch.args(["--listen", "127.0.0.1:0", "--peer"]).arg(peer.to_string())
    }

    /// Where the folder is until it is complete.
    #[must_use]
    pub fn part(&self) -> PathBuf {
        let mut name = self.target.clone().into_os_string();
        name.push(".part");
        name.into()
    }

    /// What is beside the `.cascade` file.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}
