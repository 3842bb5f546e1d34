//! A TCP service behind an emulated link, without privileges: a client that connects to the relay reaches the
//! service through a rate and a delay in each direction.
//!
//! It carries bytes, not packets: there is no loss, TCP's own round trip is that of loopback, and a connection
//! is accepted at once. It emulates the two effects that a requester sees: an answer comes a round trip later, at the
//! link's rate. All connections share the rate.

use super::{LinkSpec, nanoseconds, transmission_time};
use crate::clock;
use crate::error::{Context, Result};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes moved at once; at 1 Gbit/s they take an eighth of a millisecond.
const CHUNK: usize = 16 * 1024;

/// One direction of the link.
#[derive(Debug)]
struct Direction {
    rate: u64,
    delay: Duration,
    start: Instant,
    /// When everything accepted so far is through, in nanoseconds since `start`.
    free: Mutex<u64>,
    bytes: AtomicU64,
}

/// A chunk and the time at which it comes out.
type Due = (Instant, Vec<u8>);

/// A running relay. Its threads end with their connections; it accepts no more when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    /// From the service to the clients.
    from_service: Arc<Direction>,
}

impl Relay {
    /// Listens on loopback in front of `service`; the service's link is `link`.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(service: SocketAddrV4, link: &LinkSpec) -> Result<Self> {
        let listener =
            TcpListener::bind("127.0.0.1:0").context(|| "cannot listen on 127.0.0.1".to_owned())?;
        let address = listener.local_addr().context(|| "no local address".to_owned())?;
        let stop = Arc::new(AtomicBool::new(false));
        let (to, from) = (Direction::new(link.down, link.delay), Direction::new(link.up, link.delay));
        let relay = Self { address, stop: Arc::clone(&stop), from_service: Arc::clone(&from) };
        // As much as the link itself holds: what is on its way, and its queue.
        let held = |rate: u64| {
            let bytes = rate / 8 * nanoseconds(link.delay + link.queue) / 1_000_000_000;
            usize::try_from(bytes).unwrap_or(0) / CHUNK + 2
        };
        let (to_depth, from_depth) = (held(link.down), held(link.up));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(server) = TcpStream::connect(service) else { continue };
                let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { continue };
                carry(client, server, Arc::clone(&to), to_depth);
                carry(server2, client2, Arc::clone(&from), from_depth);
            }
        });
        Ok(relay)
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes accepted from the service so far.
    #[must_use]
    pub fn bytes_from_service(&self) -> u64 {
        self.from_service.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Direction {
    fn new(rate: u64, delay: Duration) -> Arc<Self> {
        let (free, bytes) = (Mutex::new(0), AtomicU64::new(0));
        Arc::new(Self { rate, delay, start: clock::now(), free, bytes })
    }

    /// When `bytes` that arrive now come out at the other end.
    fn due(&self, bytes: usize) -> Instant {
        let now = nanoseconds(self.start.elapsed());
        // Held for a handful of instructions.
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = now.max(*free) + transmission_time(bytes, self.rate);
        self.start + Duration::from_nanos(*free) + self.delay
    }
}

/// Two threads for one direction of one connection, with a bounded queue between them.
fn carry(from: TcpStream, to: TcpStream, direction: Arc<Direction>, depth: usize) {
    let (sender, receiver) = sync_channel(depth);
    thread::spawn(move || take_in(from, &sender, &direction));
    thread::spawn(move || give_out(to, &receiver));
}

fn take_in(mut from: TcpStream, queue: &SyncSender<Due>, direction: &Direction) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        direction.bytes.fetch_add(count as u64, Ordering::Relaxed);
        if queue.send((direction.due(count), chunk[..count].to_vec())).is_err() {
            // The other end has gone: the sender shall know.
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn give_out(mut to: TcpStream, queue: &Receiver<Due>) {
    while let Ok((due, chunk)) = queue.recv() {
        thread::sleep(due.saturating_duration_since(clock::now()));
        if to.write_all(&chunk).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_comes_back_whole_and_a_round_trip_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(service) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = vec![0; 100_000];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let link = LinkSpec::symmetric(100, Duration::from_millis(15), Duration::from_millis(50));
        let relay = Relay::start(service, &link).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        let bytes: Vec<u8> = (0..100_000).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let started = clock::now();
        stream.write_all(&bytes).unwrap();
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).unwrap();
        // 8 ms at 100 Mbit/s and 15 ms of delay, twice; the directions overlap by nothing here.
        assert!(started.elapsed() >= Duration::from_millis(46), "too early: {:?}", started.elapsed());
        assert!(back == bytes, "the echo has other bytes");
        assert_eq!(relay.bytes_from_service(), 100_000);
    }

    #[test]
    fn the_rate_is_shared_by_all_connections() {
        let direction = Direction::new(8_000_000, Duration::ZERO);
        let first = direction.due(1000);
        let second = direction.due(1000);
        assert!(second - first >= Duration::from_micros(990), "both at once");
    }
}
