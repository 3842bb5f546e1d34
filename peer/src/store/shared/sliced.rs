//! What a data file with large blocks gives in slices.

use super::super::slices::{Proof, Slices, State};
use super::{Listener, Shared};
use crate::clock;
use cascade_format::{Block, BlockHash, Have, Layout};
use std::io;
use std::sync::Arc;

impl Shared {
    /// The slices of its blocks, if these are divided.
    #[must_use]
    pub fn slices(&self) -> Option<&Slices> {
        self.slices.as_ref()
    }

    /// Whether `slice` is verified and written.
    #[must_use]
    pub fn has_slice(&self, slice: Block) -> bool {
        // In this order: the slices of a block are forgotten when it is there.
        self.slices()
            .is_some_and(|slices| slices.has(slice) || self.have.has(slices.layout().block_of(slice)))
    }

    /// What `slice` and the state in front of it must lead to; `None`: the slice behind it is not verified.
    #[must_use]
    pub fn proof_of_slice(&self, slice: Block) -> Option<Proof> {
        self.slices()?.proof(slice)
    }

    /// Bytes from the start of `block` on, which is not complete, that an answer with the whole block may write. The
    /// rest is verified.
    #[must_use]
    pub fn unverified_len(&self, block: Block) -> u64 {
        let verified = self.slices().map_or(0, |slices| slices.verified_len(block));
        self.layout().len_of(block).saturating_sub(verified)
    }

    /// The state of SHA-256 in front of `slice`, which is there; `buffer` is for the bytes of its block, if these must be
    /// hashed.
    ///
    /// # Errors
    /// Those of [`Shared::read_exact_at`]; `InvalidData`: the block is not what was verified, and every block is
    /// withdrawn; `WouldBlock`: as much was hashed lately as may be.
    pub fn state_before(&self, slice: Block, buffer: &mut [u8]) -> io::Result<State> {
        let slices = self.slices().ok_or(io::ErrorKind::Unsupported)?;
        if let Some(state) = slices.state(slice) {
            return Ok(state);
        }
        let block = slices.layout().block_of(slice);
        if !slices.may_hash(clock::now(), block) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let hash = slices.hash_block(block, |to, at| self.read_exact_at(to, at), buffer)?;
        if let Some(metafile) = self.metafile()
            && metafile.hash_of(block)? != BlockHash(hash)
        {
            self.found_wrong();
            return Err(io::ErrorKind::InvalidData.into());
        }
        slices.state(slice).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// From now on the listener that `make` makes of the present slices hears of changes. There is one at most; `None` if
    /// blocks are not divided.
    pub fn listen_slices<L: Listener + 'static>(
        &self,
        make: impl FnOnce(&Layout, &Have) -> L,
    ) -> Option<Arc<L>> {
        let slices = self.slices()?;
        let _ledger = self.ledger();
        let listener = Arc::new(make(slices.layout(), &slices.snapshot(&self.have.snapshot())));
        slices.set_listener(Arc::<L>::clone(&listener));
        Some(listener)
    }

    /// `slice` is verified and written, with this state in front of it: from now on it is served and told of, but not while
    /// the file is in doubt. If it is the last one of its block, the block is published, too; returns that block.
    pub fn publish_slice(&self, slice: Block, state: State) -> Option<Block> {
        let slices = self.slices()?;
        let mut ledger = self.ledger();
        let block = slices.layout().block_of(slice);
        if ledger.doubtful().is_some() || self.have.has(block) {
            return None;
        }
        let complete = slices.verified(slice, state)?;
        slices.tell(&[slice]);
        if complete {
            self.publish_in(&mut ledger, block);
        }
        complete.then_some(block)
    }
}
