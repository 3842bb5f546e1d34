//! `peer download`: downloads files, serves what it has meanwhile.

use super::common::Common;
use super::extension::ExtensionSwitch;
use super::given::{self, Contacts, Given, Trackers};
use super::host::{Front, Host, Listen, ListenOption, require_descriptors, show};
use super::interrupt::Ear;
use super::web::{self, Rooms};
use super::{CliError, ExitCode, address, taken};
use crate::human::Name;
use crate::metafile::MetafileOnDisk;
use crate::peer::{Downloaded, Peer, Transfer};
use crate::report::{self, Style};
use crate::session::engine::Stop;
use crate::session::{
    AsTar, Download, DownloadError, Event, Fetch, FetchError, Observer, Replaces, SeedError,
};
use crate::store::Records;
use cascade_format::CascadeHash;
use cascade_format::link::Link;
use cascade_swarm::ask::Order;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::JoinSet;

/// Descriptors that each file takes at least: its part file, the watch on it, and one connection to a peer.
const DESCRIPTORS_A_FILE: usize = 3;

/// Download what .cascade files or links describe
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The .cascade files, or links
    #[arg(value_name = "FILE.cascade|LINK", required = true)]
    files: Vec<OsString>,
    #[command(flatten)]
    trackers: Trackers,
    #[command(flatten)]
    listen: ListenOption,
    /// Name of the data file or folder, with one .cascade file or link, or the folder that the data goes to [default: beside
    /// the .cascade file, under its name without .cascade; for a link, the link's name in the current folder]
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Peer to download from, in addition to those that links name and trackers know; may be given several times [default:
    /// none]
    #[arg(long = "peer", value_name = "HOST:PORT", value_parser = address::host_port)]
    peers: Vec<String>,
    /// Go on serving when everything is complete, until interrupted; otherwise the command ends then
    #[arg(long)]
    seed: bool,
    /// Download the blocks in order; otherwise in random order, which is better for the swarm
    #[arg(long)]
    sequential: bool,
    /// Earlier version of the file or folder: what is still right in it is copied instead of downloaded [default: none]
    #[arg(long, value_name = "OLD")]
    from: Option<PathBuf>,
    /// Bring an existing folder of this name up to date; otherwise one that differs is an error
    #[arg(long, conflicts_with_all = ["from", "tar"])]
    update: bool,
    /// Keep the archive of a folder as one file, NAME.tar, instead of unpacking it
    #[arg(long)]
    tar: bool,
    /// Do not serve other peers meanwhile, and do not register with trackers
    #[arg(long, conflicts_with = "seed")]
    no_serve: bool,
    /// Fail when there is no peer, instead of waiting for one
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    extension: ExtensionSwitch,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage. A file that cannot be downloaded is told at once, and the others are downloaded.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let jobs = jobs(args)?;
    let style = Style::choose(args.common.json);
    let listen = if args.no_serve { Listen::Nowhere } else { args.listen.wanted() };
    let options = args.common.options(args.extension.options());
    let host = Host::start(options, listen, &style, ear)?;
    let page = args.common.bind()?;
    require_descriptors("download", jobs.len(), jobs.len().saturating_mul(DESCRIPTORS_A_FILE))?;
    let rooms = jobs.iter().map(|job| (job.cascade_hash(), job.trackers().to_vec())).collect();
    host.run(async |front: &mut Front| {
        front.open()?;
        let _page = web::show(page, &front.peer, Rooms::Asked(rooms), &style)?;
        let mut tasks = JoinSet::new();
        for job in jobs {
            let observer = style.observer(job.target(), &job.cascade_hash().to_string());
            match job {
                Job::Ready(job) => tasks.spawn(download(front.peer.download(*job), observer)),
                Job::Link(job) => {
                    let stop = front.peer.stopper();
                    tasks.spawn(fetch(front.peer.fetch(job.fetch.clone()), job, stop, observer))
                }
            };
        }
        Ok(finish(&front.peer, tasks, args.seed).await)
    })
}

/// Waits until everything is downloaded, and with `seed` until it is served no longer.
async fn finish(peer: &Peer, mut tasks: JoinSet<Result<Step, Failure>>, seed: bool) -> ExitCode {
    let (mut code, mut interrupted) = (ExitCode::Done, false);
    // Files that are served until the last one is complete, too.
    let mut meanwhile = JoinSet::new();
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(Ok(Step::Fetched(job, observer))) => {
                tasks.spawn(download(peer.download(job), observer));
            }
            Ok(Ok(Step::Downloaded(file, observer))) if seed => {
                tasks.spawn(serve(peer.seed_downloaded(&file), observer));
            }
            Ok(Ok(Step::Downloaded(file, observer))) if peer.address().is_some() && !tasks.is_empty() => {
                meanwhile.spawn(serve(peer.seed_downloaded(&file), Box::new(Quiet(observer))));
            }
            Ok(Ok(_)) => {}
            Ok(Err(Failure::Interrupted)) | Err(_) => interrupted = true,
            Ok(Err(Failure::Told(message))) => {
                // At once: the others may take hours.
                report::error(&message);
                code = ExitCode::Failed;
            }
        }
    }
    peer.stopper().stop();
    while meanwhile.join_next().await.is_some() {}
    if interrupted {
        report::error("interrupted; the same command goes on with what is verified");
    }
    if interrupted && code == ExitCode::Done { ExitCode::Interrupted } else { code }
}

