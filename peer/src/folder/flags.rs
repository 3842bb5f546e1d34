//! A bit for each entry of an archive.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits that several threads set and read.
#[derive(Debug)]
pub(super) struct Flags(Box<[AtomicU64]>);

impl Flags {
    /// `count` bits, none of them set.
    pub(super) fn new(count: u32) -> Self {
        Self((0..count.div_ceil(u64::BITS)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether bit `number` is set. One that is not there is not set.
    pub(super) fn has(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        self.0.get(word).is_some_and(|word| word.load(Ordering::Acquire) & bit != 0)
    }

    /// Sets bit `number`, or clears it.
    pub(super) fn set(&self, number: u32, value: bool) {
        let (word, bit) = place(number);
        let Some(word) = self.0.get(word) else { return };
        if value {
            word.fetch_or(bit, Ordering::AcqRel);
        } else {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }
}

fn place(number: u32) -> (usize, u64) {
    ((number / u64::BITS) as usize, 1 << (number % u64::BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_its_own() {
        let flags = Flags::new(130);
        for number in [0, 63, 64, 129] {
            flags.set(number, true);
        }
        flags.set(64, false);
        flags.set(1000, true);
        let set: Vec<u32> = (0..1001).filter(|number| flags.has(*number)).collect();
        assert_eq!(set, [0, 63, 129]);
    }
}
