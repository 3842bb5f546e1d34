//! What was given of a file to other peers, and to which.

use crate::average::Average;
use crate::clock;
use cascade_format::extension::Progress;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Receivers of one file that are told apart; more are not counted.
const MAX_RECEIVERS: usize = 65_536;

/// Receivers of one file that a look shows: first those that hold a connection, then those that were seen last.
pub const MAX_RECEIVERS_SEEN: usize = 4096;

/// Counts bytes and receivers of one file.
#[derive(Debug)]
pub struct Given {
    start: Instant,
    bytes: AtomicU64,
    /// Locked when a connection asks for the file first, when it ends, and for a look.
    receivers: Mutex<HashMap<Key, Entry>>,
}

/// By address, and by the port that it listens on; 0: it does not tell.
type Key = (IpAddr, u16);

#[derive(Debug)]
struct Entry {
    receiver: Arc<Receiver>,
    first_seen: Duration,
    last_seen: Duration,
    rate: Average,
}

/// One receiver, as its connections write to it.
#[derive(Debug)]
pub(crate) struct Receiver {
    key: Key,
    bytes: AtomicU64,
    connections: AtomicU32,
    extension: AtomicBool,
    /// What it told last of what it has.
    told: AtomicU8,
}

/// One receiver at the moment of a look.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenReceiver {
    pub(crate) ip: IpAddr,
    pub(crate) port: Option<u16>,
    pub(crate) extension: bool,
    pub(crate) told: Option<Progress>,
    pub(crate) bytes: u64,
    pub(crate) rate: f64,
    pub(crate) active: bool,
    /// How long ago.
    pub(crate) first_seen: Duration,
    pub(crate) last_seen: Duration,
}

/// The receivers at the moment of a look.
#[derive(Debug, Default)]
pub(crate) struct SeenReceivers {
    /// The number of all.
    pub(crate) known: usize,
    /// At most [`MAX_RECEIVERS_SEEN`] of them.
    pub(crate) seen: Vec<SeenReceiver>,
}

impl Default for Given {
    fn default() -> Self {
        Self { start: clock::now(), bytes: AtomicU64::new(0), receivers: Mutex::default() }
    }
}

impl Given {
    /// Bytes of blocks that the sockets have taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Peers that were given something: by address, and by the port that they listen on if they tell it.
    #[must_use]
    pub fn receivers(&self) -> usize {
        self.lock().values().filter(|entry| entry.receiver.bytes() > 0).count()
    }

    /// So many bytes more.
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A connection of this receiver begins; it ends with [`Given::close`]. `None`: there are too many.
    pub(crate) fn open(&self, ip: IpAddr, port: u16) -> Option<Arc<Receiver>> {
        let (now, key) = (self.start.elapsed(), (ip.to_canonical(), port));
        let mut receivers = self.lock();
        if receivers.len() >= MAX_RECEIVERS && !receivers.contains_key(&key) {
            return None;
        }
        let entry = receivers.entry(key).or_insert_with(|| {
            let mut rate = Average::default();
            rate.update(now, 0);
            Entry { receiver: Arc::new(Receiver::new(key)), first_seen: now, last_seen: now, rate }
        });
        entry.receiver.connections.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(&entry.receiver))
    }

    /// A connection of this receiver has ended. One that was given nothing is forgotten with its last connection.
    pub(crate) fn close(&self, receiver: &Receiver) {
        let mut receivers = self.lock();
        let left = receiver.connections.fetch_sub(1, Ordering::Relaxed) - 1;
        if left == 0 && receiver.bytes() == 0 {
            receivers.remove(&receiver.key);
        } else if let Some(entry) = receivers.get_mut(&receiver.key) {
            entry.last_seen = self.start.elapsed();
        }
    }

    /// Looks at the receivers. Their rates are measured from look to look.
    pub(crate) fn look(&self, now: Instant) -> SeenReceivers {
        let now = now.saturating_duration_since(self.start);
        let mut receivers = self.lock();
        let mut seen: Vec<SeenReceiver> = receivers.values_mut().map(|entry| entry.look(now)).collect();
        drop(receivers);
        let known = seen.len();
        let rank = |seen: &SeenReceiver| (!seen.active, seen.last_seen);
        if known > MAX_RECEIVERS_SEEN {
            seen.select_nth_unstable_by_key(MAX_RECEIVERS_SEEN, rank);
            seen.truncate(MAX_RECEIVERS_SEEN);
        }
        // Hash maps have no order.
        seen.sort_unstable_by_key(|seen| (rank(seen), seen.ip, seen.port));
        SeenReceivers { known, seen }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn look(&mut self, now: Duration) -> SeenReceiver {
        let Receiver { key: (ip, port), bytes, connections, extension, told } = &*self.receiver;
        let (bytes, active) = (bytes.load(Ordering::Relaxed), connections.load(Ordering::Relaxed) > 0);
        if active {
            self.last_seen = now;
        }
        SeenReceiver {
            ip: *ip,
            port: Some(*port).filter(|port| *port != 0),
            extension: extension.load(Ordering::Relaxed),
            told: Progress::read(told.load(Ordering::Relaxed)),
            bytes,
            rate: self.rate.update(now, bytes),
            active,
            first_seen: now.saturating_sub(self.first_seen),
            last_seen: now.saturating_sub(self.last_seen),
        }
    }
}

