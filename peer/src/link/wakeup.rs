//! When a link's socket wakes it.

use super::low_water::{SOON, Wait};
use crate::clock;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The receive window that a socket gets before it is told to wait, in bytes: 100 Mbit/s over 160 ms. The system
/// itself makes the window larger only while the application reads more in a while than waits in the socket, which a
/// link that sleeps does not do; and a window of hardly more than the mark would leave the sender without anything to
/// do while the link wakes up. It is a bound: memory is taken for what has come and is not read.
const WINDOW_LEN: u64 = 2 << 20;

/// What a link has told its socket, and until when it sleeps at most.
#[derive(Debug)]
pub(super) struct Wakeup {
    /// The socket's own mark (`SO_RCVLOWAT`); a new socket has 1.
    mark: u64,
    /// Whether the window was made larger.
    widened: bool,
    /// Whether the socket understands marks. Otherwise the link looks after a short time instead.
    marks: bool,
    /// When to look, whatever has come.
    until: Option<Instant>,
    /// Whether nothing is to be read before that, whatever has come.
    rests: bool,
}

impl Wakeup {
    /// The next byte wakes. Without `marks` the socket is told nothing.
    pub(super) const fn new(marks: bool) -> Self {
        Self { mark: 1, widened: false, marks, until: None, rests: false }
    }

    /// Waits for `wait` from now on.
    pub(super) fn set(&mut self, stream: &TcpStream, wait: Wait) {
        if self.marks && self.mark != wait.mark {
            if !self.widened {
                // The window follows a mark up, but not down.
                self.widened = set_low_water(stream, WINDOW_LEN).is_ok();
            }
            self.marks = set_low_water(stream, wait.mark).is_ok();
            self.mark = wait.mark;
        }
        self.rests = false;
        let hold = wait.hold.map(|hold| if self.marks { hold } else { hold.min(SOON) });
        self.until = hold.map(|hold| clock::now() + hold);
    }

    /// Reads nothing until then: the system's buffer fills, and holds the sender back.
    pub(super) const fn rest(&mut self, until: Instant) {
        (self.rests, self.until) = (true, Some(until));
    }

    /// When to look, whatever has come.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the socket says when enough is there.
    pub(super) const fn is_told_by_socket(&self) -> bool {
        !self.rests && (self.marks || self.until.is_none())
    }
}

