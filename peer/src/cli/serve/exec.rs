//! `--exec`: a command for each file that has become complete.
//!
//! The command is the user's, and is read by a shell as it was typed. Names of files, which somebody else may have chosen,
//! reach it by environment variables alone.

use crate::library::{How, Serving};
use crate::report::Said;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::pending;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Commands that run at the same time; more files wait for their turn.
const MAX_COMMANDS: usize = 2;

/// Bytes of a line of a command's output; a longer one becomes several.
const MAX_OUTPUT_LINE_LEN: usize = 4096;

/// Lines of one command's output that are told; the others are read and thrown away.
const MAX_OUTPUT_LINES: usize = 1000;

/// Lines that wait to be told.
const WAITING_LINES: usize = 64;

/// How long the output of a command that has ended is waited for: what it has started may keep it open.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);

/// The commands.
pub(super) struct Commands {
    command: Option<OsString>,
    waiting: VecDeque<Serving>,
    running: JoinSet<()>,
    say: mpsc::Sender<(PathBuf, Said)>,
    said: mpsc::Receiver<(PathBuf, Said)>,
}

impl Commands {
    /// None yet; `command` is run for each file, if there is one.
    pub(super) fn new(command: Option<OsString>) -> Self {
        let (say, said) = mpsc::channel(WAITING_LINES);
        Self { command, waiting: VecDeque::new(), running: JoinSet::new(), say, said }
    }

    /// This file has become complete.
    pub(super) fn add(&mut self, file: Serving) {
        if self.command.is_some() {
            self.waiting.push_back(file);
            self.begin();
        }
    }

    /// Waits for something that a command has to say; for ever when there is none.
    pub(super) async fn next(&mut self) -> (PathBuf, Said) {
        loop {
            self.begin();
            tokio::select! {
                said = self.said.recv() => match said {
                    Some(said) => return said,
                    // Cannot be: a sender is held.
                    None => pending().await,
                },
                Some(_) = self.running.join_next() => {}
            }
        }
    }

    /// Ends those that run: they get SIGTERM.
    pub(super) fn end(&mut self) {
        self.waiting.clear();
        self.running.abort_all();
    }

    fn begin(&mut self) {
        while self.running.len() < MAX_COMMANDS
            && let Some(command) = &self.command
            && let Some(file) = self.waiting.pop_front()
        {
            self.running.spawn(run(command.clone(), file, self.say.clone()));
        }
    }
}

/// Runs the command for one file.
async fn run(command: OsString, file: Serving, say: mpsc::Sender<(PathBuf, Said)>) {
    let path = file.path.clone();
    let how = match file.how {
        How::Downloaded => "downloaded",
        How::Known | How::Checked | How::Origin => "checked",
    };
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .env("CASCADE_FILE", &file.path)
        .env("CASCADE_METAFILE", &file.metafile)
        .env("CASCADE_HASH", file.hash.to_string())
        .env("CASCADE_LENGTH", file.length.to_string())
        .env("CASCADE_HOW", how)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let said = match child {
        Ok(mut child) => {
            let group = Group::of(child.id());
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            let output = async { tokio::join!(tell(stdout, &path, &say), tell(stderr, &path, &say)) };
            tokio::pin!(output);
            let (ended, is_told) = tokio::select! {
                ended = child.wait() => (ended, false),
                _ = &mut output => (child.wait().await, true),
            };
            group.has_ended();
            if !is_told {
                let _ = timeout(OUTPUT_PATIENCE, output).await;
            }
            ended.map_or_else(|error| Said::Failed(format!("cannot be waited for: {error}")), said_of)
        }
        Err(error) => Said::Failed(format!("cannot be started: {error}")),
    };
    let _ = say.send((path, said)).await;
}

fn said_of(status: ExitStatus) -> Said {
    match status.code() {
        Some(0) => Said::Ended(0),
        _ => Said::Failed(format!("has failed: {status}")),
    }
}

/// Tells each line of an output.
async fn tell<R: AsyncRead + Unpin>(
    output: Option<R>,
    path: &std::path::Path,
    say: &mpsc::Sender<(PathBuf, Said)>,
) {
    let Some(mut output) = output else { return };
    let (mut lines, mut piece) = (Lines::default(), [0; 1024]);
    loop {
        let Ok(read) = output.read(&mut piece).await else { return };
        let told = if read == 0 { lines.finish() } else { lines.take(piece.get(..read).unwrap_or_default()) };
        for text in told {
            let _ = say.send((path.to_owned(), Said::Line(text))).await;
        }
        if read == 0 {
            return;
        }
    }
}

/// Bytes to lines (pure).
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    told: usize,
}

impl Lines {
    /// The lines that these bytes end.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte == b'\n' || self.begun.len() == MAX_OUTPUT_LINE_LEN {
                lines.extend(self.line());
            }
            if *byte != b'\n' {
                self.begun.push(*byte);
            }
        }
        lines
    }

    /// What has no end.
    fn finish(&mut self) -> Vec<String> {
        if self.begun.is_empty() { Vec::new() } else { self.line().into_iter().collect() }
    }

    fn line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.begun);
        self.told += 1;
        match self.told {
            told if told < MAX_OUTPUT_LINES => Some(String::from_utf8_lossy(&bytes).into_owned()),
            MAX_OUTPUT_LINES => Some("(what follows is left out)".into()),
            _ => None,
        }
    }
}

/// A running command and what it has started: it is ended when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(id: Option<u32>) -> Self {
        Self(id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    /// The command has ended; what it has left running goes on.
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_told_line_by_line_and_bounded() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\ntw"), ["one"]);
        assert_eq!(lines.take(b"o\n\n"), ["two", ""]);
        let long = vec![b'x'; MAX_OUTPUT_LINE_LEN + 1];
        assert_eq!(lines.take(&long), ["x".repeat(MAX_OUTPUT_LINE_LEN)]);
        assert_eq!(lines.finish(), ["x"]);
        assert!(lines.finish().is_empty());
        let told = lines.take(&b"y\n".repeat(2 * MAX_OUTPUT_LINES));
        assert_eq!(told.len(), MAX_OUTPUT_LINES - 5);
        assert_eq!(told.last().unwrap(), "(what follows is left out)");
    }
}
