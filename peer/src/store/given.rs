//! What was given of a file to other peers, and to which.

use crate::average::Average;
use crate::clock;
use cascade_format::extension::Progress;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Receivers of one file that are told apart; more are not counted.
const MAX_RECEIVERS: usize = 65_536;

/// Of these, the most on one host, of IPv6 a network: the port that a client tells is only its claim, and it may have every
/// address of its network. On this machine itself there may be a whole swarm.
const MAX_RECEIVERS_A_HOST: usize = 1024;

/// Receivers of one file that a look shows: first those that hold a connection, then those that were seen last.
pub const MAX_RECEIVERS_SEEN: usize = 4096;

/// Counts bytes and receivers of one file.
#[derive(Debug)]
pub struct Given {
    start: Instant,
    bytes: AtomicU64,
    /// Locked when a connection asks for the file first, when it ends, and for a look.
    receivers: Mutex<Receivers>,
    /// Told when a connection of a receiver begins.
    came: OnceLock<Arc<Notify>>,
}

/// The receivers, and how many there are on each host, as the bounds on hosts count them.
#[derive(Debug, Default)]
struct Receivers {
    by_key: HashMap<Key, Entry>,
    of_host: HashMap<IpAddr, usize>,
}

/// By address, and by the port that it listens on; 0: it does not tell.
type Key = (IpAddr, u16);

#[derive(Debug)]
struct Entry {
    receiver: Arc<Receiver>,
    /// It is counted there.
    host: IpAddr,
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
    /// Milliseconds after `start` at which it told first that it has everything; 0: it has not.
    completed: AtomicU64,
    start: Instant,
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
    /// How long ago it told first that it has everything.
    pub(crate) completed: Option<Duration>,
}

/// The receivers at the moment of a look.
#[derive(Debug, Default)]
pub(crate) struct SeenReceivers {
    /// The number of all.
    pub(crate) known: usize,
    /// The number of those that were given something.
    pub(crate) given: usize,
    /// At most [`MAX_RECEIVERS_SEEN`] of them.
    pub(crate) seen: Vec<SeenReceiver>,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            start: clock::now(),
            bytes: AtomicU64::new(0),
            receivers: Mutex::default(),
            came: OnceLock::new(),
        }
    }
}

impl Given {
    /// Bytes of blocks that the sockets have taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Peers that were given something: by address, and by the port that they listen on if they tell it. One with
    /// addresses of both families may have got blocks at each, and is one.
    #[must_use]
    pub fn receivers(&self) -> usize {
        distinct(
            self.lock()
                .by_key
                .values()
                .filter(|entry| entry.receiver.bytes() > 0)
                .map(|entry| entry.receiver.key),
        )
    }

    /// So many bytes more.
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// `came` is told from now on when a connection of a receiver begins.
    pub(crate) fn tell(&self, came: Arc<Notify>) {
        let _ = self.came.set(came);
    }

    /// A connection of this receiver begins; it ends with [`Given::close`]. `host` is that of `ip` in the bounds on hosts.
    /// `None`: there are too many.
    pub(crate) fn open(&self, ip: IpAddr, host: IpAddr, port: u16) -> Option<Arc<Receiver>> {
        let (now, key) = (self.start.elapsed(), (ip.to_canonical(), port));
        let mut receivers = self.lock();
        if !receivers.by_key.contains_key(&key) && !receivers.count_in(host) {
            return None;
        }
        let entry = receivers.by_key.entry(key).or_insert_with(|| {
            let mut rate = Average::default();
            rate.update(now, 0);
            Entry {
                receiver: Arc::new(Receiver::new(key, self.start)),
                host,
                first_seen: now,
                last_seen: now,
                rate,
            }
        });
        entry.receiver.connections.fetch_add(1, Ordering::Relaxed);
        let receiver = Arc::clone(&entry.receiver);
        drop(receivers);
        self.came.get().into_iter().for_each(|came| came.notify_one());
        Some(receiver)
    }

