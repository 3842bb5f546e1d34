//! One request and its answer, as the asking side sees them.

use cascade_format::{Block, CascadeHash, Layout};
use cascade_tests::foreign_client::{ForeignClient, is_close, request_with};
use std::io::{self, ErrorKind};

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

/// Sends a request with one call and reads the whole answer. The reserved bytes are garbage if that is the habit.
///
/// # Errors
/// The connection breaks within the answer, or time is over.
pub(super) fn ask(
    client: &mut ForeignClient,
    hash: CascadeHash,
    layout: &Layout,
    block: Block,
    garbage: Option<&mut fastrand::Rng>,
) -> io::Result<Answer> {
    let mut reserved = [0; 16];
    if let Some(random) = garbage {
        random.fill(&mut reserved);
    }
    let sent = client.send(&request_with(&reserved, hash.as_bytes(), block.number()));
    let response = match sent.and_then(|()| client.receive_unless_closed()) {
        Ok(Some(response)) => response,
        Ok(None) => return Ok(Answer::Closed),
        Err(error) if is_close(error.kind()) => return Ok(Answer::Closed),
        // A length that no body has.
        Err(error) if error.kind() == ErrorKind::InvalidData => return Ok(Answer::Refused),
        Err(error) => return Err(error),
    };
    Ok(match response.status {
        0 if response.body.len() as u64 == layout.len_of(block) => Answer::Block(response.body),
        2 => Answer::Missing,
        _ => Answer::Refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// What the asking side makes of a peer that reads a request, says this and closes.
    fn answer(says: &'static [u8]) -> io::Result<Answer> {
        let layout = Layout::new(5, 3).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 64];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(says).unwrap();
            request
        });
        let mut client = ForeignClient::over(TcpStream::connect(address).unwrap());
        let mut random = fastrand::Rng::with_seed(1);
        let block = layout.block(1).unwrap();
        let answer = ask(&mut client, CascadeHash([7; 32]), &layout, block, Some(&mut random));
        let request = peer.join().unwrap();
        assert_eq!((&request[..8], request[31], &request[32..]), (&b"CASCADE1"[..], 1, &[7; 32][..]));
        assert_ne!(request[8..24], [0; 16], "the reserved bytes are garbage");
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
}
