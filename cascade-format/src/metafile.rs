//! The `.cascade` file (protocol §1).
//!
//! ```text
//!  0        8          16        24           32          64
//!  ┌────────┬──────────┬─────────┬────────────┬───────────┬──────────┬──────────┬─
//!  │CASCADE1│ reserved │ length  │ block size │ file hash │ hash 0   │ hash 1   │ …
//!  └────────┴──────────┴─────────┴────────────┴───────────┴──────────┴──────────┴─
//! ```

use crate::field::{bytes, put, u64_at};
use crate::hash::HASH_LEN;
use crate::{BlockHash, CascadeHash, FileHash, Layout, LayoutError};
use alloc::vec::Vec;

/// Length of the header, in bytes. The block hashes follow it.
pub const HEADER_LEN: usize = 64;

/// The first eight bytes of a `.cascade` file, and of a block request.
pub const MAGIC: [u8; 8] = *b"CASCADE1";

/// Why bytes are not a `.cascade` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetafileError {
    /// The magic is missing.
    #[error("not a .cascade file: it does not start with CASCADE1")]
    Magic,
    /// Shorter than the header.
    #[error("truncated: a .cascade file has at least 64 bytes, this has {0}")]
    NoHeader(u64),
    /// Length and block size make no layout.
    #[error("damaged: {0}")]
    Layout(#[from] LayoutError),
    /// Too short for its number of blocks.
    #[error("truncated: {blocks} blocks need {expected} bytes, the file has {actual}")]
    Truncated {
        /// Blocks that the header claims.
        blocks: u64,
        /// Bytes that these need.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// Too long for its number of blocks.
    #[error("damaged: {blocks} blocks need {expected} bytes, {extra} more follow")]
    Trailing {
        /// Blocks that the header claims.
        blocks: u64,
        /// Bytes that these need.
        expected: u64,
        /// Bytes too many.
        extra: u64,
    },
}

/// The header of a `.cascade` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Length and block size of the data file.
    pub layout: Layout,
    /// Hash of the whole data file.
    pub file_hash: FileHash,
}

impl Header {
    /// Reads a header. The reserved bytes are ignored. This does not prove that the file is as long as the header
    /// claims: call [`Header::check_len`] with the file's length, which needs no allocation.
    ///
    /// # Errors
    /// A wrong magic, a layout that cannot exist. That the file has the hashes it claims is for
    /// [`Header::check_len`] to say: it needs the file's length, and no allocation.
    pub fn parse(header: &[u8; HEADER_LEN]) -> Result<Self, MetafileError> {
        if bytes(header, 0) != MAGIC {
            return Err(MetafileError::Magic);
        }
        let layout = Layout::new(u64_at(header, 16), u64_at(header, 24))?;
        Ok(Self { layout, file_hash: FileHash(bytes(header, 32)) })
    }

    /// Compares the length of a whole `.cascade` file, in bytes, with what its header claims.
    ///
    /// # Errors
    /// Too few bytes, too many bytes.
    pub const fn check_len(&self, actual: u64) -> Result<(), MetafileError> {
        let (blocks, expected) = (self.layout.blocks(), self.layout.metafile_len());
        if actual < expected {
            Err(MetafileError::Truncated { blocks, expected, actual })
        } else if actual > expected {
            Err(MetafileError::Trailing { blocks, expected, extra: actual - expected })
        } else {
            Ok(())
        }
    }

    /// The header's bytes; the reserved ones are zero.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        put(&mut out, 0, &MAGIC);
        put(&mut out, 16, &self.layout.length().to_be_bytes());
        put(&mut out, 24, &self.layout.block_size().to_be_bytes());
        put(&mut out, 32, self.file_hash.as_bytes());
        out
    }
}

/// A whole `.cascade` file in memory. For files of any size, read the [`Header`] and the hashes one by
/// one: a small block size makes the list of hashes larger than the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metafile {
    header: Header,
    hashes: Vec<BlockHash>,
}

