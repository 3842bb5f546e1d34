//! The driver: one thread that owns the registry and every connection.
//!
//! ```text
//!  accept ──► read at once ──► answer in one write ──► close            (the usual way: 4 system calls)
//!                 │ not all there yet        │ bytes left to read
//!                 ▼                          ▼
//!             waiting: poll, timeout     draining: the answer is sent, what still comes is thrown
//!                                        away, so that closing does not tear the answer down
//! ```
//!
//! One thread, because a request costs the kernel some 20 µs and the registry 2: a second thread would
//! add locks and hand-overs, and the sockets are the work. No connection can hold it up: all calls are
//! non-blocking, and connections that wait are bounded in number and time.

mod connection;
mod held;
mod waiting;

use crate::ask::Request;
use crate::clock;
use crate::others::Handover;
use crate::registry::LIFETIME_SECS;
use crate::responder::{Now, Responder, refuse};
use crate::view::{QUESTIONS, Question, View};
use crate::waken::Waken;
use cascade_format::tracker_wire::{RESPONSE_HEADER_LEN, STATUS_OK};
use connection::{Connection, Outcome, Phase};
use held::Held;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use waiting::Waiting;

/// How long a request may take to arrive.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept after its answer, for the client to read it and close.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The most bytes that are read after a request, to be thrown away.
pub const DRAIN_MAX: usize = 64 << 10;

/// The most connections accepted before others are looked at. They are read after all of them are
/// accepted: by then the requests are there.
const ACCEPT_BATCH: usize = 64;

/// Readiness events taken from the kernel at once.
const EVENTS: usize = 256;

/// How long accepting pauses when the process has no descriptor left and none to free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often lapsed registrations are looked for when there are no requests.
const SWEEP_TICK: Duration = Duration::from_secs(1);

/// Sweep work (see [`crate::registry::Registry::sweep`]) for every request: two removals, so that
/// memory is freed faster than requests can fill it.
const SWEEP_PER_REQUEST: u32 = 32;

/// Sweep work of a tick: 0.1 to 0.4 ms.
const SWEEP_PER_TICK: u32 = 16_384;

/// Removals in one tick (it can hold four times as many) that make the next one follow at once.
const SWEEP_ON: usize = 240;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// What bounds waiting connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How many may wait.
    pub(crate) connections: usize,
    /// How long a request may take to arrive.
    pub(crate) request: Duration,
}

/// The event loop and all that it owns.
#[derive(Debug)]
pub(crate) struct Server {
    poll: Poll,
    listener: TcpListener,
    stopper: Stopper,
    held: Held,
    request_timeout: Duration,
    responder: Responder,
    view: View,
    /// From other threads of the process.
    questions: Receiver<Question>,
    /// The answer being written: one buffer for all.
    answer: Vec<u8>,
    /// Whether the listener may have connections: it is edge-triggered, so only an accept that finds
    /// none proves it.
    acceptable: bool,
    accept_again: Option<Instant>,
    started: Instant,
    next_sweep: Instant,
    requests: u32,
    /// The store that is shared with other trackers, and who waits for what it knows.
    waiting: Option<Waiting>,
}

/// Ends a server from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Stopper {
    stop: Arc<AtomicBool>,
    waken: Arc<Waken>,
}

impl Stopper {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waken.wake();
    }
}

impl Server {
    /// A server on a listener that must be non-blocking.
    pub(crate) fn new(
        listener: std::net::TcpListener,
        responder: Responder,
        patience: Patience,
        started: Instant,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let waken = Arc::new(Waken::new(Waker::new(poll.registry(), WAKER)?));
        let (view, questions) = View::new(Arc::clone(&waken));
        let now = clock::now();
        Ok(Self {
            poll,
            listener,
            stopper: Stopper { stop: Arc::default(), waken },
            held: Held::new(patience.connections),
            request_timeout: patience.request,
            responder,
            view,
            questions,
            answer: Vec::new(),
            acceptable: true,
            accept_again: None,
            started,
            next_sweep: now + SWEEP_TICK,
            requests: 0,
            waiting: None,
        })
    }

    /// Shares a store with other trackers.
    pub(crate) fn share(&mut self, handover: Handover) {
        handover.attach(Arc::clone(&self.stopper.waken));
        self.responder.share();
        self.waiting = Some(Waiting::new(handover));
    }