/// Tells only what the user should know of a file that was told to be complete.
struct Quiet(Box<dyn Observer>);

impl Observer for Quiet {
    fn event(&mut self, event: Event) {
        if matches!(event, Event::Warning(_)) {
            self.0.event(event);
        }
    }
}

/// What has come to its end.
enum Step {
    Fetched(Download, Box<dyn Observer>),
    Downloaded(Downloaded, Box<dyn Observer>),
    Seeded,
}

/// Why a file is not downloaded.
enum Failure {
    Interrupted,
    /// For the user.
    Told(String),
}

impl Failure {
    /// Tells it to who reads the events, too.
    fn told(message: String, observer: &mut dyn Observer) -> Self {
        observer.event(Event::Failed(message.clone()));
        Self::Told(message)
    }
}

/// What is to be done for one argument.
enum Job {
    Ready(Box<Download>),
    Link(Box<LinkJob>),
}

impl Job {
    fn target(&self) -> &Path {
        match self {
            Self::Ready(download) => &download.target,
            Self::Link(link) => &link.target,
        }
    }

    fn trackers(&self) -> &[String] {
        match self {
            Self::Ready(download) => &download.trackers,
            Self::Link(link) => &link.fetch.trackers,
        }
    }

    fn cascade_hash(&self) -> CascadeHash {
        match self {
            Self::Ready(download) => download.metafile.cascade_hash(),
            Self::Link(link) => link.fetch.cascade_hash,
        }
    }
}

/// A file of which only a link is there yet.
struct LinkJob {
    fetch: Fetch,
    target: PathBuf,
    /// The user, and not the link, has chosen the name: what has it may be replaced.
    chosen: bool,
    order: Order,
    as_tar: Option<AsTar>,
    from: Option<PathBuf>,
    update: bool,
}

impl LinkJob {
    fn with(&self, metafile: MetafileOnDisk) -> Download {
        let Fetch { trackers, peers, no_wait, lan, .. } = self.fetch.clone();
        let (metafile, target) = (Arc::new(metafile), self.target.clone());
        let (order, as_tar, from, update) = (self.order, self.as_tar.clone(), self.from.clone(), self.update);
        // Without a name of the user's choice, nothing of the user's had the name when that was examined.
        let replaces = if self.chosen { Replaces::Found } else { Replaces::Known(None) };
        Download { metafile, target, trackers, peers, order, no_wait, as_tar, from, update, lan, replaces }
    }
}

/// Fetches the `.cascade` file, and sees to it that no file of the user's is in the way.
async fn fetch(
    transfer: Transfer<Result<MetafileOnDisk, FetchError>>,
    job: Box<LinkJob>,
    stop: Stop,
    mut observer: Box<dyn Observer>,
) -> Result<Step, Failure> {
    let was_there = job.fetch.out.exists();
    let metafile = match show(transfer, &mut *observer).await {
        Ok(metafile) => metafile,
        Err(FetchError::Interrupted) => return Err(Failure::Interrupted),
        Err(error) => return Err(Failure::told(error.to_string(), &mut *observer)),
    };
    let download = job.with(metafile);
    if job.chosen {
        return Ok(Step::Fetched(download, observer));
    }
    let (metafile, target) = (Arc::clone(&download.metafile), download.target.clone());
    let cancel = Arc::clone(stop.flag());
    let looked = tokio::task::spawn_blocking(move || taken::look(&metafile, &target, &cancel)).await;
    match looked {
        _ if stop.flag().load(Ordering::Relaxed) => Err(Failure::Interrupted),
        Ok(None) => Ok(Step::Fetched(download, observer)),
        Ok(Some(message)) => {
            if !was_there {
                // It describes nothing that is here.
                let _ = std::fs::remove_file(&job.fetch.out);
            }
            Err(Failure::told(message, &mut *observer))
        }
        Err(_) => Err(Failure::Interrupted),
    }
}

async fn download(
    transfer: Transfer<Result<Downloaded, DownloadError>>,
    mut observer: Box<dyn Observer>,
) -> Result<Step, Failure> {
    match show(transfer, &mut *observer).await {
        Ok(file) => Ok(Step::Downloaded(file, observer)),
        Err(DownloadError::Interrupted) => {
            observer.event(Event::Failed(DownloadError::Interrupted.to_string()));
            Err(Failure::Interrupted)
        }
        Err(error) => Err(Failure::told(error.to_string(), &mut *observer)),
    }
}

/// Serves a file until the end.
async fn serve(
    transfer: Transfer<Result<(), SeedError>>,
    mut observer: Box<dyn Observer>,
) -> Result<Step, Failure> {
    match show(transfer, &mut *observer).await {
        Ok(()) | Err(SeedError::Interrupted) => {}
        Err(error) => observer.event(Event::Warning(error.to_string())),
    }
    Ok(Step::Seeded)
}

