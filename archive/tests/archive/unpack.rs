//! The tools that people have unpack an archive without a warning, and find the tree that it was made of.

use super::{file, folder, tree};
use cascade_archive::limits::{MAX_PIECES_IN_A_ROW, PIECE_LEN};
use cascade_archive::{Archive, Entry, Kind, Segment};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Unpacks with Python, in the way that newer versions do by themselves. A warning is an error.
const UNPACK: &str = "import sys, tarfile
kind = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
with tarfile.open(sys.argv[1]) as archive: archive.extractall(sys.argv[2], **kind)";

/// Lists with Python.
const LIST: &str = "import sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    for entry in archive: print(entry.name)";

/// Each tool with its arguments to unpack, and to list, where ARCHIVE and FOLDER stand for the two.
const TOOLS: [(&str, &[&str], &[&str]); 3] = [
    ("tar", &["--extract", "--file", "ARCHIVE", "--directory", "FOLDER"], &["--list", "--file", "ARCHIVE"]),
    ("bsdtar", &["-x", "-f", "ARCHIVE", "-C", "FOLDER"], &["-t", "-f", "ARCHIVE"]),
    ("python3", &["-W", "error", "-c", UNPACK, "ARCHIVE", "FOLDER"], &["-W", "error", "-c", LIST, "ARCHIVE"]),
];

/// Runs a tool, which must succeed and not complain; `None` if it is not there.
fn run(tool: &str, arguments: &[&str], archive: &Path, folder: &Path) -> Option<String> {
    if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("skipped: {tool} is not installed");
        return None;
    }
    let mut command = Command::new(tool);
    for argument in arguments {
        match *argument {
            "ARCHIVE" => command.arg(archive),
            "FOLDER" => command.arg(folder),
            other => command.arg(other),
        };
    }
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    let [said, complaints] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && complaints.is_empty(), "{tool}: {} {complaints}", output.status);
    Some(said)
}

/// Unpacks `archive` with each tool that is there, and looks at what came of it.
fn unpack_with_each(archive: &Path, check: impl Fn(&Path)) {
    for (tool, arguments, _) in TOOLS {
        let folder = tempfile::tempdir().unwrap();
        if let Some(said) = run(tool, arguments, archive, folder.path()) {
            assert_eq!(said, "", "{tool} has something to say");
            check(folder.path());
        }
    }
}

/// Lists `archive` with each tool that is there, and looks at the names.
pub(crate) fn list_with_each(archive: &Path, check: impl Fn(&[&str])) {
    for (tool, _, arguments) in TOOLS {
        if let Some(list) = run(tool, arguments, archive, archive) {
            check(&list.lines().collect::<Vec<_>>());
        }
    }
}

#[test]
fn every_tool_finds_the_same_tree() {
    let (root, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::make(root.path());
    let archive = Archive::build(tree::walk(root.path())).unwrap();
    let file = out.path().join("folder.tar");
    tree::write(&archive, root.path(), &file);
    assert_eq!(fs::metadata(&file).unwrap().len(), archive.total_len());
    unpack_with_each(&file, |folder| tree::compare(root.path(), folder));
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
