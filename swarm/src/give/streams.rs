//! Of which blocks slices are being given, and to how many clients.
//!
//! Slices of a block can be verified in one order only, so all leechers want the same slice of it next. If a peer sent it
//! to all of them at once, all would have it late and none could pass it on. So a few get slices of a block at a time;
//! the others are refused, and get them from these.

use super::subscriber_id::SubscriberId;
use crate::Time;
use alloc::vec::Vec;
use cascade_format::Block;
use core::time::Duration;
use hashbrown::HashMap;

/// The clients to which slices are being given.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// The block that each client gets a slice of, and since when.
    clients: HashMap<SubscriberId, (Block, Time)>,
    /// The clients of each block.
    blocks: HashMap<Block, Vec<SubscriberId>>,
}

impl Streams {
    /// Whether fewer than `most` clients get slices of `block`. One that takes longer than `lapse` for a slice does not
    /// count.
    pub(super) fn has_room(&self, now: Time, block: Block, most: u64, lapse: Duration) -> bool {
        let Some(clients) = self.blocks.get(&block) else { return true };
        let recent =
            |id: &&SubscriberId| self.clients.get(*id).is_some_and(|(_, since)| now < *since + lapse);
        (clients.iter().filter(recent).count() as u64) < most
    }

    /// The client gets a slice of `block`.
    pub(super) fn begin(&mut self, now: Time, id: SubscriberId, block: Block) {
        self.end(id);
        self.clients.insert(id, (block, now));
        self.blocks.entry(block).or_default().push(id);
    }

    /// The slice that the client gets is out to its last byte, or will not be sent.
    pub(super) fn end(&mut self, id: SubscriberId) {
        let Some((block, _)) = self.clients.remove(&id) else { return };
        if let Some(clients) = self.blocks.get_mut(&block) {
            clients.retain(|other| *other != id);
            if clients.is_empty() {
                self.blocks.remove(&block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::Layout;

    #[test]
    fn a_block_has_room_again_when_a_client_has_its_slice_or_takes_none() {
        let layout = Layout::new(20, 10).unwrap();
        let [first, second] = [0, 1].map(|number| layout.block(number).unwrap());
        let (mut streams, lapse) = (Streams::default(), Duration::from_secs(10));
        streams.begin(Time::ZERO, SubscriberId(1), first);
        streams.begin(Time::from_secs(1), SubscriberId(2), first);
        let room = |streams: &Streams, at, block| streams.has_room(Time::from_secs(at), block, 2, lapse);
        assert!(!room(&streams, 2, first) && room(&streams, 2, second));
        assert!(room(&streams, 10, first), "one has taken too long");
        streams.begin(Time::from_secs(2), SubscriberId(2), second);
        assert!(room(&streams, 2, first));
        streams.begin(Time::from_secs(2), SubscriberId(3), first);
        assert!(!room(&streams, 2, first));
        [1, 2, 3, 4].into_iter().for_each(|id| streams.end(SubscriberId(id)));
        assert!(room(&streams, 2, first) && streams.blocks.is_empty() && streams.clients.is_empty());
    }
}
