//! Downloading one file: prepares the disk, drives the plan, finishes the file.

mod ended;
mod head;
mod hear_out;
mod job;
mod mending;
mod peers;
mod shown;
mod summary;

use ended::{Ended, Halted};
use head::head;
pub use job::{AsTar, Download, Replaces};
use summary::bytes_of;

use super::announcer::{Announcer, Answer};
use super::conclude::{Concluded, remember_part, taken_away};
use super::download_error::DownloadError;
use super::engine::Engine;
use super::event::{Event, Observer};
use super::keeper::{Failed, Keeper};
use super::links::LinkSet;
use super::recovery::{Aftermath, Cause};
use super::ticks::Ticks;
use crate::average::Average;
use crate::catalog::Served;
use crate::folder::Head;
use crate::ground::HaveMap;
use crate::ground::disk::is_full;
use crate::human::{Count, Name};
use crate::lan::{LanSwarm, found_on};
use crate::limits::MAX_LINKS;
use crate::link::{LinkEvent, News, PrefixHash};
use crate::metafile::MetafileOnDisk;
use crate::pace::Limit;
use crate::room::telling::{Role, Told};
use crate::store::{Place, Prepared, Shared, Taken, part};
use crate::view::SeenFile;
use cascade_format::{Have, Layout};
use cascade_swarm::ask::{Config, GivenUp, LinkId, Order, Outcome, PeerShare, Plan, Source, Tuning};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Link events that wait to be read.
const EVENTS: usize = 256;

/// Events handled between two looks at the plan.
const EVENTS_A_TURN: usize = 64;

/// A pause between two arrivals up to this long counts as busy: packets come in bunches.
const BUSY_GAP: Duration = Duration::from_millis(100);

struct Session {
    download: Download,
    engine: Engine,
    start: Instant,
    shared: Arc<Shared>,
    served: Arc<Served>,
    prefix: Arc<PrefixHash>,
    plan: Plan,
    links: LinkSet,
    events: mpsc::Receiver<(LinkId, LinkEvent)>,
    announcer: Announcer,
    lan: Option<LanSwarm>,
    /// Peers that were found there.
    on_lan: usize,
    place: Place,
    target: PathBuf,
    resumed_bytes: u64,
    rate: Average,
    /// What of that was taken from an earlier version.
    taken: Option<Taken>,
    /// What peers gave before this session, in the same download …
    earlier: Vec<PeerShare>,
    /// … and the bytes that came then.
    came_before: u64,
    /// The last answer of each tracker.
    answers: HashMap<u16, Answer>,
    /// Trackers that have not answered yet, and what the others said.
    silent_trackers: usize,
    tracker_news: Vec<String>,
    received: u64,
    /// When something arrived last, and for how long something was arriving.
    last_arrival: Duration,
    busy: Duration,
    /// How many of the peers that have asked this one the plan was told of …
    asking_peers: u64,
    /// … and how many of the hosts that have asked without the marker.
    asking_hosts: u64,
    /// Mends what has happened; no peer is asked meanwhile.
    recovery: Option<(JoinHandle<Result<(), DownloadError>>, Aftermath)>,
    /// Bytes that were verified, and not kept by the disk, or changed by others.
    lost_bytes: u64,
    /// Blocks that were there when the user was told last that the disk is full.
    full_at: Option<u64>,
    /// The whole file was read again when it was complete, and every block was right.
    read_again: Option<Aftermath>,
    /// Times that the hash of the whole file was wrong.
    wrong_hashes: u32,
    /// Looks whether the file is the archive of a folder, as long as that is not known.
    head: Option<Head>,
    /// What is seen of the download.
    seen: Arc<SeenFile>,
}

