//! One row of what stays in place on a terminal, made to fit its width (pure).

use cascade_format::text;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a name that stay when there is little room …
const MIN_NAME: usize = 10;

/// … and of one that stands below others: an address of version 4 and a port.
const MIN_COLUMN_NAME: usize = 21;

/// Columns of a bar, at least …
const MIN_BAR: usize = 8;

/// … and at most, where bars stand below each other.
const MAX_BAR: usize = 24;

/// Eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A name, a bar, and facts. Names and facts may hold anything.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    /// Whether it stands below others of its kind: its bar is as wide as theirs. Any other bar takes what room there is.
    pub(super) column: bool,
    /// The part that is done, if there is a bar.
    pub(super) bar: Option<f64>,
    /// The most important first: the others are left out where there is no room.
    pub(super) facts: Vec<String>,
}

impl Row {
    /// The row in fewer than `width` columns: what fills a line to its end is broken by some terminals. `bold`: the name
    /// is.
    pub(super) fn fit(&self, width: usize, bold: bool) -> String {
        let width = width.saturating_sub(1);
        let name = text::line(&self.name);
        let facts: Vec<String> = self.facts.iter().map(|fact| text::line(fact)).collect();
        let stays = if self.column { MIN_COLUMN_NAME.min(width / 2) } else { MIN_NAME };
        let least_name = name.width().min(stays);
        let least_bar = if self.bar.is_some() { 1 + MIN_BAR } else { 0 };
        let mut count = facts.len();
        let told = loop {
            let told = facts.get(..count).unwrap_or_default().join(", ");
            if count == 0 || least_name + least_bar + 1 + told.width() <= width {
                break told;
            }
            count -= 1;
        };
        let told = if told.is_empty() { told } else { format!(" {told}") };
        let bar = if self.bar.is_some() { 1 + (width / 4).clamp(MIN_BAR, MAX_BAR) } else { 0 };
        let room = width.saturating_sub(told.width());
        let bar = bar.min(room.saturating_sub(least_name)).max(least_bar);
        let wide = self.bar.is_some() && !self.column;
        // A wide bar takes what the name leaves, and half of the room at least.
        let name = shorten(&name, if wide { (room / 2).max(least_name) } else { room.saturating_sub(bar) });
        let columns = if wide { room.saturating_sub(name.width() + 1) } else { bar.saturating_sub(1) };
        let drawn = self.bar.map_or_else(String::new, |part| format!(" {}", draw(part, columns)));
        let name = if bold { format!("\x1b[1m{name}\x1b[0m") } else { name };
        format!("{name}{drawn}{told}")
    }
}

/// The end of a name, which tells more than its beginning.
fn shorten(name: &str, columns: usize) -> String {
    if name.width() <= columns {
        return name.to_owned();
    }
    let (mut start, mut left) = (name.len(), columns.saturating_sub(1));
    for (at, c) in name.char_indices().rev() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else { break };
        (start, left) = (at, rest);
    }
    // A mark stays with the letter that it belongs to.
    let end = name.get(start..).unwrap_or_default();
    let end = end.trim_start_matches(|c: char| c.width() == Some(0));
    if columns == 0 { String::new() } else { format!("…{end}") }
}

/// A bar of this width; points stand for what is missing.
fn draw(part: f64, columns: usize) -> String {
    let part = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of some columns"
    )]
    let eighths = (part * 8.0 * columns as f64) as usize;
    let full = "█".repeat(eighths / 8);
    let begun = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    let rest = columns.saturating_sub(eighths / 8 + usize::from(!begun.is_empty()));
    format!("{full}{begun}{}", "·".repeat(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(name: &str, bar: Option<f64>) -> Row {
        let facts = ["43 %", "1.2 MiB/s", "3 min 05 s left"].map(String::from).into();
        Row { name: name.into(), column: false, bar, facts }
    }

    #[test]
    fn what_matters_least_goes_first() {
        let film = row("film.mkv", Some(0.43));
        for (width, fitted) in [
            (70, "film.mkv ███████████▌··············· 43 %, 1.2 MiB/s, 3 min 05 s left"),
            (46, "film.mkv ████████▌··········· 43 %, 1.2 MiB/s"),
            (30, "film.mkv ██████▍········ 43 %"),
            (20, "film.mkv ████▎·····"),
        ] {
            assert_eq!(film.fit(width, false), fitted);
        }
    }

    #[test]
    fn names_keep_their_end_and_wide_letters_count_twice() {
        assert_eq!(shorten("data.tar", 8), "data.tar");
        assert_eq!(shorten("a very long name.tar", 8), "…ame.tar");
        assert_eq!(shorten("東京東京東京.mkv", 9), "…東京.mkv");
        assert_eq!(shorten("東京東京東京.mkv", 8), "…京.mkv");
        assert_eq!(shorten("aaaae\u{301}.mkv", 6), "…e\u{301}.mkv");
        assert_eq!((shorten("abc", 1), shorten("abc", 0)), ("…".into(), String::new()));
    }

    #[test]
    fn what_may_not_be_shown_is_made_fit_before_it_is_cut() {
        let bad =
            Row { name: "a\u{1b}[31mb\n".into(), column: false, bar: None, facts: vec!["\u{202e}x".into()] };
        assert_eq!(bad.fit(80, false), "a\\u{1b}[31mb\\u{a} \\u{202e}x");
        assert_eq!(row("x", None).fit(80, true), "\x1b[1mx\x1b[0m 43 %, 1.2 MiB/s, 3 min 05 s left");
    }

    proptest! {
        #[test]
        fn a_row_never_reaches_the_last_column(name in "\\PC{0,60}", part in any::<f64>(), width in 24usize..200, column: bool, facts in prop::collection::vec("[a-z]{0,20}", 0..5)) {
            for bar in [None, Some(part)] {
                let fitted = Row { name: name.clone(), column, bar, facts: facts.clone() }.fit(width, false);
                prop_assert!(fitted.width() < width, "{:?} has {} of {width} columns", fitted, fitted.width());
            }
        }
    }
}
