//! Finding out whether a file is the archive of a folder, by its first bytes.

use super::Session;
use crate::folder::{Found, Head, HeadError};
use crate::session::download::Halted;
use crate::session::download_error::DownloadError;
use crate::session::mover::turn;
use crate::store::{Place, PrepareError, Shared};
use std::sync::Arc;

/// Bytes of a head that are read between two looks at the plan: some milliseconds of work.
const STEP_LEN: u64 = 1 << 20;

/// What is to be found out about a file; `None`: nothing.
pub(super) fn head(shared: &Shared, place: &Place) -> Option<Head> {
    let is_file = matches!(place, Place::Part { .. }) && shared.data().file().is_some();
    if is_file { Head::of(shared.layout().length()) } else { None }
}

impl Session {
    /// Looks at as much of the head as has come. `Some`: the download must begin anew.
    pub(super) async fn look_at_head(&mut self) -> Result<Option<Halted>, DownloadError> {
        let Some(head) = self.head.take() else { return Ok(None) };
        let shared = Arc::clone(&self.shared);
        let (layout, at) = (shared.layout(), head.at());
        let blocks = layout.block_at(head.end() - 1).map_or(layout.blocks(), |last| last.number() + 1);
        // Then it begins anew: with what is right of an earlier version, or under another name.
        let (as_tar, earlier) =
            (self.download.as_tar.is_some(), self.download.from.is_some() || self.download.update);
        let slices = self.links.sliced().map_or(1, |layout| layout.slices_a_block());
        self.plan.want_first(0..blocks.saturating_mul(slices), as_tar || earlier);
        let mut until = at;
        while let Some(block) = layout.block_at(until).filter(|block| shared.have().has(*block))
            && until < at + STEP_LEN
        {
            until = layout.range(block).end.min(at + STEP_LEN);
        }
        if until == at {
            self.head = Some(head);
            return Ok(None);
        }
        let found = head.read(shared.data().ground(), until);
        if !shared.is_unchanged() {
            // What was read may be somebody else's: it is read again when the file is mended.
            self.head = super::head(&self.shared, &self.place);
            return Ok(None);
        }
        match found {
            // The first bytes tell whether it is an archive; the rest of it may be as it likes.
            Ok((Found::More, Some(more))) if as_tar && more.is_folder() => self.is_one_file(),
            Ok((Found::More, more)) => self.head = more,
            Ok((Found::File, _)) if as_tar => return Ok(Some(Halted::Plain)),
            Ok((Found::Folder(_), _)) | Err(HeadError::Refused(_)) if as_tar => self.is_one_file(),
            Ok((Found::File, _)) if self.target.is_dir() => {
                let what = "a folder, and this is a file";
                let path = self.target.clone();
                return Err(DownloadError::Prepare(PrepareError::NotAFile { path, what }));
            }
            Ok((Found::File, _)) => self.is_one_file(),
            Ok((Found::Folder(_), _)) if earlier => return Ok(Some(Halted::Folder)),
            Ok((Found::Folder(archive), _)) => {
                self.plan.want_first(0..0, false);
                let path = turn(&self.shared, *archive, &self.target).await?;
                self.place = Place::Part { path, new: false, target: None };
            }
            Err(HeadError::Refused(refused)) => {
                return Err(
                    PrepareError::Hostile { target: self.target.clone(), why: refused.to_string() }.into()
                );
            }
            Err(HeadError::Io(source)) => {
                let path = shared.data().path().to_owned();
                return Err(DownloadError::ReadBack { path, source: Arc::new(source) });
            }
        }
        Ok(None)
    }

    /// It is no archive, or is kept as one.
    fn is_one_file(&mut self) {
        self.plan.want_first(0..0, false);
        self.shared.data().stay();
    }

    /// Whether more of the head is there than was read.
    pub(super) fn may_read_head_on(&self) -> bool {
        let shared = &self.shared;
        let next = self.head.as_ref().and_then(|head| shared.layout().block_at(head.at()));
        self.recovery.is_none() && next.is_some_and(|block| shared.have().has(block))
    }
}
