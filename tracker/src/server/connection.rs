//! One connection: its socket, and how far its request has come.

use super::DRAIN_MAX;
use crate::ask::Request;
use crate::intake::{CutShort, Intake, Parsed};
use cascade_format::tracker_wire::RequestError;
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};

/// Read at once: more than a request, so that a request alone shows that nothing follows it yet.
const READ_SIZE: usize = 512;

/// What a connection waits for. All that wait for the same thing have the same timeout: the order of
/// arrival is the order of deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The rest of its request.
    Reading,
    /// Its end: it has its answer.
    Draining,
}

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    from: IpAddr,
    state: State,
    /// Whether the poll knows it.
    pub(super) polled: bool,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all are this one; an allocation for each costs more")]
enum State {
    /// The request is arriving.
    Reading(Intake),
    /// The answer is due or sent, and closing would tear it down if the client still sends: what is
    /// unread at a close makes the kernel reset the connection, and a reset makes the client's kernel
    /// throw away what the client has not read yet.
    Draining { left: usize },
    /// Nothing is unread.
    Clean,
}

/// What reading led to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing more to read yet.
    Wait,
    /// The connection is over.
    Over,
    /// Answer this.
    Request(Request),
    /// Refuse because of this.
    Refuse(Refusal),
}

/// Why bytes are no request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Wrong(#[from] RequestError),
    #[error(transparent)]
    CutShort(#[from] CutShort),
}

impl Connection {
    pub(super) fn new(stream: TcpStream, from: SocketAddr) -> Self {
        Self { stream, from: from.ip(), state: State::Reading(Intake::default()), polled: false }
    }

    /// Where the connection comes from.
    pub(super) const fn from(&self) -> IpAddr {
        self.from
    }

    pub(super) const fn phase(&self) -> Phase {
        match self.state {
            State::Reading(_) => Phase::Reading,
            State::Draining { .. } | State::Clean => Phase::Draining,
        }
    }

    /// Bytes of the request that arrived.
    pub(super) const fn received(&self) -> usize {
        match &self.state {
            State::Reading(intake) => intake.received(),
            State::Draining { .. } | State::Clean => 0,
        }
    }

    pub(super) const fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads what there is.
    pub(super) fn read(&mut self) -> Outcome {
        let mut buffer = [0; READ_SIZE];
        loop {
            let bytes = match self.stream.read(&mut buffer) {
                Ok(count) => buffer.get(..count).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Wait,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Outcome::Over,
            };
            if let Some(outcome) = self.handle(bytes) {
                return outcome;
            }
        }
    }

    /// Takes bytes, or none at the end of the stream. `None` means: read on.
    fn handle(&mut self, bytes: &[u8]) -> Option<Outcome> {
        match &mut self.state {
            State::Clean => Some(Outcome::Over),
            State::Draining { left } => {
                *left = left.saturating_sub(bytes.len());
                (bytes.is_empty() || *left == 0).then_some(Outcome::Over)
            }
            State::Reading(intake) if bytes.is_empty() => {
                let cut = intake.handle_end();
                self.state = State::Clean;
                Some(Outcome::Refuse(cut.into()))
            }
            State::Reading(intake) => match intake.handle_bytes(bytes) {
                Parsed::Incomplete => None,
                Parsed::Complete { request, trailing } => {
                    self.state = if trailing { State::Draining { left: DRAIN_MAX } } else { State::Clean };
                    Some(Outcome::Request(request))
                }
                Parsed::Refused(why) => {
                    self.state = State::Draining { left: DRAIN_MAX };
                    Some(Outcome::Refuse(why.into()))
                }
            },
        }
    }

    /// Sends the answer. Returns whether the connection can be closed now, else it must drain.
    pub(super) fn send(&mut self, answer: &[u8]) -> bool {
        if !self.write(answer) || matches!(self.state, State::Clean) {
            return true;
        }
        // The client sees the answer's end now, however long it goes on sending.
        self.stream.shutdown(Shutdown::Write).is_err() || matches!(self.read(), Outcome::Over)
    }

    /// Sends an answer to a connection that is closed right after it, whatever the client does.
    pub(super) fn send_last(&mut self, answer: &[u8]) {
        self.write(answer);
    }

    /// Writes an answer with one call: some clients read its header with one. The send buffer of a
    /// connection that has sent nothing has room for it; where it has not, the client has no answer.
    fn write(&mut self, answer: &[u8]) -> bool {
        self.stream.write(answer).is_ok_and(|count| count == answer.len())
    }
}
