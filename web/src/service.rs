//! What each request is answered with.

use crate::board::{Board, Moment, event};
use crate::body::Body;
use crate::clock;
use crate::gate::{Gate, Pass, Refusal};
use crate::limits::{MAX_VIEWERS, REQUESTS_A_SECOND, REQUESTS_AT_ONCE};
use crate::{metrics, pages};
use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// What a browser waits until it connects again.
const RETRY: &[u8] = b"retry: 2000\n\n";

/// Answers requests.
#[derive(Debug)]
pub(crate) struct Service {
    board: Arc<Board>,
    gate: Gate,
    pace: Pace,
    viewers: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Service {
    pub(crate) fn new(board: Arc<Board>, gate: Gate, stop: watch::Receiver<bool>) -> Self {
        Self { board, gate, pace: Pace::new(), viewers: Arc::new(Semaphore::new(MAX_VIEWERS)), stop }
    }

    /// Ready when no stream of events is left.
    pub(crate) async fn no_viewers(&self) {
        // It is never closed.
        let all = u32::try_from(MAX_VIEWERS).unwrap_or(u32::MAX);
        let _ = self.viewers.acquire_many(all).await;
    }

    /// The answer to a request.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        self.pace.wait().await;
        let mut response = match self.gate.judge(request.method(), request.uri(), request.headers()) {
            Ok(Pass::Enter) => self.route(request.method(), request.uri().path()).await,
            Ok(Pass::EnterWithCookie) => self.let_in(),
            Err(refusal) => refused(refusal),
        };
        pages::protect(response.headers_mut());
        response
    }

    async fn route(&self, method: &Method, path: &str) -> Response<Body> {
        if let Some(page) = pages::find(path) {
            return respond(StatusCode::OK, page.media_type, page.text);
        }
        match path {
            "/healthz" => respond(StatusCode::OK, TEXT, "ok\n"),
            "/metrics" => {
                let metrics = self.board.now().await.metrics(self.board.started, self.board.totals());
                respond(StatusCode::OK, metrics::MEDIA_TYPE, metrics)
            }
            "/api/v1/events" if *method == Method::HEAD => respond(StatusCode::OK, EVENTS, ""),
            "/api/v1/events" => self.stream(),
            _ => match path.strip_prefix("/api/v1/") {
                Some(wanted) => found(wanted, &self.board.now().await.state),
                None => respond(StatusCode::NOT_FOUND, TEXT, "there is nothing of this name\n"),
            },
        }
    }

    /// Gives the token as a cookie, and takes it out of the address, where others could read it.
    fn let_in(&self) -> Response<Body> {
        let mut response = respond(StatusCode::SEE_OTHER, TEXT, "");
        set(&mut response, LOCATION, "/");
        set(&mut response, SET_COOKIE, &self.gate.set_cookie().unwrap_or_default());
        response
    }

    /// Events until the viewer goes or the program ends.
    fn stream(&self) -> Response<Body> {
        let Ok(permit) = Arc::clone(&self.viewers).try_acquire_owned() else {
            let mut response = failed(StatusCode::SERVICE_UNAVAILABLE, "too many others look at this page");
            set(&mut response, RETRY_AFTER, "10");
            return response;
        };
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(tell(Arc::clone(&self.board), sender, self.stop.clone(), permit));
        response(StatusCode::OK, EVENTS, Body::Events(receiver))
    }
}

