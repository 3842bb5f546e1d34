//! The transfer floor: one file over one loopback connection with nothing but what a verified transfer needs.
//! The sender calls `sendfile`; the receiver receives 256 KiB, writes them at once, and hashes them twice (for
//! the block and for the whole file) either on the same thread or on a second one.

use crate::error::{BenchError, Context, Result, failed};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Bytes received, written and hashed at once.
pub const PIECE: usize = 256 * 1024;

/// Pieces between the receiving and the hashing thread.
const PIECES_IN_FLIGHT: usize = 8;

/// Bytes of one block hash.
const BLOCK: usize = 1 << 20;

/// Bytes that one call of `sendfile` may send; the kernel's own limit is just under 2 GiB.
const SEND_AT_ONCE: usize = 1 << 30;

/// Where the receiver hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Hashing {
    /// On the thread that receives and writes.
    OneThread,
    /// On a second thread.
    TwoThreads,
}

/// Sends `path` once to the first who connects; prints the address first.
///
/// # Errors
/// The file cannot be opened, the receiver goes away.
pub fn send(path: &Path) -> Result<()> {
    let file = File::open(path).context(|| format!("cannot open {}", path.display()))?;
    let length = file.metadata().context(|| format!("cannot look at {}", path.display()))?.len();
    let listener = TcpListener::bind("127.0.0.1:0").context(|| "cannot listen on 127.0.0.1".to_owned())?;
    println!("listening on {}", listener.local_addr().context(|| "no local address".to_owned())?);
    let (stream, receiver) = listener.accept().context(|| "cannot accept".to_owned())?;
    let mut at = 0;
    while at < length {
        let sent = rustix::fs::sendfile(&stream, &file, Some(&mut at), SEND_AT_ONCE)
            .context(|| format!("cannot send to {receiver}"))?;
        if sent == 0 {
            return failed(format!("{} became shorter", path.display()));
        }
    }
    Ok(())
}

/// Receives `length` bytes from `sender` into `out`, hashing them twice.
///
/// # Errors
/// The sender goes away early, the file cannot be written.
pub fn receive(sender: SocketAddr, length: u64, out: &Path, hashing: Hashing) -> Result<()> {
    let stream = TcpStream::connect(sender).context(|| format!("cannot connect to {sender}"))?;
    let file = File::create(out).context(|| format!("cannot create {}", out.display()))?;
    let mut work = Work { stream, file, left: length };
    match hashing {
        Hashing::OneThread => {
            let (mut hashes, mut piece) = (Hashes::default(), vec![0; PIECE]);
            while let Some(count) = work.receive_and_write(&mut piece)? {
                hashes.update(&piece[..count]);
            }
            hashes.finish();
            Ok(())
        }
        Hashing::TwoThreads => thread::scope(|scope| {
            // One more free buffer than the queue holds, so that neither side waits for a return trip.
            let (to_hasher, pieces) = sync_channel(PIECES_IN_FLIGHT);
            let (give_back, free) = sync_channel(PIECES_IN_FLIGHT + 1);
            for _ in 0..=PIECES_IN_FLIGHT {
                let _ = give_back.send(vec![0; PIECE]);
            }
            scope.spawn(move || hash_pieces(&pieces, &give_back));
            receive_pieces(&mut work, &free, &to_hasher)
        }),
    }
}

/// The receiving side of a transfer.
struct Work {
    stream: TcpStream,
    file: File,
    left: u64,
}

impl Work {
    /// Fills `piece`, writes it to the file; the number of bytes, `None` at the end.
    fn receive_and_write(&mut self, piece: &mut [u8]) -> Result<Option<usize>> {
        let count = usize::try_from(self.left).unwrap_or(PIECE).min(piece.len());
        if count == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut piece[..count]).context(|| "cannot receive".to_owned())?;
        self.file.write_all(&piece[..count]).context(|| "cannot write".to_owned())?;
        self.left -= count as u64;
        Ok(Some(count))
    }
}

type Piece = (Vec<u8>, usize);

fn receive_pieces(work: &mut Work, free: &Receiver<Vec<u8>>, to_hasher: &SyncSender<Piece>) -> Result<()> {
    let gone = || BenchError::Failed("the hashing thread has gone".to_owned());
    loop {
        let mut piece = free.recv().map_err(|_| gone())?;
        let Some(count) = work.receive_and_write(&mut piece)? else { return Ok(()) };
        to_hasher.send((piece, count)).map_err(|_| gone())?;
    }
}

fn hash_pieces(pieces: &Receiver<Piece>, give_back: &SyncSender<Vec<u8>>) {
    let mut hashes = Hashes::default();
    while let Ok((piece, count)) = pieces.recv() {
        hashes.update(&piece[..count]);
        // The receiver has gone when it has everything.
        let _ = give_back.send(piece);
    }
    hashes.finish();
}

/// Both hashes of a download.
#[derive(Default)]
struct Hashes {
    file: Sha256,
    block: Sha256,
    in_block: usize,
}

impl Hashes {
    /// Hashes a piece for its block and for the file. A piece never reaches over the end of its block: both
    /// are powers of two, and only the last piece is shorter.
    fn update(&mut self, piece: &[u8]) {
        self.block.update(piece);
        self.in_block += piece.len();
        if self.in_block >= BLOCK {
            std::hint::black_box(self.block.finalize_reset());
            self.in_block = 0;
        }
        self.file.update(piece);
    }

    fn finish(self) {
        std::hint::black_box((self.file.finalize(), self.block.finalize()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(bytes: &[u8], hashing: Hashing) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.write_all(bytes).unwrap());
            receive(address, bytes.len() as u64, &copy, hashing).unwrap();
        });
        std::fs::read(copy).unwrap()
    }

    #[test]
    fn both_variants_receive_every_byte() {
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|i| u8::try_from(i % 251).unwrap()).collect();
        for hashing in [Hashing::OneThread, Hashing::TwoThreads] {
            assert!(transfer(&bytes, hashing) == bytes, "{hashing:?} lost bytes");
        }
    }

    #[test]
    fn an_early_end_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.write_all(&[1; 10]).unwrap());
            let result = receive(address, 11, &dir.path().join("copy"), Hashing::TwoThreads);
            assert!(result.is_err(), "ten of eleven bytes were enough");
        });
    }
}
