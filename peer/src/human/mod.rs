//! Numbers and names as people read them.

#[cfg(feature = "cli")]
mod rate;

use cascade_format::text::Shown;
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[cfg(feature = "cli")]
pub(crate) use cascade_format::units::{Bytes, Span, Speed};
#[cfg(feature = "cli")]
pub(crate) use rate::parse_rate;

/// A path: `''` if it is empty, with `\u{202e}` for what a terminal would obey or not show, and `\xff` for what is not UTF-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a>(pub &'a Path);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.as_os_str().as_bytes();
        if name.is_empty() { f.write_str("''") } else { Shown(name).fmt(f) }
    }
}

/// What to do where the system has refused something because of a limit that the user can raise.
pub(crate) fn limit(error: &io::Error) -> Option<&'static str> {
    if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) {
        return Some("raise the limit with ulimit -n");
    }
    let too_large = error.kind() == io::ErrorKind::FileTooLarge;
    too_large.then_some("raise the limit with ulimit -f, or use a file system that takes larger files")
}

/// What the system says of something that it has refused, and of its [`limit`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Why<'a>(pub &'a io::Error);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match limit(self.0) {
            Some(advice) => write!(f, "{}; {advice}", self.0),
            None => self.0.fmt(f),
        }
    }
}

/// A number of things: `1 block`, `12 blocks`. The plural is the noun with an s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count<'a>(pub u64, pub &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// What is said of a folder behind its size: ` (1 entry)`, ` (12 entries)`. Nothing is said of a file.
#[cfg(feature = "cli")]
pub(crate) fn entries(count: Option<u32>) -> String {
    match count {
        None => String::new(),
        Some(1) => " (1 entry)".to_owned(),
        Some(count) => format!(" ({count} entries)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_about_a_limit() {
        let why = |errno: Errno| Why(&errno.into()).to_string();
        assert!(why(Errno::MFILE).ends_with("; raise the limit with ulimit -n"));
        assert!(why(Errno::FBIG).contains("; raise the limit with ulimit -f, or"));
        assert_eq!(why(Errno::IO), io::Error::from(Errno::IO).to_string());
    }

    #[test]
    fn names() {
        use std::ffi::OsStr;
        let name = |bytes: &[u8]| Name(Path::new(OsStr::from_bytes(bytes))).to_string();
        assert_eq!(name(b""), "''");
        assert_eq!(name(b"/a/b c.tar"), "/a/b c.tar");
        assert_eq!(name(b"a\nb\xff\xe2\x80\xae"), "a\\u{a}b\\xff\\u{202e}");
    }

    #[test]
    fn counts() {
        assert_eq!(Count(1, "block").to_string(), "1 block");
        assert_eq!(Count(0, "block").to_string(), "0 blocks");
    }
}
