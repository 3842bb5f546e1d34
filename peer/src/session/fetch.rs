//! Fetching the `.cascade` file of a link from other peers. Joins [`ask::fetch`](cascade_swarm::ask::fetch), which
//! decides, with connections, trackers and the disk.

mod conversation;
mod file;
mod news;

use super::announcer::{Announcer, Answer};
use super::engine::Engine;
use super::event::{Event, Observer};
use crate::clock;
use crate::dial::Dial;
use crate::human::{Name, Why};
use crate::lan::{LAN_PATIENCE, LanSwarm, found_on};
use crate::metafile::{MetafileFileError, MetafileOnDisk};
use crate::pace::Limit;
use crate::store::PrepareError;
use crate::tracker_client::resolve;
use crate::view::{FileState, Shown};
use cascade_format::{CascadeHash, PeerAddr};
use cascade_swarm::ask::Source;
use cascade_swarm::ask::fetch::{self, Action, AttemptId, Failure};
use conversation::{Conversation, Told};
use file::Growing;
use news::News;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Pieces of `.cascade` files that wait to be written.
const EVENTS: usize = 8;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(250);

/// Why a `.cascade` file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Another file has the name.
    #[error("{} is there already and is not the .cascade file of the link; move it away, choose another name with -o, or bring an earlier version up to date with --update", Name(.0))]
    Taken(PathBuf),
    /// Version 1 has no such message.
    #[error(
        "a link needs the swarm extension, which is switched off; leave out --extension off, or get the .cascade file another way"
    )]
    Plain,
    /// There is no peer or tracker to ask.
    #[error("the link names no tracker and no peer; name one with --tracker or --peer")]
    Nowhere,
    /// Nobody gives it, and it is not waited for.
    #[error(
        "nobody gives the .cascade file of the link ({why}); is whoever shares it there, and can it be reached?"
    )]
    Nobody {
        /// What trackers and peers said.
        why: String,
    },
    /// The file to be written cannot be made.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The disk refuses it.
    #[error("cannot write {}: {}", Name(.path), Why(.source))]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has the right hash, and cannot be used.
    #[error(transparent)]
    Metafile(#[from] MetafileFileError),
    /// The user wants to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The order to fetch one `.cascade` file.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// The hash of the `.cascade` file.
    pub cascade_hash: CascadeHash,
    /// The path for the file. A file that is at this path already is used if it is the right one, and is never written
    /// to.
    pub out: PathBuf,
    /// `HOST:PORT` of each tracker.
    pub trackers: Vec<String>,
    /// `HOST:PORT` of peers to ask: those of the link and those that the user names.
    pub peers: Vec<String>,
    /// Whether to fail if no peer has the file, instead of waiting.
    pub no_wait: bool,
    /// Whether peers on the local network are asked, too.
    pub lan: bool,
    /// Whether another `.cascade` file at this path is renamed to the next free name (`NAME.cascade.1`), instead of
    /// making the fetch fail.
    pub aside: bool,
}

impl Fetch {
    /// Fetches the file, unless it is at its path already.
    ///
    /// # Errors
    /// Everything in [`FetchError`].
    pub async fn run(
        self,
        engine: &Engine,
        observer: &mut dyn Observer,
    ) -> Result<MetafileOnDisk, FetchError> {
        if let Some(there) = file::there(&self.out, self.cascade_hash, self.aside)? {
            return Ok(there);
        }
        if !engine.extension {
            return Err(FetchError::Plain);
        }
        if self.trackers.is_empty() && self.peers.is_empty() && !self.lan {
            return Err(FetchError::Nowhere);
        }
        let growing = Growing::open(&self.out)?;
        // It is known by the name of the data.
        let data = self.out.with_extension("");
        let fetching = FileState::Fetching { done: 0, total: None };
        let shown = engine.seen.show(self.cascade_hash, &data, None, fetching);
        let mut session = Session::begin(self, engine, growing, shown);
        let result = session.run(observer).await;
        session.end(result, observer).await
    }
}

