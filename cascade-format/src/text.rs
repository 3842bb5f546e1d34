//! Text that others wrote (file names, the messages of peers and trackers), as it may be shown.
//!
//! A terminal obeys control characters, and characters without a picture of their own (directions,
//! joiners, fillers, tags) make a line look like another one. So what a program prints goes through
//! [`line()`], the whole line at once: a place that prints cannot forget it.

use alloc::string::{String, ToString};
use core::fmt::{self, Write};

/// The longest line of output, in bytes. Two of the longest paths with every byte escaped, and the words around them,
/// fit into it. If a line is longer, its middle is left out.
pub const MAX_LINE_LEN: usize = 64 << 10;

/// Stands for what is left out.
const CUT: &str = "…";

/// Whether a character is printed as it is: the space, and every letter, mark, number, punctuation or symbol (in the
/// sense of Unicode) that has a glyph. All other characters are escaped: controls, direction marks, other spaces, line
/// separators, private and unassigned characters.
#[must_use]
pub fn is_shown(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\u{9f}' => false,
        _ => is_printable(c) && !is_invisible(c),
    }
}

/// Whether the standard library, which knows Unicode's categories, prints the character as it is. It
/// also escapes a mark at the start of a text, so here a letter comes before it.
fn is_printable(c: char) -> bool {
    let mut bytes = [b'a'; 5];
    let (_, rest) = bytes.split_at_mut(1);
    let length = 1 + c.encode_utf8(rest).len();
    let text = bytes.get(..length).and_then(|bytes| core::str::from_utf8(bytes).ok());
    text.is_some_and(|text| text.escape_debug().count() == 2)
}

/// Letters, marks and symbols that have no picture: fillers, selectors of variants, the joiner of
/// graphemes, the empty Braille pattern.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{1d159}'
            | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Bytes that should be UTF-8, as they may be shown: a character that is not [shown](is_shown) as
/// `\u{202e}`, a byte that is not UTF-8 as `\xff`.
///
/// The output is shown as it is, so doing this twice changes nothing more. A backslash stays one:
/// a text may hold the escape itself. The JSON output tells the two apart.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

impl<'a> Shown<'a> {
    /// A text.
    #[must_use]
    pub const fn of(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if is_shown(c) { f.write_char(c)? } else { write!(f, "\\u{{{:x}}}", u32::from(c))? }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// A message of somebody else's, as it came, without the white space around it (many end with a new
/// line) and with `\xff` for what is not UTF-8.
#[must_use]
pub fn message(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.trim_ascii().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| Shown(core::slice::from_ref(byte)).to_string()));
    }
    text
}

/// One line of output, without its end: nothing in it but what is [shown](is_shown), and at most
/// [`MAX_LINE_LEN`] bytes.
#[must_use]
pub fn line(text: &str) -> String {
    let line = Shown::of(text).to_string();
    if line.len() <= MAX_LINE_LEN {
        return line;
    }
    let half = (MAX_LINE_LEN - CUT.len()) / 2;
    let (start, end) = (line.floor_char_boundary(half), line.ceil_char_boundary(line.len() - half));
    let part = |range| line.get(range).unwrap_or_default();
    [part(0..start), CUT, part(end..line.len())].concat()
}

