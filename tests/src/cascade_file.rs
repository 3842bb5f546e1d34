//! `.cascade` files made from the protocol's text (§1), with the data that they describe.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// `bytes` in lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A data file and its `.cascade` file, both in memory.
#[derive(Clone)]
pub struct TestFile {
    /// Name of the data file.
    pub name: String,
    /// Bytes of the data file.
    pub data: Arc<[u8]>,
    /// Block size, in bytes.
    pub block_size: usize,
    /// Bytes of the `.cascade` file.
    pub cascade: Vec<u8>,
    /// The cascade hash.
    pub hash: [u8; 32],
}

impl TestFile {
    /// A file of `length` random bytes (the same for the same name) in blocks of `block_size`.
    #[must_use]
    pub fn random(name: &str, length: usize, block_size: usize) -> Self {
        let seed =
            sha256(name.as_bytes()).iter().fold(0, |seed: u64, byte| seed.rotate_left(7) ^ u64::from(*byte));
        let mut data = vec![0; length];
        fastrand::Rng::with_seed(seed).fill(&mut data);
        Self::of(name, data, block_size)
    }

    /// A file of the given bytes.
    #[must_use]
    pub fn of(name: &str, data: Vec<u8>, block_size: usize) -> Self {
        let cascade = describe(&data, block_size, sha256(&data));
        let hash = sha256(&cascade);
        Self { name: name.to_owned(), data: data.into(), block_size, cascade, hash }
    }

    /// The same file with a `.cascade` whose block hashes are right and whose whole-file hash is not.
    #[must_use]
    pub fn with_false_file_hash(mut self) -> Self {
        self.cascade = describe(&self.data, self.block_size, sha256(b"another file"));
        self.hash = sha256(&self.cascade);
        self
    }

    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.data.len().div_ceil(self.block_size) as u64
    }

    /// The bytes of a block; `None` where there is no such block.
    #[must_use]
    pub fn block(&self, number: u64) -> Option<&[u8]> {
        self.data.chunks(self.block_size).nth(usize::try_from(number).ok()?)
    }

    /// The cascade hash in hex.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.hash)
    }

    /// Writes `NAME.cascade` into `folder` and returns its path.
    #[must_use]
    pub fn write_cascade(&self, folder: &Path) -> PathBuf {
        let path = folder.join(format!("{}.cascade", self.name));
        fs::write(&path, &self.cascade).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Writes `NAME` into `folder` and returns its path.
    #[must_use]
    pub fn write_data(&self, folder: &Path) -> PathBuf {
        let path = folder.join(&self.name);
        fs::write(&path, &self.data).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// The data with the blocks that `spoiled` chooses replaced by other bytes.
    #[must_use]
    pub fn data_with(&self, spoiled: impl Fn(u64) -> bool) -> Vec<u8> {
        let mut data = self.data.to_vec();
        for (number, block) in (0..).zip(data.chunks_mut(self.block_size)) {
            if spoiled(number) {
                block.iter_mut().for_each(|byte| *byte ^= 0x55);
            }
        }
        data
    }

    /// Fails unless the file at `path` holds exactly the data.
    ///
    /// # Panics
    /// It does not; the message says where it differs first.
    pub fn assert_same(&self, path: &Path) {
        let found = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if *found == *self.data {
            return;
        }
        let differs = found.iter().zip(self.data.iter()).position(|(found, wanted)| found != wanted);
        let path = path.display();
        assert_eq!(differs, None, "{path} differs from the original at this byte");
        assert_eq!(found.len(), self.data.len(), "{path} has a wrong length");
    }
}

impl std::fmt::Debug for TestFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes in {} blocks)", self.name, self.data.len(), self.blocks())
    }
}

/// The `.cascade` file for `data`, with the whole-file hash given.
#[must_use]
pub fn describe(data: &[u8], block_size: usize, file_hash: [u8; 32]) -> Vec<u8> {
    let mut cascade = header(data.len() as u64, block_size as u64, file_hash).to_vec();
    data.chunks(block_size).for_each(|block| cascade.extend(sha256(block)));
    cascade
}

/// The 64 bytes at the start of a `.cascade` file, whatever they claim.
#[must_use]
pub fn header(length: u64, block_size: u64, file_hash: [u8; 32]) -> [u8; 64] {
    let mut header = [0; 64];
    header[..8].copy_from_slice(b"CASCADE1");
    header[16..24].copy_from_slice(&length.to_be_bytes());
    header[24..32].copy_from_slice(&block_size.to_be_bytes());
    header[32..].copy_from_slice(&file_hash);
    header
}
