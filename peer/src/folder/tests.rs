use super::*;
use crate::ground::{Ground, Guarded};
use cascade_archive::{Archive, Kind, Segment};
use cascade_format::Layout;
use std::fs;
use std::io::IoSlice;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

mod names;
mod racing;

static NEVER: AtomicBool = AtomicBool::new(false);

fn walk(path: &Path) -> Result<Tree, FolderError> {
    Tree::walk(path, Special::Refuse, &NEVER)
}

/// A folder with all that one may have.
fn sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for folder in ["a/b/c", "empty", "a b", "ü"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for (path, len) in [("a/file", 700), ("a/b/c/large", 300_000), ("none", 0), ("a-b", 512), ("ü/é", 513)]
    {
        let bytes: Vec<u8> =
            (0..len).map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        fs::write(at(path), bytes).unwrap();
    }
    fs::set_permissions(at("a-b"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../file", at("a/b/link")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    dir
}

/// The bytes of an archive, made the plain way.
fn plain(archive: &Archive, root: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for segment in archive.segments(0..archive.total_len()) {
        match segment {
            Segment::Made(made) => bytes.extend_from_slice(&made),
            Segment::Zero(len) => bytes.resize(bytes.len() + usize::try_from(len).unwrap(), 0),
            Segment::File { entry, offset, .. } => {
                assert_eq!(offset, 0);
                bytes.extend(fs::read(root.join(entry.path)).unwrap());
            }
        }
    }
    bytes
}

#[test]
fn a_walk_finds_everything_in_the_order_of_the_archive() {
    let dir = sample();
    let tree = walk(dir.path()).unwrap();
    let found: Vec<_> = tree.archive().entries().map(|entry| (entry.path, entry.kind)).collect();
    let file = |size, executable| Kind::File { size, executable };
    let link = |target: &str| Kind::Link { target: target.into() };
    let expected = [
        ("a", Kind::Folder),
        ("a/b", Kind::Folder),
        ("a/b/c", Kind::Folder),
        ("a/b/c/large", file(300_000, false)),
        ("a/b/link", link("../file")),
        ("a/file", file(700, false)),
        ("a b", Kind::Folder),
        ("a-b", file(512, true)),
        ("dangling", link("nowhere")),
        ("empty", Kind::Folder),
        ("none", file(0, false)),
        ("ü", Kind::Folder),
        ("ü/é", file(513, false)),
    ];
    assert_eq!(found, expected.map(|(path, kind)| (path.to_owned(), kind)));
}

#[test]
fn any_range_has_the_bytes_of_the_archive() {
    let dir = sample();
    let tree = walk(dir.path()).unwrap();
    let bytes = plain(tree.archive(), dir.path());
    assert_eq!(tree.length().unwrap(), bytes.len() as u64);
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..300 {
        let start = random.usize(..bytes.len());
        let end = random.usize(start..=bytes.len()).min(start + random.usize(..5000));
        let mut read = vec![7; end - start];
        tree.fill(&mut read, start as u64).unwrap();
        assert!(read == bytes[start..end], "{start}..{end}");
        if let Some(run) = tree.run_at(start as u64) {
            let mut one = [0];
            run.file().fill(&mut one, run.offset).unwrap();
            assert_eq!(one[0], bytes[start]);
        }
    }
    let mut all = vec![0; bytes.len()];
    tree.fill(&mut all, 0).unwrap();
    assert!(all == bytes);
    let error = tree.fill(&mut [0; 2], bytes.len() as u64 - 1).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

/// The place of a file's first byte in the archive.
fn place(tree: &Tree, path: &str) -> u64 {
    let mut at = 0;
    for segment in tree.archive().segments(0..tree.archive().total_len()) {
        if matches!(&segment, Segment::File { entry, .. } if entry.path == path) {
            return at;
        }
        at += segment.len();
    }
    panic!("no {path}")
}

#[test]
fn a_file_that_is_not_what_it_was_is_an_error_that_names_it() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("bytes", |path| fs::write(path, vec![1; 700]).unwrap()),
        ("length", |path| fs::write(path, "short").unwrap()),
        ("gone", |path| fs::remove_file(path).unwrap()),
        ("a link", |path| {
            fs::rename(path, path.with_file_name("moved")).unwrap();
            symlink("moved", path).unwrap();
        }),
        ("another", |path| {
            fs::rename(path, path.with_file_name("moved")).unwrap();
            fs::copy(path.with_file_name("moved"), path).unwrap();
        }),
        ("a pipe", |path| {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            fs::remove_file(path).unwrap();
            mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        }),
    ];
    for (what, change) in changes {
        for opened_before in [false, true] {
            let dir = sample();
            let path = dir.path().join("a/file");
            fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
            let tree = walk(dir.path()).unwrap();
            let stamp = tree.look().unwrap();
            let at = place(&tree, "a/file");
            if opened_before {
                tree.fill(&mut [0; 7], at).unwrap();
            }
            change(&path);
            let read = tree.fill(&mut [0; 7], at);
            // An open file stays what it is, whatever has its name: then its bytes are right.
            if let Err(error) = read {
                assert_eq!(changed(&error).unwrap().0, path, "{what}");
                assert!(!tree.looks_like(&stamp));
                assert_eq!(tree.first_changed(), Some(path.clone()));
                assert!(tree.run_at(at).is_none(), "{what}");
            } else {
                assert!(opened_before && matches!(what, "another" | "a link"), "{what}");
            }
            tree.fill(&mut [0; 7], place(&tree, "a-b")).unwrap();
            // The time of a change is in whole ticks of a clock: what was renamed moves it, too.
            let again = tree.look().unwrap();
            assert_ne!(again, stamp, "{what}");
            assert!(tree.looks_like(&again));
            assert!(matches!(tree.check_unchanged(Special::Skip, &NEVER), Err(FolderError::Changed(_))));
        }
    }
}

#[test]
fn a_folder_that_was_replaced_by_a_link_leads_nowhere() {
    let (dir, outside) = (sample(), sample());
    let tree = walk(dir.path()).unwrap();
    fs::rename(dir.path().join("a"), dir.path().join("away")).unwrap();
    symlink(outside.path().join("a"), dir.path().join("a")).unwrap();
    let error = tree.fill(&mut [0; 7], place(&tree, "a/file")).unwrap_err();
    assert!(changed(&error).is_some(), "{error}");
}

#[test]
fn a_look_tells_whether_anything_has_changed() {
    let dir = sample();
    let tree = walk(dir.path()).unwrap();
    let stamp = tree.look().unwrap();
    assert_eq!(tree.look().unwrap(), stamp);
    assert_eq!(walk(dir.path()).unwrap().look().unwrap(), stamp, "and so does another walk");
    tree.check_unchanged(Special::Refuse, &NEVER).unwrap();
    fs::write(dir.path().join("zzz"), "new").unwrap();
    let error = tree.check_unchanged(Special::Refuse, &NEVER).unwrap_err();
    assert!(error.to_string().contains("zzz changed while it was read"), "{error}");
    assert_ne!(walk(dir.path()).unwrap().look().unwrap(), stamp);
}

#[test]
fn what_cannot_be_shared_is_named_or_left_out() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    type Plant = fn(&Path);
    let plants: [(&str, Plant); 5] = [
        ("a named pipe", |path| {
            mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        }),
        ("a socket", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
        ("an absolute target", |path| symlink("/etc/passwd", path).unwrap()),
        ("a symbolic link that leaves the folder", |path| symlink("../../x", path).unwrap()),
        ("a symbolic link whose target has ..", |path| symlink("b/../../..", path).unwrap()),
    ];
    for (what, plant) in plants {
        let dir = sample();
        let entries = walk(dir.path()).unwrap().archive().count();
        let path = dir.path().join("a/special");
        plant(&path);
        let error = walk(dir.path()).unwrap_err().to_string();
        let name = path.display().to_string();
        assert!(error.contains(what) && error.contains(&name) && error.contains("--skip-special"), "{error}");
        let tree = Tree::walk(dir.path(), Special::Skip, &NEVER).unwrap();
        assert_eq!(tree.archive().count(), entries, "{what}");
    }
}

#[test]
fn names_that_no_archive_has_are_errors_that_name_them() {
    use std::os::unix::ffi::OsStrExt;
    for (name, why) in
        [(&b"a\xff"[..], "UTF-8"), (b"A-B", "case or spelling"), (b"a\nb", "control character")]
    {
        let dir = sample();
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
        let error = walk(dir.path()).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
        assert!(error.ends_with("; rename it"), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"a\xff"), dir.path().join("link")).unwrap();
    assert!(matches!(walk(dir.path()), Err(FolderError::NotText(_))));
    assert!(matches!(walk(Path::new("/nonexistent")), Err(FolderError::Io { .. })));
}

#[test]
fn a_walk_can_be_interrupted() {
    let cancel = AtomicBool::new(true);
    assert!(matches!(Tree::walk(sample().path(), Special::Refuse, &cancel), Err(FolderError::Interrupted)));
}

/// Deeper than the number of folders that are kept open, on the way down and back.
#[test]
fn a_deep_tree_takes_few_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let mut path = PathBuf::from(dir.path());
    for depth in 0..100 {
        path.push("d");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("a"), depth.to_string()).unwrap();
        fs::write(path.join("z"), depth.to_string()).unwrap();
    }
    let tree = walk(dir.path()).unwrap();
    assert_eq!(tree.archive().count(), 300);
    let bytes = plain(tree.archive(), dir.path());
    let mut read = vec![0; bytes.len()];
    tree.fill(&mut read, 0).unwrap();
    assert!(read == bytes);
}

