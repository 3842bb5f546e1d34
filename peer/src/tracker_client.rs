//! Asking a tracker (protocol §2): one connection, one request, one answer.

use crate::dial::Dial;
use crate::limits::{CONNECT_TIMEOUT, KEPT_MESSAGE_LEN, MAX_PEER_LIST_LEN, TRACKER_TIMEOUT};
use cascade_format::tracker_room::Report;
use cascade_format::tracker_wide;
use cascade_format::tracker_wire::{
    Command, PeerListError, RESPONSE_HEADER_LEN, STATUS_OK, TrackerRequest, TrackerResponseHeader,
    parse_peer_list,
};
use cascade_format::{CascadeHash, PeerAddr, text};
use cascade_swarm::ask::address;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Why a tracker gave no peer list.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrackerError {
    /// The name has no address that the protocol can carry.
    #[error("{0} has no IPv4 address")]
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

impl TrackerError {
    /// Whether nothing was said at all.
    pub(crate) const fn is_unreachable(&self) -> bool {
        matches!(self, Self::NoAddress(_) | Self::LookUp(..) | Self::Connect(_))
    }
}

/// A peer list.
#[derive(Debug)]
pub(crate) struct PeerList {
    /// The peers, without the one that asked and without addresses that are worth no connection.
    pub peers: Vec<SocketAddrV4>,
    /// When the others subscribed, the first and the last of them, by the tracker's clock in seconds.
    pub subscribed: Option<(u32, u32)>,
    /// The address that was announced.
    pub announced: SocketAddrV4,
}

/// How a peer shows itself to trackers.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Where it listens. An unspecified address stands for that of the connection to the tracker.
    pub listen: SocketAddrV4,
}

impl Identity {
    /// Where it listens, as it is known without a connection.
    #[must_use]
    pub(crate) const fn nowhere(&self) -> PeerAddr {
        PeerAddr::new(IpAddr::V4(*self.listen.ip()), self.listen.port())
    }
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

/// The first IPv4 address of `host_port`: the protocol carries no other.
///
/// # Errors
/// The name cannot be looked up, or has no such address.
pub(crate) async fn resolve(host_port: &str) -> Result<SocketAddrV4, TrackerError> {
    let found = lookup_host(host_port).await;
    let mut found = found.map_err(|error| TrackerError::LookUp(host_port.into(), error))?;
    let first = found.find_map(|addr| match addr {
        SocketAddr::V4(addr) => Some(addr),
        SocketAddr::V6(_) => None,
    });
    first.ok_or_else(|| TrackerError::NoAddress(host_port.into()))
}

/// Sends `tracker` a report. The address in it becomes that at which this peer listens, as it is seen on this connection.
///
/// # Errors
/// Everything in [`TrackerError`]: a tracker of version 1 refuses, or closes the connection.
pub(crate) async fn report(
    tracker: &str,
    report: Report,
    identity: Identity,
) -> Result<PeerList, TrackerError> {
    let conversation = async {
        let (mut stream, teller, ours) = connect(tracker, identity).await?;
        let announced = announced(identity, ours);
        let report = Report { listen: announced.into(), ..report };
        stream.write_all(&report.encode()).await.map_err(TrackerError::Io)?;
        let body = read_answer(stream).await?;
        let entries = tracker_wide::parse_peer_list(&body)?;
        // Addresses of the other family mean nothing to this peer.
        let entries = entries.filter_map(|entry| Some((entry.addr.v4()?, entry.subscribed)));
        Ok(peer_list(entries, announced, teller, ours))
    };
    timeout(TRACKER_TIMEOUT, conversation).await.map_err(|_| TrackerError::Timeout)?
}

/// A connection to a tracker, where the tracker is, and where this end is.
async fn connect(tracker: &str, identity: Identity) -> Result<(TcpStream, Ipv4Addr, Ipv4Addr), TrackerError> {
    let addr_of_tracker = resolve(tracker).await?;
    let connecting =
        timeout(CONNECT_TIMEOUT, Dial::from(*identity.listen.ip()).connect(addr_of_tracker)).await;
    let stream = connecting.unwrap_or_else(|late| Err(late.into())).map_err(TrackerError::Connect)?;
    let ours = local_ip(&stream).map_err(TrackerError::Io)?;
    Ok((stream, *addr_of_tracker.ip(), ours))
}

async fn converse(
    tracker: &str,
    command: Command,
    cascade_hash: CascadeHash,
    identity: Identity,
) -> Result<PeerList, TrackerError> {
    let (mut stream, teller, ours) = connect(tracker, identity).await?;
    let announced = announced(identity, ours);
    let request = TrackerRequest { command, cascade_hash, listen: announced };
    stream.write_all(&request.encode()).await.map_err(TrackerError::Io)?;
    let body = read_answer(stream).await?;
    let entries = parse_peer_list(&body)?.map(|entry| (entry.addr, entry.subscribed));
    Ok(peer_list(entries, announced, teller, ours))
}

/// What `entries` of the tracker at `teller` are worth to a peer at `ours` that was announced as `announced`.
fn peer_list(
    entries: impl Iterator<Item = (SocketAddrV4, u32)>,
    announced: SocketAddrV4,
    teller: Ipv4Addr,
    ours: Ipv4Addr,
) -> PeerList {
    let others: Vec<_> = entries.filter(|(addr, _)| *addr != announced).collect();
    let times = || others.iter().map(|(_, subscribed)| *subscribed);
    let subscribed = times().min().zip(times().max());
    let worth = |addr: &SocketAddrV4| address::may_be_told(*addr, teller, ours);
    let peers = others.iter().map(|(addr, _)| *addr).filter(worth).collect();
    PeerList { peers, subscribed, announced }
}

/// Reads an answer to its end; what is in its body, where it is no refusal.
pub(crate) async fn read_answer(mut stream: TcpStream) -> Result<Vec<u8>, TrackerError> {
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
    Ok(body)
}

/// Where this end of the connection is.
fn local_ip(stream: &TcpStream) -> io::Result<Ipv4Addr> {
    Ok(match stream.local_addr()?.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    })
}

fn announced(identity: Identity, ours: Ipv4Addr) -> SocketAddrV4 {
    let ip = if identity.listen.ip().is_unspecified() { ours } else { *identity.listen.ip() };
    SocketAddrV4::new(ip, identity.listen.port())
}