    /// A connection of this receiver has ended. One that was given nothing, and is not complete, is forgotten with its
    /// last connection.
    pub(crate) fn close(&self, receiver: &Receiver) {
        let mut receivers = self.lock();
        let left = receiver.connections.fetch_sub(1, Ordering::Relaxed) - 1;
        if left == 0 && receiver.bytes() == 0 && receiver.completed().is_none() {
            receivers.forget(&receiver.key);
        } else if let Some(entry) = receivers.by_key.get_mut(&receiver.key) {
            entry.last_seen = self.start.elapsed();
        }
    }

    /// Looks at the receivers. Their rates are measured from look to look.
    pub(crate) fn look(&self, now: Instant) -> SeenReceivers {
        let now = now.saturating_duration_since(self.start);
        let mut receivers = self.lock();
        let mut seen: Vec<SeenReceiver> =
            receivers.by_key.values_mut().map(|entry| entry.look(now)).collect();
        drop(receivers);
        let key = |seen: &SeenReceiver| (seen.ip, seen.port.unwrap_or(0));
        let known = distinct(seen.iter().map(key));
        let given = distinct(seen.iter().filter(|seen| seen.bytes > 0).map(key));
        let rank = |seen: &SeenReceiver| (!seen.active, seen.last_seen);
        if seen.len() > MAX_RECEIVERS_SEEN {
            seen.select_nth_unstable_by_key(MAX_RECEIVERS_SEEN, rank);
            seen.truncate(MAX_RECEIVERS_SEEN);
        }
        // Hash maps have no order.
        seen.sort_unstable_by_key(|seen| (rank(seen), seen.ip, seen.port));
        SeenReceivers { known, given, seen }
    }

    fn lock(&self) -> MutexGuard<'_, Receivers> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receivers {
    /// Counts one more on this host, if there is room.
    fn count_in(&mut self, host: IpAddr) -> bool {
        let of_host = self.of_host.get(&host).copied().unwrap_or(0);
        let room =
            self.by_key.len() < MAX_RECEIVERS && (of_host < MAX_RECEIVERS_A_HOST || host.is_loopback());
        if room {
            self.of_host.insert(host, of_host + 1);
        }
        room
    }

    fn forget(&mut self, key: &Key) {
        if let Some(Entry { host, .. }) = self.by_key.remove(key)
            && let Some(of_host) = self.of_host.get_mut(&host)
        {
            *of_host -= 1;
            if *of_host == 0 {
                self.of_host.remove(&host);
            }
        }
    }
}

/// How many receivers have these addresses and ports. One with addresses of both families may be known by each: of each
/// port the family counts that has more.
pub(crate) fn distinct(receivers: impl Iterator<Item = (IpAddr, u16)>) -> usize {
    let mut ports: HashMap<u16, [usize; 2]> = HashMap::new();
    for (ip, port) in receivers {
        let [v4, v6] = ports.entry(port).or_default();
        *(if ip.is_ipv4() { v4 } else { v6 }) += 1;
    }
    ports.values().map(|[v4, v6]| v4.max(v6)).sum()
}

impl Entry {
    fn look(&mut self, now: Duration) -> SeenReceiver {
        let Receiver { key: (ip, port), bytes, connections, extension, told, .. } = &*self.receiver;
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
            completed: self.receiver.completed().map(|at| now.saturating_sub(at)),
        }
    }
}

impl Receiver {
    fn new(key: Key, start: Instant) -> Self {
        Self {
            key,
            bytes: AtomicU64::new(0),
            connections: AtomicU32::new(0),
            extension: AtomicBool::new(false),
            told: AtomicU8::new(0),
            completed: AtomicU64::new(0),
            start,
        }
    }

