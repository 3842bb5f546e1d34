//! One connection of an extended peer, served by a thread of its own.

use super::{Heard, Question, Reply, Shared, empty_field};
use crate::clock;
use crate::extension::{EXTENDED, Marker, field};
use rustix::io::ioctl_fionread;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

const REQUEST_LEN: usize = 64;

/// Serves until either side closes.
pub(super) fn serve(shared: &Shared, mut stream: &TcpStream, connection: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for nth in 0.. {
        let mut request = [0; REQUEST_LEN];
        if let Err(error) = stream.read_exact(&mut request) {
            return if error.kind() == ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) };
        }
        let number = request[24..32].iter().fold(0, |all, byte| (all << 8) | u64::from(*byte));
        let marker = Marker::of(&request);
        let reserved = std::array::from_fn(|at| request[8 + at]);
        shared.log().requests.push(Heard { at: clock::now(), connection, block: number, reserved, marker });
        if request[32..] != shared.file.hash {
            return send(stream, 1, b"no such file here");
        }
        let asked = clock::now();
        let question = || Question { block: number, marker, nth, waited: asked.elapsed() };
        let mut reply = (shared.rule)(question());
        while matches!(reply, Reply::Wait) {
            if more_waits(stream)? {
                reply = Reply::Plain;
                break;
            }
            clock::breathe();
            if shared.gate.is_closed() {
                return Ok(());
            }
            reply = (shared.rule)(question());
        }
        if !answer(shared, stream, question(), reply)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends the answer; tells whether the connection goes on.
fn answer(shared: &Shared, stream: &TcpStream, question: Question, reply: Reply) -> io::Result<bool> {
    let (front, spoil) = match reply {
        Reply::Plain | Reply::Wait if question.is_news() && question.marker.is_some() => {
            (Some(empty_field()), false)
        }
        Reply::Plain | Reply::Wait => (None, false),
        Reply::Telling(items) => (Some(field(&items)), false),
        Reply::Behind(field) => (Some(field), false),
        Reply::WrongBytes(items) => (Some(field(&items)), true),
        Reply::Close => return Ok(false),
    };
    let block = shared.file.block(question.block);
    let held = block.filter(|_| shared.holds(question.block));
    let (status, body) = match (block, held) {
        (_, Some(block)) if spoil => (0, block.iter().map(|byte| byte ^ 0x55).collect()),
        (_, Some(block)) => (0, block.to_vec()),
        (Some(_), None) => (2, b"not yet".to_vec()),
        (None, _) if question.is_news() && question.marker.is_some() => (2, Vec::new()),
        (None, _) => (3, b"no such block".to_vec()),
    };
    match front {
        Some(field) => send(stream, EXTENDED | status, &[field, body].concat())?,
        None => send(stream, status, &body)?,
    }
    match (block, held) {
        (_, Some(_)) if !spoil => shared.log().served.push(question.block),
        (Some(_), None) => shared.log().missing.push(question.block),
        _ => {}
    }
    Ok(status != 3)
}

fn send(mut stream: &TcpStream, status: u8, body: &[u8]) -> io::Result<()> {
    stream.write_all(&[&[status], &(body.len() as u64).to_be_bytes()[..], body].concat())
}

/// Whether another request waits; an error where the other side has closed.
fn more_waits(stream: &TcpStream) -> io::Result<bool> {
    let waiting = ioctl_fionread(stream)?;
    if waiting == 0 {
        stream.set_nonblocking(true)?;
        let seen = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        if matches!(seen, Ok(0)) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(waiting >= REQUEST_LEN as u64)
}
