//! What a download does when its file cannot be believed, or the disk takes no more: it stops asking peers,
//! goes on serving what is not in doubt, mends what can be mended, and goes on by itself.

use super::download_error::DownloadError;
use super::engine::Stop;
use crate::check::{CheckOptions, check_with};
use crate::ground::disk::is_full;
use crate::ground::open::folder_of;
use crate::human::Name;
use crate::limits::{FULL_RETRY, PIECE_LEN, SETTLE, SYNC_RETRY};
use crate::metafile::MetafileOnDisk;
use crate::store::{Shared, Trouble};
use cascade_format::Have;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// What a recovery leaves to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aftermath {
    /// The bytes that were hashed for the whole file's hash may have been others than those that are there.
    pub(super) hash_again: bool,
    /// Every block was read again.
    pub(super) read_all: bool,
    /// And that from the disk.
    pub(super) from_disk: bool,
}

/// Why a download has stopped.
#[derive(Debug)]
pub(super) enum Cause {
    /// There is no room for what was received.
    Full(io::Error),
    /// The disk did not keep what was written since the last good sync.
    Sync(io::Error),
    /// Somebody else has written to the file.
    Changed,
    /// Somebody else may have written to the file.
    Uncertain,
    /// Every block had its hash, and the whole has not.
    FileHash,
}

impl From<Trouble> for Cause {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Changed => Self::Changed,
            Trouble::Sync(error) => Self::Sync(error),
        }
    }
}

impl Cause {
    /// What the user is told, in one line.
    pub(super) fn warning(&self, part: &Path) -> Option<String> {
        let part = Name(part);
        match self {
            Self::Full(error) => Some(format!(
                "cannot write {part}: {error}; serving what is there, and trying again every {} s: make room",
                FULL_RETRY.as_secs()
            )),
            Self::Sync(error) => Some(format!(
                "the disk did not keep what was written to {part}: {error}; reading it back from the disk"
            )),
            Self::Changed => Some(format!("another program changed {part}; checking it again")),
            Self::Uncertain => None,
            Self::FileHash => {
                Some(format!("{part} has not the hash of the whole file; reading it back from the disk"))
            }
        }
    }

    /// What is to be done when it is mended.
    pub(super) fn aftermath(&self) -> Aftermath {
        let read_all = !matches!(self, Self::Full(_) | Self::Sync(_));
        Aftermath { hash_again: read_all, read_all, from_disk: matches!(self, Self::FileHash) }
    }
}

/// A download that has stopped.
#[derive(Debug, Clone)]
pub(super) struct Recovery {
    pub(super) shared: Arc<Shared>,
    pub(super) metafile: Arc<MetafileOnDisk>,
    pub(super) stop: Stop,
}

