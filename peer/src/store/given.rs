//! What was given of a file to other peers.

use std::collections::{HashMap, HashSet};
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

    /// Peers that were given something: by address, and by the port that they listen on if they tell it. One with
    /// addresses of both families may have got blocks at each: of each port the family counts that has more.
    #[must_use]
    pub fn receivers(&self) -> usize {
        let receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ports: HashMap<u16, [usize; 2]> = HashMap::new();
        for (ip, port) in receivers.iter() {
            let [v4, v6] = ports.entry(*port).or_default();
            *(if ip.is_ipv4() { v4 } else { v6 }) += 1;
        }
        ports.values().map(|[v4, v6]| v4.max(v6)).sum()
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
    fn a_receiver_with_addresses_of_both_families_is_one() {
        let given = Given::default();
        for (ip, port) in [("10.0.0.1", 8889), ("fd00::1", 8889), ("10.0.0.2", 8889), ("fd00::1", 8890)] {
            given.to(ip.parse().unwrap(), port);
        }
        assert_eq!(given.receivers(), 3);
    }

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
