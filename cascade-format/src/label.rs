//! Short texts of peers about themselves, such as their names: bounded, UTF-8, and safe to show as they are.

use crate::text::is_shown;
use core::fmt;

/// A text of at most `N` bytes (255 at most), every character of which is [shown](is_shown).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Label<N> {
    /// The most bytes of it.
    pub const MAX_LEN: usize = N;

    /// No text.
    pub const EMPTY: Self = {
        assert!(N <= 255, "its length is one byte on the wire");
        Self { bytes: [0; N], len: 0 }
    };

    /// Reads a label that another program wrote. `None` if it is longer than `N` bytes, is not UTF-8, or has a
    /// character that is not [shown](is_shown).
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(bytes).ok()?;
        (text.len() <= N && text.chars().all(is_shown)).then(|| Self::filled(text))
    }

    /// Makes a label of any text: removes the characters that are not shown and the white space at both ends, and cuts
    /// what is longer than `N` bytes.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::filled(text.trim())
    }

    fn filled(text: &str) -> Self {
        let mut label = Self::EMPTY;
        let mut len = 0;
        for c in text.chars().filter(|c| is_shown(*c)) {
            let Some(place) = label.bytes.get_mut(len..len + c.len_utf8()) else { break };
            c.encode_utf8(place);
            len += c.len_utf8();
        }
        label.len = u8::try_from(len).unwrap_or(0);
        label
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes
            .get(..usize::from(self.len))
            .and_then(|text| core::str::from_utf8(text).ok())
            .unwrap_or_default()
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.as_str().as_bytes()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for Label<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Debug for Label<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Label<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use proptest::prelude::*;

    #[test]
    fn what_is_not_shown_is_refused_from_others_and_left_out_of_our_own() {
        for (text, kept) in [
            ("lab-07", "lab-07"),
            (" lab 07\n", "lab 07"),
            ("gpj.\u{202e}exe", "gpj.exe"),
            ("\u{1b}[2Jx", "[2Jx"),
            ("日本語のコンピュータ", "日本語のコンピュータ"),
            ("", ""),
        ] {
            let label = Label::<32>::of(text);
            assert_eq!(label.as_str(), kept);
            assert_eq!(
                Label::<32>::read(text.as_bytes()).map(|label| label.to_string()).is_some(),
                text == kept
            );
        }
        assert_eq!(Label::<4>::of("日本語").as_str(), "日");
        assert_eq!((Label::<4>::read(b"12345"), Label::<4>::read(b"\xff")), (None, None));
        assert!(Label::<4>::EMPTY.is_empty() && Label::<4>::default() == Label::of("\u{200b}"));
    }

    proptest! {
        #[test]
        fn a_label_is_shown_whole_and_is_read_as_it_was(text in any::<String>()) {
            let label = Label::<16>::of(&text);
            prop_assert!(label.as_str().len() <= 16 && label.as_str().chars().all(is_shown));
            // White space may be left at the end where the text was cut.
            let again = Label::<16>::of(label.as_str());
            prop_assert_eq!(again.as_str(), label.as_str().trim());
        }

        #[test]
        fn reading_is_total_and_exact(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(label) = Label::<16>::read(&bytes) {
                prop_assert_eq!(label.as_bytes(), &bytes);
            }
        }
    }
}