impl Receiver {
    fn new(key: Key) -> Self {
        Self {
            key,
            bytes: AtomicU64::new(0),
            connections: AtomicU32::new(0),
            extension: AtomicBool::new(false),
            told: AtomicU8::new(0),
        }
    }

    /// The port that it tells.
    pub(crate) fn port(&self) -> u16 {
        self.key.1
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// It was given so many bytes more.
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It has shown that it knows the extension, and perhaps told what it has.
    pub(crate) fn tells(&self, told: Option<Progress>) {
        self.extension.store(true, Ordering::Relaxed);
        if let Some(told) = told {
            self.told.store(told.byte(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn give(given: &Given, ip: IpAddr, port: u16, bytes: u64) {
        let receiver = given.open(ip, port);
        given.add(bytes);
        receiver.iter().for_each(|receiver| receiver.add(bytes));
        receiver.iter().for_each(|receiver| given.close(receiver));
    }

    #[test]
    fn receivers_are_counted_once_and_boundedly() {
        let given = Given::default();
        for (port, bytes) in [(0, 5), (7, 6), (7, 1), (8, 1), (0, 1)] {
            give(&given, IP, port, bytes);
        }
        assert_eq!((given.bytes(), given.receivers()), (14, 3));
        for number in 0..u32::try_from(2 * MAX_RECEIVERS).unwrap() {
            give(&given, IpAddr::V4(Ipv4Addr::from(number)), 0, 1);
        }
        assert_eq!(given.receivers(), MAX_RECEIVERS);
        let look = given.look(clock::now());
        assert_eq!((look.known, look.seen.len()), (MAX_RECEIVERS, MAX_RECEIVERS_SEEN));
    }

    #[test]
    fn who_was_given_nothing_is_forgotten_with_its_last_connection() {
        let given = Given::default();
        let (one, other) = (given.open(IP, 7).unwrap(), given.open(IP, 7).unwrap());
        given.close(&one);
        assert_eq!((given.look(clock::now()).known, given.receivers()), (1, 0));
        given.close(&other);
        assert_eq!(given.look(clock::now()).known, 0);
        give(&given, IP, 7, 1);
        let look = given.look(clock::now());
        assert_eq!((look.known, look.seen[0].active, look.seen[0].bytes), (1, false, 1));
    }

    #[test]
    fn those_that_hold_a_connection_are_seen_first() {
        let given = Given::default();
        for port in 1..=u16::try_from(MAX_RECEIVERS_SEEN + 5).unwrap() {
            give(&given, IP, port, 1);
        }
        let open = given.open(IP, 60_000).unwrap();
        open.tells(Progress::of(3, 4));
        let look = given.look(clock::now());
        let first = &look.seen[0];
        assert_eq!((first.port, first.active, first.extension), (Some(60_000), true, true));
        assert_eq!(first.told, Progress::of(3, 4));
        assert_eq!(look.known, MAX_RECEIVERS_SEEN + 6);
    }

    /// A mapped address is the address that it stands for.
    #[test]
    fn an_address_of_version_4_is_one_receiver_in_both_forms() {
        let given = Given::default();
        give(&given, IP, 7, 1);
        give(&given, IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), 7, 1);
        assert_eq!(given.receivers(), 1);
    }
}
