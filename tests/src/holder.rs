//! A machine with thousands of addresses, all of which take connections and hold them without a word.

use crate::acceptor::{Acceptor, Gate};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

/// Listens at one port of every address of 127.0.0.0/8; it vanishes when dropped.
pub struct Holder {
    port: u16,
    /// The addresses that were connected to, in order.
    called: Arc<Mutex<Vec<Ipv4Addr>>>,
    _acceptor: Acceptor,
}

impl Holder {
    /// Holds every connection.
    #[must_use]
    pub fn new() -> Self {
        Self::start(true)
    }

    /// Closes every connection at once.
    #[must_use]
    pub fn closing() -> Self {
        Self::start(false)
    }

    fn start(holds: bool) -> Self {
        crate::crowd::raise_descriptor_limit();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        let called: Arc<Mutex<Vec<Ipv4Addr>>> = Arc::default();
        let (gate, calls) = (Gate::default(), Arc::clone(&called));
        let acceptor = Acceptor::start(listener, gate.clone(), move |number, stream| {
            if let Ok(SocketAddr::V4(at)) = stream.local_addr() {
                calls.lock().unwrap_or_else(PoisonError::into_inner).push(*at.ip());
            }
            if holds {
                // Without a descriptor to hold it, it is closed.
                let _ = gate.keep(number, &stream);
            }
        });
        Self { port: acceptor.addr().port(), called, _acceptor: acceptor }
    }

    /// `count` of its addresses.
    pub fn addresses(&self, count: u32) -> impl Iterator<Item = SocketAddr> {
        let port = self.port;
        (0..count).map(move |number| {
            let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 77, 0, 1)) + number);
            SocketAddr::new(IpAddr::V4(ip), port)
        })
    }

    /// The addresses that were connected to, in order.
    #[must_use]
    pub fn called(&self) -> Vec<Ipv4Addr> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for Holder {
    fn default() -> Self {
        Self::new()
    }
}
