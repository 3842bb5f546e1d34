//! The compression function: one state, or two states at once where the processor gains by it.

#[cfg(target_arch = "x86_64")]
mod chosen;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Length of one input block of SHA-256, in bytes.
pub(crate) const CHUNK: usize = 64;

/// The chaining value of a stream.
pub(crate) type State = [u32; 8];

/// Feeds `chunks` into `state`.
pub(crate) fn one(state: &mut State, chunks: &[[u8; CHUNK]]) {
    sha2::block_api::compress256(state, chunks);
}

/// Feeds the same `chunks` into both states.
pub(crate) fn both(a: &mut State, b: &mut State, chunks: &[[u8; CHUNK]]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = chosen::kernel() {
        return kernel.both(a, b, chunks);
    }
    one(a, chunks);
    one(b, chunks);
}

/// Feeds `chunks_a` into `a` and `chunks_b` into `b`; they may differ in number.
pub(crate) fn two(a: &mut State, chunks_a: &[[u8; CHUNK]], b: &mut State, chunks_b: &[[u8; CHUNK]]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = chosen::kernel() {
        let common = chunks_a.len().min(chunks_b.len());
        let (paired_a, rest_a) = chunks_a.split_at(common);
        let (paired_b, rest_b) = chunks_b.split_at(common);
        kernel.two(a, paired_a, b, paired_b);
        one(a, rest_a);
        one(b, rest_b);
        return;
    }
    one(a, chunks_a);
    one(b, chunks_b);
}

/// Whether [`both`] and [`two`] are more than one stream after the other.
pub(crate) fn has_pair_kernel() -> bool {
    #[cfg(target_arch = "x86_64")]
    return chosen::kernel().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// What [`both`] and [`two`] run on.
pub(crate) fn pair_kernel() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if chosen::kernel().is_some() {
        return x86::Kernel::NAME;
    }
    "one stream after the other"
}
