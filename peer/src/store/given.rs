//! What was given of a file to other peers.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Receivers that are told apart; more are not counted.
const MAX_RECEIVERS: usize = 65_536;

/// Counts bytes and receivers of one file.
#[derive(Debug, Default)]
pub struct Given {
    bytes: AtomicU64,
    receivers: Mutex<HashSet<(IpAddr, u16)>>,
}

impl Given {
    /// Bytes of answers that the sockets have taken, headers included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Peers that were given something: by address, and by the port that they listen on if they tell it.
    #[must_use]
    pub fn receivers(&self) -> usize {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// So many bytes more.
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// This one was given something.
    pub(crate) fn to(&self, ip: IpAddr, port: u16) {
        let mut receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner);
        if receivers.len() < MAX_RECEIVERS {
            receivers.insert((ip, port));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn receivers_are_counted_once_and_boundedly() {
        let given = Given::default();
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        given.add(5);
        given.add(6);
        for port in [0, 7, 7, 8, 0] {
            given.to(ip, port);
        }
        assert_eq!((given.bytes(), given.receivers()), (11, 3));
        for number in 0..u32::try_from(2 * MAX_RECEIVERS).unwrap() {
            given.to(IpAddr::V4(Ipv4Addr::from(number)), 0);
        }
        assert_eq!(given.receivers(), MAX_RECEIVERS);
    }
}
