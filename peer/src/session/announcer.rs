//! The conversation with the trackers about one file: a task for each.

use super::engine::{Engine, Stop};
use crate::clock;
use crate::room::telling::{Badge, Role, Telling, Told, standing};
use crate::tracker_client::{Identity, PeerList, Question, TrackerError, ask, leave};
use cascade_format::tracker_room::{Progress, Report};
use cascade_format::{CascadeHash, PeerAddr};
use cascade_swarm::ask::announce::tell::{Question as Asked, Tell};
use cascade_swarm::ask::announce::{Listed, Reply};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc, watch};

/// Answers that wait to be read, for each tracker.
const QUEUE: usize = 4;

/// Stands in a report until it is known where the connection comes from.
pub(crate) const NOWHERE: PeerAddr = PeerAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A tracker's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its number, in the order in which the user named them.
    pub number: u16,
    /// Its address, as the user gave it.
    pub tracker: String,
    /// What it said.
    pub list: Result<PeerList, TrackerError>,
}

/// What the owner of a conversation wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    /// More peers than there are.
    hungry: bool,
    /// Answers; else they are thrown away.
    heard: bool,
    /// That others find this peer.
    register: bool,
    /// Changes when there is something new to tell.
    news: u32,
}

/// The trackers of one file; they are asked until this is dropped. Those that have this peer in their rooms then hear a
/// goodbye.
#[derive(Debug)]
pub(crate) struct Announcer {
    answers: mpsc::Receiver<Answer>,
    /// Answers that are to be heard again.
    again: VecDeque<Answer>,
    wish: watch::Sender<Wish>,
    telling: Telling,
    trackers: usize,
    /// Held so that the queue never closes, also without trackers.
    _open: mpsc::Sender<Answer>,
}

impl Announcer {
    /// Starts asking `trackers`. `hungry`: more peers are wanted.
    #[must_use]
    pub(crate) fn start(engine: &Engine, trackers: &[String], hash: CascadeHash, hungry: bool) -> Self {
        Self::begin(
            engine,
            trackers,
            hash,
            Wants { hungry, register: engine.listen.is_some(), report: false },
        )
    }

    /// Starts asking `trackers` for peers, and registers nowhere until [`Announcer::register`]: a peer without the
    /// `.cascade` file has nothing to give, and could not report how much of the data it has.
    #[must_use]
    pub(crate) fn list_only(engine: &Engine, trackers: &[String], hash: CascadeHash) -> Self {
        Self::begin(engine, trackers, hash, Wants { hungry: true, register: false, report: false })
    }

    /// The same for a file that is complete before anything was asked: the trackers that keep a room hear it also when
    /// this ends at once. Who waits until all have the file counts this peer.
    #[must_use]
    pub(crate) fn for_complete(engine: &Engine, trackers: &[String], hash: CascadeHash) -> Self {
        Self::begin(
            engine,
            trackers,
            hash,
            Wants { hungry: false, register: engine.listen.is_some(), report: true },
        )
    }

    fn begin(engine: &Engine, trackers: &[String], hash: CascadeHash, wants: Wants) -> Self {
        let Wants { hungry, register, report } = wants;
        let (send, answers) = mpsc::channel(QUEUE * trackers.len().max(1));
        let (wish, _) = watch::channel(Wish { hungry, heard: true, register, news: 0 });
        let telling = Telling::default();
        for (number, tracker) in (0..).zip(trackers) {
            let conversation = Conversation {
                caller: Caller {
                    tracker: tracker.clone(),
                    hash,
                    identity: engine.identity(),
                    badge: engine.badge,
                    calls: Arc::clone(&engine.tracker_calls),
                },
                number,
                tell: Tell::new(register),
                report,
                telling: telling.clone(),
                wish: wish.subscribe(),
                stop: engine.stop.clone(),
                answers: send.clone(),
            };
            engine.converse(conversation.run());
        }
        Self { answers, again: VecDeque::new(), wish, telling, trackers: trackers.len(), _open: send }
    }

    /// Waits for the next answer of any tracker.
    pub(crate) async fn next(&mut self) -> Answer {
        if let Some(answer) = self.again.pop_front() {
            return answer;
        }
        match self.answers.recv().await {
            Some(answer) => answer,
            // Cannot be: a sender is held.
            None => std::future::pending().await,
        }
    }

    /// The next owner of this hears these answers first.
    pub(crate) fn put_back(&mut self, answers: impl IntoIterator<Item = Answer>) {
        self.again.extend(answers);
    }

    /// Whether more peers are wanted than there are.
    pub(crate) fn set_hungry(&self, hungry: bool) {
        self.change(|wish| wish.hungry = hungry);
    }

    /// Whether somebody reads the answers.
    pub(crate) fn set_heard(&self, heard: bool) {
        self.change(|wish| wish.heard = heard);
    }

    /// From now on others are to find this peer.
    pub(crate) fn register(&self) {
        self.change(|wish| wish.register = true);
    }

    /// From now on trackers that keep a room are told how far this peer is with the file.
    pub(crate) fn tell(&self, told: Told) {
        self.telling.set(told);
        self.change(|wish| wish.news = wish.news.wrapping_add(1));
    }

    /// The file is complete and has its name.
    pub(crate) fn conclude(&self) {
        self.telling.conclude();
        self.change(|wish| wish.news = wish.news.wrapping_add(1));
    }

    /// Whether there is anybody to ask.
    pub(crate) const fn has_trackers(&self) -> bool {
        self.trackers > 0
    }

    fn change(&self, change: impl FnOnce(&mut Wish)) {
        self.wish.send_if_modified(|wish| {
            let before = *wish;
            change(wish);
            *wish != before
        });
    }
}

