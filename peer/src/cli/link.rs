//! `peer link`: prints the links of `.cascade` files.

use super::given::{self, Trackers};
use super::{CliError, ExitCode, address};
use crate::human::Name;
use crate::report::{self, json_line, line};
use cascade_format::link::{Address, Link, LinkError};
use std::path::PathBuf;

/// Print the link of each .cascade file: a line of text to send to the receivers
#[derive(Debug, clap::Args)]
#[command(mut_arg("trackers", given::named_in_link))]
pub struct Args {
    /// The .cascade files
    #[arg(value_name = "FILE.cascade", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    trackers: Trackers,
    /// Peer to name in the link; may be given several times [default: none]
    #[arg(long = "peer", value_name = "HOST:PORT", value_parser = address::in_link)]
    peers: Vec<String>,
    /// Name of the data in the link, with one .cascade file [default: the .cascade file's name without .cascade]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage; a file that is damaged.
pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    if args.name.is_some() && args.files.len() > 1 {
        return Err(CliError::usage("--name is one name, but there are several .cascade files".into()));
    }
    for file in &args.files {
        let mut link = given::link_of(&given::open(file)?, args.name.as_deref()).map_err(|error| {
            let name = Name(file);
            CliError::failed(format!("no link for {name}: {error}; give a shorter name with --name"))
        })?;
        add(&mut link, args.trackers.named(), &args.peers)?;
        if args.json {
            let file = file.to_string_lossy();
            json_line(&serde_json::json!({"event": "link", "file": file, "link": link.to_string()}));
        } else {
            line(&link.to_string());
        }
        if link.trackers().is_empty() && link.peers().is_empty() {
            let name = Name(file);
            report::error(&format!(
                "the link of {name} names nobody to ask; add --tracker HOST:PORT or --peer HOST:PORT"
            ));
        }
    }
    Ok(ExitCode::Done)
}

/// Adds trackers and peers to a link.
pub(super) fn add(link: &mut Link, trackers: &[String], peers: &[String]) -> Result<(), CliError> {
    let wrong = |error: LinkError| CliError::usage(error.to_string());
    for tracker in trackers {
        link.add_tracker(parse(tracker)?).map_err(wrong)?;
    }
    for peer in peers {
        link.add_peer(parse(peer)?).map_err(wrong)?;
    }
    Ok(())
}

fn parse(text: &str) -> Result<Address, CliError> {
    text.parse().map_err(|error| CliError::usage(format!("{text:?} cannot be in a link: {error}")))
}
