//! Reports of peers, and questions for a room.

use super::{News, Now, Responder, refuse, start};
use crate::ask::Ask;
use crate::policy::can_listen;
use crate::registry::room::Reporter;
use crate::registry::{AddressV6, Claim, Source};
use cascade_format::tracker_room::{MAX_PAGE, Member, Page, Report, RoomRequest, Summary};
use cascade_format::tracker_wire::STATUS_OK;
use cascade_format::{CascadeHash, PeerAddr};
use std::collections::HashSet;
use std::net::IpAddr;

/// Marks the place of a page among the peers that do not report.
const UNKNOWN: u32 = 1 << 31;

/// A file and how far its peers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwarmState {
    /// The file.
    pub cascade_hash: CascadeHash,
    /// How many peers have it, and how many do not.
    pub summary: Summary,
}

impl Responder {
    /// Answers a report as a subscription, and keeps what it says.
    pub(super) fn report(
        &mut self,
        report: &Report,
        from: IpAddr,
        now: Now,
        answer: &mut Vec<u8>,
    ) -> Option<News> {
        let ask = Ask::from(*report);
        if report.goodbye {
            match self.policy.check(&ask, from) {
                Ok(()) => {
                    self.unsubscribe(&report.cascade_hash, report.listen, from);
                    self.note_left(report.cascade_hash, report.listen, from, now);
                    start(STATUS_OK, 0, answer);
                }
                Err(refusal) => {
                    refuse(&refusal, answer);
                    return None;
                }
            }
        }
        let news =
            if report.goodbye { None } else { self.peers_for(&ask, !report.v4_only, from, now, answer) };
        if answer.first() == Some(&STATUS_OK) {
            self.keep(report, from, now);
        }
        news
    }

    /// Keeps a report that has been accepted as a subscription.
    fn keep(&mut self, report: &Report, from: IpAddr, now: Now) {
        let from = from.to_canonical();
        let registered = Some(report.listen).filter(|listen| can_listen(*listen));
        let shown = registered.unwrap_or_else(|| PeerAddr::new(from, 0));
        let reporter =
            Reporter { source: Source::of(from), registered, shown, elsewhere: shown.ip() != from };
        self.rooms.report(report, reporter, now.steady);
    }

    fn unsubscribe(&mut self, file: &CascadeHash, peer: PeerAddr, from: IpAddr) {
        let source = Source::of(from);
        if let Some(addr) = AddressV6::of(peer) {
            self.registry_v6.unsubscribe(file, Claim { addr, source, good: false });
        } else if let Some(addr) = peer.v4() {
            self.registry.unsubscribe(file, Claim { addr, source, good: false });
        }
    }

    /// Answers a question for a room.
    pub(super) fn room(&mut self, request: RoomRequest, now: Now, answer: &mut Vec<u8>) {
        if let Err(refusal) = self.policy.check_file(&request.cascade_hash) {
            return refuse(&refusal, answer);
        }
        let page = self.page(&request.cascade_hash, request.first, now);
        let mut body = Vec::new();
        page.encode(&mut body);
        start(STATUS_OK, body.len(), answer);
        answer.extend_from_slice(&body);
    }

    /// How far the peers of a file are.
    #[must_use]
    pub fn summary(&mut self, file: &CascadeHash, now: Now) -> Summary {
        let summary = self.rooms.summary(file, now.steady).unwrap_or_default();
        let (v4, v6) =
            (self.registry.registered(file, now.steady), self.registry_v6.registered(file, now.steady));
        let unknown = v4.saturating_add(v6).saturating_sub(self.rooms.registered(file));
        Summary { unknown, ..summary }
    }

    /// A part of the room of a file, from `first` on: 0, or what [`Page::next`] was. While people come and go somebody
    /// may be missing in all parts, or be in two of them.
    #[must_use]
    pub fn page(&mut self, file: &CascadeHash, first: u32, now: Now) -> Page {
        let summary = self.summary(file, now);
        let (mut members, mut next, mut skipped) = (Vec::new(), 0, Some(first & !UNKNOWN));
        if first & UNKNOWN == 0 {
            let (part, all) = self.rooms.page(file, first as usize, MAX_PAGE, now.steady);
            let end = (first as usize).saturating_add(part.len());
            members = part;
            (next, skipped) = if end < all { (u32::try_from(end).unwrap_or(0), None) } else { (0, Some(0)) };
        }
        if let Some(skipped) = skipped.filter(|_| summary.unknown > 0) {
            let unknown = self.unknown(file, now);
            let room = MAX_PAGE - members.len();
            members.extend(unknown.iter().skip(skipped as usize).take(room));
            let end = (skipped as usize).saturating_add(room);
            next = if end < unknown.len() { UNKNOWN | u32::try_from(end).unwrap_or(0) } else { 0 };
        }
        Page { summary, next, members }
    }

