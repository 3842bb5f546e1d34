//! Bounds of an archive. Each has a unit and a reason. What they bound comes from somebody else's index.

/// Entries of an archive.
pub const MAX_ENTRIES: u32 = 1 << 22;

/// Bytes of an index. A million files take 30 to 90 MB of it, by the length of their names; this is also the
/// memory that an archive takes, but for some bytes an entry.
pub const MAX_INDEX_LEN: usize = 128 << 20;

/// Bytes of one component of a path: those of every usual file system.
pub const MAX_COMPONENT_LEN: usize = 255;

/// Bytes of a path, the slashes between its components included.
pub const MAX_PATH_LEN: usize = 4096;

/// Bytes of the target of a symbolic link: the most that Linux takes.
pub const MAX_TARGET_LEN: usize = 4095;

/// Latest modification time, in seconds since 1970: the most that fits in a tar header without an extended one
/// (the year 2242).
pub const MAX_TIME: u64 = 8_589_934_591;

/// Bytes of the index in one pax global header. libarchive refuses an extended header of more than 1 MiB, its own
/// few bytes included, and in some places a record whose length has seven digits.
pub const PIECE_LEN: usize = 960 << 10;

/// Such headers in a row. libarchive counts the headers that belong to one file, and gives up behind 32: these,
/// an extended header and the file's own.
pub const MAX_PIECES_IN_A_ROW: usize = 30;
