//! Where a foreign peer takes its blocks from.

use crate::cascade_file::TestFile;
use std::borrow::Cow;
use std::io;

/// One file as a foreign peer serves it.
pub trait Source: Send + Sync {
    /// The cascade hash.
    fn hash(&self) -> [u8; 32];

    /// Length of a block in bytes; `None` where there is no such block.
    fn block_len(&self, block: u64) -> Option<usize>;

    /// Whether the block is there by now.
    fn has(&self, block: u64) -> bool;

    /// The bytes of a block that is there.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&self, block: u64) -> io::Result<Cow<'_, [u8]>>;
}

impl Source for TestFile {
    fn hash(&self) -> [u8; 32] {
        self.hash
    }

    fn block_len(&self, block: u64) -> Option<usize> {
        self.block(block).map(<[u8]>::len)
    }

    fn has(&self, _block: u64) -> bool {
        true
    }

    fn read(&self, block: u64) -> io::Result<Cow<'_, [u8]>> {
        self.block(block).map(Cow::Borrowed).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}
