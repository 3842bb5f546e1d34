//! Buffers that begin with a page.
//!
//! On some processors (AMD's of the Zen 3 kind) the system copies into a buffer that does not begin with a cache
//! line at less than half the speed.

use std::ops::{Deref, DerefMut};

/// What a buffer's address is a multiple of.
const PAGE: usize = 4096;

/// A buffer whose first byte is a page's first.
#[derive(Debug)]
pub(crate) struct PageBuffer {
    bytes: Box<[u8]>,
    start: usize,
    length: usize,
}

impl PageBuffer {
    /// A buffer of `length` zeroes.
    pub(crate) fn new(length: usize) -> Self {
        let bytes = vec![0; length + PAGE].into_boxed_slice();
        // The heap does not move while the box lives.
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Self { bytes, start, length }
    }
}

impl Deref for PageBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..self.start + self.length).unwrap_or_default()
    }
}

impl DerefMut for PageBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.start + self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_has_its_length_and_begins_with_a_page() {
        for length in [0, 1, 4096, 100_000] {
            let mut buffer = PageBuffer::new(length);
            assert_eq!(buffer.len(), length);
            assert_eq!(buffer.as_ptr() as usize % PAGE, 0);
            buffer.fill(7);
            assert!(buffer.iter().all(|byte| *byte == 7));
        }
    }
}