/// A folder that is being downloaded, into which `bytes` were written in pieces of any length, in any order.
fn written(source: &Tree, bytes: &[u8], block_size: u64) -> (tempfile::TempDir, FolderPart) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(bytes.len() as u64, block_size).unwrap();
    let lock = tempfile::tempfile().unwrap();
    let part = FolderPart::open(source.archive().clone(), dir.path(), lock, layout, None).unwrap();
    let mut random = fastrand::Rng::with_seed(block_size);
    let mut blocks: Vec<_> = layout.iter().collect();
    random.shuffle(&mut blocks);
    for block in blocks {
        let range = layout.range(block);
        let (mut at, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
        while at < end {
            let len = random.usize(1..3000).min(end - at);
            let (one, two) = bytes[at..at + len].split_at(random.usize(..=len));
            part.write_all_at(&mut [IoSlice::new(one), IoSlice::new(two)], at as u64).unwrap();
            at += len;
        }
    }
    (dir, part)
}

#[test]
fn what_is_written_to_the_archive_becomes_the_folder() {
    let dir = sample();
    let tree = walk(dir.path()).unwrap();
    let bytes = plain(tree.archive(), dir.path());
    for block_size in [500, 4096, 1 << 30] {
        let (copy, part) = written(&tree, &bytes, block_size);
        let mut read = vec![0; bytes.len()];
        part.fill(&mut read, 0).unwrap();
        assert!(read == bytes && part.is_ours());
        let layout = Layout::new(bytes.len() as u64, block_size).unwrap();
        assert!(layout.iter().all(|block| part.is_canonical(block)));
        part.complete(&NEVER).unwrap();
        let again = walk(copy.path()).unwrap();
        assert!(again.archive() == tree.archive(), "times, permissions and links, too");
        let stamp = part.last_stamp().unwrap();
        assert_eq!(part.look().unwrap(), stamp, "nobody has written but we");
    }
}

