//! The real binaries. They are built once in a test process by the Cargo that runs it, into the same
//! target folder and profile: `cargo test --workspace` alone promises no package the binaries of another.
//!
//! Cargo does not hold its build lock while tests run, so that the Cargo inside cannot wait for the one
//! outside. Set `CASCADE_BIN_DIR` to test binaries that are there already.

use crate::launch::Launch;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

/// A build from nothing on a slow machine takes minutes.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

struct Binaries {
    tracker: PathBuf,
    peer: PathBuf,
}

/// Path of the `tracker` binary.
#[must_use]
pub fn tracker() -> &'static Path {
    &binaries().tracker
}

/// Path of the `peer` binary.
#[must_use]
pub fn peer() -> &'static Path {
    &binaries().peer
}

fn binaries() -> &'static Binaries {
    static BINARIES: OnceLock<Result<Binaries, String>> = OnceLock::new();
    let found = BINARIES.get_or_init(|| match env::var_os("CASCADE_BIN_DIR") {
        Some(folder) => {
            let folder = PathBuf::from(folder);
            Ok(Binaries { tracker: folder.join("tracker"), peer: folder.join("peer") })
        }
        None => build(),
    });
    found.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `cargo build` and takes the paths from what it says, so that no folder layout is assumed.
fn build() -> Result<Binaries, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let exe = env::current_exe().map_err(|error| format!("path of the test executable: {error}"))?;
    let place = Place::of(&exe);
    let mut launch = Launch::program(Path::new(&cargo))
        .args(["build", "--bins", "-p", "cascade-tracker", "-p", "cascade-peer"])
        .args(["--message-format=json-render-diagnostics", "--profile", &place.profile])
        .cwd(env!("CARGO_MANIFEST_DIR"))
        .without_package_env();
    if let Some(folder) = &place.target_dir {
        launch = launch.arg("--target-dir").arg(folder);
    }
    if let Some(triple) = &place.triple {
        launch = launch.args(["--target", triple]);
    }
    let done = launch.start().wait_exit_within(BUILD_LIMIT);
    if done.code != Some(0) {
        return Err(format!("the binaries under test do not build: {done}"));
    }
    let find = |name| executable(&done.stdout, name).ok_or(format!("cargo built no binary {name}: {done}"));
    Ok(Binaries { tracker: find("tracker")?, peer: find("peer")? })
}

/// The executable of `name` in Cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_bin = message.pointer("/target/kind/0")?.as_str()? == "bin";
        let is_it = message.pointer("/target/name")?.as_str()? == name;
        (is_bin && is_it).then_some(PathBuf::from(message.get("executable")?.as_str()?))
    })
}

/// Where Cargo put this test executable: `TARGET_DIR[/TRIPLE]/PROFILE/deps/EXE`.
struct Place {
    target_dir: Option<PathBuf>,
    triple: Option<String>,
    profile: String,
}

impl Place {
    fn of(exe: &Path) -> Self {
        let folder = exe.parent().and_then(Path::parent);
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        // The `test` profile of a plain `cargo test` lies in `debug`, with the one called `dev`.
        let profile = match folder.and_then(name).as_deref() {
            None | Some("debug") => "dev".to_owned(),
            Some(other) => other.to_owned(),
        };
        // Cargo marks the target folder itself, not those inside.
        let marked = |path: &&Path| path.join("CACHEDIR.TAG").exists();
        let above = folder.and_then(Path::parent);
        match (above.filter(marked), above.and_then(Path::parent).filter(marked)) {
            (Some(target), _) => Self { target_dir: Some(target.into()), triple: None, profile },
            (None, Some(target)) => {
                Self { target_dir: Some(target.into()), triple: above.and_then(name), profile }
            }
            (None, None) => Self { target_dir: None, triple: None, profile },
        }
    }
}
