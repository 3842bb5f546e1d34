//! `peer seed`: serves files until it is interrupted.

use super::host::{Front, Host, require_descriptors, show};
use super::interrupt::Ear;
use super::{CliError, ExitCode, Switch, address};
use crate::folder;
use crate::metafile::MetafileOnDisk;
use crate::peer::{ANYWHERE, Options};
use crate::report::{self, Style};
use crate::session::{Event, Observer, Seed, SeedError};
use crate::store::part::part_path;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Clients wait so long for the first check; after that they hear which blocks are missing yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serve the files that .cascade files describe, until interrupted
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The .cascade files; each data file is expected beside its own, under the name without .cascade
    #[arg(value_name = "FILE.cascade", required = true)]
    files: Vec<PathBuf>,
    /// Tracker to register with; may be given several times
    #[arg(short, long = "tracker", value_name = "HOST:PORT", env = "CASCADE_TRACKER", value_delimiter = ',',
          default_value = super::DEFAULT_TRACKER, value_parser = address::host_port)]
    trackers: Vec<String>,
    /// Address to serve on; port 0 lets the system choose
    #[arg(short, long, value_name = "ADDR:PORT", default_value_t = ANYWHERE)]
    listen: SocketAddrV4,
    /// The data file or shared folder (one .cascade file), or the folder of the data files
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
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
/// Wrong usage. A file that cannot be seeded is told at once, and the others are seeded.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let jobs = jobs(args)?;
    let style = Style::choose(args.json);
    let options = Options {
        listen: Some(args.listen),
        extension: args.extension == Switch::On,
        paranoid: args.paranoid,
        ..Options::default()
    };
    let host = Host::start(options, &style, ear)?;
    require_descriptors("seed", jobs.len(), jobs.iter().map(|job| descriptors(&job.data)).sum())?;
    host.run(async |front: &mut Front| {
        let (ready, readies) = mpsc::channel(jobs.len());
        let count = jobs.len();
        let mut tasks = JoinSet::new();
        for job in jobs {
            let inner = style.observer(&job.data, &job.metafile.cascade_hash().to_string());
            let mut observer = Ready { inner, ready: Some(ready.clone()) };
            let transfer = front.peer.seed(job);
            tasks.spawn(async move {
                let result = show(transfer, &mut observer).await;
                result.inspect_err(|error| observer.event(Event::Failed(error.to_string())))
            });
        }
        drop(ready);
        let _ = tokio::time::timeout(PATIENCE, all_ready(readies, count)).await;
        front.open()?;
        let mut code = ExitCode::Done;
        while let Some(result) = tasks.join_next().await {
            match result {
                Ok(Ok(()) | Err(SeedError::Interrupted)) | Err(_) => {}
                Ok(Err(error)) => {
                    // At once: the others may go on for weeks.
                    report::error(&error.to_string());
                    code = ExitCode::Failed;
                }
            }
        }
        Ok(code)
    })
}

/// Waits until so many files are being served, or have failed.
async fn all_ready(mut readies: mpsc::Receiver<()>, count: usize) {
    for _ in 0..count {
        if readies.recv().await.is_none() {
            return;
        }
    }
}

/// Tells when the file's check is over.
struct Ready {
    inner: Box<dyn Observer>,
    ready: Option<mpsc::Sender<()>>,
}

impl Observer for Ready {
    fn event(&mut self, event: Event) {
        if matches!(event, Event::Seeding { .. } | Event::Failed(_))
            && let Some(ready) = self.ready.take()
        {
            // There is room for one from each file.
            let _ = ready.try_send(());
        }
        self.inner.event(event);
    }
}

fn jobs(args: &Args) -> Result<Vec<Seed>, CliError> {
    let open =
        |file: &PathBuf| MetafileOnDisk::open(file).map_err(|error| CliError::failed(error.to_string()));
    let metafiles = args.files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let folder = args.data.as_ref().is_some_and(|data| data.is_dir());
    if metafiles.len() > 1 && args.data.is_some() && !folder {
        return Err(CliError::usage(
            "--data names one file, but there are several .cascade files; name a folder".into(),
        ));
    }
    let seed = |metafile: MetafileOnDisk| {
        let data = data(args, &metafile, folder)?;
        Ok(Seed { metafile: Arc::new(metafile), data, trackers: args.trackers.clone() })
    };
    metafiles.into_iter().map(seed).collect()
}

/// Where the data is: named, in the named folder, or beside the .cascade file; there also what an
/// unfinished download left.
fn data(args: &Args, metafile: &MetafileOnDisk, folder: bool) -> Result<PathBuf, CliError> {
    if let (Some(data), false) = (&args.data, folder) {
        return Ok(data.clone());
    }
    let beside = metafile.data_path().map_err(|error| CliError::failed(error.to_string()));
    let data = match &args.data {
        // The folder of the data files, or the shared folder itself.
        Some(folder) => {
            let inside = beside.map(|beside| folder.join(beside.file_name().unwrap_or(beside.as_os_str())));
            match inside {
                Ok(inside) if args.files.len() > 1 || inside.exists() || part_path(&inside).exists() => {
                    inside
                }
                Err(error) if args.files.len() > 1 => return Err(error),
                _ => folder.clone(),
            }
        }
        None => beside?,
    };
    let part = part_path(&data);
    Ok(if !data.exists() && part.is_file() { part } else { data })
}

/// Descriptors that the data takes.
fn descriptors(data: &Path) -> usize {
    if data.is_dir() { folder::DESCRIPTORS } else { 1 }
}