impl Recovery {
    /// Repairs the damage. When it returns, the have map tells which blocks are there; every link must have
    /// ended before it is called, so that nothing is written meanwhile.
    ///
    /// # Errors
    /// It cannot be mended.
    pub(super) async fn run(self, mut cause: Cause) -> Result<(), DownloadError> {
        loop {
            match &cause {
                Cause::Full(_) => return self.wait_for_room().await,
                Cause::Sync(_) => self.sync().await?,
                Cause::Changed => self.settle().await?,
                Cause::Uncertain => self.shared.doubt_all(),
                Cause::FileHash => {
                    self.shared.doubt_all();
                    self.sync().await?;
                    self.shared.data().drop_cache();
                }
            }
            let (this, from_disk) = (self.clone(), matches!(cause, Cause::Sync(_) | Cause::FileHash));
            let alarm = matches!(cause, Cause::Changed);
            match blocking(move || this.read_again(from_disk, alarm)).await? {
                Ok(true) => return Ok(()),
                Ok(false) => cause = Cause::Changed,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    return Err(DownloadError::Interrupted);
                }
                // Somebody may have cut it while it was read.
                Err(_) if !self.shared.data().is_ours() => cause = Cause::Changed,
                Err(source) => {
                    let path = self.shared.data().path().to_owned();
                    return Err(DownloadError::ReadBack { path, source: Arc::new(source) });
                }
            }
        }
    }

    /// Asks the disk again until a sync goes well: then nothing is waiting to be written, and what is read
    /// is on the disk.
    async fn sync(&self) -> Result<(), DownloadError> {
        loop {
            let shared = Arc::clone(&self.shared);
            let error = match blocking(move || shared.sync()).await? {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if self.shared.ledger().is_hopeless() {
                let path = self.shared.data().path().to_owned();
                return Err(DownloadError::Sync { path, source: error });
            }
            tokio::time::sleep(if is_full(&error) { FULL_RETRY } else { SYNC_RETRY }).await;
        }
    }

    /// Waits until nobody writes to the file any more.
    async fn settle(&self) -> Result<(), DownloadError> {
        self.shared.doubt_all();
        // Of a folder that is a look at every file.
        let stamp = || {
            let shared = Arc::clone(&self.shared);
            blocking(move || shared.data().ground().look().ok())
        };
        let mut before = stamp().await?;
        loop {
            tokio::time::sleep(SETTLE).await;
            let now = stamp().await?;
            if now == before {
                return Ok(());
            }
            before = now;
        }
    }

    /// Checks what is in doubt. False: somebody else wrote to the file meanwhile.
    fn read_again(&self, from_disk: bool, alarm: bool) -> io::Result<bool> {
        let (shared, data) = (&self.shared, self.shared.data());
        let Some(doubtful) = shared.ledger().doubtful().cloned() else { return Ok(true) };
        if doubtful.is_complete() {
            // It may have been cut, and it is ours again from here on.
            data.set_full_length()?;
            data.guard(data.ground().look()?);
        }
        let options = CheckOptions { only: Some(&doubtful), ..CheckOptions::default() };
        let all = 0..shared.layout().blocks();
        let right = check_with(options, data.ground(), &self.metafile, all, &|_| (), self.stop.flag())?;
        if !data.is_ours() {
            return Ok(false);
        }
        if alarm && !self.is_less(&right) {
            data.false_alarm();
        }
        shared.settle(&right, from_disk);
        Ok(true)
    }

    /// Whether a block of the file that was had is not there any more.
    fn is_less(&self, right: &Have) -> bool {
        right.count() < self.shared.had()
    }

    async fn wait_for_room(&self) -> Result<(), DownloadError> {
        loop {
            tokio::time::sleep(FULL_RETRY).await;
            let shared = Arc::clone(&self.shared);
            if blocking(move || look_for_room(&shared)).await?.is_ok() {
                return Ok(());
            }
        }
    }
}

/// Writes to a file without a name on the same disk. A write to the data itself tells nothing, where its bytes had room
/// before the disk was full. An error: there is no room. What keeps such a file from being made is not in the way of a download.
fn look_for_room(shared: &Shared) -> io::Result<()> {
    let data = shared.data();
    // A folder that is downloaded is such a folder itself.
    let folder = if data.path().is_dir() { data.path() } else { folder_of(data.path()) };
    let written = tempfile::tempfile_in(folder).and_then(|file| file.write_all_at(&vec![0; PIECE_LEN], 0));
    written.or_else(|error| if is_full(&error) { Err(error) } else { Ok(()) })
}

/// Does what waits for a disk on a thread where waiting disturbs nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, DownloadError> {
    // The runtime ends only when the process does.
    spawn_blocking(work).await.map_err(|_| DownloadError::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::HaveMap;
    use crate::store::DataFile;
    use cascade_format::{CascadeHash, Layout};

    #[test]
    fn looking_for_room_changes_nothing_and_what_is_in_its_way_is_no_full_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.part");
        let layout = Layout::new(512 << 10, 256 << 10).unwrap();
        let data = DataFile::new(tempfile::tempfile().unwrap(), &path, layout);
        let shared =
            Shared::new(CascadeHash([1; 32]), data, HaveMap::new(layout, &Have::none(&layout)), None);
        look_for_room(&shared).unwrap();
        assert_eq!(shared.data().ground().length().unwrap(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::remove_dir(folder.path()).unwrap();
        look_for_room(&shared).unwrap();
    }
}
