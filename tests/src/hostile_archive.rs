//! Archives of folders written from the protocol's text, not with the crate: what an honest peer never makes, and what
//! it must make.

use crate::cascade_file::TestFile;

/// A tar header with the given name, kind and size.
#[must_use]
pub fn unit(name: &str, kind: u8, size: usize) -> Vec<u8> {
    let mut unit =
        format!("{name:\0<100}0000644\x000000000\x000000000\0{size:011o}\x0000000000000\0        ")
            .into_bytes();
    unit.push(kind);
    unit.resize(257, 0);
    unit.extend_from_slice(b"ustar\x0000");
    unit.resize(329, 0);
    unit.extend_from_slice(b"0000000\x000000000\0");
    unit.resize(512, 0);
    let sum: u32 = unit.iter().map(|byte| u32::from(*byte)).sum();
    unit[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    unit
}

/// A pax global header with a comment.
#[must_use]
pub fn comment(text: &[u8]) -> Vec<u8> {
    let mut len = text.len();
    while len.to_string().len() + " comment=\n".len() + text.len() != len {
        len += 1;
    }
    let mut out = unit("././@PaxHeader", b'g', len);
    out.extend_from_slice(format!("{len} comment=").as_bytes());
    out.extend_from_slice(text);
    out.push(b'\n');
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// An index with these lines, which says that it has this number of entries.
#[must_use]
pub fn index(entries: usize, lines: &[u8]) -> Vec<u8> {
    let first = format!("cascade-folder 1 entries {entries:010} bytes {:010}\n", lines.len());
    [first.as_bytes(), lines].concat()
}

/// The head of an archive with these lines in its index, of less than one piece.
#[must_use]
pub fn head_of(lines: &[&str]) -> Vec<u8> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    comment(&index(lines.len(), text.as_bytes()))
}

/// The first line of an index, whatever it says, the other lines, and what makes them the head of an archive.
#[must_use]
pub fn head(entries: usize, bytes: usize, lines: &str) -> Vec<u8> {
    comment(format!("cascade-folder 1 entries {entries:010} bytes {bytes:010}\n{lines}").as_bytes())
}

/// An archive with these lines in its index, and room for its entries.
#[must_use]
pub fn archive(lines: &[&str]) -> Vec<u8> {
    let mut bytes = head_of(lines);
    bytes.resize(bytes.len() + 512 * lines.len() + 1024, 0);
    bytes
}

/// A file of these bytes, called `photos`, in blocks of a size that cuts heads.
#[must_use]
pub fn file(bytes: Vec<u8>) -> TestFile {
    TestFile::of("photos", bytes, 300)
}
