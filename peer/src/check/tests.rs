#![allow(clippy::cast_possible_truncation, reason = "small numbers, and a test would tell")]

use super::*;
use cascade_format::{BlockHash, FileHash, Header, Layout, Metafile};
use proptest::prelude::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicU64;

/// A data file and its `.cascade` file.
struct Sample {
    _dir: tempfile::TempDir,
    data: File,
    metafile: MetafileOnDisk,
}

impl Sample {
    fn new(bytes: &[u8], block_size: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(bytes.len() as u64, block_size).unwrap();
        let hash = |block| {
            let range = layout.range(block);
            BlockHash::of(&bytes[range.start as usize..range.end as usize])
        };
        let header = Header { layout, file_hash: FileHash::of(bytes) };
        let metafile = Metafile::new(header, layout.iter().map(hash).collect()).unwrap();
        std::fs::write(dir.path().join("data.cascade"), metafile.encode()).unwrap();
        std::fs::write(dir.path().join("data"), bytes).unwrap();
        let data = File::options().read(true).write(true).open(dir.path().join("data")).unwrap();
        let metafile = MetafileOnDisk::open(dir.path().join("data.cascade")).unwrap();
        Self { _dir: dir, data, metafile }
    }

    /// The blocks that are right, and the bytes that progress was told of.
    fn check(&self, threads: usize, find_holes: bool, within: Range<u64>) -> (Vec<u64>, u64) {
        let options = CheckOptions { only: None, threads: NonZeroUsize::new(threads).unwrap(), find_holes };
        let told = AtomicU64::new(0);
        let progress = |bytes| {
            told.fetch_add(bytes, Ordering::Relaxed);
        };
        let never = AtomicBool::new(false);
        let have = check_with(options, &self.data, &self.metafile, within, &progress, &never).unwrap();
        let right =
            self.metafile.layout().iter().filter(|block| have.has(*block)).map(|block| block.number());
        (right.collect(), told.into_inner())
    }
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    bytes
}

#[test]
fn every_kind_of_block_size_finds_the_wrong_block() {
    let bytes = noise(700_001);
    // One byte short of half the buffer and beyond it, one that divides nothing, the whole file, more.
    let half = BUFFER_LEN as u64 / 2;
    for block_size in [64, 1000, half - 1, half, half + 1, 300_000, 700_001, 1 << 40] {
        let sample = Sample::new(&bytes, block_size);
        let blocks = sample.metafile.layout().blocks();
        sample.data.write_all_at(&[bytes[350_000] ^ 1], 350_000).unwrap();
        let wrong = 350_000 / block_size;
        let expected: Vec<u64> = (0..blocks).filter(|number| *number != wrong).collect();
        for threads in [1, 3] {
            let found = sample.check(threads, true, 0..blocks);
            assert_eq!(found, (expected.clone(), 700_001), "blocks of {block_size}, {threads} threads");
        }
    }
}

/// Only the chosen blocks are looked at, whatever is wrong with the others.
#[test]
fn a_check_of_some_blocks_finds_the_right_ones_of_them() {
    for block_size in [1000, 200_000] {
        let sample = Sample::new(&noise(1_000_001), block_size);
        let layout = *sample.metafile.layout();
        let mut only = Have::none(&layout);
        layout.iter().filter(|block| block.number() % 3 != 1).for_each(|block| {
            only.insert(block);
        });
        sample.data.write_all_at(&[0; 7], 3 * block_size).unwrap();
        let options = CheckOptions { only: Some(&only), ..CheckOptions::default() };
        let all = 0..layout.blocks();
        let never = AtomicBool::new(false);
        let have = check_with(options, &sample.data, &sample.metafile, all, &|_| (), &never).unwrap();
        only.remove(layout.block(3).unwrap());
        assert!(have == only, "blocks of {block_size}");
    }
}

#[test]
fn a_short_file_lacks_its_last_blocks() {
    let sample = Sample::new(&noise(10_000), 1000);
    sample.data.set_len(4500).unwrap();
    assert_eq!(sample.check(2, true, 0..10), (vec![0, 1, 2, 3], 10_000));
    assert_eq!(sample.check(2, true, 3..10), (vec![3], 7000));
    assert_eq!(sample.check(2, true, 7..10), (vec![], 3000));
    sample.data.set_len(0).unwrap();
    assert_eq!(sample.check(2, true, 0..10), (vec![], 10_000));
}

#[test]
fn a_longer_file_has_every_block() {
    let sample = Sample::new(&noise(2500), 1000);
    sample.data.write_all_at(b"more", 2500).unwrap();
    assert_eq!(sample.check(2, true, 0..3), (vec![0, 1, 2], 2500));
}

#[test]
fn an_empty_file_has_no_block_to_check() {
    assert_eq!(Sample::new(b"", 1000).check(2, true, 0..9), (vec![], 0));
}

/// Zeroes that are right, zeroes that are wrong, the short last block; with and without asking for
/// holes the answer is the same.
#[test]
fn holes_have_the_hash_of_zeroes() {
    for block_size in [4096, 1 << 20] {
        let size = block_size as usize;
        let mut bytes = noise(7 * size + 100);
        bytes[size..3 * size].fill(0);
        bytes[7 * size..].fill(0);
        let sample = Sample::new(&bytes, block_size);
        sample.data.set_len(0).unwrap();
        sample.data.set_len(bytes.len() as u64).unwrap();
        sample.data.write_all_at(&bytes[6 * size..7 * size], 6 * block_size).unwrap();
        let found = sample.check(2, true, 0..8);
        assert_eq!(found, (vec![1, 2, 6, 7], bytes.len() as u64), "blocks of {block_size}");
        assert_eq!(sample.check(2, false, 0..8), found, "blocks of {block_size}");
    }
}

