//! Asking a tracker (protocol §2): one connection, one request, one answer.
//!
//! A tracker is told how far this peer is, and when it does not know that command, asked for the addresses of both
//! families; when it does not know that either, for those of IPv4.
//!
//! | module | what it holds |
//! |---|---|
//! | `forms` | which commands trackers know |
//! | `addresses` | by which addresses this peer is registered |
//! | `connect` | a connection to one of several addresses |

mod addresses;
mod connect;
mod forms;

use crate::clock;
use crate::dial::Dial;
use crate::limits::{GOODBYE_TIMEOUT, KEPT_MESSAGE_LEN, MAX_PEER_LIST_LEN, TRACKER_TIMEOUT};
use addresses::{Addresses, Connection, To};
use cascade_format::tracker_room::Report;
use cascade_format::tracker_wide::{self, Form, WideRequest};
use cascade_format::tracker_wire::{
    self, Command, PeerListError, RESPONSE_HEADER_LEN, STATUS_OK, TrackerRequest, TrackerResponseHeader,
};
use cascade_format::{CascadeHash, PeerAddr, text};
use cascade_swarm::Listening;
use cascade_swarm::ask::address;
use connect::{connect_any, in_turn};
pub(crate) use forms::Forms;
use forms::Level;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// Addresses of each family of one name that are tried.
const MAX_ADDRESSES: usize = 2;

/// How long a tracker may take to answer commands beyond version 1: some of the field never answer what they do not
/// know.
const PATIENCE: Duration = Duration::from_secs(4);

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
    #[error("cannot reach it: {}; {}", .0, to_look_at(.0))]
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
    /// It does not know what a report is, and nothing else was to be asked.
    #[error("it keeps no room")]
    NoRoom,
}

/// What the user may look at when a tracker cannot be reached: a machine without a network is no fault of the tracker's.
fn to_look_at(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NetworkUnreachable {
        "is this machine connected to a network?"
    } else {
        "is it running, and is the address right?"
    }
}

/// A peer list.
#[derive(Debug)]
pub(crate) struct PeerList {
    /// The peers, without the one that asked and without addresses that are worth no connection.
    pub peers: Vec<PeerAddr>,
    /// When the others subscribed, the first and the last of them, by the tracker's clock in seconds.
    pub subscribed: Option<(u32, u32)>,
    /// The addresses by which the tracker knows this peer, or soon will.
    pub announced: Vec<PeerAddr>,
    /// Whether it has taken a report.
    pub reported: bool,
    /// What is still to be registered, if anything.
    pub second: Option<Second>,
}

/// How a peer shows itself to trackers.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Where it listens, if it does. All addresses stand for that of the connection to the tracker.
    pub listening: Option<Listening>,
    /// What is known of the trackers.
    pub(crate) forms: Arc<Forms>,
}

/// Asks `tracker`, a `HOST:PORT`, about a file.
///
/// # Errors
/// Everything in [`TrackerError`]; all of them may pass.
pub(crate) async fn ask(
    tracker: &str,
    question: Question,
    identity: &Identity,
) -> Result<PeerList, TrackerError> {
    let asking = async {
        let addrs = lookup(tracker).await?;
        Round { tracker, question, identity, addrs: &addrs }.run().await
    };
    timeout(TRACKER_TIMEOUT, asking).await.map_err(|_| TrackerError::Timeout)?
}

/// Takes leave of `tracker`, which has taken reports: `goodbye` says so, for each address.
pub(crate) async fn leave(tracker: &str, goodbye: Report, identity: &Identity) {
    let leaving = async {
        let addrs = lookup(tracker).await?;
        let cascade_hash = goodbye.cascade_hash;
        let question = Question { command: None, cascade_hash, report: Some(goodbye) };
        let round = Round { tracker, question, identity, addrs: &addrs };
        let dial = Dial::from(identity.listening);
        let (stream, to) = connect_any(dial, &addrs).await.map_err(TrackerError::Connect)?;
        let list = round.converse(Way::Report(goodbye), stream, to).await?;
        if let Some(second) = list.second {
            second.register().await;
        }
        Ok::<_, TrackerError>(())
    };
    // There is nobody left to tell.
    let _ = timeout(GOODBYE_TIMEOUT, leaving).await;
}

