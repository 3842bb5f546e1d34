//! The connections that wait, in the order of their deadlines.

use super::connection::{Connection, Phase};
use mio::{Interest, Registry, Token};
use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

/// A bounded number of waiting connections.
#[derive(Debug)]
pub(super) struct Held {
    reading: BTreeMap<Token, Waiting>,
    draining: BTreeMap<Token, Waiting>,
    /// Tokens count upwards: the first of a map is its oldest.
    next: usize,
    max: usize,
}

#[derive(Debug)]
struct Waiting {
    connection: Connection,
    deadline: Instant,
}

impl Held {
    pub(super) const fn new(max: usize) -> Self {
        Self { reading: BTreeMap::new(), draining: BTreeMap::new(), next: 0, max }
    }

    pub(super) fn is_full(&self) -> bool {
        self.reading.len() + self.draining.len() >= self.max
    }

    /// Keeps a connection, and asks the poll to tell when it is ready.
    pub(super) fn insert(
        &mut self,
        mut connection: Connection,
        deadline: Instant,
        poll: &Registry,
    ) -> io::Result<()> {
        let token = Token(self.next);
        self.next += 1;
        if connection.polled {
            poll.reregister(connection.stream(), token, Interest::READABLE)?;
        } else {
            poll.register(connection.stream(), token, Interest::READABLE)?;
            connection.polled = true;
        }
        let waiting = match connection.phase() {
            Phase::Reading => &mut self.reading,
            Phase::Draining => &mut self.draining,
        };
        waiting.insert(token, Waiting { connection, deadline });
        Ok(())
    }

    /// The connection with this token, if it still waits.
    pub(super) fn get_mut(&mut self, token: Token) -> Option<&mut Connection> {
        let waiting = self.reading.get_mut(&token).or_else(|| self.draining.get_mut(&token))?;
        Some(&mut waiting.connection)
    }

    /// Takes out the connection with this token.
    pub(super) fn take(&mut self, token: Token) -> Option<Connection> {
        let waiting = self.reading.remove(&token).or_else(|| self.draining.remove(&token))?;
        Some(waiting.connection)
    }

    /// When the next connection is overdue.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        [&self.reading, &self.draining]
            .into_iter()
            .filter_map(|map| map.first_key_value())
            .map(|(_, waiting)| waiting.deadline)
            .min()
    }

    /// Takes out a connection whose deadline has passed.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Connection> {
        [&mut self.reading, &mut self.draining].into_iter().find_map(|map| {
            let first = map.first_entry().filter(|entry| entry.get().deadline <= now)?;
            Some(first.remove().connection)
        })
    }

    /// Takes out the oldest connection: one that has its answer, if there is one.
    pub(super) fn oldest(&mut self) -> Option<Connection> {
        let oldest = self.draining.pop_first().or_else(|| self.reading.pop_first())?;
        Some(oldest.1.connection)
    }
}
