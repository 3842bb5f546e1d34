//! How many connections each host holds.
//!
//! Connections cost a client nothing: one that opens as many as there are places, and asks a little on each, would
//! have those of idle honest clients evicted for its own. So a host has a share of the places, and beyond it is
//! refused until it ends some. This machine itself is exempt: a whole swarm may run on it.

use crate::limits::{HOSTS_A_TABLE, MIN_CLIENTS_A_HOST};
use std::collections::HashMap;
use std::net::IpAddr;

/// Connections by host.
#[derive(Debug)]
pub(super) struct Hosts {
    held: HashMap<IpAddr, usize>,
    most: usize,
}

impl Hosts {
    /// Hosts that share `max_clients` places.
    pub(super) fn new(max_clients: usize) -> Self {
        Self { held: HashMap::new(), most: (max_clients / HOSTS_A_TABLE).max(MIN_CLIENTS_A_HOST) }
    }

    /// Whether `host` may hold another connection.
    pub(super) fn has_room(&self, host: IpAddr) -> bool {
        host.is_loopback() || self.held.get(&host).is_none_or(|held| *held < self.most)
    }

    /// A connection of `host` is held.
    pub(super) fn add(&mut self, host: IpAddr) {
        *self.held.entry(host).or_insert(0) += 1;
    }

    /// One that was held is no more.
    pub(super) fn remove(&mut self, host: IpAddr) {
        if let Some(held) = self.held.get_mut(&host) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&host);
            }
        }
    }
}
