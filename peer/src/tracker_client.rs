//! Asking a tracker (protocol §2): one connection, one request, one answer.

use crate::dial::Dial;
use crate::limits::{CONNECT_TIMEOUT, KEPT_MESSAGE_LEN, MAX_PEER_LIST_LEN, TRACKER_TIMEOUT};
use cascade_format::tracker_wire::{
    Command, PeerListError, RESPONSE_HEADER_LEN, STATUS_OK, TrackerRequest, TrackerResponseHeader,
    parse_peer_list,
};
use cascade_format::{CascadeHash, PeerAddr, text};
use cascade_swarm::Listening;
use cascade_swarm::ask::address;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Addresses of each family of one name that are tried.
const MAX_ADDRESSES: usize = 2;

/// Why a tracker gave no peer list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrackerError {
    /// The name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The name could not be looked up.
    #[error("cannot look up {0}: {1}")]
    LookUp(String, io::Error),
    /// It could not be reached.
    #[error("cannot reach it: {0}; is it running, and is the address right?")]
    Connect(io::Error),
    /// The conversation broke.
    #[error("the conversation broke: {0}")]
    Io(io::Error),
    /// It took too long.
    #[error("no answer within {} seconds", TRACKER_TIMEOUT.as_secs())]
    Timeout,
    /// It refused, in its own words.
    #[error("it refuses: {0}")]
    Refused(String),
    /// Its answer claims more than any peer list has.
    #[error("it announced an answer of {0} bytes, more than any peer list has")]
    TooLong(u32),
    /// Its answer is no peer list.
    #[error("its answer makes no sense: {0}")]
    List(#[from] PeerListError),
}

/// A peer list.
#[derive(Debug)]
pub(crate) struct PeerList {
    /// The peers, without the one that asked and without addresses that are worth no connection.
    pub peers: Vec<PeerAddr>,
    /// When the others subscribed, the first and the last of them, by the tracker's clock in seconds.
    pub subscribed: Option<(u32, u32)>,
    /// The addresses that were announced.
    pub announced: Vec<PeerAddr>,
}

/// How a peer shows itself to trackers.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Where it listens, if it does. All addresses stand for that of the connection to the tracker.
    pub listening: Option<Listening>,
}

/// Asks `tracker`, a `HOST:PORT`, about a file.
///
/// # Errors
/// Everything in [`TrackerError`]; all of them may pass.
pub(crate) async fn ask(
    tracker: &str,
    command: Command,
    cascade_hash: CascadeHash,
    identity: Identity,
) -> Result<PeerList, TrackerError> {
    timeout(TRACKER_TIMEOUT, converse(tracker, command, cascade_hash, identity))
        .await
        .map_err(|_| TrackerError::Timeout)?
}

/// The addresses of `host_port`, in the order in which the system prefers them: at most [`MAX_ADDRESSES`] of each
/// family.
///
/// # Errors
/// The name cannot be looked up, or has no address.
pub(crate) async fn resolve(host_port: &str) -> Result<Vec<PeerAddr>, TrackerError> {
    let found = lookup_host(host_port).await;
    let found = found.map_err(|error| TrackerError::LookUp(host_port.into(), error))?;
    let mut addrs: Vec<PeerAddr> = Vec::new();
    for addr in found.map(PeerAddr::from) {
        let of_family = addrs.iter().filter(|other| other.ip().is_ipv4() == addr.ip().is_ipv4()).count();
        if of_family < MAX_ADDRESSES && !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() { Err(TrackerError::NoAddress(host_port.into())) } else { Ok(addrs) }
}

async fn converse(
    tracker: &str,
    command: Command,
    cascade_hash: CascadeHash,
    identity: Identity,
) -> Result<PeerList, TrackerError> {
    let addr_of_tracker = resolve(tracker).await?.into_iter().find_map(|addr| addr.v4());
    let addr_of_tracker = addr_of_tracker.ok_or_else(|| TrackerError::NoAddress(tracker.into()))?;
    let dial = Dial::from(identity.listening);
    let connecting = timeout(CONNECT_TIMEOUT, dial.connect(addr_of_tracker.into())).await;
    let mut stream = connecting.unwrap_or_else(|late| Err(late.into())).map_err(TrackerError::Connect)?;
    let ours = local_ip(&stream).map_err(TrackerError::Io)?;
    let announced = announced(identity, ours);
    let request = TrackerRequest { command, cascade_hash, listen: announced };
    stream.write_all(&request.encode()).await.map_err(TrackerError::Io)?;
    let mut header = [0; RESPONSE_HEADER_LEN];
    stream.read_exact(&mut header).await.map_err(TrackerError::Io)?;
    let header = TrackerResponseHeader::parse(&header);
    if header.status != STATUS_OK {
        let mut message = Vec::new();
        let kept = u64::from(header.body_len).min(KEPT_MESSAGE_LEN as u64);
        // What arrived of the message is worth showing, even if the rest does not.
        let _ = stream.take(kept).read_to_end(&mut message).await;
        return Err(TrackerError::Refused(text::message(&message)));
    }
    if header.body_len > MAX_PEER_LIST_LEN {
        return Err(TrackerError::TooLong(header.body_len));
    }
    let mut body = Vec::new();
    let length = u64::from(header.body_len);
    let read = stream.take(length).read_to_end(&mut body).await.map_err(TrackerError::Io)?;
    if read as u64 != length {
        return Err(TrackerError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    let others: Vec<_> = parse_peer_list(&body)?.filter(|entry| entry.addr != announced).collect();
    let times = || others.iter().map(|entry| entry.subscribed);
    let subscribed = times().min().zip(times().max());
    let (teller, ours) = (IpAddr::V4(*addr_of_tracker.ip()), IpAddr::V4(ours));
    let worth = |addr: &PeerAddr| address::may_be_told(*addr, teller, ours);
    let peers = others.iter().map(|entry| entry.addr.into()).filter(worth).collect();
    Ok(PeerList { peers, subscribed, announced: vec![announced.into()] })
}

/// Where this end of the connection is.
fn local_ip(stream: &TcpStream) -> io::Result<Ipv4Addr> {
    Ok(match stream.local_addr()?.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    })
}

fn announced(identity: Identity, ours: Ipv4Addr) -> SocketAddrV4 {
    let own = identity.listening.and_then(|listening| listening.v4()).filter(|ip| !ip.is_unspecified());
    SocketAddrV4::new(own.unwrap_or(ours), identity.listening.map_or(0, |listening| listening.port()))
}
