//! Layouts that a hostile message may meet.

use cascade_format::{Block, Layout};

/// The empty file, one short block, many blocks with a short last one, even blocks, the largest.
const SHAPES: [(u64, u64); 5] = [(0, 64), (5, u64::MAX), (1000, 64), (128, 64), (i64::MAX as u64, 1 << 32)];

/// The layouts of [`SHAPES`].
pub(crate) fn all() -> impl Iterator<Item = Layout> {
    SHAPES.into_iter().filter_map(|(length, block_size)| Layout::new(length, block_size).ok())
}

/// Compares block `number` of `layout` with the protocol's rule, in numbers that cannot overflow.
pub(crate) fn check_block(layout: &Layout, number: u64) -> Option<Block> {
    if layout.slices_a_block() > 1 {
        return check_slice(layout, number);
    }
    let (length, size) = (u128::from(layout.length()), u128::from(layout.block_size()));
    let start = u128::from(number) * size;
    let block = layout.block(number);
    assert_eq!(block.is_some(), start < length, "block {number} of {layout:?}");
    if let Some(block) = block {
        let range = layout.range(block);
        assert_eq!(u128::from(range.start), start, "block {number} of {layout:?}");
        assert_eq!(u128::from(range.end), (start + size).min(length), "block {number} of {layout:?}");
    }
    block
}

/// The same of a slice: the slices of a block are numbered from its end.
fn check_slice(layout: &Layout, number: u64) -> Option<Block> {
    let (length, size) = (u128::from(layout.length()), u128::from(layout.block_size()));
    let slices = u128::from(layout.slices_a_block());
    let in_front = u128::from(number) / slices * slices;
    let whole_end = ((in_front + slices) * size).min(length);
    let slice = layout.block(number);
    assert_eq!(slice.is_some(), u128::from(number) * size < length, "slice {number} of {layout:?}");
    if let Some(slice) = slice {
        // From the end of its block: first what is left behind its full slices.
        let full = whole_end.div_ceil(size) - 1;
        let start = (full - (u128::from(number) - in_front)) * size;
        let range = layout.range(slice);
        assert_eq!(u128::from(range.start), start, "slice {number} of {layout:?}");
        assert_eq!(u128::from(range.end), (start + size).min(whole_end), "slice {number} of {layout:?}");
    }
    slice
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_shape_is_legal() {
        assert_eq!(super::all().count(), super::SHAPES.len());
    }
}
