//! A raw client of a tracker, for lists in both families: commands 3 and 4.

use crate::tracker_client::{Reply, exchange};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The peers that `tracker` lists for a file, in both families, sorted.
///
/// # Panics
/// It refuses, or its answer is no list.
#[must_use]
#[track_caller]
pub fn list(tracker: SocketAddr, hash: [u8; 32]) -> Vec<SocketAddr> {
    let reply = exchange(tracker, &request(3, hash, "[2001:db8::99]:1".parse().expect("an address")));
    addresses(&reply)
}

/// The 66 bytes of a request.
#[must_use]
pub fn request(command: u32, hash: [u8; 32], listen: SocketAddr) -> Vec<u8> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = b"CASC".to_vec();
    bytes.extend(1_u32.to_be_bytes());
    bytes.extend(command.to_be_bytes());
    bytes.extend(50_u32.to_be_bytes());
    bytes.extend(hash);
    bytes.extend(ip.octets());
    bytes.extend(listen.port().to_be_bytes());
    bytes
}

/// The addresses of an answer to one, sorted.
///
/// # Panics
/// It is a refusal, or no list.
#[must_use]
#[track_caller]
pub fn addresses(reply: &Reply) -> Vec<SocketAddr> {
    assert_eq!(reply.status, 0, "{}", String::from_utf8_lossy(&reply.body));
    let (entries, rest) = reply.body.as_chunks::<24>();
    assert!(rest.is_empty(), "{} bytes", reply.body.len());
    let address = |entry: &[u8; 24]| {
        let ip: [u8; 16] = entry[..16].try_into().expect("16 bytes");
        let port = u16::from_be_bytes([entry[16], entry[17]]);
        SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), port)
    };
    let mut addresses: Vec<_> = entries.iter().map(address).collect();
    addresses.sort_unstable();
    addresses
}
