//! A `.cascade` file that is being fetched: it grows in `NAME.cascade.part`, and gets its name when it is right.

use super::FetchError;
use crate::ground::open::folder_of;
use crate::metafile::MetafileOnDisk;
use crate::store::PrepareError;
use crate::store::part::{self, Part};
use cascade_format::metafile::{HEADER_LEN, MAGIC};
use cascade_format::{CascadeHash, Header};
use cascade_hash::Sha256Stream;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The `.cascade` file at `out`, if it is there and has this hash.
///
/// # Errors
/// Something else has the name; if it is another `.cascade` file, unless that is to be moved `aside`.
pub(super) fn there(
    out: &Path,
    hash: CascadeHash,
    aside: bool,
) -> Result<Option<MetafileOnDisk>, FetchError> {
    match fs::symlink_metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FetchError::Disk { path: out.to_owned(), source }),
        Ok(_) => {}
    }
    match MetafileOnDisk::open(out) {
        Ok(there) if there.cascade_hash() == hash => Ok(Some(there)),
        Ok(_) if aside => Ok(None),
        Ok(_) | Err(_) => Err(FetchError::Taken(out.to_owned())),
    }
}

/// Whether this is what a fetch has left that was killed: nothing, or the beginning of a `.cascade` file. Anything else is the
/// user's, for the name comes from a link.
fn is_left_over(mut file: &File) -> bool {
    let mut head = Vec::new();
    let read =
        file.seek(SeekFrom::Start(0)).and_then(|_| file.take(MAGIC.len() as u64).read_to_end(&mut head));
    read.is_ok() && MAGIC.starts_with(&head)
}

/// The part file.
#[derive(Debug)]
pub(super) struct Growing {
    part: Part,
    head: Vec<u8>,
    hash: Sha256Stream,
}

impl Growing {
    /// Opens or makes the part file of `out`, and empties it.
    pub(super) fn open(out: &Path) -> Result<Self, FetchError> {
        let folder = folder_of(out);
        if !folder.is_dir() {
            return Err(PrepareError::NoFolder(folder.to_owned()).into());
        }
        let part = Part::open_ours(out, &mut |part| Ok(is_left_over(&part.file)))?;
        let mut growing = Self { part, head: Vec::new(), hash: Sha256Stream::new() };
        growing.restart()?;
        Ok(growing)
    }

    /// Begins anew.
    pub(super) fn restart(&mut self) -> Result<(), FetchError> {
        self.head.clear();
        self.hash = Sha256Stream::new();
        let mut file = &self.part.file;
        let emptied = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
        emptied.map(drop).map_err(|source| self.failed(source))
    }

