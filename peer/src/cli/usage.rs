//! What the argument parser has to say: help, the version, what is wrong with the arguments.

use super::ExitCode;
use crate::report;
use cascade_format::text;
use clap::error::{ContextValue, Error};

/// Tells it: help and version on stdout, faults on stderr.
pub(super) fn tell(error: Error) -> ExitCode {
    let fault = error.use_stderr();
    let text = with_safe_arguments(error).render().to_string();
    if fault {
        report::error_lines(&text);
        ExitCode::Usage
    } else {
        report::lines(&text);
        ExitCode::Done
    }
}

/// An argument may hold new lines, which would look like the parser's own.
fn with_safe_arguments(mut error: Error) -> Error {
    // The other kinds of values are names of the parser's own, and numbers; suggestions repeat arguments.
    let safe = |value: &ContextValue| {
        if let ContextValue::String(argument) = value {
            Some(ContextValue::String(text::line(argument)))
        } else if let ContextValue::Strings(arguments) = value {
            Some(ContextValue::Strings(arguments.iter().map(|argument| text::line(argument)).collect()))
        } else if let ContextValue::StyledStrs(suggestions) = value {
            let plain = suggestions.iter().map(|suggestion| text::line(&suggestion.to_string()).into());
            Some(ContextValue::StyledStrs(plain.collect()))
        } else {
            None
        }
    };
    let context: Vec<_> = error.context().filter_map(|(kind, value)| Some((kind, safe(value)?))).collect();
    for (kind, value) in context {
        error.insert(kind, value);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    /// What is said of these arguments, which are wrong.
    fn said(arguments: &[&str]) -> String {
        let error = Cli::try_parse_from([&["peer"], arguments].concat()).unwrap_err();
        assert!(error.use_stderr(), "{error}");
        with_safe_arguments(error).render().to_string()
    }

    #[test]
    fn an_address_that_nobody_can_have_is_told_with_its_option() {
        let tracker = "for '--tracker <HOST:PORT>'";
        for (command, rest) in [
            ("download", &["x"][..]),
            ("seed", &["x"]),
            ("serve", &["x"]),
            ("status", &["x"]),
            ("wait", &["x", "--complete", "1"]),
            ("info", &["x"]),
            ("verify", &["x"]),
            ("share", &["x"]),
            ("create", &["x"]),
            ("link", &["x"]),
        ] {
            for wrong in ["[::1", "::1:80", "1.2.3.4:80:90", "256.1.1.1:80", "ho st:80", "h:+80", "1.2.3:80"]
            {
                let text = said(&[&[command, "-t", wrong], rest].concat());
                assert!(text.contains(tracker), "{command} {wrong}: {text}");
            }
        }
        for command in ["download", "info", "verify", "link"] {
            let text = said(&[command, "x", "--peer", "[::1"]);
            assert!(text.contains("for '--peer <HOST:PORT>'"), "{text}");
        }
        for wrong in ["0.0.0.0:80", "[::]:80"] {
            assert!(said(&["share", "x", "-t", wrong]).contains(tracker));
            assert!(said(&["create", "x", "-t", wrong]).contains(tracker));
            assert!(said(&["link", "x", "-t", wrong]).contains("nobody can connect to it"));
            assert!(said(&["link", "x", "--peer", wrong]).contains("'--peer <HOST:PORT>'"));
            assert!(said(&["share", "x", "--address", wrong]).contains("'--address <HOST[:PORT]>'"));
            // Of oneself it is this machine.
            Cli::try_parse_from(["peer", "download", "x", "-t", wrong, "--peer", wrong]).unwrap();
        }
        assert!(said(&["share", "x", "--address", "::1:80"]).contains("in brackets"));
    }

    #[test]
    fn a_value_that_begins_with_a_hyphen_is_told_with_its_option() {
        for (command, option, wrong) in [
            ("download", "--max-down", "-1"),
            ("download", "--max-down", "-5MiB/s"),
            ("share", "--max-up", "-1"),
            ("seed", "--cache", "-1"),
            ("seed", "--cache", "-1GiB"),
            ("share", "--until", "-1"),
            ("share", "--block-size", "-1MiB"),
            ("create", "--block-size", "-1MiB"),
            ("wait", "--complete", "-1"),
            ("wait", "--timeout", "-1"),
            ("wait", "--timeout", "-1min"),
        ] {
            let text = said(&[command, "x", option, wrong]);
            let named = text.contains(&format!("invalid value '{wrong}' for '{option} <"))
                || text.contains(&format!("invalid value '{wrong}' for '-b <SIZE>'"))
                || text.contains(&format!("invalid value '{wrong}' for '-b, {option} <"));
            assert!(named, "{command} {option} {wrong}: {text}");
        }
        for (command, option) in
            [("share", "--until"), ("wait", "--complete"), ("wait", "--timeout"), ("share", "--max-up")]
        {
            let text = said(&[command, "x", option, "--json"]);
            assert!(text.contains(option), "{text}");
        }
    }

    #[test]
    fn the_address_of_a_page_is_told_as_it_is_to_be_written() {
        for wrong in ["--web=:80", "--web=", "--web=host"] {
            let text = said(&["share", "x", wrong]);
            assert!(text.contains("for '--web[=<ADDR:PORT>]'") && text.contains("numeric address"), "{text}");
        }
    }

    #[test]
    fn arguments_make_no_lines_of_their_own() {
        for arguments in [
            &["peer", "info\nerror: all is lost"][..],
            &["peer", "info", "--no\nerror: all is lost\x1b[2J"],
            &["peer", "download", "x", "--listen", "a\nerror: all is lost"],
            &["peer", "download", "x", "--peer", "a\nerror: all is lost"],
            &["peer", "download", "x", "--peer", "a:b\nerror: all is lost"],
            &["peer", "create", "x", "-b", "9\nerror: all is lost"],
            &["peer", "seed", "x", "--extension", "on\nerror: all is lost"],
        ] {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            let text = with_safe_arguments(error).render().to_string();
            let lines: Vec<_> = text.lines().filter(|line| line.starts_with("error:")).collect();
            assert_eq!(lines.len(), 1, "{text}");
            assert!(lines[0].contains("\\u{a}") && !lines[0].starts_with("error: all"), "{text}");
        }
    }
}
