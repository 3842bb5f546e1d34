//! This peer as one of a file's swarm on the local network.

use super::found::{Answer, Found, Networks};
use super::name;
use cascade_format::{CascadeHash, PeerAddr};
use cascade_swarm::Listening;
use mdns_sd::{ResolvedService, ScopedIp, ServiceInfo};
use std::net::IpAddr;
use tokio::sync::mpsc;

/// What is announced of one file, and who wants to hear of its peers.
#[derive(Debug)]
pub(super) struct Member {
    instance: String,
    host: String,
    listen: Option<Listening>,
    found: Found,
    tell: mpsc::Sender<Vec<PeerAddr>>,
}

impl Member {
    /// Of the swarm of a file; reached at `listen`, if at all.
    pub(super) fn new(
        hash: &CascadeHash,
        listen: Option<Listening>,
        tell: mpsc::Sender<Vec<PeerAddr>>,
    ) -> Self {
        let (swarm, random) = (name::swarm(hash), fastrand::u32(..));
        let instance = name::instance(&swarm, random);
        let found = Found::new(&swarm, &instance, listen.map(|listen| listen.port()));
        Self { instance, host: name::host(random), listen, found, tell }
    }

    /// Whether nobody wants to hear of others any more.
    pub(super) fn has_left(&self) -> bool {
        self.tell.is_closed()
    }

    /// What is announced; `None`: nothing.
    pub(super) fn service(&self) -> Option<ServiceInfo> {
        let listen = self.listen?;
        let nothing: &[(&str, &str)] = &[];
        let own = listen.addrs().first().map(PeerAddr::ip)?;
        let everywhere = own.is_unspecified();
        let ip = if everywhere { String::new() } else { own.to_string() };
        let service =
            ServiceInfo::new(name::SERVICE, &self.instance, &self.host, ip, listen.port(), nothing).ok()?;
        let mut service = if everywhere { service.enable_addr_auto() } else { service };
        // Its names are drawn by lot: nobody has the same, and it is found at once.
        service.set_requires_probe(false);
        Some(service)
    }

    /// The full name of that.
    pub(super) fn full_name(&self) -> Option<String> {
        self.listen.map(|_| format!("{}.{}", self.instance, name::SERVICE))
    }

    /// A peer, perhaps of this swarm, says where it is.
    pub(super) fn handle_resolved(&mut self, service: &ResolvedService, networks: &Networks) {
        let mut ips: Vec<IpAddr> = service.get_addresses().iter().map(ScopedIp::to_ip_addr).collect();
        // Those of IPv4 come first.
        ips.sort_unstable();
        let answer = Answer { full_name: service.get_fullname(), port: service.get_port(), ips: &ips };
        let found = self.found.handle_answer(answer, networks);
        if !found.is_empty() && self.tell.try_send(found).is_err() {
            // It is told when it is heard of again.
            self.found.handle_gone(service.get_fullname());
        }
    }

    /// A peer, perhaps of this swarm, is gone.
    pub(super) fn handle_gone(&mut self, full_name: &str) {
        self.found.handle_gone(full_name);
    }
}
