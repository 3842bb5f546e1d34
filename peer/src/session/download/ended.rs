//! How a session of a download ends.

/// How a session ends when nothing has failed.
pub(super) enum Ended {
    /// The file is complete and has its name.
    Done,
    /// The part file is not where it was: here is why. What is there now must be looked at.
    Elsewhere(String),
    /// The file is the archive of a folder.
    Folder,
    /// It is not, and would get the name of one.
    Plain,
}

/// Why blocks are not fetched any more, though not all are there.
pub(super) enum Halted {
    /// The part file is not where it was.
    Elsewhere(String),
    /// The file is the archive of a folder.
    Folder,
    /// It is not, and would get the name of one.
    Plain,
}

impl From<Halted> for Ended {
    fn from(halted: Halted) -> Self {
        match halted {
            Halted::Elsewhere(why) => Self::Elsewhere(why),
            Halted::Folder => Self::Folder,
            Halted::Plain => Self::Plain,
        }
    }
}
