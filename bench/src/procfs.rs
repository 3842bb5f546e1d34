//! What `/proc` tells about running processes.

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

/// Clock ticks a second in `/proc/PID/stat`; the kernel's `USER_HZ`, 100 on every Linux that we know.
const TICKS_PER_SECOND: u64 = 100;

/// User and system CPU time of `pid`, of its threads that have ended, and of all its descendants. The clock of a process
/// counts nanoseconds; of a descendant that has ended, the ticks of 10 ms count that its parent has. Zero when it is gone.
#[must_use]
pub fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ended = Duration::from_millis(ticks_of_ended(&stat) * 1000 / TICKS_PER_SECOND);
    own_cpu_time(pid) + ended + children(pid).into_iter().map(cpu_time).sum::<Duration>()
}

/// What the CPU clock of the process `pid` shows.
fn own_cpu_time(pid: u32) -> Duration {
    let Ok(pid) = i32::try_from(pid) else { return Duration::ZERO };
    let time = clock_getcpuclockid(Pid::from_raw(pid)).and_then(clock_gettime);
    time.map_or(Duration::ZERO, Duration::from)
}

/// cutime + cstime, of the children that were waited for: fields 16 and 17. The name (field 2) may hold blanks and parentheses.
fn ticks_of_ended(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Peak resident memory of `pid` since it was started with its program, in bytes. Zero when it is gone.
#[must_use]
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kib_field(&status, "VmHWM:") * 1024
}

/// Open descriptors of `pid`. Zero when it is gone.
#[must_use]
pub fn descriptors(pid: u32) -> u64 {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |open| open.count() as u64)
}

/// Voluntary context switches of all threads of `pid` that are alive. Zero when it is gone.
#[must_use]
pub fn wakeups(pid: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let of = |status: String| kib_field(&status, "voluntary_ctxt_switches:");
    threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok()).map(of).sum()
}

/// The number after `name` in a `/proc` file of `name: number` lines, in kB or without a unit.
#[must_use]
pub fn kib_field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The children of `pid`, whichever of its threads has started them.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of =
        |list: String| list.split_whitespace().filter_map(|child| child.parse().ok()).collect::<Vec<_>>();
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(of)
        .collect()
}

/// CPU time of all cores that was not idle since the machine was started, and all of it.
#[must_use]
pub fn machine_cpu() -> (Duration, Duration) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<u64> = fields.take(8).filter_map(|field| field.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let time = |ticks: u64| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND);
    (time(all.saturating_sub(idle)), time(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::time::ClockId;

    #[test]
    fn ticks_of_ended_children_survive_a_strange_name() {
        let stat = "7 (a ) (b) S 1 7 7 0 -1 4194560 10 0 0 0 3 4 5 6 20 0 1 0";
        assert_eq!(ticks_of_ended(stat), 11);
        assert_eq!(ticks_of_ended(""), 0);
    }

    #[test]
    fn a_process_that_is_gone_has_used_nothing() {
        assert_eq!(cpu_time(u32::MAX), Duration::ZERO);
        assert!(children(u32::MAX).is_empty());
    }

    #[test]
    fn the_time_of_a_thread_that_has_ended_is_kept() {
        let before = cpu_time(std::process::id());
        let busy = || (0..20_000_000u64).fold(0, |sum, n| std::hint::black_box(sum + n));
        let within = move || {
            let start = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap();
            std::hint::black_box(busy());
            clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap() - start
        };
        let used = std::thread::spawn(within).join().unwrap();
        let since = cpu_time(std::process::id()) - before;
        assert!(!used.is_zero() && since >= used, "{since:?} of the process, {used:?} of the thread");
    }

    #[test]
    fn memory_of_this_process_is_known() {
        assert!(peak_memory(std::process::id()) > 100 * 1024);
        assert_eq!(peak_memory(u32::MAX), 0);
    }

    #[test]
    fn kib_field_reads_one_line() {
        assert_eq!(kib_field("VmPeak:\t 10 kB\nVmHWM:\t  1234 kB\n", "VmHWM:"), 1234);
        assert_eq!(kib_field("", "VmHWM:"), 0);
    }
}
