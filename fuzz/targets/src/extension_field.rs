//! The swarm extension's field, as a downloading peer reads it.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line, layouts};
use cascade_format::extension::field::{LENGTH_LEN, encode, parse};
use cascade_format::extension::{Item, Run};
use cascade_format::{Block, Layout};

/// Takes the first byte of `data` as the number of a layout, the rest as a field without its length.
///
/// # Panics
/// The field is read otherwise than the chapter says, or names a block that does not exist.
pub fn run(data: &[u8]) {
    let Some((shape, field)) = data.split_first() else { return };
    let field = field.get(..8192).unwrap_or(field);
    let all: Vec<Layout> = shapes().collect();
    let Some(layout) = all.get(usize::from(*shape) % all.len()) else { return };
    let expected = items(layout, field);
    match parse(layout, field) {
        Ok(items) => {
            assert_eq!(Some(items.len()), expected.as_ref().map(Vec::len), "accepted what is wrong");
            let written = encode(&items);
            assert_eq!(number(&written, 0, LENGTH_LEN), Some((written.len() - LENGTH_LEN) as u64));
            assert_eq!(written.get(LENGTH_LEN..), expected.map(|items| items.concat()).as_deref());
            items.iter().for_each(|item| check_item(layout, item));
        }
        Err(error) => {
            assert!(expected.is_none(), "refused a legal field: {error}");
            assert_one_line(&error.to_string());
        }
    }
}

/// The shapes of other targets; one whose map takes 2⁵⁴ bytes; one whose map ends within a byte. Then the slices of files:
/// 10 in three blocks of four, four and two, and the largest number that a file may have.
fn shapes() -> impl Iterator<Item = Layout> {
    let layout = |(length, size)| Layout::new(length, size).ok();
    let more = [(1 << 57, 1), (1000, 10)].into_iter().filter_map(layout);
    let divided = [((2 << 18) + 70_000, 256 << 10), (200 << 30, 1 << 20)];
    let slices = divided.into_iter().filter_map(layout).filter_map(|layout| layout.sliced());
    layouts::all().chain(more).chain(slices)
}

/// The rule: the bytes of each known item, its type and length included; `None` if anything is wrong.
pub(crate) fn items(layout: &Layout, mut field: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut known, mut count) = (Vec::new(), 0);
    while !field.is_empty() {
        count += 1;
        let kind = number(field, 0, 1)?;
        let end = 3 + usize::try_from(number(field, 1, 2)?).ok()?;
        let (item, value) = (field.get(..end)?, field.get(3..end)?);
        if count > 16 || !is_right(layout, kind, value) {
            return None;
        }
        if (1..=12).contains(&kind) || kind == 17 {
            known.push(item.to_vec());
        }
        field = field.get(end..)?;
    }
    Some(known)
}

fn is_right(layout: &Layout, kind: u64, value: &[u8]) -> bool {
    let blocks = u128::from(layout.blocks());
    match kind {
        1 | 2 | 7 | 12 => value.is_empty(),
        3 => {
            let (Some(first), Some(bits)) = (number(value, 0, 8).map(u128::from), value.get(8..)) else {
                return false;
            };
            let ends_in_time = first + bits.len() as u128 * 8 < blocks + 8;
            let set = (first..).zip(bits.iter().flat_map(|byte| (0..8).map(move |bit| byte << bit & 0x80)));
            let in_file = set.filter(|(_, bit)| *bit != 0).all(|(block, _)| block < blocks);
            first % 8 == 0 && !bits.is_empty() && ends_in_time && in_file
        }
        4 | 5 => value.len().is_multiple_of(12) && value.chunks(12).all(|run| is_run(run, blocks)),
        6 | 9 => value.len().is_multiple_of(6),
        10 | 11 => value.len().is_multiple_of(18),
        8 => value.len() == 2,
        17 => value.len() == 32,
        _ => true,
    }
}

fn is_run(run: &[u8], blocks: u128) -> bool {
    let (Some(first), Some(count)) = (number(run, 0, 8), number(run, 8, 4)) else { return false };
    count > 0 && u128::from(first) + u128::from(count) <= blocks
}

/// What is done with an item later stays within the file.
fn check_item(layout: &Layout, item: &Item) {
    match item {
        Item::Have(runs) | Item::Offer(runs) => runs.iter().for_each(|run| check_run(layout, *run)),
        Item::Map { first, bits } => {
            let block = layout.block(*first);
            assert!(block.is_some() && !bits.is_empty(), "a map from block {first} of {layout:?}");
        }
        Item::Everything
        | Item::Choosing
        | Item::Peers(_)
        | Item::PlainPeers(_)
        | Item::WidePeers(_)
        | Item::WidePlainPeers(_)
        | Item::Goodbye
        | Item::Load(_)
        | Item::Slices
        | Item::State(_) => {}
    }
}

fn check_run(layout: &Layout, run: Run) {
    let first = run.first.number();
    let last = layout.block(first + u64::from(run.count) - 1);
    assert!(layouts::check_block(layout, first).is_some() && last.is_some(), "{run:?} of {layout:?}");
    let some: Vec<u64> = run.blocks(layout).take(100).map(Block::number).collect();
    assert!(some.iter().copied().eq((first..).take(some.len())), "{some:?}");
    assert_eq!(some.len() as u64, u64::from(run.count).min(100));
}

