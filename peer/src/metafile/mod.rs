//! A `.cascade` file on disk (protocol §1): its header and hashes without its whole list in memory.
//!
//! What the header claims is compared with the file's real length before anything else happens, so a
//! claim of petabytes costs one `fstat` and 64 bytes. Hash lists up to [`RESIDENT_HASHES`] are kept in
//! memory; longer ones, which only tiny blocks make, stay on disk and are read page by page.

use crate::ground::Stamp;
use crate::ground::open::{OpenError, open_regular};
use crate::human::{Name, Why};
use cascade_format::hash::HASH_LEN;
use cascade_format::metafile::HEADER_LEN;
use cascade_format::{Block, BlockHash, CascadeHash, FileHash, Header, Layout, MetafileError};
use cascade_hash::Sha256Stream;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The most blocks that this peer handles in one file. Their bitmap takes 8 MiB, their hashes 2 GiB of
/// disk: 64 TiB in 1 MiB blocks, or 64 MiB in blocks of one byte.
pub const MAX_BLOCKS: u64 = 1 << 26;

/// The most hashes kept in memory: 2^18 of them take 8 MiB.
pub const RESIDENT_HASHES: u64 = 1 << 18;

/// Hashes in one page of a list that stays on disk: 4 KiB.
const PAGE_HASHES: u64 = 128;

/// Pages kept of a list that stays on disk.
const CACHED_PAGES: usize = 32;

/// Read size of the one pass over the file, in bytes.
const READ_LEN: usize = 256 << 10;

/// The suffix of a `.cascade` file: `NAME.cascade` describes `NAME`.
pub const SUFFIX: &str = "cascade";

/// Why a path does not lead to a usable `.cascade` file. Every message names the path.
#[derive(Debug, thiserror::Error)]
pub enum MetafileFileError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {}", Name(path), Why(source))]
    Io {
        /// The `.cascade` file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The path leads to a directory, a device or a pipe.
    #[error("{} is {what}, not a .cascade file", Name(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// Its bytes are wrong.
    #[error("{}: {source}; {}", Name(path), mend(source))]
    Damaged {
        /// The `.cascade` file.
        path: PathBuf,
        /// What is wrong with them.
        source: MetafileError,
    },
    /// More than [`MAX_BLOCKS`].
    #[error(
        "{}: {blocks} blocks are more than the {MAX_BLOCKS} that this peer handles; make the .cascade file again with larger blocks",
        Name(path)
    )]
    TooManyBlocks {
        /// The `.cascade` file.
        path: PathBuf,
        /// How many it has.
        blocks: u64,
    },
    /// Its name does not say what the data file is called.
    #[error(
        "{}: the name does not end in .{SUFFIX}, so it does not tell the data file's name; name that too (download: -o, seed: --data, verify: after the .cascade file)",
        Name(path)
    )]
    NoSuffix {
        /// The `.cascade` file.
        path: PathBuf,
    },
}

/// What to do about a file with wrong bytes.
fn mend(error: &MetafileError) -> &'static str {
    if matches!(error, MetafileError::Magic) {
        "name the .cascade file, or get it again from where it comes from"
    } else {
        "get it again from where it comes from"
    }
}

/// An open `.cascade` file. Threads may share it.
#[derive(Debug)]
pub struct MetafileOnDisk {
    path: PathBuf,
    header: Header,
    /// The header's bytes: what is reserved in it belongs to the cascade hash.
    header_bytes: [u8; HEADER_LEN],
    cascade_hash: CascadeHash,
    hashes: Hashes,
}

impl MetafileOnDisk {
    /// Opens and checks the file, and hashes its bytes in one pass.
    ///
    /// # Errors
    /// Everything in [`MetafileFileError`] but `NoSuffix`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, MetafileFileError> {
        let path = path.into();
        let io_error = |source| MetafileFileError::Io { path: path.clone(), source };
        let damaged = |source| MetafileFileError::Damaged { path: path.clone(), source };