/// Tells a viewer everything, and then what changes. Who reads late is told everything again: nothing queues up.
async fn tell(
    board: Arc<Board>,
    viewer: mpsc::Sender<Bytes>,
    mut stop: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    let mut moments = board.subscribe();
    let mut told = board.now().await.number;
    moments.mark_unchanged();
    let first = [RETRY, &board.now().await.whole()].concat();
    if viewer.send(first.into()).await.is_err() {
        return;
    }
    loop {
        let ends = tokio::select! {
            () = viewer.closed() => return,
            changed = moments.changed() => changed.is_err(),
            _ = stop.wait_for(|stop| *stop) => true,
        };
        // Room first: what is told then is the latest.
        let Ok(room) = viewer.reserve().await else { return };
        let moment = Arc::clone(&moments.borrow_and_update());
        match news(&moment, told) {
            Some(news) => room.send(news),
            None => drop(room),
        }
        told = moment.number;
        if ends {
            let _ = viewer.send(event("end", &json!({}))).await;
            return;
        }
    }
}

/// What a viewer has to be told that knows the moment of the number `told`.
fn news(moment: &Moment, told: u64) -> Option<Bytes> {
    match moment.number.checked_sub(told) {
        Some(0) | None => None,
        Some(1) => moment.change.clone(),
        Some(_) => Some(moment.whole()),
    }
}

/// A part of the state: `state`, `files`, `swarms`, or one of these by its hash.
fn found(wanted: &str, state: &Value) -> Response<Body> {
    let mut parts = wanted.split('/');
    let part = match (parts.next(), parts.next(), parts.next()) {
        (Some("state"), None, None) => Some(state),
        (Some(kind @ ("files" | "swarms")), hash, None) => {
            let all = state.get(kind);
            hash.map_or(all, |hash| all?.get(hash))
        }
        _ => None,
    };
    match part {
        Some(part) => respond(StatusCode::OK, JSON, format!("{part}\n")),
        None => failed(StatusCode::NOT_FOUND, "there is nothing of this name"),
    }
}

fn refused(refusal: Refusal) -> Response<Body> {
    match refusal {
        Refusal::Method => {
            let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, "there is nothing to be changed here");
            set(&mut response, ALLOW, "GET, HEAD");
            response
        }
        Refusal::Body => failed(StatusCode::BAD_REQUEST, "a request here has no body"),
        Refusal::NoHost => failed(StatusCode::BAD_REQUEST, "a request needs one Host"),
        Refusal::Host => failed(
            StatusCode::MISDIRECTED_REQUEST,
            "this is not a name of this machine; use its address, as in the line that the program printed",
        ),
        Refusal::Token => failed(
            StatusCode::UNAUTHORIZED,
            "this page needs the token that is in the address that the program printed",
        ),
    }
}

/// An error, as `--json` tells one.
fn failed(status: StatusCode, message: &str) -> Response<Body> {
    respond(status, JSON, format!("{}\n", json!({"event": "error", "message": message})))
}

fn respond(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    response(status, media_type, Body::Whole(body.into()))
}

