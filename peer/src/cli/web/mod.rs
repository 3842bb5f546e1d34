//! `--web`: what the peer does, as a page.

mod rooms;
mod shown;

pub(super) use rooms::Rooms;

use super::{CliError, LIMITS};
use crate::peer::Peer;
use crate::report::Style;
use crate::view::Watch;
use cascade_swarm::Listening;
use cascade_web::model::{LeftOut, Snapshot, Totals};
use cascade_web::{Bound, Options, Server, Source, StartError};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

/// Whether there is a page.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct WebSwitch {
    /// Show a web page of this peer. Without ADDR:PORT it is on 127.0.0.1, on the first free port from 8890 to 8899; at an
    /// address that other machines can reach, the printed URL has a token [default: no page]
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, require_equals = true, value_parser = cascade_web::address)]
    web: Option<Option<SocketAddr>>,
}

impl WebSwitch {
    /// Takes the page's address, if there is to be one: that it is taken is told before anything else is done.
    pub(super) fn bind(&self) -> Result<Option<Bound>, CliError> {
        let Some(address) = self.web else { return Ok(None) };
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let names = vec![format!("{name}.local"), name];
        Server::bind(Options { address, names }).map(Some).map_err(|error| failed(&error))
    }
}

/// Shows the page, if there is one, until what is returned is dropped.
pub(super) fn show(
    page: Option<Bound>,
    peer: &Peer,
    rooms: Rooms,
    style: &Style,
) -> Result<Option<Server>, CliError> {
    let Some(page) = page else { return Ok(None) };
    let url = page.url();
    let address = peer.address().map(|address| address.to_string());
    let rooms = rooms.kept_up(peer.stopper());
    let own = peer.address().map(own_addresses).unwrap_or_default();
    let server =
        page.serve(Page { watch: peer.watch(), address, own, rooms }).map_err(|error| failed(&error))?;
    style.web(&url);
    Ok(Some(server))
}

/// Where this peer listens: of every address of the machine, each one.
fn own_addresses(listening: Listening) -> Vec<String> {
    let local = || if_addrs::get_if_addrs().unwrap_or_default();
    let each = listening.addrs().into_iter().flat_map(|addr| match addr.ip() {
        ip if ip.is_unspecified() => {
            local().iter().map(|interface| SocketAddr::new(interface.ip(), addr.port()).to_string()).collect()
        }
        _ => vec![addr.to_string()],
    });
    each.collect()
}

fn failed(error: &StartError) -> CliError {
    let advice = match error {
        StartError::Listen { .. } => "choose another address with --web ADDR:PORT",
        StartError::Thread(_) | StartError::Random(_) => LIMITS,
    };
    CliError::failed(format!("{error}; {advice}"))
}

/// The peer, to be shown.
struct Page {
    watch: Watch,
    address: Option<String>,
    /// Addresses by which trackers may know this peer.
    own: Vec<String>,
    rooms: rooms::Kept,
}

impl Source for Page {
    fn totals(&self) -> Totals {
        let (received, given) = self.watch.totals();
        Totals { received, given }
    }

    fn refresh(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async { drop(self.watch.fresh().await) })
    }

    fn snapshot(&self) -> Snapshot {
        let view = self.watch.view();
        let mut swarms = self.rooms.look();
        let mut files = std::collections::BTreeMap::new();
        for file in &view.files {
            let hash = file.hash.to_string();
            // What this peer sees itself is shown besides what a tracker knows, or without one.
            shown::add_seen(swarms.entry(hash.clone()).or_default(), file, &self.own);
            files.insert(hash, shown::file(file));
        }
        let version = env!("CARGO_PKG_VERSION");
        let address = self.address.clone();
        let left_out = LeftOut { files: view.files_asleep, ..LeftOut::default() };
        Snapshot { program: "peer", version, address, files, swarms, left_out, ..Snapshot::default() }
    }
}
