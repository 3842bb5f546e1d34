//! What is to be done with the store now: a state machine without I/O, clock or random numbers.
//!
//! ```text
//!  off ──pause──► connecting ──► asked for its time ──► on: writes, reads, a look every 10 s
//!   ▲                 │                 │                │
//!   └─────────────────┴──── lost ───────┴────────────────┤
//!                                          refused (full): reads go on, writes after a pause
//! ```
//!
//! What could not be written is not kept, because the tracker's registry has it: after any trouble all registrations are
//! brought in from there, a part at a time. Only goodbyes are kept, which the registry does not have.

mod trouble;

use super::clock::StoreClock;
use super::outbox::Outbox;
use super::status::Figures;
use crate::others::{Change, Fate, Wanted};
use crate::responder::Export;
use crate::view::BUSY_PAUSE;
use cascade_format::CascadeHash;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use trouble::Trouble;

/// Changes that wait to be written, some 8 MiB. Of registrations that find no room the registry knows.
pub(crate) const OUTBOX_MAX: usize = 1 << 16;

/// Changes in one batch: some milliseconds of a store.
pub(crate) const WRITE_BATCH: usize = 4096;

/// Files that wait to be looked up; others are looked up when they are asked for again.
pub(crate) const WANTED_MAX: usize = 4096;

/// Files that are looked up at once.
pub(crate) const READ_BATCH: usize = 64;

/// Between two batches: what is renewed twice in this time is written once.
pub(crate) const GATHER: Duration = Duration::from_millis(5);

/// Between two looks at the store's clock, and at whether it still has what was written.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// The store's clock must not jump farther, in seconds; after a jump all registrations are written again.
const CLOCK_JUMP: f64 = 2.0;

/// Something for the driver to do. It tells the result by the `handle_*` of the same name.
#[derive(Debug, PartialEq)]
pub(crate) enum Work {
    /// Connect.
    Connect,
    /// Ask for the store's time, and for the mark of this tracker.
    Probe,
    /// Write these.
    Write(Vec<Change>, StoreClock),
    /// Look these up.
    Read(Vec<Wanted>, StoreClock),
    /// Ask the tracker for a part of its registrations.
    Export(Export),
}

