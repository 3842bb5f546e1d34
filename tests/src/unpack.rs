//! The tools that people have to unpack archives.

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

/// Unpacks `archive` with each tool that is there, none of which may say anything, and looks at what came of it.
pub fn unpack_with_each(archive: &Path, check: impl Fn(&Path)) {
    for (tool, arguments, _) in TOOLS {
        let folder = tempfile::tempdir().unwrap();
        if let Some(said) = run(tool, arguments, archive, folder.path()) {
            assert_eq!(said, "", "{tool} has something to say");
            check(folder.path());
        }
    }
}

/// Lists `archive` with each tool that is there, and looks at the names.
pub fn list_with_each(archive: &Path, check: impl Fn(&[&str])) {
    for (tool, _, arguments) in TOOLS {
        if let Some(list) = run(tool, arguments, archive, archive) {
            check(&list.lines().collect::<Vec<_>>());
        }
    }
}

/// Runs a tool, which must succeed and not complain; `None` if it is not there.
fn run(tool: &str, arguments: &[&str], archive: &Path, folder: &Path) -> Option<String> {
    if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
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
