//! A name from a link was chosen by somebody else: a file of the user's that has it must not be replaced.

use crate::check::Findings;
use crate::human::Name;
use crate::metafile::MetafileOnDisk;
use crate::store::Records;
use crate::store::open::open_regular;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Looks what has the name of the data file. Nothing, or the very file that the link is of: `None`. Else why the
/// download cannot go there.
pub(super) fn look(metafile: &MetafileOnDisk, target: &Path, cancel: &AtomicBool) -> Option<String> {
    // What is not a regular file is refused by the download itself.
    let (file, metadata) = open_regular(target).ok()?;
    let layout = metafile.layout();
    let known = Records::from_environment().load(metafile.cascade_hash(), target, &file, layout);
    let right = known.is_some_and(|record| record.have.is_complete())
        || (metadata.len() == layout.length()
            && Findings::of(&file, metafile, false, &|_| {}, cancel).is_ok_and(|found| found.is_right()));
    let (path, name) = (Name(target), super::shell::quote(target));
    (!right).then(|| {
        format!(
            "{path} is there already and is not the file of the link; to have it replaced, add -o {name}, else choose \
             another name or folder with -o"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::create::{Source, default_block_size};
    use std::fs;

    #[test]
    fn only_the_right_file_may_have_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("data"), b"the data").unwrap();
        let source = Source::open(&at("data")).unwrap();
        let size = default_block_size(source.length());
        let metafile = source.describe(&at("x.cascade"), size, &|_| {}, &AtomicBool::new(false)).unwrap();
        let none = AtomicBool::new(false);
        assert_eq!(look(&metafile, &at("x"), &none), None);
        for (content, right) in
            [("the data", true), ("THE DATA", false), ("the data, and more", false), ("", false)]
        {
            fs::write(at("x"), content).unwrap();
            assert_eq!(look(&metafile, &at("x"), &none).is_none(), right, "{content}");
        }
    }
}