/// Asks `tracker` something that is no question for peers; the body of the answer.
///
/// # Errors
/// Everything in [`TrackerError`].
pub(crate) async fn exchange(tracker: &str, request: &[u8]) -> Result<Vec<u8>, TrackerError> {
    let asking = async {
        let addrs = lookup(tracker).await?;
        let (mut stream, _) = connect_any(Dial::from(None), &addrs).await.map_err(TrackerError::Connect)?;
        stream.write_all(request).await.map_err(TrackerError::Io)?;
        read_body(&mut stream).await
    };
    timeout(TRACKER_TIMEOUT, asking).await.map_err(|_| TrackerError::Timeout)?
}

/// The addresses of `host_port`, in the order in which the system prefers them: at most [`MAX_ADDRESSES`] of each
/// family.
///
/// # Errors
/// The name cannot be looked up, or has no address.
pub(crate) async fn resolve(host_port: &str) -> Result<Vec<PeerAddr>, TrackerError> {
    Ok(lookup(host_port).await?.into_iter().map(PeerAddr::from).collect())
}

async fn lookup(host_port: &str) -> Result<Vec<SocketAddr>, TrackerError> {
    let found = lookup_host(host_port).await;
    let found = found.map_err(|error| TrackerError::LookUp(host_port.into(), error))?;
    let mut addrs: Vec<SocketAddr> = Vec::new();
    for mut addr in found {
        if addr.ip() != addr.ip().to_canonical() {
            addr.set_ip(addr.ip().to_canonical());
        }
        let of_family = addrs.iter().filter(|other| other.is_ipv4() == addr.is_ipv4()).count();
        if of_family < MAX_ADDRESSES && !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    if addrs.is_empty() { Err(TrackerError::NoAddress(host_port.into())) } else { Ok(in_turn(&addrs)) }
}

/// What a tracker is asked about a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    /// What is asked where a report is not understood, or there is none.
    pub(crate) command: Option<Command>,
    pub(crate) cascade_hash: CascadeHash,
    /// How far this peer is, where it has something to tell. The address in it is put in when it is known.
    pub(crate) report: Option<Report>,
}

/// In which way it is asked.
#[derive(Debug, Clone, Copy)]
enum Way {
    Peers(Form),
    Report(Report),
}

impl Way {
    /// In which form peers are listed in the answer.
    const fn form(self) -> Form {
        match self {
            Self::Peers(form) => form,
            Self::Report(_) => Form::Wide,
        }
    }

    /// The report, if it is one.
    const fn report(self) -> Option<Report> {
        match self {
            Self::Peers(_) => None,
            Self::Report(report) => Some(report),
        }
    }

    /// Whether addresses of IPv6 are of no use.
    fn is_v4_only(self) -> bool {
        self.report().is_some_and(|report| report.v4_only)
    }
}

/// One question to one tracker, in one way after the other.
struct Round<'a> {
    tracker: &'a str,
    question: Question,
    identity: &'a Identity,
    /// The tracker's.
    addrs: &'a [SocketAddr],
}

