//! The hashes of all blocks of a stream of bytes, which comes in pieces of any length.

use cascade_format::BlockHash;
use cascade_hash::{Sha256Stream, digest_pair};
use std::io;

/// Cuts bytes into blocks and hashes them, two at a time where two are there.
pub(super) struct BlockHasher {
    block_size: u64,
    /// The block that has begun; empty between two blocks.
    begun: Sha256Stream,
}

impl BlockHasher {
    pub(super) const fn new(block_size: u64) -> Self {
        Self { block_size, begun: Sha256Stream::new() }
    }

    /// Feeds the next bytes; `write` gets the hash of each block that they complete.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        write: &mut impl FnMut(BlockHash) -> io::Result<()>,
    ) -> io::Result<()> {
        let rest = self.go_on(bytes, write)?;
        // What is left starts with a block.
        let rest = match usize::try_from(self.block_size) {
            Ok(size) if size <= rest.len() => whole_blocks(rest, size, write)?,
            _ => rest,
        };
        self.begun.update(rest);
        Ok(())
    }

    /// Feeds the head of `bytes` into the block that has begun; returns what lies beyond it.
    fn go_on<'b>(
        &mut self,
        bytes: &'b [u8],
        write: &mut impl FnMut(BlockHash) -> io::Result<()>,
    ) -> io::Result<&'b [u8]> {
        if self.begun.is_empty() {
            return Ok(bytes);
        }
        let left = usize::try_from(self.block_size - self.begun.len()).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at(left.min(bytes.len()));
        self.begun.update(head);
        if self.begun.len() == self.block_size {
            write(BlockHash(std::mem::take(&mut self.begun).finish()))?;
        }
        Ok(rest)
    }

    /// The end of the file: the hash of the last, short block, if there is one.
    pub(super) fn finish(self, write: &mut impl FnMut(BlockHash) -> io::Result<()>) -> io::Result<()> {
        if self.begun.is_empty() { Ok(()) } else { write(BlockHash(self.begun.finish())) }
    }
}

/// Hashes the whole blocks at the head of `bytes`; returns what remains, less than a block.
fn whole_blocks<'b>(
    bytes: &'b [u8],
    block_size: usize,
    write: &mut impl FnMut(BlockHash) -> io::Result<()>,
) -> io::Result<&'b [u8]> {
    let blocks = bytes.chunks_exact(block_size);
    let rest = blocks.remainder();
    let mut blocks = blocks;
    while let Some(a) = blocks.next() {
        if let Some(b) = blocks.next() {
            let (hash_a, hash_b) = digest_pair(a, b);
            write(BlockHash(hash_a))?;
            write(BlockHash(hash_b))?;
        } else {
            write(BlockHash(Sha256Stream::digest(a)))?;
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_pieces_give_the_hashes_of_the_blocks(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
            block_size in 1usize..400,
        ) {
            let mut hashes = Vec::new();
            let mut write = |hash| {
                hashes.push(hash);
                Ok(())
            };
            let mut hasher = BlockHasher::new(block_size as u64);
            for piece in &pieces {
                hasher.feed(piece, &mut write).unwrap();
            }
            hasher.finish(&mut write).unwrap();
            let expected: Vec<_> = pieces.concat().chunks(block_size).map(BlockHash::of).collect();
            prop_assert_eq!(hashes, expected);
        }
    }
}
