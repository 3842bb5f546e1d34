//! The index of a folder's archive: somebody else made it, and files are written by it.

use crate::{Seed, assert_one_line};
use cascade_archive::{Archive, Entry, Kind, Parser, Refused, Segment};
use std::collections::BTreeSet;

/// Reads `data` as the lines of an index, with a head around them that is right; behind a zero byte, as the
/// first bytes of an archive.
///
/// # Panics
/// An index is accepted against the rule, refused against it, or read as another tree; or an archive that is
/// accepted does not begin with the bytes that were read, or its segments do not fit together.
pub fn run(data: &[u8]) {
    if let Some(start) = data.strip_prefix(&[0]) {
        if let Ok(archive) = parse(start) {
            check_accepted(&archive, start);
        }
        return;
    }
    let head = head(data);
    let expected = read(data);
    match parse(&head) {
        Ok(archive) => {
            if let Some(expected) = expected.tree {
                let entries: Vec<Entry> = archive.entries().collect();
                assert_eq!(entries, expected, "read as another tree");
            } else {
                assert!(expected.unsure, "accepted a tree that the protocol forbids");
            }
            check_accepted(&archive, &head);
        }
        Err(error) => {
            assert!(expected.tree.is_none() || expected.unsure, "refused a legal tree: {error}");
            assert_one_line(&error.to_string());
        }
    }
}

/// Parses a head, for an archive of just the length that its index says.
fn parse(start: &[u8]) -> Result<Archive, Refused> {
    let read = |total_len| {
        let mut parser = Parser::new(total_len);
        // Chunks that are no power of two.
        start.chunks(99).try_for_each(|chunk| parser.push(chunk))?;
        parser.finish()
    };
    match read(i64::MAX.unsigned_abs()) {
        Err(Refused::Length { index, .. }) => read(index),
        other => other,
    }
}

fn check_accepted(archive: &Archive, start: &[u8]) {
    let total = archive.total_len();
    let (mut at, mut head, mut files) = (0, Vec::new(), 0);
    for segment in archive.segments(0..total) {
        match &segment {
            Segment::Made(bytes) if at < archive.head_len() => head.extend_from_slice(bytes),
            Segment::File { entry, offset, len, .. } => {
                assert_eq!((*offset, *len), (0, entry.kind.size()), "a file in parts");
                files += 1;
            }
            Segment::Made(_) | Segment::Zero(_) => {}
        }
        at += segment.len();
    }
    assert_eq!(at, total, "segments do not fill the archive");
    assert_eq!(start.get(..head.len()), Some(head.as_slice()), "the head is another one");
    assert_eq!(files, archive.entries().filter(|entry| entry.kind.size() > 0).count());
    // A range that begins and ends anywhere has the lengths of its part.
    let part = total / 3..total / 3 * 2 + 1;
    let lens: u64 = archive.segments(part.clone()).map(|segment| segment.len()).sum();
    assert_eq!(lens, part.end - part.start);
    for (number, entry) in (0..).zip(archive.entries()).step_by(7) {
        assert_eq!(archive.entry(number), Some(entry));
    }
}

/// What the rules say of an index.
struct Expected {
    /// The tree, if it is legal.
    tree: Option<Vec<Entry>>,
    /// Whether a rule that is not written here could say otherwise.
    unsure: bool,
}