        let (file, metadata) = open_regular(&path).map_err(|error| match error {
            OpenError::Io(source) => io_error(source),
            OpenError::NotRegular(what) => MetafileFileError::NotAFile { path: path.clone(), what },
        })?;
        let len = metadata.len();
        let (bytes, header) = read_header(&file, len).map_err(io_error)?.map_err(damaged)?;
        header.check_len(len).map_err(damaged)?;
        let blocks = header.layout.blocks();
        if blocks > MAX_BLOCKS {
            return Err(MetafileFileError::TooManyBlocks { path, blocks });
        }
        let (cascade_hash, hashes) = read_hashes(file, &bytes, blocks).map_err(io_error)?;
        Ok(Self { path, header, header_bytes: bytes, cascade_hash, hashes })
    }

    /// The path at which the file was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Length and block size of the data file.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.header.layout
    }

    /// The hash of the file's own bytes: its name on the network.
    #[must_use]
    pub const fn cascade_hash(&self) -> CascadeHash {
        self.cascade_hash
    }

    /// The hash of the whole data file.
    #[must_use]
    pub const fn file_hash(&self) -> FileHash {
        self.header.file_hash
    }

    /// The hash of `block`.
    ///
    /// # Errors
    /// Reading a list that is too long to be kept in memory can fail; `block` is of another layout.
    pub fn hash_of(&self, block: Block) -> io::Result<BlockHash> {
        match &self.hashes {
            Hashes::Resident(hashes) => {
                usize::try_from(block.number()).ok().and_then(|n| hashes.get(n)).copied()
            }
            Hashes::OnDisk(list) => list.get(block.number())?,
        }
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a block of another layout"))
    }

    /// The hashes of the blocks whose numbers are in `range`, in order, with one read.
    ///
    /// # Errors
    /// Those of [`MetafileOnDisk::hash_of`].
    pub fn hashes_of(&self, range: Range<u64>) -> io::Result<Vec<BlockHash>> {
        if range.end > self.layout().blocks() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "blocks of another layout"));
        }
        match &self.hashes {
            Hashes::Resident(hashes) => {
                let range = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                Ok(range.and_then(|(start, end)| hashes.get(start..end)).unwrap_or_default().to_vec())
            }
            Hashes::OnDisk(list) => list.read(range),
        }
    }

    /// Fills `buffer` with the bytes of the `.cascade` file from `offset` on. They are those of the file that was
    /// opened, even if another file has its name by now.
    ///
    /// # Errors
    /// The file ends before; a list that is not in memory cannot be read, or was overwritten since.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let header =
            usize::try_from(offset).ok().and_then(|at| self.header_bytes.get(at..)).unwrap_or_default();
        let (first, rest) = buffer.split_at_mut(header.len().min(buffer.len()));
        first.iter_mut().zip(header).for_each(|(to, from)| *to = *from);
        if rest.is_empty() {
            return Ok(());
        }
        let start = offset + first.len() as u64;
        match &self.hashes {
            Hashes::Resident(hashes) => {
                let at = usize::try_from(start).ok().and_then(|start| start.checked_sub(HEADER_LEN));
                let bytes = at.and_then(|at| resident(hashes, at, rest.len()));
                let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
                rest.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Ok(())
            }
            Hashes::OnDisk(list) => list.read_bytes(rest, start),
        }
    }

    /// The path of the data file beside it: its own path without `.cascade`.
    ///
    /// # Errors
    /// The path has no such suffix.
    pub fn data_path(&self) -> Result<PathBuf, MetafileFileError> {
        let suffix = self.path.extension() == Some(OsStr::new(SUFFIX));
        let stem = self.path.file_stem().filter(|stem| suffix && *stem != "." && *stem != "..");
        stem.map(|stem| self.path.with_file_name(stem))
            .ok_or_else(|| MetafileFileError::NoSuffix { path: self.path.clone() })
    }
}

/// The header and its bytes, which the cascade hash begins with.
fn read_header(mut file: &File, len: u64) -> io::Result<Result<([u8; HEADER_LEN], Header), MetafileError>> {
    let mut bytes = [0; HEADER_LEN];
    if len >= HEADER_LEN as u64 {
        file.read_exact(&mut bytes)?;
        return Ok(Header::parse(&bytes).map(|header| (bytes, header)));
    }
    let mut short = Vec::new();
    file.take(HEADER_LEN as u64).read_to_end(&mut short)?;
    let magic = short.starts_with(&cascade_format::metafile::MAGIC);
    Ok(Err(if magic { MetafileError::NoHeader(len) } else { MetafileError::Magic }))
}

