//! `peer seed`: serves files until it is interrupted.

use super::common::Common;
use super::extension::ExtensionSwitch;
use super::given::{self, Contacts, Given, Trackers};
use super::host::{Front, Host, ListenOption, descriptors_of, require_descriptors, show};
use super::interrupt::Ear;
use super::origin::Source;
use super::spread::{Onlooker, Report};
use super::web::{self, Rooms};
use super::{CliError, ExitCode};
use crate::folder::Place;
use crate::metafile::MetafileOnDisk;
use crate::origin::Origin;
use crate::peer::{Peer, Transfer};
use crate::report::Style;
use crate::session::{Event, Fetch, FetchError, Observer, Seed, SeedError};
use crate::store::part::part_path;
use cascade_format::CascadeHash;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The longest that clients wait for the first check; after that they hear which blocks are missing yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serve what .cascade files or links describe, until interrupted
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The .cascade files, or links
    #[arg(value_name = "FILE.cascade|LINK", required = true)]
    files: Vec<OsString>,
    #[command(flatten)]
    trackers: Trackers,
    #[command(flatten)]
    listen: ListenOption,
    /// The data file or shared folder, with one .cascade file or link, or the folder that contains the data [default: the
    /// .cascade file's path without .cascade; for a link, the link's name in the current folder]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    extension: ExtensionSwitch,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    report: Report,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage. A file that cannot be seeded is told at once, and the others are seeded.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let origin = args.source.origin(args.files.len())?;
    let jobs = jobs(args)?;
    args.report.check(jobs.len())?;
    let style = Style::choose(args.common.json);
    let options = args.common.options(args.extension.options());
    let host = Host::start(options, args.listen.wanted(), &style, ear)?;
    let page = args.common.bind()?;
    require_descriptors("seed", jobs.len(), jobs.iter().map(|job| descriptors_of(&job.data)).sum())?;
    let rooms = jobs.iter().map(|job| (job.cascade_hash, job.trackers.clone())).collect();
    let order = jobs.iter().map(|job| job.cascade_hash).collect();
    let served = host.run(async |front: &mut Front| {
        let mut onlooker = Onlooker::new(front.peer.watch(), &style, order);
        let (ready, readies) = mpsc::channel(jobs.len());
        let count = jobs.len();
        let mut tasks = JoinSet::new();
        for job in jobs {
            let inner = style.observer(&job.data, &job.cascade_hash.to_string());
            let observer = Ready { inner, ready: Some(ready.clone()) };
            let Job { metafile, data, trackers, lan, .. } = job;
            let seed = move |metafile| Seed { metafile, data, trackers, lan };
            match metafile {
                Metafile::Open(metafile) => {
                    let transfer = begin(&front.peer, seed(metafile), origin.as_ref());
                    tasks.spawn(serve(transfer, observer));
                }
                Metafile::ToFetch(order) => {
                    tasks.spawn(fetch(front.peer.fetch(order), seed, observer));
                }
            }
        }
        drop(ready);
        let _page = web::show(page, &front.peer, Rooms::Asked(rooms), &style)?;
        let _ = tokio::time::timeout(PATIENCE, all_ready(readies, count)).await;
        front.open()?;
        let mut code = ExitCode::Done;
        onlooker.begin();
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(Ok(Some((seed, observer)))) => {
                    let transfer = begin(&front.peer, seed, origin.as_ref());
                    tasks.spawn(serve(transfer, observer));
                }
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(message)) => {
                    // At once: the others may go on for weeks.
                    style.error(&message);
                    code = ExitCode::Failed;
                }
            }
        }
        Ok((code, onlooker))
    });
    let (code, onlooker) = served?;
    onlooker.finish(false, &args.report)?;
    Ok(code)
}

/// Begins to serve a file, whose data is here or comes from an origin.
fn begin(peer: &Peer, seed: Seed, from: Option<&Origin>) -> Transfer<Result<(), SeedError>> {
    match from {
        Some(from) => peer.seed_from(seed, from.clone()),
        None => peer.seed(seed),
    }
}

