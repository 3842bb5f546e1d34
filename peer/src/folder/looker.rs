//! Looking at many paths below a folder, without opening each folder again.

use super::beneath::{Beneath, look};
use rustix::fs::Stat;
use std::os::fd::{AsFd, OwnedFd};

/// Looks at one path after the other, in the order of an archive.
pub(super) struct Looker<'a> {
    below: &'a Beneath,
    /// The folder that was looked at last.
    folder: Option<(String, Option<OwnedFd>)>,
}

impl<'a> Looker<'a> {
    pub(super) fn new(below: &'a Beneath) -> Self {
        Self { below, folder: None }
    }

    /// The folder that was looked at last may be another one by now.
    pub(super) fn forget(&mut self) {
        self.folder = None;
    }

    /// What stands at `path`, if anything does.
    pub(super) fn look(&mut self, path: &str) -> Option<Stat> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if self.folder.as_ref().is_none_or(|(there, _)| there != parent) {
            self.folder = Some((parent.to_owned(), self.below.folder(parent).ok()));
        }
        let (_, open) = self.folder.as_ref()?;
        look(open.as_ref()?.as_fd(), name).ok()
    }
}
