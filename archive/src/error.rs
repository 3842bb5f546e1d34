//! What can be wrong with an entry, an index, an archive. Each is one line for a person.

use crate::limits::{MAX_COMPONENT_LEN, MAX_ENTRIES, MAX_INDEX_LEN, MAX_PATH_LEN, MAX_TARGET_LEN, MAX_TIME};
use std::fmt;

/// A path in a message: in quotes, what deceives escaped, and of a long one the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(pub String);

/// Characters of a path that are shown.
const SHOWN_CHARS: usize = 60;

/// Bytes of text that are shown, escapes included.
const SHOWN_LEN: usize = 120;

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut from = self.0.len();
        let mut len = 0;
        for (at, character) in self.0.char_indices().rev().take(SHOWN_CHARS) {
            len += character.escape_debug().map(char::len_utf8).sum::<usize>();
            if len > SHOWN_LEN {
                break;
            }
            from = at;
        }
        let cut = if from > 0 { "…" } else { "" };
        write!(f, "{cut}{:?}", self.0.get(from..).unwrap_or_default())
    }
}

/// What is wrong with one entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The path starts with `/`.
    #[error("its path is absolute")]
    Absolute,
    /// The path is empty, starts or ends with a slash, or has two in a row.
    #[error("its path has an empty component")]
    Empty,
    /// A component is `.`.
    #[error("its path has the component .")]
    Dot,
    /// A component is `..`.
    #[error("its path has the component ..")]
    DotDot,
    /// A component has a zero byte.
    #[error("its name has a zero byte")]
    Zero,
    /// A component has a control character.
    #[error("its name has the control character {0:?}")]
    Control(char),
    /// A component has a character that changes the direction of text.
    #[error("its name has a character that changes the direction of text, {0:?}")]
    Direction(char),
    /// A component has a character that is not shown.
    #[error("its name has an invisible character, {0:?}")]
    Invisible(char),
    /// A component is too long.
    #[error("a component of its path has {0} bytes, at most {MAX_COMPONENT_LEN} are possible")]
    ComponentTooLong(usize),
    /// The path is too long.
    #[error("its path has {0} bytes, at most {MAX_PATH_LEN} are possible")]
    PathTooLong(usize),
    /// Another entry has the path.
    #[error("it is there twice")]
    Twice,
    /// One entry says that it is a folder, another that it is not.
    #[error("it is both a folder and something else")]
    FileAndFolder,
    /// It stands below a symbolic link.
    #[error("it stands below a symbolic link")]
    BelowLink,
    /// The folder that it is in has no entry.
    #[error("the folder that it is in is missing")]
    NoFolder,
    /// It follows an entry that should follow it.
    #[error("it is not in its place: entries are sorted")]
    Order,
    /// Its path differs from another one only in case or in how Unicode spells it.
    #[error("{0} has the same name but for case or spelling: many systems take them for one")]
    Twin(Shown),
    /// The link leads to nothing.
    #[error("it is a symbolic link without a target")]
    NoTarget,
    /// The link's target is too long.
    #[error("it is a symbolic link whose target has {0} bytes, at most {MAX_TARGET_LEN} are possible")]
    TargetTooLong(usize),
    /// The link's target has a character that a name must not have.
    #[error("it is a symbolic link whose target has the character {0:?}")]
    TargetCharacter(char),
    /// The link is absolute.
    #[error("it is a symbolic link with an absolute target")]
    TargetAbsolute,
    /// The link leaves the shared folder.
    #[error("it is a symbolic link that leaves the folder")]
    TargetLeaves,
    /// The target goes up behind a name, which may be a link itself.
    #[error("it is a symbolic link whose target has .. behind a name: nobody can tell where that leads")]
    TargetClimbs,
    /// The modification time is too late.
    #[error("its time is {0}, the latest is {MAX_TIME}")]
    Time(u64),
}

/// Why entries make no archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Something is wrong with an entry.
    #[error("{path}: {fault}")]
    Entry {
        /// Its path.
        path: Shown,
        /// What is wrong with it.
        fault: Fault,
    },
    /// More than [`MAX_ENTRIES`].
    #[error("the folder has more than {MAX_ENTRIES} files and folders")]
    TooManyEntries,
    /// The index would have more than [`MAX_INDEX_LEN`] bytes.
    #[error("the names in the folder are too long: its index would have more than {MAX_INDEX_LEN} bytes")]
    IndexTooLong,
    /// No file can be as long as the archive.
    #[error("the folder has more bytes than any file can have")]
    TooLong,
}

/// Why bytes are not the archive of a folder, or one that nobody should unpack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It does not begin as an archive of a folder does. It is just some file.
    #[error("not a folder: it does not begin with an index of one")]
    NotAFolder,
    /// An index that this version does not know.
    #[error("the folder's index is of version {0}, this program knows version 1")]
    Version(Shown),
    /// It claims more than [`MAX_ENTRIES`].
    #[error("the folder's index claims {0} entries, at most {MAX_ENTRIES} are possible")]
    TooManyEntries(u64),
    /// It claims more than [`MAX_INDEX_LEN`] bytes.
    #[error("the folder's index claims {0} bytes, at most {MAX_INDEX_LEN} are possible")]
    IndexTooLong(u64),
    /// It claims more entries than fit.
    #[error("the folder's index claims {entries} entries in {bytes} bytes of index and {length} of archive")]
    Claims {
        /// Entries claimed.
        entries: u64,
        /// Bytes of index claimed.
        bytes: u64,
        /// Bytes of the whole archive.
        length: u64,
    },
    /// A header in front of the index is not the one that belongs there.
    #[error("the folder's index is damaged: byte {0} is not what belongs there")]
    Head(u64),
    /// A line of the index is no line of an index.
    #[error("line {line} of the folder's index is wrong: {why}")]
    Line {
        /// Which line, from 1; the first entry has line 2.
        line: u64,
        /// What is wrong with it.
        why: LineError,
    },
    /// Something is wrong with an entry.
    #[error("the folder has {path}: {fault}")]
    Entry {
        /// Its path, as far as there is one.
        path: Shown,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The index has another number of entries than it claims.
    #[error("the folder's index has {found} entries and claims {claimed}")]
    Count {
        /// Entries that there are.
        found: u32,
        /// Entries claimed.
        claimed: u32,
    },
    /// The archive has another length than its index says.
    #[error("the folder has {index} bytes by its index, and its archive has {length}")]
    Length {
        /// Bytes that follow from the index.
        index: u64,
        /// Bytes of the archive.
        length: u64,
    },
    /// [`finish`](crate::Parser::finish) came before the index had ended.
    #[error("the folder's index is cut short")]
    Cut,
}

/// What is wrong with a line of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is longer than any.
    #[error("it is too long")]
    TooLong,
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotText,
    /// A field is missing.
    #[error("a field is missing")]
    Field,
    /// A number is none, or is not written in the shortest way.
    #[error("a number is wrong")]
    Number,
    /// A kind that this version does not know: a device, say.
    #[error("{0:?} is no kind of entry")]
    Kind(char),
    /// A name with a slash.
    #[error("a name has a slash")]
    Slash,
}

/// A block has other bytes than the index says, where there are no file's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the folder's archive is not canonical: byte {at}, near {path}, is not what belongs there")]
pub struct NotCanonical {
    /// Which byte of the archive.
    pub at: u64,
    /// The entry whose header or padding it is in; the first or last one, if it is before or behind all.
    pub path: Shown,
}
