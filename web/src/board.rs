//! What all viewers see: one snapshot at a time, made only when somebody looks.

use crate::clock;
use crate::history::History;
use crate::limits::{SAMPLE, TICK};
use crate::model::{API_VERSION, Snapshot, Totals};
use crate::{metrics, patch};
use bytes::Bytes;
use serde_json::{Value, json};
use std::fmt::{self, Debug};
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// Where what is shown comes from.
pub trait Source: Send + Sync + 'static {
    /// Bytes so far. It is asked for every second, so it must be cheap: two numbers to be read.
    fn totals(&self) -> Totals;

    /// Makes ready what the next [`Source::snapshot`] shows, if that takes a moment: at most half a second.
    fn refresh(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(ready(()))
    }

    /// All of it. It is asked for twice a second at most, and only while somebody looks.
    fn snapshot(&self) -> Snapshot;
}

/// What is shown at a moment.
pub(crate) struct Moment {
    /// One more than that of the moment before.
    pub(crate) number: u64,
    at: Option<Instant>,
    pub(crate) snapshot: Snapshot,
    pub(crate) state: Value,
    /// What changed since the moment before, as an event of a stream.
    pub(crate) change: Option<Bytes>,
    whole: OnceLock<Bytes>,
    metrics: OnceLock<Bytes>,
}

impl Moment {
    /// Before anybody has looked.
    fn none() -> Self {
        let (whole, metrics) = (OnceLock::new(), OnceLock::new());
        let (snapshot, state) = (Snapshot::default(), Value::Null);
        Self { number: 0, at: None, snapshot, state, change: None, whole, metrics }
    }

    /// All of it as an event of a stream; the same bytes for all who ask.
    pub(crate) fn whole(&self) -> Bytes {
        self.whole.get_or_init(|| event("state", &self.state)).clone()
    }

    /// The same for Prometheus.
    pub(crate) fn metrics(&self, started: u64, totals: Totals) -> Bytes {
        self.metrics.get_or_init(|| metrics::text(&self.snapshot, started, totals).into()).clone()
    }
}

/// An event of a stream.
pub(crate) fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

/// The present moment, and who waits for the next one.
pub(crate) struct Board {
    source: Box<dyn Source>,
    history: Mutex<History>,
    /// Seconds since the UNIX epoch.
    pub(crate) started: u64,
    start: Instant,
    moments: watch::Sender<Arc<Moment>>,
    /// Somebody has begun to look.
    awake: Notify,
    /// Held while a moment is made.
    making: tokio::sync::Mutex<()>,
}

impl Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("started", &self.started).finish_non_exhaustive()
    }
}

