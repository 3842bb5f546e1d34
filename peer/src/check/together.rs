//! The blocks and the whole file in one pass, where two hashes of the same bytes cost little more than one.

use super::check;
use crate::create::{PassError, Way, hash_all};
use crate::ground::Ground;
use crate::metafile::MetafileOnDisk;
use cascade_format::{BlockHash, FileHash, Have};
use std::cell::Cell;
use std::io;
use std::sync::atomic::AtomicBool;

/// Which blocks are right and, if all are, the hash of the whole file. From the first wrong block on only blocks
/// are checked, on all cores: then nobody needs the other hash.
pub(super) fn check_together(
    data: &dyn Ground,
    metafile: &MetafileOnDisk,
    progress: &(dyn Fn(u64) + Sync),
    cancel: &AtomicBool,
) -> io::Result<(Have, Option<FileHash>)> {
    let layout = metafile.layout();
    let mut have = Have::none(layout);
    let mut blocks = layout.iter();
    let (mut wrong, told) = (None, Cell::new(0));
    let compare = |hash: BlockHash| {
        let Some(block) = blocks.next() else { return Ok(()) };
        if metafile.hash_of(block)? == hash {
            have.insert(block);
            return Ok(());
        }
        wrong = Some(block);
        Err(io::Error::other("a wrong block"))
    };
    let tell = |bytes| {
        told.set(told.get() + bytes);
        progress(bytes);
    };
    let result = hash_all(Way::Together, data, layout, compare, &tell, cancel);
    match (result, wrong) {
        (Ok(hash), _) => Ok((have, Some(hash))),
        (Err(PassError::Write(_)), Some(wrong)) => {
            progress(layout.range(wrong).end.saturating_sub(told.get()));
            let rest = wrong.number() + 1..layout.blocks();
            let right = check(data, metafile, rest.clone(), progress, cancel)?;
            let right = rest.filter_map(|number| layout.block(number)).filter(|block| right.has(*block));
            right.for_each(|block| {
                have.insert(block);
            });
            Ok((have, None))
        }
        (Err(PassError::Short), _) => Err(super::became_shorter()),
        (Err(PassError::Cancelled), _) => Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
        (Err(PassError::Read(error) | PassError::Write(error)), _) => Err(error),
    }
}
