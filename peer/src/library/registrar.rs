//! Telling one tracker of all files of a served folder: [`Rounds`] says when, this asks.
//!
//! A tracker of version 1 answers one request over each connection. So ten thousand files are as many connections in ten
//! minutes, which are spread over them.

use super::limits::{GOODBYES_TIME, MAX_GOODBYES, TELL_INTERVAL};
use super::told::Told;
use crate::clock;
use crate::room::telling::progress;
use crate::session::Engine;
use crate::session::announcer::{NOWHERE, reply};
use crate::tracker_client::{PeerList, Question, TrackerError, ask, leave};
use cascade_format::CascadeHash;
use cascade_format::tracker_room::{Progress, Report};
use cascade_format::tracker_wire::Command;
use cascade_swarm::ask::announce::Reply;
use cascade_swarm::ask::announce::rounds::Rounds;
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

/// Orders that wait for a tracker's task.
const ORDERS: usize = 1024;

/// What a tracker is to know.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// This peer has the file.
    Add(CascadeHash),
    /// It does not.
    Remove(CascadeHash),
    /// It has it, and the tracker may have heard that it does not, or has no report of it.
    Again(CascadeHash),
    /// As `Again`, of a file that this process has downloaded: what it has received and given then.
    Downloaded(CascadeHash, Progress),
}

impl Order {
    /// The file.
    pub(super) const fn file(&self) -> CascadeHash {
        match self {
            Self::Add(hash) | Self::Remove(hash) | Self::Again(hash) | Self::Downloaded(hash, _) => *hash,
        }
    }
}

/// The conversation with one tracker.
#[derive(Debug)]
pub(super) struct Registrar {
    orders: mpsc::Sender<Order>,
}

impl Registrar {
    /// Begins it.
    pub(super) fn start(engine: &Engine, tracker: &str, told: mpsc::Sender<Told>) -> Self {
        let (orders, waiting) = mpsc::channel(ORDERS);
        let now = clock::now();
        let conversation = Conversation {
            engine: engine.clone(),
            tracker: tracker.to_owned(),
            rounds: Rounds::default(),
            downloaded: HashMap::new(),
            calls: JoinSet::new(),
            leaving: BTreeSet::new(),
            goodbyes: JoinSet::new(),
            start: now,
            error: None,
            told,
            told_last: None,
            told_at: now,
        };
        engine.converse(conversation.run(waiting));
        Self { orders }
    }

    /// Gives an order; waits while many do.
    pub(super) async fn order(&self, order: Order) {
        let _ = self.orders.send(order).await;
    }
}

/// What was answered about a file.
type Answer = (CascadeHash, Result<PeerList, TrackerError>);

struct Conversation {
    engine: Engine,
    tracker: String,
    rounds: Rounds<CascadeHash>,
    /// What this process had received and given of the registered files that it has downloaded.
    downloaded: HashMap<CascadeHash, Progress>,
    calls: JoinSet<Answer>,
    /// Files of which the tracker is still to hear a goodbye, and goodbyes that are under way.
    leaving: BTreeSet<CascadeHash>,
    goodbyes: JoinSet<()>,
    start: Instant,
    /// What the last answer was that was none.
    error: Option<String>,
    told: mpsc::Sender<Told>,
    /// What was told last, and when.
    told_last: Option<(usize, usize, Option<String>)>,
    told_at: Instant,
}

