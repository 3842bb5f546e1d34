//! Paths in commands that the user may copy into a shell.

use cascade_format::text::is_shown;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The path as one word of a shell, which no command takes for an option. It is shown whole and means the
/// same bytes again when it is pasted: as it is, or in `'...'`, which every POSIX shell knows; with bytes
/// in it that cannot be shown in `$'...'`, which bash, zsh, ksh, BusyBox and POSIX of 2024 know.
pub(super) fn quote(path: &Path) -> String {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    if bytes.starts_with(b"-") {
        bytes.splice(0..0, *b"./");
    }
    match str::from_utf8(&bytes) {
        Ok(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Ok(text) if text.chars().all(is_shown) => format!("'{}'", text.replace('\'', r"'\''")),
        Ok(_) | Err(_) => format!("$'{}'", escaped(&bytes)),
    }
}

/// Needs no quotes.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() && is_shown(c) || "/._-+:@,".contains(c)
}

/// Within `$'...'`. Three octal digits are one byte everywhere; after hexadecimal ones some shells go on
/// reading.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_shown(c) && !"'\\!".contains(c) {
                text.push(c);
            } else {
                octal(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        octal(&mut text, chunk.invalid());
    }
    text
}

fn octal(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn words_of_a_shell() {
        for (path, word) in [
            ("data.tar", "data.tar"),
            ("/a/b-c", "/a/b-c"),
            ("my film.mkv", "'my film.mkv'"),
            ("it's", r"'it'\''s'"),
            ("-rf", "./-rf"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
            ("=cat", "'=cat'"),
            ("a\nb", r"$'a\012b'"),
            ("gpj.\u{202e}exe", r"$'gpj.\342\200\256exe'"),
            ("-\u{7}7it's!\\", r"$'./-\0077it\047s\041\134'"),
            ("é\u{fe0f}", r"$'é\357\270\217'"),
        ] {
            assert_eq!(quote(Path::new(path)), word);
        }
        assert_eq!(quote(Path::new(OsStr::from_bytes(b"a\xff7"))), r"$'a\3777'");
    }

    /// What the shell makes of a word, if there is such a shell.
    fn word_in(shell: &str, word: &str) -> Option<Vec<u8>> {
        let script = format!("printf %s {word}");
        let output = std::process::Command::new(shell).args(["-c", &script]).output().ok()?;
        Some(output.stdout)
    }

    #[test]
    fn a_shell_makes_the_same_bytes_of_it() {
        let every_byte: Vec<u8> = (1..=255).collect();
        for name in [
            &every_byte[..],
            b"gpj.\xe2\x80\xaeexe",
            b"-\n\x1b[2J",
            b"it's $HOME `x` \\ !x \x07",
            b"\x017\xff0",
        ] {
            let path = Path::new(OsStr::from_bytes(name));
            let word = quote(path);
            assert!(word.chars().all(is_shown), "{word}");
            let wanted = if name.starts_with(b"-") { [b"./", name].concat() } else { name.to_vec() };
            for shell in ["bash", "zsh", "ksh", "mksh"] {
                match word_in(shell, &word) {
                    Some(made) => assert_eq!(made, wanted, "{shell}: {word}"),
                    None => eprintln!("skipped: there is no {shell} here"),
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn words_hold_nothing_that_may_not_be_shown(name in proptest::collection::vec(1..=255_u8, 0..40)) {
            let word = quote(Path::new(OsStr::from_bytes(&name)));
            proptest::prop_assert!(!word.is_empty() && word.chars().all(is_shown));
        }
    }
}
