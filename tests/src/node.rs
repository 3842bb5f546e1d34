//! A real peer in a folder of its own, for swarms of several.

use crate::cascade_file::TestFile;
use crate::launch::Launch;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;

/// A folder with a `.cascade` file and nothing else yet.
#[derive(Debug)]
pub struct Node {
    folder: TempDir,
    cascade: PathBuf,
}

impl Node {
    /// A new folder with the `.cascade` of `file`.
    ///
    /// # Panics
    /// The folder cannot be made.
    #[must_use]
    pub fn new(file: &TestFile) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cascade = file.write_cascade(folder.path());
        Self { folder, cascade }
    }

    /// Where the data file is, or will be.
    #[must_use]
    pub fn target(&self, file: &TestFile) -> PathBuf {
        self.folder.path().join(&file.name)
    }

    /// Puts the data file into the folder.
    pub fn write_data(&self, file: &TestFile) {
        let _ = file.write_data(self.folder.path());
    }

    /// A command of `peer` for the file.
    pub fn launch(&self, subcommand: &str, tracker: SocketAddr, listen: SocketAddr) -> Launch {
        let launch = Launch::peer(subcommand).arg(&self.cascade);
        launch.args(["-t", &tracker.to_string(), "-l", &listen.to_string()])
    }
}
