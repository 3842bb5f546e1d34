//! How far peers are, as they report it: a table beside the registrations, which peers that report nothing take no
//! part of.
//!
//! ```text
//!  cascade hash ──► room ──► members (records), each with its addresses
//!  number, address ──► record
//!
//!  here ──2 min without a report──► silent ──30 min──► gone, or if it had everything: left ──1 day──► gone
//! ```
//!
//! A record belongs to the number that its peer has chosen, and that no other peer learns; a peer that was started
//! again takes over the record of its address, if it comes from the same source as before. Memory is bounded by two
//! limits: the members of all rooms together, and those of one source; the oldest make room.

mod addresses;
mod queue;
mod record;
mod slab;

use super::LIFETIME_SECS;
use super::index::Index;
use super::ledger::Ledger;
use super::source::Source;
use addresses::Address;
use cascade_format::tracker_room::{Member, Report, Summary};
use cascade_format::{CascadeHash, PeerAddr};
use queue::Queue;
use record::{Class, Record, Stage};
use slab::{NONE, Slab};
use std::hash::{BuildHasher, RandomState};

/// The most members of all rooms together: some 40 MiB.
pub const MAX_MEMBERS: usize = 1 << 17;

/// Of them, the most of one source: a sixteenth.
pub const MAX_SOURCE_MEMBERS: usize = 1 << 13;

/// Addresses of one member: a machine may have some in both families.
pub const MAX_MEMBER_ADDRESSES: usize = 16;

/// Seconds without a report after which a receiver that lacks blocks counts as silent: four reports are missing.
pub const SILENT_SECS: u32 = 120;

/// Seconds for which a receiver is remembered that has received everything and left: a day, so that receivers that come
/// one after the other are counted together.
pub const REMEMBERED_SECS: u32 = 86_400;

/// Members whose time is looked at with one report or question.
const AGE_STEPS: usize = 64;

/// Bounds of the rooms.
#[derive(Debug, Clone, Copy)]
pub struct RoomBounds {
    /// The most members of all rooms.
    pub members: usize,
    /// Of them, the most of one source.
    pub source_members: usize,
}

impl Default for RoomBounds {
    fn default() -> Self {
        Self { members: MAX_MEMBERS, source_members: MAX_SOURCE_MEMBERS }
    }
}

/// Who reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reporter {
    /// Where the connection comes from.
    pub source: Source,
    /// Where the peer is registered, if it is.
    pub registered: Option<PeerAddr>,
    /// Where it is shown to be.
    pub shown: PeerAddr,
    /// Its connection comes from another address.
    pub elsewhere: bool,
}

/// All rooms.
#[derive(Debug)]
pub struct Rooms {
    rooms: Slab<Room>,
    records: Slab<Record>,
    addresses: Slab<Address>,
    by_file: Index,
    by_number: Index,
    by_address: Index,
    here: Queue,
    silent: Queue,
    left: Queue,
    ledger: Ledger,
    keys: RandomState,
    bounds: RoomBounds,
}

#[derive(Debug)]
struct Room {
    file: CascadeHash,
    members: Vec<u32>,
    summary: Summary,
    /// Registered addresses of its members that have not left.
    registered: u32,
}

impl Rooms {
    /// Empty rooms.
    #[must_use]
    pub fn new(bounds: RoomBounds) -> Self {
        Self {
            rooms: Slab::new(),
            records: Slab::new(),
            addresses: Slab::new(),
            by_file: Index::new(),
            by_number: Index::new(),
            by_address: Index::new(),
            here: Queue::new(),
            silent: Queue::new(),
            left: Queue::new(),
            ledger: Ledger::new(),
            keys: RandomState::new(),
            bounds,
        }
    }

    /// Number of members in all rooms.
    #[must_use]
    pub const fn members(&self) -> usize {
        self.records.len()
    }

    /// Takes a report. `now` is in seconds of a clock that never goes back. Where there is no place for a new member, it
    /// is forgotten.
    pub fn report(&mut self, report: &Report, reporter: Reporter, now: u32) {
        self.age(now, AGE_STEPS);
        let known = self.find_member(report, reporter);
        // There is nothing to remember of a peer that leaves without having reported.
        let new = || (!report.goodbye || !report.seeder && report.progress.is_complete()).then_some(());
        let Some(at) = known.or_else(|| new().and_then(|()| self.add(report, reporter.source, now))) else {
            return;
        };
        if let Some(addr) = reporter.registered {
            self.note_address(at, reporter.source, addr);
        }
        self.rename(at, report.number);
        self.tally(at, false);
        self.leave_queue(at);
        if let Some(record) = self.records.get_mut(at) {
            record.take(report, reporter.shown, reporter.elsewhere, now);
        }
        let remembered = self.records.get(at).is_some_and(Record::is_remembered);
        self.join_queue(at, if report.goodbye { Stage::Left } else { Stage::Here });
        self.tally(at, true);
        if report.goodbye && !remembered {
            self.remove(at);
        }
    }

