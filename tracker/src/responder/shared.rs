//! What a tracker that shares a store tells it, and what it learns from there.

use super::{Export, Now, Responder};
use crate::ask::Request;
use crate::others::{Change, Fate, Fetched, Handover, Knowledge, Others, Part, Record, Sample, Seen, merge};
use crate::policy::can_listen;
use crate::registry::{
    Address, AddressV6, Claim, ExportCursor, LIFETIME_SECS, Registration, Registry, Source,
};
use cascade_format::{CascadeHash, PeerAddr};
use std::net::IpAddr;

/// Registrations and files that are looked at for one part that is brought in: below 1 ms.
pub(crate) const SHARE_WORK: u32 = 2048;

/// Beside the registrations of this tracker.
#[derive(Debug)]
pub(super) struct Shared {
    others: Others,
    /// For the store.
    changes: Vec<Change>,
    /// Whether it is worth a wait what the store has: not when it has let the last one wait in vain.
    patient: bool,
}

impl Responder {
    /// Shares a store from now on.
    pub(crate) fn share(&mut self) {
        self.shared =
            Some(Box::new(Shared { others: Others::default(), changes: Vec::new(), patient: true }));
    }

    /// The file of a request whose answer should wait a moment until the store has said what it knows. Of a file that is
    /// known the store is asked as well, and the answer does not wait.
    pub(crate) fn awaits(&mut self, request: &Request, now: Now) -> Option<CascadeHash> {
        let shared = self.shared.as_mut()?;
        let file = match request {
            Request::Peers(ask) => ask.cascade_hash,
            Request::Report(report) if !report.goodbye => report.cascade_hash,
            Request::Report(_) | Request::Room(_) => return None,
        };
        // Of what is not tracked there is no list.
        self.policy.check_file(&file).ok()?;
        let stale = shared.others.look(&file, now.steady) == Knowledge::Stale;
        (stale && shared.patient).then_some(file)
    }

    /// An answer has waited for the store in vain.
    pub(crate) fn lose_patience(&mut self) {
        if let Some(shared) = &mut self.shared {
            shared.patient = false;
        }
    }

    /// Gives the store what has changed, and what is to be looked up there.
    pub(crate) fn hand_over(&mut self, handover: &Handover) {
        if let Some(shared) = &mut self.shared {
            handover.give(&mut shared.changes, shared.others.wanted());
        }
    }

    /// Takes what the store knows of a file in the place of what it knew.
    pub(crate) fn learn(&mut self, fetched: Fetched, now: Now) {
        let Fetched { file, v4, v6, left } = fetched;
        for (record, at) in left {
            self.learn_goodbye(record, at, now);
        }
        let v4 = self.part(&self.registry, &file, v4, now);
        let v6 = self.part(&self.registry_v6, &file, v6, now);
        let rng = &mut self.rng;
        if let Some(shared) = &mut self.shared {
            let (v4, v6) = (v4.into_part(rng), v6.into_part(rng));
            shared.others.set(file, v4, v6, now.steady);
            shared.patient = true;
        }
    }

    /// A peer that is registered here has said goodbye to another tracker.
    fn learn_goodbye(&mut self, record: Record, at: u32, now: Now) {
        let Record { file, source, addr } = record;
        let v6 = AddressV6::of(addr);
        let subscribed = match (addr.v4(), v6) {
            (Some(addr), _) => self.registry.subscribed(&file, source, addr, now.steady),
            (None, Some(addr)) => self.registry_v6.subscribed(&file, source, addr, now.steady),
            (None, None) => None,
        };
        if subscribed.is_none_or(|subscribed| subscribed >= at) {
            return;
        }
        if let Some(addr) = addr.v4() {
            self.registry.unsubscribe(&file, Claim { addr, source, good: false });
        } else if let Some(addr) = v6 {
            self.registry_v6.unsubscribe(&file, Claim { addr, source, good: false });
        }
        // A renewal may have been on its way into the store.
        self.note(record, Fate::Left, at);
    }

    /// What the store has and this tracker has not, by today's rules.
    fn part<A: Address>(
        &self,
        registry: &Registry<A>,
        file: &CascadeHash,
        sample: Sample<A>,
        now: Now,
    ) -> Foreign<A> {
        #[allow(clippy::cast_precision_loss, reason = "a factor")]
        let factor = sample.total as f64 / sample.peers.len().max(1) as f64;
        let foreign = |seen: &Seen<A>| {
            let addr = seen.addr.wire();
            can_listen(addr)
                && self.policy.check_address(addr.ip()).is_ok()
                && registry.subscribed(file, seen.source, seen.addr, now.steady).is_none()
        };
        let all = sample.peers.into_iter().chain(sample.good).filter(foreign);
        let (good, others) = all.partition(|seen| self.policy.is_on_list(seen.addr.host()));
        Foreign { factor: factor.max(1.0), good, others }
    }

