//! One connection on which parts of a `.cascade` file are asked for.

use crate::clock;
use crate::dial::Dial;
use crate::limits::CONNECT_TIMEOUT;
use crate::link::farewell::FAREWELL;
use crate::pace::Allowance;
use cascade_format::extension::metafile::{Heard, PartReader, request};
use cascade_format::{CascadeHash, PeerAddr};
use cascade_swarm::ask::fetch::{AttemptId, Failure};
use std::io;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

/// What is read at once, and waits to be written as one piece.
const PIECE_LEN: usize = 64 << 10;

/// The most bytes of a refusal's message that are read, so that a peer does not die of a connection that is closed
/// while it answers.
const MAX_MESSAGE_LEN: u64 = 64 << 10;

/// What has come.
#[derive(Debug)]
pub(super) enum Told {
    /// A part follows, of a file of this length in bytes.
    Total(u64),
    /// The next bytes of the part.
    Bytes(Vec<u8>),
    /// The part is complete.
    End,
    /// Nothing more comes, for this reason.
    Failed(Failure, String),
}

/// The connection to be.
pub(super) struct Conversation {
    pub(super) id: AttemptId,
    pub(super) hash: CascadeHash,
    /// How to connect.
    pub(super) dial: Dial,
    pub(super) addr: PeerAddr,
    /// Where this peer listens, 0 if it does not.
    pub(super) port: u16,
    /// Offsets to ask for. When the other end is gone, so is the wish for parts.
    pub(super) asks: mpsc::Receiver<u32>,
    /// An offset that came while an answer was read.
    pub(super) next: Option<u32>,
    pub(super) told: mpsc::Sender<(AttemptId, Told)>,
    /// What may be received within the limit, if there is one.
    pub(super) allowance: Option<Allowance>,
}

/// Why a conversation ends: nobody listens any more, or it failed.
enum End {
    Left,
    Failed(Failure, String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Failed(Failure::Broke, error.to_string())
    }
}

impl Conversation {
    /// Asks for the part at `offset`, then for those that it is told to. Once connected, something is asked for in
    /// any case, and the first answer is read to its end: some programs of the field die of less.
    pub(super) async fn run(mut self, offset: u32) {
        let connecting = timeout(CONNECT_TIMEOUT, self.dial.connect(self.addr.into())).await;
        let mut stream = match connecting.unwrap_or_else(|late| Err(late.into())) {
            Ok(stream) => stream,
            Err(error) => {
                let why = format!("cannot connect: {error}");
                return drop(self.told.send((self.id, Told::Failed(Failure::Broke, why))).await);
            }
        };
        // Requests are written whole; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        if let Err(End::Failed(failure, why)) = self.talk(&mut stream, offset).await {
            let _ = self.told.send((self.id, Told::Failed(failure, why))).await;
        }
    }

    async fn talk(&mut self, stream: &mut TcpStream, mut offset: u32) -> Result<(), End> {
        let mut buffer = vec![0; PIECE_LEN];
        loop {
            stream.write_all(&request(self.hash, offset, self.port)).await?;
            self.read_answer(stream, offset, &mut buffer).await?;
            let Some(next) = self.next_offset().await else { return Ok(()) };
            offset = next;
        }
    }

    async fn next_offset(&mut self) -> Option<u32> {
        match self.next.take() {
            None => self.asks.recv().await,
            next => next,
        }
    }

    async fn read_answer(
        &mut self,
        stream: &mut TcpStream,
        offset: u32,
        buffer: &mut [u8],
    ) -> Result<(), End> {
        let (mut reader, mut left_at) = (PartReader::new(offset), None);
        loop {
            let read = self.hear(stream, buffer, &mut left_at).await?;
            if read == 0 {
                return Err(End::Failed(Failure::Broke, "it closed the connection".into()));
            }
            let mut bytes = buffer.get(..read).unwrap_or_default();
            loop {
                let told = match reader.read(&mut bytes) {
                    Ok(Heard::More) => break,
                    Ok(Heard::Total(total)) => Told::Total(total),
                    Ok(Heard::Bytes(part)) => Told::Bytes(part.to_vec()),
                    Ok(Heard::End) => {
                        self.tell(Told::End).await;
                        return Ok(());
                    }
                    Ok(Heard::Refused(status, message)) => {
                        let why = format!(
                            "it does not have the .cascade file to give (status {})",
                            u8::from(status)
                        );
                        self.tell(Told::Failed(Failure::Refused(status), why)).await;
                        let left = message.min(MAX_MESSAGE_LEN).saturating_sub(bytes.len() as u64);
                        let mut rest = Vec::new();
                        let _ = timeout(FAREWELL, stream.take(left).read_to_end(&mut rest)).await;
                        return Err(End::Left);
                    }
                    Err(error) => return Err(End::Failed(Failure::Lied, error.to_string())),
                };
                self.tell(told).await;
            }
        }
    }

    /// Reads what has come, or waits for it. From `left_at` on nobody wishes for parts any more: then the rest of the answer
    /// is read for as long as [`FAREWELL`], so that the peer can finish.
    async fn hear(
        &mut self,
        stream: &mut TcpStream,
        buffer: &mut [u8],
        left_at: &mut Option<Instant>,
    ) -> Result<usize, End> {
        loop {
            let waits = self.next.is_none() && left_at.is_none();
            let until = left_at.unwrap_or_else(clock::now) + FAREWELL;
            tokio::select! {
                read = receive(stream, buffer, self.allowance.as_mut()) => return Ok(read?),
                next = self.asks.recv(), if waits => match next {
                    None => *left_at = Some(clock::now()),
                    next => self.next = next,
                },
                () = sleep_until(until.into()), if left_at.is_some() => return Err(End::Left),
            }
        }
    }

    async fn tell(&self, told: Told) {
        // Nobody may be listening any more; the answer is read to its end all the same.
        let _ = self.told.send((self.id, told)).await;
    }
}

/// Reads the bytes that have come, as far as the limit permits; 0: nothing more comes.
async fn receive(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    allowance: Option<&mut Allowance>,
) -> io::Result<usize> {
    let Some(allowance) = allowance else { return stream.read(buffer).await };
    loop {
        // Others may have what is not used while nothing comes.
        stream.readable().await?;
        let allowed = loop {
            match allowance.take(u64::MAX) {
                Ok(allowed) => break allowed.min(buffer.len()),
                Err(until) => sleep_until(until.into()).await,
            }
        };
        let read = stream.try_read(buffer.get_mut(..allowed).unwrap_or_default());
        allowance.used(*read.as_ref().unwrap_or(&0));
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_that_was_left_ends_though_its_peer_says_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ((wish, asks), (told, _events)) = (mpsc::channel(1), mpsc::channel(8));
        let conversation = Conversation {
            id: AttemptId(1),
            hash: CascadeHash([1; 32]),
            dial: Dial::from(None),
            addr: listener.local_addr().unwrap().into(),
            port: 0,
            asks,
            next: None,
            told,
            allowance: None,
        };
        let task = tokio::spawn(conversation.run(0));
        let (mut silent, _) = listener.accept().await.unwrap();
        silent.read_exact(&mut [0; 64]).await.unwrap();
        drop(wish);
        let ended = timeout(FAREWELL + Duration::from_secs(10), task).await;
        assert!(ended.is_ok(), "the connection stays for as long as the peer likes");
    }
}