impl Metafile {
    /// Reads a whole file. Allocates for the bytes there are, never for what the header claims.
    ///
    /// # Errors
    /// Everything in [`MetafileError`].
    pub fn parse(file: &[u8]) -> Result<Self, MetafileError> {
        let actual = file.len() as u64;
        let (header, hashes) = file.split_first_chunk::<HEADER_LEN>().ok_or(if file.starts_with(&MAGIC) {
            MetafileError::NoHeader(actual)
        } else {
            MetafileError::Magic
        })?;
        let header = Header::parse(header)?;
        header.check_len(actual)?;
        let (hashes, _) = hashes.as_chunks::<HASH_LEN>();
        Ok(Self { header, hashes: hashes.iter().copied().map(BlockHash).collect() })
    }

    /// Joins a header and its hashes.
    ///
    /// # Errors
    /// The number of hashes is not the layout's number of blocks.
    pub fn new(header: Header, hashes: Vec<BlockHash>) -> Result<Self, MetafileError> {
        header.check_len((HEADER_LEN + HASH_LEN * hashes.len()) as u64)?;
        Ok(Self { header, hashes })
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The hashes of the blocks, in order; as many as the layout has blocks.
    #[must_use]
    pub fn hashes(&self) -> &[BlockHash] {
        &self.hashes
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + HASH_LEN * self.hashes.len());
        out.extend_from_slice(&self.header.encode());
        self.hashes.iter().for_each(|hash| out.extend_from_slice(hash.as_bytes()));
        out
    }

    /// The cascade hash of the encoded file. If the file on disk has reserved bytes that are not zero, its cascade hash
    /// is another one: always hash the bytes of the file itself.
    #[must_use]
    pub fn cascade_hash(&self) -> CascadeHash {
        CascadeHash::of(&self.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn sample() -> Metafile {
        let layout = Layout::new(1000, 64).unwrap();
        let header = Header { layout, file_hash: FileHash::of(b"file") };
        let hashes = layout.iter().map(|b| BlockHash::of(&b.number().to_be_bytes())).collect();
        Metafile::new(header, hashes).unwrap()
    }

    #[test]
    fn golden_header() {
        let bytes = sample().encode();
        assert_eq!(bytes.len(), 576);
        assert_eq!(&bytes[..16], b"CASCADE1\0\0\0\0\0\0\0\0");
        assert_eq!(&bytes[16..32], [0, 0, 0, 0, 0, 0, 3, 232, 0, 0, 0, 0, 0, 0, 0, 64]);
        assert_eq!(&bytes[32..64], FileHash::of(b"file").as_bytes());
        assert_eq!(Metafile::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn reserved_bytes_are_ignored_when_read() {
        let mut bytes = sample().encode();
        bytes[8..16].fill(0xee);
        assert_eq!(Metafile::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn damage_is_named() {
        let bytes = sample().encode();
        assert_eq!(Metafile::parse(b"hello"), Err(MetafileError::Magic));
        assert_eq!(Metafile::parse(&bytes[..63]), Err(MetafileError::NoHeader(63)));
        assert_eq!(
            Metafile::parse(&bytes[..575]),
            Err(MetafileError::Truncated { blocks: 16, expected: 576, actual: 575 })
        );
        let longer = [bytes.clone(), vec![0]].concat();
        assert_eq!(
            Metafile::parse(&longer),
            Err(MetafileError::Trailing { blocks: 16, expected: 576, extra: 1 })
        );
        let mut zero = bytes;
        zero[24..32].fill(0);
        assert_eq!(Metafile::parse(&zero), Err(LayoutError::ZeroBlockSize.into()));
    }

    proptest! {
        #[test]
        fn parse_is_total_and_encode_is_its_inverse(tail: Vec<u8>, length in 0u64..2000, size in 0u64..99) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend([0; 8]);
            bytes.extend(length.to_be_bytes());
            bytes.extend(size.to_be_bytes());
            bytes.extend(tail);
            if let Ok(metafile) = Metafile::parse(&bytes) {
                prop_assert_eq!(metafile.encode(), bytes);
            }
        }
    }
}
