#![allow(clippy::cast_possible_truncation, reason = "small numbers, and a test would tell")]

use super::*;
use cascade_format::Metafile;
use cascade_format::metafile::MAGIC;

/// A `.cascade` file's bytes for `length` bytes in blocks of `block_size`; the hashes are made up.
fn sample(length: u64, block_size: u64) -> Metafile {
    let layout = Layout::new(length, block_size).unwrap();
    let header = Header { layout, file_hash: FileHash::of(b"file") };
    let hashes = layout.iter().map(|block| BlockHash::of(&block.number().to_be_bytes())).collect();
    Metafile::new(header, hashes).unwrap()
}

/// Writes `bytes` as `data.cascade` and opens it.
fn open(bytes: &[u8]) -> (tempfile::TempDir, Result<MetafileOnDisk, MetafileFileError>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.cascade");
    std::fs::write(&path, bytes).unwrap();
    (dir, MetafileOnDisk::open(path))
}

fn damage(bytes: &[u8]) -> MetafileError {
    match open(bytes).1 {
        Err(MetafileFileError::Damaged { source, .. }) => source,
        other => panic!("expected damage, got {other:?}"),
    }
}

#[test]
fn what_was_written_is_read() {
    let expected = sample(1000, 64);
    let (dir, file) = open(&expected.encode());
    let file = file.unwrap();
    assert_eq!(file.header(), expected.header());
    assert_eq!(file.file_hash(), expected.header().file_hash);
    assert_eq!(file.cascade_hash(), expected.cascade_hash());
    assert_eq!(file.data_path().unwrap(), dir.path().join("data"));
    for (block, hash) in file.layout().iter().zip(expected.hashes()) {
        assert_eq!(file.hash_of(block).unwrap(), *hash);
    }
    assert_eq!(file.hashes_of(3..7).unwrap(), expected.hashes()[3..7]);
    assert!(file.hashes_of(3..17).is_err());
}

#[test]
fn a_list_too_long_for_memory_stays_on_disk() {
    let blocks = RESIDENT_HASHES + PAGE_HASHES + 5;
    let expected = sample(blocks, 1);
    let (_dir, file) = open(&expected.encode());
    let file = file.unwrap();
    assert!(matches!(file.hashes, Hashes::OnDisk(_)));
    assert_eq!(file.cascade_hash(), expected.cascade_hash());
    // Forwards and back, over the borders of pages and around the cache.
    let far = PAGE_HASHES * CACHED_PAGES as u64;
    for number in [0, 1, 127, 128, far, far + 1, 0, blocks - 1, blocks - 6] {
        let hash = file.hash_of(file.layout().block(number).unwrap()).unwrap();
        assert_eq!(hash, expected.hashes()[number as usize], "block {number}");
    }
    assert_eq!(file.hashes_of(blocks - 3..blocks).unwrap(), expected.hashes()[blocks as usize - 3..]);
}

#[test]
fn the_cascade_hash_covers_reserved_bytes() {
    let mut bytes = sample(10, 3).encode();
    bytes[9] = 1;
    assert_eq!(open(&bytes).1.unwrap().cascade_hash(), CascadeHash::of(&bytes));
}

#[test]
fn an_empty_data_file_has_a_metafile_of_a_header() {
    let file = open(&sample(0, 64).encode()).1.unwrap();
    assert_eq!(file.layout().blocks(), 0);
}

#[test]
fn damage_is_refused_before_anything_is_allocated() {
    let bytes = sample(1000, 64).encode();
    assert_eq!(damage(b""), MetafileError::Magic);
    assert_eq!(damage(b"CASCADE1abc"), MetafileError::NoHeader(11));
    assert_eq!(damage(&[b'x'; 100]), MetafileError::Magic);
    assert!(matches!(damage(&bytes[..575]), MetafileError::Truncated { expected: 576, actual: 575, .. }));
    assert!(matches!(damage(&[&bytes[..], b"x"].concat()), MetafileError::Trailing { extra: 1, .. }));
    let claim = |length: u64, block_size: u64| {
        [&MAGIC[..], &[0; 8], &length.to_be_bytes(), &block_size.to_be_bytes(), &[0; 32]].concat()
    };
    assert!(matches!(damage(&claim(1, 0)), MetafileError::Layout(_)));
    assert!(matches!(damage(&claim(u64::MAX, 1)), MetafileError::Layout(_)));
    assert!(matches!(damage(&claim(1 << 50, 1)), MetafileError::Truncated { actual: 64, .. }));
}