/// What is to be done, all of it checked before anything is begun.
fn jobs(args: &Args) -> Result<Vec<Job>, CliError> {
    if let Some(from) = &args.from {
        if args.files.len() > 1 {
            return Err(CliError::usage(
                "--from names one earlier version, but there are several .cascade files or links".into(),
            ));
        }
        let there = std::fs::metadata(from);
        there.map_err(|error| CliError::failed(format!("cannot read {}: {error}", Name(from))))?;
    }
    let mut jobs = Vec::new();
    let mut targets = HashSet::new();
    for given in Given::read_all(&args.files)? {
        let job = match given {
            Given::File(file) => file_job(args, &file)?,
            Given::Link(link) => link_job(args, &link)?,
        };
        if !targets.insert(job.target().to_owned()) {
            let target = Name(job.target());
            return Err(CliError::usage(format!(
                "two of the files would go to {target}; give them different folders"
            )));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

fn order(args: &Args) -> Order {
    if args.sequential { Order::Sequential } else { Order::Random }
}

fn file_job(args: &Args, file: &Path) -> Result<Job, CliError> {
    let metafile = given::open(file)?;
    let beside = || metafile.data_path().map_err(|error| CliError::failed(error.to_string()));
    let name = || Ok::<_, CliError>(PathBuf::from(given::file_name(&beside()?)));
    let (target, as_tar) = match place(args, metafile.cascade_hash(), name)? {
        Place::Beside => with_tar(args, beside()?, true),
        Place::Folder(folder, name) => with_tar(args, folder.join(name), true),
        Place::Chosen(target) => (target.clone(), args.tar.then_some(AsTar { plain: target, replace: true })),
    };
    Ok(Job::Ready(Box::new(Download {
        metafile: Arc::new(metafile),
        target,
        trackers: args.trackers.for_file(),
        peers: args.peers.clone(),
        order: order(args),
        no_wait: args.no_wait,
        as_tar,
        from: args.from.clone(),
        update: args.update,
        lan: args.common.lan(false),
        replaces: Replaces::Found,
    })))
}

fn link_job(args: &Args, link: &Link) -> Result<Job, CliError> {
    let name = PathBuf::from(given::data_name(link));
    let (target, as_tar, chosen) = match place(args, link.cascade_hash(), || Ok(name.clone()))? {
        Place::Beside => not_chosen(with_tar(args, name, false)),
        Place::Folder(folder, name) => not_chosen(with_tar(args, folder.join(name), false)),
        Place::Chosen(target) => {
            (target.clone(), args.tar.then_some(AsTar { plain: target, replace: true }), true)
        }
    };
    let contacts = Contacts::of_link(link, &args.trackers, &args.peers);
    let fetch = Fetch {
        no_wait: args.no_wait,
        lan: args.common.lan(true),
        // That of the earlier version is in the way.
        aside: args.update || args.from.is_some(),
        ..given::fetch(link.cascade_hash(), &target, &contacts)
    };
    // What is replaced in a folder is kept, so nothing is lost if the link has chosen the name of another folder.
    let chosen = chosen || args.update && target.is_dir();
    let (order, from, update) = (order(args), args.from.clone(), args.update);
    Ok(Job::Link(Box::new(LinkJob { fetch, target, chosen, order, as_tar, from, update })))
}

/// Where the user wants the data.
enum Place {
    Beside,
    /// In this folder, under this name.
    Folder(PathBuf, PathBuf),
    Chosen(PathBuf),
}

/// Where the data with this hash is to go, which is called `name` unless the user chooses another name.
fn place(
    args: &Args,
    hash: CascadeHash,
    name: impl FnOnce() -> Result<PathBuf, CliError>,
) -> Result<Place, CliError> {
    let Some(output) = &args.output else { return Ok(Place::Beside) };
    if output.is_dir() || names_folder(output) {
        let name = name()?;
        // The same command goes on, also when the folder has the chosen name by now; and an update is for a folder that
        // is there.
        let is_itself = !output.join(&name).exists()
            && (args.update || Records::from_environment().is_recorded(hash, output));
        let itself = !names_folder(output) && is_itself && args.files.len() == 1;
        return Ok(if itself { Place::Chosen(output.clone()) } else { Place::Folder(output.clone(), name) });
    }
    if args.files.len() > 1 {
        let output = Name(output);
        return Err(CliError::usage(format!(
            "{output} is not a folder, and there are several files to download"
        )));
    }
    Ok(Place::Chosen(output.clone()))
}

/// Whether the user wrote the name as that of a folder.
fn names_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|last| std::path::is_separator(char::from(*last)))
}

/// With `--tar` the archive of a folder has another name than the folder. A file keeps its own, which it may
/// `replace` if the user has chosen that name.
fn with_tar(args: &Args, plain: PathBuf, replace: bool) -> (PathBuf, Option<AsTar>) {
    if !args.tar {
        return (plain, None);
    }
    (given::with_ending(&plain, ".tar"), Some(AsTar { plain, replace }))
}

fn not_chosen((target, as_tar): (PathBuf, Option<AsTar>)) -> (PathBuf, Option<AsTar>, bool) {
    (target, as_tar, false)
}
