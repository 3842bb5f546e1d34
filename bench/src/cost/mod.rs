//! What one transfer over an emulated link costs either side: processor time and wake-ups.
//!
//! | module | what is in it |
//! |---|---|
//! | [`curl`] | curl from nginx, alone and with `sha256sum` after it |
//! | [`peers`] | one seeder and one downloader of a program that can form a swarm |
//!
//! Each program runs on a node of its own. The emulator is this process, so that what it uses is not counted.

pub mod curl;
pub mod peers;

use crate::data::DataFile;
use crate::error::Result;
use crate::linkemu::LinkSpec;
use crate::linkemu::network::Network;
use crate::measure::Usage;
use crate::units::MIB;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// How long a queue of the link is.
const QUEUE: Duration = Duration::from_millis(50);

/// Bytes in a GiB.
const GIB: f64 = (1u64 << 30) as f64;

/// The greatest TCP buffers on the nodes, in bytes: what Linux allows by itself.
const TCP_BUFFER: u64 = 6 << 20;

/// A link between a sender and a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Way {
    /// Its rate both ways, in Mbit/s.
    pub rate: u64,
    /// The delay one way, in milliseconds.
    pub delay: u64,
}

impl Way {
    /// The link of either side.
    #[must_use]
    pub fn link(&self) -> LinkSpec {
        LinkSpec::symmetric(self.rate, Duration::from_millis(self.delay), QUEUE)
    }
}

/// Every node gets the same TCP buffers, whatever the machine's own are.
fn set_buffers(network: &Network) -> Result<()> {
    let set = |name, first: u64| network.set(name, &format!("4096 {first} {TCP_BUFFER}"));
    set("net/ipv4/tcp_rmem", 128 << 10)?;
    set("net/ipv4/tcp_wmem", 16 << 10)
}

/// One transfer.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// Bytes of the file.
    pub length: u64,
    /// Seconds from the receiver's start to its complete file.
    pub wall: f64,
    /// The sender, from when it was ready.
    pub sender: Usage,
    /// The receiver, from its start.
    pub receiver: Usage,
}

impl Cost {
    /// A side's CPU seconds for each GiB.
    #[must_use]
    pub fn cpu_per_gib(&self, side: impl Fn(&Self) -> Usage) -> f64 {
        side(self).cpu * GIB / self.length as f64
    }

    /// A side's wake-ups for each MiB.
    #[must_use]
    pub fn wakeups_per_mib(&self, side: impl Fn(&Self) -> Usage) -> f64 {
        side(self).wakeups as f64 * MIB as f64 / self.length as f64
    }
}

/// A way to bring a file over a link.
pub trait Carrier {
    /// The name in tables.
    fn name(&self) -> String;

    /// Carries `data` once, with its files in the empty folder `work`, and compares the copy.
    ///
    /// # Errors
    /// [`crate::error::BenchError::Unavailable`] where links cannot be emulated; a program fails.
    fn carry(&self, way: Way, data: &DataFile, work: &Path) -> Result<Cost>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_told_for_a_unit_of_data() {
        let side = |cpu, wakeups| Usage { cpu, peak: 0, descriptors: 0, wakeups };
        let cost = Cost { length: 128 * MIB, wall: 11.0, sender: side(0.5, 128), receiver: side(1.0, 640) };
        assert!((cost.cpu_per_gib(|cost| cost.receiver) - 8.0).abs() < 1e-9);
        assert!((cost.wakeups_per_mib(|cost| cost.receiver) - 5.0).abs() < 1e-9);
        assert!((cost.wakeups_per_mib(|cost| cost.sender) - 1.0).abs() < 1e-9);
    }
}
