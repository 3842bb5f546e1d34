//! Real trees: walked, archived to a file.

use cascade_archive::{Archive, Entry, Kind, Segment, order, seconds};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