impl Round<'_> {
    async fn run(&self) -> Result<PeerList, TrackerError> {
        let (forms, dial) = (&self.identity.forms, Dial::from(self.identity.listening));
        let plain: Vec<_> = self.addrs.iter().copied().filter(SocketAddr::is_ipv4).collect();
        let plain = if plain.is_empty() { self.addrs } else { &plain };
        let level = forms.level(self.tracker, clock::now());
        // Whatever goes wrong, it may be that the tracker does not know a command.
        let (mut tried, mut refused, mut patience) = (None, false, PATIENCE);
        if let Some(report) = self.question.report.filter(|_| level == Level::Room) {
            let (stream, to) = connect_any(dial, self.addrs).await.map_err(TrackerError::Connect)?;
            let report = Report { v4_only: !self.wants_wide(&stream), ..report };
            match timeout(patience, self.converse(Way::Report(report), stream, to)).await {
                Ok(Ok(list)) => {
                    forms.answered(self.tracker, Level::Room, false, clock::now());
                    return Ok(list);
                }
                Ok(Err(error)) => refused = matches!(error, TrackerError::Refused(_)),
                // It says nothing to what it does not know.
                Err(_) => patience = Duration::ZERO,
            }
            tried = Some(Level::Room);
            if self.question.command.is_none() {
                // Whether it knows both families will be seen when there is something to ask.
                forms.no_room(self.tracker, refused, clock::now());
                return Err(TrackerError::NoRoom);
            }
        }
        if level >= Level::Wide && !patience.is_zero() {
            let (stream, to) = connect_any(dial, self.addrs).await.map_err(TrackerError::Connect)?;
            if self.wants_wide(&stream) {
                let asked = timeout(patience, self.converse(Way::Peers(Form::Wide), stream, to)).await;
                if let Ok(Ok(list)) = asked {
                    if tried.is_some() {
                        forms.answered(self.tracker, Level::Wide, refused, clock::now());
                    }
                    return Ok(list);
                }
                refused |= matches!(asked, Ok(Err(TrackerError::Refused(_))));
                tried = Some(Level::Wide);
            } else {
                let list = self.converse(Way::Peers(Form::Plain), stream, to).await?;
                if tried.is_some() {
                    forms.answered(self.tracker, Level::Plain, refused, clock::now());
                }
                return Ok(list);
            }
        }
        let (stream, to) = connect_any(dial, plain).await.map_err(TrackerError::Connect)?;
        let list = self.converse(Way::Peers(Form::Plain), stream, to).await?;
        if tried.is_some() {
            forms.answered(self.tracker, Level::Plain, refused, clock::now());
        }
        Ok(list)
    }

    /// Whether addresses of IPv6 are of use: a machine without IPv6 would lose half of its list to them. Who asks by an
    /// IPv4 loopback address has none to register, and is told of those of others by them.
    fn wants_wide(&self, stream: &TcpStream) -> bool {
        let own = self.identity.listening.and_then(|listening| listening.v6());
        let ours = local_ip(stream).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let one_v6 = own.is_some_and(|ip| !ip.is_unspecified());
        ours.is_ipv6() || one_v6 || (!ours.is_loopback() && To::WorldV6.source().is_some())
    }

    /// Asks over a connection to `to`, an address of the tracker.
    async fn converse(
        &self,
        way: Way,
        mut stream: TcpStream,
        to: SocketAddr,
    ) -> Result<PeerList, TrackerError> {
        let ours = local_ip(&stream).map_err(TrackerError::Io)?;
        let form = way.form();
        let own = self.own_addresses(ours);
        let own = if way.is_v4_only() { Addresses { v6: None, ..own } } else { own };
        let (listen, request) = self.request(way, &own, to);
        stream.write_all(&request).await.map_err(TrackerError::Io)?;
        let body = read_body(&mut stream).await?;
        let announced: Vec<_> =
            if form == Form::Wide { own.all().collect() } else { own.v4.into_iter().collect() };
        let mut others = entries(form, &body)?;
        others.retain(|(addr, _)| !announced.contains(addr));
        let times = || others.iter().map(|(_, subscribed)| *subscribed);
        let subscribed = times().min().zip(times().max());
        let worth = |addr: &PeerAddr| address::may_be_told(*addr, to.ip().to_canonical(), ours);
        let peers = others.iter().map(|(addr, _)| *addr).filter(worth).collect();
        let is_second = |addr: &PeerAddr| Some(*addr) != listen;
        let registers = way.report().is_some() || self.question.command == Some(Command::Subscribe);
        let both = form == Form::Wide && registers;
        let second = own.all().find(is_second).filter(|_| both);
        let second = second.map(|listen| Second {
            cascade_hash: self.question.cascade_hash,
            listen,
            report: way.report(),
            to: self.addrs.iter().copied().find(|addr| addr.is_ipv4() == listen.ip().is_ipv4()).unwrap_or(to),
            listening: self.identity.listening,
        });
        let reported = way.report().is_some();
        Ok(PeerList { peers, subscribed, announced, reported, second })
    }

    fn own_addresses(&self, ours: IpAddr) -> Addresses {
        let connection = Connection { ours, tracker: self.addrs };
        Addresses::new(self.identity.listening, connection, To::source)
    }

    /// The address that it announces, and the request.
    fn request(&self, way: Way, own: &Addresses, to: SocketAddr) -> (Option<PeerAddr>, Vec<u8>) {
        let Question { command, cascade_hash, .. } = self.question;
        let command = command.unwrap_or(Command::List);
        let nobody = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        match way {
            Way::Report(report) => {
                let listen = own.best_for(to.ip());
                let report = Report { listen: listen.unwrap_or(nobody.into()), ..report };
                (listen, report.encode())
            }
            Way::Peers(Form::Wide) => {
                let listen = own.best_for(to.ip());
                let request = WideRequest { command, cascade_hash, listen: listen.unwrap_or(nobody.into()) };
                (listen, request.encode().into())
            }
            Way::Peers(Form::Plain) => {
                let listen = own.v4.and_then(|addr| addr.v4());
                // Version 1 has no way to register who listens on IPv6 alone.
                let command = if listen.is_some() { command } else { Command::List };
                let request = TrackerRequest { command, cascade_hash, listen: listen.unwrap_or(nobody) };
                (own.v4, request.encode().into())
            }
        }
    }
}

