//! Connections to trackers and to other peers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::net::{TcpSocket, TcpStream};

/// Connects to `to`. A peer that listens at one of its machine's addresses alone is known to others by that, so its
/// connections come `from` there too; unspecified: as the system chooses, as it does where a loopback address
/// would lead nowhere.
pub(crate) async fn connect(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    if from.is_unspecified() || (from.is_loopback() && !to.ip().is_loopback()) {
        return TcpStream::connect(to).await;
    }
    let socket = TcpSocket::new_v4()?;
    // Ports of connections that have ended can be had again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::V4(SocketAddrV4::new(from, 0)))?;
    socket.connect(to.into()).await
}
