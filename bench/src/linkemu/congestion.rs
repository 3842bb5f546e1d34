//! TCP's congestion control on emulated nodes.

use crate::error::{BenchError, Context, Result, failed};
use serde::Serialize;
use std::{fmt, fs};

/// The congestion controls of this kernel.
const AVAILABLE: &str = "/proc/sys/net/ipv4/tcp_available_congestion_control";

/// Those of them that network namespaces may use.
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

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

    /// Lets network namespaces use it. Linux lets them use *reno* and what the machine itself uses, unless its
    /// administrator has allowed more. What is allowed stays allowed until the machine's next start, and nothing uses it
    /// unless told to.
    ///
    /// # Errors
    /// [`BenchError::Failed`] where the kernel does not have it; [`BenchError::Unavailable`] where this process may not
    /// allow it.
    pub(super) fn allow(self) -> Result<()> {
        let list = |path: &str| fs::read_to_string(path).context(|| format!("cannot read {path}"));
        let available = list(AVAILABLE)?;
        if !available.split_whitespace().any(|name| name == self.name()) {
            return failed(format!("this kernel has no congestion control {self}, but {}", available.trim()));
        }
        let allowed = format!("{} {self}", list(ALLOWED)?.trim());
        fs::write(ALLOWED, allowed).map_err(|why| {
            BenchError::Unavailable(format!("network namespaces may not use {self}: {ALLOWED}: {why}"))
        })
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
