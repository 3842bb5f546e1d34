//! The data: a random file, its hash, its `.cascade` files.

use crate::error::{Context, Result, failed};
use crate::units::MIB;
use cascade_format::{BlockHash, CascadeHash, FileHash, Header, Layout, Metafile};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// Bytes handled at once; small, because the measuring process must stay small (see [`crate::measure`]).
const CHUNK: usize = 1 << 18;

/// How often the size of the file is written and deleted to warm memory.
const WARM_TIMES: u64 = 3;

/// A file to transfer.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub length: u64,
    /// Its hash.
    pub hash: FileHash,
}

impl DataFile {
    /// Makes `dir/data.bin` of `length` random bytes. The same length gives the same bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn random(dir: &Path, length: u64) -> Result<Self> {
        let path = dir.join("data.bin");
        let mut random = fastrand::Rng::with_seed(length);
        let mut hasher = Sha256::new();
        let mut file = File::create(&path).context(|| format!("cannot create {}", path.display()))?;
        let mut chunk = vec![0; CHUNK];
        let mut left = length;
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            random.fill(&mut chunk[..now]);
            hasher.update(&chunk[..now]);
            file.write_all(&chunk[..now]).context(|| format!("cannot write {}", path.display()))?;
            left -= now as u64;
        }
        Ok(Self { path, length, hash: FileHash(hasher.finalize().into()) })
    }

    /// The file's name without its folder.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Lets the system forget what it holds of the file in memory, so that the next reader gets it from the disk. In a
    /// tmpfs it stays where it is.
    ///
    /// # Errors
    /// The file cannot be opened or written back.
    pub fn forget(&self) -> Result<()> {
        let what = || format!("cannot forget {}", self.path.display());
        let file = File::open(&self.path).context(what)?;
        // Only what is on the disk can be forgotten.
        file.sync_data().context(what)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(std::io::Error::from)
            .context(what)
    }

    /// Compares a copy with this file.
    ///
    /// # Errors
    /// The copy cannot be read or is different.
    pub fn check_copy(&self, copy: &Path) -> Result<()> {
        if self.path.is_dir() {
            return compare_folders(&self.path, copy);
        }
        let file = File::open(copy).context(|| format!("cannot open the copy {}", copy.display()))?;
        let hash = hash_next(&mut BufReader::with_capacity(CHUNK, file), u64::MAX)
            .context(|| format!("cannot read the copy {}", copy.display()))?;
        if FileHash(hash) == self.hash {
            Ok(())
        } else {
            failed(format!("the copy {} has other bytes than {}", copy.display(), self.path.display()))
        }
    }

    /// Writes the `.cascade` file for `block_size` into `dir`; returns its path and cascade hash. Made here, not
    /// by `peer create`, so that every benchmark starts from the same bytes.
    ///
    /// # Errors
    /// The data cannot be read, the result cannot be written.
    pub fn cascade_file(&self, dir: &Path, block_size: u64) -> Result<CascadeFile> {
        let layout = Layout::new(self.length, block_size)
            .or_else(|e| failed(format!("no block size for {}: {e}", self.path.display())))?;
        let hashes = self.block_hashes(&layout)?;
        let header = Header { layout, file_hash: self.hash };
        let metafile =
            Metafile::new(header, hashes).or_else(|e| failed(format!("{}: {e}", self.path.display())))?;
        let bytes = metafile.encode();
        let path = dir.join(format!("{}.cascade", self.name()));
        fs::write(&path, &bytes).context(|| format!("cannot write {}", path.display()))?;
        Ok(CascadeFile { path, hash: CascadeHash::of(&bytes), layout })
    }

    fn block_hashes(&self, layout: &Layout) -> Result<Vec<BlockHash>> {
        let file = File::open(&self.path).context(|| format!("cannot open {}", self.path.display()))?;
        let mut hashes = Vec::new();
        let mut reader = BufReader::with_capacity(CHUNK, file);
        for block in layout.iter() {
            let hash = hash_next(&mut reader, layout.len_of(block))
                .context(|| format!("cannot read {}", self.path.display()))?;
            hashes.push(BlockHash(hash));
        }
        Ok(hashes)
    }
}

