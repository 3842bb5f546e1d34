//! The socket that a peer listens on.

use cascade_swarm::Listening;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};

/// Connections that may wait until the accepting thread starts, which asks for more.
const BACKLOG: i32 = 128;

/// Listens; where port 0 is wanted, on a port that the system chooses, the same for both families.
///
/// Both families share one socket, whose IPv4 clients have addresses such as `::ffff:192.0.2.1`: it takes one
/// descriptor, and the port is free in both or not at all. On a machine without IPv6 it is an IPv4 socket.
///
/// # Errors
/// The address is taken, or not one of this machine's.
pub(crate) fn bind(wanted: Listening) -> io::Result<(TcpListener, Listening)> {
    match (wanted.v4(), wanted.v6()) {
        (Some(_), Some(_)) => match open(IpAddr::V6(Ipv6Addr::UNSPECIFIED), wanted, false) {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => bind(wanted.without_v6()),
            bound => bound,
        },
        (Some(ip), None) => open(IpAddr::V4(ip), wanted, false),
        (None, Some(ip)) => open(IpAddr::V6(ip), wanted, true),
        (None, None) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn open(ip: IpAddr, wanted: Listening, only_v6: bool) -> io::Result<(TcpListener, Listening)> {
    let socket = Socket::new(Domain::for_address((ip, 0).into()), Type::STREAM, Some(Protocol::TCP))?;
    if ip.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // As the standard library does: the port of a process that has just ended can be had again.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(ip, wanted.port()).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let port = listener.local_addr()?.port();
    Ok((listener, wanted.with_port(port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpStream};

    /// Whether this machine has IPv6; a test that needs it says so otherwise.
    fn has_v6() -> bool {
        let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        if !has {
            eprintln!("skipped: this machine has no IPv6");
        }
        has
    }

    #[test]
    fn both_families_are_heard_on_one_port() {
        let (listener, listening) = bind(Listening::everywhere(0)).unwrap();
        let port = listening.port();
        assert!(port != 0 && listening.v4().is_some());
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip().to_canonical(), Ipv4Addr::LOCALHOST);
        if has_v6() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
            assert_eq!(listener.accept().unwrap().1.ip(), Ipv6Addr::LOCALHOST);
        }
    }

    #[test]
    fn a_port_that_is_taken_in_one_family_is_taken() {
        let taken = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(Listening::everywhere(port)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn one_address_is_heard_alone() {
        let (_listener, listening) = bind(Listening::at("127.0.0.1:0".parse().unwrap())).unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, listening.port())).is_ok());
        assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, listening.port())).is_err());
        if has_v6() {
            let (_listener, listening) = bind(Listening::at("[::]:0".parse().unwrap())).unwrap();
            assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, listening.port())).is_ok());
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, listening.port())).is_err());
        }
    }
}
