//! One stream of bytes on its way to its hash.

use crate::compress::{self, CHUNK, State};

/// The initial chaining value: FIPS 180-4, §5.3.3.
const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A SHA-256 hash in the making. Takes some hundred bytes; a clone goes on independently.
#[derive(Clone)]
pub struct Sha256Stream {
    pub(crate) state: State,
    /// Bytes that do not make up a whole chunk yet: the first `len % 64` of these.
    buffer: [u8; CHUNK],
    /// Bytes seen.
    len: u64,
}

impl Default for Sha256Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Sha256Stream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sha256Stream").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Sha256Stream {
    /// A stream that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: INITIAL, buffer: [0; CHUNK], len: 0 }
    }

    /// A stream that has seen `len` bytes and has this [`state`](Self::state); `None` if `len` is no multiple of 64.
    #[must_use]
    pub fn resumed(state: [u8; 32], len: u64) -> Option<Self> {
        if !len.is_multiple_of(CHUNK as u64) {
            return None;
        }
        let mut words = INITIAL;
        for (word, bytes) in words.iter_mut().zip(state.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        Some(Self { state: words, buffer: [0; CHUNK], len })
    }

    /// What the bytes seen have made of the initial value, if they are a multiple of 64 bytes: eight numbers of four
    /// bytes, big-endian. [`Sha256Stream::resumed`] goes on from there.
    #[must_use]
    pub fn state(&self) -> Option<[u8; 32]> {
        (self.buffered() == 0).then(|| self.hash())
    }

    /// The hash of `bytes`.
    #[must_use]
    pub fn digest(bytes: &[u8]) -> [u8; 32] {
        let mut stream = Self::new();
        stream.update(bytes);
        stream.finish()
    }

    /// Number of bytes seen, modulo 2^64.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no byte was seen.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Feeds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        let (chunks, tail) = self.top_up(bytes).as_chunks::<CHUNK>();
        compress::one(&mut self.state, chunks);
        self.take_chunks(chunks.len());
        self.keep(tail);
    }

    /// The hash of everything seen.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        let (padding, chunks) = self.padding();
        let (chunks, _) = padding[..chunks * CHUNK].as_chunks::<CHUNK>();
        compress::one(&mut self.state, chunks);
        self.hash()
    }

    /// Number of bytes in the buffer, below 64.
    pub(crate) const fn buffered(&self) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "below 64")]
        ((self.len % CHUNK as u64) as usize)
    }

    /// Completes a begun chunk with the head of `bytes`; returns the rest of them. Afterwards the
    /// buffer is empty or the rest is.
    pub(crate) fn top_up<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let begun = self.buffered();
        if begun == 0 {
            return bytes;
        }
        let (head, rest) = bytes.split_at(bytes.len().min(CHUNK - begun));
        self.keep(head);
        if self.buffered() == 0 && !head.is_empty() {
            compress::one(&mut self.state, &[self.buffer]);
        }
        rest
    }

    /// Counts `chunks` that went straight into the state.
    pub(crate) fn take_chunks(&mut self, chunks: usize) {
        self.len = self.len.wrapping_add((chunks * CHUNK) as u64);
    }

    /// Keeps bytes that make up no whole chunk, or just complete it.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        let begun = self.buffered();
        self.buffer[begun..begun + bytes.len()].copy_from_slice(bytes);
        self.len = self.len.wrapping_add(bytes.len() as u64);
    }

    /// What remains to be fed for the hash (FIPS 180-4, §5.1.1): the begun chunk, a one bit, zeroes,
    /// the length in bits; one chunk or two, and how many.
    pub(crate) fn padding(&self) -> ([u8; 2 * CHUNK], usize) {
        let begun = self.buffered();
        let chunks = if begun < CHUNK - 8 { 1 } else { 2 };
        let mut padding = [0; 2 * CHUNK];
        padding[..begun].copy_from_slice(&self.buffer[..begun]);
        padding[begun] = 0x80;
        let end = chunks * CHUNK;
        padding[end - 8..end].copy_from_slice(&self.len.wrapping_mul(8).to_be_bytes());
        (padding, chunks)
    }

    /// The state as bytes; with the padding in it, it is the hash.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn every_length_around_the_padding_borders() {
        let data: Vec<u8> = (0..300u32).map(|i| i.to_be_bytes()[3]).collect();
        for len in 0..data.len() {
            let expected: [u8; 32] = Sha256::digest(&data[..len]).into();
            assert_eq!(Sha256Stream::digest(&data[..len]), expected, "{len} bytes");
        }
    }

    #[test]
    fn a_stream_goes_on_from_its_state_between_two_chunks_alone() {
        let data: Vec<u8> = (0..1000u32).map(|i| i.to_be_bytes()[3]).collect();
        let mut stream = Sha256Stream::new();
        stream.update(&data[..640]);
        let mut resumed = Sha256Stream::resumed(stream.state().unwrap(), stream.len()).unwrap();
        resumed.update(&data[640..]);
        assert_eq!(resumed.finish(), Sha256Stream::digest(&data));
        stream.update(&data[640..641]);
        assert_eq!(stream.state(), None);
        assert!(Sha256Stream::resumed([0; 32], 641).is_none());
        assert_eq!(
            Sha256Stream::resumed(Sha256Stream::new().state().unwrap(), 0).unwrap().finish(),
            Sha256Stream::digest(&[])
        );
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_hash(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..12)) {
            let mut stream = Sha256Stream::new();
            for piece in &pieces {
                stream.update(piece);
            }
            let whole = pieces.concat();
            prop_assert_eq!(stream.len(), whole.len() as u64);
            let expected: [u8; 32] = Sha256::digest(&whole).into();
            prop_assert_eq!(stream.clone().finish(), expected);
        }
    }
}
