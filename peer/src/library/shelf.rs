//! What is to be done with each file of a served folder (pure: it is told what was seen and when).
//!
//! ```text
//!             quiet                    no record                 read
//!  (seen) ───────────► at its record ─────────────► at its bytes ─────► known: served, as far as it is right
//!    ▲                      │ a record                                      │
//!    │                      └──────────────────────────────────────────────►│
//!    └──────────────────────────── it looks otherwise ◄─────────────────────┘
//! ```
//!
//! Of several `.cascade` files with the same hash one is served: that of which most is right (`choose`).

mod choose;
mod downloads;
mod missing;
mod tell;

pub(super) use missing::Missing;

use super::inspect::{Checked, Depth, Described, Inspected, Job, Outcome};
use super::scan::{Look, Scan, data_of};
use super::told::{How, Tally, Told};
use crate::ground::Stamp;
use crate::human::Name;
use crate::limits::{RETRY_INTERVAL, SETTLE};
use cascade_format::CascadeHash;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time since the folder is served.
pub(super) type Time = Duration;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    /// Serve this, in place of what is served of the file so far.
    Publish(Arc<Path>, Checked),
    /// Serve what an origin has, in place of it.
    PublishRemote(Arc<Path>, Described),
    /// Serve the file no longer. `known`: it may be served again soon.
    Withdraw { hash: CascadeHash, known: bool },
    /// Trackers are to know that this peer has it.
    Register(CascadeHash),
    /// They are not.
    Unregister(CascadeHash),
    /// End the download.
    EndDownload(u32),
    /// Tell it.
    Tell(Told),
}

/// A download that is to begin.
#[derive(Debug, PartialEq)]
pub(super) struct Order {
    pub(super) id: u32,
    pub(super) path: Arc<Path>,
    pub(super) hash: CascadeHash,
}

/// How a download has ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The file is complete; `None` where that is not known for sure.
    Done(Option<Stamp>),
    /// Another one has its place.
    PutOff,
    /// What is there is not replaced, for this reason.
    Kept(String),
    /// It has failed; that was told.
    Failed,
}

#[derive(Debug)]
struct Item {
    path: Arc<Path>,
    look: Look,
    /// When it was seen first to look so.
    since: Time,
    state: State,
    described: Option<Described>,
    checked: Option<Checked>,
    /// It has no data here, and is served from the origin.
    remote: bool,
    /// How often that has failed in a row.
    failures: u32,
    /// Of a folder: what all of it looked like when it was walked through last, and when that was first seen.
    tree: Option<(Stamp, Time)>,
    /// The record, and the file's stamp, are not to be believed.
    distrusted: bool,
    /// What was told to be wrong with it.
    problem: Option<String>,
    /// Why its blocks will be known.
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is waited until nobody writes to it.
    Settling,
    /// It waits to be looked at.
    Queued(Depth),
    Inspecting,
    /// Nothing is to be done, before this time.
    Resting(Option<Time>),
    Downloading,
}

impl Item {
    /// Number of blocks that can be given; `None`: it is not known which.
    fn given(&self) -> Option<u64> {
        let remote = || self.described.filter(|_| self.remote).map(|described| described.layout.blocks());
        self.checked.as_ref().map(Checked::count).or_else(remote)
    }

    /// Whether its blocks may be known soon.
    fn is_under_way(&self) -> bool {
        match self.state {
            State::Downloading => true,
            State::Settling | State::Queued(_) | State::Inspecting => self.look.data.is_some(),
            State::Resting(_) => self.tree.is_some(),
        }
    }
}

/// The files.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// What becomes of files without data.
    missing: Missing,
    items: BTreeMap<u32, Item>,
    by_path: HashMap<Arc<Path>, u32>,
    by_hash: HashMap<CascadeHash, Vec<u32>>,
    /// What is served of each file.
    /// The stamp is that of its data, if it is not an origin that has it.
    published: HashMap<CascadeHash, (u32, Option<Stamp>)>,
    registered: HashSet<CascadeHash>,
    /// To be looked at by the thread that is quick, and by the one that reads.
    queues: [VecDeque<u32>; 2],
    /// To be downloaded.
    wanted: VecDeque<(u32, Time)>,
    /// Those that settle or rest for a time.
    restless: HashSet<u32>,
    acts: VecDeque<Act>,
    /// Jobs that the quick thread has.
    quick_jobs: usize,
    next: u32,
    /// What a scan had to tell last.
    problems: HashSet<String>,
    full: bool,
}

