//! What a scripted peer has and gives.

use crate::error::{Context, Result};
use cascade_format::{Block, BlockHash, CascadeHash, Have, Layout, Metafile};
use cascade_tests::foreign_peer::Source;
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The byte that a liar's blocks are made of. Random data have no such block.
const WRONG: u8 = 0xc5;

/// Where the bytes of an answer come from.
enum Kept {
    File(File),
    /// Nowhere: every block is wrong.
    Lies,
}

/// The blocks of one file.
pub(super) struct Store {
    /// Its cascade hash.
    pub(super) hash: CascadeHash,
    metafile: Metafile,
    kept: Kept,
    blocks: Mutex<Blocks>,
}

struct Blocks {
    have: Have,
    /// Neither there nor asked for, in no order.
    missing: Vec<Block>,
}

impl Store {
    fn new(metafile: Metafile, kept: Kept, have: Have, missing: Vec<Block>) -> Self {
        let hash = metafile.cascade_hash();
        Self { hash, metafile, kept, blocks: Mutex::new(Blocks { have, missing }) }
    }

    /// Everything, from a data file that is taken as it is.
    pub(super) fn complete(metafile: Metafile, data: &Path) -> Result<Self> {
        let file = File::open(data).context(|| format!("cannot open {}", data.display()))?;
        let have = Have::all(&metafile.header().layout);
        Ok(Self::new(metafile, Kept::File(file), have, Vec::new()))
    }

    /// Nothing yet; blocks go to `part`.
    pub(super) fn empty(metafile: Metafile, part: &Path) -> Result<Self> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(part);
        let file = file.context(|| format!("cannot create {}", part.display()))?;
        let layout = metafile.header().layout;
        Ok(Self::new(metafile, Kept::File(file), Have::none(&layout), layout.iter().collect()))
    }

    /// Wrong bytes for every block.
    pub(super) fn lying(metafile: Metafile) -> Self {
        let have = Have::all(&metafile.header().layout);
        Self::new(metafile, Kept::Lies, have, Vec::new())
    }

    /// How the file is divided.
    pub(super) fn layout(&self) -> Layout {
        self.metafile.header().layout
    }

    /// Whether blocks are missing.
    pub(super) fn wants_blocks(&self) -> bool {
        !self.blocks().have.is_complete()
    }

    /// Takes any block that is missing and that nobody is asked for.
    pub(super) fn draw(&self, random: &mut fastrand::Rng) -> Option<Block> {
        let missing = &mut self.blocks().missing;
        if missing.is_empty() { None } else { Some(missing.swap_remove(random.usize(..missing.len()))) }
    }

    /// A block that was drawn and did not come.
    pub(super) fn give_back(&self, block: Block) {
        self.blocks().missing.push(block);
    }

    /// Whether these are the bytes of `block`.
    pub(super) fn verify(&self, block: Block, bytes: &[u8]) -> bool {
        let number = usize::try_from(block.number()).unwrap_or(usize::MAX);
        self.metafile.hashes().get(number) == Some(&BlockHash::of(bytes))
    }

    /// Writes a verified block; tells whether it was the last that was missing.
    pub(super) fn put(&self, block: Block, bytes: &[u8]) -> io::Result<bool> {
        if let Kept::File(file) = &self.kept {
            file.write_all_at(bytes, self.layout().start(block))?;
        }
        let have = &mut self.blocks().have;
        Ok(have.insert(block) && have.is_complete())
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Store {
    fn hash(&self) -> [u8; 32] {
        self.hash.0
    }

    fn block_len(&self, block: u64) -> Option<usize> {
        usize::try_from(self.layout().len_of(self.layout().block(block)?)).ok()
    }

    fn has(&self, block: u64) -> bool {
        self.layout().block(block).is_some_and(|block| self.blocks().have.has(block))
    }

    fn read(&self, block: u64) -> io::Result<Cow<'_, [u8]>> {
        let layout = self.layout();
        let block = layout.block(block).ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = vec![WRONG; usize::try_from(layout.len_of(block)).map_err(io::Error::other)?];
        if let Kept::File(file) = &self.kept {
            file.read_exact_at(&mut bytes, layout.start(block))?;
        }
        Ok(Cow::Owned(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::{FileHash, Header};

    fn metafile(data: &[u8], block: u64) -> Metafile {
        let layout = Layout::new(data.len() as u64, block).unwrap();
        let hashes = data.chunks(usize::try_from(block).unwrap()).map(BlockHash::of).collect();
        Metafile::new(Header { layout, file_hash: FileHash::of(data) }, hashes).unwrap()
    }

    #[test]
    fn a_download_ends_with_its_last_block() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::empty(metafile(b"0123456789", 4), &dir.path().join("part")).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        let blocks: Vec<Block> = std::iter::from_fn(|| store.draw(&mut random)).collect();
        assert_eq!(blocks.len(), 3, "each block is drawn once");
        store.give_back(blocks[0]);
        assert_eq!(store.draw(&mut random), Some(blocks[0]));
        let data = b"0123456789";
        let mut ends = Vec::new();
        for block in blocks {
            let range = store.layout().range(block);
            let bytes = &data[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            assert!(!store.has(block.number()) && store.wants_blocks());
            assert!(store.verify(block, bytes) && !store.verify(block, b"else"));
            ends.push(store.put(block, bytes).unwrap());
            assert_eq!(store.read(block.number()).unwrap(), bytes);
        }
        assert_eq!(ends, [false, false, true]);
        assert!(!store.wants_blocks());
    }

    #[test]
    fn a_liar_has_everything_and_gives_nothing_of_it() {
        let first = Layout::new(10, 4).unwrap().block(0).unwrap();
        let liar = Store::lying(metafile(b"0123456789", 4));
        assert!(liar.has(0) && !liar.has(3) && !liar.wants_blocks());
        assert_eq!((liar.block_len(0), liar.block_len(2), liar.block_len(3)), (Some(4), Some(2), None));
        assert!(!liar.verify(first, &liar.read(0).unwrap()));
    }
}
