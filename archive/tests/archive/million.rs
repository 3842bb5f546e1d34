//! A million files, as a person may try them: `cargo test --release -p cascade-archive -- --ignored --nocapture`.

use super::tree;
use cascade_archive::{Archive, Builder, Entry, Kind, Parser};
use std::fs;
use std::io::Read;

/// Memory that this process has taken at most, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn million(name: impl Fn(u32) -> String) -> Archive {
    let mut builder = Builder::default();
    let mut take = |path, kind| builder.push(&Entry { path, kind, mtime: 1_700_000_000 }).unwrap();
    for folder in 0..1000 {
        let path = format!("{folder:03}");
        take(path.clone(), Kind::Folder);
        for file in 0..1000 {
            let kind = Kind::File { size: 0, executable: false };
            take(format!("{path}/{}", name(folder * 1000 + file)), kind);
        }
    }
    builder.finish().unwrap()
}

/// Names of 60 bytes make an index that is longer than what may stand in a row.
#[test]
#[ignore = "writes an archive of 600 MB and takes a minute"]
fn a_million_files_take_little_memory_and_every_tool_lists_them() {
    let archive = million(|number| format!("a-file-with-a-name-of-sixty-bytes-{number:022}.txt"));
    eprintln!("built: an index of {} bytes, {} KiB of memory at the peak", archive.head_len(), peak());
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("folder.tar");
    tree::write(&archive, out.path(), &file);
    let total = archive.total_len();
    let mut parser = Parser::new(total);
    let mut reader = fs::File::open(&file).unwrap();
    let mut chunk = vec![0; 64 << 10];
    while !parser.is_complete() {
        let len = reader.read(&mut chunk).unwrap();
        parser.push(&chunk[..len]).unwrap();
    }
    let again = parser.finish().unwrap();
    assert!(again == archive);
    // Two archives are in memory.
    eprintln!("read again: {} KiB at the peak", peak());
    assert!(peak() < 256 << 10, "{} KiB", peak());
    cascade_tests::unpack::list_with_each(&file, |names| {
        assert_eq!(names.iter().filter(|name| !name.starts_with('.')).count(), 1_001_000);
    });
}
