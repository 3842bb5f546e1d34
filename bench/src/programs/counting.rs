//! A line between a client and a server that counts what comes from the server.

use crate::error::{Context, Result};
use crate::programs::tcp::ANY_LOOPBACK;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What is passed on with one call, in bytes.
const PIECE: usize = 256 << 10;

/// A line that is there until the process ends.
#[derive(Debug)]
pub struct Counter {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
}

impl Counter {
    /// Leads to `server`.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start(server: SocketAddrV4) -> Result<Self> {
        let listener = TcpListener::bind(ANY_LOOPBACK).context(|| "cannot listen".to_owned())?;
        let address = listener.local_addr().context(|| "no address".to_owned())?;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let (Ok(to_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else {
                    continue;
                };
                let counted = Arc::clone(&counted);
                thread::spawn(move || pass(client, server, |_| ()));
                thread::spawn(move || {
                    pass(from_server, to_client, |bytes| {
                        counted.fetch_add(bytes, Ordering::Relaxed);
                    });
                });
            }
        });
        Ok(Self { address, bytes })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that have come from the server.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, counted: impl Fn(u64)) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        counted(read as u64);
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
