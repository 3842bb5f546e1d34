//! The conversation with the trackers about one file: a task for each.

use super::engine::Engine;
use crate::clock;
use crate::tracker_client::{PeerList, TrackerError, ask};
use cascade_format::CascadeHash;
use cascade_swarm::ask::announce::{Announce, Listed, Reply};
use std::collections::VecDeque;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Answers that wait to be read, for each tracker.
const QUEUE: usize = 4;

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

/// The trackers of one file; they are asked until this is dropped.
#[derive(Debug)]
pub(crate) struct Announcer {
    answers: mpsc::Receiver<Answer>,
    /// Answers that are to be heard again.
    again: VecDeque<Answer>,
    hungry: watch::Sender<bool>,
    // Dropping the set ends its tasks.
    _tasks: JoinSet<()>,
    /// Held so that the queue never closes, also without trackers.
    _open: mpsc::Sender<Answer>,
}

impl Announcer {
    /// Starts asking `trackers`. `hungry`: more peers are wanted.
    #[must_use]
    pub(crate) fn start(engine: &Engine, trackers: &[String], hash: CascadeHash, hungry: bool) -> Self {
        let (send, answers) = mpsc::channel(QUEUE * trackers.len().max(1));
        let (hungry, _) = watch::channel(hungry);
        let mut tasks = JoinSet::new();
        for (number, tracker) in (0..).zip(trackers) {
            let conversation = Conversation {
                engine: engine.clone(),
                number,
                tracker: tracker.clone(),
                hash,
                hungry: hungry.subscribe(),
                answers: send.clone(),
            };
            tasks.spawn(conversation.run());
        }
        Self { answers, again: VecDeque::new(), hungry, _tasks: tasks, _open: send }
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
        self.hungry.send_if_modified(|old| std::mem::replace(old, hungry) != hungry);
    }
}

struct Conversation {
    engine: Engine,
    number: u16,
    tracker: String,
    hash: CascadeHash,
    hungry: watch::Receiver<bool>,
    answers: mpsc::Sender<Answer>,
}

impl Conversation {
    async fn run(mut self) {
        let start = clock::now();
        let mut announce = Announce::new(self.engine.listen.is_some());
        loop {
            let hungry = *self.hungry.borrow_and_update();
            if let Some(command) = announce.poll(start.elapsed(), hungry) {
                // A file among hundreds must not use up the process's descriptors.
                let permit = self.engine.tracker_calls.acquire().await;
                let mut list = ask(&self.tracker, command, self.hash, self.engine.identity()).await;
                drop(permit);
                let second = list.as_mut().ok().and_then(|list| list.second.take());
                announce.handle_answer(start.elapsed(), command, reply(&list));
                let answer = Answer { number: self.number, tracker: self.tracker.clone(), list };
                if self.answers.send(answer).await.is_err() {
                    return;
                }
                // The list is wanted at once; this is for others.
                if let Some(second) = second {
                    let _permit = self.engine.tracker_calls.acquire().await;
                    second.register().await;
                }
            }
            let Some(wakeup) = announce.next_wakeup(hungry) else { return };
            tokio::select! {
                () = tokio::time::sleep_until((start + wakeup).into()) => {}
                changed = self.hungry.changed() => if changed.is_err() { return },
            }
        }
    }
}

fn reply(list: &Result<PeerList, TrackerError>) -> Reply {
    match list {
        Ok(list) => Reply::List(Listed { peers: list.peers.len(), subscribed: list.subscribed }),
        Err(TrackerError::Refused(_) | TrackerError::TooLong(_) | TrackerError::List(_)) => Reply::Refused,
        Err(
            TrackerError::NoAddress(_)
            | TrackerError::LookUp(..)
            | TrackerError::Connect(_)
            | TrackerError::Io(_)
            | TrackerError::Timeout,
        ) => Reply::Unreachable,
    }
}
