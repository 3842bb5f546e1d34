//! A folder whose archive is a data file: its bytes are read from the files below it, and nobody stores them.
//!
//! | module | what |
//! |---|---|
//! | `beneath` | opening what is below a folder, and nothing else |
//! | `walk` | everything below a folder, in the order of its archive |
//! | `looker` | what stands at many paths, one after the other |
//! | `mark` | a few bytes for each file, by which a change is seen |
//! | `open_files` | a bounded number of descriptors |
//! | `tree` | the bytes of the archive |
//! | `part`, `finish` | a folder that is downloaded, and its end |
//! | `earlier` | what is copied from an earlier version |
//! | `update`, `stays`, `kept` | a folder that is brought up to date, what stays in it, and what of it is kept |
//! | `made` | times, permissions and folders of what is made |
//! | `written` | by which a file of ours is known again |
//! | `flags` | a bit for each entry |
//! | `place` | `NAME.part/`: where that is |

mod beneath;
mod earlier;
mod error;
mod finish;
mod flags;
mod kept;
mod looker;
mod made;
mod mark;
mod open_files;
mod part;
mod place;
mod stays;
mod tree;
mod update;
mod walk;
mod written;

pub use error::{Changed, FolderError, HostileArchive, changed};
pub use finish::rename as rename_to_free;
pub use kept::MAX_KEPT_FOLDERS;
pub use open_files::MAX_OPEN_FILES;
pub use part::{FolderPart, Outdated};
pub use place::{Found, Head, HeadError, Place, head_end};
pub use tree::Tree;
pub use update::Clash;
pub use walk::Special;
pub use written::Written;

/// Descriptors that a folder takes: its own, and those of its files.
pub const DESCRIPTORS: usize = MAX_OPEN_FILES + 1;

#[cfg(test)]
mod tests;
