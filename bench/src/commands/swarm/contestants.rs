//! The clients that take part.

use super::Options;
use crate::data::DataFile;
use crate::error::{BenchError, Result};
use crate::swarm::clients::{Aria2, Cascade, Client, Rqbit};
use crate::swarm::outcome::Outcome;
use crate::swarm::scenario::Scenario;
use crate::tools::binaries::Binaries;
use crate::tools::cascade::describe;
use serde::Serialize;
use std::path::Path;

/// The name of a swarm of version 1 leechers only.
pub(super) const ALL_VERSION_1: &str = "all version 1";

/// The clients that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// Our own programs.
    Cascade,
    /// Our tracker and seeder, and scripted downloaders only.
    #[value(name = "version-1")]
    Version1,
    /// aria2.
    Aria2,
    /// rqbit.
    Rqbit,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Cascade, Self::Version1, Self::Aria2, Self::Rqbit];

    /// Whether it takes part where nothing is chosen. Scripted peers stand beside ours, not beside others.
    fn by_default(self, scenario: &Scenario) -> bool {
        match self {
            Self::Cascade => true,
            Self::Version1 => false,
            Self::Aria2 | Self::Rqbit => !scenario.has_scripted() && scenario.folder.is_none(),
        }
    }
}

/// A client, its swarm and its runs.
#[derive(Serialize)]
pub(super) struct Contestant {
    pub(super) name: String,
    pub(super) runs: Vec<Outcome>,
    #[serde(skip)]
    pub(super) scenario: Scenario,
    #[serde(skip)]
    pub(super) client: Box<dyn Client>,
}

/// The clients that are chosen and installed; the others are named.
pub(super) fn find(
    options: &Options,
    scenario: &Scenario,
    data: &DataFile,
    folder: &Path,
) -> Result<Vec<Contestant>> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let chosen =
            if options.only.is_empty() { kind.by_default(scenario) } else { options.only.contains(&kind) };
        if !chosen {
            continue;
        }
        match prepare(kind, options, scenario, data, folder) {
            Ok(contestant) => found.push(contestant),
            Err(BenchError::Unavailable(why)) => println!("left out: {why}"),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// One client, ready to run.
///
/// # Errors
/// [`BenchError::Unavailable`] when it is not installed.
pub(super) fn prepare(
    kind: Kind,
    options: &Options,
    scenario: &Scenario,
    data: &DataFile,
    folder: &Path,
) -> Result<Contestant> {
    let binaries = Binaries::prepare(&options.common.binaries)?;
    let cascade = if scenario.folder.is_some() {
        describe(&binaries, data, Some(scenario.block))?
    } else {
        data.cascade_file(folder, scenario.block)?
    };
    // A folder is as long as its archive.
    let scenario = &Scenario { size: cascade.layout.length(), ..scenario.clone() };
    let ours = |name| -> Result<Box<dyn Client>> {
        let off = (!scenario.extension).then(|| "--extension=off".to_owned());
        Ok(Box::new(Cascade {
            name,
            binaries: binaries.clone(),
            cascade: cascade.clone(),
            extra: options.peer_arg.iter().cloned().chain(off).collect(),
            v1_seeder: scenario.v1_seeder,
        }))
    };
    let client = match kind {
        Kind::Cascade => ours("cascade")?,
        Kind::Version1 => ours(ALL_VERSION_1)?,
        Kind::Aria2 => Box::new(Aria2::find(data, folder)?),
        Kind::Rqbit => Box::new(Rqbit::find(data, folder)?),
    };
    let scenario = if kind == Kind::Version1 { scenario.all_version_1() } else { scenario.clone() };
    Ok(Contestant { name: client.name(), runs: Vec::new(), scenario, client })
}
