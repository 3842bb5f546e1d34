//! A folder that is there already, or that is being downloaded.

use super::{Found, Place, Preparation, Prepared, Taken, Trust};
use crate::check::check;
use crate::folder::{self, FolderError, FolderPart, Head, HeadError, Outdated, Special, Tree};
use crate::ground::disk::is_full;
use crate::ground::open::open_regular;
use crate::store::error::{PrepareError, io_error};
use crate::store::reserve::{gaps, punch};
use crate::store::{DataFile, Part, part};
use cascade_archive::Archive;
use cascade_format::Have;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

/// What came to the head of a folder before it was known that it is one.
struct Left<'a> {
    head: &'a File,
    /// The head keeps its first bytes, as many as this.
    head_end: u64,
    came: Have,
}

impl Left<'_> {
    /// Gives back the room of all that the folder has, and of what is no block.
    fn give_back(&self, data: &DataFile, have: &Have) -> io::Result<()> {
        // What was copied is still there after a power loss.
        data.sync()?;
        let layout = data.layout();
        let needed = layout.iter().filter(|block| self.came.has(*block) && !have.has(*block));
        let needed = needed.map(|block| layout.range(block));
        gaps(self.head_end..layout.length(), needed).try_for_each(|gap| punch(self.head, gap))
    }
}

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
        let left = Left { head, head_end, came };
        on_disk &= !self.empty(&left, &data, &mut have, target)?;
        self.check_room_for(&have, &data)?;
        let place = Place::Part { path: files, new: false, target: None };
        Ok(Prepared { data, have, on_disk, place, target: target.to_owned(), taken })
    }

    /// Copies what is left in a head to the folder, and cuts the head. Tells whether something was copied.
    fn empty(
        &self,
        left: &Left<'_>,
        data: &DataFile,
        have: &mut Have,
        target: &Path,
    ) -> Result<bool, PrepareError> {
        let (before, mut full_at) = (have.count(), None);
        match self.join(left.head, data, have) {
            // What is not joined is fetched again.
            Err(PrepareError::Io { source, .. }) if is_full(&source) => {}
            joined => joined?,
        }
        loop {
            match self.copy(left.head, &left.came, data, have, target) {
                Ok(_) => {
                    let cut = left.head.set_len(left.head_end);
                    cut.map_err(|error| io_error("cut", data.path(), error))?;
                    return Ok(have.count() > before);
                }
                // What the folder has needs no room in the head.
                Err(PrepareError::Io { source, .. }) if is_full(&source) => {
                    let copied = Some(have.count());
                    if full_at == copied || left.give_back(data, have).is_err() {
                        // The rest is fetched again when there is room, or copied by the next run.
                        return Ok(true);
                    }
                    full_at = copied;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn interrupted_or(&self, what: &'static str, path: &Path, error: io::Error) -> PrepareError {
        let interrupted = self.cancel.load(Ordering::Relaxed);
        if interrupted { PrepareError::Interrupted } else { io_error(what, path, error) }
    }
}
