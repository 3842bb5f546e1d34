//! SHA-256 the way Cascade needs it.
//!
//! The protocol hashes every byte twice: as a part of its block, and as a part of the whole file. The
//! processor's SHA instructions are bound by latency: one stream leaves half of the unit idle. So two
//! streams whose instructions alternate on one core take little longer than one, and when both see the
//! same 64-byte blocks, the message schedule is computed once for both.
//!
//! | function | what it does | where |
//! |---|---|---|
//! | [`Sha256Stream::update`] | one stream; the `sha2` crate's block function | everywhere |
//! | [`update_both`] | the same bytes into two streams: block and file | creating, downloading |
//! | [`update_two`], [`digest_pair`] | different bytes into two streams: two blocks | verifying |
//!
//! Without the SHA instructions of x86-64 the pairs fall back to one stream after the other.

mod compress;
mod pair;
mod stream;

pub use pair::{digest_pair, finish_pair, update_both, update_two};
pub use stream::Sha256Stream;

/// The name of the kernel that pairs of streams use on this machine, for benchmarks and bug reports.
#[must_use]
pub fn pair_kernel() -> &'static str {
    compress::pair_kernel()
}

/// Whether two streams at once cost less than one after the other on this machine.
#[must_use]
pub fn has_pair_kernel() -> bool {
    compress::has_pair_kernel()
}
