//! A process under measurement: wall time, CPU seconds, peak memory, wake-ups.
//!
//! A process that exits is measured by `wait4`, in microseconds; one that runs on by the difference of two readings of
//! its CPU clock, in nanoseconds, with its children: the kernel derives both from the same counter. Peak memory is the
//! kernel's own high-water mark, sampled for the process and its children, because `wait4` also counts what the parent
//! held before `exec`.

use crate::error::{BenchError, Context, Result, failed};
use crate::{clock, interrupt, procfs};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use wait4::Wait4;

/// The longest time between two samples of the memory of a process; at first they are a tenth of its age apart,
/// so that short runs are sampled too.
const SAMPLE_EVERY: Duration = Duration::from_millis(20);

/// Time between two looks at whether a process has exited or a condition holds.
const POLL_EVERY: Duration = Duration::from_millis(1);

/// How long a process may take to end after SIGTERM before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// What a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Usage {
    /// User and system CPU seconds.
    pub cpu: f64,
    /// Peak resident memory, in bytes.
    pub peak: u64,
    /// The most descriptors that were open in a sample.
    pub descriptors: u64,
    /// Voluntary context switches: how often a thread went to sleep and was woken.
    pub wakeups: u64,
}

/// A running process; killed with its process group when dropped.
#[derive(Debug)]
pub struct Measured {
    name: String,
    child: Child,
    reaped: bool,
    started: Instant,
    log: PathBuf,
    memory: Sampler,
    cpu_at_mark: Duration,
    wakeups_at_mark: u64,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Time from start to exit.
    pub wall: Duration,
    /// What it used since its start.
    pub usage: Usage,
}

impl Measured {
    /// Starts `command`; its standard output and error go to `log`.
    ///
    /// # Errors
    /// The log cannot be made, the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).context(|| format!("cannot create {}", log.display()))?;
        let copy = file.try_clone().context(|| format!("cannot open {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file).stderr(copy).process_group(0);
        let started = clock::now();
        let child = command.spawn().context(|| format!("cannot start {name}"))?;
        let memory = Sampler::start(child.id());
        Ok(Self {
            name: name.to_owned(),
            child,
            reaped: false,
            started,
            log: log.to_owned(),
            memory,
            cpu_at_mark: Duration::ZERO,
            wakeups_at_mark: 0,
        })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it was started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// What it has written so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Counts CPU time and wake-ups from here on.
    pub fn mark(&mut self) {
        self.cpu_at_mark = procfs::cpu_time(self.pid());
        self.wakeups_at_mark = procfs::wakeups(self.pid());
    }

    /// CPU and wake-ups since the mark, and peak memory since the start, of a process that runs.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let cpu = procfs::cpu_time(self.pid()).saturating_sub(self.cpu_at_mark).as_secs_f64();
        let wakeups = procfs::wakeups(self.pid()).saturating_sub(self.wakeups_at_mark);
        Usage { cpu, peak: self.memory.sample(), descriptors: self.memory.descriptors(), wakeups }
    }

    /// Waits for the exit, which must be a success.
    ///
    /// # Errors
    /// It fails, or runs longer than `limit`; the end of its log is in the error.
    pub fn finish(mut self, limit: Duration) -> Result<Ended> {
        loop {
            if let Some(ended) = self.poll_exit()? {
                return Ok(ended);
            }
            if self.started.elapsed() > limit {
                return failed(format!(
                    "{} did not end within {} s{}",
                    self.name,
                    limit.as_secs(),
                    self.log_end()
                ));
            }
            thread::sleep(POLL_EVERY);
        }
    }

    /// Looks whether it has exited, which must be a success.
    ///
    /// # Errors
    /// It has failed; the end of its log is in the error.
    pub fn poll_exit(&mut self) -> Result<Option<Ended>> {
        interrupt::check()?;
        let wakeups_before = wakeups_of_reaped();
        let waited = self.child.try_wait4().context(|| format!("cannot wait for {}", self.name))?;
        let Some(exit) = waited else { return Ok(None) };
        let wall = self.started.elapsed();
        self.reaped = true;
        let usage = Usage {
            cpu: (exit.rusage.utime + exit.rusage.stime).as_secs_f64(),
            peak: self.memory.finish(exit.rusage.maxrss),
            descriptors: self.memory.descriptors(),
            // Processes are reaped one after the other, so the difference is that of this one.
            wakeups: wakeups_of_reaped().saturating_sub(wakeups_before),
        };
        if exit.status.success() {
            Ok(Some(Ended { wall, usage }))
        } else {
            failed(format!("{} failed ({}){}", self.name, exit.status, self.log_end()))
        }
    }

    /// Waits until `ready` holds, while the process runs. Returns the time since its start.
    ///
    /// # Errors
    /// It exits before, or `limit` passes.
    pub fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut(&Self) -> bool) -> Result<Duration> {
        loop {
            if ready(self) {
                return Ok(self.started.elapsed());
            }
            if self.poll_exit()?.is_some() {
                return failed(format!("{} ended too early{}", self.name, self.log_end()));
            }
            if self.started.elapsed() > limit {
                return failed(format!(
                    "{} was not ready in {} s{}",
                    self.name,
                    limit.as_secs(),
                    self.log_end()
                ));
            }
            thread::sleep(POLL_EVERY);
        }
    }

