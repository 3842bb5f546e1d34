//! Acknowledging at once.
//!
//! A peer that sends a header and a short block with two calls has its second segment held back by Nagle's algorithm
//! until the first is acknowledged, and a receiver that has nothing to send acknowledges after 40 ms. So the system
//! is told to do it now whenever a short answer has come in part.

use super::response::ResponseReader;
use tokio::net::TcpStream;

/// A longer rest of an answer fills a segment, which no peer holds back: the largest that loopback carries.
const SHORT_LEN: u64 = 64 << 10;

/// Acknowledges what has arrived if the rest of the answer may wait for that.
pub(super) fn acknowledge(stream: &TcpStream, reader: &ResponseReader) {
    if reader.rest().is_some_and(|rest| rest <= SHORT_LEN) {
        at_once(stream);
    }
}

#[cfg(target_os = "linux")]
fn at_once(stream: &TcpStream) {
    // Where it fails, the block comes 40 ms later.
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
}

#[cfg(not(target_os = "linux"))]
fn at_once(_stream: &TcpStream) {}