    pub(crate) fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// How other threads look at it.
    pub(crate) fn view(&self) -> View {
        self.view.clone()
    }

    /// Serves until stopped, or until the poll or the listener breaks; returns what it knew then.
    pub(crate) fn run(mut self) -> (io::Result<()>, Responder, Now) {
        let served = self.serve();
        let now = self.time(clock::now());
        (served, self.responder, now)
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut accepted = Vec::with_capacity(ACCEPT_BATCH);
        while !self.stopper.stop.load(Ordering::Acquire) {
            match self.poll.poll(&mut events, self.time_to_wait(clock::now())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let now = clock::now();
            let time = self.time(now);
            for event in &events {
                match event.token() {
                    LISTENER => self.acceptable = true,
                    WAKER => {
                        self.answer_questions(time);
                        self.learn(now, time);
                    }
                    token => self.resume(token, now, time),
                }
            }
            self.accept(&mut accepted, now)?;
            for (stream, from) in accepted.drain(..) {
                self.begin(Connection::new(stream, from), now, time);
            }
            self.end_overdue(now);
            self.end_waiting(now, time);
            self.sweep(now, time);
        }
        Ok(())
    }

    /// Answers other threads of the process.
    fn answer_questions(&mut self, time: Now) {
        for question in self.questions.try_iter().take(QUESTIONS) {
            question(&mut self.responder, time);
        }
    }

    /// The time for registrations.
    fn time(&self, now: Instant) -> Now {
        time_since(self.started, now)
    }

    /// How long the poll may wait.
    fn time_to_wait(&self, now: Instant) -> Option<Duration> {
        let sweep = (self.responder.peers() > 0).then_some(self.next_sweep);
        let accept = self.acceptable.then_some(self.accept_again.unwrap_or(now));
        let waiting = self.waiting.as_ref().and_then(Waiting::next_deadline);
        let next = [self.held.next_deadline(), waiting, sweep, accept].into_iter().flatten().min();
        next.map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Accepts up to a batch of connections.
    fn accept(&mut self, accepted: &mut Vec<(TcpStream, SocketAddr)>, now: Instant) -> io::Result<()> {
        if self.accept_again.is_some_and(|again| now < again) {
            return Ok(());
        }
        self.accept_again = None;
        while self.acceptable && accepted.len() < ACCEPT_BATCH {
            match self.listener.accept() {
                Ok(connection) => accepted.push(connection),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.acceptable = false,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
                Err(error) if is_passing(&error) => {}
                Err(_) => {
                    // No descriptor or memory left: the connection that has waited longest makes room.
                    if !self.evict() {
                        self.accept_again = Some(now + ACCEPT_PAUSE);
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads a connection that was just accepted.
    fn begin(&mut self, mut connection: Connection, now: Instant, time: Now) {
        let outcome = connection.read();
        if matches!(outcome, Outcome::Wait) {
            self.hold(connection, now);
        } else {
            self.conclude(connection, outcome, now, time);
        }
    }

    /// Reads a connection that the poll says is ready. While it waits on it keeps its deadline.
    fn resume(&mut self, token: Token, now: Instant, time: Now) {
        // An event for a connection that was ended in this turn finds none.
        let Some(waiting) = self.held.get_mut(token) else { return };
        let outcome = waiting.read();
        if !matches!(outcome, Outcome::Wait)
            && let Some(connection) = self.held.take(token)
        {
            self.conclude(connection, outcome, now, time);
        }
    }

    /// Answers a connection that has come to an outcome, and ends it as soon as that does no harm.
    fn conclude(&mut self, connection: Connection, outcome: Outcome, now: Instant, time: Now) {
        match outcome {
            Outcome::Wait | Outcome::Over => return,
            Outcome::Request(request) => {
                if let Some(waiting) = &mut self.waiting
                    && let Some(file) = self.responder.awaits(&request, time)
                    && waiting.has_room()
                {
                    return waiting.push(connection, request, file, now);
                }
                self.respond(&request, connection.from(), time);
            }
            Outcome::Refuse(why) => {
                refuse(&why, &mut self.answer);
                tell_refusal(&self.answer, connection.from());
            }
        }
        self.send(connection, now);
    }

    /// Sends the answer.
    fn send(&mut self, mut connection: Connection, now: Instant) {
        if !connection.send(&self.answer) {
            self.hold(connection, now);
        }
    }

    /// Takes what the store knows, and answers who waits for that.
    fn learn(&mut self, now: Instant, time: Now) {
        let Some(waiting) = &mut self.waiting else { return };
        let mut ready = Vec::new();
        for fetched in waiting.take_answers() {
            waiting.take_for(&fetched.file, &mut ready);
            self.responder.learn(fetched, time);
        }
        for (connection, request) in ready {
            self.respond(&request, connection.from(), time);
            self.send(connection, now);
        }
    }

    /// Answers who has waited for the store long enough, and gives the store what this turn has brought.
    fn end_waiting(&mut self, now: Instant, time: Now) {
        while let Some((connection, request)) = self.waiting.as_mut().and_then(|waiting| waiting.overdue(now))
        {
            self.responder.lose_patience();
            self.respond(&request, connection.from(), time);
            self.send(connection, now);
        }
        if let Some(waiting) = &self.waiting {
            self.responder.hand_over(waiting.handover());
        }
    }

    fn respond(&mut self, request: &Request, from: IpAddr, time: Now) {
        self.requests += 1;
        if let Some(news) = self.responder.answer(request, from, time, &mut self.answer) {
            tracing::info!(peer = %news.peer, file = %news.file, "{news}");
        }
        if self.answer.first() != Some(&STATUS_OK) {
            tell_refusal(&self.answer, from);
        }
    }

    /// Keeps a connection until it is ready or overdue.
    fn hold(&mut self, connection: Connection, now: Instant) {
        if self.held.is_full() {
            self.evict();
        }
        let deadline = now
            + match connection.phase() {
                Phase::Reading => self.request_timeout,
                Phase::Draining => DRAIN_TIMEOUT,
            };
        // Where it cannot be polled, it ends here.
        let _ = self.held.insert(connection, deadline, self.poll.registry());
    }

    /// Ends the connection that has waited longest, with a word of explanation if it had no answer
    /// yet. Returns whether there was one.
    fn evict(&mut self) -> bool {
        let Some(mut connection) = self.held.oldest() else { return false };
        if connection.phase() == Phase::Reading {
            refuse(&"too many connections wait here, try again", &mut self.answer);
            connection.send_last(&self.answer);
        }
        true
    }

    fn end_overdue(&mut self, now: Instant) {
        while let Some(mut connection) = self.held.overdue(now) {
            if connection.phase() == Phase::Reading {
                let (timeout, received) = (self.request_timeout, connection.received());
                let why = format!("the request is not complete after {timeout:?}: {received} bytes arrived");
                refuse(&why, &mut self.answer);
                connection.send_last(&self.answer);
            }
        }
    }

    /// Removes some lapsed registrations. While there are many, it does not wait for the next tick.
    fn sweep(&mut self, now: Instant, time: Now) {
        let mut work = SWEEP_PER_REQUEST.saturating_mul(std::mem::take(&mut self.requests));
        let tick = now >= self.next_sweep;
        if tick {
            work = work.saturating_add(SWEEP_PER_TICK);
        }
        let removed = self.responder.sweep(time, work);
        if tick {
            self.next_sweep = if removed >= SWEEP_ON { now } else { now + SWEEP_TICK };
        }
    }
}

/// For who looks for the reason why a peer is not listed.
fn tell_refusal(answer: &[u8], from: IpAddr) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let why = String::from_utf8_lossy(answer.get(RESPONSE_HEADER_LEN..).unwrap_or_default());
        tracing::debug!(%from, "refused a request from {from}: {}", why.trim_end());
    }
}

/// The time for registrations of a tracker that has started at `started`: the second [`LIFETIME_SECS`] of its steady
/// clock, so that a registration from before has a second, too.
pub(crate) fn time_since(started: Instant, now: Instant) -> Now {
    let steady = now.saturating_duration_since(started).as_secs();
    let steady = u32::try_from(steady).unwrap_or(u32::MAX).saturating_add(LIFETIME_SECS);
    Now { steady, unix: clock::unix_now() }
}

/// Whether an error of accept is about the one connection, or about nothing: the next may go well.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let passing = [
        Kind::ConnectionAborted,
        Kind::ConnectionReset,
        Kind::ConnectionRefused,
        Kind::HostUnreachable,
        Kind::NetworkUnreachable,
        Kind::NetworkDown,
        Kind::PermissionDenied,
        Kind::Interrupted,
    ];
    passing.contains(&error.kind())
}
