//! What trackers and peers have said last, for the error of a fetch that is given up (pure).

use crate::limits::MAX_FETCH_NEWS;
use std::collections::HashMap;

/// The last line of each.
#[derive(Debug, Default)]
pub(super) struct News {
    lines: HashMap<String, String>,
}

impl News {
    /// `who` has said this last. While a link waits for days, always other addresses fail: the first ones say enough.
    pub(super) fn hear(&mut self, who: &str, line: String) {
        if let Some(before) = self.lines.get_mut(who) {
            *before = line;
        } else if self.lines.len() < MAX_FETCH_NEWS {
            self.lines.insert(who.to_owned(), line);
        }
    }

    /// All of it in one line, with `more`.
    pub(super) fn line(&self, more: Option<&str>) -> String {
        let mut lines: Vec<&str> = self.lines.values().map(String::as_str).chain(more).collect();
        lines.sort_unstable();
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_each_is_kept_and_of_so_many_at_most() {
        let mut news = News::default();
        news.hear("b", "b is away".to_owned());
        news.hear("a", "a is away".to_owned());
        news.hear("b", "b is full".to_owned());
        assert_eq!(news.line(Some("nobody is near")), "a is away; b is full; nobody is near");
        for number in 0..2 * MAX_FETCH_NEWS {
            news.hear(&number.to_string(), "away".to_owned());
        }
        assert_eq!(news.lines.len(), MAX_FETCH_NEWS);
        news.hear("b", "b is back".to_owned());
        assert!(
            news.line(None).contains("b is back"),
            "an answer of a peer in the list replaces its earlier one"
        );
    }
}
