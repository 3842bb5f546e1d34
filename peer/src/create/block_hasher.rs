//! The hashes of all blocks of a stream of bytes, which comes in pieces of any length, and of the whole stream.

use cascade_format::BlockHash;
use cascade_hash::{Sha256Stream, update_both};
use std::io;

/// Cuts bytes into blocks and hashes them, with the whole stream's hash beside them where that is wanted.
pub(super) struct BlockHasher {
    block_size: u64,
    /// The block that has begun; empty between two blocks.
    begun: Sha256Stream,
    /// The whole stream.
    whole: Option<Sha256Stream>,
}

impl BlockHasher {
    /// `whole`: hash the stream too, with the same bytes and for little more than the price of the blocks.
    pub(super) fn new(block_size: u64, whole: bool) -> Self {
        Self { block_size, begun: Sha256Stream::new(), whole: whole.then(Sha256Stream::new) }
    }

    /// Feeds the next bytes; `write` gets the hash of each block that they complete.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        write: &mut impl FnMut(BlockHash) -> io::Result<()>,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = usize::try_from(self.block_size - self.begun.len()).unwrap_or(usize::MAX);
            let (head, rest) = bytes.split_at(left.min(bytes.len()));
            match &mut self.whole {
                Some(whole) => update_both(whole, &mut self.begun, head),
                None => self.begun.update(head),
            }
            if self.begun.len() == self.block_size {
                write(BlockHash(std::mem::take(&mut self.begun).finish()))?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// The end of the stream: the hash of the last, short block, if there is one. Returns that of the stream,
    /// if it was wanted.
    pub(super) fn finish(
        self,
        write: &mut impl FnMut(BlockHash) -> io::Result<()>,
    ) -> io::Result<Option<[u8; 32]>> {
        if !self.begun.is_empty() {
            write(BlockHash(self.begun.finish()))?;
        }
        Ok(self.whole.map(Sha256Stream::finish))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_pieces_give_the_hashes_of_the_blocks_and_of_the_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
            block_size in 1usize..400,
            whole in any::<bool>(),
        ) {
            let mut hashes = Vec::new();
            let mut write = |hash| {
                hashes.push(hash);
                Ok(())
            };
            let mut hasher = BlockHasher::new(block_size as u64, whole);
            for piece in &pieces {
                hasher.feed(piece, &mut write).unwrap();
            }
            let of_all = hasher.finish(&mut write).unwrap();
            let bytes = pieces.concat();
            let expected: Vec<_> = bytes.chunks(block_size).map(BlockHash::of).collect();
            prop_assert_eq!(hashes, expected);
            prop_assert_eq!(of_all, whole.then(|| Sha256Stream::digest(&bytes)));
        }
    }
}