    /// Adds other trackers' peers to the lists of both families.
    pub(super) fn add_others(&mut self, file: &CascadeHash, peer: PeerAddr, v6: bool, now: Now) {
        let Some(shared) = &self.shared else { return };
        if let Some(part) = shared.others.v4(file) {
            let sources = self.registry.sources(file);
            merge(part, sources, peer.v4(), now.steady, &mut self.rng, &mut self.entries);
        }
        if let Some(part) = shared.others.v6(file).filter(|_| v6) {
            let (sources, asker) = (self.registry_v6.sources(file), AddressV6::of(peer));
            merge(part, sources, asker, now.steady, &mut self.rng, &mut self.entries_v6);
        }
    }

    /// Tells the store of a registration that was made or renewed.
    pub(super) fn note_here(&mut self, file: CascadeHash, addr: PeerAddr, from: IpAddr, now: Now) {
        if self.shared.is_some() {
            let good = self.policy.is_on_list(addr.ip());
            self.note(Record { file, source: Source::of(from), addr }, Fate::Here { good }, now.steady);
        }
    }

    /// Tells the store of a goodbye, whichever tracker has the registration.
    pub(super) fn note_left(&mut self, file: CascadeHash, addr: PeerAddr, from: IpAddr, now: Now) {
        if can_listen(addr) {
            self.note(Record { file, source: Source::of(from), addr }, Fate::Left, now.steady);
        }
    }

    fn note(&mut self, record: Record, fate: Fate, at: u32) {
        if let Some(shared) = &mut self.shared {
            shared.changes.push(Change { record, fate, at });
        }
    }

    /// Forgets what nobody has asked for in a long time.
    pub(super) fn forget_others(&mut self, now: Now) {
        if let Some(shared) = &mut self.shared {
            shared.others.sweep(now.steady);
        }
    }

    /// A part of all registrations, to be brought into the store.
    pub(crate) fn export_changes(&self, at: Export, now: Now) -> (Vec<Change>, Option<Export>) {
        let mut part = Vec::new();
        let next = if at.v6 {
            self.export_family(&self.registry_v6, at.cursor, now, &mut part)
                .map(|cursor| Export { cursor, ..at })
        } else {
            let next = self.export_family(&self.registry, at.cursor, now, &mut part);
            let next = next.map(|cursor| Export { cursor, ..at });
            Some(next.unwrap_or(Export { v6: true, cursor: ExportCursor::default() }))
        };
        (part, next)
    }

    fn export_family<A: Address>(
        &self,
        registry: &Registry<A>,
        cursor: ExportCursor,
        now: Now,
        part: &mut Vec<Change>,
    ) -> Option<ExportCursor> {
        registry.export(cursor, now.steady, SHARE_WORK, |one: Registration<A>| {
            let Registration { file, source, addr, age } = one;
            if self.policy.check_file(&file).is_ok() && age <= LIFETIME_SECS {
                let (addr, good) = (addr.wire(), self.policy.is_on_list(addr.host()));
                let at = now.steady.saturating_sub(age);
                part.push(Change { record: Record { file, source, addr }, fate: Fate::Here { good }, at });
            }
        })
    }
}

/// Peers of other trackers.
struct Foreign<A> {
    factor: f64,
    good: Vec<Seen<A>>,
    others: Vec<Seen<A>>,
}