#[test]
fn more_blocks_than_this_peer_handles_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("many.cascade");
    let layout = Layout::new(MAX_BLOCKS + 1, 1).unwrap();
    let header = Header { layout, file_hash: FileHash::of(b"") };
    std::fs::write(&path, header.encode()).unwrap();
    // Sparse: two gigabytes that take no room.
    File::options().write(true).open(&path).unwrap().set_len(layout.metafile_len()).unwrap();
    let error = MetafileOnDisk::open(path).unwrap_err();
    assert!(matches!(error, MetafileFileError::TooManyBlocks { blocks, .. } if blocks == MAX_BLOCKS + 1));
}

/// The offset of a part has four bytes. No `.cascade` file that this peer handles is too long for that.
#[test]
fn every_part_of_the_longest_cascade_file_can_be_asked_for() {
    use cascade_format::extension::metafile::{MAX_METAFILE_LEN, MAX_PART_LEN, PartHead};
    let total = Layout::new(MAX_BLOCKS, 1).unwrap().metafile_len();
    assert!(total > 1 << 31 && total <= MAX_METAFILE_LEN, "{total}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("most.cascade");
    let header = Header { layout: Layout::new(MAX_BLOCKS, 1).unwrap(), file_hash: FileHash::of(b"") };
    std::fs::write(&path, header.encode()).unwrap();
    // Sparse: two gigabytes that take no room. The last hash is there.
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(total).unwrap();
    FileExt::write_all_at(&file, &[7; 32], total - 32).unwrap();
    let last = u32::try_from((total - 1) / u64::from(MAX_PART_LEN) * u64::from(MAX_PART_LEN)).unwrap();
    let head = PartHead::at(total, last).unwrap();
    assert_eq!((head.total, u64::from(last) + u64::from(head.len)), (total, total));
    let mut part = vec![0; usize::try_from(head.len).unwrap()];
    FileExt::read_exact_at(&File::open(&path).unwrap(), &mut part, last.into()).unwrap();
    assert!(part.ends_with(&[7; 32]));
}

#[test]
fn what_is_no_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = MetafileOnDisk::open(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("is a directory, not a .cascade file"), "{error}");
    let error = MetafileOnDisk::open(dir.path().join("none.cascade")).unwrap_err().to_string();
    assert!(error.contains("none.cascade") && error.contains("No such file"), "{error}");
    let error = MetafileOnDisk::open("/dev/null").unwrap_err();
    assert!(matches!(error, MetafileFileError::NotAFile { .. }), "{error}");
}

#[test]
fn a_name_without_the_suffix_tells_no_data_file() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["data", ".cascade", "..cascade", "data.cascade.txt"] {
        let path = dir.path().join(name);
        std::fs::write(&path, sample(10, 3).encode()).unwrap();
        let result = MetafileOnDisk::open(path).unwrap().data_path();
        assert!(matches!(result, Err(MetafileFileError::NoSuffix { .. })), "{name}: {result:?}");
    }
}

#[test]
fn its_own_bytes_can_be_read_from_anywhere() {
    for blocks in [0, 1, 100, RESIDENT_HASHES + 5] {
        let mut bytes = sample(blocks, 1).encode();
        bytes[9] = 77;
        let (_dir, file) = open(&bytes);
        let file = file.unwrap();
        let end = bytes.len();
        for (from, to) in
            [(0, end), (0, 10), (60, 64), (9, 70), (63, 65), (64, 97), (90, 101), (end - 1, end), (end, end)]
        {
            let (from, to) = (from.min(end), to.min(end));
            let mut buffer = vec![0; to.saturating_sub(from)];
            file.read_exact_at(&mut buffer, from as u64).unwrap();
            assert!(buffer == bytes[from..to.max(from)], "{from}..{to} of {end}");
        }
        assert!(file.read_exact_at(&mut [0; 2], end as u64 - 1).is_err());
        assert!(file.read_exact_at(&mut [0], u64::MAX).is_err());
    }
}
