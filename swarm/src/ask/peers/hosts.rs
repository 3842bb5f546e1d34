//! What is known of the hosts that peers listen on, and how much may be asked of one that has never spoken the
//! protocol: an address may be a victim whom somebody has put on a list, once for each of its ports.

use crate::Time;
use crate::ask::address::host;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use hashbrown::HashMap;

/// Connections at once to the ports of one host that have never spoken the protocol; as many more as ports of it
/// have.
const MAX_SILENT_A_HOST: usize = 2;

/// Tries of such ports without a pause …
const TRIES_A_HOST: u32 = 30;

/// … and the time for each further one: 60 in any hour. Both grow with the number of ports that have spoken.
const TRY_INTERVAL: Duration = Duration::from_secs(120);

/// More ports that have spoken are not counted.
const MAX_SHARE: u32 = 2048;

/// Hosts that are remembered though no peer on them is known any more.
const MAX_FORGOTTEN_HOSTS: usize = 4096;

/// One host.
#[derive(Debug)]
struct Host {
    ip: IpAddr,
    /// Peers on it that are known.
    peers: usize,
    /// Of them, those that have spoken.
    spoken: u32,
    /// Links to others of them, made or being made.
    silent: usize,
    /// What its tries have cost and time has not paid yet, as of a time; each costs [`TRY_INTERVAL`].
    debt: Duration,
    debt_at: Time,
    /// A peer on it that failed and was forgotten is not to be tried sooner.
    retry_at: Time,
}

/// The place of a host in the table; it stays while a peer on it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::ask) struct HostId(usize);

/// All of them.
#[derive(Debug, Default)]
pub(in crate::ask) struct Hosts {
    hosts: Vec<Host>,
    places: HashMap<IpAddr, usize>,
    /// Places without a known peer.
    forgotten: usize,
}

impl Hosts {
    fn get(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(id.0)
    }

    /// A peer at `ip` is remembered; tells how long it must not be tried, because others there were in vain.
    pub(in crate::ask) fn learn(&mut self, ip: IpAddr) -> (HostId, Time) {
        let ip = host(ip);
        let place = match self.places.get(&ip) {
            Some(known) => *known,
            None => self.place_for(ip),
        };
        let Some(host) = self.hosts.get_mut(place) else { return (HostId(place), Time::ZERO) };
        self.forgotten -= usize::from(host.peers == 0);
        host.peers += 1;
        (HostId(place), host.retry_at)
    }

    /// A place for a host that is not known; it counts as forgotten until a peer on it is known.
    fn place_for(&mut self, ip: IpAddr) -> usize {
        let fresh = Host { ip, ..Host::default() };
        let place = if self.forgotten < MAX_FORGOTTEN_HOSTS {
            self.hosts.push(fresh);
            self.forgotten += 1;
            self.hosts.len() - 1
        } else {
            // That of the one with the fewest tries of late.
            let forgotten = self.hosts.iter_mut().enumerate().filter(|(_, host)| host.peers == 0);
            let Some((place, old)) = forgotten.min_by_key(|(_, host)| host.debt) else { return usize::MAX };
            self.places.remove(&old.ip);
            *old = fresh;
            place
        };
        self.places.insert(ip, place);
        place
    }

    /// A peer on it without a link, which may have `spoken`, is forgotten.
    pub(in crate::ask) fn forget(&mut self, id: HostId, spoken: bool, retry_at: Time) {
        let Some(host) = self.hosts.get_mut(id.0) else { return };
        host.peers = host.peers.saturating_sub(1);
        host.spoken = host.spoken.saturating_sub(u32::from(spoken));
        host.retry_at = host.retry_at.max(retry_at);
        self.forgotten += usize::from(host.peers == 0);
    }

    /// A link to a port on it that has never spoken is opened.
    pub(in crate::ask) fn try_silent(&mut self, now: Time, id: HostId) {
        if let Some(host) = self.hosts.get_mut(id.0) {
            host.silent += 1;
            host.debt = host.debt_left(now) + TRY_INTERVAL;
            host.debt_at = now;
        }
    }

    /// This number of links to silent ports on it are none any more: they have ended, or the port has spoken.
    pub(in crate::ask) fn less_silent(&mut self, id: HostId, links: usize) {
        if let Some(host) = self.hosts.get_mut(id.0) {
            host.silent = host.silent.saturating_sub(links);
        }
    }

    /// A port on it has spoken the protocol.
    pub(in crate::ask) fn spoke(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get_mut(id.0) {
            host.spoken = host.spoken.saturating_add(1);
        }
    }

    /// Whether a link to one more silent port of it fits beside those that there are.
    pub(in crate::ask) fn has_room(&self, id: HostId) -> bool {
        self.get(id).is_none_or(|host| host.silent < MAX_SILENT_A_HOST + host.spoken as usize)
    }

