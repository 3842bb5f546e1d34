//! One connection of an extended peer, served by a thread of its own.

use super::{Heard, Question, Reply, Shared, empty_field};
use crate::clock;
use crate::extension::{EXTENDED, Item, Marker, field};
use rustix::io::ioctl_fionread;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

const REQUEST_LEN: usize = 64;

/// Serves until either side closes.
pub(super) fn serve(shared: &Shared, mut stream: &TcpStream, connection: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Whether there were requests for blocks, and for slices.
    let mut asked_for = [false; 2];
    for nth in 0.. {
        let mut request = [0; REQUEST_LEN];
        if let Err(error) = stream.read_exact(&mut request) {
            return if error.kind() == ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) };
        }
        let block = request[24..32].iter().fold(0, |all, byte| (all << 8) | u64::from(*byte));
        let marker = Marker::of(&request);
        let reserved = std::array::from_fn(|at| request[8 + at]);
        let sliced = shared.slices.as_ref().is_some_and(|slices| request[32..] == slices.name);
        shared.log().requests.push(Heard { at: clock::now(), connection, block, sliced, reserved, marker });
        if !sliced && request[32..] != shared.file.hash {
            return send(stream, 1, b"no such file here");
        }
        let (asked, first) = (clock::now(), !asked_for[usize::from(sliced)]);
        asked_for[usize::from(sliced)] = true;
        let question = || Question { block, sliced, first, marker, nth, waited: asked.elapsed() };
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
    if matches!(reply, Reply::Slice(..) | Reply::WrongBytes(_) | Reply::Refuse(_) | Reply::Half)
        && question.sliced
    {
        shared.log().lies += 1;
    }
    let (front, spoil) = match reply {
        Reply::Plain | Reply::Wait if question.is_news() && question.marker.is_some() => {
            (Some(empty_field()), false)
        }
        Reply::Half => return half(shared, stream, question),
        Reply::Slice(state, bytes) => {
            let items: Vec<Item> = state.into_iter().map(Item::State).collect();
            send(stream, EXTENDED, &[field(&items), bytes].concat())?;
            return Ok(true);
        }
        Reply::Refuse(items) => {
            send(stream, EXTENDED | 2, &field(&items))?;
            return Ok(true);
        }
        Reply::Plain | Reply::Wait => (None, false),
        Reply::Telling(items) => (Some(field(&told(shared, question, items))), false),
        Reply::Behind(field) => (Some(field), false),
        Reply::WrongBytes(items) => (Some(field(&told(shared, question, items))), true),
        Reply::Close => return Ok(false),
    };
    // A slice never comes without the state in front of it.
    let front = front.or_else(|| question.sliced.then(|| field(&told(shared, question, Vec::new()))));
    let block = shared.bytes(question);
    let held = block.filter(|_| shared.holds(question));
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
        (_, Some(_)) if !spoil && question.sliced => shared.log().slices.push(question.block),
        (_, Some(_)) if !spoil => shared.log().served.push(question.block),
        (Some(_), None) => shared.log().missing.push(question.block),
        _ => {}
    }
    Ok(status != 3)
}

/// These items, and in front of a slice that is held its state.
fn told(shared: &Shared, question: Question, mut items: Vec<Item>) -> Vec<Item> {
    if question.sliced
        && shared.holds(question)
        && let Some(slices) = shared.slices.as_ref().filter(|slices| question.block < slices.count())
    {
        items.push(Item::State(slices.state(question.block)));
    }
    items
}

/// Sends half of the right answer, and waits for the end of the connection.
fn half(shared: &Shared, mut stream: &TcpStream, question: Question) -> io::Result<bool> {
    let body =
        [field(&told(shared, question, Vec::new())), shared.bytes(question).unwrap_or_default().to_vec()]
            .concat();
    let length = (body.len() as u64).to_be_bytes();
    stream.write_all(&[&[EXTENDED], &length[..], &body[..body.len() / 2]].concat())?;
    while stream.read(&mut [0; REQUEST_LEN])? > 0 {}
    Ok(false)
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
