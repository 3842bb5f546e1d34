//! The options of every command that takes part in a swarm.

use super::CliError;
use super::called::Called;
use super::lan::LanSwitch;
use super::rates::Rates;
use super::web::WebSwitch;
use crate::peer::Options;
use cascade_web::Bound;

/// How this process takes part, whatever it does.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    rates: Rates,
    #[command(flatten)]
    lan: LanSwitch,
    #[command(flatten)]
    called: Called,
    #[command(flatten)]
    web: WebSwitch,
    /// Hash every block again before it is sent, so that data which was changed unnoticed is not given to others
    #[arg(long)]
    paranoid: bool,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    pub(super) json: bool,
}

impl Common {
    /// `options` as the user wants them.
    pub(super) fn options(&self, options: Options) -> Options {
        let options = Options { paranoid: self.paranoid, ..options };
        self.called.call(self.rates.limit(options))
    }

    /// Whether the local network is looked at: what the user wants, or else `usual`.
    pub(super) fn lan(&self, usual: bool) -> bool {
        self.lan.wanted(usual)
    }

    /// Binds the page that the user wants, if any.
    pub(super) fn bind(&self) -> Result<Option<Bound>, CliError> {
        self.web.bind()
    }
}
