//! The way between seeder and downloader, by either kind of emulation.

use super::Via;
use crate::data::{CascadeFile, DataFile};
use crate::error::{Result, failed};
use crate::linkemu::LinkSpec;
use crate::linkemu::congestion::Congestion;
use crate::linkemu::network::Network;
use crate::linkemu::relay::Relay;
use crate::measure::Measured;
use crate::programs::{own, printed_address};
use crate::tools::binaries::Binaries;
use crate::tools::{READY_WITHIN, free_address, probe};
use std::cell::RefCell;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path as File;
use std::process::Command;
use std::time::Duration;

/// The sending node.
const SENDER: usize = 0;

/// The receiving node.
const RECEIVER: usize = 1;

/// Ports on emulated nodes, where nobody else listens.
const PORT: u16 = 7001;

/// An emulated way from a sender to a receiver.
pub(super) enum Path {
    /// Two nodes in namespaces.
    Tun(Network),
    /// A relay in front of the sender, made anew for each transfer.
    Relay {
        /// The sender's link.
        link: LinkSpec,
        /// The relay of the transfer that runs.
        current: RefCell<Option<Relay>>,
    },
}

impl Path {
    /// Two nodes behind the same kind of link. The delay of a link is on the sending side.
    pub(super) fn tun(link: LinkSpec, mtu: u32, tcp_buffer: u64, congestion: Congestion) -> Result<Self> {
        let network = Network::star(&[link; 2], mtu, congestion)?;
        for parameter in ["net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem"] {
            network.set(parameter, &format!("4096 131072 {tcp_buffer}"))?;
        }
        Ok(Self::Tun(network))
    }

    pub(super) fn relay(link: LinkSpec) -> Self {
        Self::Relay { link, current: RefCell::new(None) }
    }

    pub(super) fn via(&self) -> Via {
        match self {
            Self::Tun(_) => Via::Tun,
            Self::Relay { .. } => Via::Relay,
        }
    }

    /// Bytes that have come over the link so far.
    pub(super) fn received(&self) -> u64 {
        match self {
            Self::Tun(network) => network.counters().get(RECEIVER).map_or(0, |counters| counters.down_bytes),
            Self::Relay { current, .. } => current.borrow().as_ref().map_or(0, Relay::bytes_from_service),
        }
    }

    /// The command on a node; on loopback, nodes are all the same.
    fn on(&self, node: usize, command: Command) -> Result<Command> {
        match self {
            Self::Tun(network) => network.on(node, &command),
            Self::Relay { .. } => Ok(command),
        }
    }

    /// Where the sender listens.
    fn sender_address(&self) -> Result<SocketAddrV4> {
        match self {
            Self::Tun(network) => Ok(SocketAddrV4::new(network.address(SENDER)?, PORT)),
            Self::Relay { .. } => free_address(),
        }
    }

    /// How the receiver reaches the sender.
    fn way_to(&self, sender: SocketAddrV4) -> Result<SocketAddr> {
        match self {
            Self::Tun(_) => Ok(sender.into()),
            Self::Relay { link, current } => {
                let relay = Relay::start(sender, link)?;
                let address = relay.address();
                *current.borrow_mut() = Some(relay);
                Ok(address)
            }
        }
    }

    /// Starts a plain TCP transfer: the sender and the receiver.
    pub(super) fn start_plain(&self, length: u64, work: &File) -> Result<(Measured, Measured)> {
        let address = self.sender_address()?;
        let command = own(&["tcp-send", &address.to_string(), &length.to_string()])?;
        let mut sender = Measured::start("tcp-send", &mut self.on(SENDER, command)?, &work.join("send.log"))?;
        sender.wait_until(READY_WITHIN, |sender| printed_address(&sender.log_text()).is_some())?;
        let command = own(&["tcp-receive", &self.way_to(address)?.to_string()])?;
        let receiver = Measured::start("tcp-receive", &mut self.on(RECEIVER, command)?, &work.join("log"))?;
        Ok((sender, receiver))
    }

    /// Starts a seeder, and a download that knows its address; there is no tracker.
    pub(super) fn start_download(
        &self,
        binaries: &Binaries,
        data: &DataFile,
        cascade: &CascadeFile,
        copy: &File,
        work: &File,
    ) -> Result<(Measured, Measured)> {
        let address = self.sender_address()?;
        let mut command = Command::new(&binaries.peer);
        command.arg("seed").arg(&cascade.path).args(["-t", "127.0.0.1:1", "-l", &address.to_string()]);
        command.arg("--data").arg(&data.path);
        let mut seeder =
            Measured::start("peer seed", &mut self.on(SENDER, command)?, &work.join("seed.log"))?;
        self.wait_for_seeder(&mut seeder, address, cascade)?;
        let mut command = Command::new(&binaries.peer);
        command.arg("download").arg(&cascade.path).args(["-t", "127.0.0.1:1", "-o"]).arg(copy);
        command.args(["--no-serve", "--peer", &self.way_to(address)?.to_string()]);
        let download = Measured::start("peer download", &mut self.on(RECEIVER, command)?, &work.join("log"))?;
        Ok((seeder, download))
    }

    /// On loopback the seeder can be asked; in its namespace it is asked from inside.
    fn wait_for_seeder(
        &self,
        seeder: &mut Measured,
        address: SocketAddrV4,
        cascade: &CascadeFile,
    ) -> Result<Duration> {
        match self {
            Self::Relay { .. } => {
                let mut ready = probe::Readiness::of(address, cascade);
                seeder.wait_until(READY_WITHIN, |_| ready.check())
            }
            Self::Tun(network) => {
                let mut ask = network.on(SENDER, &probe::command(address, cascade)?)?;
                match ask.status() {
                    Ok(status) if status.success() => seeder.wait_until(READY_WITHIN, |_| true),
                    _ => failed("the seeder does not serve the file"),
                }
            }
        }
    }
}