impl Board {
    pub(crate) fn new(source: Box<dyn Source>) -> Self {
        let history = Mutex::new(History::new(source.totals()));
        let (moments, _) = watch::channel(Arc::new(Moment::none()));
        let (started, start) = (clock::unix_now(), clock::now());
        Self {
            source,
            history,
            started,
            start,
            moments,
            awake: Notify::new(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// Told of every moment from the next one on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Moment>> {
        let receiver = self.moments.subscribe();
        self.awake.notify_one();
        receiver
    }

    pub(crate) fn totals(&self) -> Totals {
        self.source.totals()
    }

    /// The present moment: one that is not older than [`TICK`].
    pub(crate) async fn now(&self) -> Arc<Moment> {
        let _making = self.making.lock().await;
        let last = Arc::clone(&self.moments.borrow());
        if last.at.is_some_and(|at| at.elapsed() < TICK) {
            return last;
        }
        self.source.refresh().await;
        self.make(&last)
    }

    fn make(&self, last: &Moment) -> Arc<Moment> {
        let mut snapshot = self.source.snapshot();
        snapshot.bound();
        let state = self.state(&snapshot);
        let change = patch::diff(&last.state, &state).map(|patch| event("change", &patch));
        let (whole, metrics) = (OnceLock::new(), OnceLock::new());
        let (number, at) = (last.number + 1, Some(clock::now()));
        let moment = Arc::new(Moment { number, at, snapshot, state, change, whole, metrics });
        self.moments.send_replace(Arc::clone(&moment));
        moment
    }

    /// The snapshot, and what this module knows besides.
    fn state(&self, snapshot: &Snapshot) -> Value {
        let mut state = serde_json::to_value(snapshot).unwrap_or_default();
        let totals = self.source.totals();
        let (rates, history) = {
            let history = lock(&self.history);
            (history.rates(), serde_json::to_value(history.view()).unwrap_or_default())
        };
        let own = json!({
            "api": API_VERSION,
            "started": self.started,
            "uptime_seconds": self.start.elapsed().as_secs(),
            "down": {"bytes": totals.received, "bytes_per_second": rates.received},
            "up": {"bytes": totals.given, "bytes_per_second": rates.given},
            "history": history,
        });
        if let (Value::Object(state), Value::Object(own)) = (&mut state, own) {
            state.extend(own);
        }
        state
    }

    /// Takes samples, and makes a moment every [`TICK`] while there are viewers. It never ends.
    pub(crate) async fn run(&self) {
        let mut sample = clock::now() + SAMPLE;
        let mut tick = clock::now();
        loop {
            let watched = self.moments.receiver_count() > 0;
            let next = if watched { sample.min(tick) } else { sample };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.awake.notified() => {}
            }
            let now = clock::now();
            if now >= sample {
                lock(&self.history).handle_sample(self.source.totals());
                sample = (sample + SAMPLE).max(now + SAMPLE / 2);
            }
            if now >= tick && self.moments.receiver_count() > 0 {
                let _ = self.now().await;
                tick = clock::now() + TICK;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[derive(Default)]
    struct Counted {
        snapshots: Arc<AtomicU64>,
        samples: Arc<AtomicU64>,
    }

    impl Source for Counted {
        fn totals(&self) -> Totals {
            let received = self.samples.fetch_add(1, Ordering::Relaxed);
            Totals { received, given: 0 }
        }

        fn snapshot(&self) -> Snapshot {
            self.snapshots.fetch_add(1, Ordering::Relaxed);
            Snapshot { program: "peer", ..Snapshot::default() }
        }
    }

    /// Runs a board for a time that does not pass, and says how many snapshots were made of how many samples.
    fn snapshots(viewers: usize, time: Duration) -> (u64, u64) {
        let source = Counted::default();
        let (snapshots, samples) = (Arc::clone(&source.snapshots), Arc::clone(&source.samples));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let board = Board::new(Box::new(source));
            let receivers: Vec<_> = (0..viewers).map(|_| board.subscribe()).collect();
            let _ = tokio::time::timeout(time, board.run()).await;
            drop(receivers);
        });
        (snapshots.load(Ordering::Relaxed), samples.load(Ordering::Relaxed))
    }

    #[test]
    fn nothing_is_made_when_nobody_looks() {
        let (made, samples) = snapshots(0, Duration::from_secs(100));
        assert_eq!(made, 0);
        assert!((98..=102).contains(&samples), "{samples}");
    }

    #[test]
    fn one_snapshot_serves_all_viewers_and_two_a_second_are_made() {
        let (one, _) = snapshots(1, Duration::from_secs(50));
        let (ten, _) = snapshots(10, Duration::from_secs(50));
        assert!((95..=101).contains(&one) && one == ten, "{one} {ten}");
    }

    #[test]
    fn however_often_programs_ask_two_snapshots_a_second_are_made() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let source = Counted::default();
            let made = Arc::clone(&source.snapshots);
            let board = Board::new(Box::new(source));
            for _ in 0..1000 {
                let _ = board.now().await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!((19..=21).contains(&made.load(Ordering::Relaxed)));
        });
    }

    #[test]
    fn somebody_who_looks_rarely_sees_the_present() {
        /// Shows what was so when it was made ready.
        #[derive(Default)]
        struct Prepared(Mutex<Option<String>>);
        impl Source for Prepared {
            fn totals(&self) -> Totals {
                Totals::default()
            }
            fn refresh(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
                Box::pin(async {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    *lock(&self.0) = Some("ready".to_owned());
                })
            }
            fn snapshot(&self) -> Snapshot {
                Snapshot { address: lock(&self.0).take(), ..Snapshot::default() }
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let board = Board::new(Box::new(Prepared::default()));
            for _ in 0..3 {
                assert_eq!(board.now().await.snapshot.address.as_deref(), Some("ready"));
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
        });
    }

    #[test]
    fn a_moment_tells_what_changed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let board = Board::new(Box::new(Counted::default()));
            let first = board.now().await;
            assert_eq!(first.state["program"], "peer");
            assert!(first.whole().starts_with(b"event: state\ndata: {") && first.whole().ends_with(b"}\n\n"));
            tokio::time::sleep(Duration::from_millis(1100)).await;
            let second = board.now().await;
            let change = String::from_utf8(second.change.clone().unwrap().to_vec()).unwrap();
            assert!(change.starts_with("event: change\ndata: {"), "{change}");
            assert!(change.contains("\"uptime_seconds\":1") && !change.contains("program"), "{change}");
        });
    }
}
