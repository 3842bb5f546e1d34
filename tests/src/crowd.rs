//! A crowd of connections that want nothing, or never finish asking.

use crate::clock::LIMIT;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};

/// Descriptors that are left for everything else in the test process.
const SPARE: u64 = 1024;

/// Open connections; they close when this is dropped.
#[derive(Debug)]
pub struct Crowd {
    streams: Vec<TcpStream>,
}

impl Crowd {
    /// Opens `size` connections to `addr` (fewer where this process may not have that number of descriptors) and
    /// sends `start` on each. Connections that the server refuses are part of the game.
    #[must_use]
    pub fn gather(addr: SocketAddr, size: usize, start: &[u8]) -> Self {
        let size = size.min(usize::try_from(raise_descriptor_limit().saturating_sub(SPARE)).unwrap_or(size));
        let open = |_| {
            let mut stream = TcpStream::connect_timeout(&addr, LIMIT).ok()?;
            stream.write_all(start).ok()?;
            Some(stream)
        };
        Self { streams: (0..size).filter_map(open).collect() }
    }

    /// Number of connections that came about.
    #[must_use]
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether no connection came about.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}

/// Raises this process's limit of open descriptors as far as it may, and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, what there is must do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
