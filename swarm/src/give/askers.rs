//! The clients that ask for blocks. Each is listed once: a subscriber by the address that it tells, and a client that knows
//! only version 1, and so does not tell where it listens, by its host.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::Hash;
use hashbrown::HashSet;

/// Those of each kind that are remembered; further ones take the place of the oldest.
const MAX_ASKERS: usize = 256;

/// The latest of them, in the order of their first appearance.
#[derive(Debug)]
pub(super) struct Askers<T> {
    askers: VecDeque<T>,
    known: HashSet<T>,
    /// Number of those that were forgotten.
    base: u64,
}

impl<T> Default for Askers<T> {
    fn default() -> Self {
        Self { askers: VecDeque::new(), known: HashSet::new(), base: 0 }
    }
}

impl<T: Copy + Eq + Hash> Askers<T> {
    /// `asker` has asked; tells whether that is new.
    pub(super) fn insert(&mut self, asker: T) -> bool {
        if !self.known.insert(asker) {
            return false;
        }
        self.askers.push_back(asker);
        if self.askers.len() > MAX_ASKERS
            && let Some(oldest) = self.askers.pop_front()
        {
            self.known.remove(&oldest);
            self.base += 1;
        }
        true
    }

    /// Number of those that ever appeared.
    pub(super) fn end(&self) -> u64 {
        self.base + self.askers.len() as u64
    }

    /// Those that came since `at`, which is set to where the next call goes on; begin with 0.
    pub(super) fn since(&self, at: &mut u64) -> Vec<T> {
        let passed = usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        *at = self.end();
        self.askers.iter().skip(passed).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    #[test]
    fn each_appears_once_and_the_oldest_are_forgotten() {
        let host = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        let (mut askers, mut at) = (Askers::default(), 0);
        assert!(askers.insert(host(1)) && !askers.insert(host(1)) && askers.insert(host(2)));
        assert_eq!(askers.since(&mut at), [host(1), host(2)]);
        assert!(askers.since(&mut at).is_empty());
        (3..=MAX_ASKERS + 5).for_each(|number| assert!(askers.insert(host(number))));
        assert_eq!(askers.since(&mut at).len(), MAX_ASKERS, "two of them were forgotten unread");
        assert!(askers.insert(host(1)));
        assert_eq!(askers.since(&mut at), [host(1)]);
    }
}
