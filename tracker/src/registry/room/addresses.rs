//! The addresses of members: each belongs to one member of its room.

use super::super::source::Source;
use super::record::Record;
use super::slab::{NONE, Slab};
use super::{MAX_MEMBER_ADDRESSES, Rooms};
use cascade_format::PeerAddr;
use std::hash::{BuildHasher, RandomState};

/// An address of a member.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) record: u32,
    source: Source,
    addr: PeerAddr,
    next: u32,
}

impl Rooms {
    pub(super) fn find_address(&self, room: u32, source: Source, addr: PeerAddr) -> Option<u32> {
        let is_it = |at| {
            let address: Option<&Address> = self.addresses.get(at);
            address.is_some_and(|address| {
                address.source == source
                    && address.addr == addr
                    && self.records.get(address.record).is_some_and(|record| record.room == room)
            })
        };
        self.by_address.find(address_hash(&self.keys, room, source, addr), is_it)
    }

    /// The member is registered at this address, and no other member of the same source is.
    pub(super) fn note_address(&mut self, at: u32, source: Source, addr: PeerAddr) {
        let Some(room) = self.records.get(at).map(|record| record.room) else { return };
        if let Some(there) = self.find_address(room, source, addr) {
            let owner = self.addresses.get(there).map_or(at, |address| address.record);
            if owner == at {
                return;
            }
            self.forget_address(there);
            if self.records.get(owner).is_some_and(|owner| owner.addresses == NONE) {
                // It was this peer, before it was started again.
                self.remove(owner);
            }
        }
        self.tally(at, false);
        let Some(record) = self.records.get_mut(at) else { return };
        let address = self.addresses.add(Address { record: at, source, addr, next: record.addresses });
        record.addresses = address;
        record.address_count += 1;
        let (addresses, records, keys) = (&self.addresses, &self.records, &self.keys);
        let hash = address_hash(keys, room, source, addr);
        self.by_address.insert(hash, address, |at| address_hash_at(addresses, records, at, keys));
        self.tally(at, true);
        if self.records.get(at).is_some_and(|record| usize::from(record.address_count) > MAX_MEMBER_ADDRESSES)
        {
            let mut last = address;
            while let Some(next) =
                self.addresses.get(last).map(|address| address.next).filter(|next| *next != NONE)
            {
                last = next;
            }
            self.forget_address(last);
        }
    }

    pub(super) fn forget_address(&mut self, at: u32) {
        let Some(owner) = self.addresses.get(at).map(|address| address.record) else { return };
        let counted = self.records.get(owner).is_some_and(|owner| owner.is_counted);
        if counted {
            self.tally(owner, false);
        }
        let (addresses, records, keys) = (&self.addresses, &self.records, &self.keys);
        let hash = address_hash_at(addresses, records, at, keys);
        self.by_address.remove(hash, at, |at| address_hash_at(addresses, records, at, keys));
        let next = self.addresses.remove(at).map_or(NONE, |address| address.next);
        if let Some(record) = self.records.get_mut(owner) {
            record.address_count = record.address_count.saturating_sub(1);
            if record.addresses == at {
                record.addresses = next;
            } else {
                let mut before = record.addresses;
                while let Some(address) = self.addresses.get_mut(before) {
                    before = address.next;
                    if before == at {
                        address.next = next;
                    }
                }
            }
        }
        if counted {
            self.tally(owner, true);
        }
    }
}

fn address_hash(keys: &RandomState, room: u32, source: Source, addr: PeerAddr) -> u64 {
    keys.hash_one((room, source, addr))
}

fn address_hash_at(addresses: &Slab<Address>, records: &Slab<Record>, at: u32, keys: &RandomState) -> u64 {
    let Some(address) = addresses.get(at) else { return 0 };
    let room = records.get(address.record).map_or(NONE, |record| record.room);
    address_hash(keys, room, address.source, address.addr)
}
