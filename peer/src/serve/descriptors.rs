//! How many files and sockets this process may have open.

use crate::limits::{DESCRIPTORS_A_THREAD, MIN_FREE_DESCRIPTORS, RESERVED_DESCRIPTORS};

/// Raises the limit on open descriptors to the highest that the system allows this process, and
/// returns it. Where there is no such limit, or it cannot be known, it is `usize::MAX`.
pub fn raise_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // A system may refuse its own hard limit (macOS, where it is "unlimited"): the soft one stays.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let current = getrlimit(Resource::Nofile).current;
    current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// How many descriptors this process has open; 0 where it cannot be known.
#[must_use]
pub fn open_now() -> usize {
    // The folder itself is open while it is read.
    std::fs::read_dir("/dev/fd").map_or(0, |entries| entries.count().saturating_sub(1))
}

/// How many clients a process with this limit can hold that has `open` descriptors already:
/// [`RESERVED_DESCRIPTORS`] are kept for other uses, but never more than half of what is left.
#[must_use]
pub fn clients_within(limit: usize, open: usize) -> usize {
    let left = limit.saturating_sub(open);
    left.saturating_sub(RESERVED_DESCRIPTORS.min(left / 2))
}

/// Whether `files` descriptors can be had with this limit by a process that has `open` already, beside those of its
/// serving threads.
///
/// # Errors
/// The limit that they need.
pub fn fits(files: usize, limit: usize, open: usize, workers: usize) -> Result<(), usize> {
    let needed = open + files + (workers + 1) * DESCRIPTORS_A_THREAD + MIN_FREE_DESCRIPTORS;
    if needed > limit { Err(needed) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_still_leaves_room_for_clients() {
        assert_eq!(clients_within(20_000, 40), 20_000 - 40 - RESERVED_DESCRIPTORS);
        assert_eq!(clients_within(256, 56), 100);
        assert_eq!(clients_within(32, 40), 0);
        assert_eq!(clients_within(usize::MAX, 0), usize::MAX - RESERVED_DESCRIPTORS);
    }

    #[test]
    fn files_that_do_not_fit_are_told_what_they_need() {
        assert_eq!(fits(600, 1024, 30, 2), Ok(()));
        assert_eq!(fits(600, 256, 30, 2), Err(600 + 30 + 3 * DESCRIPTORS_A_THREAD + MIN_FREE_DESCRIPTORS));
        assert_eq!(fits(1, usize::MAX, 30, 2), Ok(()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_open_is_counted() {
        let before = open_now();
        let files: Vec<_> = (0..40).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close some meanwhile.
        assert!(open_now().abs_diff(before + files.len()) < 40, "{before}, then {}", open_now());
    }

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let raised = raise_limit();
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let hard = hard.and_then(|hard| usize::try_from(hard).ok()).unwrap_or(usize::MAX);
        assert!(raised == hard || cfg!(not(target_os = "linux")), "raised to {raised} of {hard}");
    }
}
