//! Limits as people write them: `10MiB/s`, `80Mbit/s`.

use cascade_format::units::unit_bytes;
use cascade_swarm::pace::{MIN_RATE, Rate};

/// Units before `/s` that no size has, in bits: the case of their letters counts, for it tells bits from bytes.
const UNITS: [(&str, u64); 10] = [
    ("B", 8),
    ("kB", 8_000),
    ("KB", 8_000),
    ("MB", 8_000_000),
    ("GB", 8_000_000_000),
    ("bit", 1),
    ("kbit", 1_000),
    ("Kbit", 1_000),
    ("Mbit", 1_000_000),
    ("Gbit", 1_000_000_000),
];

/// Digits behind the point that count.
const MAX_DECIMALS: usize = 9;

/// Why a text is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RateError {
    /// It does not begin with a number, or there is something odd in it.
    #[error("{0:?} is no number, write a number and a unit, as in 10MiB/s or 80Mbit/s")]
    Number(String),
    /// There is no unit.
    #[error("the unit is missing, write it behind the number, as in 10MiB/s or 80Mbit/s")]
    NoUnit,
    /// The unit is not one of a speed.
    #[error("a speed is so much a second: write {0}/s")]
    NoSecond(String),
    /// The letters may mean bits or bytes.
    #[error("{unit}/s may mean bits or bytes, write {bits}/s or {bytes}/s")]
    Ambiguous {
        /// What was written.
        unit: String,
        /// As bits.
        bits: String,
        /// As bytes.
        bytes: String,
    },
    /// The unit does not exist.
    #[error(
        "{0:?} is no unit, the units are B/s, KiB/s, MiB/s, GiB/s, kB/s, MB/s, GB/s, kbit/s, Mbit/s and Gbit/s"
    )]
    Unit(String),
    /// Too little.
    #[error("that is less than 1 KiB/s, the lowest limit; leave the option out for no limit")]
    TooLow,
    /// Too much.
    #[error("that is more than 1 TiB/s, the highest limit; leave the option out for no limit")]
    TooHigh,
}

/// Reads a limit: a number, perhaps with a point, then a unit of bytes or bits a second.
///
/// # Errors
/// What is wrong, with an example.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, RateError> {
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let wrong_number = || RateError::Number(if number.is_empty() { text } else { number }.to_owned());
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || decimals.is_empty() || decimals.contains('.') {
        return Err(wrong_number());
    }
    let bits = u128::from(bits_of(unit.trim_start())?);
    let decimals = decimals.get(..decimals.len().min(MAX_DECIMALS)).unwrap_or_default();
    let mut scale = 1;
    decimals.bytes().for_each(|_| scale *= 10);
    // A number with that many digits is beyond every limit.
    let whole: u128 = whole.parse().map_err(|_| RateError::TooHigh)?;
    let fraction: u128 = decimals.parse().map_err(|_| wrong_number())?;
    let units = whole.checked_mul(scale).and_then(|whole| whole.checked_add(fraction));
    let bytes = units.and_then(|units| units.checked_mul(bits)).ok_or(RateError::TooHigh)? / scale / 8;
    match u64::try_from(bytes) {
        Ok(bytes) if bytes < MIN_RATE => Err(RateError::TooLow),
        Ok(bytes) => Rate::new(bytes).ok_or(RateError::TooHigh),
        Err(_) => Err(RateError::TooHigh),
    }
}

/// The bits of one `unit`, which ends with `/s`.
fn bits_of(unit: &str) -> Result<u64, RateError> {
    if unit.is_empty() {
        return Err(RateError::NoUnit);
    }
    let name = unit.strip_suffix("/s").or_else(|| unit.strip_suffix("ps"));
    let known = name.and_then(unit_bits);
    match (name, known) {
        (_, Some(bits)) => Ok(bits),
        (None, _) if unit_bits(unit).is_some() => Err(RateError::NoSecond(unit.to_owned())),
        (name, None) => Err(unknown(name.unwrap_or(unit))),
    }
}

/// The bits of a unit without its `/s`: binary ones are read as those of a size are.
fn unit_bits(unit: &str) -> Option<u64> {
    let known = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bits)| *bits);
    let binary = || unit_bytes(unit).ok().filter(|_| unit.ends_with(['b', 'B']) && unit.len() > 1);
    known.or_else(|| binary().map(|bytes| bytes * 8))
}

