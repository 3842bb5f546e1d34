//! How many connections a process can hold: the system counts descriptors.

/// The most connections that are kept waiting for the rest of a request (or for their end). Each
/// takes a descriptor and, with the kernel's part, some kilobytes. Beyond, the oldest is refused.
pub const MAX_CONNECTIONS: usize = 16_384;

/// The same for a tracker inside another program, whose descriptors are not all ours.
pub const MAX_EMBEDDED_CONNECTIONS: usize = 256;

/// Descriptors that are not for waiting connections: the standard streams, the listener, the poll,
/// and one batch of connections that are being answered.
const RESERVED_DESCRIPTORS: u64 = 128;

/// The fewest connections that are kept, should the descriptors be fewer than reserved.
const MIN_CONNECTIONS: usize = 16;

/// Raises the soft limit of descriptors to the hard one, and returns the connections that it allows:
/// at most [`MAX_CONNECTIONS`]. Where the limit cannot be raised, what there is must do.
#[must_use]
pub fn raise_descriptor_limit() -> usize {
    connections_for(raised_limit())
}

fn connections_for(descriptors: Option<u64>) -> usize {
    let spare = descriptors.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED_DESCRIPTORS));
    usize::try_from(spare).unwrap_or(usize::MAX).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

fn raised_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        // On failure the old limit stays, which the second look finds.
        let _ = setrlimit(Resource::Nofile, wanted);
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_follow_descriptors_within_bounds() {
        assert_eq!(connections_for(Some(0)), MIN_CONNECTIONS);
        assert_eq!(connections_for(Some(1024)), 896);
        assert_eq!(connections_for(Some(1 << 30)), MAX_CONNECTIONS);
        assert_eq!(connections_for(None), MAX_CONNECTIONS);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        use rustix::process::{Resource, getrlimit};
        let _ = raise_descriptor_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
