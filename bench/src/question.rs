//! One question to a tracker or a peer over the wire.

use cascade_format::tracker_wire::{self, TrackerRequest, TrackerResponseHeader};
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

/// How long one question may take.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The addresses that `tracker` answers a request with; none when it refuses or is not there.
#[must_use]
pub fn asked(tracker: SocketAddrV4, request: &TrackerRequest) -> Vec<SocketAddrV4> {
    let mut header = [0; tracker_wire::RESPONSE_HEADER_LEN];
    let Some(stream) = ask(tracker, &request.encode(), &mut header) else { return Vec::new() };
    let header = TrackerResponseHeader::parse(&header);
    let mut body = Vec::new();
    let read = stream.take(header.body_len.into()).read_to_end(&mut body);
    if read.is_err() || header.status != tracker_wire::STATUS_OK {
        return Vec::new();
    }
    tracker_wire::parse_peer_list(&body)
        .map_or_else(|_| Vec::new(), |list| list.map(|entry| entry.addr).collect())
}

/// Sends a request, reads the header of the answer; `None` when either fails.
#[must_use]
pub fn ask(address: SocketAddrV4, request: &[u8], header: &mut [u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address.into(), ANSWER_WITHIN).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    stream.write_all(request).ok()?;
    stream.read_exact(header).ok()?;
    Some(stream)
}
