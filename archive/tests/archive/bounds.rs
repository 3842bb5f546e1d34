//! Archives at their bounds, and what they take.

use super::{bytes, file, link, parse};
use cascade_archive::limits::{MAX_INDEX_LEN, MAX_PIECES_IN_A_ROW, MAX_TARGET_LEN, PIECE_LEN};
use cascade_archive::{Archive, BuildError, Builder, Entry, Kind, Parser, Refused};
use cascade_tests::hostile_archive as raw;

/// Bytes of the index that each of [`links`] takes.
const LINE_LEN: usize = "0 l 0 0000000/\n".len() + MAX_TARGET_LEN;

/// `count` links with the longest targets: an index of 4110 bytes each.
fn links(count: usize) -> Result<Archive, BuildError> {
    let mut builder = Builder::default();
    let mut entry = Entry { mtime: 0, ..link("", &"t".repeat(MAX_TARGET_LEN)) };
    for number in 0..count {
        entry.path = format!("{number:07}");
        builder.push(&entry)?;
    }
    builder.finish()
}

#[test]
fn an_empty_folder_is_an_archive() {
    let archive = Archive::build(Vec::new()).unwrap();
    assert_eq!((archive.count(), archive.head_len(), archive.total_len()), (0, 1536, 2560));
    let all = bytes(&archive, 0..2560);
    assert_eq!(all[..1024], raw::head_of(&[]));
    assert!(all[1024..].starts_with(b"./\0"), "the shared folder itself: Python wants one entry");
    assert_eq!(parse(&all, 2560, 1), Ok(archive));
}

/// An index of 37 pieces, which are more than may stand in a row.
#[test]
fn a_long_index_has_many_pieces() {
    let archive = links(35_500_000 / LINE_LEN).unwrap();
    let head = bytes(&archive, 0..archive.head_len());
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < head.len() {
        let size = usize::from_str_radix(str::from_utf8(&head[at + 124..at + 135]).unwrap(), 8).unwrap();
        pieces.push((head[at + 156], size));
        at += 512 + size.next_multiple_of(512);
    }
    let full = (b'g', PIECE_LEN + 16);
    assert_eq!(pieces[..MAX_PIECES_IN_A_ROW], vec![full; MAX_PIECES_IN_A_ROW]);
    assert_eq!(pieces[MAX_PIECES_IN_A_ROW], (b'5', 0), "the shared folder itself");
    assert_eq!(pieces.len(), 38);
    assert_eq!(parse(&head, archive.total_len(), 1 << 20).unwrap(), archive);
    // Without the separator the next header stands in its place; both names begin with `./`.
    let separator = MAX_PIECES_IN_A_ROW * (512 + 983_552);
    let mut without = head;
    without.drain(separator..separator + 512);
    assert_eq!(parse(&without, archive.total_len(), 1 << 20), Err(Refused::Head(separator as u64 + 2)));
}

#[test]
fn an_index_that_is_too_long_is_not_built() {
    assert_eq!(links(MAX_INDEX_LEN / LINE_LEN + 1), Err(BuildError::IndexTooLong));
    let first = "cascade-folder 1 entries 0000000001 bytes 0134217676\n".len();
    assert_eq!(first + 134_217_676, MAX_INDEX_LEN + 1);
    let head = raw::comment(b"cascade-folder 1 entries 0000000001 bytes 0134217676\n0 d 0 a\n");
    assert_eq!(parse(&head, 1 << 40, 9), Err(Refused::IndexTooLong(134_217_676)));
    let head = raw::comment(b"cascade-folder 1 entries 0000000001 bytes 0134217675\n0 d 0 a\n");
    assert!(
        matches!(parse(&head, 1 << 40, 9), Err(Refused::Head(_))),
        "the bound itself, then what is not so"
    );
}

/// What is claimed takes no memory; and a file that is no folder's archive is recognised by its first bytes.
#[test]
fn a_claim_is_not_an_allocation() {
    let mut parser = Parser::new(1 << 40);
    let mut first = raw::unit("././@PaxHeader", b'g', 983_056);
    first.extend_from_slice(b"983056 comment=cascade-folder 1 entries 0004194304 bytes 0134000000\n");
    parser.push(&first).unwrap();
    assert!(parser.head_len().unwrap() > 134_000_000 && !parser.is_complete());
    assert_eq!(parser.finish(), Err(Refused::Cut));

    let mut parser = Parser::new(1 << 40);
    assert_eq!(parser.push(&[0; 4096]), Err(Refused::NotAFolder));
}

#[test]
fn entries_of_every_size_find_their_place() {
    // Around the largest size that a ustar header has room for.
    let sizes = [0, 1, 511, 512, 513, (1 << 33) - 1, 1 << 33, (1 << 33) + 1, 1 << 50];
    let entries: Vec<Entry> =
        sizes.iter().enumerate().map(|(n, size)| file(&format!("{n}"), *size)).collect();
    let archive = Archive::build(entries).unwrap();
    for entry in archive.entries() {
        let Kind::File { size, .. } = entry.kind else { panic!("{entry:?}") };
        assert_eq!(size, sizes[entry.path.parse::<usize>().unwrap()]);
    }
    let end = archive.total_len();
    assert_eq!(bytes(&archive, end - 1024 - 512..end - 1000).len(), 536);
    assert_eq!(archive.segments(0..end).map(|segment| segment.len()).sum::<u64>(), end);
}
