//! A member of a room, as it is kept.

use super::super::source::Source;
use super::slab::NONE;
use cascade_format::PeerAddr;
use cascade_format::tracker_room::{Member, PeerName, Presence, Program, Progress, Report};

/// In which queue a member waits for what time brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has reported lately.
    Here,
    /// It has not.
    Silent,
    /// It has left, and had everything.
    Left,
}

/// A record's neighbours in its queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self { previous: NONE, next: NONE }
    }
}

/// What a member counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Complete,
    Incomplete,
    Silent,
    Seeder,
}

/// A member.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) room: u32,
    /// Where it stands among the members of its room.
    pub(super) place: u32,
    pub(super) number: u64,
    /// The source that has reported it first: the record counts against the share of this source.
    pub(super) source: Source,
    /// The first of its addresses.
    pub(super) addresses: u32,
    pub(super) address_count: u8,
    /// Whether it is counted in its room.
    pub(super) is_counted: bool,
    pub(super) stage: Stage,
    pub(super) links: Links,
    /// When it has reported last, in seconds of the registry's clock.
    pub(super) reported: u32,
    /// What it had received, and when, at the report that the rate is counted from.
    before: (u64, u32),
    rate: u64,
    shown: PeerAddr,
    elsewhere: bool,
    seeder: bool,
    progress: Progress,
    program: Program,
    name: PeerName,
}

impl Record {
    pub(super) fn new(room: u32, place: u32, report: &Report, source: Source, now: u32) -> Self {
        Self {
            room,
            place,
            number: report.number,
            source,
            addresses: NONE,
            address_count: 0,
            is_counted: false,
            stage: Stage::Here,
            links: Links::default(),
            reported: now,
            before: (report.progress.received, now),
            rate: 0,
            shown: report.listen,
            elsewhere: false,
            seeder: report.seeder,
            progress: report.progress,
            program: report.program,
            name: report.name,
        }
    }

    /// Takes what a report says.
    pub(super) fn take(&mut self, report: &Report, shown: PeerAddr, elsewhere: bool, now: u32) {
        let received = report.progress.received;
        let (before, at) = self.before;
        match u64::from(now.saturating_sub(at)) {
            // It counts anew.
            _ if received < before => (self.rate, self.before) = (0, (received, now)),
            0 => {}
            seconds => (self.rate, self.before) = ((received - before) / seconds, (received, now)),
        }
        // A peer that has received the file and gives it from now on still counts as a receiver.
        self.seeder = report.seeder && (self.seeder || !self.progress.is_complete());
        (self.reported, self.progress) = (now, report.progress);
        (self.shown, self.elsewhere) = (shown, elsewhere);
        (self.program, self.name) = (report.program, report.name);
    }

    /// It was started again.
    pub(super) fn rename(&mut self, number: u64) {
        self.number = number;
        // What it has received from now on is counted from nothing.
        self.before = (u64::MAX, self.reported);
    }

    /// Whether it is to be remembered when it is gone: it has received everything.
    pub(super) const fn is_remembered(&self) -> bool {
        self.progress.is_complete() && !self.seeder
    }

    pub(super) const fn class(&self) -> Class {
        if self.seeder {
            Class::Seeder
        } else if self.progress.is_complete() {
            Class::Complete
        } else if matches!(self.stage, Stage::Here) {
            Class::Incomplete
        } else {
            Class::Silent
        }
    }

    /// As it is shown.
    pub(super) fn member(&self, now: u32) -> Member {
        Member {
            addr: self.shown,
            progress: Some(self.progress),
            seeder: self.seeder,
            presence: match self.stage {
                Stage::Left => Presence::Left,
                // A peer that has everything reports only changes.
                Stage::Silent if !self.progress.is_complete() => Presence::Silent,
                Stage::Here | Stage::Silent => Presence::Here,
            },
            elsewhere: self.elsewhere,
            rate: self.rate,
            since: now.saturating_sub(self.reported),
            program: self.program,
            name: self.name,
        }
    }
}
