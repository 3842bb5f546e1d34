//! Names and messages that play with a terminal, and how to see whether they did.

use crate::outcome::Outcome;

/// At least one of each kind of character that must not reach a terminal, and letters that must: a name of a
/// file, or a message.
pub const HOSTILE: &str = "naïve\nFORGED\r\t\u{1b}[31m\u{1b}]0;x\u{7}\u{7f}\u{9b}2J\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{202e}gpj\u{202c}\
     \u{2028}\u{2029}\u{2060}\u{2066}\u{2069}\u{3164}\u{fe0f}\u{feff}\u{fff9}\u{e000}\u{e0041}";

/// How it is shown.
pub const HOSTILE_SHOWN: &str = "naïve\\u{a}FORGED\\u{d}\\u{9}\\u{1b}[31m\\u{1b}]0;x\\u{7}\\u{7f}\\u{9b}2J\\u{ad}\\u{61c}\\u{200b}\\u{200d}\\u{200e}\
     \\u{202e}gpj\\u{202c}\\u{2028}\\u{2029}\\u{2060}\\u{2066}\\u{2069}\\u{3164}\\u{fe0f}\\u{feff}\\u{fff9}\\u{e000}\\u{e0041}";

/// Whether a character must not reach a terminal from a name or message.
#[must_use]
pub fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x61c | 0x3164 | 0xfeff | 0x2000..=0x200f | 0x2028..=0x202f | 0x205f..=0x206f
            | 0xe000..=0xf8ff | 0xfe00..=0xfe0f | 0xfff0..=0xfffb | 0xe0000..=0xe0fff)
}

impl Outcome {
    /// Fails if anything of [`HOSTILE`] was printed as it is, or made a line of its own.
    #[track_caller]
    pub fn assert_tame(&self) -> &Self {
        for line in self.both().lines() {
            assert!(!line.chars().any(is_forbidden), "it plays with the terminal: {line:?}{self}");
            assert!(!line.starts_with("FORGED"), "a line is forged: {self}");
        }
        self
    }
}
