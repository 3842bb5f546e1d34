//! The least time that any protocol needs to bring a file to everybody.

/// Bytes of IPv4 and TCP headers in a full packet, with TCP's timestamps.
const HEADERS: u32 = 52;

/// Bytes that `length` bytes of data take in packets of `mtu` bytes.
#[must_use]
pub fn on_the_wire(length: u64, mtu: u32) -> f64 {
    length as f64 * f64::from(mtu) / f64::from(mtu.saturating_sub(HEADERS).max(1))
}

/// Seconds until the last of `leechers` has a file of `length` bytes in `blocks` blocks, when all links have
/// the same `rate` in bits a second: F/u · (1 + ⌊log2 N⌋ / M) (Mundinger, Weber, Weiss, "Optimal scheduling of
/// peer-to-peer file dissemination").
#[must_use]
pub fn equal_links(length: u64, blocks: u64, leechers: usize, rate: u64) -> f64 {
    let rounds = f64::from(leechers.max(1).ilog2());
    length as f64 * 8.0 / rate as f64 * (1.0 + rounds / blocks.max(1) as f64)
}

/// The same for unequal links and no limit on the number of blocks: the slowest of the seeder sending every
/// byte once, the slowest downloader receiving it, and all uplinks together sending all copies (Kumar, Ross,
/// "Peer-assisted file distribution: the minimum distribution time").
#[must_use]
pub fn unequal_links(length: u64, seeder_up: u64, up: &[u64], down: &[u64]) -> f64 {
    let bits = length as f64 * 8.0;
    let slowest = down.iter().copied().min().unwrap_or(u64::MAX);
    let all_up = seeder_up + up.iter().sum::<u64>();
    let shared = down.len() as f64 * bits / all_up as f64;
    (bits / seeder_up as f64).max(bits / slowest as f64).max(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_example() {
        // 128 MiB at 100 Mbit/s to 8: 10.74 s, and 3 of 128 blocks more.
        let bound = equal_links(128 << 20, 128, 8, 100_000_000);
        assert!((bound - 10.99).abs() < 0.01, "{bound}");
        assert!((on_the_wire(1448, 1500) - 1500.0).abs() < 1e-9);
    }

    #[test]
    fn the_tightest_link_decides() {
        let mbit = 1_000_000;
        let slow_seeder = unequal_links(1_000_000, mbit, &[10 * mbit; 4], &[10 * mbit; 4]);
        assert!((slow_seeder - 8.0).abs() < 1e-9, "{slow_seeder}");
        let home = unequal_links(1_000_000, 10 * mbit, &[mbit; 30], &[50 * mbit; 30]);
        assert!((home - 6.0).abs() < 1e-9, "{home}");
        let slow_reader = unequal_links(1_000_000, 10 * mbit, &[10 * mbit; 2], &[10 * mbit, mbit / 2]);
        assert!((slow_reader - 16.0).abs() < 1e-9, "{slow_reader}");
    }
}
