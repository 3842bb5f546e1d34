//! What holds for every archive.

use super::{bytes, parse};
use cascade_archive::{Archive, Builder, Entry, Kind, order};
use cascade_tests::hostile_archive as raw;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

/// A tree with names of many kinds: plain, long, not ASCII; and sizes around a unit.
fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let name = prop_oneof![
        8 => "[a-f]{1,2}",
        2 => "[a-z .+=-]{95,105}",
        2 => "[äß日a]{1,40}",
    ];
    let kind = prop_oneof![
        3 => (prop_oneof![0..3u64, 511..514u64, 0..5000u64], any::<bool>())
            .prop_map(|(size, executable)| Kind::File { size, executable }),
        2 => Just(Kind::Folder),
        1 => prop_oneof!["[a-z]{1,9}", "(x/){45,55}x", "ä"].prop_map(|target| Kind::Link { target }),
    ];
    let entry = (name, kind, 0..1u64 << 33, any::<Option<Index>>());
    prop::collection::vec(entry, 0..200).prop_map(|entries| {
        let mut tree = BTreeMap::new();
        let mut folders = vec![String::new()];
        let mut seen = std::collections::BTreeSet::new();
        for (name, kind, mtime, parent) in entries {
            let folder = parent.map_or("", |parent| &folders[parent.index(folders.len())]);
            // What the rules forbid is left out: dots and twins.
            let path = format!("{folder}{name}");
            let folded = path.to_uppercase();
            if name.starts_with('.') || path.len() > 4000 || !seen.insert(folded) {
                continue;
            }
            if kind == Kind::Folder {
                folders.push(format!("{path}/"));
            }
            tree.insert(path.clone(), Entry { path, kind, mtime });
        }
        tree.into_values().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_built_is_read_again_in_chunks_of_any_length(entries in any_entries(), chunk in 1..2000usize) {
        let archive = Archive::build(entries.clone()).unwrap();
        let all = bytes(&archive, 0..archive.total_len());
        prop_assert_eq!(all.len() as u64, archive.total_len());
        let read = parse(&all, all.len() as u64, chunk).unwrap();
        let mut sorted = entries;
        sorted.sort_by(|a, b| order(&a.path, &b.path));
        prop_assert_eq!(read.entries().collect::<Vec<_>>(), sorted.clone());
        for (number, entry) in (0..).zip(&sorted) {
            prop_assert_eq!(read.entry(number), Some(entry.clone()));
        }
        prop_assert_eq!(read.entry(read.count()), None);
        prop_assert_eq!(&read, &archive);
        let mut builder = Builder::default();
        sorted.iter().for_each(|entry| builder.push(entry).unwrap());
        prop_assert_eq!(builder.finish().unwrap(), archive);
    }

    #[test]
    fn any_split_of_the_range_gives_the_same_bytes(entries in any_entries(), cuts: Vec<Index>) {
        let archive = Archive::build(entries).unwrap();
        let all = bytes(&archive, 0..archive.total_len());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
        cuts.extend([0, all.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            let part = bytes(&archive, pair[0] as u64..pair[1] as u64);
            prop_assert!(part == all[pair[0]..pair[1]], "bytes {pair:?}");
            prop_assert_eq!(archive.check(pair[0] as u64, &part), Ok(()));
        }
        prop_assert_eq!(archive.segments(all.len() as u64..u64::MAX).count(), 0);
        prop_assert_eq!(archive.segments(u64::MAX..u64::MAX).count(), 0);
    }

    #[test]
    fn mutated_bytes_give_an_archive_that_writes_them_or_a_refusal(
        entries in any_entries(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let archive = Archive::build(entries).unwrap();
        let mut all = bytes(&archive, 0..archive.total_len());
        let head_len = usize::try_from(archive.head_len()).unwrap();
        for (at, byte) in changes {
            all[at.index(head_len)] = byte;
        }
        match parse(&all, all.len() as u64, 777) {
            Ok(read) => {
                let again = bytes(&read, 0..read.head_len());
                prop_assert!(again == all[..head_len], "an archive with another head");
                prop_assert_eq!(read.total_len(), all.len() as u64);
                let entries = read.entries().collect();
                prop_assert_eq!(Archive::build(entries), Ok(read));
            }
            Err(refused) => prop_assert!(!refused.to_string().contains(char::is_control)),
        }
    }

    #[test]
    fn any_lines_never_panic(lines: Vec<String>, total_len: u64) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let _ = parse(&raw::head_of(&lines), total_len, 100);
    }
}
