//! The tools that people have unpack an archive without a warning, and find the tree that it was made of.

use super::{file, folder, tree};
use cascade_archive::limits::{MAX_PIECES_IN_A_ROW, PIECE_LEN};
use cascade_archive::{Archive, Entry, Kind, Segment};
use cascade_tests::tree::assert_same;
use cascade_tests::unpack::{list_with_each, unpack_with_each};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

#[test]
fn every_tool_finds_the_same_tree() {
    let (root, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    cascade_tests::tree::make(root.path());
    let archive = Archive::build(tree::walk(root.path())).unwrap();
    let file = out.path().join("folder.tar");
    tree::write(&archive, root.path(), &file);
    assert_eq!(fs::metadata(&file).unwrap().len(), archive.total_len());
    unpack_with_each(&file, |folder| assert_same(root.path(), folder));
}

#[test]
fn every_tool_takes_an_empty_folder() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("folder.tar");
    tree::write(&Archive::build(Vec::new()).unwrap(), out.path(), &file);
    unpack_with_each(&file, |folder| assert!(tree::walk(folder).is_empty()));
}

/// An index of more pieces than may stand in a row, which are cut within a character: they are cut by bytes.
#[test]
fn every_tool_takes_a_long_index() {
    let target = "日".repeat(1300);
    let links = (0..8000)
        .map(|n| Entry { path: format!("{n:04}"), kind: Kind::Link { target: target.clone() }, mtime: 0 })
        .collect();
    let archive = Archive::build(links).unwrap();
    assert!(archive.head_len() > (MAX_PIECES_IN_A_ROW + 1) as u64 * PIECE_LEN as u64);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("folder.tar");
    tree::write(&archive, out.path(), &file);
    list_with_each(&file, |names| {
        // Each tool writes the shared folder, which stands between two rows of pieces, in its own way.
        let expected: Vec<String> = (0..8000).map(|n| format!("{n:04}")).collect();
        assert!(matches!(names[0], "./" | ".") && names[1..] == expected, "other names");
    });
}

/// The archive is a file with holes, and no tool reads the content.
#[test]
fn every_tool_takes_a_file_of_more_than_8_gib() {
    let names = ["a folder/of 8 GiB less a byte", "a folder/of 8 GiB", "behind"];
    let sizes = [(1 << 33) - 1, 1 << 33, 1];
    let mut entries: Vec<Entry> = names.iter().zip(sizes).map(|(name, size)| file(name, size)).collect();
    entries.push(folder("a folder"));
    let archive = Archive::build(entries).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder.tar");
    let out = File::create(&path).unwrap();
    out.set_len(archive.total_len()).unwrap();
    let mut at = 0;
    for segment in archive.segments(0..archive.total_len()) {
        if let Segment::Made(bytes) = &segment {
            out.write_all_at(bytes, at).unwrap();
        }
        at += segment.len();
    }
    list_with_each(&path, |found| {
        let found: Vec<&str> = found.iter().map(|name| name.trim_end_matches('/')).collect();
        assert_eq!(found, ["a folder", names[1], names[0], names[2]]);
    });
}
