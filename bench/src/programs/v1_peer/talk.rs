//! One request and its answer, as the asking side sees them.

use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN, ResponseHeader, Status};
use cascade_format::{Block, CascadeHash, Layout};
use std::io::{self, Read, Write};

/// The longest message of a refusal that is read, in bytes.
const MAX_MESSAGE: u64 = 64 * 1024;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Bytes of the block's length; not verified.
    Block(Vec<u8>),
    /// Not there yet.
    Missing,
    /// Another refusal, or an answer that cannot be right: this connection is of no more use.
    Refused,
    /// The peer had closed the connection before it.
    Closed,
}

/// The request for a block, with garbage in its reserved bytes if that is the habit.
pub(super) fn request(hash: CascadeHash, block: Block, garbage: Option<&mut fastrand::Rng>) -> BlockRequest {
    let mut request = BlockRequest::new(hash, block);
    if let Some(random) = garbage {
        random.fill(&mut request.reserved);
    }
    request
}

/// Sends a request with one call and reads the whole answer.
///
/// # Errors
/// The connection breaks within the answer, or time is over.
pub(super) fn ask(
    stream: &mut (impl Read + Write),
    request: &BlockRequest,
    layout: &Layout,
    block: Block,
) -> io::Result<Answer> {
    let mut header = [0; RESPONSE_HEADER_LEN];
    let sent = stream.write_all(&request.encode());
    match sent.and_then(|()| stream.read(&mut header)) {
        Ok(0) => return Ok(Answer::Closed),
        Ok(count) => stream.read_exact(header.get_mut(count..).unwrap_or_default())?,
        Err(error) if is_close(&error) => return Ok(Answer::Closed),
        Err(error) => return Err(error),
    }
    let header = ResponseHeader::parse(&header);
    match header.status {
        Status::Block if header.body_len == layout.len_of(block) => {
            let mut body = vec![0; usize::try_from(header.body_len).map_err(io::Error::other)?];
            stream.read_exact(&mut body)?;
            Ok(Answer::Block(body))
        }
        Status::MissingBlock if header.body_len <= MAX_MESSAGE => {
            io::copy(&mut stream.take(header.body_len), &mut io::sink())?;
            Ok(Answer::Missing)
        }
        Status::Block
        | Status::MissingBlock
        | Status::UnknownFile
        | Status::NoSuchBlock
        | Status::BadRequest
        | Status::Other(_) => Ok(Answer::Refused),
    }
}

fn is_close(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that says `says` and remembers what it heard.
    struct Peer {
        says: &'static [u8],
        heard: Vec<u8>,
    }

    impl Read for Peer {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.says.read(to)
        }
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.heard.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn answer(says: &'static [u8]) -> io::Result<Answer> {
        let layout = Layout::new(5, 3).unwrap();
        let block = layout.block(1).unwrap();
        let mut peer = Peer { says, heard: Vec::new() };
        let answer = ask(&mut peer, &request(CascadeHash([7; 32]), block, None), &layout, block);
        assert_eq!(peer.heard.len(), 64);
        answer
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(answer(b"\0\0\0\0\0\0\0\0\x02ab").unwrap(), Answer::Block(b"ab".to_vec()));
        assert_eq!(answer(b"\x02\0\0\0\0\0\0\0\x02no").unwrap(), Answer::Missing);
        assert_eq!(answer(b"\x01\0\0\0\0\0\0\0\x02no").unwrap(), Answer::Refused);
        assert_eq!(answer(b"\0\0\0\0\0\0\0\0\x03abc").unwrap(), Answer::Refused, "another length");
        assert_eq!(answer(b"\x02\x7f\0\0\0\0\0\0\0").unwrap(), Answer::Refused, "an endless message");
        assert_eq!(answer(b"").unwrap(), Answer::Closed);
        assert!(answer(b"\0\0\0").is_err(), "cut short");
    }

    #[test]
    fn garbage_fills_the_reserved_bytes_only() {
        let block = Layout::new(5, 3).unwrap().block(1).unwrap();
        let plain = request(CascadeHash([7; 32]), block, None);
        let garbage = request(CascadeHash([7; 32]), block, Some(&mut fastrand::Rng::with_seed(1)));
        assert_ne!(garbage.reserved, plain.reserved);
        assert_eq!(BlockRequest { reserved: plain.reserved, ..garbage }, plain);
    }
}
