//! Sizes, speeds and times as people write and read them.
//!
//! Every program of the project reads a size with [`parse_size`] and prints one with [`Bytes`], so that a size that
//! one of them printed can be typed into another. A unit is 1024 of the one before.

use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

/// Units of size, each 1024 of the one before.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// No digits in front.
    #[error("a size is a number of bytes, or a number with KiB, MiB, GiB or TiB: 1048576, 100kib, 1MiB")]
    NoNumber,
    /// A decimal unit, or what some write for a binary one.
    #[error("kB, MB, GB and TB mean one thing to some and another to others: write KiB, MiB, GiB or TiB")]
    Ambiguous,
    /// Something else behind the digits.
    #[error("unknown unit: it is KiB, MiB, GiB or TiB, or k, m, g or t for short")]
    Unit,
    /// Nothing has that size.
    #[error("a size is at least one byte")]
    Zero,
    /// More than 64 bits.
    #[error("a size is below 2^64 bytes")]
    TooLarge,
}

/// Reads a number of bytes: digits, alone or with `KiB`, `MiB`, `GiB`, `TiB` or their first letters, in either case,
/// with or without a space between. 0 is a number of bytes.
///
/// # Errors
/// Everything in [`SizeError`] but [`SizeError::Zero`].
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let (number, unit) = number_and_unit(text)?;
    number.checked_mul(unit_bytes(unit)?).ok_or(SizeError::TooLarge)
}

/// [`parse_size`], where 0 makes no sense: a file or a block.
///
/// # Errors
/// Everything in [`SizeError`].
pub fn parse_nonzero_size(text: &str) -> Result<NonZeroU64, SizeError> {
    NonZeroU64::new(parse_size(text)?).ok_or(SizeError::Zero)
}

/// Splits `10 MiB` into 10 and `MiB`: the digits in front, and the trimmed text behind them, which may be empty.
///
/// # Errors
/// [`SizeError::NoNumber`], or [`SizeError::TooLarge`] for more than 64 bits.
pub fn number_and_unit(text: &str) -> Result<(u64, &str), SizeError> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    if digits.is_empty() {
        // `MB` alone lacks a number and has a doubtful unit: the second is what the user would get wrong again.
        return Err(if is_ambiguous(unit.trim()) { SizeError::Ambiguous } else { SizeError::NoNumber });
    }
    // Only digits are left: the one way to fail is a number too large.
    let number = digits.parse().map_err(|_| SizeError::TooLarge)?;
    Ok((number, unit.trim()))
}

/// Bytes in one `unit`: 1 for none or `B`, 1024 for `KiB`, `kib` or `k`, and so on up to `TiB`.
///
/// # Errors
/// [`SizeError::Ambiguous`] for `kB` and its like, [`SizeError::Unit`] for everything else.
pub fn unit_bytes(unit: &str) -> Result<u64, SizeError> {
    let one_of = |names: [&str; 2]| names.iter().any(|name| unit.eq_ignore_ascii_case(name));
    let known =
        [(["", "b"], 0), (["k", "kib"], 10), (["m", "mib"], 20), (["g", "gib"], 30), (["t", "tib"], 40)];
    match known.into_iter().find(|(names, _)| one_of(*names)) {
        Some((_, shift)) => Ok(1 << shift),
        None if is_ambiguous(unit) => Err(SizeError::Ambiguous),
        None => Err(SizeError::Unit),
    }
}

fn is_ambiguous(unit: &str) -> bool {
    ["kb", "mb", "gb", "tb"].iter().any(|name| unit.eq_ignore_ascii_case(name))
}

/// A number of bytes. `{}` is for what was measured and always has a decimal: `640 B`, `1.0 GiB`. `{:#}` is for what
/// somebody chose and has one only where it is needed: `64 KiB`, `1.5 KiB`. Both round down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each unit is ten bits more than the one before.
        let unit = self.0.checked_ilog2().unwrap_or(0) / 10;
        let name = usize::try_from(unit).ok().and_then(|unit| UNITS.get(unit)).copied().unwrap_or_default();
        if unit == 0 || f.alternate() && self.0.trailing_zeros() >= 10 * unit {
            return write!(f, "{} {name}", self.0 >> (10 * unit));
        }
        let tenths = (u128::from(self.0) * 10) >> (10 * unit);
        write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// A mean speed: `1.5 GiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    /// Bytes moved.
    pub bytes: u64,
    /// In this time. A time of zero counts as a microsecond.
    pub time: Duration,
}

impl Speed {
    /// Bytes a second.
    #[must_use]
    pub fn bytes_per_second(&self) -> u64 {
        let micros = self.time.as_micros().max(1);
        u64::try_from(u128::from(self.bytes) * 1_000_000 / micros).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Bytes(self.bytes_per_second()))
    }
}

