//! A plain TCP transfer without a file or a hash: what an emulated link carries at best.

use crate::error::{Context, Result};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// Bytes written or read at once.
const PIECE: usize = 256 * 1024;

/// Sends `length` zero bytes to the first who connects to `listen`; prints the address first.
///
/// # Errors
/// The port is taken, the receiver goes away.
pub fn send(listen: SocketAddr, length: u64) -> Result<()> {
    let listener = TcpListener::bind(listen).context(|| format!("cannot listen on {listen}"))?;
    println!("listening on {}", listener.local_addr().context(|| "no local address".to_owned())?);
    let (mut stream, receiver) = listener.accept().context(|| "cannot accept".to_owned())?;
    let piece = vec![0; PIECE];
    let mut left = length;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        stream.write_all(&piece[..now]).context(|| format!("cannot send to {receiver}"))?;
        left -= now as u64;
    }
    Ok(())
}

/// Receives until the sender closes; prints how many bytes came.
///
/// # Errors
/// The sender cannot be reached or breaks the connection.
pub fn receive(sender: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(sender).context(|| format!("cannot connect to {sender}"))?;
    let mut piece = vec![0; PIECE];
    let mut total: u64 = 0;
    loop {
        match stream.read(&mut piece).context(|| format!("cannot receive from {sender}"))? {
            0 => break,
            count => total += count as u64,
        }
    }
    println!("received {total}");
    Ok(())
}

/// The loopback address with a port of the system's choice.
pub const ANY_LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
