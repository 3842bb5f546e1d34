//! A scripted web server with objects, of which it gives ranges: it counts what it sends, and has bad habits on
//! demand.

use crate::acceptor::{Acceptor, Gate};
use crate::clock;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// An object.
#[derive(Debug, Clone)]
pub enum Object {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// This number of zeroes, which are nowhere.
    Zeroes(usize),
}

impl Object {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Zeroes(len) => *len,
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, range: Range<usize>) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes[range].to_vec(),
            Self::Zeroes(_) => vec![0; range.len()],
        }
    }
}

/// What bytes go over: a connection, or what encrypts it.
pub trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// What it gives, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Habit {
    /// The range that was asked for.
    Honest,
    /// The same with the bytes in this range spoiled.
    Spoils(Range<usize>),
    /// The same, with a pause before each so many bytes.
    Slow(usize, Duration),
    /// Nothing, ever.
    Silent,
    /// The whole object, as if no range was asked for.
    Whole,
    /// This status, and a long page.
    Status(u16),
    /// A redirection to this address.
    Redirects(String),
    /// So many bytes of the range, then it closes.
    Cuts(usize),
    /// Another range than was asked for, of the right length.
    Elsewhere,
    /// The range, of an object that is longer than it is.
    Longer,
}

/// What a client has asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The path, with what follows it.
    pub path: String,
    /// The bytes.
    pub range: Option<Range<usize>>,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct ObjectServer {
    acceptor: Acceptor,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// By their paths.
    objects: HashMap<String, Object>,
    /// At all other paths.
    object: Option<Object>,
    tag: String,
    habit: Habit,
    sent: u64,
    asked: Vec<Asked>,
    /// Requests that are being answered, and the most at one time.
    under_way: (usize, usize),
}

impl ObjectServer {
    /// Has this object at every path.
    ///
    /// # Panics
    /// There is no port.
    #[must_use]
    pub fn start(object: Arc<[u8]>) -> Self {
        Self::start_over(Some(Object::Bytes(object)), |stream| Some(Box::new(stream)))
    }

    /// Has nothing yet.
    ///
    /// # Panics
    /// There is no port.
    #[must_use]
    pub fn empty() -> Self {
        Self::start_over(None, |stream| Some(Box::new(stream)))
    }

    /// Has this object at every path, or none, over what is made of each connection.
    ///
    /// # Panics
    /// There is no port.
    #[must_use]
    pub fn start_over(
        object: Option<Object>,
        over: impl Fn(TcpStream) -> Option<Box<dyn Wire>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let state = State {
            objects: HashMap::new(),
            object,
            tag: "\"one\"".to_owned(),
            habit: Habit::Honest,
            sent: 0,
            asked: Vec::new(),
            under_way: (0, 0),
        };
        let (state, gate, over) = (Arc::new(Mutex::new(state)), Gate::default(), Arc::new(over));
        let shared = Arc::clone(&state);
        let acceptor = Acceptor::start(listener, gate.clone(), move |number, stream| {
            let (state, gate, over) = (Arc::clone(&shared), gate.clone(), Arc::clone(&over));
            if gate.keep(number, &stream).is_ok() {
                thread::spawn(move || {
                    if let Some(wire) = over(stream) {
                        let _ = serve(&state, &gate, wire);
                    }
                    gate.forget(number);
                });
            }
        });
        Self { acceptor, state }
    }

    /// Has this object at `path` from now on.
    pub fn put(&self, path: &str, object: Object) {
        self.state().objects.insert(path.to_owned(), object);
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.acceptor.addr()
    }