struct Session<'a> {
    order: Fetch,
    engine: &'a Engine,
    start: Instant,
    plan: fetch::Fetch,
    growing: Growing,
    announcer: Announcer,
    silent_trackers: usize,
    lan: Option<LanSwarm>,
    /// Peers that were found there.
    on_lan: usize,
    /// The last answer of each tracker.
    answers: HashMap<u16, Answer>,
    /// Names of peers that are being looked up.
    names: JoinSet<Result<Vec<PeerAddr>, String>>,
    conversations: HashMap<AttemptId, (PeerAddr, mpsc::Sender<u32>)>,
    told: mpsc::Sender<(AttemptId, Told)>,
    events: mpsc::Receiver<(AttemptId, Told)>,
    /// The last answers of peers, for the error of a fetch that does not wait.
    news: News,
    shown: Shown,
}

impl<'a> Session<'a> {
    fn begin(order: Fetch, engine: &'a Engine, growing: Growing, shown: Shown) -> Self {
        let mut plan = fetch::Fetch::new();
        engine.listen.into_iter().for_each(|listen| plan.set_listening(listen));
        let mut names = JoinSet::new();
        // Those that need not be looked up are asked in the order of the link.
        let addr = |name: &String| name.parse::<PeerAddr>().ok();
        plan.handle_peers(Source::User, &order.peers.iter().filter_map(addr).collect::<Vec<_>>());
        for name in order.peers.iter().filter(|name| addr(name).is_none()) {
            let name = name.clone();
            names.spawn(async move { resolve(&name).await.map_err(|error| format!("peer {name}: {error}")) });
        }
        let (told, events) = mpsc::channel(EVENTS);
        Self {
            start: clock::now(),
            plan,
            growing,
            announcer: Announcer::list_only(engine, &order.trackers, order.cascade_hash),
            silent_trackers: order.trackers.len(),
            lan: order.lan.then(|| engine.lan.look(&order.cascade_hash)),
            on_lan: 0,
            answers: HashMap::new(),
            names,
            conversations: HashMap::new(),
            told,
            events,
            news: News::default(),
            order,
            engine,
            shown,
        }
    }

    async fn run(&mut self, observer: &mut dyn Observer) -> Result<(), FetchError> {
        let stop = self.engine.stop.clone();
        let stopped = stop.stopped();
        tokio::pin!(stopped);
        let mut tick = tokio::time::interval(TICK);
        loop {
            self.obey(observer)?;
            if self.plan.is_done() {
                return Ok(());
            }
            let wakeup = self.start + self.plan.next_wakeup(self.start.elapsed());
            tokio::select! {
                Some((id, told)) = self.events.recv() => self.hear(id, told, observer)?,
                answer = self.announcer.next() => self.hear_tracker(answer, observer),
                found = found_on(&mut self.lan) => {
                    self.on_lan += found.len();
                    self.plan.handle_peers(Source::Lan, &found);
                    observer.event(Event::Lan { peers: self.on_lan });
                }
                Some(found) = self.names.join_next() => match found {
                    Ok(Ok(addrs)) => self.plan.handle_peers(Source::User, &addrs),
                    Ok(Err(why)) => {
                        observer.event(Event::Warning(why.clone()));
                        self.news.hear(&why.clone(), why);
                    }
                    Err(_) => {}
                },
                () = tokio::time::sleep_until(wakeup.into()) => {}
                _ = tick.tick() => {
                    let (done, total) = self.plan.progress();
                    self.shown.file().set_state(FileState::Fetching { done, total });
                    observer.event(Event::Fetching { done, total, known: self.plan.known() });
                    self.give_up_if_hopeless()?;
                }
                () = &mut stopped => return Err(FetchError::Interrupted),
            }
        }
    }

    /// Does what the plan says.
    fn obey(&mut self, observer: &mut dyn Observer) -> Result<(), FetchError> {
        while let Some(action) = self.plan.poll_action(self.start.elapsed()) {
            match action {
                Action::Ask { attempt, addr, offset } => {
                    let (next, asks) = mpsc::channel(1);
                    let limit = self.engine.max_down.as_ref();
                    let window_len = limit.and_then(Limit::window_len);
                    self.conversations.insert(attempt, (addr, next));
                    let conversation = Conversation {
                        id: attempt,
                        hash: self.order.cascade_hash,
                        dial: Dial { listening: self.engine.listen, window_len },
                        allowance: limit.map(Limit::allowance),
                        addr,
                        port: self.engine.marker_port().unwrap_or(0),
                        asks,
                        next: None,
                        told: self.told.clone(),
                    };
                    // It ends by itself soon after its end of `asks` is gone.
                    tokio::spawn(conversation.run(offset));
                }
                Action::Next { attempt, offset } => {
                    if let Some((_, next)) = self.conversations.get(&attempt) {
                        // There is room: the one before was answered.
                        let _ = next.try_send(offset);
                    }
                }
                Action::Leave(attempt) => {
                    self.conversations.remove(&attempt);
                }
                Action::Restart => self.growing.restart()?,
                Action::Check => {
                    let right = self.growing.hash() == self.order.cascade_hash;
                    self.checked(right, observer);
                }
            }
        }
        Ok(())
    }

