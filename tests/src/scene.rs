//! The surroundings of most tests: a folder, a file with its `.cascade`, a foreign tracker, and ways to
//! start the real peer among them.

use crate::cascade_file::TestFile;
use crate::foreign_tracker::ForeignTracker;
use crate::launch::Launch;
use crate::process::Process;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with `NAME.cascade` in it, and a tracker.
pub struct Scene {
    folder: TempDir,
    state: TempDir,
    /// The file.
    pub file: TestFile,
    /// A tracker that follows the rules.
    pub tracker: ForeignTracker,
    /// Path of `NAME.cascade`.
    pub cascade: PathBuf,
}

impl Scene {
    /// Writes the `.cascade` into a new folder; the tracker lists `peers`.
    #[must_use]
    pub fn new(file: TestFile, peers: &[SocketAddr]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cascade = file.write_cascade(folder.path());
        let state = tempfile::tempdir().expect("a temporary folder");
        Self { folder, state, file, tracker: ForeignTracker::listing(peers), cascade }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a download puts the finished file: beside the `.cascade`, without that ending.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.folder().join(&self.file.name)
    }

    /// Where a download collects what it has.
    #[must_use]
    pub fn part(&self) -> PathBuf {
        self.folder().join(format!("{}.part", self.file.name))
    }

    /// `peer download` of the file, with the tracker, on a free port of 127.0.0.1.
    pub fn download(&self) -> Launch {
        self.download_without_tracker().arg("--tracker").arg(self.tracker.addr.to_string())
    }

    /// The same without the tracker.
    pub fn download_without_tracker(&self) -> Launch {
        self.peer("download")
    }

    /// `peer seed` of the file, with the tracker, on a free port of 127.0.0.1.
    pub fn seed(&self) -> Launch {
        self.peer("seed").arg("--tracker").arg(self.tracker.addr.to_string())
    }

    /// `peer verify` of the file.
    pub fn verify(&self) -> Launch {
        Launch::peer("verify").env("XDG_STATE_HOME", self.state.path()).arg(&self.cascade)
    }

    /// The folder in which these processes remember what they have found.
    #[must_use]
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// What one process remembers here, the next one finds, as for a real user.
    fn peer(&self, subcommand: &str) -> Launch {
        let launch = Launch::peer(subcommand).env("XDG_STATE_HOME", self.state.path());
        launch.arg(&self.cascade).args(["--listen", "127.0.0.1:0"])
    }

    /// Writes the data, starts `peer seed` and returns it with its address once it has subscribed.
    #[must_use]
    pub fn seeding(&self) -> (Process, SocketAddr) {
        let _ = self.file.write_data(self.folder());
        let mut seeder = self.seed().start();
        let addr = self.listening(&mut seeder);
        (seeder, addr)
    }

    /// Waits until `process` has subscribed, and returns where it listens.
    ///
    /// # Panics
    /// It ends first.
    #[must_use]
    #[track_caller]
    pub fn listening(&self, process: &mut Process) -> SocketAddr {
        process.wait_until("a subscription", || self.tracker.first_subscriber(&self.file.hash))
    }

    /// Fails unless the target is there, whole and right, and nothing partial is left.
    #[track_caller]
    pub fn assert_complete(&self) {
        self.file.assert_same(&self.target());
        assert!(!self.part().exists(), "{} should be gone", self.part().display());
    }

    /// Fails unless the folder holds the `.cascade` and nothing else.
    #[track_caller]
    pub fn assert_nothing_made(&self) {
        let names: Vec<_> =
            fs::read_dir(self.folder()).unwrap().flatten().map(|entry| entry.file_name()).collect();
        let cascade = self.cascade.file_name().unwrap_or_default();
        assert_eq!(names, [cascade], "something was made beside the .cascade");
    }
}
