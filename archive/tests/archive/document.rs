//! The section "Folders" of `docs/protocol.md`: what people implement from must be what the crate does.

use super::{file, folder, parse};
use cascade_archive::{Archive, Entry, Kind, Refused, Segment};
use cascade_format::FileHash;
use cascade_tests::hostile_archive as raw;

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");

/// The lines of the document's code block called `name`.
fn block(name: &str) -> &'static str {
    let (_, rest) = DOCUMENT.split_once(&format!("```text {name}\n")).expect(name);
    rest.split_once("```").expect(name).0
}

/// The bytes of a dump without its rows of zeroes, and where they begin.
fn dump(name: &str) -> (usize, Vec<u8>) {
    let (mut start, mut out) = (None, Vec::new());
    for line in block(name).lines() {
        let at = usize::from_str_radix(&line[..8], 16).unwrap();
        let start = *start.get_or_insert(at);
        out.resize(at - start, 0);
        out.extend(line[10..57].split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    (start.unwrap(), out)
}

fn example() -> Archive {
    let at = |mut entry: Entry, second: u64| {
        entry.mtime = 1_767_225_600 + second;
        entry
    };
    let run = Entry { kind: Kind::File { size: 10, executable: true }, ..file("docs/run", 0) };
    Archive::build(vec![
        at(folder("docs"), 0),
        at(file("docs/hello.txt", 15), 1),
        at(run, 2),
        at(folder("empty"), 3),
        at(super::link("latest", "docs/hello.txt"), 4),
        at(file("ä", 0), 5),
    ])
    .unwrap()
}

fn example_bytes() -> Vec<u8> {
    let archive = example();
    let mut out = Vec::new();
    for segment in archive.segments(0..archive.total_len()) {
        match segment {
            Segment::Made(bytes) => out.extend_from_slice(&bytes),
            Segment::Zero(len) => out.resize(out.len() + usize::try_from(len).unwrap(), 0),
            Segment::File { number: 1, .. } => out.extend_from_slice(b"hello, cascade\n"),
            Segment::File { .. } => out.extend_from_slice(b"#!/bin/sh\n"),
        }
    }
    out
}

#[test]
fn the_example_of_the_document_is_what_the_crate_writes() {
    let bytes = example_bytes();
    for name in ["folder-head", "folder-file", "folder-extended"] {
        let (start, dump) = dump(name);
        assert!(dump.len() > 300, "{name}");
        let written = &bytes[start..start + dump.len()];
        assert!(
            written == dump,
            "{name} differs at {:?}",
            written.iter().zip(&dump).position(|(a, b)| a != b)
        );
    }
    let says = format!("has {} bytes, and the file hash `{}`", bytes.len(), FileHash::of(&bytes));
    let document = DOCUMENT.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(document.contains(&says), "the document does not say that the archive {says}");
}

#[test]
fn the_example_of_the_document_is_what_the_crate_reads() {
    let (_, mut head) = dump("folder-head");
    head.resize(1024, 0);
    assert_eq!(parse(&head, 7168, 100), Ok(example()));
    let index = block("folder-index");
    assert!(index.len() > 100);
    assert!(String::from_utf8_lossy(&head).contains(index), "the index of the document is another one");
    assert_eq!(raw::comment(index.as_bytes()), head);
}

/// The lines of a cell: the text between backticks, `<U+202E>` for what cannot be shown.
fn lines(cell: &str) -> Vec<String> {
    let shown = cell.split('`').skip(1).step_by(2);
    let line = |shown: &str| {
        let Some((before, rest)) = shown.split_once("<U+") else { return shown.to_string() };
        let (code, after) = rest.split_once('>').unwrap();
        let character = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
        format!("{before}{character}{after}")
    };
    shown.map(line).collect()
}

#[test]
fn every_index_of_the_document_is_refused_as_it_says() {
    let (_, rest) = DOCUMENT.split_once("\n| refused lines | ").unwrap();
    let rows: Vec<&str> = rest.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 20, "{rows:?}");
    for row in rows {
        let (cell, why) = row.trim_matches('|').split_once(" | ").expect(row);
        let lines = lines(cell);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let head = raw::head_of(&lines);
        // Twins are found when all else is right.
        let refused = match parse(&head, 1 << 40, 100) {
            Err(Refused::Length { index, .. }) if index < 1 << 40 => parse(&head, index, 100),
            other => other,
        };
        assert_eq!(refused.expect_err(row).to_string(), why.trim(), "{row}");
    }
}
