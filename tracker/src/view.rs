//! A look at a running tracker from other threads of its process: they ask, the tracker's own thread answers.

use crate::policy::Policy;
use crate::responder::{Export, Now, Part, Responder, SwarmState};
use crate::waken::Waken;
use cascade_format::CascadeHash;
use cascade_format::tracker_room::Page;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// Questions that wait for the tracker; more are refused.
pub(crate) const QUESTIONS: usize = 16;

/// Between two questions to a tracker that too many ask at the same time.
pub(crate) const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// A question, with the way for its answer.
pub(crate) type Question = Box<dyn FnOnce(&mut Responder, Now) + Send>;

/// Asks a running tracker.
#[derive(Debug, Clone)]
pub struct View {
    questions: SyncSender<Question>,
    waken: Arc<Waken>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// Too many ask at the same time.
    #[error("too many look at the tracker at once, try again")]
    Busy,
    /// It does not run, or not any more.
    #[error("the tracker has ended")]
    Ended,
}

impl View {
    pub(crate) fn new(waken: Arc<Waken>) -> (Self, Receiver<Question>) {
        let (questions, receiver) = sync_channel(QUESTIONS);
        (Self { questions, waken }, receiver)
    }

    /// Files and how far their peers are, at most `max`. Waits for the tracker's thread, some microseconds.
    ///
    /// # Errors
    /// Everything in [`ViewError`].
    pub fn swarms(&self, max: usize) -> Result<Vec<SwarmState>, ViewError> {
        self.ask(move |responder, now| responder.swarms(max, now))
    }

    /// A part of the room of a file, from `first` on: 0, or what [`Page::next`] was.
    ///
    /// # Errors
    /// Everything in [`ViewError`].
    pub fn room(&self, cascade_hash: CascadeHash, first: u32) -> Result<Page, ViewError> {
        self.ask(move |responder, now| responder.page(&cascade_hash, first, now))
    }

    /// Number of registrations in both families, and of files with registrations; one that has them in both counts
    /// twice.
    ///
    /// # Errors
    /// Everything in [`ViewError`].
    pub fn counts(&self) -> Result<(usize, usize), ViewError> {
        self.ask(|responder, _| (responder.peers(), responder.files()))
    }

    /// A part of all registrations, from `at` on, in `frame`.
    pub(crate) fn export(&self, at: Export, frame: Vec<u8>) -> Result<Part, ViewError> {
        self.ask(move |responder, now| responder.export(at, now, frame))
    }

    /// Another policy from now on: see [`Responder::set_policy`].
    /// Tried until the tracker has time for it.
    pub(crate) fn set_policy_at_last(&self, policy: &Policy, ended: &[CascadeHash]) -> Result<(), ViewError> {
        loop {
            let (policy, ended) = (policy.clone(), ended.to_vec());
            match self.ask(move |responder, _| responder.set_policy(policy, ended)) {
                Err(ViewError::Busy) => thread::sleep(BUSY_PAUSE),
                // The old one may be large: it ends here, not in the tracker's thread.
                result => return result.map(drop),
            }
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Responder, Now) -> T + Send + 'static,
    ) -> Result<T, ViewError> {
        let (answer, answered) = sync_channel(1);
        let question: Question = Box::new(move |responder, now| {
            // The asker may have gone.
            let _ = answer.try_send(question(responder, now));
        });
        self.post(question)?;
        answered.recv().map_err(|_| ViewError::Ended)
    }

    /// Asks without waiting: the question sees to its answer.
    pub(crate) fn post(&self, question: Question) -> Result<(), ViewError> {
        self.questions.try_send(question).map_err(|error| match error {
            TrySendError::Full(_) => ViewError::Busy,
            TrySendError::Disconnected(_) => ViewError::Ended,
        })?;
        self.waken.wake();
        Ok(())
    }
}