impl<A: Address> Foreign<A> {
    fn into_part(self, rng: &mut fastrand::Rng) -> Part<A> {
        Part::new(self.factor, self.others, &self.good, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Ask;
    use crate::policy::Policy;
    use crate::registry::Bounds;
    use cascade_format::tracker_wide::Form;
    use cascade_format::tracker_wire::{Command, parse_peer_list};
    use std::net::{SocketAddr, SocketAddrV4};

    const FILE: CascadeHash = CascadeHash([1; 32]);
    const NOW: Now = Now { steady: 5000, unix: 1_800_000_000 };

    fn shared(policy: Policy) -> Responder {
        let mut responder = Responder::new(policy, Bounds::default(), 1);
        responder.share();
        responder
    }

    fn ask(responder: &mut Responder, command: Command, listen: &str) -> Vec<(SocketAddr, bool)> {
        let listen: SocketAddr = listen.parse().unwrap();
        let ask = Ask { form: Form::Plain, command, cascade_hash: FILE, listen: listen.into() };
        let mut answer = Vec::new();
        let _ = responder.answer(&Request::Peers(ask), listen.ip(), NOW, &mut answer);
        let entries = parse_peer_list(&answer[5..]).unwrap();
        entries.map(|entry| (SocketAddr::from(entry.addr), entry.good)).collect()
    }

    fn seen(addr: &str) -> Seen<SocketAddrV4> {
        let addr: SocketAddrV4 = addr.parse().unwrap();
        Seen { addr, source: Source::of((*addr.ip()).into()), subscribed: NOW.steady }
    }

    fn fetched(peers: &[&str]) -> Fetched {
        let v4 = Sample {
            total: peers.len() as u64,
            peers: peers.iter().map(|one| seen(one)).collect(),
            good: vec![],
        };
        Fetched { file: FILE, v4, v6: Sample::default(), left: Vec::new() }
    }

    fn sorted(mut list: Vec<(SocketAddr, bool)>) -> Vec<String> {
        list.sort();
        list.into_iter().map(|(addr, good)| format!("{addr}{}", if good { " good" } else { "" })).collect()
    }

    #[test]
    fn lists_have_the_peers_of_both_by_the_rules_of_this_tracker() {
        let policy = Policy::open().with_good([[9, 0, 0, 3].into()]).with_ban_private(true);
        let mut responder = shared(policy);
        ask(&mut responder, Command::Subscribe, "9.0.0.1:1");
        // Its own one, two others, one of which is good here, and three that may not be here.
        let store = ["9.0.0.1:1", "9.0.0.2:1", "9.0.0.3:1", "10.0.0.1:1", "9.0.0.4:0", "224.0.0.1:1"];
        responder.learn(fetched(&store), NOW);
        let list = ask(&mut responder, Command::List, "9.0.0.9:9");
        assert_eq!(list[0].0.to_string(), "9.0.0.3:1");
        assert_eq!(sorted(list), ["9.0.0.1:1", "9.0.0.2:1", "9.0.0.3:1 good"]);
        assert_eq!(responder.peers(), 1, "what others have registered is no registration here");
        // The next look-up takes the place of the last.
        responder.learn(fetched(&["9.0.0.5:1"]), NOW);
        assert_eq!(sorted(ask(&mut responder, Command::List, "9.0.0.9:9")), ["9.0.0.1:1", "9.0.0.5:1"]);
    }

    #[test]
    fn a_goodbye_to_another_tracker_ends_a_registration_and_an_old_one_does_not() {
        let mut responder = shared(Policy::open());
        let record = |addr: &str| {
            let Seen { addr, source, .. } = seen(addr);
            Record { file: FILE, source, addr: addr.into() }
        };
        for peer in ["9.0.0.1:1", "9.0.0.2:1"] {
            ask(&mut responder, Command::Subscribe, peer);
        }
        let handover = Handover::default();
        responder.hand_over(&handover);
        assert_eq!(handover.take().changes.len(), 2);
        let someone_else = Record { source: Source::of([7, 7, 7, 7].into()), ..record("9.0.0.2:1") };
        let left = vec![
            (record("9.0.0.1:1"), NOW.steady + 1),
            (record("9.0.0.2:1"), NOW.steady),
            (someone_else, NOW.steady + 1),
            (record("9.0.0.3:1"), NOW.steady),
        ];
        responder.learn(Fetched { left, ..fetched(&[]) }, NOW);
        assert_eq!(sorted(ask(&mut responder, Command::List, "9.0.0.9:9")), ["9.0.0.2:1"]);
        responder.hand_over(&handover);
        let change = Change { record: record("9.0.0.1:1"), fate: Fate::Left, at: NOW.steady + 1 };
        assert_eq!(handover.take().changes, [change]);
    }

    #[test]
    fn an_answer_waits_for_a_file_that_is_not_known_and_not_in_vain_twice() {
        let mut responder = shared(Policy::only([FILE]));
        let request = |file| {
            let listen: SocketAddr = "9.0.0.9:9".parse().unwrap();
            let listen = listen.into();
            Request::Peers(Ask { form: Form::Plain, command: Command::List, cascade_hash: file, listen })
        };
        assert_eq!(responder.awaits(&request(CascadeHash([2; 32])), NOW), None, "it is not tracked");
        assert_eq!(responder.awaits(&request(FILE), NOW), Some(FILE));
        responder.lose_patience();
        assert_eq!(responder.awaits(&request(FILE), NOW), None);
        let handover = Handover::default();
        responder.hand_over(&handover);
        assert_eq!(handover.take().wanted.len(), 1);
        responder.learn(Fetched { file: CascadeHash([3; 32]), ..fetched(&[]) }, NOW);
        assert_eq!(responder.awaits(&request(FILE), NOW), Some(FILE));
        responder.learn(fetched(&[]), NOW);
        assert_eq!(responder.awaits(&request(FILE), NOW), None);
    }

    #[test]
    fn all_registrations_are_brought_in_with_their_times() {
        let mut responder = shared(Policy::open());
        for n in 0..200 {
            ask(&mut responder, Command::Subscribe, &format!("9.0.{n}.1:1"));
        }
        let later = Now { steady: NOW.steady + 100, ..NOW };
        let (mut at, mut all) = (Some(Export::default()), Vec::new());
        while let Some(from) = at {
            let (part, next) = responder.export_changes(from, later);
            all.extend(part);
            at = next;
        }
        assert_eq!(all.len(), 200);
        assert!(
            all.iter().all(|change| change.at == NOW.steady && change.fate == Fate::Here { good: false })
        );
    }
}
