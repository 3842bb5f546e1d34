//! A client that wants more than its share: many connections from one address, which ask for block after block
//! and keep nothing.

use crate::error::{Context, Result, failed};
use cascade_format::extension::Marker;
use cascade_format::peer_wire::{BlockRequest, RESPONSE_HEADER_LEN, ResponseHeader};
use cascade_format::{CascadeHash, Layout, Metafile};
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// Bytes that are read at once by a connection that reads as fast as it can.
const PIECE: usize = 64 << 10;

/// What it wants, and how it asks.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Whom it asks
    peer: SocketAddrV4,
    /// The file that it asks for
    cascade: PathBuf,
    /// Connections
    #[arg(long)]
    connections: u64,
    /// Requests under way on each
    #[arg(long)]
    in_flight: u64,
    /// Ask as version 1 does, without the marker of the swarm extension
    #[arg(long)]
    plain: bool,
    /// Bytes that each connection reads in a second; 0: none at all (default: as many as come)
    #[arg(long)]
    rate: Option<usize>,
}

/// Asks until it is killed.
///
/// # Errors
/// The `.cascade` file is none, a thread cannot be started.
pub fn run(options: &Options) -> Result<()> {
    let bytes =
        std::fs::read(&options.cascade).context(|| format!("cannot read {}", options.cascade.display()))?;
    let metafile =
        Metafile::parse(&bytes).or_else(|e| failed(format!("{}: {e}", options.cascade.display())))?;
    let file = File { hash: CascadeHash::of(&bytes), layout: metafile.header().layout };
    std::thread::scope(|scope| -> Result<()> {
        for number in 0..options.connections {
            std::thread::Builder::new()
                .stack_size(PIECE * 4)
                .spawn_scoped(scope, move || file.insist(options, number))
                .context(|| "cannot start a thread".to_owned())?;
        }
        Ok(())
    })
}

#[derive(Clone, Copy)]
struct File {
    hash: CascadeHash,
    layout: Layout,
}

impl File {
    /// One connection; made again when it breaks.
    fn insist(&self, options: &Options, number: u64) {
        // Each begins at another block.
        let first = number * self.layout.blocks() / options.connections.max(1);
        loop {
            let _ = self.ask_on(options, first);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn ask_on(&self, options: &Options, first: u64) -> io::Result<()> {
        let mut stream = TcpStream::connect(options.peer)?;
        stream.set_nodelay(true)?;
        let mut next = first;
        for _ in 0..options.in_flight {
            stream.write_all(&self.request(options, &mut next))?;
        }
        let mut sink = Sink { rate: options.rate, piece: vec![0; PIECE] };
        loop {
            let mut header = [0; RESPONSE_HEADER_LEN];
            sink.fill(&mut stream, &mut header)?;
            sink.skip(&mut stream, ResponseHeader::parse(&header).body_len)?;
            stream.write_all(&self.request(options, &mut next))?;
        }
    }

    fn request(&self, options: &Options, next: &mut u64) -> Vec<u8> {
        let number = *next % self.layout.blocks();
        *next = number + 1;
        if options.plain {
            let block = self.layout.block(number);
            block.map_or_else(Vec::new, |block| BlockRequest::new(self.hash, block).encode().to_vec())
        } else {
            // A port at which nobody listens: it claims to pass on what it gets.
            Marker { port: 9, offers_seen: 0, progress: None }.request(self.hash, number).to_vec()
        }
    }
}

/// Reads and forgets, at its rate.
struct Sink {
    rate: Option<usize>,
    piece: Vec<u8>,
}

impl Sink {
    fn fill(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
        self.pause(buffer.len());
        stream.read_exact(buffer)
    }

    fn skip(&mut self, stream: &mut TcpStream, mut left: u64) -> io::Result<()> {
        while left > 0 {
            let most = self.rate.unwrap_or(PIECE).min(PIECE);
            let now = usize::try_from(left).unwrap_or(most).min(most);
            self.pause(now);
            let got = stream.read(self.piece.get_mut(..now).unwrap_or_default())?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= got as u64;
        }
        Ok(())
    }

    /// Sleeps for as long as `bytes` take at its rate; for ever where it is 0.
    fn pause(&self, bytes: usize) {
        match self.rate {
            Some(0) => loop {
                std::thread::park();
            },
            Some(rate) => std::thread::sleep(Duration::from_secs(1).mul_f64(bytes as f64 / rate as f64)),
            None => {}
        }
    }
}
