//! Requests whose answers wait a moment for what the store knows of a file.

use super::connection::Connection;
use crate::ask::Request;
use crate::others::{Fetched, Handover};
use cascade_format::CascadeHash;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long an answer about a file that this tracker has not been asked for lately waits for the store. Then it has what
/// the tracker knows itself.
pub(super) const STORE_PATIENCE: Duration = Duration::from_millis(8);

/// The most answers that wait; others are given at once.
pub(super) const MAX_WAITING: usize = 1024;

/// Who waits.
#[derive(Debug)]
pub(super) struct Waiting {
    handover: Handover,
    /// In the order of their deadlines.
    answers: VecDeque<Answer>,
}

#[derive(Debug)]
struct Answer {
    connection: Connection,
    request: Request,
    file: CascadeHash,
    deadline: Instant,
}

impl Waiting {
    pub(super) const fn new(handover: Handover) -> Self {
        Self { handover, answers: VecDeque::new() }
    }

    pub(super) const fn handover(&self) -> &Handover {
        &self.handover
    }

    /// Whether one more may wait, and for something.
    pub(super) fn has_room(&self) -> bool {
        self.answers.len() < MAX_WAITING && self.handover.answers()
    }

    pub(super) fn push(&mut self, connection: Connection, request: Request, file: CascadeHash, now: Instant) {
        self.answers.push_back(Answer { connection, request, file, deadline: now + STORE_PATIENCE });
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.answers.front().map(|answer| answer.deadline)
    }

    pub(super) fn take_answers(&self) -> Vec<Fetched> {
        self.handover.take_answers()
    }

    /// Takes out those that wait for this file.
    pub(super) fn take_for(&mut self, file: &CascadeHash, ready: &mut Vec<(Connection, Request)>) {
        if self.answers.iter().any(|answer| answer.file == *file) {
            let (those, others): (VecDeque<_>, _) =
                std::mem::take(&mut self.answers).into_iter().partition(|answer| answer.file == *file);
            self.answers = others;
            ready.extend(those.into_iter().map(|answer| (answer.connection, answer.request)));
        }
    }

    /// Takes out one that has waited long enough.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<(Connection, Request)> {
        let answer = self.answers.pop_front_if(|answer| answer.deadline <= now)?;
        Some((answer.connection, answer.request))
    }
}
