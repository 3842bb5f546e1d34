//! Numbers and names as people read them.

mod rate;

pub use rate::{RateError, parse_rate};

use cascade_format::text::Shown;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Units of size, each 1024 of the one before.
const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes: `640 B`, `1.0 GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut whole, mut rest, mut unit) = (self.0, 0, 0);
        while whole >= 1024 && unit + 1 < UNITS.len() {
            (rest, whole, unit) = (whole % 1024, whole / 1024, unit + 1);
        }
        let name = UNITS.get(unit).copied().unwrap_or_default();
        if unit == 0 { write!(f, "{whole} {name}") } else { write!(f, "{whole}.{} {name}", rest * 10 / 1024) }
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

/// A path: with `\u{202e}` for what a terminal would obey or not show, and `\xff` for what is not UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a>(pub &'a Path);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.0.as_os_str().as_bytes()).fmt(f)
    }
}

/// A number of things: `1 block`, `12 blocks`. The plural is the noun with an s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count<'a>(pub u64, pub &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (5_458_199, "5.2 MiB"),
            (1 << 30, "1.0 GiB"),
            ((1 << 40) - 1, "1023.9 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
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

    #[test]
    fn names() {
        use std::ffi::OsStr;
        let name = |bytes: &[u8]| Name(Path::new(OsStr::from_bytes(bytes))).to_string();
        assert_eq!(name(b"/a/b c.tar"), "/a/b c.tar");
        assert_eq!(name(b"a\nb\xff\xe2\x80\xae"), "a\\u{a}b\\xff\\u{202e}");
    }

    #[test]
    fn counts() {
        assert_eq!(Count(1, "block").to_string(), "1 block");
        assert_eq!(Count(0, "block").to_string(), "0 blocks");
    }
}
