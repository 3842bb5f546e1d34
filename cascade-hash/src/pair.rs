//! Two streams at once.

use crate::Sha256Stream;
use crate::compress::{self, CHUNK};

/// Feeds the same `bytes` into two streams, for little more than the price of one.
///
/// It is fastest when both have seen the same number of bytes modulo 64, as the stream of a whole file
/// and that of a block do when the block starts at a multiple of 64; otherwise it is [`update_two`].
pub fn update_both(a: &mut Sha256Stream, b: &mut Sha256Stream, bytes: &[u8]) {
    if a.buffered() != b.buffered() {
        return update_two(a, bytes, b, bytes);
    }
    let rest = a.top_up(bytes);
    b.top_up(bytes);
    let (chunks, tail) = rest.as_chunks::<CHUNK>();
    compress::both(&mut a.state, &mut b.state, chunks);
    for stream in [a, b] {
        stream.take_chunks(chunks.len());
        stream.keep(tail);
    }
}

/// Feeds different bytes into two streams, for little more than the price of the longer one. Any
/// lengths are right; equal ones are fastest.
pub fn update_two(a: &mut Sha256Stream, bytes_a: &[u8], b: &mut Sha256Stream, bytes_b: &[u8]) {
    let (chunks_a, tail_a) = a.top_up(bytes_a).as_chunks::<CHUNK>();
    let (chunks_b, tail_b) = b.top_up(bytes_b).as_chunks::<CHUNK>();
    compress::two(&mut a.state, chunks_a, &mut b.state, chunks_b);
    a.take_chunks(chunks_a.len());
    a.keep(tail_a);
    b.take_chunks(chunks_b.len());
    b.keep(tail_b);
}

/// The hashes of two streams: like [`Sha256Stream::finish`] of both, which matters for short blocks.
#[must_use]
pub fn finish_pair(mut a: Sha256Stream, mut b: Sha256Stream) -> ([u8; 32], [u8; 32]) {
    let ((padding_a, count_a), (padding_b, count_b)) = (a.padding(), b.padding());
    let (chunks_a, chunks_b) = (padding_a.as_chunks::<CHUNK>().0, padding_b.as_chunks::<CHUNK>().0);
    compress::two(&mut a.state, &chunks_a[..count_a], &mut b.state, &chunks_b[..count_b]);
    (a.hash(), b.hash())
}

/// The hashes of two texts, for little more than the price of the longer one.
#[must_use]
pub fn digest_pair(bytes_a: &[u8], bytes_b: &[u8]) -> ([u8; 32], [u8; 32]) {
    let (mut a, mut b) = (Sha256Stream::new(), Sha256Stream::new());
    update_two(&mut a, bytes_a, &mut b, bytes_b);
    finish_pair(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    fn expected(bytes: &[u8]) -> [u8; 32] {
        Sha256::digest(bytes).into()
    }

    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..8)
    }

    proptest! {
        /// `ahead` puts the streams into every relative alignment.
        #[test]
        fn update_both_is_two_updates(ahead_a: Vec<u8>, ahead_b: Vec<u8>, same in any::<bool>(), pieces in pieces()) {
            let ahead_b = if same { ahead_a.clone() } else { ahead_b };
            let (mut a, mut b) = (Sha256Stream::new(), Sha256Stream::new());
            a.update(&ahead_a);
            b.update(&ahead_b);
            for piece in &pieces {
                update_both(&mut a, &mut b, piece);
            }
            let (whole_a, whole_b) = ([ahead_a, pieces.concat()].concat(), [ahead_b, pieces.concat()].concat());
            prop_assert_eq!((a.len(), b.len()), (whole_a.len() as u64, whole_b.len() as u64));
            prop_assert_eq!(finish_pair(a, b), (expected(&whole_a), expected(&whole_b)));
        }

        #[test]
        fn update_two_is_two_updates(pieces in prop::collection::vec(prop::collection::vec(any::<(u8, bool)>(), 0..400), 0..8)) {
            let (mut a, mut b) = (Sha256Stream::new(), Sha256Stream::new());
            let (mut whole_a, mut whole_b) = (Vec::new(), Vec::new());
            for piece in &pieces {
                let to_a: Vec<u8> = piece.iter().map(|(byte, _)| *byte).collect();
                let to_b: Vec<u8> = piece.iter().filter(|(_, both)| *both).map(|(byte, _)| !*byte).collect();
                update_two(&mut a, &to_a, &mut b, &to_b);
                whole_a.extend(to_a);
                whole_b.extend(to_b);
            }
            prop_assert_eq!((a.finish(), b.finish()), (expected(&whole_a), expected(&whole_b)));
        }

        #[test]
        fn digest_pair_is_two_digests(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(digest_pair(&a, &b), (expected(&a), expected(&b)));
            prop_assert_eq!(digest_pair(&a, &a), (expected(&a), expected(&a)));
        }
    }

    #[test]
    fn long_inputs_of_every_tail() {
        let data: Vec<u8> = (0..70_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for tail in 0..130 {
            let (a, b) = (&data[tail..], &data[..data.len() - 2 * tail]);
            assert_eq!(digest_pair(a, b), (expected(a), expected(b)), "tail {tail}");
            let (mut x, mut y) = (Sha256Stream::new(), Sha256Stream::new());
            update_both(&mut x, &mut y, a);
            assert_eq!(finish_pair(x, y), (expected(a), expected(a)), "tail {tail}");
        }
    }
}
