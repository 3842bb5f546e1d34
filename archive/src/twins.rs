//! Names that many systems take for one: `README` and `Readme`, or an `é` that is one character and one that is
//! an `e` with an accent behind it. On such a system the second would overwrite the first.
//!
//! Two names are twins if they are equal after decomposition (NFD), then upper case, lower case and
//! decomposition again: the upper case makes one of `ß` and `ss`, of `ſ` and `s`. That is close to what macOS and
//! Windows do; it finds no fewer twins than either, but for characters newer than our tables.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use unicode_normalization::UnicodeNormalization;

/// What two names have in common that are twins, and no other two.
pub(crate) fn fold(name: &str) -> Cow<'_, str> {
    if !name.is_ascii() {
        let upper = name.nfd().flat_map(char::to_uppercase);
        return Cow::Owned(upper.flat_map(char::to_lowercase).nfd().collect());
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

/// A number that is the same for twins and different for others, but for once in a long while: for `name` in
/// a folder of this number. The shared folder has the number 0.
pub(crate) fn number(folder: u64, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(folder);
    hasher.write(fold(name).as_bytes());
    hasher.finish()
}

/// Numbers that stand more than once, sorted.
pub(crate) fn repeated(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    let mut repeated: Vec<u64> =
        numbers.windows(2).filter(|pair| pair.first() == pair.last()).flatten().copied().collect();
    repeated.dedup();
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_found() {
        for (a, b) in [
            ("README", "ReadMe"),
            ("é", "e\u{301}"),
            ("É", "e\u{301}"),
            ("straße", "STRASSE"),
            ("ﬁn", "FIN"),
            ("ſ", "S"),
            ("σς", "ΣΣ"),
            ("K", "k"),
            ("Å", "a\u{30a}"),
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
            ("한", "\u{1112}\u{1161}\u{11ab}"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
            assert_eq!(number(7, a), number(7, b));
        }
        for (a, b) in [("a", "b"), ("e", "é"), ("o", "0"), ("l", "I"), ("ab", "a b"), ("ı", "I ")] {
            assert_ne!(fold(a), fold(b), "{a} {b}");
        }
        assert_ne!(number(1, "a"), number(2, "a"));
    }

    #[test]
    fn what_stands_more_than_once_is_found() {
        assert_eq!(repeated(vec![3, 1, 2, 1, 3, 3]), [1, 3]);
        assert!(repeated(vec![1]).is_empty() && repeated(vec![]).is_empty());
    }
}