/// The rules of the protocol's section "Folders", but for twins that are not ASCII and for sums that are near
/// the longest file.
fn read(lines: &[u8]) -> Expected {
    let unsure = lines.iter().any(|byte| !byte.is_ascii());
    let Ok(text) = str::from_utf8(lines) else { return Expected { tree: None, unsure: false } };
    let (mut entries, mut folders, mut folded) = (Vec::<Entry>::new(), Vec::<&str>::new(), BTreeSet::new());
    let mut sum = 0u128;
    let illegal = Expected { tree: None, unsure: false };
    for line in text.split_inclusive('\n') {
        let Some((depth, name, kind, mtime)) = line.strip_suffix('\n').and_then(fields) else {
            return illegal;
        };
        if depth > folders.len() || !name_is_legal(name) || mtime >= 1 << 33 {
            return illegal;
        }
        folders.truncate(depth);
        let path = folders.iter().chain([&name]).copied().collect::<Vec<_>>().join("/");
        match &kind {
            Kind::Folder => folders.push(name),
            Kind::Link { target } if !target_is_legal(target, depth) => return illegal,
            Kind::Link { .. } => {}
            Kind::File { size, .. } => sum += u128::from(*size),
        }
        let before = entries.last().map(|entry| entry.path.split('/'));
        let sorted = before.is_none_or(|before| before.lt(path.split('/')));
        if !sorted || path.len() > 4096 || !folded.insert(path.to_ascii_lowercase()) {
            return illegal;
        }
        entries.push(Entry { path, kind, mtime });
    }
    Expected { tree: (sum < 1 << 63).then_some(entries), unsure: unsure || sum >> 62 == 1 }
}

/// Depth, name, kind and time of a line.
fn fields(line: &str) -> Option<(usize, &str, Kind, u64)> {
    let number = |digits: &str| digits.parse::<u64>().ok().filter(|number| number.to_string() == digits);
    let parts: Vec<&str> = line.splitn(4, ' ').collect();
    let &[depth, kind, mtime, rest] = parts.as_slice() else { return None };
    let (name, kind) = match kind {
        "d" => (rest, Kind::Folder),
        "l" => {
            let (name, target) = rest.split_once('/')?;
            (name, Kind::Link { target: target.into() })
        }
        "f" | "x" => {
            let (size, name) = rest.split_once(' ')?;
            (name, Kind::File { size: number(size)?, executable: kind == "x" })
        }
        _ => return None,
    };
    Some((usize::try_from(number(depth)?).ok()?, name, kind, number(mtime)?))
}

/// Characters that must not stand in a name or a target.
fn hides(character: char) -> bool {
    let code = u32::from(character);
    let ranges = [
        (0x00, 0x1f),
        (0x7f, 0x9f),
        (0x200b, 0x200f),
        (0x2028, 0x202e),
        (0x2060, 0x2064),
        (0x2066, 0x206f),
        (0xe0000, 0xe007f),
    ];
    ranges.iter().any(|(first, last)| (*first..=*last).contains(&code))
        || [0xad, 0x34f, 0x61c, 0x180e, 0xfeff].contains(&code)
}

fn name_is_legal(name: &str) -> bool {
    let leads = name.is_empty() || name == "." || name == ".." || name.contains('/');
    !leads && name.len() <= 255 && !name.chars().any(hides)
}

fn target_is_legal(target: &str, depth: usize) -> bool {
    let steps: Vec<&str> = target.split('/').filter(|step| !step.is_empty() && *step != ".").collect();
    let up = steps.iter().take_while(|step| **step == "..").count();
    let only_down = steps.iter().skip(up).all(|step| *step != "..");
    let length = (1..=4095).contains(&target.len());
    length && !target.starts_with('/') && up <= depth && only_down && !target.chars().any(hides)
}

/// A head of one piece around `lines`.
fn head(lines: &[u8]) -> Vec<u8> {
    let count = lines.iter().filter(|byte| **byte == b'\n').count();
    let first = format!("cascade-folder 1 entries {count:010} bytes {:010}\n", lines.len());
    let rest = " comment=".len() + first.len() + lines.len() + "\n".len();
    let record_len = (rest..).find(|len| rest + len.to_string().len() == *len).unwrap_or(0);
    let record = [format!("{record_len} comment={first}").as_bytes(), lines, b"\n"].concat();
    let mut out = global_header(record.len());
    out.extend_from_slice(&record);
    out.resize(out.len().next_multiple_of(512), 0);
    if count == 0 && lines.is_empty() {
        out.extend_from_slice(&shared_folder());
    }
    out
}

fn global_header(size: usize) -> Vec<u8> {
    unit("././@PaxHeader", "0000644", size, b"g")
}

