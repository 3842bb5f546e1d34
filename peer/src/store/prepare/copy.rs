//! Blocks that are copied from an older file.

use super::Preparation;
use crate::folder::HostileArchive;
use crate::limits::PIECE_LEN;
use crate::store::DataFile;
use crate::store::error::{PrepareError, io_error};
use cascade_format::{Block, BlockHash, Have};
use cascade_hash::Sha256Stream;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::Ordering;

impl Preparation<'_> {
    /// Copies blocks that the old target has and the part file has not; verifies what it copies. Tells how many bytes
    /// that were.
    pub(super) fn copy(
        &self,
        old: &File,
        old_have: &Have,
        data: &DataFile,
        have: &mut Have,
        target: &Path,
    ) -> Result<u64, PrepareError> {
        let old = DataFile::new(
            old.try_clone().map_err(|e| io_error("open", data.path(), e))?,
            data.path(),
            *data.layout(),
        );
        let (mut buffer, mut bytes) = (vec![0; PIECE_LEN], 0);
        for block in data.layout().iter() {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(PrepareError::Interrupted);
            }
            if old_have.has(block) && !have.has(block) {
                let copied = self.copy_block(&old, data, block, &mut buffer);
                if copied.map_err(|error| io_error("write", data.path(), error))? {
                    if !data.is_canonical(block) {
                        let why = HostileArchive(block).to_string();
                        return Err(PrepareError::Hostile { target: target.to_owned(), why });
                    }
                    if have.insert(block) {
                        bytes += data.layout().len_of(block);
                    }
                }
            }
        }
        Ok(bytes)
    }

    fn copy_block(
        &self,
        old: &DataFile,
        data: &DataFile,
        block: Block,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        let (mut hasher, range) = (Sha256Stream::new(), data.layout().range(block));
        let mut at = range.start;
        while at < range.end {
            let length = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..length).unwrap_or_default();
            old.read_exact_at(piece, at)?;
            hasher.update(piece);
            data.write_all_at(&mut [IoSlice::new(piece)], at)?;
            at += length as u64;
        }
        Ok(BlockHash(hasher.finish()) == self.metafile.hash_of(block)?)
    }
}
