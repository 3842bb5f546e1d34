//! Paths in commands that the user may copy into a shell.

use std::path::Path;

/// The path as one word of a POSIX shell, which no command takes for an option.
pub(super) fn quote(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if text.starts_with('-') { format!("./{text}") } else { text.into_owned() };
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(quote(Path::new(path)), word);
        }
    }
}
