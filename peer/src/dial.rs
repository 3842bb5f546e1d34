//! Connections to trackers and to other peers.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::net::{TcpSocket, TcpStream};

/// How a connection is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dial {
    /// Where from; see [`Dial::connect`].
    pub(crate) from: Ipv4Addr,
    /// The receive buffer, in bytes; `None`: as the system likes. It must be known before the other side is told how
    /// much it may send.
    pub(crate) window_len: Option<usize>,
}

impl Dial {
    /// As the system likes, but for where it comes from.
    pub(crate) const fn from(from: Ipv4Addr) -> Self {
        Self { from, window_len: None }
    }

    /// Connects to `to`. A peer that listens at one of its machine's addresses alone is known to others by that, so its
    /// connections come from there too; unspecified: as the system chooses, as it does where a loopback address
    /// would lead nowhere.
    pub(crate) async fn connect(self, to: SocketAddrV4) -> io::Result<TcpStream> {
        let Self { from, window_len } = self;
        let anywhere = from.is_unspecified() || (from.is_loopback() && !to.ip().is_loopback());
        if anywhere && window_len.is_none() {
            return TcpStream::connect(to).await;
        }
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = window_len {
            // Where it cannot be had, more comes at first than is read.
            let _ = socket.set_recv_buffer_size(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        if !anywhere {
            // Ports of connections that have ended can be had again at once.
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::V4(SocketAddrV4::new(from, 0)))?;
        }
        socket.connect(to.into()).await
    }
}
