//! Emulated links in user space, for kernels without `netem`: a star of nodes, each in a network namespace of
//! its own behind a TUN device, or, where that is not permitted, a TCP relay.
//!
//! ```text
//!  node A ──TUN──► uplink queue ──rate──► delay ──► downlink queue ──rate──► TUN──► node B
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | [`star`] | queues, rates and delays; pure: time is an argument |
//! | [`tun`] | opens a TUN device |
//! | [`driver`] | the thread between the devices and the star |
//! | [`netns`] | network namespaces by iproute2 |
//! | [`congestion`] | TCP's congestion control on the nodes |
//! | [`network`] | all of it together: nodes with addresses, in which commands run |
//! | [`lan`] | hosts on one switch, limited by the kernel, for rates above 1 Gbit/s |
//! | [`subnets`] | subnets with a bridge each, joined by links |
//! | [`relay`] | one TCP service behind a link, without privileges |

pub mod congestion;
pub mod driver;
pub mod lan;
pub mod netns;
pub mod network;
pub mod relay;
pub mod star;
pub mod subnets;
pub mod tun;

use std::time::Duration;

/// One node's link to the middle of the star.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkSpec {
    /// Bits a second from the node; 0 for no limit.
    pub up: u64,
    /// Bits a second to the node; 0 for no limit.
    pub down: u64,
    /// One-way delay of what the node sends.
    pub delay: Duration,
    /// The longest time that a packet waits in either direction before it is dropped.
    pub queue: Duration,
}

impl LinkSpec {
    /// The same rate both ways, in Mbit/s.
    #[must_use]
    pub fn symmetric(mbit: u64, delay: Duration, queue: Duration) -> Self {
        Self { up: mbit * 1_000_000, down: mbit * 1_000_000, delay, queue }
    }

    /// The same delay without limits, for a tracker that must not be the bottleneck.
    #[must_use]
    pub fn unlimited(delay: Duration) -> Self {
        Self { up: 0, down: 0, delay, queue: Duration::from_secs(1) }
    }
}

/// Nanoseconds that `bytes` take at `rate` bits a second; 0 at a rate of 0 (no limit).
#[must_use]
fn transmission_time(bytes: usize, rate: u64) -> u64 {
    (bytes as u64 * 8_000_000_000).checked_div(rate).unwrap_or(0)
}

/// Nanoseconds of a duration; saturating, which takes 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
