//! The serving side of a scripted peer: a thread for each connection.

use super::Shared;
use super::store::Body;
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN, ResponseHeader, Status};
use cascade_format::{Block, CascadeHash, Layout};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Connections that are served at once; more are closed.
const MAX_CLIENTS: usize = 256;

/// How long a client may be silent, or take to accept an answer.
const IDLE: Duration = Duration::from_secs(300);

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    /// The block.
    Block(Block),
    /// A refusal.
    Refusal(Status, &'static str),
}

/// Accepts connections from now on.
pub(super) fn start(listener: TcpListener, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    let clients = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if clients.load(Ordering::Relaxed) >= MAX_CLIENTS {
                continue;
            }
            clients.fetch_add(1, Ordering::Relaxed);
            let (shared, clients) = (Arc::clone(&shared), Arc::clone(&clients));
            thread::spawn(move || {
                // A client that breaks its connection has its own problem.
                let _ = serve(stream, &shared);
                clients.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let layout = shared.store.layout();
    let mut request = [0; REQUEST_LEN];
    loop {
        let count = read_request(&mut stream, &mut request, shared.habits.recv_64)?;
        if count == 0 {
            return Ok(());
        }
        let received = request.get(..count).unwrap_or_default();
        match reply(received, shared.hash, &layout, |block| shared.store.has(block)) {
            Reply::Block(block) => {
                let header = ResponseHeader::of_block(&layout, block).encode();
                match shared.store.body(block)? {
                    Body::Whole(body) => stream.write_all(&[&header[..], &body].concat())?,
                    Body::Stalled(half) => {
                        stream.write_all(&[&header[..], &half].concat())?;
                        io::copy(&mut stream, &mut io::sink())?;
                        return Ok(());
                    }
                }
            }
            Reply::Refusal(status, message) => {
                let header = ResponseHeader { status, body_len: message.len() as u64 }.encode();
                stream.write_all(&[&header[..], message.as_bytes()].concat())?;
                if status != Status::MissingBlock {
                    return Ok(());
                }
            }
        }
        if shared.habits.closes {
            return Ok(());
        }
    }
}

/// Reads a request; how many bytes of it came, none at the end of the connection. `one_call` takes what the
/// first call brings for all of it.
fn read_request(stream: &mut impl Read, request: &mut [u8], one_call: bool) -> io::Result<usize> {
    let mut count = stream.read(request)?;
    while !one_call && count > 0 && count < request.len() {
        match stream.read(request.get_mut(count..).unwrap_or_default())? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// What a request is answered with.
fn reply(request: &[u8], hash: CascadeHash, layout: &Layout, has: impl FnOnce(Block) -> bool) -> Reply {
    let Ok(request) = <&[u8; REQUEST_LEN]>::try_from(request) else {
        return Reply::Refusal(Status::BadRequest, "a request has 64 bytes");
    };
    let Ok(request) = BlockRequest::parse(request) else {
        return Reply::Refusal(Status::BadRequest, "a request starts with CASCADE1");
    };
    if request.cascade_hash != hash {
        return Reply::Refusal(Status::UnknownFile, "unknown file");
    }
    match layout.block(request.block) {
        None => Reply::Refusal(Status::NoSuchBlock, "no such block"),
        Some(block) if has(block) => Reply::Block(block),
        Some(_) => Reply::Refusal(Status::MissingBlock, "not yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte less than asked for at each call.
    struct Split<'a>(&'a [u8]);

    impl Read for Split<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let less = (to.len() - 1).max(1);
            self.0.read(&mut to[..less])
        }
    }

    #[test]
    fn one_call_takes_what_it_gets() {
        let mut request = [0; REQUEST_LEN];
        let bytes = [1; REQUEST_LEN + 1];
        assert_eq!(read_request(&mut Split(&bytes), &mut request, false).unwrap(), 64);
        assert_eq!(read_request(&mut Split(&bytes), &mut request, true).unwrap(), 63);
        assert_eq!(read_request(&mut Split(&bytes[..9]), &mut request, false).unwrap(), 9);
        assert_eq!(read_request(&mut Split(&[]), &mut request, false).unwrap(), 0);
    }

    #[test]
    fn every_request_has_its_status() {
        let layout = Layout::new(10, 4).unwrap();
        let hash = CascadeHash([7; 32]);
        let block = |number| layout.block(number).unwrap();
        let status = |request: &[u8]| match reply(request, hash, &layout, |asked| asked == block(1)) {
            Reply::Block(_) => Status::Block,
            Reply::Refusal(status, _) => status,
        };
        let good = BlockRequest { reserved: [9; 16], ..BlockRequest::new(hash, block(1)) };
        assert_eq!(status(&good.encode()), Status::Block);
        assert_eq!(status(&BlockRequest::new(hash, block(2)).encode()), Status::MissingBlock);
        assert_eq!(status(&BlockRequest { block: 3, ..good }.encode()), Status::NoSuchBlock);
        let other = BlockRequest { cascade_hash: CascadeHash([8; 32]), ..good };
        assert_eq!(status(&other.encode()), Status::UnknownFile);
        assert_eq!(status(&good.encode()[..63]), Status::BadRequest);
        assert_eq!(status(&[0; 64]), Status::BadRequest);
        assert_eq!(status(&[]), Status::BadRequest);
    }
}
