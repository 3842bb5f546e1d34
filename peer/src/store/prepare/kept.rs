//! The file in which a part of what an origin has is kept, when not all of it may be.
//!
//! It is no part file: what is in a part file is never dropped.

use super::{Preparation, set_length};
use crate::ground::Stamp;
use crate::store::DataFile;
use crate::store::error::{PrepareError, io_error};
use crate::store::part::{Part, with_ending};
use cascade_format::Have;
use std::path::Path;

/// The ending of its name.
const ENDING: &str = ".cache";

/// What is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The file, which this process has locked and guards.
    pub(crate) data: DataFile,
    /// What it holds.
    pub(crate) have: Have,
}

impl Preparation<'_> {
    /// Opens or makes `NAME.cache` beside `target`.
    ///
    /// # Errors
    /// Another process uses it; something else has the name; the file system says no.
    pub(crate) fn kept(&self, target: &Path) -> Result<Kept, PrepareError> {
        let path = with_ending(target, ENDING);
        let part = Part::at(path.clone())?.ok_or_else(|| PrepareError::InTheWay(path.clone()))?;
        let have = if part.new {
            Have::none(self.metafile.layout())
        } else {
            self.known_or_checked(&path, &part.file)?.have
        };
        set_length(&part.file, self.metafile.layout().length())
            .map_err(|error| io_error("make room for", &path, error))?;
        let stamp = Stamp::of(&part.file).map_err(|error| io_error("look at", &path, error))?;
        let data = DataFile::new(part.file, &path, *self.metafile.layout());
        data.guard(stamp);
        Ok(Kept { data, have })
    }
}
