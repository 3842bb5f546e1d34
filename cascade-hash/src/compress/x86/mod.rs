//! Two SHA-256 streams interleaved, with the SHA instructions of x86-64.
//!
//! `sha256rnds2` has a latency of four cycles and may start every second one: a single stream, whose
//! every instruction waits for the one before, leaves half of the unit idle. The instructions of two
//! streams alternate here, so that each fills the other's gaps.
//!
//! This is the one file of the crate with `unsafe`: the intrinsics themselves are safe to call in a
//! function that has the features; unsafe are the unaligned loads and stores through pointers, and the
//! call of such a function from one that has not.
#![allow(unsafe_code, reason = "intrinsics; each use states why it is sound, the tests compare with sha2")]

use super::{CHUNK, State};
use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_loadu_si128, _mm_set_epi64x, _mm_sha256msg1_epu32,
    _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_storeu_si128,
};

/// The proof that the processor has every feature that the functions below need.
#[derive(Clone, Copy)]
pub(super) struct Kernel(());

impl Kernel {
    /// For people.
    pub(super) const NAME: &str = "sha, interleaved";

    /// `None` on a processor without SHA instructions.
    pub(super) fn detect() -> Option<Self> {
        let runs = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        runs.then_some(Self(()))
    }

    /// Feeds the same chunks into both states, with one message schedule.
    pub(super) fn both(self, a: &mut State, b: &mut State, chunks: &[[u8; CHUNK]]) {
        // SAFETY: a `Kernel` exists only where the processor has every feature of `both`.
        unsafe { both(a, b, chunks) }
    }

    /// Feeds pairs of chunks into two states; what one slice has more than the other is left out.
    pub(super) fn two(
        self,
        a: &mut State,
        chunks_a: &[[u8; CHUNK]],
        b: &mut State,
        chunks_b: &[[u8; CHUNK]],
    ) {
        // SAFETY: a `Kernel` exists only where the processor has every feature of `two`.
        unsafe { two(a, b, chunks_a, chunks_b) }
    }
}

/// The round constants, four to a vector.
static K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// A state in the order that the instructions want.
#[derive(Clone, Copy)]
struct Vectors {
    abef: __m128i,
    cdgh: __m128i,
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn both(a: &mut State, b: &mut State, chunks: &[[u8; CHUNK]]) {
    let (mut va, mut vb) = (load_state(a), load_state(b));
    for chunk in chunks {
        let (before_a, before_b) = (va, vb);
        let mut w = load_chunk(chunk);
        for (four, k) in K.iter().enumerate() {
            if four >= 4 {
                expand(&mut w, four % 4);
            }
            let wk = _mm_add_epi32(w[four % 4], load(k));
            rounds4(&mut va, &mut vb, wk, wk);
        }
        (va, vb) = (add(va, before_a), add(vb, before_b));
    }
    store_state(a, va);
    store_state(b, vb);
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn two(a: &mut State, b: &mut State, chunks_a: &[[u8; CHUNK]], chunks_b: &[[u8; CHUNK]]) {
    let (mut va, mut vb) = (load_state(a), load_state(b));
    for (chunk_a, chunk_b) in chunks_a.iter().zip(chunks_b) {
        let (before_a, before_b) = (va, vb);
        let (mut wa, mut wb) = (load_chunk(chunk_a), load_chunk(chunk_b));
        for (four, k) in K.iter().enumerate() {
            if four >= 4 {
                expand(&mut wa, four % 4);
                expand(&mut wb, four % 4);
            }
            let k = load(k);
            rounds4(&mut va, &mut vb, _mm_add_epi32(wa[four % 4], k), _mm_add_epi32(wb[four % 4], k));
        }
        (va, vb) = (add(va, before_a), add(vb, before_b));
    }
    store_state(a, va);
    store_state(b, vb);
}

/// Four rounds of either stream; `wk_a` and `wk_b` are the schedule's words plus the constants.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn rounds4(a: &mut Vectors, b: &mut Vectors, wk_a: __m128i, wk_b: __m128i) {
    a.cdgh = _mm_sha256rnds2_epu32(a.cdgh, a.abef, wk_a);
    b.cdgh = _mm_sha256rnds2_epu32(b.cdgh, b.abef, wk_b);
    a.abef = _mm_sha256rnds2_epu32(a.abef, a.cdgh, _mm_shuffle_epi32::<0x0e>(wk_a));
    b.abef = _mm_sha256rnds2_epu32(b.abef, b.cdgh, _mm_shuffle_epi32::<0x0e>(wk_b));
}

/// Replaces the oldest four words of a schedule, those at `at`, by the next four.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn expand(w: &mut [__m128i; 4], at: usize) {
    let [w0, w1, w2, w3] = [w[at], w[(at + 1) % 4], w[(at + 2) % 4], w[(at + 3) % 4]];
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
    w[at] = _mm_sha256msg2_epu32(sum, w3);
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn add(v: Vectors, before: Vectors) -> Vectors {
    Vectors { abef: _mm_add_epi32(v.abef, before.abef), cdgh: _mm_add_epi32(v.cdgh, before.cdgh) }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load(words: &[u32; 4]) -> __m128i {
    // SAFETY: `words` is readable for the 16 bytes that an unaligned load takes.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

/// The chunk's sixteen words, turned from big-endian.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_chunk(chunk: &[u8; CHUNK]) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let (quarters, _) = chunk.as_chunks::<16>();
    core::array::from_fn(|i| {
        // SAFETY: a quarter is readable for the 16 bytes that an unaligned load takes.
        let quarter = unsafe { _mm_loadu_si128(quarters[i].as_ptr().cast()) };
        _mm_shuffle_epi8(quarter, swap)
    })
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn load_state(state: &State) -> Vectors {
    let [a, b, c, d, e, f, g, h] = *state;
    Vectors { abef: load(&[f, e, b, a]), cdgh: load(&[h, g, d, c]) }
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store_state(state: &mut State, v: Vectors) {
    let [f, e, b, a] = store(v.abef);
    let [h, g, d, c] = store(v.cdgh);
    *state = [a, b, c, d, e, f, g, h];
}

#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn store(vector: __m128i) -> [u32; 4] {
    let mut words = [0; 4];
    // SAFETY: `words` is writable for the 16 bytes that an unaligned store takes.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), vector) };
    words
}

#[cfg(test)]
mod tests;
