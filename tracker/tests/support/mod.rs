//! A running tracker, and a client that speaks to it in raw bytes.

use cascade_tracker::{Tracker, View};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Longer than anything here takes: a test that waits for it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A tracker that runs until it is stopped or dropped.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    shutdown: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Running {
    pub(crate) fn start(tracker: Tracker) -> Self {
        Self::start_seen(tracker, |_| ())
    }

    /// The same; `seen` is given a way to look at it.
    pub(crate) fn start_seen(tracker: Tracker, seen: impl FnOnce(View) + Send + 'static) -> Self {
        let addr = tracker.local_addr();
        let (shutdown, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let stopped = async {
                // A dropped sender stops it as well.
                let _ = stopped.await;
            };
            runtime.block_on(tracker.run_seen(seen, stopped))
        });
        Self { addr, shutdown, thread }
    }

    /// Stops it and returns how it ended.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.shutdown.send(()).expect("the tracker ended before its time");
        self.thread.join().expect("the tracker panicked")
    }
}

pub(crate) fn connect(tracker: &Running) -> TcpStream {
    let client = TcpStream::connect(tracker.addr).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// A request of the peer 203.0.113.7:`port` for the file whose hash is `file` 32 times.
pub(crate) fn request(command: u32, file: u8, port: u16) -> [u8; 54] {
    let mut bytes = [file; 54];
    bytes[..4].copy_from_slice(b"CASC");
    bytes[4..8].copy_from_slice(&1u32.to_be_bytes());
    bytes[8..12].copy_from_slice(&command.to_be_bytes());
    bytes[12..16].copy_from_slice(&38u32.to_be_bytes());
    bytes[48..52].copy_from_slice(&[203, 0, 113, 7]);
    bytes[52..].copy_from_slice(&port.to_be_bytes());
    bytes
}

/// Reads until the tracker closes.
pub(crate) fn read_answer(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    client.read_to_end(&mut answer)?;
    Ok(answer)
}

/// One connection: sends `bytes`, reads the answer to its end.
pub(crate) fn exchange(tracker: &Running, bytes: &[u8]) -> Vec<u8> {
    let mut client = connect(tracker);
    client.write_all(bytes).unwrap();
    read_answer(&mut client).unwrap()
}

/// The ports in a peer list, of which the header is checked.
pub(crate) fn entries(answer: &[u8]) -> Vec<u16> {
    let (header, body) = answer.split_at(5);
    assert_eq!(header[0], 0, "refused: {}", String::from_utf8_lossy(body));
    assert_eq!(header[1..], u32::try_from(body.len()).unwrap().to_be_bytes());
    assert_eq!(body.len() % 12, 0, "{body:?}");
    body.chunks(12).map(|entry| u16::from_be_bytes([entry[4], entry[5]])).collect()
}

/// The message of a refusal, of which the header is checked, and the newline at its end.
pub(crate) fn message(answer: &[u8]) -> String {
    assert!(answer.len() > 5, "no refusal: {answer:?}");
    let (header, body) = answer.split_at(5);
    assert_eq!(header[0], 1, "not refused: {answer:?}");
    assert_eq!(header[1..], u32::try_from(body.len()).unwrap().to_be_bytes());
    let text = std::str::from_utf8(body).expect("a message is UTF-8");
    let line = text.strip_suffix('\n').unwrap_or_else(|| panic!("no newline at the end of {text:?}"));
    assert!(!line.contains('\n'), "more than one line: {text:?}");
    line.to_owned()
}
