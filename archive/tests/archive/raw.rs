//! Heads of archives written from the protocol's text, not with the crate: a mistake there must not cancel itself
//! out here.

/// A tar header with the given name, kind and size.
pub(crate) fn unit(name: &str, kind: u8, size: usize) -> Vec<u8> {
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
pub(crate) fn comment(text: &[u8]) -> Vec<u8> {
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

/// An index with these lines.
pub(crate) fn index(entries: usize, lines: &[u8]) -> Vec<u8> {
    let first = format!("cascade-folder 1 entries {entries:010} bytes {:010}\n", lines.len());
    [first.as_bytes(), lines].concat()
}

/// The head of an archive with these lines in its index, of less than one piece.
pub(crate) fn head(lines: &[&str]) -> Vec<u8> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    comment(&index(lines.len(), text.as_bytes()))
}
