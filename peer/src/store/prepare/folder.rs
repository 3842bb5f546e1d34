//! A folder that is there already, or that is being downloaded.

use super::{Found, Place, Preparation, Prepared, Taken, Trust};
use crate::check::check;
use crate::folder::{self, FolderError, FolderPart, Head, HeadError, Outdated, Special, Tree};
use crate::ground::disk::is_full;
use crate::ground::open::open_regular;
use crate::store::error::{PrepareError, io_error};
use crate::store::{DataFile, Part, part};
use cascade_archive::Archive;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

impl Preparation<'_> {
    /// A folder that is there already. `None`: it has other content, and is to be brought up to date.
    pub(super) fn complete_folder(&self, target: &Path) -> Result<Option<Prepared>, PrepareError> {
        let differs = || if self.update { Ok(None) } else { Err(PrepareError::Outdated(target.to_owned())) };
        let tree = match Tree::walk(target, Special::Skip, self.cancel) {
            Ok(tree) if tree.archive().total_len() == self.metafile.layout().length() => tree,
            Err(FolderError::Interrupted) => return Err(PrepareError::Interrupted),
            Err(error) if !self.update => return Err(PrepareError::Folder(error)),
            Ok(_) | Err(_) => return differs(),
        };
        let found = self.durable(target, &tree, Trust::Record)?;
        if !found.have.is_complete() {
            return differs();
        }
        for part in part::names(target) {
            if let Some(place) = folder::Place::at(&part)
                && let Ok(Some(_)) = Part::at(place.head())
            {
                place.remove();
            }
        }
        let data = DataFile::of(Box::new(tree), target, *self.metafile.layout());
        let Found { have, stamp, file_hash_checked, on_disk } = found;
        let place = Place::Target { stamp, file_hash_checked };
        Ok(Some(Prepared { data, have, on_disk, place, target: target.to_owned(), taken: None }))
    }

    /// A folder that is being downloaded: its `NAME.part/`, if there is one.
    pub(super) fn folder_part(&self, target: &Path) -> Result<Option<Prepared>, PrepareError> {
        for part in part::names(target) {
            let Some(place) = folder::Place::at(&part) else { continue };
            let Some(head) = Part::at(place.head())? else { continue };
            let Some(archive) = self.read_head(&head.file, target)? else { continue };
            if fs::symlink_metadata(target).is_ok() && !(self.update && target.is_dir()) {
                return Err(PrepareError::NotAFile { path: target.to_owned(), what: "there already" });
            }
            return self.open_folder_part(&place, &head.file, archive, target).map(Some);
        }
        Ok(None)
    }

    /// What an unfinished download has left in the folder `NAME.part` at `path`, to be read; `None`: it is no such folder.
    pub(crate) fn unfinished_folder(&self, path: &Path) -> Result<Option<DataFile>, PrepareError> {
        let Some(place) = folder::Place::at(path) else { return Ok(None) };
        let Ok((head, _)) = open_regular(&place.head()) else { return Ok(None) };
        let Some(archive) = self.read_head(&head, path)? else { return Ok(None) };
        let files = place.files();
        let tree = Tree::unfinished(archive, &files).map_err(|error| io_error("open", &files, error))?;
        Ok(Some(DataFile::of(Box::new(tree), &files, *self.metafile.layout())))
    }

    /// The archive whose verified head is in a file; `None`: it is another's, or damaged.
    fn read_head(&self, file: &File, target: &Path) -> Result<Option<Archive>, PrepareError> {
        let layout = self.metafile.layout();
        let mut reader = Head::of(layout.length());
        while let Some(head) = reader.take() {
            let read = |error| io_error("read", target, error);
            let blocks = layout.block_at(head.end() - 1).map_or(layout.blocks(), |last| last.number() + 1);
            let have = check(file, self.metafile, 0..blocks, &|_| (), self.cancel).map_err(read)?;
            if have.count() < blocks {
                return Ok(None);
            }
            let end = head.end();
            match head.read(file, end) {
                Ok((folder::Found::More, more)) => reader = more,
                Ok((folder::Found::File, _)) => return Ok(None),
                Ok((folder::Found::Folder(archive), _)) => return Ok(Some(*archive)),
                Err(HeadError::Refused(refused)) => {
                    return Err(PrepareError::Hostile {
                        target: target.to_owned(),
                        why: refused.to_string(),
                    });
                }
                Err(HeadError::Io(error)) => return Err(read(error)),
            }
        }
        Ok(None)
    }

    fn open_folder_part(
        &self,
        place: &folder::Place,
        head: &File,
        archive: Archive,
        target: &Path,
    ) -> Result<Prepared, PrepareError> {
        let (files, layout) = (place.files(), *self.metafile.layout());
        let head_end = folder::head_end(&archive, &layout);
        let failed = |error| io_error("open", &files, error);
        if !files.is_dir() {
            fs::create_dir(&files).map_err(failed)?;
        }
        let lock = head.try_clone().map_err(failed)?;
        let base = target.is_dir().then_some(target);
        let outdated = base.map(|path| Outdated { path, written: self.records.written(path) });
        let part = FolderPart::open(archive, &files, lock, layout, outdated).map_err(failed)?;
        if let Some(clash) = part.clash(target).map_err(|error| io_error("look at", target, error))? {
            return Err(PrepareError::Clash(clash));
        }
        let from = base.or(self.from);
        if let Some(from) = from {
            part.copy_from(from, self.cancel).map_err(|error| self.interrupted_or("copy", from, error))?;
        }
        let found = self.known_or_checked(&files, &part)?;
        let (mut have, mut on_disk) = (found.have, found.on_disk);
        // What came before it was known that it is a folder.
        let came = check(head, self.metafile, 0..layout.blocks(), &|_| (), self.cancel);
        let came = came.map_err(|error| self.interrupted_or("read", &place.head(), error))?;
        let taken = from.and_then(|from| Taken::of(from, part.taken(&have, &came)));
        part.move_out(&have, self.cancel).map_err(|error| self.interrupted_or("copy", target, error))?;
        let data = DataFile::of_folder(part, &files, layout);
        self.check_room_for(&have, &files)?;
        match self.copy(head, &came, &data, &mut have, target) {
            Ok(copied) => {
                on_disk &= copied == 0;
                head.set_len(head_end).map_err(|error| io_error("cut", &place.head(), error))?;
            }
            // What finds no room is fetched again when there is some, or copied by the next run.
            Err(PrepareError::Io { source, .. }) if is_full(&source) => on_disk = false,
            Err(error) => return Err(error),
        }
        let place = Place::Part { path: files, new: false, target: None };
        Ok(Prepared { data, have, on_disk, place, target: target.to_owned(), taken })
    }

    fn interrupted_or(&self, what: &'static str, path: &Path, error: io::Error) -> PrepareError {
        let interrupted = self.cancel.load(Ordering::Relaxed);
        if interrupted { PrepareError::Interrupted } else { io_error(what, path, error) }
    }
}