/// A span of time: `0.35 s`, `12.3 s`, `4 min 05 s`, `2 h 07 min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match seconds {
            0..10 => write!(f, "{seconds}.{:02} s", millis / 10),
            10..60 => write!(f, "{seconds}.{} s", millis / 100),
            60..3600 => write!(f, "{} min {:02} s", seconds / 60, seconds % 60),
            _ => write!(f, "{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::{format, vec::Vec};
    use proptest::prelude::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, size) in [
            ("1048576", 1 << 20),
            ("1MiB", 1 << 20),
            ("100kib", 100 << 10),
            (" 2 GiB ", 2 << 30),
            ("64K", 64 << 10),
            ("3t", 3 << 40),
            ("5 B", 5),
            ("0", 0),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text), Ok(size), "{text:?}");
        }
    }

    #[test]
    fn wrong_sizes_are_named() {
        for (text, error) in [
            ("", SizeError::NoNumber),
            ("MiB", SizeError::NoNumber),
            ("-1", SizeError::NoNumber),
            ("1MB", SizeError::Ambiguous),
            ("10kb", SizeError::Ambiguous),
            ("1.5MiB", SizeError::Unit),
            ("1x", SizeError::Unit),
            ("10 blocks", SizeError::Unit),
            ("0", SizeError::Zero),
            ("0GiB", SizeError::Zero),
            ("18446744073709551616", SizeError::TooLarge),
            ("17179869184GiB", SizeError::TooLarge),
        ] {
            assert_eq!(parse_nonzero_size(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn numbers_and_units_are_split_for_others() {
        assert_eq!(number_and_unit("80 Mbit/s"), Ok((80, "Mbit/s")));
        assert_eq!(number_and_unit("7"), Ok((7, "")));
        assert_eq!(number_and_unit("Mbit/s"), Err(SizeError::NoNumber));
    }

    #[test]
    fn bytes_measured_and_chosen() {
        for (bytes, measured, chosen) in [
            (0, "0 B", "0 B"),
            (1023, "1023 B", "1023 B"),
            (1024, "1.0 KiB", "1 KiB"),
            (1536, "1.5 KiB", "1.5 KiB"),
            (5_458_199, "5.2 MiB", "5.2 MiB"),
            (1 << 30, "1.0 GiB", "1 GiB"),
            ((1 << 30) + 1, "1.0 GiB", "1.0 GiB"),
            ((1 << 40) - 1, "1023.9 GiB", "1023.9 GiB"),
            (u64::MAX, "15.9 EiB", "15.9 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), measured);
            assert_eq!(format!("{:#}", Bytes(bytes)), chosen);
        }
    }

    #[test]
    fn speeds() {
        let speed = |bytes, millis| Speed { bytes, time: Duration::from_millis(millis) }.to_string();
        assert_eq!(speed(1 << 30, 500), "2.0 GiB/s");
        assert_eq!(speed(0, 0), "0 B/s");
        assert_eq!(speed(u64::MAX, 0), "15.9 EiB/s");
    }

    #[test]
    fn spans() {
        let span = |millis| Span(Duration::from_millis(millis)).to_string();
        assert_eq!(span(0), "0.00 s");
        assert_eq!(span(356), "0.35 s");
        assert_eq!(span(12_345), "12.3 s");
        assert_eq!(span(245_000), "4 min 05 s");
        assert_eq!(span(7_620_000), "2 h 07 min");
    }

    proptest! {
        #[test]
        fn parsing_is_total(text: String) {
            let _ = parse_size(&text);
        }

        #[test]
        fn a_number_with_a_unit_is_that_many_of_it(
            number in 0_u64..1 << 24,
            unit in 0_usize..5,
            short: bool,
            upper: bool,
            space in " {0,2}",
        ) {
            let name: String = UNITS[unit].chars().take(if short { 1 } else { 3 }).collect();
            let name = if upper { name.to_uppercase() } else { name.to_lowercase() };
            prop_assert_eq!(parse_size(&format!("{number}{space}{name}")), Ok(number << (10 * unit)));
        }

        #[test]
        fn a_chosen_size_is_read_as_it_was_printed(number in 1_u64..1024, unit in 0_usize..5) {
            let size = number << (10 * unit);
            prop_assert_eq!(parse_size(&format!("{:#}", Bytes(size))), Ok(size));
        }

        #[test]
        fn what_is_printed_is_at_most_a_tenth_of_a_unit_too_small(bytes: u64) {
            let text = Bytes(bytes).to_string();
            let (number, unit) = text.split_once(' ').unwrap();
            let parts: Vec<u128> = number.split('.').map(|part| part.parse().unwrap()).collect();
            let tenths = parts[0] * 10 + parts.get(1).copied().unwrap_or(0);
            let unit = 1024_u128.pow(u32::try_from(UNITS.iter().position(|name| *name == unit).unwrap()).unwrap());
            let exact = u128::from(bytes) * 10;
            prop_assert!(tenths * unit <= exact && exact < (tenths + 1) * unit, "{} {}", bytes, text);
        }
    }
}
