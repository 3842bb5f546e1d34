//! Connections to trackers and to other peers.

use crate::route;
use cascade_swarm::Listening;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// How a connection is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dial {
    /// Where this peer listens, if it does; see [`Dial::connect`].
    pub(crate) listening: Option<Listening>,
    /// The receive buffer, in bytes; `None`: as the system likes. It must be known before the other side is told how
    /// much it may send.
    pub(crate) window_len: Option<usize>,
}

impl Dial {
    /// As the system likes, but for where it comes from.
    pub(crate) const fn from(listening: Option<Listening>) -> Self {
        Self { listening, window_len: None }
    }

    /// Connects to `to`. A peer that listens at one of its machine's addresses alone is known to others by that, so its
    /// connections come from there too; others as the system chooses, as it does where a loopback address
    /// would lead nowhere.
    pub(crate) async fn connect(self, to: SocketAddr) -> io::Result<TcpStream> {
        let from = self.source_for(to.ip());
        if from.is_none() && self.window_len.is_none() {
            return TcpStream::connect(to).await;
        }
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(bytes) = self.window_len {
            // Where it cannot be had, more comes at first than is read.
            let _ = socket.set_recv_buffer_size(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        if let Some(from) = from {
            // Ports of connections that have ended can be had again at once.
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(from, 0))?;
        }
        socket.connect(to).await
    }

    /// Where a connection to `to` comes from; `None`: as the system chooses.
    fn source_for(self, to: IpAddr) -> Option<IpAddr> {
        let own = self.listening?.in_family_of(to)?;
        let anywhere = own.is_unspecified() || (own.is_loopback() && !to.is_loopback());
        (!anywhere).then_some(own)
    }
}

/// Whether a connection to `to` failed because no way leads there from this machine. A router may say the same of a
/// packet that was sent: so the machine's routes are asked.
pub(crate) fn has_no_way(error: &io::Error, to: SocketAddr) -> bool {
    let kinds =
        [io::ErrorKind::NetworkUnreachable, io::ErrorKind::AddrNotAvailable, io::ErrorKind::Unsupported];
    // EAFNOSUPPORT has no kind that is stable.
    (kinds.contains(&error.kind()) || to.is_ipv6()) && route::source(to).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_from_where_it_listens_if_that_leads_there() {
        let from = |listening: Option<&str>, to: &str| {
            let listening = listening.map(|at| Listening::at(at.parse().unwrap()));
            Dial::from(listening).source_for(to.parse().unwrap()).map(|ip| ip.to_string())
        };
        assert_eq!(from(None, "192.0.2.1"), None);
        assert_eq!(from(Some("0.0.0.0:1"), "192.0.2.1"), None);
        assert_eq!(from(Some("10.0.0.1:1"), "192.0.2.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(from(Some("10.0.0.1:1"), "2001:db8::1"), None, "another family");
        assert_eq!(from(Some("127.0.0.2:1"), "127.0.0.1").as_deref(), Some("127.0.0.2"));
        assert_eq!(from(Some("127.0.0.2:1"), "192.0.2.1"), None);
        assert_eq!(from(Some("[fd00::2]:1"), "2001:db8::1").as_deref(), Some("fd00::2"));
        let everywhere = Dial::from(Some(Listening::everywhere(1)));
        assert_eq!(everywhere.source_for("::1".parse().unwrap()), None);
    }
}