impl Shelf {
    /// No file yet.
    pub(super) fn new(missing: Missing) -> Self {
        Self { missing, ..Self::default() }
    }

    /// What is to be done next.
    pub(super) fn poll_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// The next job of a thread: `slow` is the one that reads.
    pub(super) fn poll_job(&mut self, slow: bool) -> Option<Job> {
        loop {
            let id = self.queues.get_mut(usize::from(slow))?.pop_front()?;
            if let Some(item) = self.items.get_mut(&id)
                && let State::Queued(depth) = item.state
                && is_slow(item, depth) == slow
            {
                item.state = State::Inspecting;
                self.quick_jobs += usize::from(!slow);
                return Some(Job { id, path: Arc::clone(&item.path), look: item.look.clone(), depth, slow });
            }
        }
    }

    /// Whether the thread that is quick has something to do.
    pub(super) fn is_looking(&self) -> bool {
        let [quick, _] = &self.queues;
        self.quick_jobs > 0 || !quick.is_empty()
    }

    /// When it is time to look again at something; see [`Shelf::handle_time`].
    pub(super) fn next_wakeup(&self, now: Time) -> Option<Time> {
        let times = self.restless.iter().filter_map(|id| match self.items.get(id)?.state {
            State::Resting(again) => again,
            State::Settling | State::Queued(_) | State::Inspecting | State::Downloading => None,
        });
        // Those that could begin wait for a place, not for a time.
        let downloads = self.wanted.iter().map(|(_, at)| *at).filter(|at| *at > now);
        times.chain(downloads).min()
    }

    /// Whether something waits for the next scan.
    pub(super) fn is_settling(&self) -> bool {
        self.restless.iter().any(|id| self.items.get(id).is_some_and(|item| item.state == State::Settling))
    }

    /// Time has passed: what has rested for a time is looked at again.
    pub(super) fn handle_time(&mut self, now: Time) {
        let due = |id: &u32| match self.items.get(id).map(|item| item.state) {
            Some(State::Resting(Some(at))) => at <= now,
            _ => false,
        };
        let mut due: Vec<u32> = self.restless.iter().copied().filter(due).collect();
        due.sort_unstable();
        due.into_iter().for_each(|id| self.queue(id, Depth::Record));
    }

    /// The folder was looked through. `wall_ns`: what the wall clock shows.
    pub(super) fn handle_scan(&mut self, now: Time, wall_ns: i128, scan: Scan) {
        let Scan { found, unreadable, problems, full, .. } = scan;
        self.tell_problems(problems, full);
        let gone: Vec<u32> = self
            .by_path
            .iter()
            .filter(|(path, _)| !found.contains_key(&***path))
            .filter(|(path, _)| !unreadable.iter().any(|folder| path.starts_with(folder)))
            .map(|(_, id)| *id)
            .collect();
        for (path, look) in found {
            match self.by_path.get(path.as_path()).copied() {
                Some(id) => self.handle_look(id, now, look),
                None => self.add(now, path, look),
            }
        }
        gone.into_iter().for_each(|id| self.remove(id));
        let mut settling: Vec<u32> = self.restless.iter().copied().collect();
        settling.sort_unstable();
        for id in settling {
            let quiet = self.items.get(&id).is_some_and(|item| {
                // The clock of another machine may be wrong: then it is waited for as long.
                let age = wall_ns - item.look.changed_ns();
                let old = age >= i128::try_from(SETTLE.as_nanos()).unwrap_or(i128::MAX);
                item.state == State::Settling && (old || now.saturating_sub(item.since) >= SETTLE)
            });
            if quiet {
                self.queue(id, Depth::Record);
            }
        }
    }

