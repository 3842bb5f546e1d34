//! Small questions to trackers and peers over the wire, to see whether they are ready.

use super::READY_WITHIN;
use crate::clock;
use crate::data::CascadeFile;
use crate::error::{Context, Result, failed};
use crate::programs::own;
use crate::question::{ANSWER_WITHIN, ask, asked};
use cascade_format::peer_wire::{self, BlockRequest, ResponseHeader, Status};
use cascade_format::tracker_wire::{Command, TrackerRequest};
use cascade_format::{Block, CascadeHash, Metafile};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::process;

/// Blocks that are asked for before a seeder counts as ready.
const SAMPLES: u64 = 64;

/// Watches a seeder that checks its data until it serves all of it. A check on several cores may end with any
/// block, so blocks from the whole file are asked for, each until it is served.
#[derive(Debug)]
pub struct Readiness {
    peer: SocketAddrV4,
    cascade: CascadeFile,
    /// Number of samples that are served.
    served: u64,
}

impl Readiness {
    /// Nothing is known to be served yet.
    #[must_use]
    pub fn of(peer: SocketAddrV4, cascade: &CascadeFile) -> Self {
        Self { peer, cascade: cascade.clone(), served: 0 }
    }

    /// Asks on; whether all samples are served.
    pub fn check(&mut self) -> bool {
        let blocks = self.cascade.layout.blocks();
        let samples = SAMPLES.min(blocks);
        while self.served < samples {
            // Evenly spread, the last block included.
            let number = (self.served + 1) * blocks / samples - 1;
            match self.cascade.layout.block(number) {
                Some(block) if serves(self.peer, self.cascade.hash, block) => self.served += 1,
                _ => return false,
            }
        }
        true
    }
}

/// A command that waits until `peer` serves the whole file, for peers in a network namespace.
///
/// # Errors
/// The system does not tell where this binary is.
pub fn command(peer: SocketAddrV4, cascade: &CascadeFile) -> Result<process::Command> {
    let mut command = own(&["wait-for-seeder", &peer.to_string()])?;
    command.arg(&cascade.path);
    Ok(command)
}

/// What that command does.
///
/// # Errors
/// The `.cascade` file is none, or the peer does not serve the file in time.
pub fn wait_for_seeder(peer: SocketAddrV4, path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).context(|| format!("cannot read {}", path.display()))?;
    let metafile = Metafile::parse(&bytes).or_else(|e| failed(format!("{}: {e}", path.display())))?;
    let layout = metafile.header().layout;
    let cascade = CascadeFile { path: path.to_owned(), hash: CascadeHash::of(&bytes), layout };
    let (mut ready, started) = (Readiness::of(peer, &cascade), clock::now());
    while !ready.check() {
        if started.elapsed() > READY_WITHIN {
            return failed(format!("{peer} does not serve {}", path.display()));
        }
        std::thread::sleep(clock::STEP);
    }
    Ok(())
}

/// Waits until something accepts connections at `address`.
///
/// # Errors
/// Nothing does in time.
pub fn wait_for_port(address: SocketAddrV4) -> Result<()> {
    let started = clock::now();
    while !accepts(address) {
        if started.elapsed() > READY_WITHIN {
            return failed(format!("nothing listens on {address}"));
        }
        std::thread::sleep(clock::STEP);
    }
    Ok(())
}

/// Whether `peer` sends `block` of the file when it is asked for it.
#[must_use]
pub fn serves(peer: SocketAddrV4, hash: CascadeHash, block: Block) -> bool {
    let mut header = [0; peer_wire::RESPONSE_HEADER_LEN];
    ask(peer, &BlockRequest::new(hash, block).encode(), &mut header)
        .is_some_and(|_| ResponseHeader::parse(&header).status == Status::Block)
}

/// The addresses that `tracker` lists for a file.
#[must_use]
pub fn listed(tracker: SocketAddrV4, hash: CascadeHash) -> Vec<SocketAddrV4> {
    let listen = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    asked(tracker, &TrackerRequest { command: Command::List, cascade_hash: hash, listen })
}

/// Whether something accepts connections there.
#[must_use]
pub fn accepts(address: SocketAddrV4) -> bool {
    TcpStream::connect_timeout(&address.into(), ANSWER_WITHIN).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::Layout;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};

    /// A server that answers one connection with `reply`.
    fn one_answer(reply: Vec<u8>) -> SocketAddrV4 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 54];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&reply).unwrap();
        });
        address
    }

    #[test]
    fn a_peer_that_has_the_block_serves_it() {
        let block = Layout::new(10, 10).unwrap().block(0).unwrap();
        let answer = |status| {
            let header = ResponseHeader { status, body_len: 10 }.encode();
            serves(one_answer(header.to_vec()), CascadeHash([1; 32]), block)
        };
        assert!(answer(Status::Block));
        assert!(!answer(Status::MissingBlock));
    }

    #[test]
    fn a_small_file_is_ready_when_all_its_blocks_are_served() {
        let layout = Layout::new(3, 1).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            // Block 1 is missing when it is asked for first.
            for status in [Status::Block, Status::MissingBlock, Status::Block, Status::Block] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; peer_wire::REQUEST_LEN];
                stream.read_exact(&mut request).unwrap();
                asked.push(BlockRequest::parse(&request).unwrap().block);
                stream.write_all(&ResponseHeader { status, body_len: 1 }.encode()).unwrap();
            }
            asked
        });
        let cascade = CascadeFile { path: "none".into(), hash: CascadeHash([1; 32]), layout };
        let mut ready = Readiness::of(address, &cascade);
        assert!(!ready.check(), "ready with a missing block");
        assert!(ready.check(), "not ready with all blocks");
        assert_eq!(server.join().unwrap(), [0, 1, 1, 2]);
    }

    #[test]
    fn a_list_is_read_and_a_refusal_is_empty() {
        let entry = [1, 2, 3, 4, 0, 5, 0, 0, 0, 9, 0, 0];
        let reply = [&[0, 0, 0, 0, 12][..], &entry].concat();
        let hash = CascadeHash([1; 32]);
        assert_eq!(listed(one_answer(reply), hash), [SocketAddrV4::new(Ipv4Addr::new(1, 2, 3, 4), 5)]);
        assert_eq!(listed(one_answer(vec![1, 0, 0, 0, 2, b'n', b'o']), hash), []);
    }
}