/// Bytes that must be in the socket until it is readable. The system itself sees to it that the receive buffer
/// has room for them, and that a full buffer or the end of the stream makes the socket readable too.
#[allow(unsafe_code, reason = "neither rustix nor socket2 knows SO_RCVLOWAT")]
fn set_low_water(stream: &TcpStream, mark: u64) -> io::Result<()> {
    let mark = libc::c_int::try_from(mark).unwrap_or(libc::c_int::MAX);
    let length = libc::socklen_t::try_from(size_of_val(&mark)).unwrap_or(0);
    let value: *const libc::c_int = &raw const mark;
    // SAFETY: the descriptor is open as long as `stream` is borrowed, and `value` points to `length` bytes
    // that live until the call returns; the kernel copies them and keeps no pointer.
    let result = unsafe {
        let fd = stream.as_fd().as_raw_fd();
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT, value.cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What follows the bytes that were received.
#[derive(Debug)]
pub(super) enum After {
    /// Nothing yet.
    Empty,
    /// The buffer is full, and there may be more.
    More,
    /// The end of the stream.
    End,
    /// The connection is broken.
    Broken(io::Error),
}

/// Receives until the buffer is full or the socket is empty. A read that does not fill what is left of the buffer
/// has emptied the socket: no second one is needed to find that out.
pub(super) fn fill(stream: &TcpStream, buffer: &mut [u8]) -> (usize, After) {
    let mut result = None;
    // The runtime forgets that the socket was readable where this says so, but not what comes meanwhile.
    let _ = stream.try_io(Interest::READABLE, || match result.insert(receive(stream, buffer)) {
        (_, After::Empty) => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    });
    // The socket has not said that it is readable; but less than its mark may be there.
    result.unwrap_or_else(|| receive(stream, buffer))
}

fn receive(stream: &TcpStream, buffer: &mut [u8]) -> (usize, After) {
    loop {
        return match rustix::io::read(stream, &mut *buffer) {
            Ok(0) => (0, After::End),
            Ok(received) if received == buffer.len() => (received, After::More),
            Ok(received) => (received, After::Empty),
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => (0, After::Empty),
            Err(error) => (0, After::Broken(error.into())),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    const MOMENT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(10);

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (here, there) = tokio::join!(TcpStream::connect(addr), listener.accept());
        (here.unwrap(), there.unwrap().0)
    }

    fn wait(mark: u64) -> Wait {
        Wait { mark, hold: Some(Duration::from_secs(1)) }
    }

    async fn wakes(stream: &TcpStream, within: Duration) -> bool {
        timeout(within, stream.readable()).await.is_ok()
    }

    #[tokio::test]
    async fn less_than_the_mark_does_not_wake_and_can_be_read_all_the_same() {
        let (here, mut there) = pair().await;
        let (mut wakeup, mut buffer) = (Wakeup::new(true), vec![0; 4096]);
        wakeup.set(&here, wait(1000));
        there.write_all(&[7; 999]).await.unwrap();
        assert!(!wakes(&here, MOMENT).await, "999 bytes of 1000 wake");
        there.write_all(&[7; 1]).await.unwrap();
        assert!(wakes(&here, LONG).await);
        let (length, after) = fill(&here, &mut buffer);
        assert!(length == 1000 && matches!(after, After::Empty), "{length} {after:?}");
        assert!(!wakes(&here, MOMENT).await, "an emptied socket is still readable");
        there.write_all(&[7; 10]).await.unwrap();
        assert!(!wakes(&here, MOMENT).await, "ten bytes wake");
        assert_eq!(fill(&here, &mut buffer).0, 10, "a look at what is there");
        // A lower mark wakes for what is there already.
        there.write_all(&[7; 10]).await.unwrap();
        wakeup.set(&here, Wait::BYTE);
        assert!(wakes(&here, LONG).await);
        assert_eq!(fill(&here, &mut buffer).0, 10);
    }

    #[tokio::test]
    async fn the_end_of_the_stream_wakes_whatever_the_mark_is() {
        let (here, mut there) = pair().await;
        let (mut wakeup, mut buffer) = (Wakeup::new(true), vec![0; 4096]);
        wakeup.set(&here, wait(1000));
        there.write_all(&[7; 10]).await.unwrap();
        assert!(!wakes(&here, MOMENT).await);
        drop(there);
        assert!(wakes(&here, LONG).await);
        assert_eq!(fill(&here, &mut buffer).0, 10);
        assert!(wakes(&here, LONG).await, "the end is forgotten");
        assert!(matches!(fill(&here, &mut buffer), (0, After::End)));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_window_has_room_for_many_marks() {
        let (here, _there) = pair().await;
        let size = || socket2::SockRef::from(&here).recv_buffer_size().unwrap();
        let before = size();
        Wakeup::new(true).set(&here, wait(64 << 10));
        // The system's own bound may be lower; it never makes the buffer smaller.
        let most = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").unwrap();
        let most: usize = most.split_whitespace().last().unwrap().parse().unwrap();
        assert!(size() >= before.max((most / 2).min(2 << 20)), "{before}, then {} of {most}", size());
    }

    #[tokio::test]
    async fn a_mark_beyond_the_receive_buffer_is_reached() {
        let (here, mut there) = pair().await;
        socket2::SockRef::from(&here).set_recv_buffer_size(8 << 10).unwrap();
        let mut wakeup = Wakeup::new(true);
        wakeup.set(&here, wait(64 << 10));
        let send = tokio::spawn(async move { there.write_all(&vec![7; 1 << 20]).await });
        assert!(wakes(&here, LONG).await, "a full receive buffer does not wake");
        send.abort();
    }

    #[tokio::test]
    async fn without_marks_the_link_looks_soon() {
        let (here, _there) = pair().await;
        let mut wakeup = Wakeup::new(false);
        wakeup.set(&here, wait(1000));
        assert!(!wakeup.is_told_by_socket());
        assert!(wakeup.until().unwrap() <= clock::now() + SOON);
        wakeup.set(&here, Wait::BYTE);
        assert!(wakeup.is_told_by_socket() && wakeup.until().is_none());
    }

    #[tokio::test]
    async fn a_full_buffer_says_that_there_may_be_more() {
        let (here, mut there) = pair().await;
        there.write_all(&[7; 100]).await.unwrap();
        assert!(wakes(&here, LONG).await);
        let mut buffer = [0; 60];
        assert!(matches!(fill(&here, &mut buffer), (60, After::More)));
        assert!(wakes(&here, LONG).await, "what is left is forgotten");
        assert!(matches!(fill(&here, &mut buffer), (40, After::Empty)));
    }
}
