//! The tracker's command.
#![allow(clippy::disallowed_methods, reason = "this is where it prints, with what others wrote made fit")]

mod page;

use cascade_format::text;
use cascade_tracker::cli::{Cli, Plan, StorePlan};
use cascade_tracker::log::{self, LogWriter};
use cascade_tracker::setup::Setup;
use cascade_tracker::state::StateFile;
use cascade_tracker::store::{Secrets, Store};
use cascade_tracker::{Policy, Tracker, View, limits};
use clap::Parser;
use page::Page;
use sd_notify::NotifyState;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use tokio::signal::unix::{Signal as HangUps, SignalKind, signal};

/// Pairs of descriptors that are looked for at the start: more than the runtime that hears signals opens.
const SPARE_PAIRS: usize = 3;

/// The exit code of a command line that makes no sense.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::try_parse_from(cascade_web::join_address(std::env::args_os())) {
        Ok(cli) => match (cli.fault(), cli.checks()) {
            (Some(fault), _) => {
                let _ = writeln!(io::stderr(), "{}", text::line(&format!("tracker: {fault}")));
                return ExitCode::from(WRONG_USAGE);
            }
            (None, Some(config)) => check(config),
            (None, None) => serve(cli),
        },
        Err(usage) if usage.use_stderr() => return wrong_usage(&usage),
        // Help, or the version.
        Err(asked) => {
            let shown = text::lines(&asked.render().to_string());
            told(io::stdout().write_all(shown.as_bytes()).and_then(|()| io::stdout().flush()))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Not eprintln!, which panics when nobody reads.
            let _ = writeln!(io::stderr(), "{}", text::line(&format!("tracker: {message}")));
            ExitCode::FAILURE
        }
    }
}

/// What the argument parser complains of, in one line.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    let rendered = error.render().to_string();
    let ends = ["\n\nUsage:", "\n\nFor more information"];
    let end = ends.iter().filter_map(|end| rendered.rfind(end)).min().unwrap_or(rendered.len());
    let fault = rendered.get(..end).unwrap_or_default();
    // An argument may hold new lines, so the parser's own are not believed either.
    let fault = fault.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr(), "{}\n\nFor more information, try '--help'.", text::line(&fault));
    ExitCode::from(WRONG_USAGE)
}

/// Whether what was written to stdout has arrived. A reader that has gone has read what it wanted.
fn told(written: io::Result<()>) -> Result<(), String> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to stdout: {error}; send it to a place with room"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Says whether a configuration is right, or everything that is wrong with it.
fn check(cli: Cli) -> Result<(), String> {
    let config = cli.config().unwrap_or(Path::new("")).to_owned();
    let say = |line: &str| drop(writeln!(io::stderr(), "{}", text::line(&format!("tracker: {line}"))));
    let mut faults = Setup::faults(&cli);
    if let Some(last) = faults.pop() {
        faults.iter().for_each(|fault| say(fault));
        return Err(last);
    }
    let setup = Setup::read(cli, |line| say(&line))?;
    let (plan, rules) = (setup.plan(), setup.policy().summary());
    if let Some(store) = &plan.store {
        open_store(store)?;
    }
    let line = text::line(&format!("{}: right: listens on {} ({rules})", config.display(), plan.listen));
    told(writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush()))
}

/// Takes the state file, if there is one, and takes over its registrations.
fn with_state(tracker: Tracker, plan: &Plan) -> Result<Tracker, String> {
    let Some((path, interval)) = &plan.state else { return Ok(tracker) };
    let state = StateFile::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (tracker, loaded) = tracker.with_state(state, *interval);
    if let Some(warning) = loaded.warning {
        tracing::error!("{warning}");
    }
    if loaded.restored + loaded.left_out > 0 {
        let (restored, left_out) = (loaded.restored, loaded.left_out);
        let file = path.display();
        tracing::info!(restored, left_out, "{file}: {restored} registrations are back; {left_out} are over");
    }
    Ok(tracker)
}

/// Reads the files that the command line names, starts the log and serves. Faults in a folder of `.cascade` files are
/// reported, and stop nothing.
fn serve(cli: Cli) -> Result<(), String> {
    let mut said = Vec::new();
    let setup = Setup::read(cli, |line| said.push(line))?;
    let (level, format) = &setup.plan().log;
    let format = format.unwrap_or_else(|| log::Format::usual(io::stderr()));
    let writer = log::start(log::filter(level)?, format, io::stderr())
        .map_err(|error| format!("cannot start the log: {error}"))?;
    said.iter().for_each(|line| tracing::warn!("{line}"));
    let served = serve_by(setup, &writer);
    writer.finish();
    served
}