fn unknown(unit: &str) -> RateError {
    let prefix =
        unit.strip_suffix(['b', 'B']).filter(|prefix| matches!(*prefix, "k" | "K" | "m" | "M" | "g" | "G"));
    match prefix {
        Some(prefix) => {
            let prefix =
                if prefix.eq_ignore_ascii_case("k") { "k".into() } else { prefix.to_ascii_uppercase() };
            let (bits, bytes) = (format!("{prefix}bit"), format!("{prefix}B"));
            RateError::Ambiguous { unit: unit.to_owned(), bits, bytes }
        }
        None => RateError::Unit(unit.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> u64 {
        parse_rate(text).unwrap_or_else(|error| panic!("{text}: {error}")).bytes_a_second()
    }

    #[test]
    fn limits_as_people_write_them() {
        for (text, wanted) in [
            ("10MiB/s", 10 << 20),
            ("80Mbit/s", 10_000_000),
            ("64KiB/s", 64 << 10),
            ("64kib/s", 64 << 10),
            ("0.5 TiB/s", 1 << 39),
            ("1.5 MB/s", 1_500_000),
            ("1Gbit/s", 125_000_000),
            ("1024B/s", 1024),
            (" 0.5GiB/s ", 1 << 29),
            ("100kbit/s", 12_500),
            ("80Mbitps", 10_000_000),
            ("1024GiB/s", 1 << 40),
            ("2.00048828125KiB/s", 2048),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
    }

    #[test]
    fn wrong_limits_and_what_is_said() {
        for (text, wanted) in [
            ("", "\"\" is no number"),
            ("fast", "\"fast\" is no number"),
            ("-1MiB/s", "\"-1MiB/s\" is no number"),
            (".5MiB/s", "\".5\" is no number"),
            ("1.MiB/s", "\"1.\" is no number"),
            ("1.2.3MiB/s", "\"1.2.3\" is no number"),
            ("1,5MiB/s", "\",5MiB\" is no unit"),
            ("10", "the unit is missing"),
            ("10MiB", "write MiB/s"),
            ("10Mbit", "write Mbit/s"),
            ("10Mb/s", "write Mbit/s or MB/s"),
            ("10mb/s", "write Mbit/s or MB/s"),
            ("10mB/s", "write Mbit/s or MB/s"),
            ("10kb/s", "write kbit/s or kB/s"),
            ("10k/s", "\"k\" is no unit"),
            ("10b/s", "\"b\" is no unit"),
            ("10parsec/s", "\"parsec\" is no unit"),
            ("10MiB/h", "\"MiB/h\" is no unit"),
            ("10MiB/s/s", "\"MiB/s\" is no unit"),
            ("0MiB/s", "less than 1 KiB/s"),
            ("1023B/s", "less than 1 KiB/s"),
            ("1025GiB/s", "more than 1 TiB/s"),
            ("99999999999999999999999999999999999999999B/s", "more than 1 TiB/s"),
            ("340282366920938463463374607431768211455GB/s", "more than 1 TiB/s"),
        ] {
            let error = parse_rate(text).expect_err(text).to_string();
            assert!(error.contains(wanted) && !error.contains('\n'), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_number_of_bytes_is_itself_in_any_unit(number in 1u64..1000, index in 0usize..UNITS.len() + 3) {
            let binary = [("KiB", 8 << 10), ("MiB", 8 << 20), ("GiB", 8 << 30)];
            let (unit, bits) = UNITS.into_iter().chain(binary).nth(index).unwrap();
            let wanted = number * bits / 8;
            match parse_rate(&format!("{number}{unit}/s")) {
                Ok(rate) => prop_assert_eq!(rate.bytes_a_second(), wanted),
                Err(error) => prop_assert!(wanted < MIN_RATE && error == RateError::TooLow, "{}", error),
            }
        }

        #[test]
        fn any_text_is_a_limit_or_an_error_of_one_line(text in "\\PC{0,40}|[0-9.]{0,50}[kKMGiBbt/s ]{0,8}") {
            if let Err(error) = parse_rate(&text) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