#[test]
fn a_cancelled_check_ends() {
    let sample = Sample::new(&noise(10_000), 1000);
    let error = check(&sample.data, &sample.metafile, 0..10, &|_| (), &AtomicBool::new(true)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
}

#[test]
fn data_that_cannot_be_read_is_an_error() {
    let sample = Sample::new(&noise(10_000), 1000);
    let folder = File::open(sample._dir.path()).unwrap();
    let never = AtomicBool::new(false);
    // A folder has a length on most file systems; where it has none, it has no block either.
    match check(&folder, &sample.metafile, 0..10, &|_| (), &never) {
        Ok(have) => assert_eq!(have.count(), 0),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::IsADirectory),
    }
}

#[test]
fn the_file_hash_is_that_of_the_stated_length() {
    let bytes = noise(300_000);
    let sample = Sample::new(&bytes, 1000);
    let hash = |len| file_hash(&sample.data, len, &|_| (), &|| false).unwrap();
    assert_eq!(hash(300_000), FileHash::of(&bytes));
    assert_eq!(hash(400_000), FileHash::of(&bytes));
    assert_eq!(hash(200_001), FileHash::of(&bytes[..200_001]));
}

/// Every field of the findings, with and without the whole-file hash.
#[test]
fn findings_tell_wrong_from_missing() {
    let never = AtomicBool::new(false);
    let findings = |sample: &Sample, whole| {
        Findings::of(&sample.data, &sample.metafile, whole, &|_| (), &never).unwrap()
    };
    let sample = Sample::new(&noise(10_500), 1000);
    assert_eq!(findings(&sample, true).whole_file, WholeFile::Right);
    assert!(findings(&sample, true).is_right());
    assert_eq!(findings(&sample, false).whole_file, WholeFile::Unchecked);
    assert!(findings(&sample, false).is_right());

    sample.data.write_all_at(b"more", 10_500).unwrap();
    assert_eq!(findings(&sample, true).extra_bytes(), 4);
    assert!(!findings(&sample, true).is_right());

    sample.data.set_len(8100).unwrap();
    for at in [0, 3000, 4000, 7999] {
        sample.data.write_all_at(b"?", at).unwrap();
    }
    let found = findings(&sample, true);
    assert_eq!((found.right(), found.wrong(), found.missing(), found.extra_bytes()), (4, 4, 3, 0));
    assert_eq!(found.wrong_ranges().collect::<Vec<_>>(), [0..=0, 3..=4, 7..=7]);
    assert_eq!(found.missing_range(), Some(8..=10));
    assert_eq!(found.whole_file, WholeFile::Unchecked);
    assert!(!found.is_right());
}

/// A `.cascade` file whose file hash is false: every block is right, the file is not.
#[test]
fn a_false_file_hash_is_found() {
    let never = AtomicBool::new(false);
    // Several blocks; one; none.
    for (len, block_size) in [(10_000, 1000), (1000, 5000), (0, 1000)] {
        let sample = Sample::new(&noise(len), block_size);
        let mut bytes = std::fs::read(sample.metafile.path()).unwrap();
        bytes[40] ^= 1;
        std::fs::write(sample.metafile.path(), bytes).unwrap();
        let metafile = MetafileOnDisk::open(sample.metafile.path()).unwrap();
        let findings = Findings::of(&sample.data, &metafile, true, &|_| (), &never).unwrap();
        assert_eq!(findings.whole_file, WholeFile::Wrong, "{len} bytes");
        assert!(!findings.is_right());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_damage_is_found(
        len in 1usize..6000,
        block_size in 1u64..900,
        damage in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        threads in 1usize..4,
        within in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let bytes = noise(len);
        let sample = Sample::new(&bytes, block_size);
        let blocks = sample.metafile.layout().blocks();
        let mut wrong = std::collections::BTreeSet::new();
        for at in damage {
            let at = at.index(len);
            sample.data.write_all_at(&[!bytes[at]], at as u64).unwrap();
            wrong.insert(at as u64 / block_size);
        }
        let (from, to) = (within.0.index(blocks as usize) as u64, within.1.index(blocks as usize) as u64 + 1);
        let expected: Vec<u64> = (from..to).filter(|number| !wrong.contains(number)).collect();
        prop_assert_eq!(sample.check(threads, true, from..to.max(from)).0, expected);
    }

    #[test]
    fn blocks_and_whole_file_are_found_in_one_pass_or_in_two(
        len in 1usize..400_000,
        block_size in 1u64..90_000,
        damage in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let bytes = noise(len);
        let sample = Sample::new(&bytes, block_size.max(len as u64 / 500));
        let layout = *sample.metafile.layout();
        let wrong = damage.map(|at| at.index(len));
        if let Some(at) = wrong {
            sample.data.write_all_at(&[!bytes[at]], at as u64).unwrap();
        }
        let never = AtomicBool::new(false);
        for together in [true, false] {
            let told = AtomicU64::new(0);
            let progress = |bytes| {
                told.fetch_add(bytes, Ordering::Relaxed);
            };
            let check = if together { together::check_together } else { findings::check_both };
            let (have, hash) = check(&sample.data, &sample.metafile, &progress, &never).unwrap();
            let lacking: Vec<u64> =
                layout.iter().filter(|block| !have.has(*block)).map(|block| block.number()).collect();
            let expected: Vec<u64> = wrong.map(|at| at as u64 / layout.block_size()).into_iter().collect();
            prop_assert_eq!(lacking, expected);
            prop_assert_eq!(hash, wrong.is_none().then(|| FileHash::of(&bytes)));
            prop_assert_eq!(told.into_inner(), len as u64);
        }
    }
}
