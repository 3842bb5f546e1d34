//! Calls on a client's socket that never wait.
//!
//! On systems whose readiness is edge-triggered a short read or write proves that the socket is empty
//! or full. It is told to tokio as "would block", which saves a second call to find out.

#[cfg(target_os = "linux")]
use crate::limits::UNSENT_LEN;
use socket2::SockRef;
use std::io::{self, Read, Write};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a socket took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Took {
    pub(super) bytes: usize,
    /// It takes no more now: wait until it is writable.
    pub(super) full: bool,
}

/// What a socket gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    Bytes(usize),
    /// The client sends no more.
    End,
    /// Nothing now: wait until it is readable.
    Nothing,
}

/// Reads what there is, up to `buffer.len()` bytes.
pub(super) fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Got> {
    let mut got = Got::Nothing;
    let result = stream.try_io(Interest::READABLE, || {
        let bytes = (&*SockRef::from(stream)).read(buffer)?;
        got = if bytes == 0 { Got::End } else { Got::Bytes(bytes) };
        block_if(bytes > 0 && bytes < buffer.len())
    });
    ignore_would_block(result)?;
    Ok(got)
}

/// Lets the system take only so much of an answer as goes out soon: what waits in its buffers is promised
/// to one client, and nobody sees that it waits.
#[cfg(target_os = "linux")]
pub(super) fn keep_unsent_short(stream: &TcpStream) {
    // Where it cannot be set, answers only wait elsewhere.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_LEN);
}

/// This system has no such setting.
#[cfg(not(target_os = "linux"))]
pub(super) fn keep_unsent_short(_: &TcpStream) {}

/// Whether something may be there to read; asks tokio, not the system.
pub(super) fn may_be_readable(stream: &TcpStream) -> bool {
    stream.try_io(Interest::READABLE, || Ok(())).is_ok()
}

/// Sends what the socket takes of `bytes`.
pub(super) fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<Took> {
    send_by(stream, bytes.len(), || (&*SockRef::from(stream)).write(bytes))
}

/// Like [`send`], with more to follow at once: the system should not send it as a packet of its own.
#[cfg(target_os = "linux")]
pub(super) fn send_more(stream: &TcpStream, bytes: &[u8]) -> io::Result<Took> {
    use rustix::net::SendFlags;
    send_by(stream, bytes.len(), || {
        Ok(rustix::net::send(stream, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)
    })
}

/// Like [`send`]; this system has no way to say that more follows.
#[cfg(not(target_os = "linux"))]
pub(super) fn send_more(stream: &TcpStream, bytes: &[u8]) -> io::Result<Took> {
    send(stream, bytes)
}

/// Sends up to `len` bytes of `file` from `offset` on, straight from the page cache. Until the client
/// has them they stay the file's memory: what is written to the file meanwhile may reach the client,
/// who checks the hash.
///
/// # Errors
/// `UnexpectedEof` when the file ends before `offset`; `InvalidInput` or `Unsupported` when its file
/// system cannot do this.
#[cfg(target_os = "linux")]
pub(super) fn send_file(
    stream: &TcpStream,
    file: &std::fs::File,
    mut offset: u64,
    len: usize,
) -> io::Result<Took> {
    let mut bytes = 0;
    let result = stream.try_io(Interest::WRITABLE, || {
        bytes = rustix::fs::sendfile(stream, file, Some(&mut offset), len)?;
        // A short count proves nothing here: it can also come from the file's side.
        if bytes == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    });
    Ok(Took { bytes, full: ignore_would_block(result)? })
}

fn send_by(stream: &TcpStream, len: usize, call: impl FnOnce() -> io::Result<usize>) -> io::Result<Took> {
    let mut bytes = 0;
    let result = stream.try_io(Interest::WRITABLE, || {
        bytes = call()?;
        block_if(bytes < len)
    });
    Ok(Took { bytes, full: ignore_would_block(result)? })
}

fn block_if(done: bool) -> io::Result<()> {
    if done { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

/// Whether the call would have blocked; an interrupted one is simply made again later.
fn ignore_would_block(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}
