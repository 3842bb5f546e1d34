//! What other trackers of the store have registered: a bounded sample for each file that was asked for lately. No I/O,
//! no clock.
//!
//! | module | what |
//! |---|---|
//! | `change` | what becomes of this tracker's own registrations |
//! | `handover` | the queues between the tracker's thread and the store's |
//! | `part`, `draw` | the sample of one file, and which of its peers are listed |

mod change;
mod draw;
mod handover;
mod part;

pub(crate) use change::{Change, Fate, Record};
pub(crate) use handover::Handover;

#[cfg(feature = "cli")]
pub(crate) use draw::SAMPLE;
pub(crate) use draw::merge;
pub(crate) use part::{Part, Seen};

use crate::registry::{AddressV6, LIFETIME_SECS};
use cascade_format::CascadeHash;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddrV4;

/// The most peers of all samples together: some 20 MiB.
pub(crate) const MAX_OTHERS: usize = 1 << 20;

/// The most files with a sample, some 40 MiB; the one that was asked for longest ago makes room.
pub(crate) const MAX_OTHER_FILES: usize = 1 << 17;

/// Seconds after which a file that is asked for is looked up in the store again; the answer does not wait for that.
pub(crate) const REFRESH_SECS: u32 = 2;

/// Seconds after which what is known of a file is so old that an answer waits a moment for what the store has.
pub(crate) const STALE_SECS: u32 = 60;

/// A file to be looked up in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The file.
    pub(crate) file: CascadeHash,
    /// Goodbyes from this second of the steady clock on are of interest.
    pub(crate) since: u32,
}

/// What the store has of a file and one family.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample<A> {
    /// How many are in the store, without good peers.
    pub(crate) total: u64,
    /// Some of them, chosen at random.
    pub(crate) peers: Vec<Seen<A>>,
    /// Some of the good ones.
    pub(crate) good: Vec<Seen<A>>,
}

impl<A> Default for Sample<A> {
    fn default() -> Self {
        Self { total: 0, peers: Vec::new(), good: Vec::new() }
    }
}

/// What the store has of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fetched {
    /// The file.
    pub(crate) file: CascadeHash,
    /// Its peers of IPv4.
    pub(crate) v4: Sample<SocketAddrV4>,
    /// Its peers of IPv6.
    pub(crate) v6: Sample<AddressV6>,
    /// Who has said goodbye, and when by the steady clock.
    pub(crate) left: Vec<(Record, u32)>,
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// Enough for an answer.
    Fresh,
    /// Nothing, or what was so long ago.
    Stale,
}

