//! Two SHA-256 streams interleaved, with the SHA instructions of x86-64.
//!
//! `sha256rnds2` has a latency of four cycles and may start every second one: a single stream, whose
//! every instruction waits for the one before, leaves half of the unit idle. The instructions of two
//! streams alternate here, so that each fills the other's gaps.
//!
//! Then the unit is the limit, and `sha256msg1` and `sha256msg2`, which run on it too, take a third of
//! it. Where the processor has AVX-512 (for its rotations), the message schedules move to the ordinary
//! vector units, of four chunks at a time, one to a 128-bit lane, and ahead of the rounds by as much, so
//! that both kinds of unit are busy. Four chunks, because a schedule alone is a chain of latencies too.
//! Not every processor likes that: the SHA instructions exist in the old encoding only, and some that have
//! both need a hundred times as long where the two encodings meet. So [`super`] measures before it uses one.
//!
//! This is the one file of the crate with `unsafe`: the intrinsics themselves are safe to call in a
//! function that has the features; unsafe are the unaligned loads and stores through pointers, and the
//! call of such a function from one that has not.
#![allow(unsafe_code, reason = "intrinsics; each use states why it is sound, the tests compare with sha2")]

use super::{CHUNK, State};
use core::arch::x86_64::{
    __m128i, __m512i, _mm_add_epi32, _mm_alignr_epi8, _mm_loadu_si128, _mm_set_epi64x, _mm_sha256msg1_epu32,
    _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_storeu_si128,
    _mm512_add_epi32, _mm512_alignr_epi8, _mm512_broadcast_i32x4, _mm512_bslli_epi128, _mm512_bsrli_epi128,
    _mm512_castsi128_si512, _mm512_extracti32x4_epi32, _mm512_inserti32x4, _mm512_ror_epi32,
    _mm512_setzero_si512, _mm512_srli_epi32, _mm512_ternarylogic_epi32,
};
use core::ops::Range;

/// Which instructions there are. Made by [`Kernel::all`] alone, so it is the proof that they exist.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    /// Besides SHA there are AVX-512 F and BW.
    wide: bool,
}

impl Kernel {
    /// Every kernel that this processor can run: none without SHA instructions.
    pub(super) fn all() -> Vec<Self> {
        let sha = is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
        let kernels = [(sha, Self { wide: false }), (sha && wide, Self { wide: true })];
        kernels.into_iter().filter(|(runs, _)| *runs).map(|(_, kernel)| kernel).collect()
    }