/// Several lines of the program's own, such as a help text. Each ends with a new line.
#[must_use]
pub fn lines(text: &str) -> String {
    text.lines().fold(String::new(), |all, one| all + &line(one) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// What must never reach a terminal.
    const FORBIDDEN: [(u32, u32); 28] = [
        (0x00, 0x1f),       // C0, tab and new line included: the program's own are added later
        (0x7f, 0x9f),       // DEL, C1
        (0xad, 0xad),       // soft hyphen
        (0x34f, 0x34f),     // grapheme joiner
        (0x61c, 0x61c),     // Arabic letter mark
        (0x115f, 0x1160),   // Hangul fillers
        (0x17b4, 0x17b5),   // Khmer inherent vowels
        (0x180b, 0x180f),   // Mongolian selectors and separator
        (0x2000, 0x200f),   // spaces of all widths, zero width, directions
        (0x2028, 0x202f),   // line and paragraph, embeddings and overrides, narrow space
        (0x205f, 0x206f),   // word joiner, invisible operators, isolates
        (0x2800, 0x2800),   // empty Braille pattern
        (0x3164, 0x3164),   // Hangul filler
        (0xe000, 0xf8ff),   // private use
        (0xfdd0, 0xfdef),   // no characters
        (0xfe00, 0xfe0f),   // selectors of variants
        (0xfeff, 0xfeff),   // byte order mark
        (0xffa0, 0xffa0),   // half-width Hangul filler
        (0xfff0, 0xfffb),   // annotations
        (0xfffe, 0xffff),   // no characters
        (0x13430, 0x1343f), // hieroglyph joiners
        (0x1bca0, 0x1bca3), // shorthand controls
        (0x1d159, 0x1d159), // the note without a head
        (0x1d173, 0x1d17a), // musical beams and slurs
        (0x1fffe, 0x1ffff), // no characters
        (0xe0000, 0xe0fff), // tags, selectors of variants
        (0xf0000, 0xfffff), // private use
        (0x10_0000, 0x10_ffff),
    ];

    fn forbidden(c: char) -> bool {
        FORBIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
    }

    #[test]
    fn no_forbidden_character_is_shown() {
        for (first, last) in FORBIDDEN {
            for c in (first..=last).filter_map(char::from_u32) {
                assert!(!is_shown(c), "{:x}", u32::from(c));
                assert_eq!(line(c.encode_utf8(&mut [0; 4])), format!("\\u{{{:x}}}", u32::from(c)));
            }
        }
    }

    #[test]
    fn letters_marks_numbers_and_symbols_are_shown() {
        for text in [
            "data-1.0 (final) [x] #2 ~'\"\\$!.tar",
            "naïve ЁЖ ελ 東京 한글 עברית العربية हिन्दी ไทย",
            "e\u{301} and é", // as macOS and as others write it
            "€ ½ ² № → ★ 😀 🎬",
            "\u{fffd}",
        ] {
            assert_eq!(line(text), text);
        }
        let assigned = ('\0'..=char::MAX).filter(|c| is_shown(*c)).count();
        assert!(assigned > 140_000, "only {assigned} characters can be shown");
    }

    #[test]
    fn texts_and_how_they_are_shown() {
        for (bytes, shown) in [
            (&b"plain"[..], "plain"),
            (b"", ""),
            (b"\x1b[2J\x07", "\\u{1b}[2J\\u{7}"),
            (b"two\nlines\r\n", "two\\u{a}lines\\u{d}\\u{a}"),
            ("gpj.\u{202e}exe".as_bytes(), "gpj.\\u{202e}exe"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"cut \xe2\x80", "cut \\xe2\\x80"),
            (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
            (b"C:\\x", "C:\\x"),
        ] {
            assert_eq!(Shown(bytes).to_string(), shown);
        }
    }

    #[test]
    fn messages_lose_what_surrounds_them_only() {
        assert_eq!(message(b"not allowed\r\n"), "not allowed");
        assert_eq!(message(b"a\nb \xff\x1b"), "a\nb \\xff\x1b");
        assert_eq!(message(b" \n"), "");
    }

    #[test]
    fn of_a_long_line_both_ends_are_shown() {
        let longest = "x".repeat(MAX_LINE_LEN);
        assert_eq!(line(&longest), longest);
        let long = format!("cannot read {}: is a directory", "é\u{1b}".repeat(MAX_LINE_LEN));
        let shown = line(&long);
        assert!(shown.len() <= MAX_LINE_LEN && shown.len() > MAX_LINE_LEN - 16, "{}", shown.len());
        assert!(shown.starts_with("cannot read é\\u{1b}") && shown.ends_with(": is a directory"));
        assert_eq!(line(&shown), shown);
    }

    #[test]
    fn lines_keep_their_ends_and_nothing_else() {
        assert_eq!(lines("a\n  b\u{202e}\x1b\nc"), "a\n  b\\u{202e}\\u{1b}\nc\n");
    }

    /// Characters, the forbidden ones as often as the others.
    fn hostile() -> impl Strategy<Value = String> {
        let forbidden = (0..FORBIDDEN.len(), any::<u32>()).prop_map(|(row, at)| {
            let (first, last) = FORBIDDEN[row];
            char::from_u32(first + at % (last - first + 1)).unwrap_or('\0')
        });
        proptest::collection::vec(prop_oneof![any::<char>(), forbidden], 0..50)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn no_forbidden_character_comes_out(text in hostile()) {
            prop_assert!(line(&text).chars().all(|c| is_shown(c) && !forbidden(c)));
        }

        #[test]
        fn no_forbidden_character_comes_out_of_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            for text in [Shown(&bytes).to_string(), line(&message(&bytes))] {
                prop_assert!(text.chars().all(|c| is_shown(c) && !forbidden(c)));
            }
        }

        #[test]
        fn doing_it_twice_changes_nothing_more(text in hostile()) {
            let once = line(&text);
            prop_assert_eq!(line(&once), once);
        }

        #[test]
        fn shown_texts_stay_as_they_are(text in hostile()) {
            let text: String = text.chars().filter(|c| is_shown(*c)).collect();
            prop_assert_eq!(line(&text), text);
        }

        /// Texts without a backslash can be told apart by what is shown.
        #[test]
        fn without_backslashes_nothing_is_lost(text in hostile()) {
            let text = text.replace('\\', "/");
            let parts: Vec<_> = text.chars().collect();
            let shown = line(&text);
            let mut rest = shown.as_str();
            for c in parts {
                let one = if is_shown(c) { c.to_string() } else { format!("\\u{{{:x}}}", u32::from(c)) };
                prop_assert!(rest.starts_with(&one));
                rest = &rest[one.len()..];
            }
            prop_assert_eq!(rest, "");
        }
    }
}
