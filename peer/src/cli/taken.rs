//! A name from a link was chosen by somebody else: a file of the user's that has it must not be replaced.

use crate::check::Findings;
use crate::folder::{Special, Tree};
use crate::ground::Ground;
use crate::ground::open::open_regular;
use crate::human::Name;
use crate::metafile::MetafileOnDisk;
use crate::store::Records;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Looks what has the name of the data file. Nothing, or the very file or folder that the link is of: `None`. Else
/// why the download cannot go there.
pub(super) fn look(metafile: &MetafileOnDisk, target: &Path, cancel: &AtomicBool) -> Option<String> {
    let path = Name(target);
    if target.is_dir() {
        // A folder that cannot be shared is not the one of the link.
        let tree = Tree::walk(target, Special::Skip, cancel);
        let right = tree.is_ok_and(|tree| is_right(metafile, target, &tree, cancel));
        return (!right).then(|| {
            format!(
                "{path} is there already and is not the folder of the link; if it is an earlier version, bring it up to \
                 date with --update, else choose another name or folder with -o"
            )
        });
    }
    // What is not a regular file is refused by the download itself.
    let (file, _) = open_regular(target).ok()?;
    let name = super::shell::quote(target);
    (!is_right(metafile, target, &file, cancel)).then(|| {
        format!(
            "{path} is there already and is not the file of the link; to have it replaced, add -o {name}, else choose \
             another name or folder with -o"
        )
    })
}

/// Whether `data`, which is at `path`, is what `metafile` describes: by the record of an earlier run, or by its bytes.
fn is_right(metafile: &MetafileOnDisk, path: &Path, data: &dyn Ground, cancel: &AtomicBool) -> bool {
    let layout = metafile.layout();
    if data.length().ok() != Some(layout.length()) {
        return false;
    }
    let known = data
        .look()
        .ok()
        .and_then(|stamp| Records::from_environment().load(metafile.cascade_hash(), path, stamp, layout));
    known.is_some_and(|record| record.have.is_complete())
        || Findings::of(data, metafile, false, &|_| {}, cancel).is_ok_and(|found| found.is_right())
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
        let source = Source::open(&at("data"), Special::Refuse, &AtomicBool::new(false)).unwrap();
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

    #[test]
    fn only_the_right_folder_may_have_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let (at, none) = (|name: &str| folder.path().join(name), AtomicBool::new(false));
        fs::create_dir(at("shared")).unwrap();
        fs::write(at("shared/one"), b"one").unwrap();
        let source = Source::open(&at("shared"), Special::Refuse, &none).unwrap();
        let size = default_block_size(source.length());
        let metafile = source.describe(&at("x.cascade"), size, &|_| {}, &none).unwrap();
        assert_eq!(look(&metafile, &at("shared"), &none), None);
        fs::create_dir(at("x")).unwrap();
        assert!(look(&metafile, &at("x"), &none).is_some_and(|why| why.contains("not the folder")));
        fs::write(at("shared/one"), b"two").unwrap();
        assert!(look(&metafile, &at("shared"), &none).is_some());
    }
}
