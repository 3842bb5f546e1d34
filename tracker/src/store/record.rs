//! What stands in the store, byte by byte. No I/O.
//!
//! ```text
//!  cascade:{HASH}:4      sorted set   member: source 4 │ IPv4 address 4 │ port 2     score: second of the subscription
//!  cascade:{HASH}:6      sorted set   member: source 4 │ IPv6 address 16 │ port 2
//!  cascade:{HASH}:good   sorted set   as the first, of good peers; they are not in the first
//!  cascade:{HASH}:left   sorted set   members of all kinds that have unregistered        score: second of the goodbye
//! ```
//!
//! HASH is the cascade hash in hex. The braces are a hash tag: a cluster keeps all four in one slot.

use crate::others::Record;
use crate::registry::{Address, AddressV6, Source};
use cascade_format::CascadeHash;
use std::net::SocketAddrV4;

/// The sets of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Set {
    /// Peers of IPv4 that are not good.
    V4,
    /// Peers of IPv6.
    V6,
    /// Good peers.
    Good,
    /// Who has unregistered.
    Left,
}

/// The key of a set.
pub(crate) fn key(file: &CascadeHash, set: Set) -> String {
    let name = match set {
        Set::V4 => "4",
        Set::V6 => "6",
        Set::Good => "good",
        Set::Left => "left",
    };
    format!("cascade:{{{file}}}:{name}")
}

impl Record {
    /// The set that it stands in.
    pub(crate) const fn set(&self, good: bool) -> Set {
        match (self.addr.v4(), good) {
            (None, _) => Set::V6,
            (Some(_), false) => Set::V4,
            (Some(_), true) => Set::Good,
        }
    }

    /// Its bytes in a set.
    pub(crate) fn member(&self) -> Vec<u8> {
        let mut member = self.source.to_bytes().to_vec();
        match (self.addr.v4(), AddressV6::of(self.addr)) {
            (Some(addr), _) => addr.write(&mut member),
            (None, Some(addr)) => addr.write(&mut member),
            (None, None) => {}
        }
        member
    }

    /// Reads those; `None`: they are something else.
    pub(crate) fn parse(file: CascadeHash, member: &[u8]) -> Option<Self> {
        let (source, rest) = member.split_first_chunk()?;
        let addr = match rest.len() {
            SocketAddrV4::LEN => SocketAddrV4::read(rest)?.wire(),
            AddressV6::LEN => AddressV6::read(rest)?.wire(),
            _ => return None,
        };
        Some(Self { file, source: Source::from_bytes(*source), addr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::SocketAddr;

    fn record(addr: &str) -> Record {
        let addr: SocketAddr = addr.parse().unwrap();
        Record { file: CascadeHash([0xab; 32]), source: Source::of(addr.ip()), addr: addr.into() }
    }

    #[test]
    fn members_and_keys_are_as_documented() {
        let v4 = record("192.0.2.7:8889");
        assert_eq!(v4.member(), [192, 0, 2, 7, 192, 0, 2, 7, 0x22, 0xb9]);
        let v6 = record("[2001:db8::7]:80");
        assert_eq!(
            (v6.member().len(), v6.set(true), v4.set(true), v4.set(false)),
            (22, Set::V6, Set::Good, Set::V4)
        );
        for record in [v4, v6] {
            assert_eq!(Record::parse(record.file, &record.member()), Some(record));
        }
        let hex = "ab".repeat(32);
        let keys = [Set::V4, Set::V6, Set::Good, Set::Left].map(|set| key(&v4.file, set));
        assert_eq!(keys, ["4", "6", "good", "left"].map(|name| format!("cascade:{{{hex}}}:{name}")));
    }

    proptest! {
        #[test]
        fn whatever_the_store_holds_is_a_record_or_none(member in prop::collection::vec(any::<u8>(), 0..40)) {
            match Record::parse(CascadeHash([1; 32]), &member) {
                // An IPv4 address in the form of an IPv6 one is written in its own form.
                Some(record) => prop_assert!(record.member() == member || member.len() == 22),
                None => prop_assert!(![10, 22].contains(&member.len())),
            }
        }
    }
}