impl Session {
    fn begin(
        download: Download,
        engine: Engine,
        start: Instant,
        (prepared, seen): (Prepared, Arc<SeenFile>),
    ) -> Result<Self, DownloadError> {
        let Prepared { data, have, on_disk, place, target, taken } = prepared;
        let (metafile, layout) = (Arc::clone(&download.metafile), *download.metafile.layout());
        let resumed_bytes = bytes_of(&layout, &have);
        let (stamp, hash) = (place.stamp(), metafile.cascade_hash());
        let shared = Arc::new(Shared::new(hash, data, HaveMap::new(layout, &have), stamp));
        if !on_disk {
            shared.ledger().found(&have);
        }
        describe(&shared, &metafile, &engine);
        let prefix = PrefixHash::new(Arc::clone(&shared));
        if !matches!(place, Place::Target { file_hash_checked: true, .. }) {
            prefix.start().map_err(DownloadError::Thread)?;
        }
        let served = Served::new(Arc::clone(&shared));
        if engine.listen.is_some() {
            engine.catalog.add(Arc::clone(&served));
        }
        let (links, events) = mending::links(&engine, &shared, &metafile, &prefix);
        let head = head(&shared, &place);
        let mut plan = new_plan(planned(&layout, links.sliced(), have), download.order);
        engine.listen.into_iter().for_each(|listen| plan.set_listening(listen));
        let complete = plan.is_complete();
        let told = Told::new(Arc::clone(&shared), Role::Receiver);
        Ok(Self {
            announcer: engine.announce(&download.trackers, hash, told, (!complete, complete)),
            silent_trackers: if complete { 0 } else { download.trackers.len() },
            lan: (download.lan && !plan.is_complete()).then(|| engine.lan.join(&hash)),
            on_lan: 0,
            links,
            download,
            engine,
            start,
            shared,
            served,
            prefix,
            plan,
            events,
            place,
            target,
            resumed_bytes,
            rate: Average::default(),
            answers: HashMap::new(),
            taken,
            earlier: Vec::new(),
            came_before: 0,
            tracker_news: Vec::new(),
            received: 0,
            last_arrival: Duration::ZERO,
            busy: Duration::ZERO,
            asking_peers: 0,
            asking_hosts: 0,
            recovery: None,
            lost_bytes: 0,
            full_at: None,
            read_again: None,
            wrong_hashes: 0,
            head,
            seen,
        })
    }

    async fn run(&mut self, observer: &mut dyn Observer) -> Result<Ended, DownloadError> {
        self.begin_to_show();
        // Where a folder is brought up to date, it begins anew with what is right in it, and not before the archive's head
        // is known is that looked for.
        let mut begins = !(self.download.update && self.head.is_some());
        if begins {
            observer.event(Event::Start(self.progress()));
        }
        if !self.plan.is_complete() {
            self.learn_named_peers(observer).await;
        }
        loop {
            if let Some(halted) = self.fetch_and_keep(observer).await? {
                return Ok(halted.into());
            }
            while self.head.is_some() && self.shared.have().is_complete() {
                if let Some(halted) = self.look_at_head().await? {
                    return Ok(halted.into());
                }
            }
            let progress = self.progress();
            observer.event(if std::mem::replace(&mut begins, true) {
                Event::Progress(progress)
            } else {
                Event::Start(progress)
            });
            match self.conclude(observer).await? {
                Concluded::Named(kept) => {
                    kept.into_iter().for_each(|kept| observer.event(self.was_kept(&kept)));
                    self.announcer.conclude();
                    break;
                }
                Concluded::Doubted => {}
                Concluded::Elsewhere(why) => return Ok(Ended::Elsewhere(why)),
            }
        }
        if let Some((folder, count)) = self.shared.data().kept() {
            let (folder, count) = (Name(&folder), Count(count, "file"));
            observer.event(Event::Warning(format!(
                "{count} of yours had the name of a file of the new version, and can be found in {folder}"
            )));
        }
        observer.event(Event::Done(self.summary()));
        Ok(Ended::Done)
    }

    /// What is told of a file that came up at the target, or was changed, during the download.
    fn was_kept(&self, kept: &Path) -> Event {
        let (target, kept) = (Name(&self.target), Name(kept));
        Event::Warning(format!(
            "another file got the name {target} during the download, or it was changed; it is kept as {kept}"
        ))
    }

    /// Fetches every block, while what is there is kept on the disk. `Some`: the part file is not where it
    /// was.
    async fn fetch_and_keep(&mut self, observer: &mut dyn Observer) -> Result<Option<Halted>, DownloadError> {
        if self.plan.is_complete() && self.recovery.is_none() && !self.is_in_doubt() {
            return Ok(None);
        }
        let (failed, mut failures) = mpsc::channel(1);
        let new = matches!(self.place, Place::Part { new: true, .. });
        let file = (Arc::clone(&self.shared), Arc::clone(&self.download.metafile));
        let keeper = Keeper::start(file, new, self.engine.stop.clone(), failed);
        let result = self.fetch(observer, &keeper, &mut failures).await;
        // Nothing is written after this.
        self.links.clear();
        keeper.end().await;
        if let Ok(Some(_)) = result {
            self.hear_out(observer).await?;
        }
        // What links that have ended still tell is read by nobody: a hash thread of all downloads must not wait for that.
        (self.links, self.events) =
            mending::links(&self.engine, &self.shared, &self.download.metafile, &self.prefix);
        result
    }

    fn is_in_doubt(&self) -> bool {
        self.shared.ledger().doubtful().is_some()
    }

