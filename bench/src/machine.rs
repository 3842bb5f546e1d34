//! The machine a benchmark ran on: a figure without it says little.

use crate::{clock, data, procfs};
use cascade_format::units::Bytes;
use serde::Serialize;
use std::fs;

/// A machine, as far as it matters for the figures.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// When, as `YYYY-MM-DD`.
    pub date: String,
    /// The processor's name.
    pub cpu: String,
    /// Number of cores.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory: u64,
    /// The kernel.
    pub kernel: String,
    /// SHA-256 on one core, bytes a second.
    pub sha256_rate: f64,
    /// Share of all cores that others used just before, 0 to 1.
    pub busy_before: f64,
}

impl Machine {
    /// Looks at this machine; takes about two seconds.
    #[must_use]
    pub fn look() -> Self {
        let (busy, all) = procfs::machine_cpu();
        std::thread::sleep(std::time::Duration::from_secs(1));
        let (busy_after, all_after) = procfs::machine_cpu();
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let name = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Self {
            date: date_of(clock::unix_seconds()),
            cpu: name.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory: procfs::kib_field(&read("/proc/meminfo"), "MemTotal:") * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            sha256_rate: data::sha256_rate(),
            busy_before: (busy_after - busy).as_secs_f64() / (all_after - all).as_secs_f64().max(0.01),
        }
    }

    /// Prints it in one line, with a warning when others are at work.
    pub fn print(&self) {
        println!(
            "{}: {} × {}, {}, Linux {}, SHA-256 {:.2} GB/s a core",
            self.date,
            self.cores,
            self.cpu,
            Bytes(self.memory),
            self.kernel,
            self.sha256_rate / 1e9
        );
        if self.busy_before > 0.1 {
            println!(
                "warning: other programs use {:.0} % of this machine: times are worth little",
                self.busy_before * 100.0
            );
        }
    }
}

/// The day of a UNIX time in UTC, by the civil calendar (400-year eras of 146,097 days, from 1 March).
fn date_of(unix_seconds: u64) -> String {
    let days = unix_seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_known_seconds() {
        assert_eq!(date_of(0), "1970-01-01");
        assert_eq!(date_of(951_782_400), "2000-02-29");
        assert_eq!(date_of(1_735_689_599), "2024-12-31");
    }
}
