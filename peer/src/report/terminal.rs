//! Bars on a terminal. What they show of names and messages is made fit here, and whatever else a line
//! of theirs may hold is taken out before it is drawn, but for colours.

use super::{out, summary};
use crate::human::{Bytes, Span};
use cascade_format::text::{self, Shown};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};
use rustix::termios::tcgetwinsize;
use std::sync::{Mutex, PoisonError};
use std::{fmt, io};

/// How often bars are drawn, at most, a second.
const DRAWS_PER_SECOND: u8 = 10;

/// What a terminal is taken for that does not tell its size.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// The bars of one command; nothing is drawn where stderr is no terminal.
pub(crate) fn bars() -> MultiProgress {
    MultiProgress::with_draw_target(if out::stderr_is_terminal() {
        ProgressDrawTarget::term_like_with_hz(Box::new(Terminal::default()), DRAWS_PER_SECOND)
    } else {
        ProgressDrawTarget::hidden()
    })
}

/// A bar's style. Besides the template's usual keys there are `done`, `total`, `speed` and `left`, which are printed as
/// everywhere else.
pub(super) fn style(template: &str, characters: &str) -> Option<ProgressStyle> {
    let style = ProgressStyle::with_template(template).ok()?.progress_chars(characters);
    Some(
        style
            .with_key("done", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{}", Bytes(state.pos()));
            })
            .with_key("total", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{}", Bytes(state.len().unwrap_or(0)));
            })
            .with_key("speed", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = out.write_str(&summary::per_second(state.per_sec()));
            })
            .with_key("left", |state: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = write!(out, "{}", Span(state.eta()));
            }),
    )
}

/// Sets a bar's name.
#[allow(clippy::disallowed_methods, reason = "the text is made fit here")]
pub(crate) fn set_name(bar: &ProgressBar, name: &str) {
    bar.set_prefix(text::line(name));
}

/// Sets what a bar says beside its figures.
#[allow(clippy::disallowed_methods, reason = "the text is made fit here")]
pub(crate) fn set_note(bar: &ProgressBar, note: &str) {
    bar.set_message(text::line(note));
}

/// Writes one line above the bars.
#[allow(clippy::disallowed_methods, reason = "the text is made fit here")]
pub(super) fn above(bars: &MultiProgress, line: &str) {
    // A terminal that has gone takes no line.
    let _ = bars.println(text::line(line));
}

/// The terminal behind stderr. It never fails: indicatif panics in some places when a drawing does, and a
/// terminal that has gone is no reason to end the work.
#[derive(Debug, Default)]
struct Terminal {
    /// One drawing, which is written with one call.
    drawing: Mutex<String>,
}

impl Terminal {
    fn push(&self, control: &str) -> io::Result<()> {
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner).push_str(control);
        Ok(())
    }

    fn go(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.push(&format!("\x1b[{n}{direction}")) }
    }

    /// Columns and rows.
    fn size() -> (u16, u16) {
        tcgetwinsize(out::stderr())
            .ok()
            .map(|size| (size.ws_col, size.ws_row))
            .filter(|(columns, rows)| *columns > 0 && *rows > 0)
            .unwrap_or(USUAL_SIZE)
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        Self::size().0
    }

    fn height(&self) -> u16 {
        Self::size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.push(&(coloured(line) + "\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.push(&coloured(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let drawing = std::mem::take(&mut *self.drawing.lock().unwrap_or_else(PoisonError::into_inner));
        out::to_stderr(&drawing);
        Ok(())
    }
}

/// A text with nothing in it that a terminal obeys, but for changes of colour.
fn coloured(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut safe = parts.next().map(|plain| Shown::of(plain).to_string()).unwrap_or_default();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end.and_then(|end| part.split_at_checked(end + 1)) {
            Some((colour, plain)) if colour.ends_with('m') => {
                safe.push_str("\x1b[");
                safe.push_str(colour);
                safe.push_str(&Shown::of(plain).to_string());
            }
            _ => safe.push_str(&Shown::of(&format!("\x1b[{part}")).to_string()),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    type Paper = Arc<Mutex<String>>;

    /// Keeps what is written, and forgets where.
    #[derive(Debug)]
    struct PaperTerminal {
        paper: Paper,
        size: (u16, u16),
    }

    impl TermLike for PaperTerminal {
        fn width(&self) -> u16 {
            self.size.0
        }

        fn height(&self) -> u16 {
            self.size.1
        }

        fn move_cursor_up(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _n: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(line)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.paper.lock().unwrap().push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bars_print_bytes_as_everything_else_does() {
        let paper = Paper::default();
        let target =
            ProgressDrawTarget::term_like(Box::new(PaperTerminal { paper: paper.clone(), size: (120, 24) }));
        let bar = ProgressBar::with_draw_target(Some(5 << 20), target);
        bar.set_style(style("<{done} of {total}, {left}>", "=> ").unwrap());
        bar.set_position(3 << 19);
        bar.tick();
        let drawn = paper.lock().unwrap().clone();
        assert!(drawn.contains("<1.5 MiB of 5.0 MiB, ") && drawn.contains(" s>"), "{drawn:?}");
    }

    #[test]
    fn only_colours_pass() {
        for (text, safe) in [
            ("\x1b[1mname\x1b[0m █▉", "\x1b[1mname\x1b[0m █▉"),
            ("\x1b[1;31mred", "\x1b[1;31mred"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\x1b]0;title\x07", "a\\u{1b}]0;title\\u{7}"),
            ("a\nb\r\u{202e}", "a\\u{a}b\\u{d}\\u{202e}"),
            ("\x1b[", "\\u{1b}["),
            ("\x1b[12", "\\u{1b}[12"),
            ("\x1b[1é\x1b[m", "\\u{1b}[1é\x1b[m"),
        ] {
            assert_eq!(coloured(text), safe);
        }
    }

    #[test]
    fn names_and_notes_are_made_fit() {
        let bar = ProgressBar::hidden();
        set_name(&bar, "a\u{202e}\n");
        set_note(&bar, "\x1b[2J");
        assert_eq!((bar.prefix().as_str(), bar.message().as_str()), ("a\\u{202e}\\u{a}", "\\u{1b}[2J"));
    }
}
