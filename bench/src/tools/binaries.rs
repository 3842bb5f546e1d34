//! Where our own release binaries are, and how they get there.

use crate::error::{BenchError, Context, Result, failed};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The command line's choice of binaries.
#[derive(Debug, Clone, clap::Args)]
pub struct BinaryOptions {
    /// The `peer` to measure (default: built by cargo, beside this program)
    #[arg(long, value_name = "FILE")]
    pub peer: Option<PathBuf>,
    /// The `tracker` to measure (default: built by cargo, beside this program)
    #[arg(long, value_name = "FILE")]
    pub tracker: Option<PathBuf>,
    /// Take the binaries as they are, without building them
    #[arg(long)]
    pub no_build: bool,
}

/// The binaries to measure.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// `peer`.
    pub peer: PathBuf,
    /// `tracker`.
    pub tracker: PathBuf,
}

impl Binaries {
    /// Builds the release binaries, unless both are given or building is switched off.
    ///
    /// # Errors
    /// They do not compile, or are not where they should be.
    pub fn prepare(options: &BinaryOptions) -> Result<Self> {
        let target = target_folder()?;
        if !options.no_build && (options.peer.is_none() || options.tracker.is_none()) {
            build(&target)?;
        }
        let beside = |name: &str| target.join("release").join(name);
        let binaries = Self {
            peer: options.peer.clone().unwrap_or_else(|| beside("peer")),
            tracker: options.tracker.clone().unwrap_or_else(|| beside("tracker")),
        };
        for binary in [&binaries.peer, &binaries.tracker] {
            if !binary.is_file() {
                return Err(BenchError::Unavailable(format!("there is no {}", binary.display())));
            }
        }
        Ok(binaries)
    }
}

/// The workspace that this program was built from.
#[must_use]
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo's target folder: the one that this program was built into (`TARGET/release/bench`).
fn target_folder() -> Result<PathBuf> {
    let exe = std::env::current_exe().context(|| "cannot find this program's own file".to_owned())?;
    exe.ancestors().nth(2).map(Path::to_path_buf).ok_or_else(|| {
        BenchError::Failed(format!("{} is in no target folder: give --peer and --tracker", exe.display()))
    })
}

fn build(target: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "--bins", "-p", "cascade-peer", "-p", "cascade-tracker"]);
    command.arg("--target-dir").arg(target).current_dir(workspace());
    let status = command.status().context(|| "cannot start cargo: is it on the PATH?".to_owned())?;
    if status.success() {
        Ok(())
    } else {
        failed("peer and tracker do not compile: see above, or give --peer and --tracker")
    }
}