#[test]
fn a_block_with_other_headers_than_the_index_says_is_noted_until_it_is_written_again() {
    let dir = sample();
    let tree = walk(dir.path()).unwrap();
    let bytes = plain(tree.archive(), dir.path());
    let layout = Layout::new(bytes.len() as u64, 1000).unwrap();
    let (_copy, part) = written(&tree, &bytes, 1000);
    // A header, what fills up a unit, and a file's content.
    let content = place(&tree, "a-b");
    for (at, odd) in [(content - 500, true), (bytes.len() as u64 - 1, true), (content + 5, false)] {
        let block = layout.block_at(at).unwrap();
        let range = layout.range(block);
        let mut wrong =
            bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec();
        let right = wrong.clone();
        wrong[usize::try_from(at - range.start).unwrap()] ^= 1;
        part.write_all_at(&mut [IoSlice::new(&wrong)], range.start).unwrap();
        assert_eq!(part.is_canonical(block), !odd, "{at}");
        assert_eq!(layout.iter().filter(|block| !part.is_canonical(*block)).count(), usize::from(odd));
        part.write_all_at(&mut [IoSlice::new(&right)], range.start).unwrap();
        assert!(part.is_canonical(block));
    }
}

#[test]
fn where_blocks_are_divided_it_is_noted_of_each_slice_and_written_again_slice_by_slice() {
    let dir = sample();
    let tree = walk(dir.path()).unwrap();
    let bytes = plain(tree.archive(), dir.path());
    let layout = Layout::new(bytes.len() as u64, 256 << 10).unwrap();
    let slices = layout.sliced().unwrap();
    let (_copy, part) = written(&tree, &bytes, 256 << 10);
    assert!(slices.iter().all(|slice| part.is_canonical_slice(slice)));
    let piece = |range: std::ops::Range<u64>| {
        bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
    };
    // An answer with the whole block, in one write: a header is wrong in its first slice, and content in all of them.
    let block = layout.block(0).unwrap();
    let wrong: Vec<u8> = piece(layout.range(block)).iter().map(|byte| byte ^ 1).collect();
    part.write_all_at(&mut [IoSlice::new(&wrong)], 0).unwrap();
    let odd = |part: &FolderPart| -> Vec<u64> {
        let odd = slices.iter().filter(|slice| !part.is_canonical_slice(*slice));
        odd.map(|slice| slices.start(slice) >> 16).collect()
    };
    assert_eq!((odd(&part), part.is_canonical(block)), (vec![0], false));
    // Another slice of the block comes, which says nothing of the first one.
    let second = slices.block_at(64 << 10).unwrap();
    part.write_all_at(&mut [IoSlice::new(&piece(slices.range(second)))], 64 << 10).unwrap();
    assert_eq!(odd(&part), [0]);
    part.write_all_at(&mut [IoSlice::new(&piece(0..64 << 10))], 0).unwrap();
    assert!(odd(&part).is_empty() && part.is_canonical(block));
    // The zeroes at the end, in the last block, which has two slices: in each of them.
    let (last, end) = (layout.block(1).unwrap(), layout.length());
    let start = layout.start(last);
    part.write_all_at(&mut [IoSlice::new(&vec![7; usize::try_from(end - start).unwrap()])], start).unwrap();
    assert!(!part.is_canonical(last) && part.is_canonical(block));
    let count = slices.slices_of(last).end - slices.slices_of(last).start;
    assert_eq!(odd(&part).len() as u64, count, "each of its slices has a header or zeroes");
}

#[test]
fn a_file_with_a_second_name_is_not_written_to() {
    let (dir, outside) = (sample(), tempfile::tempdir().unwrap());
    let tree = walk(dir.path()).unwrap();
    let bytes = plain(tree.archive(), dir.path());
    let (copy, part) = written(&tree, &bytes, 4096);
    let precious = outside.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    for open in [false, true] {
        fs::remove_file(copy.path().join("a-b")).unwrap();
        fs::hard_link(&precious, copy.path().join("a-b")).unwrap();
        if open {
            // Its descriptor is kept by a reader.
            part.look().unwrap();
            let _ = part.fill(&mut [0], place(&tree, "a-b"));
        }
        let _ = part.write_all_at(&mut [IoSlice::new(&[1; 10])], place(&tree, "a-b"));
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
    }
    assert!(part.complete(&NEVER).is_err());
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
}
