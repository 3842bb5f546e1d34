//! Calls on a client's socket that never wait.
//!
//! On systems whose readiness is edge-triggered a short read or write proves that the socket is empty
//! or full. It is told to tokio as "would block", which saves a second call to find out.

use cascade_swarm::ask::address;
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
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

/// The address at the other end. A client that has gone has the address 0.0.0.0; its end is found out when something is
/// sent. On a socket for both families an IPv4 client has an IPv6 address.
pub(super) fn client(stream: &TcpStream) -> IpAddr {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    stream.peer_addr().map_or(nobody, |addr| addr.ip().to_canonical())
}

/// The client's host, as bounds count hosts.
pub(super) fn host(stream: &TcpStream, client: IpAddr) -> IpAddr {
    let ours = || stream.local_addr().map_or(client, |addr| addr.ip());
    if client.is_ipv4() { client } else { address::host_near(client, ours()) }
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

/// Lets the system take only this number of bytes in addition to those on their way. Bytes in its buffers take memory,
/// can no longer go to another client, and are not seen to wait. `None`: as many as it likes.
#[cfg(target_os = "linux")]
pub(super) fn limit_unsent(stream: &TcpStream, unsent: Option<u32>) {
    // Where it cannot be set, answers only wait elsewhere.
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(unsent.unwrap_or(u32::MAX));
}

/// This system has no such setting.
#[cfg(not(target_os = "linux"))]
pub(super) fn limit_unsent(_: &TcpStream, _: Option<u32>) {}

/// Bytes of answers that the system holds: not sent, or not acknowledged. 0 where it does not tell.
#[cfg(target_os = "linux")]
pub(super) fn queued(stream: &TcpStream) -> u64 {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    use std::ffi::c_int;
    /// `SIOCOUTQ` of `linux/sockios.h`, which is `TIOCOUTQ`.
    const SIOCOUTQ: Opcode = if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        0x7472
    } else if cfg!(any(target_arch = "powerpc", target_arch = "powerpc64", target_arch = "sparc64")) {
        0x4004_7473
    } else {
        0x5411
    };
    #[allow(
        unsafe_code,
        reason = "rustix has no safe SIOCOUTQ, and nothing else tells what a client has taken"
    )]
    // SAFETY: the descriptor is that of a TCP socket, for which this opcode means SIOCOUTQ: the kernel writes
    // one `int` to the address that it is given. `Getter` gives it that of an uninitialised `c_int` of its own, and
    // reads it only after success.
    let queued = unsafe { ioctl(stream, Getter::<SIOCOUTQ, c_int>::new()) };
    queued.ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

/// This system does not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn queued(_: &TcpStream) -> u64 {
    0
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    #[cfg(target_os = "linux")]
    async fn the_system_tells_what_a_client_has_not_taken() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let server = TcpStream::from_std(server).unwrap();
        server.writable().await.unwrap();
        assert_eq!(queued(&server), 0);
        let mut sent = 0;
        loop {
            let took = send(&server, &vec![0; 1 << 16]).unwrap();
            sent += took.bytes;
            if took.full {
                break;
            }
        }
        assert!((1..=sent as u64).contains(&queued(&server)), "{} of {sent}", queued(&server));
        let mut all = vec![0; sent];
        client.read_exact(&mut all).unwrap();
        let start = crate::clock::now();
        while queued(&server) > 0 {
            let waited = cascade_tests::full_speed::since(start);
            assert!(waited < std::time::Duration::from_secs(5), "{} are left", queued(&server));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