/// Every item, alone and with others, and fields that are wrong.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    // The shape of 100 blocks is the seventh; then come those of slices.
    let field = |items: &[&[u8]]| join(&[&[6], &items.concat()]);
    let of_slices = |items: &[&[u8]]| join(&[&[7], &items.concat()]);
    let item = |kind: u8, value: &[u8]| {
        join(&[&[kind], &u16::try_from(value.len()).unwrap_or(0).to_be_bytes(), value])
    };
    let run = |first: u64, count: u32| join(&[&first.to_be_bytes(), &count.to_be_bytes()]);
    let map = |first: u64, bits: &[u8]| item(3, &join(&[&first.to_be_bytes(), bits]));
    let wide = join(&[&[0x20, 1, 0x0d, 0xb8], &[0; 11], &[7, 0x1b, 0x59]]);
    let (everything, goodbye) = (item(1, &[]), item(7, &[]));
    vec![
        ("nothing", field(&[])),
        ("everything", field(&[&everything])),
        ("choosing-and-offers", field(&[&item(2, &[]), &item(5, &join(&[&run(0, 4), &run(9, 1)]))])),
        ("map", field(&[&map(0, &[0xff; 12]), &map(96, &[0xf0])])),
        ("map-with-a-spare-bit", field(&[&map(96, &[0xf8])])),
        ("map-between-bytes", field(&[&map(4, &[1])])),
        ("map-of-nothing", field(&[&map(8, &[])])),
        ("map-past-the-end", field(&[&map(104, &[0])])),
        ("map-number-overflows", field(&[&map(u64::MAX - 7, &[1, 1])])),
        ("have", field(&[&item(4, &run(5, 95))])),
        ("have-past-the-end", field(&[&item(4, &run(5, 96))])),
        ("have-nothing", field(&[&item(4, &run(5, 0))])),
        ("have-number-overflows", field(&[&item(4, &run(u64::MAX, u32::MAX))])),
        ("peers", field(&[&item(6, &[10, 0, 0, 7, 0x1b, 0x59]), &item(9, &[10, 0, 0, 8, 0, 0])])),
        ("peers-cut", field(&[&item(6, &[10, 0, 0, 7, 0x1b])])),
        ("wide-peers", field(&[&item(10, &wide), &item(11, &wide.repeat(2))])),
        ("wide-peers-cut", field(&[&item(11, &[0; 17])])),
        ("load-and-goodbye", field(&[&item(8, &[1, 2]), &goodbye])),
        ("load-too-long", field(&[&item(8, &[0, 1, 2])])),
        ("slices", field(&[&item(12, &[]), &everything])),
        ("slices-with-a-value", field(&[&item(12, &[1])])),
        ("slices-of-a-map-and-a-run", of_slices(&[&map(0, &[0xf0, 0xc0]), &item(4, &run(3, 7))])),
        ("slices-past-the-end", of_slices(&[&item(4, &run(8, 3))])),
        ("slices-in-great-number", join(&[&[8], &item(5, &run(1_638_399, 1)), &item(4, &run(0, 1_638_400))])),
        ("state", of_slices(&[&item(17, &[0xa5; 32]), &item(4, &run(4, 1))])),
        ("state-cut", of_slices(&[&item(17, &[0xa5; 31])])),
        ("unknown-items", field(&[&item(0, b"?"), &item(99, b"later"), &goodbye])),
        ("sixteen-items", field(&[goodbye.repeat(16).as_slice()])),
        ("seventeen-items", field(&[goodbye.repeat(17).as_slice()])),
        ("an-item-that-is-cut", field(&[&everything, &[4, 0, 12, 0]])),
        ("a-header-that-is-cut", field(&[&everything, &[4, 0]])),
        ("empty-file", join(&[&[0], &everything, &item(4, &run(0, 1))])),
        ("the-longest-file", join(&[&[5], &map(1 << 56, &[0xff; 40]), &item(5, &run(1 << 56, u32::MAX))])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_that_the_seeds_name() {
        let blocks: Vec<u64> = shapes().map(|layout| layout.blocks()).collect();
        assert_eq!(
            (blocks.len(), blocks.first(), blocks.get(5), blocks.get(6)),
            (9, Some(&0), Some(&(1 << 57)), Some(&100))
        );
        assert_eq!(blocks.get(7..), Some(&[10, 1_638_400][..]));
    }

    #[test]
    fn the_seeds_are_right_or_wrong_as_their_names_say() {
        let all: Vec<Layout> = shapes().collect();
        let right = |bytes: &[u8]| items(&all[usize::from(bytes[0])], &bytes[1..]).is_some();
        let wrong: Vec<&str> =
            seeds().iter().filter(|(_, bytes)| !right(bytes)).map(|(name, _)| *name).collect();
        let expected = [
            "map-with-a-spare-bit",
            "map-between-bytes",
            "map-of-nothing",
            "map-past-the-end",
            "map-number-overflows",
            "have-past-the-end",
            "have-nothing",
            "have-number-overflows",
            "peers-cut",
            "wide-peers-cut",
            "load-too-long",
            "slices-with-a-value",
            "slices-past-the-end",
            "state-cut",
            "seventeen-items",
            "an-item-that-is-cut",
            "a-header-that-is-cut",
            "empty-file",
        ];
        assert_eq!(wrong, expected);
    }
}