/// What a conversation is begun for.
#[derive(Clone, Copy)]
struct Wants {
    /// More peers than there are.
    hungry: bool,
    /// That others find this peer.
    register: bool,
    /// That the trackers hear how far it is, though it may end before they have answered.
    report: bool,
}

/// Whom to ask about what, and as whom.
struct Caller {
    tracker: String,
    hash: CascadeHash,
    identity: Identity,
    badge: Badge,
    calls: Arc<Semaphore>,
}

impl Caller {
    /// Asks. Whether it has taken a report, and the answer.
    async fn ask(
        &self,
        asked: Asked,
        told: Option<(Role, Progress)>,
    ) -> (bool, Result<PeerList, TrackerError>) {
        // A file among hundreds must not use up the process's descriptors.
        let _permit = self.calls.acquire().await;
        let (command, report) = match asked {
            Asked::Peers(command) => (Some(command), None),
            Asked::Report(command) => (command, told.map(|told| self.report(told))),
        };
        let question = Question { command, cascade_hash: self.hash, report };
        let list = ask(&self.tracker, question, &self.identity).await;
        // Who cannot be asked has not refused a report.
        (list.as_ref().map_or(report.is_some(), |list| list.reported), list)
    }

    fn report(&self, (role, progress): (Role, Progress)) -> Report {
        self.badge.report(self.hash, NOWHERE, role == Role::Seeder, progress)
    }

    /// Whether a report makes sense.
    fn may_report(&self) -> bool {
        self.identity.forms.may_report(&self.tracker, clock::now())
    }

    /// Leaves the tracker's room, and its lists.
    async fn leave(&self, told: (Role, Progress)) {
        leave(&self.tracker, Report { goodbye: true, ..self.report(told) }, &self.identity).await;
    }
}

struct Conversation {
    caller: Caller,
    number: u16,
    tell: Tell,
    /// See [`Wants::report`].
    report: bool,
    telling: Telling,
    wish: watch::Receiver<Wish>,
    stop: Stop,
    answers: mpsc::Sender<Answer>,
}

impl Conversation {
    /// Asks until nobody wants answers any more, or everything ends.
    async fn run(self) {
        let Self { caller, number, mut tell, report, telling, mut wish, stop, answers } = self;
        {
            let (stopped, mut watched) = (stop.stopped(), wish.clone());
            tokio::pin!(stopped);
            let unwanted = async { while watched.changed().await.is_ok() {} };
            tokio::pin!(unwanted);
            let converse = converse(&caller, number, &mut tell, &telling, &mut wish, &answers);
            tokio::select! {
                () = converse => {}
                () = stopped => {}
                () = unwanted => {}
            }
        }
        // One that has refused the report of a question that was under way is in no need of a goodbye.
        if let Some(told) =
            telling.progress().filter(|_| (report || tell.is_in_room()) && caller.may_report())
        {
            caller.leave(told).await;
        }
    }
}

async fn converse(
    caller: &Caller,
    number: u16,
    tell: &mut Tell,
    telling: &Telling,
    wish: &mut watch::Receiver<Wish>,
    answers: &mpsc::Sender<Answer>,
) {
    let start: Instant = clock::now();
    loop {
        let wanted = *wish.borrow_and_update();
        if wanted.register {
            tell.begin_to_register();
        }
        let told = telling.progress().filter(|_| caller.may_report());
        let now_standing = told.as_ref().map(|(_, progress)| standing(progress));
        if let Some(question) = tell.poll(start.elapsed(), wanted.hungry, now_standing) {
            let (reported, mut list) = caller.ask(question, told).await;
            if matches!(list, Err(TrackerError::NoRoom)) {
                tell.handle_not_understood(start.elapsed());
                continue;
            }
            let second = list.as_mut().ok().and_then(|list| list.second.take());
            tell.handle_answer(start.elapsed(), reported, reply(&list));
            let answer = Answer { number, tracker: caller.tracker.clone(), list };
            if wanted.heard && !pass_on(answer, answers, wish).await {
                return;
            }
            // The list is wanted at once; this is for others.
            if let Some(second) = second {
                let _permit = caller.calls.acquire().await;
                second.register().await;
            }
            continue;
        }
        let Some(wakeup) = tell.next_wakeup(wanted.hungry, now_standing) else { return };
        tokio::select! {
            () = tokio::time::sleep_until((start + wakeup).into()) => {}
            changed = wish.changed() => if changed.is_err() { return },
        }
    }
}

/// Passes an answer on, unless nobody wants to hear it meanwhile; false: nobody ever will.
async fn pass_on(answer: Answer, answers: &mpsc::Sender<Answer>, wish: &watch::Receiver<Wish>) -> bool {
    let mut watched = wish.clone();
    tokio::select! {
        biased;
        sent = answers.send(answer) => sent.is_ok(),
        unheard = watched.wait_for(|wish| !wish.heard) => unheard.is_ok(),
    }
}

pub(crate) fn reply(list: &Result<PeerList, TrackerError>) -> Reply {
    match list {
        Ok(list) => Reply::List(Listed { peers: list.peers.len(), subscribed: list.subscribed }),
        Err(
            TrackerError::Refused(_)
            | TrackerError::TooLong(_)
            | TrackerError::List(_)
            | TrackerError::NoRoom,
        ) => Reply::Refused,
        Err(
            TrackerError::NoAddress(_)
            | TrackerError::LookUp(..)
            | TrackerError::Connect(_)
            | TrackerError::Io(_)
            | TrackerError::Timeout,
        ) => Reply::Unreachable,
    }
}
