//! A scripted foreign tracker (protocol §2): follows the rules, or does not.

use crate::acceptor::{Acceptor, Gate};
use crate::address;
use crate::clock;
use crate::tracker_client::Entry;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// How many entries a tracker of the field lists at most.
const MAX_ENTRIES: usize = 20;

/// What a foreign tracker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// By the rules: up to 20 entries, the asker left out.
    Proper,
    /// Lists everybody it knows, the asker too, however many.
    Everybody,
    /// Status 1 and this message.
    Refusal(Vec<u8>),
    /// Status 0, this length claimed, some bytes, then silence.
    Claim(u32),
    /// A list that ends in the middle of an entry.
    Ragged,
    /// Closes at once.
    Close,
    /// Never answers.
    Silence,
    /// By the rules, every byte of the header in a segment of its own.
    HeaderByteByByte,
}

/// What a foreign tracker does with a request that is none to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Status 1 and a message.
    Refuse,
    /// Closes.
    Close,
    /// Never answers.
    Silence,
}

/// One request that arrived.
#[derive(Debug, Clone, Copy)]
pub struct Announce {
    /// When.
    pub at: Instant,
    /// 1 = list, 2 = subscribe and list.
    pub command: u32,
    /// The cascade hash.
    pub hash: [u8; 32],
    /// Where the asker says it listens.
    pub listen: SocketAddrV4,
    /// Where the connection comes from.
    pub from: SocketAddr,
}

#[derive(Default)]
struct State {
    listed: Vec<SocketAddr>,
    subscribers: BTreeMap<[u8; 32], Vec<SocketAddrV4>>,
    announces: Vec<Announce>,
    connections: usize,
    malformed: usize,
    beyond: Vec<Vec<u8>>,
}

struct Shared {
    manner: Manner,
    unknown: Unknown,
    state: Mutex<State>,
    gate: Gate,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A foreign tracker that listens; it vanishes when dropped.
pub struct ForeignTracker {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: Acceptor,
}

impl ForeignTracker {
    /// A tracker that follows the rules and lists these peers for every file, beside those that subscribe.
    #[must_use]
    pub fn listing(peers: &[SocketAddr]) -> Self {
        let tracker = Self::start(Manner::Proper);
        peers.iter().for_each(|peer| tracker.add(*peer));
        tracker
    }

    /// A tracker with the given manner that knows nobody.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        Self::over(address::listener(), manner)
    }

    /// The same on a port that was reserved for it.
    ///
    /// # Panics
    /// Somebody else listens there.
    #[must_use]
    pub fn start_at(manner: Manner, addr: SocketAddr) -> Self {
        let listener =
            TcpListener::bind(addr).unwrap_or_else(|error| panic!("cannot listen on {addr}: {error}"));
        Self::over(listener, manner)
    }

    fn over(listener: TcpListener, manner: Manner) -> Self {
        Self::with_habit(listener, manner, Unknown::Refuse)
    }

    /// A tracker that lists these peers by the rules, and does this with what it does not know.
    #[must_use]
    pub fn not_knowing(unknown: Unknown, peers: &[SocketAddr]) -> Self {
        let tracker = Self::with_habit(address::listener(), Manner::Proper, unknown);
        peers.iter().for_each(|peer| tracker.add(*peer));
        tracker
    }

    fn with_habit(listener: TcpListener, manner: Manner, unknown: Unknown) -> Self {
        let shared = Arc::new(Shared { manner, unknown, state: Mutex::default(), gate: Gate::default() });
        let acceptor = {
            let shared = Arc::clone(&shared);
            Acceptor::start(listener, shared.gate.clone(), move |number, stream| {
                accept(number, stream, &shared);
            })
        };
        Self { addr: acceptor.addr(), shared, _acceptor: acceptor }
    }

    /// Lists one more peer, for every file.
    pub fn add(&self, peer: SocketAddr) {
        self.shared.state().listed.push(peer);
    }

    /// Forgets everybody, as a tracker that is started again does.
    pub fn forget(&self) {
        let mut state = self.shared.state();
        state.listed.clear();
        state.subscribers.clear();
    }

    /// The requests so far.
    #[must_use]
    pub fn announces(&self) -> Vec<Announce> {
        self.shared.state().announces.clone()
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }

    /// Requests so far that were not 54 right bytes, but for [`ForeignTracker::beyond`].
    #[must_use]
    pub fn malformed(&self) -> usize {
        self.shared.state().malformed
    }

    /// What arrived of the requests so far with commands that version 1 does not have. They are no others.
    #[must_use]
    pub fn beyond(&self) -> Vec<Vec<u8>> {
        self.shared.state().beyond.clone()
    }

    /// The commands of those.
    #[must_use]
    pub fn commands_beyond(&self) -> Vec<u8> {
        self.shared.state().beyond.iter().map(|request| request[11]).collect()
    }

