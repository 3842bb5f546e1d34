#![allow(clippy::cast_possible_truncation, reason = "small numbers, and a test would tell")]

use super::*;
use cascade_format::{BlockHash, FileHash, Metafile};
use proptest::prelude::*;
use std::cell::Cell;
use std::os::unix::fs::{FileExt, PermissionsExt};

static NEVER: AtomicBool = AtomicBool::new(false);

fn size(bytes: u64) -> NonZeroU64 {
    NonZeroU64::new(bytes).unwrap()
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes
}

/// A folder with the file `data`.
fn folder(bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data"), bytes).unwrap();
    dir
}

/// The names in a folder.
fn names(dir: &tempfile::TempDir) -> Vec<String> {
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// The `.cascade` file's bytes, computed the plain way.
fn expected(bytes: &[u8], block_size: u64) -> Vec<u8> {
    let layout = Layout::new(bytes.len() as u64, block_size).unwrap();
    let hashes = bytes.chunks(block_size as usize).map(BlockHash::of).collect();
    Metafile::new(Header { layout, file_hash: FileHash::of(bytes) }, hashes).unwrap().encode()
}

fn create(
    dir: &tempfile::TempDir,
    block_size: u64,
    progress: &dyn Fn(u64),
) -> Result<MetafileOnDisk, CreateError> {
    let source = Source::open(&dir.path().join("data"), Special::Refuse, &NEVER)?;
    source.describe(&dir.path().join("data.cascade"), size(block_size), progress, &NEVER)
}

#[test]
fn any_block_size_gives_the_bytes_of_the_protocol() {
    // Several pieces, with blocks smaller and larger than one, that divide it or do not.
    let bytes = noise(1_500_001);
    for block_size in [100, 1 << 10, 10_240, 65_536, 100_000, 1 << 20, 1_048_577, 1_500_001, 1 << 33] {
        let dir = folder(&bytes);
        let told = Cell::new(0);
        let metafile = create(&dir, block_size, &|bytes| told.set(told.get() + bytes)).unwrap();
        let written = std::fs::read(metafile.path()).unwrap();
        assert_eq!(written, expected(&bytes, block_size), "blocks of {block_size}");
        assert_eq!(told.get(), 1_500_001);
        assert_eq!(names(&dir), ["data", "data.cascade"]);
    }
}

#[test]
fn an_empty_file_is_legal() {
    let dir = folder(b"");
    create(&dir, 65_536, &|_| ()).unwrap();
    assert_eq!(std::fs::read(dir.path().join("data.cascade")).unwrap(), expected(b"", 65_536));
}

#[test]
fn others_may_read_the_output_as_the_mask_allows() {
    let dir = folder(b"abc");
    let metafile = create(&dir, 2, &|_| ()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(metafile.path()), mode(&dir.path().join("data")));
}

/// What is changed meanwhile is noticed, and the output that was there stays.
#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    type Change = fn(&File);
    let changes: [(&str, Change); 3] = [
        ("shorter", |file| file.set_len(10).unwrap()),
        ("longer", |file| file.set_len(1 << 21).unwrap()),
        ("other bytes", |file| file.write_all_at(b"x", 5).unwrap()),
    ];
    for (what, change) in changes {
        let dir = folder(&noise(1 << 20));
        std::fs::write(dir.path().join("data.cascade"), "CASCADE1, an old one").unwrap();
        let file = File::options().write(true).open(dir.path().join("data")).unwrap();
        // The file was opened at some tick of the file system's clock; the change must be at another.
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let error = create(&dir, 65_536, &|_| change(&file)).unwrap_err();
        assert!(matches!(error, CreateError::Changed { .. }), "{what}: {error}");
        assert_eq!(names(&dir), ["data", "data.cascade"], "{what}");
        assert_eq!(
            std::fs::read(dir.path().join("data.cascade")).unwrap(),
            b"CASCADE1, an old one",
            "{what}"
        );
    }
}

#[test]
fn a_cancelled_pass_leaves_nothing() {
    let dir = folder(&noise(1 << 20));
    let cancel = AtomicBool::new(false);
    let source = Source::open(&dir.path().join("data"), Special::Refuse, &NEVER).unwrap();
    let stop = |_| cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = source.describe(&dir.path().join("data.cascade"), size(1 << 16), &stop, &cancel).unwrap_err();
    assert!(matches!(error, CreateError::Cancelled), "{error}");
    assert_eq!(names(&dir), ["data"]);
}

#[test]
fn what_cannot_be_described_is_named() {
    let dir = folder(b"abc");
    let error = Source::open(Path::new("/dev/null"), Special::Refuse, &NEVER).unwrap_err();
    assert!(error.to_string().contains("is a device"), "{error}");
    let error = Source::open(&dir.path().join("none"), Special::Refuse, &NEVER).unwrap_err();
    assert!(matches!(error, CreateError::Read { .. }), "{error}");

    let data = dir.path().join("data");
    let source = Source::open(&data, Special::Refuse, &NEVER).unwrap();
    let error = source.describe(&data, size(1), &|_| (), &NEVER).unwrap_err();
    assert!(matches!(error, CreateError::OverItself { .. }), "{error}");
    let error = source.describe(&dir.path().join("no/folder.cascade"), size(1), &|_| (), &NEVER).unwrap_err();
    assert!(matches!(&error, CreateError::Write { .. }), "{error}");
    assert!(error.to_string().contains("/no/folder.cascade: No such file or directory"), "{error}");
    let other = dir.path().join("notes");
    std::fs::write(&other, "text of mine").unwrap();
    let error = source.describe(&other, size(1), &|_| (), &NEVER).unwrap_err();
    assert!(error.to_string().contains("notes is there already and not a .cascade file"), "{error}");
    assert_eq!(std::fs::read(&other).unwrap(), b"text of mine");
    // An earlier one is replaced, and so is an empty file.
    for before in [&b"CASCADE1 and more"[..], b""] {
        std::fs::write(&other, before).unwrap();
        source.describe(&other, size(1), &|_| (), &NEVER).unwrap();
    }
    assert_eq!(std::fs::read(&data).unwrap(), b"abc");

    File::options().write(true).open(&data).unwrap().set_len(MAX_BLOCKS + 1).unwrap();
    let error = create(&dir, 1, &|_| ()).unwrap_err();
    assert!(matches!(error, CreateError::TooManyBlocks { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_file_and_block_size(bytes: Vec<u8>, block_size in 1u64..200) {
        let dir = folder(&bytes);
        create(&dir, block_size, &|_| ()).unwrap();
        prop_assert_eq!(std::fs::read(dir.path().join("data.cascade")).unwrap(), expected(&bytes, block_size));
    }
}