fn response(status: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Bounds the requests that are answered in a second: more wait for their turn.
#[derive(Debug)]
struct Pace {
    start: Instant,
    /// When the next request would be due if all came evenly.
    due: Mutex<Duration>,
}

impl Pace {
    fn new() -> Self {
        Self { start: clock::now(), due: Mutex::default() }
    }

    async fn wait(&self) {
        let now = self.start.elapsed();
        let turn = turn(&mut self.due.lock().unwrap_or_else(PoisonError::into_inner), now);
        if turn > now {
            tokio::time::sleep_until(self.start + turn).await;
        }
    }
}

/// When a request may be answered that comes `now`.
fn turn(due: &mut Duration, now: Duration) -> Duration {
    let each = Duration::from_secs(1) / REQUESTS_A_SECOND;
    let at_once = each * REQUESTS_AT_ONCE;
    *due = (*due).max(now) + each;
    due.saturating_sub(at_once).max(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Source;
    use crate::model::{File, Snapshot, Totals};
    use hyper::body::Body as _;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    struct Still;

    impl Source for Still {
        fn totals(&self) -> Totals {
            Totals::default()
        }

        fn snapshot(&self) -> Snapshot {
            let file = File { file: "</script>".into(), state: "seeding", ..File::default() };
            Snapshot { program: "peer", files: [("ab".into(), file)].into(), ..Snapshot::default() }
        }
    }

    fn in_runtime<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(work)
    }

    fn service() -> (Service, watch::Sender<bool>) {
        let (stop, stopped) = watch::channel(false);
        (Service::new(Arc::new(Board::new(Box::new(Still))), Gate::new(None, &[], 1), stopped), stop)
    }

    async fn get(service: &Service, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).header("host", "localhost").body(()).unwrap();
        let mut response = service.answer(request).await;
        let headers = response.headers().clone();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(!headers.contains_key("access-control-allow-origin"));
        let mut context = Context::from_waker(Waker::noop());
        let text = match Pin::new(response.body_mut()).poll_frame(&mut context) {
            std::task::Poll::Ready(Some(Ok(frame))) => {
                String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
            }
            std::task::Poll::Ready(_) | std::task::Poll::Pending => String::new(),
        };
        (response.status(), text)
    }

    #[test]
    fn every_path_has_its_answer() {
        in_runtime(async {
            let (service, _stop) = service();
            assert_eq!(get(&service, "/healthz").await, (StatusCode::OK, "ok\n".into()));
            assert!(get(&service, "/").await.1.starts_with("<!doctype html>"));
            assert!(get(&service, "/metrics").await.1.contains("cascade_info"));
            let state: Value = serde_json::from_str(&get(&service, "/api/v1/state").await.1).unwrap();
            assert_eq!(state["files"]["ab"]["file"], "</script>");
            assert_eq!(get(&service, "/api/v1/files/ab").await.0, StatusCode::OK);
            for path in [
                "/api/v1/files/abc",
                "/api/v1/files/ab/map",
                "/api/v1/",
                "/api/v2/state",
                "/../etc/passwd",
                "/style.css/",
            ] {
                assert_eq!(get(&service, path).await.0, StatusCode::NOT_FOUND, "{path}");
            }
        });
    }

    #[test]
    fn one_viewer_too_many_is_refused() {
        in_runtime(async {
            let (service, _stop) = service();
            let mut streams: Vec<_> = (0..MAX_VIEWERS).map(|_| service.stream()).collect();
            assert!(streams.iter().all(|stream| stream.status() == StatusCode::OK));
            assert_eq!(service.stream().status(), StatusCode::SERVICE_UNAVAILABLE);
            streams.pop();
            // The task of the stream sees that its viewer has gone.
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(service.stream().status(), StatusCode::OK);
        });
    }

    #[test]
    fn a_stream_tells_everything_then_changes_then_the_end() {
        in_runtime(async {
            let (service, stop) = service();
            let board = Arc::clone(&service.board);
            tokio::spawn(async move { board.run().await });
            let Body::Events(mut events) = service.stream().into_body() else { panic!("no stream") };
            let mut next = async || String::from_utf8(events.recv().await.unwrap().to_vec()).unwrap();
            assert!(next().await.starts_with("retry: 2000\n\nevent: state\n"));
            assert!(next().await.starts_with("event: change\n"));
            // Three seconds without a look: everything is told again, instead of six changes.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let (first, second) = (next().await, next().await);
            assert!(first.starts_with("event: change\n") && second.starts_with("event: state\n"), "{second}");
            stop.send_replace(true);
            while next().await != "event: end\ndata: {}\n\n" {}
            service.no_viewers().await;
        });
    }

    #[test]
    fn requests_are_answered_at_a_bounded_pace() {
        let (mut due, now) = (Duration::ZERO, Duration::from_secs(10));
        let turns: Vec<_> = (0..REQUESTS_AT_ONCE + REQUESTS_A_SECOND).map(|_| turn(&mut due, now)).collect();
        assert!(turns[..REQUESTS_AT_ONCE as usize].iter().all(|turn| *turn == now));
        assert_eq!(*turns.last().unwrap(), now + Duration::from_secs(1));
    }
}