    /// Where the first peer that subscribed for `hash` listens, if one has by now.
    #[must_use]
    pub fn first_subscriber(&self, hash: &[u8; 32]) -> Option<SocketAddr> {
        self.shared.state().subscribers.get(hash)?.first().copied().map(SocketAddr::V4)
    }
}

fn accept(number: usize, mut stream: TcpStream, shared: &Arc<Shared>) {
    shared.state().connections += 1;
    if shared.gate.keep(number, &stream).is_err() {
        return;
    }
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        // What goes wrong is the asker's doing; it sees a close.
        let _ = serve(&mut stream, &shared);
        let _ = stream.shutdown(Shutdown::Both);
    });
}

fn serve(stream: &mut TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if shared.manner == Manner::Close {
        return Ok(());
    }
    let mut request = [0; 54];
    stream.read_exact(&mut request)?;
    let Some(announce) = parse(&request, stream.peer_addr()?) else {
        if is_beyond(&request) {
            let mut bytes = request.to_vec();
            let mut more = [0; 512];
            // The field's trackers read no more than they expect; this one looks at what has come.
            stream.set_nonblocking(true)?;
            let count = stream.read(&mut more).unwrap_or(0);
            stream.set_nonblocking(false)?;
            bytes.extend_from_slice(&more[..count]);
            shared.state().beyond.push(bytes);
        } else {
            shared.state().malformed += 1;
        }
        return match shared.unknown {
            Unknown::Refuse => respond(stream, 1, b"not a request"),
            Unknown::Close => Ok(()),
            Unknown::Silence => to_the_end(stream),
        };
    };
    shared.state().announces.push(announce);
    let list = list(shared, &announce);
    match &shared.manner {
        Manner::Proper | Manner::Everybody => respond(stream, 0, &list),
        Manner::Refusal(text) => respond(stream, 1, text),
        Manner::Claim(length) => {
            let header = [&[0], &length.to_be_bytes()[..], &list].concat();
            stream.write_all(&header)?;
            to_the_end(stream)
        }
        Manner::Ragged => respond(stream, 0, &[&list[..], b"1234567"].concat()),
        Manner::Close => Ok(()),
        Manner::Silence => to_the_end(stream),
        Manner::HeaderByteByByte => {
            let length = u32::try_from(list.len()).expect("a short list").to_be_bytes();
            for byte in [&[0], &length[..]].concat() {
                stream.write_all(&[byte])?;
                // The habit itself: each byte leaves alone, and is read alone.
                clock::breathe();
            }
            stream.write_all(&list)
        }
    }
}

/// Registers a subscriber and makes the list for this asker.
fn list(shared: &Shared, announce: &Announce) -> Vec<u8> {
    let mut state = shared.state();
    let subscribers = state.subscribers.entry(announce.hash).or_default();
    if announce.command == 2 && !subscribers.contains(&announce.listen) {
        subscribers.push(announce.listen);
    }
    let subscribers = subscribers.clone();
    let listed = state.listed.iter().map(|addr| {
        let (ip, port) = address::v4(*addr);
        SocketAddrV4::new(ip, port)
    });
    let everybody = shared.manner == Manner::Everybody;
    let wanted = listed.chain(subscribers).filter(|addr| everybody || *addr != announce.listen);
    let subscribed = u32::try_from(clock::unix_seconds()).unwrap_or(u32::MAX);
    let entries = wanted.map(|addr| Entry { addr, subscribed, good: 0, reserved: 0 }.bytes());
    let limit = if everybody { usize::MAX } else { MAX_ENTRIES };
    entries.take(limit).flatten().collect()
}

fn respond(stream: &mut TcpStream, status: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).expect("a short body");
    stream.write_all(&[&[status], &length.to_be_bytes()[..], body].concat())
}

fn to_the_end(stream: &mut TcpStream) -> io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

/// Whether a request is one but for a command that version 1 does not have, and its length.
fn is_beyond(request: &[u8; 54]) -> bool {
    request.starts_with(b"CASC\0\0\0\x01\0\0\0") && request[11] > 2
}

fn parse(request: &[u8; 54], from: SocketAddr) -> Option<Announce> {
    let number = |at: usize| request[at..at + 4].iter().fold(0, |all, byte| (all << 8) | u32::from(*byte));
    let right =
        request.starts_with(b"CASC") && number(4) == 1 && [1, 2].contains(&number(8)) && number(12) == 38;
    let listen =
        SocketAddrV4::new(Ipv4Addr::from(number(48)), u16::from_be_bytes([request[52], request[53]]));
    let hash = request[16..48].try_into().ok()?;
    right.then(|| Announce { at: clock::now(), command: number(8), hash, listen, from })
}
