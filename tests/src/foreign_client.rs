//! A scripted foreign client: asks a listening peer for blocks (protocol §3) with raw bytes.

use crate::cascade_file::TestFile;
use crate::clock::LIMIT;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The longest body that is read: more is a fault of the server in every test.
const MAX_BODY: u64 = 256 << 20;

/// One response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u8,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Fails unless this is block `number` of `file`.
    #[track_caller]
    pub fn assert_block(&self, file: &TestFile, number: u64) {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]);
        assert_eq!(self.status, 0, "block {number} was refused: {text}");
        assert!(file.block(number) == Some(&self.body), "block {number} arrived with other bytes");
    }

    /// Fails unless this is a message with the given status.
    #[track_caller]
    pub fn assert_message(&self, status: u8) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let text = std::str::from_utf8(&self.body).expect("a message is UTF-8");
        assert!(!text.is_empty(), "status {status} came without a message");
    }
}

/// The 64 bytes that ask for a block.
#[must_use]
pub fn request(hash: &[u8; 32], block: u64) -> [u8; 64] {
    request_with(&[0; 16], hash, block)
}

/// The 64 bytes that ask for a block, with any reserved bytes.
#[must_use]
pub fn request_with(reserved: &[u8; 16], hash: &[u8; 32], block: u64) -> [u8; 64] {
    let mut request = [0; 64];
    request[..8].copy_from_slice(b"CASCADE1");
    request[8..24].copy_from_slice(reserved);
    request[24..32].copy_from_slice(&block.to_be_bytes());
    request[32..].copy_from_slice(hash);
    request
}

/// One connection to a peer.
#[derive(Debug)]
pub struct ForeignClient {
    stream: TcpStream,
}

impl ForeignClient {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens.
    #[must_use]
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, LIMIT)
            .unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"));
        Self::over(stream)
    }

    /// Speaks over a connection that is there.
    #[must_use]
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        stream.set_write_timeout(Some(LIMIT)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream }
    }

    /// Sends bytes with one call.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one response.
    ///
    /// # Errors
    /// The connection ends, or nothing comes within [`LIMIT`].
    pub fn receive(&mut self) -> io::Result<Response> {
        let mut header = [0; 9];
        self.stream.read_exact(&mut header)?;
        self.receive_body(header)
    }

    /// Reads one response; `None` where the other side closed instead of beginning one.
    ///
    /// # Errors
    /// The connection ends within the response, or nothing comes in time.
    pub fn receive_unless_closed(&mut self) -> io::Result<Option<Response>> {
        match self.recv_once(1) {
            Ok(first) => match first.first() {
                None => Ok(None),
                Some(status) => {
                    let mut header = [*status; 9];
                    self.stream.read_exact(&mut header[1..])?;
                    self.receive_body(header).map(Some)
                }
            },
            Err(error) if is_close(error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the rest of a response whose header is read.
    ///
    /// # Errors
    /// The connection ends, or the body is absurdly long.
    pub fn receive_body(&mut self, header: [u8; 9]) -> io::Result<Response> {
        let [status, length @ ..] = header;
        let length = u64::from_be_bytes(length);
        if length > MAX_BODY {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("a body of {length} bytes")));
        }
        let mut body = Vec::new();
        (&self.stream).take(length).read_to_end(&mut body)?;
        if body.len() as u64 == length {
            Ok(Response { status, body })
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    /// What one `recv` of up to `size` bytes brings.
    ///
    /// # Errors
    /// The connection ends, or nothing comes within [`LIMIT`].
    pub fn recv_once(&mut self, size: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        let read = self.stream.read(&mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Whether anything has come, or the other side has closed, within `time`; nothing is read.
    #[must_use]
    pub fn hears_within(&self, time: Duration) -> bool {
        self.set_limit(time);
        let heard = self.stream.peek(&mut [0]).is_ok();
        self.set_limit(LIMIT);
        heard
    }

    /// Asks for a block and reads the response.
    ///
    /// # Errors
    /// The connection ends.
    pub fn ask(&mut self, hash: &[u8; 32], block: u64) -> io::Result<Response> {
        self.send(&request(hash, block))?;
        self.receive()
    }

    /// Fails unless the server has closed, or closes soon.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => {}
            Ok(read) => panic!("{read} more bytes instead of a close"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("no close: {error}"),
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Limits every later read.
    pub fn set_limit(&self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).expect("a timeout");
    }

    /// Makes the kernel keep few bytes for this client, so that a slow reader is one at once.
    pub fn with_small_buffer(self) -> Self {
        rustix::net::sockopt::set_socket_recv_buffer_size(&self.stream, 4096).expect("SO_RCVBUF");
        self
    }
}

/// Whether an error says that the other side has closed before everything was read.
#[must_use]
pub fn is_close(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

/// Asks for a block over a new connection.
///
/// # Panics
/// No response.
#[must_use]
#[track_caller]
pub fn fetch(addr: SocketAddr, file: &TestFile, block: u64) -> Response {
    ForeignClient::connect(addr)
        .ask(&file.hash, block)
        .unwrap_or_else(|error| panic!("{addr} gave no answer for block {block}: {error}"))
}

/// The blocks that a peer gives (status 0, right bytes) when asked for all of them over one connection.
///
/// # Panics
/// A block comes with wrong bytes, a block is refused with another status than 2, the connection ends.
#[must_use]
#[track_caller]
pub fn blocks_given(addr: SocketAddr, file: &TestFile) -> Vec<u64> {
    let mut client = ForeignClient::connect(addr);
    let given = (0..file.blocks()).filter(|&block| {
        let response = client.ask(&file.hash, block).unwrap_or_else(|error| panic!("block {block}: {error}"));
        if response.status == 0 {
            response.assert_block(file, block);
        } else {
            response.assert_message(2);
        }
        response.status == 0
    });
    given.collect()
}