/// The samples of all files.
#[derive(Debug, Default)]
pub(crate) struct Others {
    files: HashMap<CascadeHash, File>,
    /// Files by the time of their last look-up, the oldest first.
    order: BTreeMap<u64, CascadeHash>,
    next: u64,
    peers: usize,
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct File {
    order: u64,
    /// When it was looked up last, and when that was asked for.
    fetched: Option<u32>,
    asked: u32,
    v4: Part<SocketAddrV4>,
    v6: Part<AddressV6>,
}

impl File {
    fn peers(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

impl Others {
    /// Says how much is known of a file that is asked for, and has it looked up where that is time.
    pub(crate) fn look(&mut self, file: &CascadeHash, now: u32) -> Knowledge {
        let Some(known) = self.files.get_mut(file) else {
            self.insert(*file, now);
            self.wanted.push(Wanted { file: *file, since: 0 });
            return Knowledge::Stale;
        };
        let age = known.fetched.map_or(u32::MAX, |fetched| now.saturating_sub(fetched));
        if age >= REFRESH_SECS && now.saturating_sub(known.asked) >= REFRESH_SECS {
            known.asked = now;
            let since = known.fetched.map_or(0, |fetched| fetched.saturating_sub(REFRESH_SECS));
            self.wanted.push(Wanted { file: *file, since });
        }
        if age < STALE_SECS { Knowledge::Fresh } else { Knowledge::Stale }
    }

    /// Files to be looked up.
    pub(crate) const fn wanted(&mut self) -> &mut Vec<Wanted> {
        &mut self.wanted
    }

    /// Takes what was looked up in the place of what was known.
    pub(crate) fn set(&mut self, file: CascadeHash, v4: Part<SocketAddrV4>, v6: Part<AddressV6>, now: u32) {
        if !self.files.contains_key(&file) {
            self.insert(file, now);
        }
        let order = self.next;
        let Some(known) = self.files.get_mut(&file) else { return };
        self.next += 1;
        self.order.remove(&known.order);
        self.order.insert(order, file);
        self.peers -= known.peers();
        *known = File { order, fetched: Some(now), asked: known.asked, v4, v6 };
        self.peers += known.peers();
        while self.peers > MAX_OTHERS {
            self.drop_oldest();
        }
    }

    /// Other trackers' peers of IPv4 of a file.
    pub(crate) fn v4(&self, file: &CascadeHash) -> Option<&Part<SocketAddrV4>> {
        self.files.get(file).map(|known| &known.v4)
    }

    /// The same of IPv6.
    pub(crate) fn v6(&self, file: &CascadeHash) -> Option<&Part<AddressV6>> {
        self.files.get(file).map(|known| &known.v6)
    }

    /// Forgets a file of which everything has lapsed, if there is one.
    pub(crate) fn sweep(&mut self, now: u32) {
        let Some(file) = self.order.first_key_value().and_then(|(_, file)| self.files.get(file)) else {
            return;
        };
        let last = file.fetched.unwrap_or(file.asked).max(file.asked);
        if now.saturating_sub(last) > LIFETIME_SECS {
            self.drop_oldest();
        }
    }

    fn insert(&mut self, file: CascadeHash, now: u32) {
        while self.files.len() >= MAX_OTHER_FILES {
            self.drop_oldest();
        }
        let order = self.next;
        self.next += 1;
        self.order.insert(order, file);
        let known = File { order, fetched: None, asked: now, v4: Part::default(), v6: Part::default() };
        self.files.insert(file, known);
    }

    fn drop_oldest(&mut self) {
        let Some((_, file)) = self.order.pop_first() else { return };
        if let Some(known) = self.files.remove(&file) {
            self.peers -= known.peers();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(n: u32) -> CascadeHash {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        CascadeHash(hash)
    }

    fn fetch(others: &mut Others, n: u32, now: u32) {
        others.set(file(n), Part::default(), Part::default(), now);
    }

    #[test]
    fn a_file_is_looked_up_when_it_is_asked_for_and_not_too_often() {
        let mut others = Others::default();
        assert_eq!(others.look(&file(1), 2000), Knowledge::Stale);
        assert_eq!(others.look(&file(1), 2001), Knowledge::Stale);
        assert_eq!(std::mem::take(others.wanted()), [Wanted { file: file(1), since: 0 }]);
        fetch(&mut others, 1, 2001);
        assert_eq!(others.look(&file(1), 2002), Knowledge::Fresh);
        assert_eq!(*others.wanted(), []);
        assert_eq!(others.look(&file(1), 2003), Knowledge::Fresh);
        assert_eq!(others.look(&file(1), 2004), Knowledge::Fresh);
        assert_eq!(std::mem::take(others.wanted()), [Wanted { file: file(1), since: 1999 }]);
        // No answer came: it is asked for again.
        assert_eq!(others.look(&file(1), 2060), Knowledge::Fresh);
        assert_eq!(others.look(&file(1), 2061), Knowledge::Stale);
        assert_eq!(others.wanted().len(), 1);
    }

    #[test]
    fn files_are_bounded_and_the_one_that_was_looked_up_longest_ago_goes() {
        let mut others = Others::default();
        for n in 0..u32::try_from(MAX_OTHER_FILES).unwrap() {
            fetch(&mut others, n, 2000);
        }
        fetch(&mut others, 0, 2001);
        fetch(&mut others, u32::MAX, 2001);
        assert_eq!(others.files.len(), MAX_OTHER_FILES);
        assert!(others.v4(&file(0)).is_some() && others.v4(&file(1)).is_none());
        for _ in 0..MAX_OTHER_FILES {
            others.sweep(2001 + LIFETIME_SECS);
        }
        assert_eq!(others.files.len(), 2);
        others.sweep(2002 + LIFETIME_SECS);
        assert_eq!(others.order.len(), 1);
    }

    #[test]
    fn peers_are_bounded() {
        let mut others = Others::default();
        let mut rng = fastrand::Rng::with_seed(1);
        for n in 0..5000 {
            let peers = (0..250u8).map(|at| Seen {
                addr: SocketAddrV4::new([10, 0, 0, at].into(), 1),
                source: crate::registry::Source::of([10, 0, 0, at].into()),
                subscribed: 2000,
            });
            let part = Part::new(1.0, peers.collect(), &[], &mut rng);
            others.set(file(n), part, Part::default(), 2000);
        }
        assert!(others.peers <= MAX_OTHERS && others.peers > MAX_OTHERS - 250);
        assert_eq!(others.peers, others.files.values().map(File::peers).sum::<usize>());
        assert!(others.v4(&file(0)).is_none() && others.v4(&file(4999)).is_some());
    }
}
