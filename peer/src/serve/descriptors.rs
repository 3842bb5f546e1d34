//! How many files and sockets this process may have open.

use crate::limits::RESERVED_DESCRIPTORS;

/// Raises the limit on open descriptors to the highest that the system allows this process, and
/// returns it. Where there is no such limit, or it cannot be known, it is `usize::MAX`.
#[cfg(unix)]
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

/// Sockets of this system are not bounded by a number of descriptors.
#[cfg(not(unix))]
pub fn raise_limit() -> usize {
    usize::MAX
}

/// How many clients a process with this limit can hold: [`RESERVED_DESCRIPTORS`] are kept for other
/// uses, but never more than half of all.
#[must_use]
pub fn clients_within(limit: usize) -> usize {
    limit.saturating_sub(RESERVED_DESCRIPTORS).max(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_still_leaves_room_for_clients() {
        assert_eq!(clients_within(20_000), 20_000 - RESERVED_DESCRIPTORS);
        assert_eq!(clients_within(256), 128);
        assert_eq!(clients_within(usize::MAX), usize::MAX - RESERVED_DESCRIPTORS);
    }

    #[test]
    #[cfg(unix)]
    fn the_soft_limit_reaches_the_hard_one() {
        let raised = raise_limit();
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let hard = hard.and_then(|hard| usize::try_from(hard).ok()).unwrap_or(usize::MAX);
        assert!(raised == hard || cfg!(not(target_os = "linux")), "raised to {raised} of {hard}");
    }
}