    /// How many are in the room of a file; `None`: nobody reports.
    pub fn summary(&mut self, file: &CascadeHash, now: u32) -> Option<Summary> {
        self.age(now, AGE_STEPS * 16);
        Some(self.room(file)?.summary)
    }

    /// Members of the room of a file from the one at `first` on, at most `max`, and how many there are in all.
    #[must_use]
    pub fn page(&self, file: &CascadeHash, first: usize, max: usize, now: u32) -> (Vec<Member>, usize) {
        let Some(room) = self.room(file) else { return (Vec::new(), 0) };
        let part = room.members.iter().skip(first).take(max);
        let members = part.filter_map(|at| Some(self.records.get(*at)?.member(now)));
        (members.collect(), room.members.len())
    }

    /// How many registrations of a file are those of members that have not left.
    #[must_use]
    pub fn registered(&self, file: &CascadeHash) -> u32 {
        self.room(file).map_or(0, |room| room.registered)
    }

    /// Whether a registration is one of a member that has not left.
    #[must_use]
    pub fn covers(&self, file: &CascadeHash, source: Source, addr: PeerAddr) -> bool {
        let address = self.find_room(file).and_then(|room| self.find_address(room, source, addr));
        let record = address.and_then(|address| self.records.get(self.addresses.get(address)?.record));
        record.is_some_and(|record| record.stage != Stage::Left)
    }

    /// The files that have a room, at most `max` of them.
    #[must_use]
    pub fn files(&self, max: usize) -> Vec<CascadeHash> {
        (0..self.rooms.end()).filter_map(|at| Some(self.rooms.get(at)?.file)).take(max).collect()
    }

    /// Does what time brings, for at most `steps` members.
    pub fn age(&mut self, now: u32, steps: usize) {
        for _ in 0..steps {
            let overdue = |queue: &Queue, seconds: u32| {
                let at = queue.first()?;
                let record = self.records.get(at)?;
                (now.saturating_sub(record.reported) > seconds).then_some((at, record.is_remembered()))
            };
            if let Some((at, _)) = overdue(&self.here, SILENT_SECS) {
                self.move_to(at, Stage::Silent);
            } else if let Some((at, remembered)) = overdue(&self.silent, LIFETIME_SECS) {
                if remembered { self.move_to(at, Stage::Left) } else { self.remove(at) }
            } else if let Some((at, _)) = overdue(&self.left, REMEMBERED_SECS) {
                self.remove(at);
            } else {
                return;
            }
        }
    }

    fn room(&self, file: &CascadeHash) -> Option<&Room> {
        self.rooms.get(self.find_room(file)?)
    }

    fn find_room(&self, file: &CascadeHash) -> Option<u32> {
        let is_it = |at| self.rooms.get(at).is_some_and(|room| room.file == *file);
        self.by_file.find(self.keys.hash_one(file), is_it)
    }

    /// The member with the reporter's number, else the one with its address.
    fn find_member(&self, report: &Report, reporter: Reporter) -> Option<u32> {
        let room = self.find_room(&report.cascade_hash)?;
        let is_it = |at| {
            self.records.get(at).is_some_and(|record| record.room == room && record.number == report.number)
        };
        let by_number = self.by_number.find(number_hash(&self.keys, room, report.number), is_it);
        by_number.or_else(|| {
            let address = self.find_address(room, reporter.source, reporter.registered?)?;
            Some(self.addresses.get(address)?.record)
        })
    }

    /// Adds a member that has just come; `None`: its source has used up its share.
    fn add(&mut self, report: &Report, source: Source, now: u32) -> Option<u32> {
        if self.ledger.of(source) >= self.bounds.source_members || self.bounds.members == 0 {
            return None;
        }
        while self.members() >= self.bounds.members {
            let old = [&self.silent, &self.here, &self.left];
            let many_left = self.left.len() > self.bounds.members / 2;
            let oldest = if many_left { self.left.first() } else { old.into_iter().find_map(Queue::first) };
            self.remove(oldest?);
        }
        let room = self.find_room(&report.cascade_hash).unwrap_or_else(|| self.add_room(report.cascade_hash));
        let members = &mut self.rooms.get_mut(room)?.members;
        let place = u32::try_from(members.len()).ok()?;
        let at = self.records.add(Record::new(room, place, report, source, now));
        members.push(at);
        let (records, keys) = (&self.records, &self.keys);
        self.by_number
            .insert(number_hash(keys, room, report.number), at, |at| number_hash_at(records, at, keys));
        self.ledger.add(source);
        self.here.push(at, &mut self.records);
        self.tally(at, true);
        Some(at)
    }

