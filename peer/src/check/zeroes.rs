//! The hash of a block of zeroes, computed once for each length of block.

use cascade_format::BlockHash;
use cascade_hash::Sha256Stream;
use std::io;
use std::sync::{Mutex, PoisonError};

/// Zeroes that are hashed at once.
static PIECE: [u8; 64 << 10] = [0; 64 << 10];

/// The hashes that were asked for: of the block size, and of the last block's length. The lock is held
/// while one is computed, because a thread that waits for the lock wants just that hash.
#[derive(Default)]
pub(super) struct Zeroes(Mutex<Vec<(u64, BlockHash)>>);

impl Zeroes {
    /// The hash of `len` zeroes. `go_on` is asked between any two pieces.
    ///
    /// # Errors
    /// The error of `go_on`.
    pub(super) fn hash(&self, len: u64, go_on: impl Fn() -> io::Result<()>) -> io::Result<BlockHash> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, hash)) = known.iter().find(|(known, _)| *known == len) {
            return Ok(*hash);
        }
        let mut stream = Sha256Stream::new();
        while stream.len() < len {
            go_on()?;
            let left = usize::try_from(len - stream.len()).unwrap_or(PIECE.len());
            stream.update(PIECE.get(..left).unwrap_or(&PIECE));
        }
        let hash = BlockHash(stream.finish());
        known.push((len, hash));
        Ok(hash)
    }
}
