//! Whom a scripted peer knows, and whom it leaves alone for a while. Time is an argument.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// Refusals in a row after which another peer is tried.
const MISSES: u32 = 8;

/// Until a peer that had nothing is asked again.
const AFTER_MISSES: Duration = Duration::from_secs(1);

/// Until a peer that failed is asked again.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Until a peer that said nothing for long is asked again.
const AFTER_SILENCE: Duration = Duration::from_secs(60);

/// Until a peer that sent wrong bytes is asked again.
const AFTER_LIE: Duration = Duration::from_secs(600);

/// The most peers that are remembered.
const MAX_KNOWN: usize = 1000;

/// How a conversation with a peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Closed after an answer, which is a habit, or nothing left to ask for.
    Between,
    /// It had nothing that was asked for.
    Tired,
    /// It could not be reached, broke off, or refused.
    Failed,
    /// It said nothing for too long.
    Silent,
    /// It sent wrong bytes.
    Lied,
}

#[derive(Debug)]
struct Known {
    peer: SocketAddrV4,
    alone_until: Instant,
    connected: bool,
    misses: u32,
}

/// All peers that the tracker has named.
#[derive(Debug, Default)]
pub(super) struct Peers(Vec<Known>);

impl Peers {
    /// Remembers peers.
    pub(super) fn learn(&mut self, list: impl IntoIterator<Item = SocketAddrV4>, now: Instant) {
        for peer in list {
            if self.0.len() < MAX_KNOWN && !self.0.iter().any(|known| known.peer == peer) {
                self.0.push(Known { peer, alone_until: now, connected: false, misses: 0 });
            }
        }
    }

    /// Any peer that is not left alone and that no other connection goes to.
    pub(super) fn take(&mut self, now: Instant, random: &mut fastrand::Rng) -> Option<SocketAddrV4> {
        let free: Vec<&mut Known> =
            self.0.iter_mut().filter(|known| !known.connected && known.alone_until <= now).collect();
        let at = random.usize(..free.len().max(1));
        let chosen = free.into_iter().nth(at)?;
        chosen.connected = true;
        Some(chosen.peer)
    }

    /// Notes an answer of a peer; tells whether it has refused so often that another one is to be tried.
    pub(super) fn answered(&mut self, peer: SocketAddrV4, refused: bool) -> bool {
        let Some(known) = self.0.iter_mut().find(|known| known.peer == peer) else { return true };
        known.misses = if refused { known.misses + 1 } else { 0 };
        known.misses >= MISSES
    }

    /// The connection to a peer has ended.
    pub(super) fn release(&mut self, peer: SocketAddrV4, ending: Ending, now: Instant) {
        let Some(known) = self.0.iter_mut().find(|known| known.peer == peer) else { return };
        known.connected = false;
        let pause = match ending {
            Ending::Between => return,
            Ending::Tired => AFTER_MISSES,
            Ending::Failed => AFTER_FAILURE,
            Ending::Silent => AFTER_SILENCE,
            Ending::Lied => AFTER_LIE,
        };
        known.misses = 0;
        known.alone_until = now + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn peer(number: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, number), 7001)
    }

    #[test]
    fn one_connection_to_each_and_pauses_after_trouble() {
        let (mut peers, mut random, now) =
            (Peers::default(), fastrand::Rng::with_seed(1), crate::clock::now());
        assert_eq!(peers.take(now, &mut random), None);
        peers.learn([peer(1), peer(2), peer(1)], now);
        let first = peers.take(now, &mut random).unwrap();
        let second = peers.take(now, &mut random).unwrap();
        assert_ne!(first, second);
        assert_eq!(peers.take(now, &mut random), None, "both are connected");
        peers.release(first, Ending::Between, now);
        assert_eq!(peers.take(now, &mut random), Some(first), "a close is a habit");
        peers.release(first, Ending::Lied, now);
        peers.release(second, Ending::Tired, now);
        assert_eq!(peers.take(now, &mut random), None, "both are left alone");
        assert_eq!(peers.take(now + AFTER_MISSES, &mut random), Some(second));
    }

    #[test]
    fn refusals_count_in_a_row_over_connections() {
        let (mut peers, now) = (Peers::default(), crate::clock::now());
        peers.learn([peer(1)], now);
        for _ in 1..MISSES {
            assert!(!peers.answered(peer(1), true));
            peers.release(peer(1), Ending::Between, now);
        }
        assert!(peers.answered(peer(1), true), "eight in a row are enough");
        assert!(!peers.answered(peer(1), false));
        assert!(!peers.answered(peer(1), true), "a block starts anew");
        assert!(peers.answered(peer(9), false), "nobody knows that one");
    }
}
