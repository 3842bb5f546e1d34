//! Whether a command looks around on the local network.

/// `--lan` and `--no-lan`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct LanSwitch {
    /// Look for peers on the local network too, and be found there [default: of `peer share` and
    /// of links, not of .cascade files]
    #[arg(long, overrides_with = "no_lan")]
    lan: bool,
    /// Do not look for peers on the local network, and do not be found there
    #[arg(long)]
    no_lan: bool,
}

impl LanSwitch {
    /// What the user wants, or else `usual`.
    pub(super) fn wanted(self, usual: bool) -> bool {
        !self.no_lan && (self.lan || usual)
    }
}
