//! Whether a command speaks the swarm extension.

use crate::peer::Options;

/// `--extension`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct ExtensionSwitch {
    /// Whether to speak the swarm extension with peers that know it; `off` is plain version 1 of the protocol
    #[arg(long, value_name = "on|off", env = "CASCADE_EXTENSION", value_enum,
          default_value_t = Switch::On, hide_possible_values = true)]
    extension: Switch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

impl ExtensionSwitch {
    /// The usual options of a peer, with the extension as the user wants it.
    pub(super) fn options(self) -> Options {
        Options { extension: self.extension == Switch::On, ..Options::default() }
    }
}
