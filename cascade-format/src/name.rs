//! File names that somebody else chose: which characters must not be in one, and how a name from a
//! [link](crate::link) is made safe. Used wherever a name from outside becomes a file's name or is shown.

use alloc::string::String;

/// The longest file name that is taken from outside, in bytes. With `.cascade.part` appended it still fits into the 255
/// bytes that common file systems allow.
pub const MAX_NAME_LEN: usize = 240;

/// Why a character must not be in a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deception {
    /// It is a control character: it moves a terminal's cursor, or ends a line or a C string.
    Control,
    /// It changes the direction in which the text around it is shown, so that `gpj.exe` looks like
    /// `exe.jpg`.
    Direction,
    /// It is not shown at all: two names that differ look the same.
    Invisible,
}

/// What is wrong with `character` in a file name, if anything is.
#[must_use]
pub const fn deception(character: char) -> Option<Deception> {
    match character {
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => Some(Deception::Control),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some(Deception::Direction)
        }
        '\u{ad}'
        | '\u{34f}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2064}'
        | '\u{206a}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => Some(Deception::Invisible),
        _ => None,
    }
}

/// A file name made of `text` that leads to no other folder and hides nothing: `_` stands for each `/`,
/// `\` and [deceptive](deception) character, for a `.` or `-` at the start (hidden files, `..`, and what looks
/// like an option), and for a text without any character. A safe name stays as it is.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut name = String::with_capacity(text.len().max(1));
    for character in text.chars() {
        let at_start = name.is_empty() && matches!(character, '.' | '-');
        let unsafe_here = at_start || matches!(character, '/' | '\\') || deception(character).is_some();
        name.push(if unsafe_here { '_' } else { character });
    }
    if name.is_empty() {
        name.push('_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_rule_has_its_example() {
        for (text, name) in [
            ("film.mkv", "film.mkv"),
            ("Ünïcødé 日本語 👍.txt", "Ünïcødé 日本語 👍.txt"),
            ("a b -.txt", "a b -.txt"),
            ("", "_"),
            (".", "_"),
            ("..", "_."),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("/etc/passwd", "_etc_passwd"),
            ("..\\up", "_._up"),
            (".bashrc", "_bashrc"),
            ("-rf", "_rf"),
            ("a\0b\nc\u{1b}[2Jd\u{7f}e\u{85}", "a_b_c_[2Jd_e_"),
            ("\u{202e}gpj.exe", "_gpj.exe"),
            ("a\u{200b}b\u{feff}", "a_b_"),
        ] {
            assert_eq!(safe(text), name, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_safe_name_is_one_component_shows_all_and_stays(text in any::<String>()) {
            let name = safe(&text);
            prop_assert!(!name.is_empty() && !name.starts_with(['.', '-']) && !name.contains(['/', '\\']));
            prop_assert!(name.chars().all(|c| deception(c).is_none() && !c.is_control()));
            prop_assert!(name.len() <= text.len().max(1));
            prop_assert_eq!(safe(&name), name);
        }
    }
}