    fn checked(&mut self, right: bool, observer: &mut dyn Observer) {
        if !right {
            let givers: Vec<String> = self.plan.givers().map(|giver| giver.to_string()).collect();
            let givers = givers.join(", ");
            observer.event(Event::Warning(format!(
                "the .cascade file that {givers} gave is wrong; asking for it anew"
            )));
        }
        self.plan.handle_checked(self.start.elapsed(), right);
    }

    fn hear(&mut self, id: AttemptId, told: Told, observer: &mut dyn Observer) -> Result<(), FetchError> {
        let now = self.start.elapsed();
        match told {
            Told::Total(total) => self.plan.handle_total(now, id, total),
            Told::Bytes(bytes) => {
                if self.plan.handle_bytes(now, id, bytes.len() as u64) {
                    self.growing.append(&bytes)?;
                    let (_, total) = self.plan.progress();
                    if self.growing.contradicts(total.unwrap_or(0)) {
                        // Nothing that follows can make it right.
                        self.checked(false, observer);
                    }
                }
            }
            Told::End => self.plan.handle_end(now, id),
            Told::Failed(failure, why) => {
                if let Some((addr, _)) = self.conversations.remove(&id) {
                    if failure == Failure::Lied {
                        observer.event(Event::Warning(format!("peer {addr}: {why}; it is asked no more")));
                    }
                    self.news.hear(&addr.to_string(), format!("peer {addr}: {why}"));
                }
                self.plan.handle_failed(now, id, failure);
            }
        }
        Ok(())
    }

    fn hear_tracker(&mut self, answer: Answer, observer: &mut dyn Observer) {
        let tracker = answer.tracker.clone();
        match &answer.list {
            Ok(list) => {
                if self.engine.listen.is_some() {
                    list.announced.iter().for_each(|addr| self.plan.set_own_address(*addr));
                }
                self.plan.handle_peers(Source::Tracker(answer.number), &list.peers);
                self.news.hear(&tracker, format!("tracker {tracker} knows {} peers", list.peers.len()));
            }
            Err(error) => {
                self.news.hear(&tracker, format!("tracker {tracker}: {error}"));
            }
        }
        observer.event(Event::of_tracker(&answer));
        if self.answers.insert(answer.number, answer).is_none() {
            self.silent_trackers = self.silent_trackers.saturating_sub(1);
        }
    }

    fn give_up_if_hopeless(&self) -> Result<(), FetchError> {
        let heard = self.silent_trackers == 0 && self.names.is_empty();
        let looked = self.lan.is_none() || self.start.elapsed() >= LAN_PATIENCE;
        if !self.order.no_wait || !heard || !looked || !self.plan.is_hopeless() {
            return Ok(());
        }
        let lan = (self.lan.is_some() && self.on_lan == 0).then_some("nobody on the local network");
        Err(FetchError::Nobody { why: self.news.line(lan) })
    }

    /// Gives the file its name, or takes it away. The next download or seeding of the file continues the conversations
    /// with trackers.
    async fn end(
        mut self,
        result: Result<(), FetchError>,
        observer: &mut dyn Observer,
    ) -> Result<MetafileOnDisk, FetchError> {
        self.conversations.clear();
        if let Err(error) = result {
            self.growing.remove();
            return Err(error);
        }
        if self.engine.listen.is_some() {
            self.announcer.put_back(self.answers.into_values());
            self.engine.park(self.order.cascade_hash, self.announcer);
        }
        let Fetch { cascade_hash: hash, out, aside, .. } = self.order;
        let growing = self.growing;
        let named = tokio::task::spawn_blocking(move || growing.publish(&out, hash, aside)).await;
        let metafile = named.map_err(|_| FetchError::Interrupted)??;
        let bytes = metafile.layout().metafile_len();
        observer.event(Event::Fetched { path: metafile.path().to_owned(), bytes });
        Ok(metafile)
    }
}
