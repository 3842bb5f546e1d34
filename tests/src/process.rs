//! A real process under test: its output is drained by threads, every wait has a limit, it is killed when
//! it is dropped, and whatever fails shows the whole log.

use crate::clock::{self, LIMIT};
use crate::full_speed;
use crate::outcome::Outcome;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, kill_process, prlimit};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use rustix::process::Signal;

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    Stdout,
    Stderr,
}

type Log = Arc<Mutex<Vec<(Output, String)>>>;

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    shown: String,
    child: Child,
    log: Log,
    drains: Vec<JoinHandle<()>>,
    started: Instant,
    peak_memory: u64,
}

impl Process {
    pub(crate) fn new(name: String, shown: String, mut child: Child) -> Self {
        let log = Log::default();
        let stdout = child.stdout.take().map(|pipe| drain(pipe, Output::Stdout, &log));
        let stderr = child.stderr.take().map(|pipe| drain(pipe, Output::Stderr, &log));
        let drains = stdout.into_iter().chain(stderr).collect();
        full_speed::begin();
        Self { name, shown, child, log, drains, started: clock::now(), peak_memory: 0 }
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line, on either output, in which `found` finds something, and returns that.
    ///
    /// # Panics
    /// The process ends first, or the time is over.
    pub fn wait_line<T>(&mut self, what: &str, found: impl Fn(&str) -> Option<T>) -> T {
        let start = clock::now();
        loop {
            // Ended first, lines second: a line printed just before the end is seen.
            let ended = self.exit_status();
            if ended.is_some() {
                self.finish_drains();
            }
            if let Some(value) = lock(&self.log).iter().find_map(|(_, line)| found(line)) {
                return value;
            }
            if let Some(status) = ended {
                panic!("{} ended ({status}) before it printed {what}\n{}", self.name, self.log());
            }
            assert!(!full_speed::is_over(start, LIMIT), "{} did not print {what}\n{}", self.name, self.log());
            clock::breathe();
        }
    }

    /// Looks at `condition` until it gives something, and returns that.
    ///
    /// # Panics
    /// The process ends first, or the time is over.
    #[track_caller]
    pub fn wait_until<T>(&mut self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let start = clock::now();
        loop {
            if let Some(found) = condition() {
                return found;
            }
            self.assert_running();
            assert!(!full_speed::is_over(start, LIMIT), "waited in vain for: {what}\n{}", self.log());
            clock::breathe();
        }
    }

    /// Whether a line that holds `text` was printed so far.
    #[must_use]
    pub fn has_printed(&self, text: &str) -> bool {
        lock(&self.log).iter().any(|(_, line)| line.contains(text))
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        self.exit_status().is_none()
    }

    /// Fails, with the log, if the process has ended.
    #[track_caller]
    pub fn assert_running(&mut self) {
        let ended = self.exit_status();
        assert!(ended.is_none(), "{} should still run, but ended: {ended:?}\n{}", self.name, self.log());
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// The process has ended.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        self.assert_running();
        kill_process(Pid::from_child(&self.child), signal).expect("the process was there a moment ago");
    }

    /// Waits for the end of the process.
    #[must_use]
    pub fn wait_exit(self) -> Outcome {
        self.wait_exit_within(LIMIT)
    }

    /// Waits for the end of the process, for `limit` at most.
    ///
    /// # Panics
    /// The time is over.
    #[must_use]
    #[track_caller]
    pub fn wait_exit_within(mut self, limit: Duration) -> Outcome {
        let start = clock::now();
        let status = loop {
            self.peak_memory = self.peak_memory.max(peak_memory(self.pid()));
            if let Some(status) = self.exit_status() {
                break status;
            }
            assert!(
                !full_speed::is_over(start, limit),
                "{} did not end within {limit:?}\n{}",
                self.name,
                self.log()
            );
            clock::breathe();
        };
        let (took, at_full_speed) = (self.started.elapsed(), full_speed::since(self.started));
        self.finish_drains();
        let text = |wanted: Output| {
            let log = lock(&self.log);
            log.iter()
                .filter(|(output, _)| *output == wanted)
                .fold(String::new(), |all, (_, line)| all + line)
        };
        Outcome {
            shown: self.shown.clone(),
            code: status.code(),
            stdout: text(Output::Stdout),
            stderr: text(Output::Stderr),
            took,
            at_full_speed,
            peak_memory: self.peak_memory,
        }
    }

    /// Sends a signal, then waits for the end.
    #[must_use]
    #[track_caller]
    pub fn end_by(mut self, signal: Signal) -> Outcome {
        self.signal(signal);
        self.wait_exit_within(LIMIT)
    }

    /// Peak of resident memory so far, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        peak_memory(self.pid())
    }

    /// Processor time that the process has used so far, in user and system mode; in steps of 10 ms.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The name, in brackets, may hold anything; times are the 14th and 15th field, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Processor time that the process uses in the next `time`.
    #[must_use]
    pub fn cpu_time_within(&self, time: Duration) -> Duration {
        let before = self.cpu_time();
        clock::pause(time);
        self.cpu_time().saturating_sub(before)
    }

    /// Number of open descriptors.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    /// The highest number of its open descriptors. Numbers below it may be free.
    #[must_use]
    pub fn highest_descriptor(&self) -> u64 {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max().unwrap_or(0)
    }

    /// Lets the process have no descriptor whose number is `limit` or more from now on; what is open stays open.
    ///
    /// # Panics
    /// The system does not let us.
    #[cfg(target_os = "linux")]
    pub fn limit_descriptors(&self, limit: u64) {
        let limit = Rlimit { current: Some(limit), maximum: getrlimit(Resource::Nofile).maximum };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).expect("the child is ours");
    }

    /// Everything printed so far, for failure messages.
    #[must_use]
    pub fn log(&self) -> String {
        let lines = lock(&self.log).iter().fold(String::new(), |all, (output, line)| {
            all + if *output == Output::Stdout { "  out| " } else { "  err| " } + line
        });
        format!("$ {}\n{lines}", self.shown)
    }

    /// Waits until both outputs are closed. A process that left children behind keeps them open.
    fn finish_drains(&mut self) {
        let start = clock::now();
        while !self.drains.iter().all(JoinHandle::is_finished) {
            let late = start.elapsed() > LIMIT;
            assert!(!late, "{} ended, but a child of its keeps the output open\n{}", self.name, self.log());
            clock::breathe();
        }
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A program that runs under another one (strace, a shell) outlives it.
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            let _ = kill_process(child, Signal::KILL);
        }
        // Both fail only if the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            show(&self.log());
        }
    }
}

#[allow(clippy::print_stderr, reason = "shown with the failed test's own output")]
fn show(log: &str) {
    eprintln!("{log}");
}

/// Collects the lines of `pipe`, with their ends, until it is closed.
fn drain(pipe: impl Read + Send + 'static, output: Output, log: &Log) -> JoinHandle<()> {
    let log = Arc::clone(log);
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            lock(&log).push((output, String::from_utf8_lossy(&line).into_owned()));
            line.clear();
        }
    })
}

fn lock(log: &Log) -> MutexGuard<'_, Vec<(Output, String)>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the process has `path` open.
#[must_use]
pub fn has_open(pid: u32, path: &Path) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| target == path)
}

/// `VmHWM` of a process, in bytes; 0 if it has ended, or has not become its program yet: until then its memory
/// is that of this test.
fn peak_memory(pid: u32) -> u64 {
    let program = |of: &str| fs::read_link(format!("/proc/{of}/exe")).ok();
    if program(&pid.to_string()) == program("self") {
        return 0;
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
