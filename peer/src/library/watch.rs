//! Hearing that something has changed in a served folder, where the system tells. What has changed is found out by looking
//! through the folder: so nothing depends on what was told, or was not.

use notify::event::{AccessKind, AccessMode};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Notify;

/// The watches of the folders that were looked through.
pub(super) struct Watches {
    watcher: Option<RecommendedWatcher>,
    /// With the numbers of their devices and inodes: another folder may get the name.
    folders: BTreeMap<PathBuf, (u64, u64)>,
    /// Folders that could not be watched.
    failed: usize,
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").field("folders", &self.folders).finish_non_exhaustive()
    }
}

impl Watches {
    /// None yet. `bell` is rung when something has changed.
    pub(super) fn new(bell: Arc<Notify>) -> Self {
        let heard = move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, is_change) {
                bell.notify_one();
            }
        };
        let config = Config::default().with_follow_symlinks(false);
        let watcher = RecommendedWatcher::new(heard, config).ok();
        Self { watcher, folders: BTreeMap::new(), failed: 0 }
    }

    /// None, and there will be none.
    pub(super) const fn none() -> Self {
        Self { watcher: None, folders: BTreeMap::new(), failed: 0 }
    }

    /// Watches these folders, and no others.
    pub(super) fn set(&mut self, folders: Vec<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let number = |folder: PathBuf| {
            let there = std::fs::metadata(&folder).ok()?;
            Some((folder, (there.dev(), there.ino())))
        };
        let mut wanted: BTreeMap<_, _> = folders.into_iter().filter_map(number).collect();
        let before = std::mem::take(&mut self.folders);
        for gone in before.iter().filter(|(folder, number)| wanted.get(*folder) != Some(*number)) {
            // The system has taken its watch away, mostly.
            let _ = watcher.unwatch(gone.0);
        }
        let all = wanted.len();
        wanted.retain(|folder, number| before.get(folder) == Some(number) || watch(watcher, folder));
        (self.failed, self.folders) = (all - wanted.len(), wanted);
    }

    /// Whether every folder is watched.
    pub(super) fn are_complete(&self) -> bool {
        self.watcher.is_some() && self.failed == 0
    }
}

fn watch(watcher: &mut RecommendedWatcher, folder: &Path) -> bool {
    watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
}

/// Whether an event tells of a change. Those of readers do not, and we are one.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    #[tokio::test]
    async fn changes_ring_and_readers_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        fs::write(&file, b"x").unwrap();
        let bell = Arc::new(Notify::new());
        let mut watches = Watches::new(Arc::clone(&bell));
        watches.set(vec![folder.path().to_owned()]);
        if !watches.are_complete() {
            eprintln!("skipped: this system tells of no changes");
            return;
        }
        let rings = async || tokio::time::timeout(Duration::from_millis(300), bell.notified()).await.is_ok();
        fs::read(&file).unwrap();
        assert!(!rings().await, "it was read");
        fs::write(&file, b"y").unwrap();
        assert!(rings().await, "it was written to");
        while rings().await {}
        watches.set(Vec::new());
        fs::write(&file, b"z").unwrap();
        assert!(!rings().await, "it is not watched any more");
    }
}
