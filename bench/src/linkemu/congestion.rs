//! TCP's congestion control on emulated nodes.

use serde::Serialize;
use std::fmt;

/// What every emulated node uses, unless the command line says otherwise: what Linux and Debian use unless somebody
/// changes it. A new network namespace takes over what its machine uses, and figures of two machines could not be compared.
pub const CONGESTION_CONTROL: Congestion = Congestion::Cubic;

/// A congestion control that Linux has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// Goes by loss; Linux's default.
    Cubic,
    /// Goes by measured rate and round trip.
    Bbr,
    /// Goes by loss, as TCP did before cubic.
    Reno,
}

impl Congestion {
    /// Its name in the kernel.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Reno => "reno",
        }
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The option of commands that emulate links.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct CongestionOption {
    /// TCP's congestion control on every emulated node
    #[arg(long, value_name = "NAME", value_enum, default_value_t = CONGESTION_CONTROL)]
    pub congestion: Congestion,
}