    /// Some of the peers that are registered and do not report.
    fn unknown(&self, file: &CascadeHash, now: Now) -> Vec<Member> {
        let v4 = self.registry.some(file, now.steady).into_iter();
        let v4 = v4.map(|(source, addr, at)| (source, PeerAddr::from(addr), at));
        let v6 = self.registry_v6.some(file, now.steady).into_iter();
        let v6 = v6.map(|(source, addr, at)| (source, addr.peer_addr(), at));
        let mut seen = HashSet::new();
        let others = v4.chain(v6).filter(|(source, addr, _)| !self.rooms.covers(file, *source, *addr));
        let others = others.filter(|(_, addr, _)| seen.insert(*addr));
        others.map(|(_, addr, at)| Member::unknown(addr, now.steady.saturating_sub(at))).collect()
    }

    /// Files and how far their peers are, at most `max`: first those of which somebody reports.
    #[must_use]
    pub fn swarms(&mut self, max: usize, now: Now) -> Vec<SwarmState> {
        let mut seen = HashSet::new();
        let files = [self.rooms.files(max), self.registry.files(max), self.registry_v6.files(max)].concat();
        let allowed = |file: &CascadeHash| self.policy.check_file(file).is_ok();
        let files = files
            .into_iter()
            .filter(|file| seen.insert(*file) && allowed(file))
            .take(max)
            .collect::<Vec<_>>();
        let state = |cascade_hash| SwarmState { cascade_hash, summary: self.summary(&cascade_hash, now) };
        files.into_iter().map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::Request;
    use crate::policy::Policy;
    use crate::registry::Bounds;
    use cascade_format::tracker_room::{PeerName, Presence, Program, Progress};
    use cascade_format::tracker_wide::parse_peer_list;
    use cascade_format::tracker_wire::{Command, TrackerRequest, TrackerResponseHeader};
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

    const FILE: CascadeHash = CascadeHash([1; 32]);
    const NOW: Now = Now { steady: 5000, unix: 1_800_000_000 };

    fn report(listen: &str, number: u64, had: u64) -> Report {
        Report {
            cascade_hash: FILE,
            listen: listen.parse::<SocketAddr>().unwrap().into(),
            number,
            goodbye: false,
            seeder: false,
            v4_only: false,
            progress: Progress { blocks_done: had, blocks: 10, received: had, given: 0 },
            program: Program::of("test 1"),
            name: PeerName::of("lab-07"),
        }
    }

    fn send(responder: &mut Responder, request: impl Into<Request>, from: &str) -> (u8, Vec<u8>) {
        let mut answer = b"left over".to_vec();
        responder.answer(&request.into(), from.parse().unwrap(), NOW, &mut answer);
        let (header, body) = answer.split_first_chunk().unwrap();
        let header = TrackerResponseHeader::parse(header);
        assert_eq!(header.body_len as usize, body.len());
        (header.status, body.to_vec())
    }

    fn ask_page(responder: &mut Responder, first: u32) -> Page {
        let request = RoomRequest { cascade_hash: FILE, first };
        let (status, body) = send(responder, Request::Room(request), "10.9.9.9");
        assert_eq!(status, 0);
        Page::parse(&body).unwrap()
    }

    fn subscribe(responder: &mut Responder, n: u32) {
        let listen = SocketAddrV4::new(Ipv4Addr::from_bits(0x0a01_0000 + n), 9);
        let request = TrackerRequest { command: Command::Subscribe, cascade_hash: FILE, listen };
        send(responder, Request::Peers(request.into()), &listen.ip().to_string());
    }

    #[test]
    fn a_report_registers_lists_and_is_shown() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        assert_eq!(
            send(&mut responder, Request::Report(report("10.0.0.1:1", 1, 4)), "10.0.0.1"),
            (0, vec![])
        );
        subscribe(&mut responder, 5);
        let (_, list) =
            send(&mut responder, Request::Report(report("[2001:db8::1]:2", 2, 10)), "2001:db8::1");
        assert_eq!(parse_peer_list(&list).unwrap().len(), 2);
        let narrow = Report { v4_only: true, ..report("10.0.0.1:1", 1, 4) };
        let (_, list) = send(&mut responder, Request::Report(narrow), "10.0.0.1");
        let listed: Vec<_> = parse_peer_list(&list).unwrap().map(|entry| entry.addr.to_string()).collect();
        assert_eq!(listed, ["10.1.0.5:9"]);
        let page = ask_page(&mut responder, 0);
        let summary = Summary { complete: 1, incomplete: 1, silent: 0, seeders: 0, unknown: 1 };
        assert_eq!((page.summary, page.next, responder.peers()), (summary, 0, 3));
        let shown: Vec<_> =
            page.members.iter().map(|member| (member.addr.to_string(), member.is_complete())).collect();
        assert_eq!(
            shown,
            [("10.0.0.1:1".into(), false), ("[2001:db8::1]:2".into(), true), ("10.1.0.5:9".into(), false)]
        );
        assert_eq!((page.members[0].name.as_str(), page.members[2].progress), ("lab-07", None));
        assert_eq!(responder.swarms(5, NOW), [SwarmState { cascade_hash: FILE, summary }]);
    }