    /// Drives the plan until every block is verified.
    async fn fetch(
        &mut self,
        observer: &mut dyn Observer,
        keeper: &Keeper,
        failures: &mut mpsc::Receiver<Failed>,
    ) -> Result<Option<Halted>, DownloadError> {
        let stop = self.engine.stop.clone();
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        let mut ticks = Ticks::new(self.start.elapsed());
        let (shared, served, seen) =
            (Arc::clone(&self.shared), Arc::clone(&self.served), Arc::clone(&self.seen));
        loop {
            let now = self.start.elapsed();
            if self.recovery.is_none() {
                if let Some(halted) = self.look_at_head().await? {
                    return Ok(Some(halted));
                }
                if self.engine.max_down.as_ref().is_some_and(Limit::holds_up) {
                    self.plan.handle_held_up(now);
                }
                self.links.obey(now, &mut self.plan);
                self.tell_wrong_blocks(observer)?;
                if self.plan.is_complete() && !self.is_in_doubt() {
                    return Ok(None);
                }
            }
            if now >= ticks.next() {
                ticks.looked(now, (self.received > 0).then_some(self.last_arrival));
                if self.shared.data().has_left() {
                    keeper.hurry();
                }
                if let Some(elsewhere) = self.look_around(now, observer)? {
                    return Ok(Some(Halted::Elsewhere(elsewhere)));
                }
            }
            let wakeup = self.plan.next_wakeup(now).filter(|_| self.recovery.is_none());
            let wakeup = wakeup.map_or(ticks.next(), |wakeup| wakeup.min(ticks.next()));
            let wakeup = if self.may_read_head_on() { now } else { wakeup };
            tokio::select! {
                Some((link, event)) = self.events.recv() => {
                    self.handle(link, event, observer)?;
                    for _ in 0..EVENTS_A_TURN {
                        let Ok((link, event)) = self.events.try_recv() else { break };
                        self.handle(link, event, observer)?;
                    }
                }
                answer = self.announcer.next() => self.handle_tracker(answer, observer),
                found = found_on(&mut self.lan) => self.learn_from_lan(&found, observer),
                () = seen.is_looked_at() => { self.show(); continue }
                () = served.upload.wait_for_askers() => self.learn_askers(),
                () = served.tick() => continue,
                trouble = shared.wait_trouble(), if self.recovery.is_none() => {
                    if let Some(why) = self.withdrawn(trouble.into(), observer) {
                        return Ok(Some(Halted::Elsewhere(why)));
                    }
                }
                result = mending::recovered(&mut self.recovery) => self.go_on(result)?,
                Some(failed) = failures.recv() => return Err(self.not_kept(failed)),
                () = tokio::time::sleep_until((self.start + wakeup).into()) => continue,
                () = &mut stopped => return Err(DownloadError::Interrupted),
            }
            ticks.hurry();
        }
    }

    /// From time to time: tells how far the download is, and whether it wants more peers. Is the part file where it
    /// was, and is there any hope? `Some`: it is not.
    fn look_around(
        &mut self,
        now: Duration,
        observer: &mut dyn Observer,
    ) -> Result<Option<String>, DownloadError> {
        observer.event(Event::Progress(self.progress()));
        self.announcer.set_hungry(self.plan.wants_peers(now));
        let data = self.shared.data();
        if matches!(self.place, Place::Part { .. }) {
            if !data.has_its_name() {
                return Ok(Some(taken_away(data.path())));
            }
            // A client's request for a block finds a change at once; this finds changes of a file that no client
            // asks for.
            let _ = self.shared.is_unchanged();
        }
        if self.recovery.is_none() {
            self.give_up_if_hopeless()?;
        }
        Ok(None)
    }

    fn learn_askers(&mut self) {
        let peers = self.served.upload.asking_peers_since(&mut self.asking_peers);
        self.plan.handle_peers(self.start.elapsed(), Source::Swarm, &peers);
        let hosts = self.served.upload.asking_hosts_since(&mut self.asking_hosts);
        self.plan.handle_askers(self.start.elapsed(), &hosts);
    }

