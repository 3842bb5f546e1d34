//! The number of a peer, and its address.

use cascade_format::PeerAddr;
use std::net::{IpAddr, Ipv4Addr};

/// The number of a peer; the seeder is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(pub(super) u32);

/// Every peer listens here.
const PORT: u16 = 7001;

/// The first peer's address.
const FIRST: u32 = 0x0a00_0001;

impl NodeId {
    pub(super) fn addr(self) -> PeerAddr {
        PeerAddr::new(IpAddr::V4(Ipv4Addr::from(FIRST + self.0)), PORT)
    }

    pub(super) fn of(addr: PeerAddr) -> Option<Self> {
        u32::from(*addr.v4()?.ip()).checked_sub(FIRST).map(Self)
    }
}
