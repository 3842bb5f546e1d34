//! The options that limit what goes over the network, of every command that moves data.

use crate::human::parse_rate;
use crate::peer::Options;
use cascade_swarm::pace::Rate;

/// Limits on bytes a second, for the process as a whole.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Rates {
    /// Give other peers no more than this in a second, as in 10MiB/s or 80Mbit/s [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = parse_rate, allow_hyphen_values = true)]
    max_up: Option<Rate>,
    /// Take no more than this in a second from other peers [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = parse_rate, allow_hyphen_values = true)]
    max_down: Option<Rate>,
}

impl Rates {
    /// `options` within these limits.
    pub(super) fn limit(self, options: Options) -> Options {
        Options { max_up: self.max_up, max_down: self.max_down, ..options }
    }
}
