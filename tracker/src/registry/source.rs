//! Who makes a registration, as far as a tracker can see: the address that the connection comes from.

use std::net::IpAddr;

/// A source of registrations: an IPv4 address, or an IPv6 site (the first 48 bits, which one customer
/// usually has for itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(u32);

/// IPv6 sites stand where no IPv4 connection comes from: in 240.0.0.0/4.
const SITES: u32 = 0xf000_0000;

/// Spreads the bits of a site (Fibonacci hashing: 2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Source {
    /// The source of a connection from `ip`. Sites may share a source, by a chance of 1 in 2^28.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        // On a socket for both families an IPv4 connection has an IPv6 address.
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(ip.to_bits()),
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                let site = u64::from(a) << 32 | u64::from(b) << 16 | u64::from(c);
                let spread = site.wrapping_mul(SPREAD) >> 36;
                Self(SITES | u32::try_from(spread).unwrap_or(0))
            }
        }
    }

    pub(crate) const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    pub(crate) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_source_and_so_is_a_site() {
        let source = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8:1::1"), source("2001:db8:1:ffff:2::3"));
        assert_ne!(source("2001:db8:1::1"), source("2001:db8:2::1"));
        // No site is the source of an IPv4 address.
        assert!(source("2001:db8:1::1").to_bytes()[0] >= 240);
        assert_eq!(Source::from_bytes(source("10.1.2.3").to_bytes()), source("10.1.2.3"));
    }
}
