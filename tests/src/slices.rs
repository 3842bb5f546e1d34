//! Slices of large blocks, made and verified as `docs/protocol.md` says.

use crate::cascade_file::{TestFile, sha256};
use sha2::block_api::compress256;
use std::ops::Range;

/// The initial value of SHA-256 (FIPS 180-4, 5.3.3).
pub const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A state of SHA-256, as it is sent.
pub type State = [u8; 32];

/// The slices of one file, with the states in front of them.
#[derive(Debug, Clone)]
pub struct Slices {
    /// The name by which they are requested.
    pub name: [u8; 32],
    file: TestFile,
    /// Length of a slice, in bytes.
    len: usize,
    /// Slices of a block.
    a_block: usize,
    /// By the numbers of the slices.
    states: Vec<State>,
}

impl Slices {
    /// The slices of `file`; `None` if its blocks are not divided.
    #[must_use]
    pub fn of(file: &TestFile) -> Option<Self> {
        let divided = |parts: &usize| {
            let len = file.block_size / parts;
            file.block_size.is_multiple_of(64 * parts)
                && len >= 65_536
                && file.data.len().div_ceil(len) <= 1 << 21
        };
        let short = file.blocks() > 1 && file.block_size <= 16 << 20;
        let a_block = [64, 32, 16, 8, 4, 2].into_iter().find(divided).filter(|_| short)?;
        let name = sha256(&[b"cascade slices", &file.hash[..]].concat());
        let mut slices =
            Self { name, file: file.clone(), len: file.block_size / a_block, a_block, states: Vec::new() };
        slices.states = file.data.chunks(file.block_size).flat_map(|block| slices.states_of(block)).collect();
        Some(slices)
    }

    /// The states in front of the slices of a block, in the order of the numbers of the slices.
    fn states_of(&self, block: &[u8]) -> Vec<State> {
        let mut state = INITIAL;
        let mut states = Vec::new();
        for slice in block.chunks(self.len) {
            states.push(bytes_of(state));
            if slice.len() == self.len {
                feed(&mut state, slice);
            }
        }
        states.reverse();
        states
    }

    /// Number of slices of the file.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.states.len() as u64
    }

    /// Number of slices of each block but perhaps the last.
    #[must_use]
    pub fn a_block(&self) -> u64 {
        self.a_block as u64
    }

    /// The slices of a block.
    #[must_use]
    pub fn of_block(&self, block: u64) -> Range<u64> {
        let first = block * self.a_block();
        first..self.count().min(first + self.a_block())
    }

    /// The bytes of slice `number` in the file.
    fn range(&self, number: u64) -> Option<Range<usize>> {
        if number >= self.count() {
            return None;
        }
        let block = number / self.a_block();
        let of_block = self.of_block(block);
        let place = usize::try_from(of_block.end - 1 - number).ok()?;
        let start = usize::try_from(block).ok()? * self.file.block_size + place * self.len;
        Some(start..self.file.data.len().min(start + self.len))
    }

    /// The bytes of a slice; `None` where there is no such slice.
    #[must_use]
    pub fn bytes(&self, number: u64) -> Option<&[u8]> {
        self.file.data.get(self.range(number)?)
    }

    /// The state in front of a slice.
    ///
    /// # Panics
    /// There is no such slice.
    #[must_use]
    pub fn state(&self, number: u64) -> State {
        self.states[usize::try_from(number).expect("a small file")]
    }

    /// Fails unless these are the bytes of slice `number`, and the state leads to what is known of its block.
    ///
    /// # Panics
    /// They are not, or it does not.
    #[track_caller]
    pub fn assert_right(&self, number: u64, state: State, bytes: &[u8]) {
        assert!(self.bytes(number) == Some(bytes), "slice {number} came with other bytes");
        assert_eq!(state, self.state(number), "the state in front of slice {number}");
        let block = number / self.a_block();
        if number == self.of_block(block).start {
            assert_eq!(
                self.hash_from(number, state, bytes),
                sha256(self.file.block(block).expect("its block"))
            );
        } else {
            assert_eq!(led_to(state, bytes), self.state(number - 1), "what slice {number} leads to");
        }
    }

    /// The hash of a block of which the last slice is `number`, if this state is in front of it.
    fn hash_from(&self, number: u64, state: State, bytes: &[u8]) -> [u8; 32] {
        let block = self.file.block(number / self.a_block()).expect("its block");
        let mut end = [bytes, &[0x80]].concat();
        end.resize((end.len() + 8).next_multiple_of(64), 0);
        let at = end.len() - 8;
        end[at..].copy_from_slice(&(block.len() as u64 * 8).to_be_bytes());
        led_to(state, &end)
    }
}

/// The state to which `bytes`, a multiple of 64, lead from `state`.
#[must_use]
pub fn led_to(state: State, bytes: &[u8]) -> State {
    let mut numbers = INITIAL;
    for (number, bytes) in numbers.iter_mut().zip(state.chunks(4)) {
        *number = bytes.iter().fold(0, |all, byte| (all << 8) | u32::from(*byte));
    }
    feed(&mut numbers, bytes);
    bytes_of(numbers)
}

fn feed(state: &mut [u32; 8], bytes: &[u8]) {
    compress256(state, bytes.as_chunks().0);
}

fn bytes_of(state: [u32; 8]) -> State {
    let mut bytes = [0; 32];
    bytes.chunks_mut(4).zip(state).for_each(|(to, number)| to.copy_from_slice(&number.to_be_bytes()));
    bytes
}