    #[test]
    fn a_goodbye_unregisters_and_who_had_everything_is_remembered() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        for (number, had) in [(1, 4), (2, 10)] {
            let listen = format!("10.0.0.{number}:1");
            send(&mut responder, Request::Report(report(&listen, number, had)), &format!("10.0.0.{number}"));
        }
        for (number, had) in [(1, 5), (2, 10)] {
            let goodbye = Report { goodbye: true, ..report(&format!("10.0.0.{number}:1"), number, had) };
            // Somebody else cannot end a registration.
            assert_eq!(
                send(&mut responder, Request::Report(Report { number: 77, ..goodbye }), "10.6.6.6"),
                (0, vec![])
            );
            assert_eq!(responder.registry().peers(), if number == 1 { 2 } else { 1 });
            assert_eq!(
                send(&mut responder, Request::Report(goodbye), &format!("10.0.0.{number}")),
                (0, vec![])
            );
        }
        let page = ask_page(&mut responder, 0);
        // The liar's own report with everything counts as his: nobody proves anything.
        assert_eq!((responder.peers(), page.summary.incomplete, page.summary.unknown), (0, 0, 0));
        assert!(page.members.iter().all(|member| member.presence == Presence::Left));
    }

    #[test]
    fn what_a_subscription_may_not_a_report_may_not_either() {
        let strict = Policy::only([FILE]).with_own_address_only(true).with_ban_private(false);
        let mut responder = Responder::new(strict, Bounds::default(), 1);
        let other = Report { cascade_hash: CascadeHash([2; 32]), ..report("10.0.0.1:1", 1, 4) };
        assert_eq!(send(&mut responder, Request::Report(other), "10.0.0.1").0, 1);
        for goodbye in [false, true] {
            let report = Report { goodbye, ..report("10.0.0.1:1", 1, 10) };
            assert_eq!(send(&mut responder, Request::Report(report), "10.0.0.2").0, 1);
        }
        let room = RoomRequest { cascade_hash: CascadeHash([2; 32]), first: 0 };
        assert_eq!(send(&mut responder, Request::Room(room), "10.0.0.1").0, 1);
        assert_eq!((responder.peers(), ask_page(&mut responder, 0)), (0, Page::default()));
    }

    #[test]
    fn who_listens_nowhere_is_in_the_room_and_in_no_list() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        send(&mut responder, Request::Report(report("0.0.0.0:0", 1, 4)), "::ffff:10.0.0.1");
        let page = ask_page(&mut responder, 0);
        assert_eq!((page.summary.incomplete, page.summary.unknown, responder.peers()), (1, 0, 0));
        assert_eq!(
            (page.members[0].addr.to_string(), page.members[0].elsewhere),
            ("10.0.0.1:0".into(), false)
        );
        send(&mut responder, Request::Report(report("10.0.0.2:7", 2, 4)), "10.0.0.1");
        assert!(ask_page(&mut responder, 0).members[1].elsewhere);
    }

    #[test]
    fn all_are_in_the_pages_whether_they_report_or_not() {
        let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
        for n in 1..=130 {
            let listen = format!("10.0.0.{n}:1");
            send(&mut responder, Request::Report(report(&listen, n, 4)), &format!("10.0.0.{n}"));
        }
        (0..130).for_each(|n| subscribe(&mut responder, n));
        let (mut first, mut seen, mut pages) = (0, HashSet::new(), 0);
        loop {
            let page = ask_page(&mut responder, first);
            assert_eq!((page.summary.incomplete, page.summary.unknown), (130, 130));
            seen.extend(page.members.iter().map(|member| member.addr));
            (first, pages) = (page.next, pages + 1);
            if first == 0 {
                break;
            }
        }
        assert_eq!((seen.len(), pages), (260, 6));
        for hostile in [131, 1 << 30, UNKNOWN | 130, u32::MAX] {
            assert_eq!(
                ask_page(&mut responder, hostile).next & !UNKNOWN,
                if hostile < UNKNOWN { 50 } else { 0 }
            );
        }
    }
}