/// Serves a file until the end.
async fn serve(transfer: Transfer<Result<(), SeedError>>, mut observer: Ready) -> Result<Fetched, String> {
    match show(transfer, &mut observer).await {
        Ok(()) => Ok(None),
        Err(error) => {
            let message = error.to_string();
            observer.event(Event::Failed(message.clone()));
            if matches!(error, SeedError::Interrupted) { Ok(None) } else { Err(message) }
        }
    }
}

/// A file whose `.cascade` file has come.
type Fetched = Option<(Seed, Ready)>;

/// Fetches the `.cascade` file of a link.
async fn fetch(
    transfer: Transfer<Result<MetafileOnDisk, FetchError>>,
    seed: impl FnOnce(Arc<MetafileOnDisk>) -> Seed,
    mut observer: Ready,
) -> Result<Fetched, String> {
    match show(transfer, &mut observer).await {
        Ok(metafile) => Ok(Some((seed(Arc::new(metafile)), observer))),
        Err(FetchError::Interrupted) => Ok(None),
        Err(error) => {
            let message = error.to_string();
            observer.event(Event::Failed(message.clone()));
            Err(message)
        }
    }
}

/// Waits until `count` files are being served, or have failed.
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
        if matches!(event, Event::Seeding { .. } | Event::Origin { .. } | Event::Failed(_))
            && let Some(ready) = self.ready.take()
        {
            // There is room for one from each file.
            let _ = ready.try_send(());
        }
        self.inner.event(event);
    }
}

/// What is to be done for one argument.
struct Job {
    cascade_hash: CascadeHash,
    metafile: Metafile,
    data: PathBuf,
    trackers: Vec<String>,
    lan: bool,
}

/// The `.cascade` file.
enum Metafile {
    Open(Arc<MetafileOnDisk>),
    ToFetch(Fetch),
}

fn jobs(args: &Args) -> Result<Vec<Job>, CliError> {
    let folder = args.data.as_ref().is_some_and(|data| data.is_dir());
    let given = Given::read_all(&args.files)?;
    let jobs = given.into_iter().map(|given| match given {
        Given::File(file) => {
            let metafile = given::open(&file)?;
            let beside = metafile.data_path().map_err(|error| CliError::failed(error.to_string()));
            let data = args.or_part(complete(args, beside, folder)?);
            let (cascade_hash, trackers) = (metafile.cascade_hash(), args.trackers.for_file());
            let (metafile, lan) = (Metafile::Open(Arc::new(metafile)), args.common.lan(false));
            Ok(Job { cascade_hash, metafile, data, trackers, lan })
        }
        Given::Link(link) => {
            let complete = complete(args, Ok(given::data_name(&link).into()), folder)?;
            let contacts = Contacts::of_link(&link, &args.trackers, &[]);
            let lan = args.common.lan(true);
            let fetch = Fetch { lan, ..given::fetch(link.cascade_hash(), &complete, &contacts) };
            let data = args.or_part(complete);
            let (cascade_hash, trackers) = (link.cascade_hash(), contacts.trackers);
            Ok(Job { cascade_hash, metafile: Metafile::ToFetch(fetch), data, trackers, lan })
        }
    });
    let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
    if jobs.len() > 1 && args.data.is_some() && !folder {
        return Err(CliError::usage(
            "--data names one file, but there are several .cascade files; name a folder".into(),
        ));
    }
    Ok(jobs)
}

/// Where the data is when it is complete: named, in the named folder, or where it belongs. `--data` is a `folder`.
fn complete(args: &Args, beside: Result<PathBuf, CliError>, folder: bool) -> Result<PathBuf, CliError> {
    let Some(named) = &args.data else { return beside };
    if !folder {
        return Ok(named.clone());
    }
    // It is the folder of the data files, or the shared folder itself.
    let inside = beside.map(|beside| named.join(given::file_name(&beside)));
    match inside {
        Ok(inside) if args.files.len() > 1 || inside.exists() || part_path(&inside).exists() => Ok(inside),
        Err(error) if args.files.len() > 1 => Err(error),
        Ok(_) | Err(_) => Ok(named.clone()),
    }
}

impl Args {
    /// What an unfinished download has left, where there is nothing else, and nothing else comes.
    fn or_part(&self, data: PathBuf) -> PathBuf {
        let part = part_path(&data);
        let unfinished = part.is_file() || Place::at(&part).is_some();
        if !data.exists() && unfinished && !self.source.is_named() { part } else { data }
    }
}
