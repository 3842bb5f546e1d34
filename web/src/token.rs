//! The token that a page needs which others than this machine can reach.

use std::fmt::{self, Debug, Display};
use subtle::ConstantTimeEq;

/// Random bytes of a token: nobody guesses 128 bits.
const TOKEN_BYTES: usize = 16;

/// A secret, as hexadecimal digits.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// A new one from the system's generator.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Whether `offered` is the token. The time that this takes tells nothing of it but its length.
    pub(crate) fn is(&self, offered: &str) -> bool {
        self.0.as_bytes().ct_eq(offered.as_bytes()).into()
    }
}

impl Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Logs must not have it.
impl Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_random_and_secret() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.to_string().len(), 32);
        assert!(one.is(&one.to_string()) && !one.is(&other.to_string()));
        assert!(!one.is("") && !one.is(&one.to_string()[..31]) && !one.is(&format!("{one}0")));
        assert_eq!(format!("{one:?}"), "Token(…)");
    }
}
