//! Registrations that are kept, and those that come back.

use super::{Now, Responder};
use crate::policy::{Policy, can_listen};
use crate::registry::{Address, ExportCursor, Registration, Registry};
use crate::state::Part;
use crate::state::format::SHORTEST_FILE;
use crate::state::format::{FrameWriter, Kept};
use cascade_format::{CascadeHash, PeerAddr};

/// Work of one part of an export (see [`Registry::export`]), some 0.1 to 1 ms. A frame of so many files with one peer
/// each, and the peers of one source beyond, is shorter than [`crate::state::format::MAX_FRAME_LEN`].
const EXPORT_WORK: u32 = 8192;

/// Where an export goes on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Export {
    /// In the second family.
    v6: bool,
    cursor: ExportCursor,
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

    /// Makes itself ready for a state of so many bytes.
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
