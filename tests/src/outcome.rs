//! What a process left behind.

use std::fmt;
use std::time::Duration;

/// The end of a process.
#[derive(Debug)]
pub struct Outcome {
    /// The command.
    pub shown: String,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Whole standard output.
    pub stdout: String,
    /// Whole standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
    /// The same at full speed, for bounds: see [`crate::full_speed`].
    pub at_full_speed: Duration,
    /// Peak of resident memory, in bytes, as last seen while it ran; 0 if it was too quick to be seen.
    pub peak_memory: u64,
}

impl Outcome {
    /// Fails unless the process exited with 0.
    #[track_caller]
    pub fn assert_success(&self) -> &Self {
        assert_eq!(self.code, Some(0), "should have succeeded: {self}");
        self
    }

    /// Fails unless the process exited with `code` and nothing panicked.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "should have exited with {code}: {self}");
        assert!(!self.stderr.contains("panicked"), "{self}");
        self
    }

    /// Fails unless the process exited with 1 and one line on standard error that holds all of `parts`
    /// (compared without case) and keeps the house style: no final period.
    #[track_caller]
    pub fn assert_one_line_error(&self, parts: &[&str]) -> &Self {
        self.assert_code(1);
        let lines: Vec<_> = self.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        assert_eq!(lines.len(), 1, "wanted exactly one line on stderr: {self}");
        self.assert_error_mentions(parts);
        assert!(!lines[0].ends_with('.'), "an error message has no final period: {self}");
        self
    }

    /// Fails unless the last line on standard error holds all of `parts` (compared without case).
    #[track_caller]
    pub fn assert_error_mentions(&self, parts: &[&str]) -> &Self {
        let last =
            self.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_lowercase();
        for part in parts {
            assert!(last.contains(&part.to_lowercase()), "the error should name {part:?}: {self}");
        }
        self
    }

    /// Standard output as one JSON object a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let lines = self.stdout.lines().map(|line| {
            let value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("not JSON ({error}): {line}\n{self}"));
            assert!(matches!(value, serde_json::Value::Object(_)), "not an object: {line}\n{self}");
            value
        });
        lines.collect()
    }

    /// Both outputs, for what may be said on either.
    #[must_use]
    pub fn both(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.code.map_or("by a signal".to_owned(), |code| format!("with {code}"));
        let memory = self.peak_memory >> 10;
        writeln!(
            f,
            "\n$ {}\nended {end} after {:?} ({:?} at full speed), peak memory {memory} KiB",
            self.shown, self.took, self.at_full_speed
        )?;
        write!(f, "--- stdout ---\n{}\n--- stderr ---\n{}\n---", self.stdout, self.stderr)
    }
}