/// The one pass over the hashes of a file whose length has been checked.
fn read_hashes(mut file: File, header: &[u8; HEADER_LEN], blocks: u64) -> io::Result<(CascadeHash, Hashes)> {
    let stamp = Stamp::of(&file)?;
    let mut stream = Sha256Stream::new();
    stream.update(header);
    let resident = blocks <= RESIDENT_HASHES;
    let mut hashes = Vec::with_capacity(if resident { usize::try_from(blocks).unwrap_or(0) } else { 0 });
    let mut left = blocks * HASH_LEN as u64;
    let mut buffer = vec![0; READ_LEN.min(usize::try_from(left).unwrap_or(READ_LEN))];
    while left > 0 {
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(piece) = buffer.get_mut(..len) else { break };
        file.read_exact(piece)?;
        stream.update(piece);
        if resident {
            hashes.extend(piece.as_chunks::<HASH_LEN>().0.iter().copied().map(BlockHash));
        }
        left -= len as u64;
    }
    let hashes = if resident { Hashes::Resident(hashes) } else { Hashes::OnDisk(HashList::new(file, stamp)) };
    Ok((CascadeHash(stream.finish()), hashes))
}

/// `len` bytes of a list in memory from `at` on.
fn resident(hashes: &[BlockHash], at: usize, len: usize) -> Option<impl Iterator<Item = &u8>> {
    let from = hashes.get(at / HASH_LEN..).filter(|_| at + len <= hashes.len() * HASH_LEN)?;
    Some(from.iter().flat_map(BlockHash::as_bytes).skip(at % HASH_LEN).take(len))
}

#[derive(Debug)]
enum Hashes {
    Resident(Vec<BlockHash>),
    OnDisk(HashList),
}

/// A list of hashes that stays on disk, with some of its pages in memory. The file is kept open: one
/// that is replaced meanwhile does no harm, one that is overwritten in place does, as it would to any
/// program that reads it.
#[derive(Debug)]
struct HashList {
    file: File,
    /// What it looked like when it was opened.
    stamp: Stamp,
    /// Page `p` is at index `p % CACHED_PAGES`, if it is there. Held for a look-up in it, or for the
    /// read of a page.
    cache: Mutex<Vec<Option<Page>>>,
}

/// A page's number and its hashes.
type Page = (u64, Vec<BlockHash>);

impl HashList {
    fn new(file: File, stamp: Stamp) -> Self {
        Self { file, stamp, cache: Mutex::new(vec![None; CACHED_PAGES]) }
    }

    /// Bytes of the file, if nobody has written to it.
    fn read_bytes(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)?;
        if Stamp::of(&self.file)?.has_bytes_of(&self.stamp) {
            Ok(())
        } else {
            Err(io::Error::other("the .cascade file was overwritten"))
        }
    }

    fn get(&self, number: u64) -> io::Result<Option<BlockHash>> {
        let (page, at) = (number / PAGE_HASHES, number % PAGE_HASHES);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = usize::try_from(page).ok().and_then(|p| cache.get_mut(p % CACHED_PAGES));
        let Some(slot) = slot else { return Ok(None) };
        if slot.as_ref().is_none_or(|(held, _)| *held != page) {
            *slot = Some((page, self.read_page(page)?));
        }
        Ok(slot.as_ref().and_then(|(_, hashes)| hashes.get(usize::try_from(at).ok()?)).copied())
    }

    /// One page; the last of the file may be shorter.
    fn read_page(&self, page: u64) -> io::Result<Vec<BlockHash>> {
        let all = (self.file.metadata()?.len().saturating_sub(HEADER_LEN as u64)) / HASH_LEN as u64;
        let start = page.saturating_mul(PAGE_HASHES);
        self.read(start.min(all)..start.saturating_add(PAGE_HASHES).min(all))
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<BlockHash>> {
        let count = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let mut bytes = vec![0; count * HASH_LEN];
        self.file.read_exact_at(&mut bytes, HEADER_LEN as u64 + range.start * HASH_LEN as u64)?;
        Ok(bytes.as_chunks::<HASH_LEN>().0.iter().copied().map(BlockHash).collect())
    }
}

#[cfg(test)]
mod tests;