    /// The port that it tells.
    pub(crate) fn port(&self) -> u16 {
        self.key.1
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// It was given this number of bytes more.
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// It has shown that it knows the extension, and perhaps told what it has.
    pub(crate) fn tells(&self, told: Option<Progress>) {
        self.extension.store(true, Ordering::Relaxed);
        if let Some(told) = told {
            self.told.store(told.byte(), Ordering::Relaxed);
            if told == Progress::COMPLETE && self.completed().is_none() {
                let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.completed.store(now.max(1), Ordering::Relaxed);
            }
        }
    }

    /// When it told first that it has everything, after `start`.
    fn completed(&self) -> Option<Duration> {
        let at = self.completed.load(Ordering::Relaxed);
        (at > 0).then(|| Duration::from_millis(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn give(given: &Given, ip: IpAddr, port: u16, bytes: u64) {
        let receiver = given.open(ip, ip, port);
        given.add(bytes);
        receiver.iter().for_each(|receiver| receiver.add(bytes));
        receiver.iter().for_each(|receiver| given.close(receiver));
    }

    #[test]
    fn a_receiver_with_addresses_of_both_families_is_one() {
        let given = Given::default();
        for (ip, port) in [("10.0.0.1", 8889), ("fd00::1", 8889), ("10.0.0.2", 8889), ("fd00::1", 8890)] {
            give(&given, ip.parse().unwrap(), port, 1);
        }
        let look = given.look(clock::now());
        assert_eq!((given.receivers(), look.known, look.given, look.seen.len()), (3, 3, 3, 4));
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
    fn one_host_does_not_keep_others_from_being_counted() {
        let given = Given::default();
        let liar = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66));
        for port in 0..=u16::MAX {
            let Some(receiver) = given.open(liar, liar, port) else { continue };
            receiver.tells(Some(Progress::COMPLETE));
            given.close(&receiver);
        }
        assert_eq!(given.look(clock::now()).known, MAX_RECEIVERS_A_HOST);
        give(&given, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7001, 1);
        assert_eq!(given.receivers(), 1);
        // Places are free again when their receivers are forgotten.
        let given = Given::default();
        for port in 0..=u16::MAX {
            given.close(&given.open(liar, liar, port).unwrap());
        }
    }

    /// Each of its addresses is another receiver, and all of them are one host.
    #[test]
    fn one_network_does_not_keep_others_from_being_counted() {
        let given = Given::default();
        let address = |number: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, number));
        let network = address(0);
        for port in 1..=1024 {
            for number in 0..64 {
                let Some(receiver) = given.open(address(number), network, port) else { continue };
                receiver.tells(Some(Progress::COMPLETE));
                given.close(&receiver);
            }
        }
        let look = given.look(clock::now());
        assert_eq!(look.seen.len(), MAX_RECEIVERS_A_HOST);
        let shown: HashSet<IpAddr> = look.seen.iter().map(|seen| seen.ip).collect();
        assert_eq!(shown.len(), 64, "each with its own address");
        let other = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1);
        give(&given, IpAddr::V6(other), 7001, 1);
        assert_eq!(given.receivers(), 1);
        // Places are free again when their receivers are forgotten, whichever address they had.
        let given = Given::default();
        for number in 0..u16::try_from(2 * MAX_RECEIVERS_A_HOST).unwrap() {
            given.close(&given.open(address(number), network, 1).unwrap());
        }
    }

    #[test]
    fn who_was_given_nothing_is_forgotten_with_its_last_connection() {
        let given = Given::default();
        let (one, other) = (given.open(IP, IP, 7).unwrap(), given.open(IP, IP, 7).unwrap());
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
        let open = given.open(IP, IP, 60_000).unwrap();
        open.tells(Progress::of(3, 4));
        let look = given.look(clock::now());
        let first = &look.seen[0];
        assert_eq!((first.port, first.active, first.extension), (Some(60_000), true, true));
        assert_eq!(first.told, Progress::of(3, 4));
        assert_eq!((look.known, first.completed), (MAX_RECEIVERS_SEEN + 6, None));
    }

    /// Others may have given it everything.
    #[test]
    fn who_is_complete_is_remembered_and_when_that_was_told_first() {
        let given = Given::default();
        let open = given.open(IP, IP, 7).unwrap();
        open.tells(Some(Progress::COMPLETE));
        given.close(&open);
        let look = given.look(clock::now() + Duration::from_secs(9));
        let ago = look.seen[0].completed.unwrap();
        assert!((Duration::from_millis(8990)..Duration::from_secs(19)).contains(&ago), "{ago:?}");
        assert_eq!((look.known, given.receivers()), (1, 0));
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
