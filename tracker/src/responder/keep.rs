//! Registrations that are kept, and those that come back.

use super::{Now, Responder};
use crate::frames::{FrameWriter, Kept, SHORTEST_FILE};
use crate::policy::{Policy, can_listen};
use crate::registry::{Address, ExportCursor, Registration, Registry};
use cascade_format::{CascadeHash, PeerAddr};

/// Work of one part of an export (see [`Registry::export`]), some 0.1 to 1 ms. A frame of this number of files with one
/// peer each, and in addition the peers of one source, is shorter than [`crate::frames::MAX_FRAME_LEN`].
const EXPORT_WORK: u32 = 8192;

/// Where an export goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Export {
    /// In the second family.
    pub(super) v6: bool,
    pub(super) cursor: ExportCursor,
}

/// A part of what is written.
#[derive(Debug)]
pub struct Part {
    /// A frame that is not sealed yet.
    pub frame: Vec<u8>,
    /// Registrations in it.
    pub registrations: u64,
    /// Where to go on.
    pub next: Option<Export>,
}

impl Responder {
    /// Writes a part of all registrations into `frame`.
    #[must_use]
    pub fn export(&self, at: Export, now: Now, frame: Vec<u8>) -> Part {
        if at.v6 {
            part(&self.registry_v6, at, now, frame)
        } else {
            let part = part(&self.registry, at, now, frame);
            let next = part.next.unwrap_or(Export { v6: true, cursor: ExportCursor::default() });
            Part { next: Some(next), ..part }
        }
    }

    /// Makes itself ready for a state of this number of bytes.
    pub(crate) fn expect(&mut self, len: u64) {
        let files = usize::try_from(len / SHORTEST_FILE).unwrap_or(usize::MAX);
        self.registry.expect(files);
    }

    /// Brings a registration back, which had its age at the second `unix`. Returns whether it is registered now and was
    /// not. Where the wall clock has been set back since, the time that has passed is not known, and counts as none.
    pub fn restore(&mut self, kept: Kept, unix: u32, now: Now) -> bool {
        let passed = now.unix.saturating_sub(unix);
        let (file, addr) = match &kept {
            Kept::V4(one) => (one.file, one.addr.wire()),
            Kept::V6(one) => (one.file, one.addr.wire()),
        };
        if !self.may_stay(&file, addr) {
            return false;
        }
        match kept {
            Kept::V4(one) => {
                let good = self.policy.is_good(*one.addr.ip());
                back(&mut self.registry, one, good, passed, now)
            }
            Kept::V6(one) => back(&mut self.registry_v6, one, false, passed, now),
        }
    }

    /// Whether it could be registered today.
    fn may_stay(&self, file: &CascadeHash, addr: PeerAddr) -> bool {
        can_listen(addr)
            && self.policy.check_file(file).is_ok()
            && self.policy.check_address(addr.ip()).is_ok()
    }

    /// Obeys another policy from now on; returns the old one. The registrations of files that it does not allow end, a
    /// part with each sweep, and are not listed meanwhile.
    pub(crate) fn set_policy(&mut self, policy: Policy, ended: Vec<CascadeHash>) -> Policy {
        self.ending.extend(ended);
        let now_allowed = |file: &CascadeHash| policy.check_file(file).is_ok();
        self.ending.retain(|file| !now_allowed(file));
        if let Some(networks) = policy.near() {
            self.registry.set_networks(networks);
            self.registry_v6.set_networks(networks);
        }
        std::mem::replace(&mut self.policy, policy)
    }

    /// Ends some registrations of files that are no longer allowed; returns how many.
    pub(super) fn end_some(&mut self, work: u32) -> usize {
        let (before, mut left) = (self.peers(), work);
        while left > 0
            && let Some(file) = self.ending.last()
        {
            left -= 1;
            if self.registry.end(file, &mut left) && self.registry_v6.end(file, &mut left) {
                self.ending.pop();
            }
        }
        before - self.peers()
    }
}

fn part<A: Address>(registry: &Registry<A>, at: Export, now: Now, mut frame: Vec<u8>) -> Part {
    let mut writer = FrameWriter::new::<A>(&mut frame, now.unix);
    let next = registry.export(at.cursor, now.steady, EXPORT_WORK, |one| writer.add(&one));
    let registrations = writer.finish();
    Part { frame, registrations, next: next.map(|cursor| Export { cursor, ..at }) }
}