impl Conversation {
    /// Asks until everything ends, then says goodbye.
    async fn run(mut self, mut waiting: mpsc::Receiver<Order>) {
        let stop = self.engine.stop.clone();
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        loop {
            while let Some((hash, command)) = self.rounds.poll(self.start.elapsed()) {
                self.call(hash, command);
            }
            self.begin_goodbyes();
            let wakeup = self.start + self.rounds.next_wakeup().unwrap_or(TELL_INTERVAL);
            let wakeup = wakeup.min(self.tell());
            tokio::select! {
                order = waiting.recv() => match order {
                    Some(order) => self.obey(order),
                    None => break,
                },
                Some(answer) = self.calls.join_next() => {
                    if let Ok((hash, list)) = answer {
                        self.handle_answer(hash, &list);
                    }
                }
                Some(_) = self.goodbyes.join_next() => {}
                () = tokio::time::sleep_until(wakeup.into()) => {}
                () = &mut stopped => break,
            }
        }
        self.calls.abort_all();
        // Who listens need not wait for the goodbyes.
        self.told = mpsc::channel(1).0;
        self.say_goodbyes().await;
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Add(hash) => {
                self.leaving.remove(&hash);
                self.rounds.add(hash);
            }
            Order::Again(hash) => self.begin_again(hash),
            Order::Downloaded(hash, progress) => {
                self.downloaded.insert(hash, progress);
                self.begin_again(hash);
            }
            Order::Remove(hash) => {
                self.downloaded.remove(&hash);
                if self.rounds.remove(hash) {
                    self.leaving.insert(hash);
                }
            }
        }
    }

    fn begin_again(&mut self, hash: CascadeHash) {
        self.rounds.remove(hash);
        self.rounds.add(hash);
    }

    /// Thousands of files may go at once, and each goodbye is a connection: a few at a time.
    fn begin_goodbyes(&mut self) {
        while self.goodbyes.len() < MAX_GOODBYES
            && let Some(hash) = self.leaving.pop_first()
        {
            if let Some(goodbye) = self.goodbye(hash) {
                self.goodbyes.spawn(goodbye);
            }
        }
    }

    fn call(&mut self, hash: CascadeHash, command: Command) {
        let (engine, tracker) = (self.engine.clone(), self.tracker.clone());
        let downloaded = self.downloaded.get(&hash).copied();
        self.calls.spawn(async move {
            let _permit = engine.tracker_calls.acquire().await;
            let identity = engine.identity();
            // Rooms are for files that somebody gets: a tracker has no room for thousands that nobody does.
            let served = engine.catalog.get(&hash).map(|served| progress(&served.file));
            let report = sum(served, downloaded)
                .filter(|_| identity.forms.may_report(&tracker, clock::now()))
                .map(|progress| engine.badge.report(hash, NOWHERE, downloaded.is_none(), progress));
            let question = Question { command: Some(command), cascade_hash: hash, report };
            let mut list = ask(&tracker, question, &identity).await;
            if let Some(second) = list.as_mut().ok().and_then(|list| list.second.take()) {
                second.register().await;
            }
            (hash, list)
        });
    }

    fn handle_answer(&mut self, hash: CascadeHash, list: &Result<PeerList, TrackerError>) {
        let reply = reply(list);
        if let Err(error) = list {
            self.error = Some(error.to_string());
        }
        self.rounds.handle_answer(self.start.elapsed(), hash, reply);
        if matches!(reply, Reply::List(_)) && self.rounds.registered() == self.rounds.len() {
            self.error = None;
        }
    }

    /// Tells how far it is, now and then, and when all are registered; when there may be something to tell again.
    fn tell(&mut self) -> Instant {
        let now = clock::now();
        let (registered, files) = (self.rounds.registered(), self.rounds.len());
        let state = (registered, files, self.error.clone());
        let later = now + TELL_INTERVAL;
        if files == 0 || self.told_last.as_ref() == Some(&state) {
            return later;
        }
        let settled = registered == files && self.told_last.is_none();
        let first_error =
            self.error.is_some() && self.told_last.as_ref().is_none_or(|(.., error)| error.is_none());
        if !settled && !first_error && now < self.told_at + TELL_INTERVAL {
            return self.told_at + TELL_INTERVAL;
        }
        let told = Told::Tracker {
            tracker: self.tracker.clone(),
            registered: registered as u64,
            files: files as u64,
            error: self.error.clone(),
        };
        // Who does not listen is told later.
        if self.told.try_send(told).is_ok() {
            (self.told_last, self.told_at) = (Some(state), now);
        }
        later
    }

    /// Takes leave of the tracker's list of one file; `None`: it is one that knows no goodbye.
    fn goodbye(&self, hash: CascadeHash) -> Option<impl Future<Output = ()> + Send + 'static> {
        let (engine, tracker) = (self.engine.clone(), self.tracker.clone());
        let identity = engine.identity();
        identity.forms.may_report(&tracker, clock::now()).then_some(async move {
            let report = engine.badge.report(hash, NOWHERE, true, Progress::default());
            leave(&tracker, Report { goodbye: true, ..report }, &identity).await;
        })
    }

    /// For all files, as far as the time goes: those that somebody gets come first.
    async fn say_goodbyes(&mut self) {
        let mut registered: Vec<CascadeHash> = self.rounds.registrations().collect();
        registered.sort_by_cached_key(|hash| self.engine.catalog.get(hash).is_none());
        let until = clock::now() + GOODBYES_TIME;
        let mut calls = std::mem::take(&mut self.goodbyes);
        for hash in registered.into_iter().chain(std::mem::take(&mut self.leaving)) {
            let Some(goodbye) = self.goodbye(hash) else { return };
            if calls.len() >= MAX_GOODBYES && timeout_at(until.into(), calls.join_next()).await.is_err() {
                return;
            }
            calls.spawn(goodbye);
        }
        let _ = timeout_at(until.into(), calls.join_all()).await;
    }
}

/// How far this peer is with a file that is open now, or that it has downloaded, or both.
fn sum(served: Option<Progress>, downloaded: Option<Progress>) -> Option<Progress> {
    let (Some(now), Some(before)) = (served, downloaded) else { return served.or(downloaded) };
    Some(Progress {
        received: now.received.saturating_add(before.received),
        given: now.given.saturating_add(before.given),
        ..now
    })
}
