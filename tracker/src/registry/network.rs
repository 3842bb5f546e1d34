//! Which addresses are near each other: those of one site, as the operator says, and else those of one /24 or /64.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU8;
use std::str::FromStr;

/// The most networks of all sites together. Each address is looked for among them with every request.
pub const MAX_NETWORKS: usize = 1024;

/// Networks of IPv4 that no site has: their first 24 bits and this.
const V4: u32 = 1 << 24;

/// Those of IPv6: 31 bits of a hash of their first 64, and this.
const V6: u32 = 1 << 31;

/// Spreads the bits of a network (Fibonacci hashing: 2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A network: peers in it are near each other. Two of IPv6 may be taken for one, by a chance of 1 in 2^31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u32);

/// What an operator says of networks; without a word, each /24 and /64 is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    /// Sorted, and apart from each other.
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u128,
    last: u128,
    site: u32,
}

/// A network as people write it: `10.1.0.0/16`, `2001:db8:1::/48`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// Its first address; one of IPv4 is mapped into IPv6.
    first: u128,
    /// The bits that its addresses have in common; `None`: none.
    len: Option<NonZeroU8>,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not an address, a slash and a number.
    #[error("a network is an address and a length, such as 10.1.0.0/16 or 2001:db8:1::/48")]
    Form,
    /// More bits than an address has.
    #[error("the length is at most {0}")]
    Length(u8),
    /// The address has bits beyond the length.
    #[error("its address has bits beyond its length: write {0}")]
    Bits(Prefix),
}

impl Prefix {
    fn len(self) -> u8 {
        self.len.map_or(0, NonZeroU8::get)
    }

    const fn beyond(len: u8) -> u128 {
        match u128::MAX.checked_shr(len as u32) {
            Some(mask) => mask,
            None => 0,
        }
    }

    fn last(self) -> u128 {
        self.first | Self::beyond(self.len())
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (ip, len) = text.split_once('/').ok_or(PrefixError::Form)?;
        let ip: IpAddr = ip.parse().map_err(|_| PrefixError::Form)?;
        if len.is_empty() || len.len() > 3 || !len.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(PrefixError::Form);
        }
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let len: u8 = len.parse().ok().filter(|len| *len <= most).ok_or(PrefixError::Length(most))?;
        let (bits, len) = (bits_of(ip), len + (128 - most));
        let right = Self { first: bits & !Self::beyond(len), len: NonZeroU8::new(len) };
        if right.first == bits { Ok(right) } else { Err(PrefixError::Bits(right)) }
    }
}

impl Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Ipv6Addr::from_bits(self.first).to_canonical() {
            IpAddr::V4(ip) if self.len() >= 96 => write!(f, "{ip}/{}", self.len() - 96),
            IpAddr::V4(_) | IpAddr::V6(_) => write!(f, "{}/{}", Ipv6Addr::from_bits(self.first), self.len()),
        }
    }
}

impl Networks {
    /// Sites of some networks each, which are near each other. Where one network is within another, the longer
    /// decides. At most [`MAX_NETWORKS`] networks are of use.
    #[must_use]
    pub fn of_sites(sites: impl IntoIterator<Item = Vec<Prefix>>) -> Self {
        let numbered = (0u32..).zip(sites);
        let prefixes = numbered.flat_map(|(site, of_it)| of_it.into_iter().map(move |prefix| (prefix, site)));
        let prefixes: Vec<_> = prefixes.take(MAX_NETWORKS).collect();
        let edges =
            prefixes.iter().flat_map(|(prefix, _)| [Some(prefix.first), prefix.last().checked_add(1)]);
        let edges: BTreeSet<u128> = edges.flatten().collect();
        let ends = edges.iter().skip(1).map(|next| next - 1).chain([u128::MAX]);
        let mut ranges: Vec<Range> = Vec::new();
        for (first, last) in edges.iter().copied().zip(ends) {
            let around = prefixes.iter().filter(|(prefix, _)| prefix.first <= first && last <= prefix.last());
            if let Some((_, site)) = around.max_by_key(|(prefix, _)| prefix.len()) {
                ranges.push(Range { first, last, site: *site });
            }
        }
        Self { ranges }
    }

    /// The network of an address.
    #[must_use]
    pub fn of(&self, ip: IpAddr) -> Network {
        let ip = ip.to_canonical();
        if let Some(site) = self.site(bits_of(ip)) {
            return Network(site);
        }
        match ip {
            IpAddr::V4(ip) => Network(V4 | ip.to_bits() >> 8),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                let first = [a, b, c, d].into_iter().fold(0, |bits, part| bits << 16 | u64::from(part));
                Network(V6 | u32::try_from(first.wrapping_mul(SPREAD) >> 33).unwrap_or(0))
            }
        }
    }

    /// Whether a site has the address.
    #[must_use]
    pub fn have(&self, ip: IpAddr) -> bool {
        self.site(bits_of(ip)).is_some()
    }

    fn site(&self, bits: u128) -> Option<u32> {
        let after = self.ranges.partition_point(|range| range.first <= bits);
        let range = self.ranges.get(after.checked_sub(1)?)?;
        (bits <= range.last).then_some(range.site)
    }
}