    /// The address of the object.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/object", self.addr())
    }

    /// Does this from now on.
    pub fn behave(&self, habit: Habit) {
        self.state().habit = habit;
    }

    /// Has another object from now on, with another tag.
    pub fn replace(&self, object: Arc<[u8]>) {
        let mut state = self.state();
        (state.object, state.tag) = (Some(Object::Bytes(object)), "\"two\"".to_owned());
    }

    /// Bytes of the object that it has sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.state().sent
    }

    /// What it was asked for.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// The most requests that it answered at one time.
    #[must_use]
    pub fn most_under_way(&self) -> usize {
        self.state().under_way.1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(state: &Mutex<State>, gate: &Gate, wire: Box<dyn Wire>) -> io::Result<()> {
    let mut reader = BufReader::new(wire);
    while !gate.is_closed() {
        let Some(asked) = read_request(&mut reader)? else { return Ok(()) };
        {
            let mut state = lock(state);
            state.asked.push(asked.clone());
            state.under_way.0 += 1;
            state.under_way.1 = state.under_way.1.max(state.under_way.0);
        }
        let done = answer(state, gate, &asked, reader.get_mut());
        lock(state).under_way.0 -= 1;
        if !done? {
            return Ok(());
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut asked = Asked { path, range: None, authorization: None };
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(Some(asked)) };
        match name.to_ascii_lowercase().as_str() {
            "range" => asked.range = range(value.trim()),
            "authorization" => asked.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
}

/// `bytes=0-9`, both included.
fn range(text: &str) -> Option<Range<usize>> {
    let (start, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    Some(start.parse().ok()?..last.parse::<usize>().ok()? + 1)
}

/// False: the connection is closed.
fn answer(state: &Mutex<State>, gate: &Gate, asked: &Asked, stream: &mut dyn Wire) -> io::Result<bool> {
    let (object, habit, tag) = {
        let state = lock(state);
        let object = state.objects.get(&asked.path).or(state.object.as_ref()).cloned();
        (object, state.habit.clone(), state.tag.clone())
    };
    let Some(object) = object else {
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    };
    let whole = 0..object.len();
    let wanted =
        asked.range.clone().filter(|range| range.end <= object.len()).unwrap_or_else(|| whole.clone());
    match &habit {
        Habit::Silent => {
            while !gate.is_closed() {
                clock::breathe();
            }
            return Ok(false);
        }
        Habit::Status(status) => {
            let head = format!("HTTP/1.1 {status} No\r\nContent-Length: 100000000\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            // Whoever reads all of it reads long.
            while stream.write_all(&[b'x'; 10_000]).is_ok() && !gate.is_closed() {}
            return Ok(false);
        }
        Habit::Redirects(to) => {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            return Ok(true);
        }
        Habit::Honest
        | Habit::Spoils(_)
        | Habit::Slow(..)
        | Habit::Whole
        | Habit::Cuts(_)
        | Habit::Elsewhere
        | Habit::Longer => {}
    }
    let (status, sent) = if habit == Habit::Whole { (200, whole) } else { (206, wanted) };
    let claimed =
        if habit == Habit::Elsewhere && sent.start > 0 { sent.start - 1..sent.end - 1 } else { sent.clone() };
    let length = object.len() + usize::from(habit == Habit::Longer);
    let mut head = format!("HTTP/1.1 {status} OK\r\nETag: {tag}\r\nContent-Length: {}\r\n", sent.len());
    if status == 206 {
        head.push_str(&format!("Content-Range: bytes {}-{}/{length}\r\n", claimed.start, claimed.end - 1));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    send_body(state, gate, &habit, (&object, sent), stream)
}

fn send_body(
    state: &Mutex<State>,
    gate: &Gate,
    habit: &Habit,
    (object, range): (&Object, Range<usize>),
    stream: &mut dyn Wire,
) -> io::Result<bool> {
    let piece = if let Habit::Slow(bytes, _) = habit { *bytes } else { 64 << 10 };
    let mut at = range.start;
    while at < range.end && !gate.is_closed() {
        if let Habit::Slow(_, pause) = habit {
            clock::pause(*pause);
        }
        let mut end = (at + piece).min(range.end);
        if let Habit::Cuts(after) = habit {
            end = end.min(range.start + after);
        }
        let mut bytes = object.part(at..end);
        if let Habit::Spoils(spoiled) = habit {
            for number in spoiled.start.max(at)..spoiled.end.min(end) {
                bytes[number - at] ^= 1;
            }
        }
        stream.write_all(&bytes)?;
        stream.flush()?;
        lock(state).sent += bytes.len() as u64;
        at = end;
        if matches!(habit, Habit::Cuts(after) if at - range.start >= *after) {
            return Ok(false);
        }
    }
    Ok(at >= range.end)
}
