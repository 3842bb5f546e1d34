//! The three kinds of SHA-256 hash in the protocol (protocol §1). They are different types, because
//! each names something else: a file on the network, a data file's content, one block's content.

use core::fmt;
use core::str::FromStr;
use sha2::{Digest, Sha256};

/// Length of every hash, in bytes.
pub const HASH_LEN: usize = 32;

/// Why a text is not a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// The text has not 64 characters.
    #[error("a hash has 64 hex digits, this has {0} characters")]
    Length(usize),
    /// A character is no hex digit.
    #[error("{0:?} is not a hex digit")]
    Digit(char),
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; HASH_LEN]);

        impl $name {
            /// The hash of `bytes`.
            #[must_use]
            pub fn of(bytes: &[u8]) -> Self {
                Self(Sha256::digest(bytes).into())
            }

            /// The raw bytes, as they stand on the wire.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; HASH_LEN] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            /// Reads 64 hex digits of either case.
            fn from_str(text: &str) -> Result<Self, HexError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

hash_type! {
    /// The hash of a `.cascade` file's own bytes: it names the file on the network.
    CascadeHash
}
hash_type! {
    /// The hash of a whole data file.
    FileHash
}
hash_type! {
    /// The hash of one block of a data file.
    BlockHash
}

fn parse_hex(text: &str) -> Result<[u8; HASH_LEN], HexError> {
    let count = text.chars().count();
    if count != 2 * HASH_LEN {
        return Err(HexError::Length(count));
    }
    let mut out = [0; HASH_LEN];
    for (at, digit) in text.chars().enumerate() {
        let value = digit.to_digit(16).and_then(|v| u8::try_from(v).ok());
        let value = value.ok_or(HexError::Digit(digit))?;
        if let Some(byte) = out.get_mut(at / 2) {
            *byte = *byte << 4 | value;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn hex_round_trip_and_known_value() {
        let hash = FileHash::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(hash));
    }

    #[test]
    fn bad_hex_is_named() {
        assert_eq!("ab".parse::<BlockHash>(), Err(HexError::Length(2)));
        let text = "g".repeat(64);
        assert_eq!(text.parse::<BlockHash>(), Err(HexError::Digit('g')));
        // 64 characters of two bytes each: counted as characters, refused as digits.
        assert_eq!("é".repeat(64).parse::<BlockHash>(), Err(HexError::Digit('é')));
    }
}
