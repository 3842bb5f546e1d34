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
