//! A terminal of some size: a process writes to it, and a test sees what a person would see on it.

use crate::clock::{self, LIMIT};
use crate::launch::{Launch, Sink};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU16;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A terminal with a reader that understands what is written to it.
pub struct Terminal {
    /// The end that a process has.
    end: File,
    /// The other one: its size is the terminal's.
    reader: File,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    parser: vt100::Parser,
    written: Vec<u8>,
}

/// Both ends of a terminal: what a process has, and what a person reads.
///
/// # Panics
/// The system has no more.
#[must_use]
pub fn open() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let reader = openpt(flags).expect("a terminal");
    grantpt(&reader).expect("it is ours");
    unlockpt(&reader).expect("it is new");
    let name = ptsname(&reader, Vec::new()).expect("it has a name");
    let path = Path::new(OsStr::from_bytes(name.as_bytes()));
    let open = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let end = rustix::fs::open(path, open, Mode::empty()).expect("it opens");
    (end.into(), reader.into())
}

fn lines_and_columns(rows: u16, columns: u16) -> [NonZeroU16; 2] {
    [rows, columns].map(|length| NonZeroU16::new(length).expect("a size is not 0"))
}

impl Terminal {
    /// One of this size.
    ///
    /// # Panics
    /// The system has no more.
    #[must_use]
    pub fn new(columns: u16, rows: u16) -> Self {
        let (end, reader) = open();
        let [height, width] = lines_and_columns(rows, columns);
        let seen = Seen { parser: vt100::Parser::new(height, width, 0), written: Vec::new() };
        let terminal = Self { end, reader, seen: Arc::new(Mutex::new(seen)) };
        terminal.set_size(columns, rows);
        terminal.read();
        terminal
    }

    /// Lets `launch` write to it, both stdout and stderr.
    ///
    /// # Panics
    /// There is no descriptor left.
    pub fn show(&self, launch: Launch) -> Launch {
        let end = || Sink::File(self.end.try_clone().expect("a descriptor"));
        launch.stdout(end()).stderr(end())
    }

    /// Makes it wider or narrower.
    ///
    /// # Panics
    /// It is gone.
    pub fn set_size(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.reader, size).expect("a terminal has a size");
        let [height, width] = lines_and_columns(rows, columns);
        self.seen().parser.screen_mut().set_size(height, width);
    }

    /// The text on the screen, without spaces at the ends of lines and empty lines at the end.
    #[must_use]
    pub fn contents(&self) -> String {
        let contents = self.seen().parser.screen().contents();
        contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Waits until the text on the screen is the expected one, and returns it.
    ///
    /// # Panics
    /// It does not come.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut found: impl FnMut(&str) -> Option<T>) -> T {
        let start = clock::now();
        loop {
            let contents = self.contents();
            if let Some(found) = found(&contents) {
                return found;
            }
            assert!(
                start.elapsed() < LIMIT,
                "waited in vain for {what} on a terminal that shows:\n{contents}"
            );
            clock::breathe();
        }
    }

    /// All that was written to it.
    #[must_use]
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.seen().written).into_owned()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is written, until nobody can write any more.
    fn read(&self) {
        let mut reader = self.reader.try_clone().expect("a descriptor");
        let seen = Arc::clone(&self.seen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal that nobody has open any more ends with an error.
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.parser.process(&bytes[..read]);
                seen.written.extend_from_slice(&bytes[..read]);
            }
        });
    }
}
