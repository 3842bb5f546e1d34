//! `peer serve`: serves what is put into a folder until it is interrupted.

mod exec;

use super::common::Common;
use super::extension::ExtensionSwitch;
use super::given::Trackers;
use super::host::{Front, Host, ListenOption};
use super::interrupt::Ear;
use super::origin::Source;
use super::web::{self, Rooms};
use super::{CliError, ExitCode, LIMITS};
use crate::clock;
use crate::human::Name;
use crate::library::{How, Library, Options as Folder, Told};
use crate::report::{LibraryReport, Status, Style};
use exec::Commands;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest that clients wait until what is known from earlier runs is found.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often what stays in place on a terminal is made new.
const LOOK: Duration = Duration::from_millis(500);

/// A log is told this often at most how much was given, and only if something was.
const GIVEN_INTERVAL: Duration = Duration::from_secs(60);

/// Serve every .cascade file in a folder, as they come and go, until interrupted
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder, which is looked through with the folders in it. The data NAME is expected beside NAME.cascade
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    trackers: Trackers,
    #[command(flatten)]
    listen: ListenOption,
    /// Download data that is missing or incomplete; otherwise only what is there is served
    #[arg(long, conflicts_with = "origin")]
    download: bool,
    #[command(flatten)]
    source: Source,
    /// Run this command with /bin/sh for each file that has become complete: downloaded, or put here and checked. The
    /// file's path is in $CASCADE_FILE, its .cascade file's in $CASCADE_METAFILE [default: none]
    #[arg(long, value_name = "CMD")]
    exec: Option<OsString>,
    #[command(flatten)]
    extension: ExtensionSwitch,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// The folder cannot be served at all. What is wrong with a file in it is told, and the others are served.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let folder = Folder {
        folder: checked(&args.folder)?,
        trackers: args.trackers.for_file(),
        download: args.download,
        lan: args.common.lan(false),
        origin: args.source.origin(usize::MAX)?,
    };
    let style = Style::choose(args.common.json);
    let options = args.common.options(args.extension.options());
    let host = Host::start(options, args.listen.wanted(), &style, ear)?;
    let page = args.common.bind()?;
    host.run(async |front: &mut Front| {
        let report = LibraryReport::new(&style, &folder.folder);
        let library = front.peer.serve_folder(folder);
        let library = library.map_err(|error| CliError::failed(format!("{error}; {LIMITS}")))?;
        let _page = web::show(page, &front.peer, Rooms::Asked(Vec::new()), &style)?;
        let commands = Commands::new(args.exec.clone());
        let status = style.status();
        Desk { library, report, commands, status, given_told: 0, given_at: clock::now() }.run(front).await?;
        Ok(ExitCode::Done)
    })
}

/// The folder, by a path that holds wherever it is used.
fn checked(folder: &Path) -> Result<PathBuf, CliError> {
    let cannot = |what: String| {
        CliError::failed(format!("cannot serve {}: {what}; name a folder that can be read", Name(folder)))
    };
    let path = std::path::absolute(folder).map_err(|error| cannot(error.to_string()))?;
    match std::fs::read_dir(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(cannot(error.to_string())),
    }
}

/// Tells what happens, and runs commands.
struct Desk {
    library: Library,
    report: LibraryReport,
    commands: Commands,
    status: Option<Status>,
    /// Bytes that were given when a log was told last, and when that was.
    given_told: u64,
    given_at: Instant,
}

impl Desk {
    async fn run(mut self, front: &mut Front) -> Result<(), CliError> {
        let mut is_open = false;
        let patience = clock::now() + PATIENCE;
        loop {
            tokio::select! {
                told = self.library.next() => match told {
                    Some(told) => {
                        let ready = matches!(told, Told::Ready(_));
                        self.hear(told);
                        if ready && !std::mem::replace(&mut is_open, true) {
                            front.open()?;
                        }
                    }
                    None => break,
                },
                (path, said) = self.commands.next() => self.report.tell_command(&path, &said),
                () = tokio::time::sleep_until(patience.into()), if !is_open => {
                    is_open = true;
                    front.open()?;
                }
                () = tokio::time::sleep(LOOK) => self.look(front),
            }
        }
        self.commands.end();
        self.library.finish().await;
        Ok(())
    }

    fn hear(&mut self, told: Told) {
        if let Told::Serving(serving) = &told
            && serving.is_complete()
            && serving.how != How::Known
        {
            self.commands.add(serving.clone());
        }
        self.report.tell(told);
    }

    fn look(&mut self, front: &Front) {
        if let Some(status) = &mut self.status {
            status.show(&front.peer.view());
            return;
        }
        let given = front.peer.given().map_or(0, |given| given.bytes_sent());
        if given != self.given_told && self.given_at.elapsed() >= GIVEN_INTERVAL {
            self.report.tell_given(given);
            (self.given_told, self.given_at) = (given, clock::now());
        }
    }
}
