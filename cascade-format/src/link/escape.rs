//! Percent-encoding (RFC 3986, section 2): what is not unreserved stands as `%` and two hex digits.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Writes what `value` displays, encoded.
pub(super) fn write(f: &mut fmt::Formatter<'_>, value: &dyn fmt::Display) -> fmt::Result {
    write!(Encoder(f), "{value}")
}

struct Encoder<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Encoder<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().try_for_each(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                self.0.write_char(char::from(byte))
            }
            _ => write!(self.0, "%{byte:02X}"),
        })
    }
}

/// Why a text cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EscapeError {
    /// A `%` without two hex digits behind it.
    Percent,
    /// The bytes are not UTF-8.
    NotText,
}

/// The text that `encoded` stands for. A `+` is a plus, and what needed no encoding may be encoded.
pub(super) fn decode(encoded: &str) -> Result<String, EscapeError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| EscapeError::NotText)
}

fn digit(byte: Option<u8>) -> Result<u8, EscapeError> {
    let value = byte.and_then(|byte| char::from(byte).to_digit(16));
    value.and_then(|value| u8::try_from(value).ok()).ok_or(EscapeError::Percent)
}
