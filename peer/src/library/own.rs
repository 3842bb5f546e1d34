//! Whether data that is not complete is somebody's own work, which a download must not replace.
//!
//! `peer serve --download` replaces data that nobody has named on a command line. So it does that only where nothing is
//! lost: where blocks are missing because the file ends before them, or because only zeroes are there.

use crate::ground::open::open_regular;
use crate::ground::{Ground, Stamp};
use crate::human::Name;
use crate::metafile::MetafileOnDisk;
use crate::store::{Preparation, PrepareError};
use std::fs::File;
use std::path::Path;

/// Zeroes that are compared at once.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// What stands at a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum There {
    /// Nothing that is lost when it is replaced: nothing at all, or data that looked like this before it was read.
    Replaceable(Option<Stamp>),
    /// Bytes that the file does not have.
    OwnWork,
}

/// What stands at `target`.
///
/// # Errors
/// It cannot be read.
pub(super) fn examine(preparation: &Preparation<'_>, target: &Path) -> Result<There, PrepareError> {
    // A download refuses folders and what is no file.
    let Ok((file, metadata)) = open_regular(target) else { return Ok(There::Replaceable(None)) };
    let own = is_own_work(preparation, target, &file, metadata.len())?;
    Ok(if own { There::OwnWork } else { There::Replaceable(Some(Stamp::from_metadata(&metadata))) })
}

fn is_own_work(
    preparation: &Preparation<'_>,
    target: &Path,
    file: &File,
    length: u64,
) -> Result<bool, PrepareError> {
    let layout = preparation.metafile.layout();
    let have = preparation.known_or_checked(target, file)?.have;
    if length > layout.length() {
        return Ok(true);
    }
    for block in layout.iter().filter(|block| !have.has(*block)) {
        let range = layout.range(block);
        // A copy that was interrupted ends within a block, behind others that are right.
        let is_cut = range.end > length && have.count() > 0;
        let range = range.start..range.end.min(length);
        if is_cut || range.is_empty() || file.is_hole(&range) {
            continue;
        }
        if !is_zero(file, range).unwrap_or(false) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_zero(file: &dyn Ground, range: std::ops::Range<u64>) -> std::io::Result<bool> {
    let (mut buffer, mut at) = (vec![0; ZEROES.len()], range.start);
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..len).unwrap_or_default();
        file.fill(piece, at)?;
        if ZEROES.get(..len) != Some(&*piece) {
            return Ok(false);
        }
        at += len as u64;
    }
    Ok(true)
}

/// What the user is told of it.
pub(super) fn left_alone(target: &Path, metafile: &MetafileOnDisk) -> String {
    format!(
        "{} has bytes that {} does not describe, so it is not downloaded; move it away to have it downloaded",
        Name(target),
        Name(metafile.path())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Records;
    use cascade_format::{BlockHash, FileHash, Header, Layout, Metafile};
    use std::fs;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn what_ends_early_or_is_zero_may_be_completed_and_other_bytes_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (path, data) = (folder.path().join("x.cascade"), folder.path().join("x"));
        let header = Header { layout: Layout::new(10, 4).unwrap(), file_hash: FileHash::of(b"0123456789") };
        let hashes = [b"0123".as_slice(), b"4567", b"89"].map(BlockHash::of).to_vec();
        fs::write(&path, Metafile::new(header, hashes).unwrap().encode()).unwrap();
        let metafile = MetafileOnDisk::open(&path).unwrap();
        let records = Records::in_folder(&folder.path().join(".state"));
        let cancel = AtomicBool::new(false);
        let preparation = Preparation::new(&metafile, &records, &cancel);
        assert_eq!(examine(&preparation, &data).unwrap(), There::Replaceable(None), "there is nothing");
        for (bytes, expected) in [
            (b"".as_slice(), false),
            (b"0123", false),
            (b"01234", false),
            (b"0123\0\0\0\0", false),
            (b"0123\0\0\0\x0089", false),
            (b"\0\0\0\0\0\0\0\0\0\0", false),
            (b"0123456789", false),
            (b"01", true),
            (b"0123.567", true),
            (b"0123....89", true),
            (b"0123456789x", true),
            (b"notes", true),
        ] {
            fs::write(&data, bytes).unwrap();
            let stamp = Stamp::from_metadata(&fs::metadata(&data).unwrap());
            let expected = if expected { There::OwnWork } else { There::Replaceable(Some(stamp)) };
            assert_eq!(examine(&preparation, &data).unwrap(), expected, "{}", bytes.escape_ascii());
        }
    }
}
