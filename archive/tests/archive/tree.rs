//! Real trees: walked, archived to a file, compared.

use cascade_archive::{Archive, Entry, Kind, Segment, order, seconds};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A tree with everything that an archive takes.
pub(crate) fn make(root: &Path) {
    let long = "n".repeat(120);
    let deep = format!("{0}/{0}/{0}", "d".repeat(90));
    for folder in ["empty", "bin", "ünïcødé/日本", &deep] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (path, len) in [
        ("empty file", 0),
        ("README", 1),
        ("bin/run", 512),
        ("bin/unit and one", 513),
        ("large", 3_000_000),
        ("-rf", 5),
        ("a\\b", 5),
        ("ünïcødé/日本/👍 é", 700),
        (&long, 7),
        (&format!("bin/{long}"), 8),
        (&format!("{deep}/file"), 9),
        (&format!("{deep}/{long}"), 10),
    ] {
        let bytes: Vec<u8> =
            (0..len).map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        fs::write(root.join(path), bytes).unwrap();
    }
    fs::set_permissions(root.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    for (path, target) in [
        ("link", "README"),
        ("dangling", "nowhere/at all"),
        ("bin/up", "../README"),
        ("bin/folder", ".."),
        ("ünïcødé/link", "日本/👍 é"),
        (&format!("{deep}/far"), &format!("../../../{deep}/{long}")),
    ] {
        symlink(target, root.join(path)).unwrap();
    }
    // Deepest first: what is made in a folder changes its time.
    for (number, entry) in (0..).zip(walk(root).iter().rev()) {
        if !matches!(entry.kind, Kind::Link { .. }) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + number * 86_400);
            File::open(root.join(&entry.path)).unwrap().set_modified(time).unwrap();
        }
    }
}

/// Everything below `root`, in the order of an archive. The times of links are all the same: not every tool sets
/// them.
pub(crate) fn walk(root: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let at = root.join(&path);
            let metadata = at.symlink_metadata().unwrap();
            let mut mtime = seconds(metadata.mtime());
            let kind = if metadata.is_dir() {
                folders.push(path.clone());
                Kind::Folder
            } else if metadata.is_symlink() {
                mtime = 0;
                Kind::Link { target: fs::read_link(at).unwrap().into_os_string().into_string().unwrap() }
            } else {
                assert!(metadata.mode() & 0o777 == 0o644 || metadata.mode() & 0o777 == 0o755, "{path}");
                Kind::File { size: metadata.len(), executable: metadata.mode() & 0o100 != 0 }
            };
            entries.push(Entry { path, kind, mtime });
        }
    }
    entries.sort_by(|a, b| order(&a.path, &b.path));
    entries
}

/// Writes an archive of the files below `root`.
pub(crate) fn write(archive: &Archive, root: &Path, out: &Path) {
    let mut out = io::BufWriter::new(File::create(out).unwrap());
    for segment in archive.segments(0..archive.total_len()) {
        match segment {
            Segment::Made(bytes) => out.write_all(&bytes).unwrap(),
            Segment::Zero(len) => drop(io::copy(&mut io::repeat(0).take(len), &mut out).unwrap()),
            Segment::File { entry, offset, len, .. } => {
                let mut file = File::open(root.join(entry.path)).unwrap();
                file.seek(SeekFrom::Start(offset)).unwrap();
                assert_eq!(io::copy(&mut file.take(len), &mut out).unwrap(), len);
            }
        }
    }
    out.flush().unwrap();
}

/// Compares two trees: names, kinds, times, the executable bit, content.
pub(crate) fn compare(expected: &Path, found: &Path) {
    let entries = walk(expected);
    assert_eq!(walk(found), entries);
    for entry in entries {
        if let Kind::File { .. } = entry.kind {
            let read = |root: &Path| fs::read(root.join(&entry.path)).unwrap();
            assert!(read(expected) == read(found), "{} has other content", entry.path);
        }
    }
}
