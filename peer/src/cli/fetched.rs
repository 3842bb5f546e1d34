//! The `.cascade` file of a link for a command that only looks: it is fetched to a place of its own, which goes away
//! afterwards.

use super::CliError;
use super::address;
use super::given::{Contacts, Trackers, asked, fetch};
use super::host::{Front, Host, Listen, show};
use super::interrupt::Ear;
use super::lan::LanSwitch;
use crate::metafile::MetafileOnDisk;
use crate::peer::Options;
use crate::report::Style;
use crate::session::{Event, Fetch, FetchError, Observer};
use cascade_format::link::Link;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Who only wants to look does not wait longer for somebody who has the file.
const PATIENCE: Duration = Duration::from_secs(15);

/// The peers and trackers that are asked for the `.cascade` file of a link.
#[derive(Debug, Clone, clap::Args)]
#[command(mut_arg("trackers", asked))]
#[command(mut_arg("lan", |lan| lan.help("Look for peers on the local network, too [default: of links]")))]
#[command(mut_arg("no_lan", |no_lan| no_lan.help("Do not look for peers on the local network")))]
pub(super) struct Holders {
    #[command(flatten)]
    trackers: Trackers,
    /// Peer to ask for the .cascade file of a link; may be given several times [default: those of the link]
    #[arg(long = "peer", value_name = "HOST:PORT", value_parser = address::host_port)]
    peers: Vec<String>,
    #[command(flatten)]
    lan: LanSwitch,
}

/// Fetches the `.cascade` file of a link. The folder that it is in goes away when it is dropped.
pub(super) fn fetched(
    link: &Link,
    holders: &Holders,
    ear: &Ear,
) -> Result<(MetafileOnDisk, TempDir), CliError> {
    let folder = tempfile::Builder::new().prefix("cascade-link-").tempdir();
    let folder = folder.map_err(|error| {
        CliError::failed(format!("cannot make a temporary folder: {error}; name another place with TMPDIR"))
    })?;
    let contacts = Contacts::of_link(link, &holders.trackers, &holders.peers);
    let out = folder.path().join(Path::new("link"));
    let order =
        Fetch { no_wait: true, lan: holders.lan.wanted(true), ..fetch(link.cascade_hash(), &out, &contacts) };
    let host = Host::start(Options::default(), Listen::Nowhere, &Style::Lines, ear)?;
    let result = host.run(async |front: &mut Front| {
        let transfer = front.peer.fetch(order);
        tokio::time::timeout(PATIENCE, show(transfer, &mut Deaf)).await
    });
    match result {
        Ok(Ok(metafile)) => Ok((metafile, folder)),
        Ok(Err(FetchError::Interrupted)) => Err(CliError::interrupted()),
        Ok(Err(error)) => Err(CliError::failed(error.to_string())),
        Err(_) => Err(CliError::failed(format!(
            "nobody has given the .cascade file of the link within {} seconds; is whoever shares it there, and can it be \
             reached?",
            PATIENCE.as_secs()
        ))),
    }
}

/// Hears nothing: what matters is in the error.
struct Deaf;

impl Observer for Deaf {
    fn event(&mut self, _: Event) {}
}