    /// When the next silent port of it may be tried.
    pub(in crate::ask) fn try_at(&self, id: HostId) -> Time {
        let Some(host) = self.get(id) else { return Time::ZERO };
        let too_much = host.debt.saturating_sub(TRY_INTERVAL * (TRIES_A_HOST - 1) * host.share());
        if too_much.is_zero() { Time::ZERO } else { host.debt_at + too_much / host.share() }
    }
}

impl Default for Host {
    fn default() -> Self {
        let (peers, spoken, silent) = (0, 0, 0);
        let (debt, debt_at, retry_at) = (Duration::ZERO, Time::ZERO, Time::ZERO);
        Self { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), peers, spoken, silent, debt, debt_at, retry_at }
    }
}

impl Host {
    /// How many times more often than one where no port has spoken it may be tried.
    fn share(&self) -> u32 {
        self.spoken.min(MAX_SHARE) + 1
    }

    fn debt_left(&self, now: Time) -> Duration {
        self.debt.saturating_sub(now.saturating_sub(self.debt_at) * self.share())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VICTIM: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

    /// Tries whenever that is allowed, and lets each fail at once; the times.
    fn tries(hosts: &mut Hosts, victim: HostId, until: Time) -> Vec<Time> {
        let (mut now, mut times) = (Time::ZERO, Vec::new());
        loop {
            now = now.max(hosts.try_at(victim));
            if now >= until {
                return times;
            }
            hosts.try_silent(now, victim);
            hosts.less_silent(victim, 1);
            times.push(now);
        }
    }

    #[test]
    fn a_host_that_never_spoke_is_tried_at_most_sixty_times_in_any_hour() {
        let mut hosts = Hosts::default();
        let (victim, _) = hosts.learn(VICTIM);
        let day = Duration::from_secs(86_400);
        let times = tries(&mut hosts, victim, day);
        let hour = Duration::from_secs(3600);
        for from in &times {
            let count = times.iter().filter(|at| **at >= *from && **at < *from + hour).count();
            assert!(count <= 60, "{count} tries within an hour from {from:?} on");
        }
        assert!(times.len() > 700, "it is not given up: {}", times.len());
    }

    #[test]
    fn ports_that_have_spoken_give_others_of_their_host_more_room() {
        let mut hosts = Hosts::default();
        let (victim, _) = hosts.learn(VICTIM);
        for spoken in 0..20 {
            let room = (0..100).take_while(|_| {
                let room = hosts.has_room(victim);
                hosts.try_silent(Time::ZERO, victim);
                room
            });
            let room = room.count();
            assert_eq!(room, MAX_SILENT_A_HOST + spoken);
            hosts.less_silent(victim, room + 1);
            hosts.spoke(victim);
        }
    }

    #[test]
    fn a_host_that_is_forgotten_and_heard_of_again_has_no_more_tries_than_before() {
        let mut hosts = Hosts::default();
        let retry_at = Duration::from_secs(30);
        for _ in 0..TRIES_A_HOST {
            let (victim, _) = hosts.learn(VICTIM);
            hosts.try_silent(Time::ZERO, victim);
            hosts.less_silent(victim, 1);
            hosts.forget(victim, false, retry_at);
        }
        let (victim, until) = hosts.learn(VICTIM);
        assert_eq!(until, retry_at, "the pause after its failure goes on");
        assert_eq!(hosts.try_at(victim), TRY_INTERVAL);
    }

    #[test]
    fn an_ipv6_network_has_no_more_tries_than_one_host() {
        let mut hosts = Hosts::default();
        let first = hosts.learn("2001:db8:0:7::1".parse().unwrap()).0;
        assert_eq!(hosts.learn("2001:db8:0:7:8::2".parse().unwrap()).0, first);
        assert_ne!(hosts.learn("2001:db8:0:8::1".parse().unwrap()).0, first);
        assert_eq!(hosts.learn("64:ff9b::c633:6407".parse().unwrap()).0, hosts.learn(VICTIM).0);
    }

    #[test]
    fn forgotten_hosts_are_bounded() {
        let mut hosts = Hosts::default();
        let count = u32::try_from(2 * MAX_FORGOTTEN_HOSTS).unwrap();
        for number in 0..count {
            let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
            let (host, _) = hosts.learn(ip);
            hosts.try_silent(Time::ZERO, host);
            hosts.less_silent(host, 1);
            hosts.forget(host, false, Time::ZERO);
        }
        assert_eq!((hosts.hosts.len(), hosts.places.len()), (MAX_FORGOTTEN_HOSTS, MAX_FORGOTTEN_HOSTS));
    }
}
