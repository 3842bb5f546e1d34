//! By which ways addresses are heard of.

/// Where an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The user named it.
    User,
    /// The tracker of this number listed it.
    Tracker(u16),
    /// It was found on the local network.
    Lan,
    /// The peer at this address has requested blocks from this peer, and has told the port at which it listens.
    Swarm,
    /// The host has requested blocks from this peer without telling a port. The port is a guess: the one that the known
    /// peers of the swarm use.
    Guess,
}

/// The ways by which an address was heard of: each is given as many tries as the others, so that a long list of
/// one keeps out nobody of whom another tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ask) struct Origins(u64);

impl Origins {
    /// Another peer told of it.
    pub(in crate::ask) const HEARSAY: Self = Self(1);

    /// Ways that are counted apart; trackers beyond share the last one.
    pub(in crate::ask) const KINDS: usize = u64::BITS as usize;

    pub(in crate::ask) fn of(source: Source) -> Self {
        match source {
            Source::Guess => Self::HEARSAY,
            Source::User => Self(2),
            Source::Swarm => Self(4),
            Source::Lan => Self(8),
            Source::Tracker(number) => Self(1 << (u32::from(number) + 4).min(u64::BITS - 1)),
        }
    }

    /// It was heard of by this way, too.
    pub(in crate::ask) fn add(&mut self, source: Source) {
        self.0 |= Self::of(source).0;
    }

    /// The numbers of the ways, below [`Origins::KINDS`].
    pub(in crate::ask) fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let kind = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            (kind < Self::KINDS).then_some(kind)
        })
    }
}