    /// A file was looked at.
    pub(super) fn handle_inspected(&mut self, now: Time, inspected: Inspected) {
        let Inspected { id, look, slow, outcome } = inspected;
        self.quick_jobs -= usize::from(!slow);
        let Some(item) = self.items.get_mut(&id) else { return };
        if item.state != State::Inspecting {
            return;
        }
        if item.look != look {
            return self.set_state(id, State::Settling);
        }
        match outcome {
            Outcome::Moved | Outcome::Interrupted => {
                item.since = now;
                self.set_state(id, State::Settling);
            }
            Outcome::Bad { message, passing } => {
                self.set_state(id, State::Resting(passing.then_some(now + RETRY_INTERVAL)));
                self.forget_blocks(id);
                self.complain(id, message);
            }
            Outcome::NoData(described) => self.handle_no_data(id, now, described),
            Outcome::Unchecked(described, stamp) => self.handle_unchecked(id, now, described, stamp),
            Outcome::Checked(checked) => self.handle_checked(id, now, checked),
        }
    }

    fn handle_unchecked(&mut self, id: u32, now: Time, described: Described, stamp: Stamp) {
        self.describe(id, described);
        let Some(item) = self.items.get_mut(&id) else { return };
        let folder = item.look.data.as_ref().is_some_and(|data| data.folder);
        if !folder {
            return self.queue(id, Depth::Bytes);
        }
        // An unfinished folder that looks as it did when it was read is still what it was.
        if item.checked.as_ref().is_some_and(|checked| checked.stamp == stamp) && !item.distrusted {
            return self.set_state(id, State::Resting(Some(now + RETRY_INTERVAL)));
        }
        // What is in it does not show in the folder itself: so it is walked through twice.
        match item.tree {
            Some((before, since)) if before == stamp && now.saturating_sub(since) >= SETTLE => {
                self.queue(id, Depth::Bytes);
            }
            Some((before, _)) if before == stamp => self.set_state(id, State::Resting(Some(now + SETTLE))),
            _ => {
                item.tree = Some((stamp, now));
                self.set_state(id, State::Resting(Some(now + SETTLE)));
            }
        }
    }

    fn handle_checked(&mut self, id: u32, now: Time, checked: Checked) {
        let (count, blocks) = (checked.count(), checked.described.layout.blocks());
        self.describe(id, checked.described);
        let Some(item) = self.items.get_mut(&id) else { return };
        let folder = item.look.data.as_ref().is_some_and(|data| data.folder);
        let again = (folder && count < blocks).then_some(now + RETRY_INTERVAL);
        (item.distrusted, item.tree, item.remote) = (false, None, false);
        let same = |there: &Checked| there.have == checked.have && there.stamp == checked.stamp;
        let new = !item.checked.as_ref().is_some_and(same);
        let was_complete = checked.described.was_complete;
        item.checked = Some(checked);
        self.set_state(id, State::Resting(again));
        if count == 0 && blocks > 0 {
            let metafile = self.path(id);
            let data = data_of(&metafile);
            self.forget_blocks(id);
            let (data, name) = (Name(&data), Name(&metafile));
            self.complain(id, format!("{data} has no block of {name}; is it the right file?"));
        } else {
            if let Some(item) = self.items.get_mut(&id) {
                item.problem = None;
            }
            self.choose_for(id);
            if new {
                self.tell_serving(id);
            }
        }
        if count < blocks && self.missing == Missing::Downloaded && !was_complete {
            self.want(id, now);
        }
    }

    /// Blocks of a file that is served are not what they were. `distrusted`: and its stamp does not show it.
    pub(super) fn handle_trouble(&mut self, now: Time, hash: CascadeHash, distrusted: bool) {
        let Some((id, _)) = self.published.get(&hash).copied() else { return };
        let Some(item) = self.items.get_mut(&id) else { return };
        (item.since, item.distrusted) = (now, distrusted || item.distrusted);
        let path = data_of(&item.path);
        self.set_state(id, State::Settling);
        self.forget_blocks(id);
        self.acts.push_back(Act::Tell(Told::Changed { path }));
    }

    /// Whether trackers are to know that this peer has the file.
    pub(super) fn is_registered(&self, hash: &CascadeHash) -> bool {
        self.registered.contains(hash)
    }

