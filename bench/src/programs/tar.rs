//! `tar c` to `tar x` through one socket: what bringing a folder to another machine costs without any check.

use crate::error::{Context, Result, failed};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// Sends the folder to the first who connects to `listen`; prints the address first.
///
/// # Errors
/// The port is taken; tar fails.
pub fn send(listen: SocketAddr, folder: &Path) -> Result<()> {
    let listener = TcpListener::bind(listen).context(|| format!("cannot listen on {listen}"))?;
    println!("listening on {}", listener.local_addr().context(|| "no local address".to_owned())?);
    let (stream, _) = listener.accept().context(|| "cannot accept".to_owned())?;
    let mut command = Command::new("tar");
    command.args(["--create", "--directory"]).arg(folder).arg(".").stdout(Stdio::from(OwnedFd::from(stream)));
    succeed(&mut command)
}

/// Unpacks what the sender sends into `folder`, which is there.
///
/// # Errors
/// The sender cannot be reached; tar fails.
pub fn receive(sender: SocketAddr, folder: &Path) -> Result<()> {
    let stream = TcpStream::connect(sender).context(|| format!("cannot connect to {sender}"))?;
    let mut command = Command::new("tar");
    command.args(["--extract", "--directory"]).arg(folder).stdin(Stdio::from(OwnedFd::from(stream)));
    succeed(&mut command)
}

fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().context(|| "cannot start tar".to_owned())?;
    if status.success() { Ok(()) } else { failed(format!("tar: {status}")) }
}