/// What has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is of no use any more.
    Lost(String),
    /// The store has refused to write, and answers.
    Refused(String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Link {
    Off { until: Duration },
    Connecting,
    On,
}

/// The way of all registrations into the store.
#[derive(Debug, Default)]
enum Resync {
    #[default]
    Done,
    /// From here on.
    At(Export),
    /// A part was asked for; whether something has failed since.
    Asked { at: Export, again: bool },
    /// A part is here.
    Part(Vec<Change>, Option<Export>),
}

/// Decides.
#[derive(Debug)]
pub(crate) struct Courier {
    link: Link,
    trouble: Trouble,
    clock: Option<StoreClock>,
    outbox: Outbox,
    wanted: VecDeque<Wanted>,
    queued: HashSet<CascadeHash>,
    resync: Resync,
    /// Changes are written before the next part is asked for.
    changes_first: bool,
    export_at: Duration,
    probe_at: Duration,
    marked: bool,
    /// The highest that a cluster has told.
    epoch: Option<u64>,
    write_at: Duration,
    probing: bool,
    writing: bool,
    reading: bool,
    figures: Figures,
}

impl Courier {
    /// Of a store that is shown as `name`.
    pub(crate) fn new(name: String) -> Self {
        Self {
            link: Link::Off { until: Duration::ZERO },
            trouble: Trouble::new(name),
            clock: None,
            outbox: Outbox::new(OUTBOX_MAX),
            wanted: VecDeque::new(),
            queued: HashSet::new(),
            resync: Resync::At(Export::default()),
            changes_first: false,
            export_at: Duration::ZERO,
            probe_at: Duration::ZERO,
            marked: false,
            epoch: None,
            write_at: Duration::ZERO,
            probing: false,
            writing: false,
            reading: false,
            figures: Figures::default(),
        }
    }

    /// The numbers to be shown.
    pub(crate) fn figures(&self) -> Figures {
        Figures { well: self.is_well(), waiting: self.outbox.len() as u64, ..self.figures }
    }

    /// Whether files can be looked up.
    pub(crate) fn answers(&self) -> bool {
        self.link == Link::On && self.clock.is_some()
    }

    fn is_well(&self) -> bool {
        self.answers() && !self.trouble.refuses()
    }

    /// A line for the log, if there is news.
    pub(crate) fn poll_line(&mut self) -> Option<String> {
        self.trouble.poll_line()
    }

    /// Takes what the tracker has registered. `missed`: there was more, which had no room.
    pub(crate) fn handle_changes(&mut self, changes: impl IntoIterator<Item = Change>, missed: bool) {
        for change in changes {
            match change.fate {
                // It is in the registry, and comes from there.
                Fate::Here { .. } if !self.is_well() => self.outbox.forget(&change.record),
                Fate::Here { .. } => {
                    if !self.outbox.put(change) {
                        self.begin_resync();
                    }
                }
                Fate::Left => {
                    if !self.outbox.put(change) {
                        self.figures.lost_goodbyes += 1;
                    }
                }
            }
        }
        if missed {
            self.begin_resync();
        }
    }

    /// So many goodbyes had no room on their way here.
    pub(crate) const fn handle_lost_goodbyes(&mut self, count: u64) {
        self.figures.lost_goodbyes += count;
    }

    /// The tracker wants to know of these files.
    pub(crate) fn handle_wanted(&mut self, wanted: impl IntoIterator<Item = Wanted>) {
        if !self.answers() {
            return;
        }
        for wanted in wanted {
            if self.wanted.len() < WANTED_MAX && self.queued.insert(wanted.file) {
                self.wanted.push_back(wanted);
            }
        }
    }

    /// What is to be done, if anything is.
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Work> {
        self.trouble.handle_time(now);
        match self.link {
            Link::Off { until } if now >= until => {
                self.link = Link::Connecting;
                Some(Work::Connect)
            }
            Link::Off { .. } | Link::Connecting => None,
            Link::On => self.poll_on(now),
        }
    }

    fn poll_on(&mut self, now: Duration) -> Option<Work> {
        if !self.probing && now >= self.probe_at {
            self.probing = true;
            return Some(Work::Probe);
        }
        let clock = self.clock?;
        if !self.reading && !self.wanted.is_empty() {
            self.reading = true;
            let end = self.wanted.len().min(READ_BATCH);
            let batch: Vec<_> = self.wanted.drain(..end).collect();
            for wanted in &batch {
                self.queued.remove(&wanted.file);
            }
            return Some(Work::Read(batch, clock));
        }
        if self.writing || self.trouble.refuses() {
            return None;
        }
        // A part goes before what has changed since it was asked for: a goodbye among that must be written after it.
        match std::mem::take(&mut self.resync) {
            Resync::Part(part, next) => {
                self.resync = next.map_or(Resync::Done, Resync::At);
                self.writing = !part.is_empty();
                // New registrations do not wait for all the old ones.
                self.changes_first = true;
                if self.writing { Some(Work::Write(part, clock)) } else { self.poll_on(now) }
            }
            Resync::At(at) if now >= self.export_at && (!self.changes_first || self.outbox.len() == 0) => {
                self.resync = Resync::Asked { at, again: false };
                Some(Work::Export(at))
            }
            asked @ Resync::Asked { .. } => {
                self.resync = asked;
                None
            }
            other @ (Resync::Done | Resync::At(_)) => {
                self.resync = other;
                (now >= self.write_at && self.outbox.len() > 0).then(|| {
                    (self.writing, self.changes_first) = (true, false);
                    self.write_at = now + GATHER;
                    Work::Write(self.outbox.take(WRITE_BATCH), clock)
                })
            }
        }
    }

    /// What is left at the end, to be written at once.
    pub(crate) fn poll_last(&mut self) -> Option<Work> {
        let clock = self.clock.filter(|_| self.is_well() && self.outbox.len() > 0)?;
        Some(Work::Write(self.outbox.take(WRITE_BATCH), clock))
    }

    /// When [`Courier::poll`] may have something to do by itself.
    pub(crate) fn next_wakeup(&self) -> Duration {
        let own = match self.link {
            Link::Off { until } => until,
            Link::Connecting => Duration::MAX,
            Link::On if self.writing || !self.is_well() => self.probe_due(),
            Link::On => {
                let asked = matches!(self.resync, Resync::Asked { .. });
                let export =
                    if matches!(self.resync, Resync::At(_)) { self.export_at } else { Duration::MAX };
                let write = if self.outbox.len() > 0 && !asked { self.write_at } else { Duration::MAX };
                export.min(write).min(self.probe_due())
            }
        };
        own.min(self.trouble.next_wakeup())
    }

    const fn probe_due(&self) -> Duration {
        if self.probing { Duration::MAX } else { self.probe_at }
    }

    /// There is a connection.
    pub(crate) fn handle_connected(&mut self, now: Duration) {
        self.link = Link::On;
        self.probe_at = now;
        self.clock = None;
        self.marked = false;
        (self.probing, self.writing, self.reading) = (false, false, false);
    }

    /// The store has shown its time, in seconds since the UNIX epoch.
    pub(crate) fn handle_clock(&mut self, unix: f64, now: Duration) {
        let clock = StoreClock::of(unix, now);
        if self.clock.is_some_and(|before| before.distance(clock) > CLOCK_JUMP) {
            // What was written has the wrong times.
            self.begin_resync();
        }
        self.clock = Some(clock);
    }

    /// A cluster has told its epoch. When a replica has become a master, it may lack what was written last, and the mark
    /// may be on another one.
    pub(crate) fn handle_epoch(&mut self, epoch: u64) {
        if self.epoch.is_some_and(|before| before < epoch) {
            self.begin_resync();
        }
        // Not every server knows it at once.
        self.epoch = self.epoch.max(Some(epoch));
    }

    /// The store has taken this tracker's mark. `was_there`: it had the last one.
    pub(crate) fn handle_marked(&mut self, was_there: bool, now: Duration) {
        if self.marked && !was_there {
            // It has lost its memory.
            self.begin_resync();
        }
        self.marked = true;
        self.probing = false;
        self.probe_at = now + PROBE_INTERVAL;
        self.trouble.handle_well(now);
    }

    /// The tracker has given a part of its registrations.
    pub(crate) fn handle_exported(&mut self, part: Vec<Change>, next: Option<Export>) {
        self.resync = match self.resync {
            Resync::Asked { again: false, .. } => Resync::Part(part, next),
            // It was asked for before the trouble.
            Resync::Asked { again: true, .. } => Resync::At(Export::default()),
            Resync::Done | Resync::At(_) | Resync::Part(..) => return,
        };
    }

    /// The tracker has no time for that now: it is asked again.
    pub(crate) fn handle_not_exported(&mut self, now: Duration) {
        if let Resync::Asked { at, again } = self.resync {
            self.resync = Resync::At(if again { Export::default() } else { at });
            self.export_at = now + BUSY_PAUSE;
        }
    }

    /// A batch was written.
    pub(crate) fn handle_written(&mut self, changes: u64) {
        self.writing = false;
        self.figures.written += changes;
    }

    /// A batch was not written, or perhaps not.
    pub(crate) fn handle_unwritten(&mut self, batch: Vec<Change>) {
        self.writing = false;
        self.handle_given_back(batch);
    }

    /// The same of a batch for which nobody has waited any more.
    pub(crate) fn handle_given_back(&mut self, batch: Vec<Change>) {
        for change in batch.into_iter().filter(|change| change.fate == Fate::Left) {
            if !self.outbox.put_back(change) {
                self.figures.lost_goodbyes += 1;
            }
        }
        self.begin_resync();
    }

    /// Files were looked up, or not.
    pub(crate) fn handle_read(&mut self, files: u64) {
        self.reading = false;
        self.figures.read += files;
    }

    /// Something has failed. `jitter` is from 0 to 1, so that not all trackers come back at once. Returns whether the
    /// connection is to be dropped.
    pub(crate) fn handle_fault(&mut self, fault: Fault, now: Duration, jitter: f64) -> bool {
        self.figures.faults += 1;
        self.outbox.keep_goodbyes();
        self.begin_resync();
        match fault {
            Fault::Lost(why) => {
                let until = now + self.trouble.handle_lost(&why, now, jitter);
                self.link = Link::Off { until };
                self.clock = None;
                self.wanted.clear();
                self.queued.clear();
                true
            }
            Fault::Refused(why) => {
                self.probing = false;
                self.probe_at = now + self.trouble.handle_refused(&why, now, jitter);
                false
            }
        }
    }

    fn begin_resync(&mut self) {
        self.resync = match self.resync {
            Resync::Asked { at, .. } => Resync::Asked { at, again: true },
            Resync::Done | Resync::At(_) | Resync::Part(..) => Resync::At(Export::default()),
        };
    }
}

#[cfg(test)]
mod tests;