/// The header that follows the index of an empty folder.
fn shared_folder() -> Vec<u8> {
    unit("./", "0000755", 0, b"5")
}

fn unit(name: &str, mode: &str, size: usize, kind: &[u8]) -> Vec<u8> {
    let front = format!("{name:\0<100}{mode}\x000000000\x000000000\0{size:011o}\x0000000000000\0");
    let back = [kind, &[0; 100], b"ustar\x0000", &[0; 64], b"0000000\x000000000\0", &[0; 167]].concat();
    let sum: u32 = front.bytes().chain(back.iter().copied()).map(u32::from).sum();
    [front.as_bytes(), format!("{:06o}\0 ", sum + 8 * 32).as_bytes(), &back].concat()
}

/// Sound indexes, and what can be wrong with one.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let tree = "0 d 1700000000 docs\n1 f 1700000000 5 a.txt\n1 x 1 513 run\n1 l 0 up/../docs/a.txt\n0 f 7 0 empty\n0 d 0 ä\n1 d 0 b\n2 f 0 1 c\n1 f 0 0 é\n";
    let lines = |text: &str| text.as_bytes().to_vec();
    let raw = |head: &[u8]| [&[0], head].concat();
    let long = "n".repeat(256);
    vec![
        ("sound", lines(tree)),
        ("no-entry", Vec::new()),
        ("sound-head", raw(&head(tree.as_bytes()))),
        ("sound-head-of-no-entry", raw(&head(b""))),
        ("head-cut", raw(head(tree.as_bytes()).get(..600).unwrap_or_default())),
        ("many-folders", lines(&(0..130).map(|n| format!("{n} d 0 a\n")).collect::<String>())),
        ("many-files", lines(&(0..200).map(|n| format!("0 f 0 {n} f{n:03}\n")).collect::<String>())),
        ("long-names", lines(&format!("0 d 0 {0}\n1 f 0 9 {0}\n", &long[1..]))),
        ("name-too-long", lines(&format!("0 f 0 0 {long}\n"))),
        ("large-files", lines("0 f 0 8589934591 a\n0 f 0 8589934592 b\n")),
        ("larger-than-any", lines("0 f 0 18446744073709551615 a\n0 f 0 18446744073709551615 b\n")),
        ("absolute", lines("0 f 0 0 /etc/passwd\n")),
        ("parent", lines("0 d 0 ..\n1 f 0 0 a\n")),
        ("twice", lines("0 f 0 0 a\n0 f 0 0 a\n")),
        ("file-and-folder", lines("0 f 0 0 a\n0 d 0 a\n")),
        ("below-a-link", lines("0 l 0 a/b\n1 f 0 0 c\n")),
        ("folder-missing", lines("0 d 0 a\n2 f 0 0 b\n")),
        ("wrong-order", lines("0 d 0 b\n0 d 0 a\n")),
        ("case-twins", lines("0 d 0 A\n1 f 0 0 x\n0 d 0 a\n1 f 0 0 X\n")),
        ("unicode-twins", lines("0 f 0 0 e\u{301}\n0 f 0 0 é\n")),
        ("link-leaves", lines("0 l 0 a/..\n")),
        ("link-climbs", lines("0 d 0 deep\n1 l 0 a/..\n1 l 0 b/a/..\n")),
        ("link-is-absolute", lines("0 l 0 a//etc\n")),
        ("link-without-target", lines("0 l 0 a/\n")),
        ("control-character", lines("0 f 0 0 a\u{1b}[2J\n")),
        ("direction", lines("0 f 0 0 \u{202e}gpj.exe\n")),
        ("invisible", lines("0 f 0 0 a\u{200b}\n")),
        ("zero-byte", lines("0 f 0 0 a\0b\n")),
        ("device", lines("0 c 0 1 3 null\n")),
        ("number-with-zero", lines("0 f 0 05 a\n")),
        ("time-too-late", lines("0 d 8589934592 a\n")),
        ("line-without-end", lines("0 d 0 a")),
        ("not-utf-8", b"0 f 0 0 \xff\n".to_vec()),
    ]
}