/// Makes ready what the plan says of a store. Nothing is connected yet: a store that is away stops no tracker.
fn open_store(plan: &StorePlan) -> Result<Store, String> {
    let StorePlan { address, password_file, ca } = plan;
    // An address may have a password in it, which is not shown.
    let parsed = address.parse().map_err(|error| format!("the address of the store: {error}"))?;
    let mut secrets = Secrets::default();
    if let Some(path) = password_file {
        secrets = secrets.with_password(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = ca {
        secrets = secrets.with_ca(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Store::new(parsed, secrets).map_err(|error| format!("the store: {error}"))
}

/// Serves until SIGINT or SIGTERM.
fn serve_by(setup: Setup, log: &LogWriter) -> Result<(), String> {
    let max_connections = limits::raise_descriptor_limit();
    let (plan, names) = (setup.plan().clone(), setup.names());
    let tracked = setup.policy().summary();
    let store = plan.store.as_ref().map(open_store).transpose()?;
    let tracker = with_state(bind(&plan, setup.policy())?, &plan)?;
    let status = store.as_ref().map(Store::status);
    let tracker = match store {
        Some(store) => tracker.with_store(store),
        None => tracker,
    };
    let page = plan.web.map(page::bind).transpose()?;
    // The runtime needs some descriptors for signals, and panics where there are none.
    let spare: io::Result<Vec<_>> = (0..SPARE_PAIRS).map(|_| UnixStream::pair()).collect();
    drop(spare.map_err(|error| cannot("start", &error))?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| cannot("start", &error))?;
    let local_addr = tracker.local_addr();
    let tracker = tracker.with_max_connections(max_connections);
    let served = runtime.block_on(async {
        // Before the line is printed: a program that reads it may send a signal at once.
        let stop = stop_signal()?;
        let ((ask, asked), changes) = (sync_channel(1), setup.changes());
        // One in a terminal that has nothing to read again ends with its terminal, as any program does.
        let hears = changes || !io::stdin().is_terminal();
        let hang_ups = if hears { Some(signal(SignalKind::hangup())?) } else { None };
        let shown =
            page.as_ref().map_or_else(String::new, |page| format!("tracker: web page: {}\n", page.url()));
        let line = format!("tracker: listening on {local_addr} ({tracked})\n{shown}");
        let mut server = None;
        let seen = |view: View| {
            if setup.changes()
                && let Err(error) = setup.watch(view.clone(), asked)
            {
                tracing::error!("the rules are not read again: {error}");
            }
            match page.map(|page| page.serve(Page::new(view, local_addr, names, status))) {
                Some(Err(error)) => tracing::error!("{error}"),
                shown => server = shown,
            }
            // Who reads both finds what was said before it served before this.
            log.flush();
            announce(line);
            // A service manager waits for this; elsewhere it does nothing.
            let _ = sd_notify::notify(&[NotifyState::Ready]);
        };
        let stop = async {
            stop_or_reload(stop, hang_ups, changes.then_some(&ask)).await;
            let _ = sd_notify::notify(&[NotifyState::Stopping]);
        };
        let served = tracker.run_seen(seen, stop).await;
        // The watcher of the rules ends with this.
        drop(ask);
        served
    });
    served.map_err(|error| cannot(&format!("serve on {local_addr}"), &error))
}

/// What could not be done, why, and what to do about it.
fn cannot(do_this: &str, error: &io::Error) -> String {
    let few = error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error());
    let advice = if few { "; raise the limit with ulimit -n" } else { "" };
    format!("cannot {do_this}: {error}{advice}")
}

/// Takes the address: of both families where the system has both.
fn bind(plan: &Plan, policy: &Policy) -> Result<Tracker, String> {
    let bind = |addr| Tracker::bind(addr, policy.clone());
    match (bind(plan.listen), plan.or_else) {
        (Ok(tracker), _) => Ok(tracker),
        (Err(error), Some(addr)) if error.kind() != io::ErrorKind::AddrInUse => {
            bind(addr).map_err(|error| cannot_listen(addr, &error))
        }
        (Err(error), _) => Err(cannot_listen(plan.listen, &error)),
    }
}

/// Prints the line that says where the tracker listens, by a thread of its own: where nobody reads what is
/// in the pipe before it, the tracker must serve and be stopped all the same. A lost line stops nothing.
fn announce(line: String) {
    let print = move || {
        let mut stdout = io::stdout();
        if let Err(message) = told(stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush())) {
            tracing::error!("{message}. It serves on: {}", line.trim_end());
        }
    };
    if let Err(error) = thread::Builder::new().name("stdout".to_owned()).spawn(print) {
        tracing::error!("cannot start a thread that prints where the tracker listens: {error}");
    }
}

/// One line: what failed, where, why, what to try.
fn cannot_listen(addr: SocketAddr, error: &io::Error) -> String {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};
    let advices = [
        (AddrInUse, "is another tracker running? choose a port"),
        (AddrNotAvailable, "choose an address of this host"),
        (PermissionDenied, "choose a port from 1024 on"),
    ];
    let advice = advices.into_iter().find(|(kind, _)| *kind == error.kind());
    let advice = advice.map_or("choose another address", |(_, advice)| advice);
    format!("cannot listen on {addr}: {error}; {advice} with --listen ADDR:PORT")
}

/// Ready when the process is told to stop.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ready when `stop` is; has the rules read again at each signal before. A service manager sends it to a tracker without
/// rules that change as well, and that serves on.
async fn stop_or_reload(
    stop: impl Future<Output = ()>,
    hang_ups: Option<HangUps>,
    ask: Option<&SyncSender<()>>,
) {
    let Some(mut hang_ups) = hang_ups else { return stop.await };
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = hang_ups.recv() => match ask {
                // One that waits already is enough.
                Some(ask) => drop(ask.try_send(())),
                None => tracing::info!("there is nothing to read again: no CONFIG and no --allow-dir"),
            }
        }
    }
}
