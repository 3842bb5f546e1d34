//! The terminal that rows are drawn on. Whatever a terminal obeys is taken out of a row before it is drawn, but for
//! colours.

use super::out;
use cascade_format::text::Shown;
use indicatif::{ProgressDrawTarget, TermLike};
use rustix::termios::tcgetwinsize;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often bars are drawn, at most, a second.
const DRAWS_PER_SECOND: u8 = 10;

/// What a terminal is taken for that does not tell its size.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// Where rows are drawn: the terminal behind stderr, if it is one.
pub(super) fn target() -> ProgressDrawTarget {
    if is_there() {
        ProgressDrawTarget::term_like_with_hz(Box::new(Terminal::default()), DRAWS_PER_SECOND)
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// Whether rows can stay in place on stderr.
pub(super) fn is_there() -> bool {
    out::stderr_is_terminal() && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

/// Columns and rows of the terminal behind stderr.
pub(super) fn size() -> (u16, u16) {
    tcgetwinsize(out::stderr())
        .ok()
        .map(|size| (size.ws_col, size.ws_row))
        .filter(|(columns, rows)| *columns > 0 && *rows > 0)
        .unwrap_or(USUAL_SIZE)
}

/// Whether the user wants anything but plain text (see <https://no-color.org>).
pub(super) fn knows_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The terminal behind stderr. It never fails: indicatif panics in some places when a drawing does, and a
/// terminal that has gone is no reason to end the work.
#[derive(Debug, Default)]
struct Terminal {
    /// One drawing, which is written with one call.
    drawing: Mutex<Drawing>,
}

/// indicatif writes each line of a drawing in two parts: the line, and spaces up to the last column, where a terminal
/// goes on to the next line by itself. When such a terminal is made narrower, each line becomes two, and what is drawn next
/// leaves halves of them behind. So lines are ended by what ends a line, and the spaces are left out.
#[derive(Debug, Default)]
struct Drawing {
    text: String,
    /// Parts of lines so far.
    parts: usize,
}

impl Terminal {
    fn push(&self, control: &str) -> io::Result<()> {
        self.lock().text.push_str(control);
        Ok(())
    }

    /// The drawing, which is to be written.
    fn take(&self) -> String {
        std::mem::take(&mut *self.lock()).text
    }

    fn lock(&self) -> MutexGuard<'_, Drawing> {
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn go(&self, n: usize, direction: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.push(&format!("\x1b[{n}{direction}")) }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        size().0
    }

    fn height(&self) -> u16 {
        size().1
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
        let mut drawing = self.lock();
        let is_line = drawing.parts.is_multiple_of(2);
        if is_line && drawing.parts > 0 {
            drawing.text.push('\n');
        }
        if is_line {
            drawing.text.push_str(&coloured(text));
        }
        drawing.parts += 1;
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        out::to_stderr(&self.take());
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
pub(super) mod tests {
    use super::super::screen::Screen;
    use super::*;
    use std::num::NonZeroU16;
    use std::sync::Arc;

    /// A terminal on which can be seen what a person would see.
    #[derive(Clone)]
    pub(in crate::report) struct Paper {
        parser: Arc<Mutex<vt100::Parser>>,
    }

    impl Paper {
        pub(in crate::report) fn new(columns: u16, rows: u16) -> Self {
            let [rows, columns] = [rows, columns].map(|length| NonZeroU16::new(length).unwrap());
            Self { parser: Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0))) }
        }

        pub(in crate::report) fn screen(&self) -> Screen {
            let target = ProgressDrawTarget::term_like(Box::new(PaperTerminal {
                paper: self.clone(),
                terminal: Terminal::default(),
            }));
            Screen::over(target, (self.columns(), self.rows()))
        }

        /// What stands on it; spaces at the ends of lines and empty lines at the end left out.
        pub(in crate::report) fn contents(&self) -> String {
            let contents = self.parser.lock().unwrap().screen().contents();
            contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
        }

        fn columns(&self) -> u16 {
            self.parser.lock().unwrap().screen().size().1.get()
        }

        fn rows(&self) -> u16 {
            self.parser.lock().unwrap().screen().size().0.get()
        }
    }

    impl std::fmt::Debug for Paper {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Paper")
        }
    }

    /// Draws as the terminal behind stderr does.
    #[derive(Debug)]
    struct PaperTerminal {
        paper: Paper,
        terminal: Terminal,
    }

    impl TermLike for PaperTerminal {
        fn width(&self) -> u16 {
            self.paper.columns()
        }

        fn height(&self) -> u16 {
            self.paper.rows()
        }

        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            self.terminal.move_cursor_up(n)
        }

        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.terminal.move_cursor_down(n)
        }

        fn move_cursor_right(&self, n: usize) -> io::Result<()> {
            self.terminal.move_cursor_right(n)
        }

        fn move_cursor_left(&self, n: usize) -> io::Result<()> {
            self.terminal.move_cursor_left(n)
        }

        fn write_line(&self, line: &str) -> io::Result<()> {
            self.terminal.write_line(line)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.terminal.write_str(text)
        }

        fn clear_line(&self) -> io::Result<()> {
            self.terminal.clear_line()
        }

        fn flush(&self) -> io::Result<()> {
            let drawing = self.terminal.take();
            // A terminal's driver begins each line at its start.
            self.paper.parser.lock().unwrap().process(drawing.replace('\n', "\r\n").as_bytes());
            Ok(())
        }
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
}