    /// How many files there are, of which kind.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally { files: self.published.len() as u64, ..Tally::default() };
        for (id, item) in &self.items {
            if let (true, Some(described)) = (self.is_served(*id), item.described) {
                tally.bytes += described.layout.length();
            }
            let is_here = item.look.data.is_some();
            // Of one that its origin did not have, or that cannot be read, this is known.
            let has_origin = self.missing == Missing::Remote && item.problem.is_none();
            tally.unchecked += u64::from(item.checked.is_none() && is_here && item.is_under_way());
            tally.unchecked += u64::from(!is_here && has_origin && !item.remote);
            tally.missing += u64::from(!is_here && !has_origin);
            tally.remote += u64::from(item.remote && self.is_served(*id));
        }
        tally
    }

    fn add(&mut self, now: Time, path: PathBuf, look: Look) {
        let (id, path) = (self.next, Arc::<Path>::from(path));
        self.next += 1;
        self.by_path.insert(Arc::clone(&path), id);
        let item = Item {
            path,
            look,
            since: now,
            state: State::Settling,
            described: None,
            checked: None,
            remote: false,
            failures: 0,
            tree: None,
            distrusted: false,
            problem: None,
            how: How::Checked,
        };
        self.items.insert(id, item);
        self.restless.insert(id);
    }

    /// A file looks so now.
    fn handle_look(&mut self, id: u32, now: Time, look: Look) {
        let Some(item) = self.items.get_mut(&id) else { return };
        if item.look == look {
            return;
        }
        let same_metafile = item.look.metafile == look.metafile;
        // It is what this program has made of it, or what it was checked to be.
        let new = item.look.data.is_none();
        let expected = item.checked.as_ref().zip(look.data.as_ref()).is_some_and(|(checked, data)| {
            if data.folder { new && checked.how == How::Downloaded } else { checked.stamp == data.stamp }
        });
        let busy = item.state == State::Downloading;
        let was_remote = std::mem::take(&mut item.remote);
        item.look = look;
        if same_metafile && (expected || busy) {
            return;
        }
        item.since = now;
        item.tree = None;
        let data = data_of(&item.path);
        let was_served = self.is_served(id);
        if busy {
            self.acts.push_back(Act::EndDownload(id));
        }
        self.set_state(id, State::Settling);
        if same_metafile {
            self.forget_blocks(id);
            if was_remote {
                // What was served is still right, and what comes is told when it was checked.
            } else if was_served && self.items.get(&id).is_some_and(|item| item.look.data.is_some()) {
                self.acts.push_back(Act::Tell(Told::Changed { path: data }));
            } else if was_served {
                self.tell_removed(id);
            }
        } else {
            if was_served {
                self.tell_removed(id);
            }
            self.forget_description(id);
        }
    }

    fn remove(&mut self, id: u32) {
        let Some(item) = self.items.get(&id) else { return };
        if item.state == State::Downloading {
            self.acts.push_back(Act::EndDownload(id));
        }
        if self.is_served(id) {
            self.tell_removed(id);
        }
        let path = self.path(id);
        self.by_path.remove(&path);
        self.forget_description(id);
        self.items.remove(&id);
        self.restless.remove(&id);
    }

    /// Whether this one is served, and not another one with its hash.
    fn is_served(&self, id: u32) -> bool {
        let described = self.items.get(&id).and_then(|item| item.described);
        let served = described.and_then(|described| self.published.get(&described.hash));
        served.is_some_and(|(there, _)| *there == id)
    }

    /// The `.cascade` files, for the next scan.
    pub(super) fn paths(&self) -> Vec<Arc<Path>> {
        self.by_path.keys().cloned().collect()
    }

    fn path(&self, id: u32) -> Arc<Path> {
        self.items.get(&id).map_or_else(|| Path::new("").into(), |item| Arc::clone(&item.path))
    }

    fn queue(&mut self, id: u32, depth: Depth) {
        let Some(item) = self.items.get(&id) else { return };
        let depth = if item.distrusted { Depth::BytesAlone } else { depth };
        let slow = is_slow(item, depth);
        self.set_state(id, State::Queued(depth));
        if let Some(queue) = self.queues.get_mut(usize::from(slow)) {
            queue.push_back(id);
        }
    }

    fn set_state(&mut self, id: u32, state: State) {
        if let Some(item) = self.items.get_mut(&id) {
            item.state = state;
        }
        if matches!(state, State::Settling | State::Resting(Some(_))) {
            self.restless.insert(id);
        } else {
            self.restless.remove(&id);
        }
    }
}

/// Which thread looks at it: folders are walked through by the one that reads.
fn is_slow(item: &Item, depth: Depth) -> bool {
    depth != Depth::Record || item.look.data.as_ref().is_some_and(|data| data.folder)
}

#[cfg(test)]
mod tests;
