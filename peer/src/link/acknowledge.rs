//! Acknowledging at once.
//!
//! A peer that sends a header and a short block with two calls has its second segment held back by Nagle's algorithm
//! until the first is acknowledged, and a receiver that has nothing to send acknowledges after 40 ms. So the system
//! is told to do it now whenever the rest of an answer is shorter than a segment. A longer rest fills a segment, which
//! no peer holds back, and an acknowledgement of its own is a packet that both ends pay for.

use super::response::ResponseReader;
use socket2::SockRef;
use tokio::net::TcpStream;

/// Where the system does not tell it, the bytes of the largest segment that loopback carries.
const MAX_SEGMENT_LEN: u64 = 64 << 10;

/// When to acknowledge on one connection.
#[derive(Debug)]
pub(super) struct Acknowledge {
    /// Bytes of a full segment.
    segment_len: u64,
}

impl Acknowledge {
    /// On a connection that has been made.
    pub(super) fn on(stream: &TcpStream) -> Self {
        let told = SockRef::from(stream).tcp_mss();
        Self { segment_len: told.map_or(MAX_SEGMENT_LEN, |length| u64::from(length).min(MAX_SEGMENT_LEN)) }
    }

    /// Acknowledges what has arrived if the rest of the answer may wait for that.
    pub(super) fn received(&self, stream: &TcpStream, reader: &ResponseReader) {
        if reader.rest().is_some_and(|rest| rest < self.segment_len) {
            at_once(stream);
        }
    }
}

#[cfg(target_os = "linux")]
fn at_once(stream: &TcpStream) {
    // Where it fails, the block comes 40 ms later.
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
}

#[cfg(not(target_os = "linux"))]
fn at_once(_stream: &TcpStream) {}
