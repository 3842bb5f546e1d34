//! The thread that does what the courier says.

use super::client::Store;
use super::connection::{Connection, Look};
use super::courier::{Courier, Fault, Work};
use crate::clock;
use crate::others::{Change, Handover};
use crate::responder::Export;
use crate::view::View;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout_at;

/// Results that wait for the courier; there is one of each kind under way, and some of a connection that is gone.
const RESULTS: usize = 16;

/// How long the end of the tracker waits until its last changes are written.
pub(crate) const LAST_WRITE: Duration = Duration::from_millis(500);

/// The longest pause of the loop, in case of a clock that has no wake-up.
const IDLE: Duration = Duration::from_secs(60);

/// The store's thread.
#[derive(Debug)]
pub(crate) struct Running {
    stop: Arc<Notify>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start(store: Store, handover: Handover, view: View, started: Instant) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("store".to_owned()).spawn(move || {
            let (done, results) = mpsc::channel(RESULTS);
            let courier = Courier::new(store.address().to_string());
            let mark = format!("cascade:tracker:{:016x}", fastrand::u64(..));
            let driver =
                Driver { store, handover, view, started, courier, done, mark, connection: None, number: 0 };
            runtime.block_on(driver.run(results, &stopped));
            // Name look-ups of the library may still be under way.
            runtime.shutdown_background();
        })?;
        Ok(Self { stop, thread })
    }

    /// Writes what is left, and ends.
    pub(crate) fn finish(self) {
        self.stop.notify_one();
        let _ = self.thread.join();
    }
}

/// What has become of a work, over the connection with this number.
struct Done {
    number: u64,
    what: What,
}

enum What {
    Connected(Result<Connection, Fault>),
    Probed(Result<Look, Fault>),
    Written(Vec<Change>, Result<(), Fault>),
    Read(Result<u64, Fault>),
    Exported(Vec<Change>, Option<Export>),
}

struct Driver {
    store: Store,
    handover: Handover,
    view: View,
    started: Instant,
    courier: Courier,
    done: mpsc::Sender<Done>,
    mark: String,
    connection: Option<Connection>,
    number: u64,
}

impl Driver {
    fn now(&self) -> Duration {
        clock::now().saturating_duration_since(self.started)
    }

    async fn run(mut self, mut results: mpsc::Receiver<Done>, stop: &Notify) {
        loop {
            while let Some(work) = self.courier.poll(self.now()) {
                self.begin(work);
            }
            self.tell();
            let wake = self.started + self.courier.next_wakeup().min(self.now() + IDLE);
            tokio::select! {
                biased;
                () = stop.notified() => break,
                done = timeout_at(wake.into(), results.recv()) => {
                    if let Ok(Some(done)) = done {
                        self.finish(done);
                    }
                }
                () = self.handover.given() => self.take(),
            }
            // A part of the registrations must be seen before the goodbyes that came after it.
            while let Ok(done) = results.try_recv() {
                self.finish(done);
            }
        }
        self.take();
        self.write_last().await;
    }

    fn take(&mut self) {
        let inbox = self.handover.take();
        self.courier.handle_lost_goodbyes(inbox.lost_goodbyes);
        self.courier.handle_changes(inbox.changes, inbox.missed);
        self.courier.handle_wanted(inbox.wanted);
    }

    /// Tells the tracker and its operator how the store is.
    fn tell(&mut self) {
        self.handover.set_answers(self.courier.answers());
        self.store.status().set(self.courier.figures());
        while let Some(line) = self.courier.poll_line() {
            tracing::warn!("{line}");
        }
    }

    fn begin(&mut self, work: Work) {
        let (done, number, started) = (self.done.clone(), self.number, self.started);
        let send = move |what| async move {
            // It fails only at the end.
            let _ = done.send(Done { number, what }).await;
        };
        let connection = self.connection.clone();
        match (work, connection) {
            (Work::Connect, _) => {
                let store = self.store.clone();
                tokio::spawn(async move { send(What::Connected(store.connect().await)).await });
            }
            (Work::Export(at), _) => self.export(at),
            (Work::Probe, Some(connection)) => {
                let mark = self.mark.clone();
                tokio::spawn(async move {
                    send(What::Probed(connection.probe(&mark, started).await)).await;
                });
            }
            (Work::Write(batch, clock), Some(connection)) => {
                tokio::spawn(async move {
                    let written = connection.write(&batch, clock).await;
                    send(What::Written(batch, written)).await;
                });
            }
            (Work::Read(files, clock), Some(connection)) => {
                let handover = self.handover.clone();
                tokio::spawn(async move {
                    let read = connection.read(&files, clock, started).await;
                    let read = read.map(|fetched| {
                        let count = fetched.len() as u64;
                        handover.answer(fetched);
                        count
                    });
                    send(What::Read(read)).await;
                });
            }
            (Work::Write(batch, _), None) => self.courier.handle_unwritten(batch),
            (Work::Read(..), None) => self.courier.handle_read(0),
            (Work::Probe, None) => self.fail(Fault::Lost("the connection has gone".to_owned())),
        }
    }

    /// Asks the tracker's thread for a part of its registrations.
    fn export(&mut self, at: Export) {
        let (done, number) = (self.done.clone(), self.number);
        let asked = self.view.post(Box::new(move |responder, now| {
            let (part, next) = responder.export_changes(at, now);
            let _ = done.try_send(Done { number, what: What::Exported(part, next) });
        }));
        if asked.is_err() {
            self.courier.handle_not_exported(self.now());
        }
    }

    fn finish(&mut self, done: Done) {
        let Done { number, what } = done;
        let stale = number != self.number;
        let now = self.now();
        match what {
            What::Exported(part, next) => self.courier.handle_exported(part, next),
            What::Written(batch, _) if stale => self.courier.handle_given_back(batch),
            _ if stale => {}
            What::Connected(Ok(connection)) => {
                self.connection = Some(connection);
                self.courier.handle_connected(now);
            }
            What::Probed(Ok(Look { unix, at, marked, epoch })) => {
                self.courier.handle_clock(unix, at);
                epoch.into_iter().for_each(|epoch| self.courier.handle_epoch(epoch));
                match marked {
                    Ok(marked) => self.courier.handle_marked(marked, now),
                    Err(fault) => self.fail(fault),
                }
            }
            What::Written(batch, Ok(())) => self.courier.handle_written(batch.len() as u64),
            What::Read(Ok(files)) => self.courier.handle_read(files),
            What::Written(batch, Err(fault)) => {
                self.courier.handle_unwritten(batch);
                self.fail(fault);
            }
            What::Read(Err(fault)) => {
                self.courier.handle_read(0);
                self.fail(fault);
            }
            What::Connected(Err(fault)) | What::Probed(Err(fault)) => self.fail(fault),
        }
    }

    fn fail(&mut self, fault: Fault) {
        let now = self.now();
        if self.courier.handle_fault(fault, now, fastrand::f64()) {
            // What is still under way over it has no say any more.
            self.connection = None;
            self.number += 1;
        }
    }

    /// Writes what has come last.
    async fn write_last(&mut self) {
        let write = async {
            while let (Some(Work::Write(batch, clock)), Some(connection)) =
                (self.courier.poll_last(), self.connection.clone())
            {
                if connection.write(&batch, clock).await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LAST_WRITE, write).await;
    }
}