    fn log_end(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().rev().take(5).collect();
        if lines.is_empty() { String::new() } else { format!("; it said: {}", join_reversed(&lines)) }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(group, signal);
        }
    }
}

fn join_reversed(lines: &[&str]) -> String {
    lines.iter().rev().copied().collect::<Vec<_>>().join(" / ")
}

impl Drop for Measured {
    fn drop(&mut self) {
        if self.reaped {
            return;
        }
        self.signal(Signal::TERM);
        let asked = clock::now();
        while asked.elapsed() < STOP_WITHIN {
            if !matches!(self.child.try_wait4(), Ok(None)) {
                return;
            }
            thread::sleep(POLL_EVERY);
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Voluntary context switches of all children that this process has waited for, and of their children.
fn wakeups_of_reaped() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN);
    usage.map_or(0, |usage| u64::try_from(usage.voluntary_context_switches()).unwrap_or(0))
}

/// A thread that samples the memory of a process and of its children.
#[derive(Debug)]
struct Sampler {
    pid: u32,
    peak: Arc<AtomicU64>,
    descriptors: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    fn start(pid: u32) -> Self {
        let (peak, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let descriptors = Arc::<AtomicU64>::default();
        let (to, most, stopped) = (Arc::clone(&peak), Arc::clone(&descriptors), Arc::clone(&stop));
        let started = clock::now();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                to.fetch_max(tree_peak(pid), Ordering::Relaxed);
                most.fetch_max(procfs::descriptors(pid), Ordering::Relaxed);
                thread::park_timeout((started.elapsed() / 10).clamp(POLL_EVERY, SAMPLE_EVERY));
            }
        });
        Self { pid, peak, descriptors, stop, thread: Some(thread) }
    }

    /// Samples now; the peak so far.
    fn sample(&self) -> u64 {
        let now = tree_peak(self.pid);
        self.peak.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// The most descriptors so far.
    fn descriptors(&self) -> u64 {
        self.descriptors.load(Ordering::Relaxed)
    }

    /// The peak of a process that has exited, for which `wait4` stated `stated` bytes. The number of the kernel is
    /// exact, unless it is no more than this process held when it started the other.
    fn finish(&mut self, stated: u64) -> u64 {
        self.halt();
        let sampled = self.peak.load(Ordering::Relaxed);
        let own = procfs::peak_memory(std::process::id());
        if stated > own { stated.max(sampled) } else { sampled }
    }

    fn halt(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.halt();
    }
}

/// The sum of the peaks of a process and its children: an upper bound of the peak of the sum.
fn tree_peak(pid: u32) -> u64 {
    procfs::peak_memory(pid) + procfs::children(pid).into_iter().map(procfs::peak_memory).sum::<u64>()
}

