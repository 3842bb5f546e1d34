//! The end of a connection whose link is given up.
//!
//! Some of the field's programs die when a connection is closed before anything was asked for over it, or while
//! they answer. So something is asked for in any case, and a first answer that is under way is read to its end
//! and thrown away. A peer that has answered twice on a connection, or that knows the extension, is used to more.

use super::response::{Ask, ResponseReader};
use crate::clock;
use crate::pace::Allowance;
use cascade_format::CascadeHash;
use cascade_format::peer_wire::BlockRequest;
use std::io;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

/// How long the rest of an answer is waited for.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);

/// What is read at once.
const PIECE_LEN: usize = 16 << 10;

/// A connection that is to be closed.
pub(super) struct Farewell<'a> {
    /// What was asked for over it.
    pub(super) reader: &'a mut ResponseReader,
    /// The rest of requests that have left in part.
    pub(super) unsent: Vec<u8>,
    /// The file.
    pub(super) hash: CascadeHash,
    /// When something was asked for, or came, last.
    pub(super) last_sign: Instant,
    /// What may be read within the limit, if there is one.
    pub(super) allowance: Option<&'a mut Allowance>,
}

impl Farewell<'_> {
    /// Asks for something if nothing was asked for yet, and reads what is owed. When this returns the connection may
    /// be closed.
    pub(super) async fn say(mut self, stream: &TcpStream) {
        let mut since = self.last_sign;
        if !self.reader.was_asked() {
            // The shortest answer of all: there is no such block.
            let block = self.reader.blocks();
            self.unsent.extend(BlockRequest { reserved: [0; 16], block, cascade_hash: self.hash }.encode());
            self.reader.asked(Ask::NoBlock);
            since = clock::now();
        }
        if self.reader.is_used_to_more() && self.unsent.is_empty() {
            return;
        }
        // A peer that has been silent for long is not waited for any longer.
        let limit = (since + FAREWELL).min(clock::now() + FAREWELL);
        let _ = timeout_at(limit.into(), self.finish(stream)).await;
    }

    /// Bytes that may be read now.
    async fn allowed(&mut self) -> usize {
        let Some(allowance) = &mut self.allowance else { return usize::MAX };
        loop {
            match allowance.take(PIECE_LEN as u64) {
                Ok(allowed) => return allowed,
                Err(until) => tokio::time::sleep_until(until.into()).await,
            }
        }
    }

    async fn finish(&mut self, stream: &TcpStream) -> io::Result<()> {
        let mut piece = vec![0; PIECE_LEN];
        while !self.unsent.is_empty() {
            stream.writable().await?;
            match stream.try_write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        while self.reader.owed() > 0 && !self.reader.is_used_to_more() {
            stream.readable().await?;
            let allowed = self.allowed().await;
            let room = piece.len().min(allowed);
            let read = stream.try_read(piece.get_mut(..room).unwrap_or_default());
            if let Some(allowance) = &mut self.allowance {
                allowance.used(*read.as_ref().unwrap_or(&0));
            }
            match read {
                Ok(0) => break,
                Ok(read) => {
                    let bytes = piece.get(..read).unwrap_or_default();
                    if self.reader.read(bytes, &mut Vec::new()).is_err() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