    /// For people.
    pub(super) const fn name(self) -> &'static str {
        if self.wide { "sha + avx512, interleaved" } else { "sha, interleaved" }
    }

    /// Feeds the same chunks into both states, with one message schedule.
    pub(super) fn both(self, a: &mut State, b: &mut State, chunks: &[[u8; CHUNK]]) {
        let (wide, rest) = chunks.split_at(if self.wide { chunks.len() / 4 * 4 } else { 0 });
        if self.wide {
            // SAFETY: `self.wide` is set only where the processor has every feature of `both_wide`.
            unsafe { both_wide(a, b, wide) };
        }
        // SAFETY: a `Kernel` exists only where the processor has every feature of `both`.
        unsafe { both(a, b, rest) }
    }

    /// Feeds pairs of chunks into two states; what one slice has more than the other is left out.
    pub(super) fn two(
        self,
        a: &mut State,
        chunks_a: &[[u8; CHUNK]],
        b: &mut State,
        chunks_b: &[[u8; CHUNK]],
    ) {
        let common = chunks_a.len().min(chunks_b.len());
        let wide = if self.wide { common / 2 * 2 } else { 0 };
        if self.wide {
            // SAFETY: `self.wide` is set only where the processor has every feature of `two_wide`.
            unsafe { two_wide(a, b, &chunks_a[..wide], &chunks_b[..wide]) };
        }
        // SAFETY: a `Kernel` exists only where the processor has every feature of `two`.
        unsafe { two(a, b, &chunks_a[wide..common], &chunks_b[wide..common]) }
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

/// Like [`both`], four chunks at a time; what remains is left out.
#[target_feature(enable = "sha,ssse3,sse4.1,avx512f,avx512bw")]
fn both_wide(a: &mut State, b: &mut State, chunks: &[[u8; CHUNK]]) {
    let (fours, _) = chunks.as_chunks::<4>();
    let Some([c0, c1, c2, c3]) = fours.first() else { return };
    let (mut va, mut vb) = (load_state(a), load_state(b));
    let (mut now, mut next) = (&mut Words::zero(), &mut Words::zero());
    let mut ahead = Wide::load([c0, c1, c2, c3]);
    ahead.first(now);
    (4..16).for_each(|step| now.0[step] = ahead.step(step));
    for at in 1..=fours.len() {
        // With the last four, the schedule of some chunks is computed for nothing.
        let [c0, c1, c2, c3] = fours.get(at).unwrap_or(&fours[0]);
        ahead = Wide::load([c0, c1, c2, c3]);
        ahead.first(next);
        rounds64::<0, 0, 5>(&mut va, &mut vb, now, &mut ahead, 4..7, next);
        rounds64::<1, 1, 5>(&mut va, &mut vb, now, &mut ahead, 7..10, next);
        rounds64::<2, 2, 5>(&mut va, &mut vb, now, &mut ahead, 10..13, next);
        rounds64::<3, 3, 5>(&mut va, &mut vb, now, &mut ahead, 13..16, next);
        core::mem::swap(&mut now, &mut next);
    }
    store_state(a, va);
    store_state(b, vb);
}

/// Like [`two`], two chunks of either stream at a time; what remains is left out.
#[target_feature(enable = "sha,ssse3,sse4.1,avx512f,avx512bw")]
fn two_wide(a: &mut State, b: &mut State, chunks_a: &[[u8; CHUNK]], chunks_b: &[[u8; CHUNK]]) {
    let (twos_a, twos_b) = (chunks_a.as_chunks::<2>().0, chunks_b.as_chunks::<2>().0);
    let (Some(first_a), Some(first_b)) = (twos_a.first(), twos_b.first()) else { return };
    let (mut va, mut vb) = (load_state(a), load_state(b));
    let (mut now, mut next) = (&mut Words::zero(), &mut Words::zero());
    let mut ahead = Wide::load([&first_a[0], &first_a[1], &first_b[0], &first_b[1]]);
    ahead.first(now);
    (4..16).for_each(|step| now.0[step] = ahead.step(step));
    for at in 1..=twos_a.len().min(twos_b.len()) {
        // With the last two, the schedule of some chunks is computed for nothing.
        let [a0, a1] = twos_a.get(at).unwrap_or(first_a);
        let [b0, b1] = twos_b.get(at).unwrap_or(first_b);
        ahead = Wide::load([a0, a1, b0, b1]);
        ahead.first(next);
        rounds64::<0, 2, 2>(&mut va, &mut vb, now, &mut ahead, 4..10, next);
        rounds64::<1, 3, 2>(&mut va, &mut vb, now, &mut ahead, 10..16, next);
        core::mem::swap(&mut now, &mut next);
    }
    store_state(a, va);
    store_state(b, vb);
}

/// All rounds of one chunk of either stream, whose words are in lanes `A` and `B` of `now`. Between them,
/// with `EVERY` fourth-rounds to each, it takes the given `steps` of the schedules `ahead`, into `next`.
#[inline]
#[target_feature(enable = "sha,ssse3,sse4.1,avx512f,avx512bw")]
fn rounds64<const A: i32, const B: i32, const EVERY: usize>(
    a: &mut Vectors,
    b: &mut Vectors,
    now: &Words,
    ahead: &mut Wide,
    steps: Range<usize>,
    next: &mut Words,
) {
    let (before_a, before_b) = (*a, *b);
    let (spread, rest) = now.0.split_at(EVERY * steps.len());
    for (step, words) in steps.zip(spread.as_chunks::<EVERY>().0) {
        next.0[step] = ahead.step(step);
        for wk in words {
            rounds4(a, b, _mm512_extracti32x4_epi32::<A>(*wk), _mm512_extracti32x4_epi32::<B>(*wk));
        }
    }
    for wk in rest {
        rounds4(a, b, _mm512_extracti32x4_epi32::<A>(*wk), _mm512_extracti32x4_epi32::<B>(*wk));
    }
    (*a, *b) = (add(*a, before_a), add(*b, before_b));
}

/// The message schedules of four chunks plus the round constants, one chunk to a lane, four rounds to a
/// vector.
struct Words([__m512i; 16]);

impl Words {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn zero() -> Self {
        Self([_mm512_setzero_si512(); 16])
    }
}

/// The sixteen words from which the message schedules of four chunks go on, oldest first, one chunk to a
/// lane.
struct Wide([__m512i; 4]);

impl Wide {
    /// The schedules' first sixteen words, which are the chunks'.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1,avx512f,avx512bw")]
    fn load(chunks: [&[u8; CHUNK]; 4]) -> Self {
        let [c0, c1, c2, c3] = chunks.map(|chunk| load_chunk(chunk));
        Self(core::array::from_fn(|i| {
            let vector = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(c0[i]), c1[i]);
            _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(vector, c2[i]), c3[i])
        }))
    }

    /// Writes the words of the first sixteen rounds.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1,avx512f,avx512bw")]
    fn first(&self, words: &mut Words) {
        for ((to, from), k) in words.0.iter_mut().zip(self.0).zip(&K) {
            *to = _mm512_add_epi32(from, _mm512_broadcast_i32x4(load(k)));
        }
    }

    /// The words of rounds `4 * step` to `4 * step + 3`, plus their constants. The steps are taken in
    /// order, from 4 to 15.
    #[inline]
    #[target_feature(enable = "sha,ssse3,sse4.1,avx512f,avx512bw")]
    fn step(&mut self, step: usize) -> __m512i {
        let [_, w1, w2, w3] = self.0;
        let newest = expand_wide(self.0);
        self.0 = [w1, w2, w3, newest];
        _mm512_add_epi32(newest, _mm512_broadcast_i32x4(load(&K[step])))
    }
}

/// The four words that follow sixteen in a message schedule (FIPS 180-4, §6.2.2, step 1). The last two
/// of them depend on the first two, so σ1 is computed twice, each time for one half.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn expand_wide([w0, w1, w2, w3]: [__m512i; 4]) -> __m512i {
    let x = _mm512_alignr_epi8::<4>(w1, w0);
    let sigma0 = xor3(_mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x), _mm512_srli_epi32::<3>(x));
    let sum = _mm512_add_epi32(_mm512_add_epi32(w0, sigma0), _mm512_alignr_epi8::<4>(w3, w2));
    let sum = _mm512_add_epi32(sum, sigma1(_mm512_bsrli_epi128::<8>(w3)));
    _mm512_add_epi32(sum, sigma1(_mm512_bslli_epi128::<8>(sum)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn sigma1(x: __m512i) -> __m512i {
    xor3(_mm512_ror_epi32::<17>(x), _mm512_ror_epi32::<19>(x), _mm512_srli_epi32::<10>(x))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor3(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0x96>(x, y, z)
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