/// Where `program` is on the `PATH`.
///
/// # Errors
/// [`BenchError::Unavailable`] when it is not installed.
pub fn find_program(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons are often outside a user's PATH.
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = places.map(|place| place.join(program)).find(|file| file.is_file());
    found.ok_or_else(|| BenchError::Unavailable(format!("{program} is not installed")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn shell(script: &str, log: &Path) -> Measured {
        Measured::start("sh", Command::new("sh").args(["-c", script]), log).unwrap()
    }

    #[test]
    fn a_process_is_measured_to_its_exit() {
        let dir = tempfile::tempdir().unwrap();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let ended = shell(script, &dir.path().join("log")).finish(Duration::from_secs(60)).unwrap();
        assert!(ended.usage.cpu > 0.0, "a loop used no CPU: {ended:?}");
        assert!(ended.usage.cpu <= ended.wall.as_secs_f64() + 0.05, "more CPU than time: {ended:?}");
        assert!(ended.usage.peak > 100_000, "no memory: {ended:?}");
    }

    #[test]
    fn wake_ups_are_counted_while_it_runs_and_after() {
        let dir = tempfile::tempdir().unwrap();
        let script = "for i in 1 2 3 4 5 6 7 8; do sleep 0.01; done; echo done; sleep 60";
        let mut process = shell(script, &dir.path().join("log"));
        process.wait_until(Duration::from_secs(60), |p| p.log_text().contains("done")).unwrap();
        let running = process.usage().wakeups;
        assert!(running >= 8, "a shell that waited for eight children woke up {running} times");
        let script = "for i in 1 2 3 4 5 6 7 8; do sleep 0.01; done";
        let ended = shell(script, &dir.path().join("log")).finish(Duration::from_secs(60)).unwrap();
        assert!(ended.usage.wakeups >= 16, "eight sleepers and their shell: {ended:?}");
    }

    /// CPU seconds of a shell with `script`, read while it waits for the name `$0` to be written to, and after its exit.
    fn read_twice(script: &str) -> (f64, f64) {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(&pipe);
        let mut process = Measured::start("sh", &mut command, &dir.path().join("log")).unwrap();
        process.wait_until(Duration::from_secs(60), |p| p.log_text().contains("done")).unwrap();
        let running = process.usage().cpu;
        // Open for both, it does not wait for a reader that has ended.
        let mut pipe = File::options().read(true).write(true).open(pipe).unwrap();
        pipe.write_all(b"go\n").unwrap();
        let ended = process.finish(Duration::from_secs(60)).unwrap().usage.cpu;
        (running, ended)
    }

    #[test]
    fn a_process_that_runs_is_measured_like_one_that_has_ended() {
        const BUSY: &str = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        const WAIT: &str = "echo done; read word < \"$0\"";
        for (what, script, within) in [
            ("alone", format!("{BUSY}; {WAIT}"), 0.01),
            ("with a child that runs", format!("({BUSY}; {WAIT}); true"), 0.01),
            // Its time is known in ticks.
            ("with a child that has ended", format!("({BUSY}); {WAIT}"), 0.03),
        ] {
            let (running, ended) = read_twice(&script);
            assert!(running > 0.0 && (ended - running).abs() < within, "{what}: {running} s, then {ended} s");
        }
    }

    #[test]
    fn a_failure_tells_what_the_program_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = shell("echo no luck; exit 3", &dir.path().join("log")).finish(Duration::from_secs(60));
        let text = error.unwrap_err().to_string();
        assert!(text.contains("no luck") && text.contains('3'), "{text}");
    }

    #[test]
    fn dropping_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = shell("sleep 600 & echo $!; wait", &dir.path().join("log"));
        process.wait_until(Duration::from_secs(60), |p| p.log_text().ends_with('\n')).unwrap();
        let sleeper: u32 = process.log_text().trim().parse().unwrap();
        drop(process);
        let gone = || !Path::new(&format!("/proc/{sleeper}/exe")).exists();
        let asked = clock::now();
        while !gone() && asked.elapsed() < Duration::from_secs(10) {
            thread::sleep(POLL_EVERY);
        }
        assert!(gone(), "sleep {sleeper} still runs");
    }

    #[test]
    fn programs_are_found_or_missing() {
        assert!(find_program("sh").is_ok());
        assert!(matches!(find_program("no-such-program-here"), Err(BenchError::Unavailable(_))));
    }
}
