//! Addresses with a property: nobody listens there, a process may listen there later, connections are
//! taken and never answered.

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

/// A port of 127.0.0.1, or of every address, on which nobody listens while this lives, so that connections to it are
/// refused.
///
/// The port is bound, so nobody is given it by chance; a process told to listen on it can (`SO_REUSEADDR`
/// on both sides).
#[derive(Debug)]
pub struct Reserved {
    /// The address.
    pub addr: SocketAddr,
    _socket: OwnedFd,
}

impl Reserved {
    /// Reserves a free port.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a port is taken from the system: no default value")]
    pub fn new() -> Self {
        Self::at(Ipv4Addr::LOCALHOST)
    }

    /// Reserves a port that is free at every address of this machine, for a process that listens on all of them.
    #[must_use]
    pub fn everywhere() -> Self {
        Self::at(Ipv4Addr::UNSPECIFIED)
    }

    fn at(ip: Ipv4Addr) -> Self {
        let socket = new_socket();
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true).expect("SO_REUSEADDR");
        bind(&socket, &SocketAddrV4::new(ip, 0)).expect("a free port");
        let addr = SocketAddr::try_from(getsockname(&socket).expect("the port")).expect("an IPv4 address");
        Self { addr, _socket: socket }
    }
}

/// A listener whose backlog takes connections and whom nobody serves: a connection succeeds, and then
/// nothing is ever heard.
#[derive(Debug)]
pub struct Mute {
    /// The address.
    pub addr: SocketAddr,
    _listener: TcpListener,
}

impl Mute {
    /// Listens on a free port of 127.0.0.1.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a port is taken from the system: no default value")]
    pub fn new() -> Self {
        Self::on_host(1)
    }

    /// Listens on a free port of the host 127.0.0.`host`, which is this machine as well.
    #[must_use]
    pub fn on_host(host: u8) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 0)).expect("a free port");
        Self { addr: listener.local_addr().expect("the port"), _listener: listener }
    }
}

/// A listener on a free port of 127.0.0.1 with a backlog that a crowd fits into.
#[must_use]
pub fn listener() -> TcpListener {
    let socket = new_socket();
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listen(&socket, 1024).expect("a listener");
    TcpListener::from(socket)
}

/// Connects to `to` from the local address `from` (every 127.x.y.z is local), any port.
///
/// # Panics
/// The connection fails.
#[must_use]
pub fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = new_socket();
    bind(&socket, &SocketAddrV4::new(from, 0)).unwrap_or_else(|error| panic!("bind {from}: {error}"));
    connect(&socket, &to).unwrap_or_else(|error| panic!("connect {from} to {to}: {error}"));
    TcpStream::from(socket)
}

/// A TCP socket that no child process inherits: it would keep the port alive.
fn new_socket() -> OwnedFd {
    socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).expect("a socket")
}

/// The IPv4 address and port in `addr`.
///
/// # Panics
/// An IPv6 address: the protocol has none.
#[must_use]
pub fn v4(addr: SocketAddr) -> (Ipv4Addr, u16) {
    match addr.ip() {
        IpAddr::V4(ip) => (ip, addr.port()),
        IpAddr::V6(_) => panic!("{addr} is not an IPv4 address"),
    }
}