fn bits_of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sites(sites: &[&[&str]]) -> Networks {
        Networks::of_sites(sites.iter().map(|site| site.iter().map(|text| text.parse().unwrap()).collect()))
    }

    fn near(networks: &Networks, one: &str, other: &str) -> bool {
        networks.of(one.parse().unwrap()) == networks.of(other.parse().unwrap())
    }

    #[test]
    fn without_sites_it_is_the_24_or_64() {
        let none = Networks::default();
        assert!(near(&none, "10.1.2.3", "10.1.2.250") && near(&none, "10.1.2.3", "::ffff:10.1.2.4"));
        assert!(!near(&none, "10.1.2.3", "10.1.3.3") && !near(&none, "0.0.0.1", "1.0.0.1"));
        assert!(near(&none, "2001:db8:0:1::1", "2001:db8:0:1:ffff::1"));
        assert!(!near(&none, "2001:db8:0:1::1", "2001:db8:0:2::1"));
    }

    #[test]
    fn a_site_has_networks_of_both_families_and_the_longer_decides() {
        let some = sites(&[
            &["10.1.0.0/16", "2001:db8:1::/48"],
            &["10.0.0.0/8"],
            &["10.1.7.0/24", "192.0.2.1/32"],
            &["::/0"],
        ]);
        assert!(near(&some, "10.1.0.0", "10.1.255.255") && near(&some, "10.1.2.3", "2001:db8:1:2::3"));
        assert!(near(&some, "10.0.0.0", "10.255.255.255") && !near(&some, "10.1.0.1", "10.2.0.1"));
        assert!(near(&some, "10.1.7.9", "192.0.2.1") && !near(&some, "10.1.7.9", "10.1.8.9"));
        assert!(near(&some, "192.0.2.2", "2001:db8:2::1") && near(&some, "ffff::1", "::"));
        let few = sites(&[&["10.1.0.0/16"], &["10.2.0.0/16"]]);
        // What no site has is as ever.
        assert!(near(&few, "10.3.0.1", "10.3.0.2") && !near(&few, "10.3.0.1", "10.3.1.1"));
    }

    #[test]
    fn what_is_no_network_is_said() {
        for (text, expected) in [
            ("10.1.0.0", "a network is an address and a length"),
            ("10.1.0.0/", "a network is an address and a length"),
            ("10.1.0.0/+8", "a network is an address and a length"),
            ("10.1/16", "a network is an address and a length"),
            ("10.1.0.0/33", "the length is at most 32"),
            ("10.1.0.0/999", "the length is at most 32"),
            ("2001:db8::/129", "the length is at most 128"),
            ("10.1.2.3/16", "its address has bits beyond its length: write 10.1.0.0/16"),
            ("2001:db8::1/48", "its address has bits beyond its length: write 2001:db8::/48"),
        ] {
            let error = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        for text in ["0.0.0.0/0", "10.1.2.3/32", "::/0", "2001:db8::/32", "::1/128", "1.0.0.0/8"] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
    }

    proptest! {
        /// The longest network that has an address decides, as a search through all of them says.
        #[test]
        fn the_ranges_say_what_the_networks_say(
            networks in prop::collection::vec((0u32..64, 24u8..=32), 0..20),
            asked in 0u32..64,
        ) {
            let prefix = |bits: u32, len: u8| -> Prefix {
                let ip = std::net::Ipv4Addr::from_bits(0x0a00_0000 | bits & u32::MAX.checked_shl(u32::from(32 - len)).unwrap_or(0));
                format!("{ip}/{len}").parse().unwrap()
            };
            let mut all: Vec<Prefix> = networks.iter().map(|(bits, len)| prefix(*bits, *len)).collect();
            all.sort_unstable();
            all.dedup();
            let some = Networks::of_sites(all.iter().map(|prefix| vec![*prefix]));
            let bits = bits_of(std::net::Ipv4Addr::from_bits(0x0a00_0000 | asked).into());
            let longest = (0u32..).zip(&all).filter(|(_, prefix)| prefix.first <= bits && bits <= prefix.last());
            let expected = longest.max_by_key(|(_, prefix)| prefix.len()).map(|(site, _)| site);
            prop_assert_eq!(some.site(bits), expected);
        }
    }
}
