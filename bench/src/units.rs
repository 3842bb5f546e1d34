//! Sizes and rates as people write them.

/// One mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;

/// Reads a size in bytes: `1048576`, `64KiB`, `1MiB`, `1g` (powers of 1024, either case, `iB` or `B` optional).
///
/// # Errors
/// A text for people, when it is no size or does not fit.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(format!("{text:?} is no size: try 1048576, 64KiB, 1MiB or 1GiB")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no size: try 1MiB"))?;
    number.checked_mul(1 << shift).filter(|size| *size > 0).ok_or_else(|| format!("{text:?} is out of range"))
}

/// A size with the largest unit that divides it, or with one decimal: `64 KiB`, `1 GiB`, `23.4 MiB`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            return match bytes % unit {
                0 => format!("{} {name}", bytes / unit),
                _ => format!("{:.1} {name}", bytes as f64 / unit as f64),
            };
        }
    }
    format!("{bytes} B")
}

/// Mebibytes a second.
#[must_use]
pub fn mib_per_second(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / MIB as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_written() {
        for (text, size) in [("7", 7), ("64KiB", 65536), ("1mib", 1 << 20), ("2G", 2 << 30), ("10kb", 10240)]
        {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "MiB", "1 MiB", "-1", "0", "1x", "99999999999t"] {
            assert!(parse_size(text).is_err(), "{text:?} was taken for a size");
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        assert_eq!(show_size(65536), "64 KiB");
        assert_eq!(show_size(1 << 30), "1 GiB");
        assert_eq!(show_size(1536), "1.5 KiB");
        assert_eq!(show_size(5), "5 B");
    }
}
