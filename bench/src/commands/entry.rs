//! A row of `bench transfer`: a tool and all its runs.

use crate::data::DataFile;
use crate::stats::Spread;
use crate::tools::{Tool, Transfer};
use serde::Serialize;

/// Block size of the row with a file of its own, in bytes.
pub const SMALL_BLOCK: u64 = 1024;

/// The tools that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
pub enum Kind {
    /// The floor program, both variants.
    Floor,
    /// Cascade, once for each block size.
    Cascade,
    /// curl from nginx.
    Curl,
    /// Cascade with its page, without viewers and with ten; only when it is asked for.
    Web,
    /// The rsync daemon.
    Rsync,
    /// aria2.
    Aria2,
    /// rqbit.
    Rqbit,
    /// sendme.
    Sendme,
}

/// One row of the benchmark: a tool and all its runs.
#[derive(Serialize)]
pub struct Entry {
    /// The row's name.
    pub name: String,
    /// The tool's kind.
    pub kind: Kind,
    /// Cascade's block size in bytes, 0 for other tools.
    pub block: u64,
    /// Bytes transferred in each run.
    pub length: u64,
    /// The runs, one a round.
    pub runs: Vec<Transfer>,
    #[serde(skip)]
    pub(super) tool: Box<dyn Tool>,
    #[serde(skip)]
    pub(super) data: DataFile,
}

impl Entry {
    /// The spread of a value of its runs.
    #[must_use]
    pub fn spread(&self, value: impl Fn(&Transfer) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().map(value))
    }

    /// The median wall time, in seconds.
    #[must_use]
    pub fn wall(&self) -> Option<f64> {
        self.spread(|run| run.wall).map(|spread| spread.median)
    }

    /// The greatest memory of either side in any run, in bytes.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.runs.iter().map(|run| run.sender.peak.max(run.receiver.peak)).max().unwrap_or(0)
    }
}