/// Every file of `folder` is in `copy`, with the same bytes.
fn compare_folders(folder: &Path, copy: &Path) -> Result<()> {
    let look = |path: &Path| format!("cannot read {}", path.display());
    for entry in fs::read_dir(folder).context(|| look(folder))? {
        let entry = entry.context(|| look(folder))?;
        let (here, there) = (entry.path(), copy.join(entry.file_name()));
        if here.is_dir() {
            compare_folders(&here, &there)?;
        } else if fs::read(&here).context(|| look(&here))? != fs::read(&there).context(|| look(&there))? {
            return failed(format!("the copy {} has other bytes", there.display()));
        }
    }
    Ok(())
}

/// A `.cascade` file on disk.
#[derive(Debug, Clone)]
pub struct CascadeFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its own hash, which names it on the network.
    pub hash: CascadeHash,
    /// How it divides the data.
    pub layout: Layout,
}

/// The hash of the next `length` bytes, or of what there is until the end.
fn hash_next(source: &mut impl BufRead, length: u64) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut left = length;
    loop {
        let bytes = source.fill_buf()?;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if count == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&bytes[..count]);
        source.consume(count);
        left -= count as u64;
    }
}

/// Writes and deletes some times `size` bytes in `dir`, which is on tmpfs: on a virtual machine the first
/// touch of a page costs much more than the next, and would count against the contestant that runs first.
///
/// # Errors
/// The folder has no room for two files of that size at once.
pub fn warm_memory(dir: &Path, size: u64) -> Result<()> {
    let names: Vec<PathBuf> = (0..WARM_TIMES).map(|number| dir.join(format!("warm-{number}"))).collect();
    let chunk = vec![1; CHUNK];
    for name in &names {
        let mut file = File::create(name).context(|| format!("cannot create {}", name.display()))?;
        for _ in 0..size.div_ceil(CHUNK as u64) {
            file.write_all(&chunk).context(|| format!("cannot write {}: is there room?", name.display()))?;
        }
    }
    for name in &names {
        fs::remove_file(name).context(|| format!("cannot remove {}", name.display()))?;
    }
    Ok(())
}

/// Bytes that one core hashes in a second, hot in cache: the yardstick for everything that hashes.
#[must_use]
pub fn sha256_rate() -> f64 {
    let chunk = vec![7; 256 * 1024];
    let mut hasher = Sha256::new();
    let start = crate::clock::now();
    let mut done = 0;
    while done < 1024 * MIB {
        hasher.update(&chunk);
        done += chunk.len() as u64;
    }
    std::hint::black_box(hasher.finalize());
    done as f64 / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_file_and_its_cascade_file_agree() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataFile::random(dir.path(), 600_001).unwrap();
        let bytes = fs::read(&data.path).unwrap();
        assert_eq!(FileHash::of(&bytes), data.hash);
        let cascade = data.cascade_file(dir.path(), 300_000).unwrap();
        let metafile = Metafile::parse(&fs::read(&cascade.path).unwrap()).unwrap();
        assert_eq!(metafile.header().file_hash, data.hash);
        let expected: Vec<BlockHash> = bytes.chunks(300_000).map(BlockHash::of).collect();
        assert_eq!(metafile.hashes(), expected);
    }

    #[test]
    fn a_wrong_copy_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataFile::random(dir.path(), 1000).unwrap();
        let copy = dir.path().join("copy");
        fs::copy(&data.path, &copy).unwrap();
        data.check_copy(&copy).unwrap();
        let mut bytes = fs::read(&copy).unwrap();
        bytes[999] ^= 1;
        fs::write(&copy, bytes).unwrap();
        assert!(data.check_copy(&copy).is_err(), "a flipped bit went unnoticed");
    }

    #[test]
    fn warming_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        warm_memory(dir.path(), 10_000).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