    fn handle(
        &mut self,
        link: LinkId,
        event: LinkEvent,
        observer: &mut dyn Observer,
    ) -> Result<(), DownloadError> {
        let now = self.start.elapsed();
        match event {
            LinkEvent::Connected => {
                self.plan.handle_connected(now, link);
                if let Some(addr) = self.links.addr(link) {
                    observer.event(Event::Connected(addr));
                }
            }
            LinkEvent::Received { bytes, news, outcomes, message } => {
                self.received += bytes;
                // What is told of it is what the summary counts as well.
                let layout = self.links.sliced().unwrap_or(*self.shared.layout());
                self.shared.add_received(verified_bytes(&layout, &outcomes));
                self.seen.add_received(bytes);
                let gap = now.saturating_sub(self.last_arrival);
                if gap <= BUSY_GAP {
                    self.busy += gap;
                }
                self.last_arrival = now;
                self.tell_of(link, !news.is_empty(), &outcomes);
                for News { items, sliced } in news {
                    self.plan.handle_news(now, link, &items, sliced);
                }
                self.plan.handle_received(now, link, bytes, &outcomes);
                if let (Some(text), Some(addr)) = (message, self.links.addr(link)) {
                    observer.event(Event::Warning(format!("peer {addr} refuses: {text}")));
                }
            }
            LinkEvent::Closed(ended, reason) => {
                self.plan.handle_closed(now, link, ended);
                if let Some(addr) = self.links.addr(link) {
                    observer.event(Event::Dropped(addr, reason));
                    self.links.ended(link);
                }
            }
            LinkEvent::Disk(source) if is_full(&source) => self.halt(Cause::Full(source), observer),
            LinkEvent::Disk(source) => return Err(self.not_written(source)),
        }
        Ok(())
    }

    /// A peer that has answered is told of to others, once as what it has shown to be.
    fn tell_of(&mut self, link: LinkId, extended: bool, outcomes: &[Outcome]) {
        let verified =
            |outcome: &Outcome| matches!(outcome, Outcome::Verified(_) | Outcome::VerifiedWhole(_));
        let gave = outcomes.iter().any(verified);
        if let Some(addr) = self.links.show(link, extended, gave) {
            self.served.met(addr, extended);
        }
    }

    /// Tells which blocks came wrong; fails if nobody is left to give what is missing.
    fn tell_wrong_blocks(&mut self, observer: &mut dyn Observer) -> Result<(), DownloadError> {
        while let Some(wrong) = self.plan.poll_wrong() {
            observer.event(Event::WrongBlock(wrong));
        }
        let Some(GivenUp { block, times, addrs, left }) = self.plan.given_up() else { return Ok(()) };
        let from: Vec<String> = addrs.iter().map(ToString::to_string).collect();
        let (target, block) = (self.target.clone(), block.number());
        Err(DownloadError::WrongBlocks { target, block, times: *times, from: from.join(", "), left: *left })
    }

    /// Nothing is written after this. An unfinished part file is remembered as it is.
    fn end(&mut self, ended: Option<&Ended>) {
        self.links.clear();
        self.prefix.stop();
        self.seen.show_download(None);
        if matches!(ended, Some(Ended::Done | Ended::Folder | Ended::Plain)) {
            return;
        }
        self.engine.catalog.remove(&self.shared.cascade_hash());
        if let Place::Part { path, new, .. } = &self.place {
            if *new && self.shared.have().count() == 0 && !self.is_in_doubt() {
                // It was made in vain, and holds nothing.
                self.shared.data().file().into_iter().for_each(|file| part::remove(file, path));
            } else {
                remember_part(&self.shared, &self.download.metafile, &self.engine);
            }
        }
    }
}

/// Length of the blocks, or slices, that were right; `layout` is the plan's.
fn verified_bytes(layout: &Layout, outcomes: &[Outcome]) -> u64 {
    let verified = outcomes.iter().map(|outcome| match outcome {
        Outcome::Verified(block) => layout.len_of(*block),
        Outcome::VerifiedWhole(slice) => layout.whole().len_of(layout.block_of(*slice)),
        Outcome::Corrupt(_) | Outcome::Discarded(_) | Outcome::Refused(..) | Outcome::Told => 0,
    });
    verified.sum()
}

/// The plan of a download that works on `planned`.
fn new_plan((layout, have): (Layout, Have), order: Order) -> Plan {
    let config = Config { order, max_links: MAX_LINKS, tuning: &Tuning::DEFAULT };
    Plan::new(layout, &have, config, Box::new(|| fastrand::u64(..)))
}

/// What the plan works on: slices if they can be requested, and else blocks; and which of them are there.
fn planned(layout: &Layout, sliced: Option<Layout>, have: Have) -> (Layout, Have) {
    match sliced {
        Some(slices) => (slices, Have::of_slices(&slices, &have)),
        None => (*layout, have),
    }
}

/// Lets `metafile` be given to others, and blocks be hashed before they are, if they should be.
fn describe(shared: &Shared, metafile: &Arc<MetafileOnDisk>, engine: &Engine) {
    shared.describe_with(Arc::clone(metafile));
    if engine.paranoid {
        shared.prove_with(Arc::clone(metafile));
    }
}
