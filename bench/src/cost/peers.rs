//! One seeder and one downloader, each behind a link, with a tracker that has no limit.

use super::{Carrier, Cost, Way};
use crate::data::DataFile;
use crate::error::Result;
use crate::linkemu::LinkSpec;
use crate::linkemu::congestion::CONGESTION_CONTROL;
use crate::linkemu::network::{ETHERNET_MTU, Network};
use crate::swarm::SEEDER;
use crate::swarm::clients::{Client, Node};
use crate::tools::TRANSFER_WITHIN;
use std::path::Path;
use std::time::Duration;

/// Two of a program's peers.
pub struct Peers {
    /// The name in tables.
    pub name: String,
    /// The program.
    pub client: Box<dyn Client>,
}

impl Carrier for Peers {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn carry(&self, way: Way, data: &DataFile, work: &Path) -> Result<Cost> {
        let tracker_link = LinkSpec::unlimited(Duration::from_millis(way.delay));
        let network =
            Network::star(&[tracker_link, way.link(), way.link()], ETHERNET_MTU, CONGESTION_CONTROL)?;
        super::set_buffers(&network)?;
        let _tracker = self.client.start_tracker(&network, work)?;
        let mut seeder = self.client.start_seeder(&network, data, work)?;
        seeder.mark();
        let node = Node::new(&network, SEEDER + 1, work)?;
        let mut leecher = self.client.start_leecher(&network, &node, data)?;
        let wall = leecher.wait_until(TRANSFER_WITHIN, |_| self.client.is_done(&node, data))?;
        let (sender, receiver) = (seeder.usage(), leecher.usage());
        data.check_copy(&node.copy(data))?;
        Ok(Cost { length: data.length, wall: wall.as_secs_f64(), sender, receiver })
    }
}
