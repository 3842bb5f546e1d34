//! Sizes and rates on the command line and in tables.

use cascade_format::units::{Bytes, SizeError, parse_nonzero_size};
use std::num::NonZeroU64;

/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;

/// Reads a size of at least one byte, as everywhere in the project: `1048576`, `64KiB`, `1m`.
///
/// # Errors
/// It is none.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    parse_nonzero_size(text).map(NonZeroU64::get)
}

/// A size for a table: `64 KiB`, `1 GiB`, `23.4 MiB`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    format!("{:#}", Bytes(bytes))
}

/// Mebibytes a second.
#[must_use]
pub fn mib_per_second(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / MIB as f64 / seconds
}
