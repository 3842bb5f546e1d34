//! Archives from outside: what is built is read again, what is hostile is refused, and tar unpacks it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test says what it skips")]

mod bounds;
mod document;
mod hostile;
mod million;
mod properties;
mod tree;
mod unpack;

use cascade_archive::{Archive, Entry, Kind, Parser, Refused, Segment};

/// A file of `size` bytes, not executable.
fn file(path: &str, size: u64) -> Entry {
    Entry { path: path.into(), kind: Kind::File { size, executable: false }, mtime: 1_700_000_000 }
}

fn folder(path: &str) -> Entry {
    Entry { path: path.into(), kind: Kind::Folder, mtime: 1_600_000_000 }
}

fn link(path: &str, target: &str) -> Entry {
    Entry { path: path.into(), kind: Kind::Link { target: target.into() }, mtime: 1_500_000_000 }
}

/// Bytes `from` to `from + len` of a made-up file: which of them depend on the entry's number.
fn content(number: u32, from: u64, len: u64) -> impl Iterator<Item = u8> {
    (from..from + len).map(move |at| at.wrapping_mul(31).wrapping_add(u64::from(number)).to_be_bytes()[7])
}

/// The bytes `range` of an archive whose files have the made-up content.
fn bytes(archive: &Archive, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    for segment in archive.segments(range) {
        assert!(segment.len() > 0, "an empty segment");
        match segment {
            Segment::Made(made) => out.extend_from_slice(&made),
            Segment::Zero(len) => out.resize(out.len() + usize::try_from(len).unwrap(), 0),
            Segment::File { number, entry, offset, len } => {
                assert_eq!(archive.entry(number).as_ref(), Some(&entry));
                assert!(offset + len <= entry.kind.size(), "{offset} {len} of {entry:?}");
                out.extend(content(number, offset, len));
            }
        }
    }
    out
}

/// Reads the head of an archive in chunks of `chunk` bytes.
fn parse(bytes: &[u8], total_len: u64, chunk: usize) -> Result<Archive, Refused> {
    let mut parser = Parser::new(total_len);
    for part in bytes.chunks(chunk) {
        parser.push(part)?;
        if parser.is_complete() {
            break;
        }
    }
    parser.finish()
}
