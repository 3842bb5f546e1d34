//! What `--allow` names: a cascade hash, or the `.cascade` file that has it.

use crate::file;
use cascade_format::metafile::{HEADER_LEN, Header, MAGIC};
use cascade_format::{CascadeHash, MetafileError};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most blocks of a `.cascade` file, as many as a download takes: 2 GiB to be hashed. A longer file
/// is a mistake, or a hole without end.
pub const MAX_ALLOWED_BLOCKS: u64 = 64 << 20;

/// Read and hashed at once, in bytes: the file may be longer than memory.
const CHUNK: usize = 64 << 10;

/// Why an argument names no file to track.
#[derive(Debug, thiserror::Error)]
pub enum AllowError {
    /// Neither a hash nor a file that can be read.
    #[error("it is not 64 hex digits, and as a .cascade file it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// More hashes than anybody downloads by.
    #[error("it has {0} blocks, and files of more than {MAX_ALLOWED_BLOCKS} are not shared")]
    TooLong(u64),
    /// The file is no `.cascade` file, or a damaged one.
    #[error(transparent)]
    Damaged(#[from] MetafileError),
}

/// The cascade hash that `text` is, or that the `.cascade` file of this name has.
///
/// # Errors
/// The file cannot be read, or its header and length are not those of a `.cascade` file.
pub fn resolve(text: &str) -> Result<CascadeHash, AllowError> {
    match text.parse() {
        Ok(hash) => Ok(hash),
        Err(_) => cascade_hash_of(Path::new(text)),
    }
}

/// Hashes a `.cascade` file in constant memory, after a look at its header and length.
pub(crate) fn cascade_hash_of(path: &Path) -> Result<CascadeHash, AllowError> {
    let (mut file, len) = file::open(path)?;
    let mut header = [0; HEADER_LEN];
    let read = read_up_to(&mut file, &mut header)?;
    let parsed = if read == HEADER_LEN {
        Header::parse(&header)?
    } else if header.starts_with(&MAGIC) {
        return Err(MetafileError::NoHeader(read as u64).into());
    } else {
        return Err(MetafileError::Magic.into());
    };
    parsed.check_len(len)?;
    if parsed.layout.blocks() > MAX_ALLOWED_BLOCKS {
        return Err(AllowError::TooLong(parsed.layout.blocks()));
    }
    let mut hasher = Sha256::new_with_prefix(header);
    let mut hashed = HEADER_LEN as u64;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = read_up_to(&mut file, &mut chunk)?;
        hasher.update(chunk.get(..read).unwrap_or_default());
        hashed += read as u64;
        if read < CHUNK {
            break;
        }
        // A file that grows without end while it is read must not be followed.
        parsed.check_len(len.max(hashed))?;
    }
    parsed.check_len(hashed)?;
    Ok(CascadeHash(hasher.finalize().into()))
}

/// Fills the buffer, as far as the file goes.
fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::{BlockHash, FileHash, Layout, Metafile};
    use std::io::Write;

    /// A `.cascade` file of several chunks.
    fn sample() -> Metafile {
        let layout = Layout::new(5000, 1).unwrap();
        let hashes = layout.iter().map(|block| BlockHash::of(&block.number().to_be_bytes())).collect();
        Metafile::new(Header { layout, file_hash: FileHash::of(b"") }, hashes).unwrap()
    }

    fn resolve_bytes(bytes: &[u8]) -> Result<CascadeHash, AllowError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        resolve(file.path().to_str().unwrap())
    }

    #[test]
    fn a_hash_is_itself_and_a_file_has_the_hash_of_its_bytes() {
        let metafile = sample();
        let hash = metafile.cascade_hash();
        assert_eq!(resolve(&hash.to_string()).unwrap(), hash);
        assert_eq!(resolve_bytes(&metafile.encode()).unwrap(), hash);
        // The reserved bytes do not matter, but they are hashed.
        let mut bytes = metafile.encode();
        bytes[9] = 1;
        assert_eq!(resolve_bytes(&bytes).unwrap(), CascadeHash::of(&bytes));
    }

    #[test]
    fn other_files_are_refused() {
        let bytes = sample().encode();
        let damaged = |bytes: &[u8]| match resolve_bytes(bytes) {
            Err(AllowError::Damaged(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(damaged(b"hello"), MetafileError::Magic);
        assert_eq!(damaged(&bytes[..40]), MetafileError::NoHeader(40));
        assert!(matches!(damaged(&bytes[..bytes.len() - 1]), MetafileError::Truncated { .. }));
        assert!(matches!(damaged(&[&bytes[..], b"x"].concat()), MetafileError::Trailing { .. }));
        assert!(matches!(resolve("/no/such/file.cascade"), Err(AllowError::Read(_))));
        assert!(matches!(resolve("/"), Err(AllowError::Read(_))));
    }

    #[test]
    fn a_hole_without_end_is_not_hashed() {
        // 100 GB, all of them as the header says.
        let layout = Layout::new(3_125_000_000, 1).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all(&Header { layout, file_hash: FileHash::of(b"") }.encode()).unwrap();
        if let Err(error) = file.as_file().set_len(layout.metafile_len()) {
            return println!("skipped: no file system for a hole of 100 GB here: {error}");
        }
        let error = resolve(file.path().to_str().unwrap()).unwrap_err();
        assert!(matches!(error, AllowError::TooLong(3_125_000_000)), "{error}");
        let named = MAX_ALLOWED_BLOCKS.to_string();
        assert!(error.to_string().contains(&named), "{error}");
        // Without a header it is no matter of length.
        file.as_file().set_len(0).unwrap();
        file.as_file().set_len(100_000_000_000).unwrap();
        let error = resolve(file.path().to_str().unwrap()).unwrap_err();
        assert!(matches!(error, AllowError::Damaged(MetafileError::Magic)), "{error}");
    }
}
