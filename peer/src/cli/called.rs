//! What this peer is called in the rooms of trackers, of every command that takes part in a swarm.

use crate::peer::Options;
use cascade_format::tracker_room::{MAX_PEER_NAME_LEN, PeerName};

/// `--name` and `--no-name`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Called {
    /// Name of this peer in `peer status` and on web pages, which everybody with the link can read [default: the host's
    /// name]
    #[arg(long, value_name = "NAME", value_parser = peer_name, conflicts_with = "no_name")]
    name: Option<PeerName>,
    /// Report no name to trackers
    #[arg(long)]
    no_name: bool,
}

impl Called {
    /// `options` with this name.
    pub(super) fn call(&self, options: Options) -> Options {
        let host = || PeerName::of(&rustix::system::uname().nodename().to_string_lossy());
        let name = if self.no_name { PeerName::EMPTY } else { self.name.unwrap_or_else(host) };
        Options { name, ..options }
    }
}

fn peer_name(text: &str) -> Result<PeerName, String> {
    PeerName::read(text.as_bytes()).filter(|name| !name.is_empty()).ok_or_else(|| {
        format!(
            "a name is a text of up to {MAX_PEER_NAME_LEN} bytes without control and invisible characters"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_can_be_shown() {
        assert_eq!(peer_name("lab 07").unwrap().as_str(), "lab 07");
        for wrong in ["", "a\nb", "a\u{202e}b", &"x".repeat(65)] {
            assert!(peer_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
