//! `peer download`: downloads files, serves what it has meanwhile.

use super::host::{Front, Host, require_descriptors, show};
use super::interrupt::Ear;
use super::{CliError, ExitCode, Switch, address};
use crate::human::Name;
use crate::metafile::MetafileOnDisk;
use crate::peer::{ANYWHERE, Downloaded, Options, Transfer};
use crate::report::{self, Style};
use crate::session::{Download, DownloadError, Event, Observer, SeedError};
use cascade_swarm::ask::Order;
use std::collections::HashSet;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Descriptors that each file takes at least: its part file, the watch on it, and one connection to a peer.
const DESCRIPTORS_A_FILE: usize = 3;

/// Download the files that .cascade files describe
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The .cascade files; each data file goes beside its own, under the name without .cascade
    #[arg(value_name = "FILE.cascade", required = true)]
    files: Vec<PathBuf>,
    /// Tracker to ask for peers; may be given several times
    #[arg(short, long = "tracker", value_name = "HOST:PORT", env = "CASCADE_TRACKER", value_delimiter = ',',
          default_value = super::DEFAULT_TRACKER, value_parser = address::host_port)]
    trackers: Vec<String>,
    /// Address to serve on; port 0 lets the system choose
    #[arg(short, long, value_name = "ADDR:PORT", default_value_t = ANYWHERE)]
    listen: SocketAddrV4,
    /// Name of the data file (one .cascade file), or the folder that it goes to
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Peer to download from, beside those that trackers know; may be given several times
    #[arg(long = "peer", value_name = "HOST:PORT", value_parser = address::host_port)]
    peers: Vec<String>,
    /// Go on serving when everything is complete, until interrupted
    #[arg(long)]
    seed: bool,
    /// Download the blocks in order
    #[arg(long)]
    sequential: bool,
    /// Earlier version of the file or folder, of which what is still right is copied
    #[arg(long, value_name = "OLD")]
    from: Option<PathBuf>,
    /// Keep the archive of a folder as one file, NAME.tar
    #[arg(long)]
    tar: bool,
    /// Do not serve, and do not register with trackers
    #[arg(long, conflicts_with = "seed")]
    no_serve: bool,
    /// Fail when there is no peer, instead of waiting for one
    #[arg(long)]
    no_wait: bool,
    /// Whether to tell peers that know Cascade's swarm extension more than version 1 does
    #[arg(long, value_name = "on|off", env = "CASCADE_EXTENSION", value_enum,
          default_value_t = Switch::On, hide_possible_values = true)]
    extension: Switch,
    /// Hash every block again before it is sent
    #[arg(long)]
    paranoid: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage. A file that cannot be downloaded is told at once, and the others are downloaded.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let jobs = jobs(args)?;
    let style = Style::choose(args.json);
    let options = Options {
        listen: (!args.no_serve).then_some(args.listen),
        extension: args.extension == Switch::On,
        paranoid: args.paranoid,
        ..Options::default()
    };
    let host = Host::start(options, &style, ear)?;
    require_descriptors("download", jobs.len(), jobs.len().saturating_mul(DESCRIPTORS_A_FILE))?;
    host.run(async |front: &mut Front| {
        front.open()?;
        let mut tasks = JoinSet::new();
        for job in jobs {
            let observer = style.observer(&job.target, &job.metafile.cascade_hash().to_string());
            tasks.spawn(download(front.peer.download(job), observer));
        }
        let (mut code, mut interrupted) = (ExitCode::Done, false);
        while let Some(result) = tasks.join_next().await {
            match result {
                Ok(Ok(Step::Downloaded(file, observer))) if args.seed => {
                    tasks.spawn(seed(front.peer.seed_downloaded(&file), observer));
                }
                Ok(Ok(_)) => {}
                Ok(Err(DownloadError::Interrupted)) | Err(_) => interrupted = true,
                Ok(Err(error)) => {
                    // At once: the others may take hours.
                    report::error(&error.to_string());
                    code = ExitCode::Failed;
                }
            }
        }
        Ok(if interrupted && code == ExitCode::Done { ExitCode::Interrupted } else { code })
    })
}

/// What has come to its end.
enum Step {
    Downloaded(Downloaded, Box<dyn Observer>),
    Seeded,
}

async fn download(
    transfer: Transfer<Result<Downloaded, DownloadError>>,
    mut observer: Box<dyn Observer>,
) -> Result<Step, DownloadError> {
    match show(transfer, &mut *observer).await {
        Ok(file) => Ok(Step::Downloaded(file, observer)),
        Err(error) => {
            observer.event(Event::Failed(error.to_string()));
            Err(error)
        }
    }
}

async fn seed(
    transfer: Transfer<Result<(), SeedError>>,
    mut observer: Box<dyn Observer>,
) -> Result<Step, DownloadError> {
    match show(transfer, &mut *observer).await {
        Ok(()) | Err(SeedError::Interrupted) => {}
        Err(error) => observer.event(Event::Warning(error.to_string())),
    }
    Ok(Step::Seeded)
}

/// What is to be done, all of it checked before anything is begun.
fn jobs(args: &Args) -> Result<Vec<Download>, CliError> {
    if let Some(from) = &args.from {
        if args.files.len() > 1 {
            return Err(CliError::usage(
                "--from names one earlier version, but there are several .cascade files".into(),
            ));
        }
        let there = std::fs::metadata(from);
        there.map_err(|error| CliError::failed(format!("cannot read {}: {error}", Name(from))))?;
    }
    let mut jobs = Vec::new();
    let mut targets = HashSet::new();
    for file in &args.files {
        let metafile = MetafileOnDisk::open(file).map_err(|error| CliError::failed(error.to_string()))?;
        let target = target(args, &metafile)?;
        if !targets.insert(target.clone()) {
            let target = Name(&target);
            return Err(CliError::usage(format!(
                "two of the files would go to {target}; give them different folders"
            )));
        }
        jobs.push(Download {
            metafile: Arc::new(metafile),
            target,
            trackers: args.trackers.clone(),
            peers: args.peers.clone(),
            order: if args.sequential { Order::Sequential } else { Order::Random },
            no_wait: args.no_wait,
            as_tar: args.tar,
            from: args.from.clone(),
        });
    }
    Ok(jobs)
}

fn target(args: &Args, metafile: &MetafileOnDisk) -> Result<PathBuf, CliError> {
    let beside = || {
        let path = metafile.data_path().map_err(|error| CliError::failed(error.to_string()))?;
        Ok(if args.tar { with_ending(&path, ".tar") } else { path })
    };
    let Some(output) = &args.output else { return beside() };
    if output.is_dir() || names_folder(output) {
        let beside = beside()?;
        return Ok(output.join(beside.file_name().unwrap_or(beside.as_os_str())));
    }
    if args.files.len() > 1 {
        let output = Name(output);
        return Err(CliError::usage(format!(
            "{output} is not a folder, and there are several files to download"
        )));
    }
    Ok(output.clone())
}

/// Whether the user wrote the name as that of a folder.
fn names_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|last| std::path::is_separator(char::from(*last)))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