fn back<A: Address>(
    registry: &mut Registry<A>,
    one: Registration<A>,
    good: bool,
    passed: u32,
    now: Now,
) -> bool {
    let age = one.age.saturating_add(passed);
    // A full registry looks for lapsed ones at each try, and there are none yet.
    registry.has_room() && registry.restore(Registration { age, ..one }, good, now.steady).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{Ask, Request};
    use crate::frames;
    use crate::registry::Bounds;
    use cascade_format::tracker_wide::Form;
    use cascade_format::tracker_wire::Command;

    const THEN: Now = Now { steady: 5000, unix: 1_800_000_000 };
    const FILES: [CascadeHash; 2] = [CascadeHash([1; 32]), CascadeHash([2; 32])];

    fn ask(
        responder: &mut Responder,
        command: Command,
        file: CascadeHash,
        listen: &str,
        now: Now,
    ) -> Vec<u8> {
        let listen: PeerAddr = listen.parse::<std::net::SocketAddr>().unwrap().into();
        let (ask, mut answer) = (Ask { form: Form::Wide, command, cascade_hash: file, listen }, Vec::new());
        let _ = responder.answer(&Request::Peers(ask), listen.ip(), now, &mut answer);
        answer
    }

    fn listed(responder: &mut Responder, file: CascadeHash, now: Now) -> usize {
        let answer = ask(responder, Command::List, file, "10.9.9.9:9", now);
        if answer.first() == Some(&0) { (answer.len() - 5) / 24 } else { 0 }
    }

    fn filled(policy: Policy) -> Responder {
        let mut responder = Responder::new(policy, Bounds::default(), 1);
        for file in FILES {
            for n in 1..=5 {
                ask(&mut responder, Command::Subscribe, file, &format!("10.0.0.{n}:1"), THEN);
                ask(&mut responder, Command::Subscribe, file, &format!("[2001:db8:{n}::1]:1"), THEN);
            }
        }
        responder
    }

    /// The state of `responder` at `at`, read by a new process at `now`.
    fn again(responder: &Responder, at: Now, policy: Policy, now: Now) -> Responder {
        let (mut bytes, mut next, mut total) = (frames::header(), Some(Export::default()), 0);
        while let Some(from) = next {
            let Part { mut frame, registrations, next: after } = responder.export(from, at, Vec::new());
            frames::seal(&mut frame);
            bytes.extend_from_slice(&frame);
            (next, total) = (after, total + registrations);
        }
        let mut end = Vec::new();
        frames::end(&mut end, at.unix, total);
        bytes.extend_from_slice(&end);
        let mut back = Responder::new(policy, Bounds::default(), 2);
        frames::read(bytes.as_slice(), |kept, unix| {
            let _ = back.restore(kept, unix, now);
        })
        .unwrap();
        back
    }

    #[test]
    fn ages_go_on_by_the_wall_clock_and_a_clock_that_jumps_makes_nothing_immortal() {
        let responder = filled(Policy::open());
        // Written after 1,000 s; the new process begins its steady clock anew.
        let at = Now { steady: THEN.steady + 1000, unix: THEN.unix + 1000 };
        for (away, left) in [(0, 800), (500, 300), (800, 0), (-7200, 800)] {
            let now = Now { steady: 1800, unix: at.unix.saturating_add_signed(away) };
            let mut back = again(&responder, at, Policy::open(), now);
            let later = |secs| Now { steady: now.steady + secs, unix: now.unix + secs };
            assert_eq!(listed(&mut back, FILES[0], later(left)), 10, "{away}");
            assert_eq!(listed(&mut back, FILES[0], later(left + 1)), 0, "{away}");
        }
        for away in [801, 1_000_000_000] {
            let now = Now { steady: 1800, unix: at.unix + away };
            assert_eq!(again(&responder, at, Policy::open(), now).peers(), 0, "{away}");
        }
    }

    #[test]
    fn todays_rules_decide_who_comes_back() {
        let responder = filled(Policy::open());
        let back = |policy| again(&responder, THEN, policy, THEN);
        assert_eq!(back(Policy::open()).peers(), 20);
        assert_eq!(back(Policy::only([FILES[1]])).peers(), 10);
        assert_eq!(back(Policy::open().with_ban_private(true)).peers(), 10, "those of IPv6 are public");
        let mut good = back(Policy::open().with_good([[10, 0, 0, 3].into()]));
        let answer = ask(&mut good, Command::List, FILES[0], "10.9.9.9:9", THEN);
        assert_eq!(answer.get(5..).unwrap().chunks(24).filter(|entry| entry[22] == 1).count(), 1);
    }

    #[test]
    fn what_a_new_policy_does_not_allow_ends_and_the_rest_stays() {
        let mut responder = filled(Policy::only(FILES));
        let next = Policy::only([FILES[1]]);
        let before = responder.set_policy(next.clone(), Policy::only(FILES).allowed_beyond(&next));
        assert_eq!(before, Policy::only(FILES));
        assert_eq!(FILES.map(|file| listed(&mut responder, file, THEN)), [0, 10]);
        assert_eq!(responder.swarms(9, THEN).len(), 1, "it is not shown either");
        let mut ended = 0;
        for _ in 0..20 {
            ended += responder.sweep(THEN, 32);
        }
        assert_eq!((ended, responder.peers()), (10, 10));
        // Allowed again: its peers have to come again.
        responder.set_policy(Policy::only(FILES), Vec::new());
        assert_eq!(FILES.map(|file| listed(&mut responder, file, THEN)), [0, 10]);
        // Taken back before anything was removed: nothing has ended.
        responder.set_policy(Policy::only([FILES[0]]), vec![FILES[1]]);
        responder.set_policy(Policy::only(FILES), Vec::new());
        responder.sweep(THEN, 1000);
        assert_eq!(listed(&mut responder, FILES[1], THEN), 10);
    }
}
