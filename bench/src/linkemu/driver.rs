//! The thread between TUN devices and the star.

use super::star::{Counters, Packet, Star};
use super::{LinkSpec, nanoseconds};
use crate::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// The first two bytes of every node's address; the last two are the node's number plus one.
pub const NETWORK: [u8; 2] = [10, 88];

/// Packets read from one device before the others have their turn.
const READ_AT_ONCE: usize = 64;

/// The longest packet that a device can give, in bytes.
const MAX_PACKET: usize = 65_536;

/// Buffers kept for reuse.
const SPARE_PACKETS: usize = 8192;

/// The shortest sleep, in nanoseconds: several packets are moved in one go instead of a wake-up for each.
const MIN_SLEEP: u64 = 400_000;

/// The longest sleep, in nanoseconds, so that a stop is seen.
const MAX_SLEEP: u64 = 50_000_000;

/// The node that a packet is for; `None`: it is dropped.
pub type Route = fn(&[u8]) -> Option<usize>;

/// A running emulator; stops when dropped.
#[derive(Debug)]
pub struct Driver {
    stop: Arc<AtomicBool>,
    counters: Arc<Mutex<Vec<Counters>>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// Joins `devices` by links of the same number.
    #[must_use]
    pub fn start(devices: Vec<OwnedFd>, links: &[LinkSpec], route: Route) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counters = Arc::new(Mutex::new(vec![Counters::default(); links.len()]));
        let mut work = Work {
            devices,
            star: Star::new(links),
            route,
            spare: Vec::new(),
            buffer: vec![0; MAX_PACKET],
            start: clock::now(),
        };
        let (stopped, published) = (Arc::clone(&stop), Arc::clone(&counters));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                work.wait_and_read();
                // Locked before a packet is handed over: whoever has received it finds it counted.
                let mut published = lock(&published);
                work.deliver();
                published.iter_mut().zip(work.star.counters()).for_each(|(to, from)| *to = from);
            }
        });
        Self { stop, counters, thread: Some(thread) }
    }

    /// What has passed every node's link so far.
    #[must_use]
    pub fn counters(&self) -> Vec<Counters> {
        lock(&self.counters).clone()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(counters: &Mutex<Vec<Counters>>) -> MutexGuard<'_, Vec<Counters>> {
    counters.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work {
    devices: Vec<OwnedFd>,
    star: Star,
    route: Route,
    spare: Vec<Packet>,
    buffer: Vec<u8>,
    start: Instant,
}

impl Work {
    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    /// Sleeps until there is something to do, and takes the packets that the nodes have sent.
    fn wait_and_read(&mut self) {
        let next = self.star.next_event().unwrap_or(u64::MAX);
        let sleep = next.saturating_sub(self.now()).clamp(MIN_SLEEP, MAX_SLEEP);
        let timeout = Timespec { tv_sec: 0, tv_nsec: sleep.cast_signed() };
        let mut polled: Vec<PollFd<'_>> =
            self.devices.iter().map(|device| PollFd::new(device, PollFlags::IN)).collect();
        // An interrupted or failed poll only means that the devices are looked at too early.
        let _ = poll(&mut polled, Some(&timeout));
        let readable: Vec<usize> =
            polled.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty()).map(|(at, _)| at).collect();
        for node in readable {
            self.read_from(node);
        }
    }

    /// Hands over the packets whose time has come.
    fn deliver(&mut self) {
        let now = self.now();
        let (devices, spare) = (&self.devices, &mut self.spare);
        let deliver = |node: usize, packet: &[u8]| {
            if let Some(device) = devices.get(node) {
                // A node that is going away loses packets, as on any link.
                let _ = rustix::io::write(device, packet);
            }
        };
        self.star.advance(now, deliver, |packet| {
            if spare.len() < SPARE_PACKETS {
                spare.push(packet);
            }
        });
    }

    fn read_from(&mut self, node: usize) {
        let now = self.now();
        for _ in 0..READ_AT_ONCE {
            let Some(device) = self.devices.get(node) else { return };
            let Ok(count @ 1..) = rustix::io::read(device, &mut self.buffer) else { return };
            let bytes = &self.buffer[..count];
            let Some(to) = (self.route)(bytes) else { continue };
            let mut packet = self.spare.pop().unwrap_or_default();
            packet.clear();
            packet.extend_from_slice(bytes);
            if let Err(dropped) = self.star.offer(now, node, to, packet) {
                self.spare.push(dropped);
            }
        }
    }
}

/// The node that an IPv4 packet is for, where each node has one address.
pub(super) fn destination(packet: &[u8]) -> Option<usize> {
    let (header, _) = packet.split_first_chunk::<20>()?;
    if header[0] >> 4 != 4 || header[16..18] != NETWORK {
        return None;
    }
    usize::from(u16::from_be_bytes([header[18], header[19]])).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read_from_ipv4_headers() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[16..].copy_from_slice(&[10, 88, 1, 2]);
        assert_eq!(destination(&packet), Some(257));
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None, "IPv6");
        packet[0] = 0x45;
        packet[17] = 0;
        assert_eq!(destination(&packet), None, "another network");
        assert_eq!(destination(&packet[..19]), None, "cut short");
    }
}