    fn add_room(&mut self, file: CascadeHash) -> u32 {
        let room = Room { file, members: Vec::new(), summary: Summary::default(), registered: 0 };
        let at = self.rooms.add(room);
        let (rooms, keys) = (&self.rooms, &self.keys);
        self.by_file.insert(keys.hash_one(file), at, |at| file_hash_at(rooms, at, keys));
        at
    }

    /// Forgets a member, and its room if nobody else is there.
    fn remove(&mut self, at: u32) {
        self.tally(at, false);
        self.leave_queue(at);
        while let Some(first) =
            self.records.get(at).map(|record| record.addresses).filter(|first| *first != NONE)
        {
            self.forget_address(first);
        }
        let (records, keys) = (&self.records, &self.keys);
        self.by_number.remove(number_hash_at(records, at, keys), at, |at| number_hash_at(records, at, keys));
        let Some(record) = self.records.remove(at) else { return };
        self.ledger.remove(record.source, 1);
        let Some(room) = self.rooms.get_mut(record.room) else { return };
        if record.place as usize + 1 < room.members.len() {
            room.members.swap_remove(record.place as usize);
        } else {
            room.members.pop();
        }
        if let Some(moved) = room.members.get(record.place as usize).and_then(|at| self.records.get_mut(*at))
        {
            moved.place = record.place;
        }
        if room.members.capacity() > 4 * room.members.len().max(4) {
            room.members.shrink_to(2 * room.members.len());
        }
        if room.members.is_empty() {
            let (rooms, keys) = (&self.rooms, &self.keys);
            let hash = file_hash_at(rooms, record.room, keys);
            self.by_file.remove(hash, record.room, |at| file_hash_at(rooms, at, keys));
            self.rooms.remove(record.room);
        }
    }

    /// A peer that was started again has another number than before.
    fn rename(&mut self, at: u32, number: u64) {
        let Some((room, old)) = self.records.get(at).map(|record| (record.room, record.number)) else {
            return;
        };
        if old == number {
            return;
        }
        let (records, keys) = (&self.records, &self.keys);
        self.by_number.remove(number_hash(keys, room, old), at, |at| number_hash_at(records, at, keys));
        if let Some(record) = self.records.get_mut(at) {
            record.rename(number);
        }
        let (records, keys) = (&self.records, &self.keys);
        self.by_number.insert(number_hash(keys, room, number), at, |at| number_hash_at(records, at, keys));
    }

    fn move_to(&mut self, at: u32, stage: Stage) {
        self.tally(at, false);
        self.leave_queue(at);
        self.join_queue(at, stage);
        self.tally(at, true);
    }

    fn leave_queue(&mut self, at: u32) {
        let Some(stage) = self.records.get(at).map(|record| record.stage) else { return };
        let queue = match stage {
            Stage::Here => &mut self.here,
            Stage::Silent => &mut self.silent,
            Stage::Left => &mut self.left,
        };
        queue.remove(at, &mut self.records);
    }

    fn join_queue(&mut self, at: u32, stage: Stage) {
        let queue = match stage {
            Stage::Here => &mut self.here,
            Stage::Silent => &mut self.silent,
            Stage::Left => &mut self.left,
        };
        queue.push(at, &mut self.records);
        if let Some(record) = self.records.get_mut(at) {
            record.stage = stage;
        }
    }

    /// Counts a member in its room, or no longer.
    fn tally(&mut self, at: u32, counts: bool) {
        let Some(record) = self.records.get_mut(at).filter(|record| record.is_counted != counts) else {
            return;
        };
        record.is_counted = counts;
        let Some(room) = self.rooms.get_mut(record.room) else { return };
        let number = match record.class() {
            Class::Complete => &mut room.summary.complete,
            Class::Incomplete => &mut room.summary.incomplete,
            Class::Silent => &mut room.summary.silent,
            Class::Seeder => &mut room.summary.seeders,
        };
        let registered = if record.stage == Stage::Left { 0 } else { u32::from(record.address_count) };
        if counts {
            *number += 1;
            room.registered += registered;
        } else {
            *number = number.saturating_sub(1);
            room.registered = room.registered.saturating_sub(registered);
        }
    }
}

fn number_hash(keys: &RandomState, room: u32, number: u64) -> u64 {
    keys.hash_one((room, number))
}

fn number_hash_at(records: &Slab<Record>, at: u32, keys: &RandomState) -> u64 {
    records.get(at).map_or(0, |record| number_hash(keys, record.room, record.number))
}

fn file_hash_at(rooms: &Slab<Room>, at: u32, keys: &RandomState) -> u64 {
    rooms.get(at).map_or(0, |room| keys.hash_one(room.file))
}

#[cfg(test)]
mod tests;