/// Registers a peer's other address with a tracker that knows both families.
#[derive(Debug)]
pub(crate) struct Second {
    cascade_hash: CascadeHash,
    listen: PeerAddr,
    /// The first one was registered with this.
    report: Option<Report>,
    to: SocketAddr,
    listening: Option<Listening>,
}

impl Second {
    /// Does it, if that can be done. The first registration counts; this one is made again with the next.
    pub(crate) async fn register(self) {
        let Self { cascade_hash, listen, report, to, listening } = self;
        let _ = timeout(TRACKER_TIMEOUT, async {
            let mut stream = Dial::from(listening).connect(to).await?;
            let plain = WideRequest { command: Command::Subscribe, cascade_hash, listen };
            let request = report.map(|report| Report { listen, ..report }.encode());
            stream.write_all(&request.unwrap_or_else(|| plain.encode().into())).await?;
            // It is answered to the end: some programs die of less.
            let _ = read_body(&mut stream).await;
            io::Result::Ok(())
        })
        .await;
    }
}

/// Reads an answer.
async fn read_body(stream: &mut TcpStream) -> Result<Vec<u8>, TrackerError> {
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

/// The peers in an answer, and when each has subscribed.
fn entries(form: Form, body: &[u8]) -> Result<Vec<(PeerAddr, u32)>, PeerListError> {
    Ok(match form {
        Form::Wide => {
            tracker_wide::parse_peer_list(body)?.map(|entry| (entry.addr, entry.subscribed)).collect()
        }
        Form::Plain => {
            tracker_wire::parse_peer_list(body)?.map(|entry| (entry.addr.into(), entry.subscribed)).collect()
        }
    })
}

/// Where this end of the connection is.
fn local_ip(stream: &TcpStream) -> io::Result<IpAddr> {
    Ok(stream.local_addr()?.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_network_does_not_blame_the_tracker() {
        let told = |kind: io::ErrorKind| TrackerError::Connect(kind.into()).to_string();
        let alone = told(io::ErrorKind::NetworkUnreachable);
        assert!(alone.ends_with("; is this machine connected to a network?"), "{alone}");
        let refused = told(io::ErrorKind::ConnectionRefused);
        assert!(refused.ends_with("; is it running, and is the address right?"), "{refused}");
    }
}
