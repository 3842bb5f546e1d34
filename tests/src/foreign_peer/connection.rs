//! One connection of a foreign peer, served by a thread of its own.

use super::{Answer, Ask, Delivery, Greeting, Reading, Seen, Shared};
use crate::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

const REQUEST_LEN: usize = 64;

/// How many bytes of responses are kept back at most to leave together.
const BATCH: usize = 1 << 20;

/// How long a connection is looked at after its end.
const AFTER_CLOSE: std::time::Duration = std::time::Duration::from_millis(20);

/// What becomes of the connection after a response.
enum Then {
    Next,
    Close,
    /// Open, and silent for ever.
    Silence,
}

pub(super) struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    number: usize,
    batch: Vec<u8>,
    responses_in_batch: usize,
    asked: bool,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, stream: TcpStream, number: usize) -> Self {
        Self { shared, stream, number, batch: Vec::new(), responses_in_batch: 0, asked: false }
    }

    /// Serves until either side closes. Errors end the connection: they are the other side's doing.
    pub(super) fn serve(mut self) {
        let _ = self.stream.set_nodelay(self.shared.script.delivery != Delivery::TwoSegments);
        let _ = self.stream.set_read_timeout(self.shared.script.idle);
        let _ = self.stream.set_write_timeout(self.shared.script.idle);
        let end = match self.shared.script.greeting {
            Greeting::Garbage => self.garbage(),
            Greeting::Serve | Greeting::Close => self.requests(),
        };
        let over = self.shared.gate.is_closed();
        let broken = end
            .is_err_and(|error| matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
        self.shared.journal().deaths += usize::from(broken && !over);
        // The close that follows is a plain one, as in the field: requests that were not read turn it
        // into a reset, which may cost the other side the end of the last response.
    }

    fn requests(&mut self) -> io::Result<()> {
        while let Some(request) = self.read_request()? {
            let more_waits = self.waiting()? >= REQUEST_LEN as u64;
            self.shared.journal().pipelined += usize::from(more_waits);
            match self.respond(&request, more_waits)? {
                Then::Next if self.shared.script.close_after_response && !self.shared.script.fragile => break,
                Then::Next if self.shared.script.close_after_response => {
                    self.flush()?;
                    return self.close_after_response();
                }
                Then::Next => {}
                Then::Close => break,
                Then::Silence => {
                    self.flush()?;
                    return self.listen_to_the_end();
                }
            }
            if !more_waits || self.batch.len() > BATCH {
                self.flush()?;
            }
        }
        self.flush()
    }

    /// The next request; `None` at the end of the stream, or after an answer with status 4.
    fn read_request(&mut self) -> io::Result<Option<[u8; REQUEST_LEN]>> {
        let mut request = [0; REQUEST_LEN];
        if self.shared.script.reading == Reading::Stream {
            return match self.stream.read_exact(&mut request) {
                Ok(()) => Ok(Some(request)),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.end(),
                Err(error) => Err(error),
            };
        }
        match self.stream.read(&mut request)? {
            0 => self.end(),
            REQUEST_LEN => Ok(Some(request)),
            _ => {
                self.shared.journal().split_reads += 1;
                self.message(4, b"could not parse the request")?;
                Ok(None)
            }
        }
    }

    /// The other side has closed. A fragile program that was not asked for anything takes that for a request that it
    /// cannot parse, and says so.
    fn end(&mut self) -> io::Result<Option<[u8; REQUEST_LEN]>> {
        if self.shared.script.fragile && !self.asked {
            self.message(4, b"could not parse the request")?;
            // The first write after the other side has closed is answered with a reset; the second one kills. Where
            // only one direction was closed, no reset comes.
            self.wait_for_reset()?;
            self.message(4, b"could not parse the request")?;
        }
        Ok(None)
    }

    /// Waits until the connection is broken, for up to [`AFTER_CLOSE`].
    fn wait_for_reset(&self) -> io::Result<()> {
        let limit = Timespec::try_from(AFTER_CLOSE).map_err(io::Error::other)?;
        // Errors and hang-ups are always told, whatever is asked for.
        poll(&mut [PollFd::new(&self.stream, PollFlags::empty())], Some(&limit))?;
        Ok(())
    }

    /// Ends the connection behind a response, and notes what was asked too late.
    fn close_after_response(&mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Write)?;
        self.stream.set_read_timeout(Some(AFTER_CLOSE))?;
        let mut request = [0; REQUEST_LEN];
        let late = self.stream.read(&mut request).is_ok_and(|read| read > 0);
        self.shared.journal().late += usize::from(late);
        Ok(())
    }

    fn respond(&mut self, request: &[u8; REQUEST_LEN], more_waits: bool) -> io::Result<Then> {
        let one_at_a_time = self.shared.script.reading == Reading::OneAtATime;
        if one_at_a_time && more_waits {
            self.shared.journal().refused_pipelined += 1;
            self.message(4, b"one request at a time")?;
            return Ok(Then::Close);
        }
        self.asked = true;
        if self.shared.script.zeros_only && request[8..24] != [0; 16] {
            self.shared.journal().refused_marked += 1;
            self.message(4, b"the reserved bytes must be zero")?;
            return Ok(Then::Close);
        }
        if !request.starts_with(b"CASCADE1") {
            self.message(4, b"not a request")?;
            return Ok(Then::Close);
        }
        let seen = Seen {
            at: clock::now(),
            connection: self.number,
            block: u64::from_be_bytes(part(request, 24)),
            hash: part(request, 32),
            reserved: part(request, 8),
        };
        let nth = {
            let mut journal = self.shared.journal();
            journal.requests.push(seen.clone());
            journal.requests.len() - 1
        };
        let shared = Arc::clone(&self.shared);
        let Some(file) = shared.files.iter().find(|file| file.hash() == seen.hash) else {
            self.message(1, b"no such file here")?;
            return Ok(Then::Close);
        };
        if file.block_len(seen.block).is_none() {
            self.message(3, b"no such block")?;
            return Ok(Then::Close);
        }
        if !shared.holds(seen.block) || !file.has(seen.block) {
            self.message(2, b"not yet")?;
            shared.journal().missing += 1;
            return Ok(Then::Next);
        }
        let answer = (shared.script.rule)(Ask { block: seen.block, nth });
        self.answer(answer, seen.block, &file.read(seen.block)?)
    }

    fn answer(&mut self, answer: Answer, number: u64, block: &[u8]) -> io::Result<Then> {
        if answer != Answer::Block {
            self.shared.journal().told_a_lie();
        }
        let length = block.len() as u64;
        let half = block.get(..block.len() / 2).unwrap_or_default();
        match answer {
            Answer::Block => {
                self.response(0, length, block)?;
                self.shared.journal().served.push(number);
                Ok(Then::Next)
            }
            Answer::WrongBytes => {
                let wrong: Vec<_> = block.iter().map(|byte| byte ^ 0x55).collect();
                self.response(0, length, &wrong)?;
                Ok(Then::Next)
            }
            Answer::Message { status, text, close } => {
                self.message(status, &text)?;
                Ok(if close { Then::Close } else { Then::Next })
            }
            Answer::Claim { status, length } => {
                let start = usize::try_from(length).map_or(block.len(), |claim| claim.min(block.len()));
                self.response(status, length, &block[..start])?;
                Ok(Then::Silence)
            }
            Answer::HalfThenClose => self.response(0, length, half).map(|()| Then::Close),
            Answer::HalfThenSilence => self.response(0, length, half).map(|()| Then::Silence),
            Answer::Silence => Ok(Then::Silence),
            Answer::Close => Ok(Then::Close),
            Answer::Endless { status } => {
                self.response(status, u64::MAX, b"endless ")?;
                self.flush()?;
                self.garbage().map(|()| Then::Close)
            }
        }
    }

    fn message(&mut self, status: u8, text: &[u8]) -> io::Result<()> {
        self.response(status, text.len() as u64, text)
    }

    /// Sends a header with the claim and these bytes as the body.
    fn response(&mut self, status: u8, claim: u64, body: &[u8]) -> io::Result<()> {
        let mut header = [status; 9];
        header[1..].copy_from_slice(&claim.to_be_bytes());
        match self.shared.script.delivery {
            Delivery::Joined => self.send(&[&header, body].concat()),
            Delivery::HeaderByteByByte => {
                for byte in header {
                    self.send(&[byte])?;
                    // Long enough for the segment to leave alone and be read alone.
                    clock::breathe();
                }
                self.send(body)
            }
            Delivery::TwoSegments => {
                self.send(&header)?;
                self.send(body)
            }
            Delivery::Batched => {
                self.batch.extend_from_slice(&header);
                self.batch.extend_from_slice(body);
                self.responses_in_batch += 1;
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.responses_in_batch > 1 {
            self.shared.journal().batched += self.responses_in_batch;
        }
        self.responses_in_batch = 0;
        let batch = std::mem::take(&mut self.batch);
        self.send(&batch)
    }

    /// Sends bytes at the script's pace.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.chunks(self.shared.pace.chunk()) {
            self.shared.pace.take(chunk.len());
            if self.shared.gate.is_closed() {
                return Err(ErrorKind::BrokenPipe.into());
            }
            self.stream.write_all(chunk)?;
        }
        Ok(())
    }

    /// Random bytes until the other side has enough.
    fn garbage(&mut self) -> io::Result<()> {
        if self.shared.script.greeting == Greeting::Garbage {
            self.shared.journal().told_a_lie();
        }
        let mut bytes = [0; 4096];
        fastrand::Rng::with_seed(7).fill(&mut bytes);
        loop {
            self.send(&bytes)?;
            // A stream without end, not a race for the processor.
            clock::breathe();
        }
    }

    /// Reads and drops what comes, until the other side closes.
    fn listen_to_the_end(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while self.stream.read(&mut bytes)? > 0 {}
        Ok(())
    }

    fn waiting(&self) -> io::Result<u64> {
        Ok(ioctl_fionread(&self.stream)?)
    }
}

/// `N` bytes of a request from `at`.
fn part<const N: usize>(request: &[u8; REQUEST_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&request[at..at + N]);
    out
}