    /// The next bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let missing = HEADER_LEN.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..missing.min(bytes.len())).unwrap_or_default());
        self.hash.update(bytes);
        (&self.part.file).write_all(bytes).map_err(|source| self.failed(source))
    }

    /// Whether the bytes that are there are not the start of a `.cascade` file of `total` bytes.
    pub(super) fn contradicts(&self, total: u64) -> bool {
        let Some(head) = self.head.first_chunk::<HEADER_LEN>() else { return false };
        !Header::parse(head).is_ok_and(|header| header.check_len(total).is_ok())
    }

    /// The hash of the bytes that are there.
    pub(super) fn hash(&self) -> CascadeHash {
        CascadeHash(self.hash.clone().finish())
    }

    /// Takes it away.
    pub(super) fn remove(&self) {
        part::remove(&self.part.file, &self.part.path);
    }

    /// Gives the complete file its name, unless something else has got it meanwhile.
    pub(super) fn publish(
        self,
        out: &Path,
        hash: CascadeHash,
        aside: bool,
    ) -> Result<MetafileOnDisk, FetchError> {
        let mut result = self.name(out);
        if aside && matches!(result, Err(FetchError::Taken(_))) && MetafileOnDisk::open(out).is_ok() {
            let moved = part::move_aside(out);
            result = moved.map_err(|source| FetchError::Disk { path: out.to_owned(), source });
            result = result.and_then(|()| self.name(out));
        }
        if result.is_err() {
            self.remove();
        }
        result?;
        // What is on the disk is looked at once more: it is what will be used.
        let metafile = MetafileOnDisk::open(out)?;
        if metafile.cascade_hash() == hash { Ok(metafile) } else { Err(FetchError::Taken(out.to_owned())) }
    }

    fn name(&self, out: &Path) -> Result<(), FetchError> {
        self.part.file.sync_all().map_err(|source| self.failed(source))?;
        let part = &self.part.path;
        let named = match fs::hard_link(part, out) {
            Ok(()) => fs::remove_file(part),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // There are file systems without second names.
            Err(_) if fs::symlink_metadata(out).is_err() => fs::rename(part, out),
            Err(error) => Err(error),
        };
        named.map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                return FetchError::Taken(out.to_owned());
            }
            FetchError::Disk { path: out.to_owned(), source }
        })?;
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // If the disk loses the name, it is fetched again.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }

    fn failed(&self, source: io::Error) -> FetchError {
        FetchError::Disk { path: PathBuf::from(&self.part.path), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::{BlockHash, FileHash, Layout, Metafile};

    fn sample() -> Vec<u8> {
        let header = Header { layout: Layout::new(15, 8).unwrap(), file_hash: FileHash::of(b"x") };
        Metafile::new(header, vec![BlockHash::of(b"a"), BlockHash::of(b"b")]).unwrap().encode()
    }

    #[test]
    fn a_right_file_gets_its_name_and_a_taken_name_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (out, bytes) = (folder.path().join("x.cascade"), sample());
        let hash = CascadeHash::of(&bytes);
        assert!(there(&out, hash, false).unwrap().is_none());
        for taken in [false, true] {
            let mut growing = Growing::open(&out).unwrap();
            assert!(folder.path().join("x.cascade.part").exists());
            growing.append(b"wrong bytes").unwrap();
            growing.restart().unwrap();
            bytes.chunks(50).for_each(|piece| growing.append(piece).unwrap());
            assert_eq!(growing.hash(), hash);
            if taken {
                fs::write(&out, b"precious").unwrap();
            }
            let result = growing.publish(&out, hash, false);
            assert!(!folder.path().join("x.cascade.part").exists());
            if taken {
                assert!(matches!(result, Err(FetchError::Taken(_))), "{result:?}");
                assert_eq!(fs::read(&out).unwrap(), b"precious");
                assert!(matches!(there(&out, hash, false), Err(FetchError::Taken(_))));
            } else {
                assert_eq!(result.unwrap().cascade_hash(), hash);
                assert_eq!(fs::read(&out).unwrap(), bytes);
                assert!(there(&out, hash, false).unwrap().is_some());
                fs::remove_file(&out).unwrap();
            }
        }
    }

    #[test]
    fn a_file_of_the_user_s_with_the_name_of_the_part_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (out, part) = (folder.path().join("x.cascade"), folder.path().join("x.cascade.part"));
        for (before, stays) in [(&b"precious"[..], true), (b"CASC", false), (b"CASCADE1 and more", false)] {
            fs::write(&part, before).unwrap();
            let growing = Growing::open(&out).unwrap();
            assert_eq!(growing.part.path == part, !stays);
            assert_eq!(fs::read(&part).unwrap(), if stays { before } else { b"" });
            growing.remove();
            assert_eq!(part.exists(), stays);
        }
    }

    #[test]
    fn a_header_that_fits_another_length_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut growing = Growing::open(&folder.path().join("x.cascade")).unwrap();
        let bytes = sample();
        growing.append(&bytes[..63]).unwrap();
        assert!(!growing.contradicts(999));
        growing.append(&bytes[63..70]).unwrap();
        assert!(!growing.contradicts(128) && growing.contradicts(160));
    }
}
