//! The tracker's command.
#![allow(clippy::disallowed_methods, reason = "this is where it prints, with what others wrote made fit")]

mod page;

use cascade_format::text;
use cascade_tracker::cli::{Cli, Plan};
use cascade_tracker::log::Log;
use cascade_tracker::setup::Setup;
use cascade_tracker::state::StateFile;
use cascade_tracker::{Policy, Tracker, View, limits};
use clap::Parser;
use page::Page;
use sd_notify::NotifyState;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use tokio::signal::unix::{Signal as HangUps, SignalKind, signal};

/// The exit code of a command line that makes no sense.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::try_parse_from(cascade_web::join_address(std::env::args_os())) {
        Ok(cli) => match cli.checks() {
            Some(config) => check(config),
            None => setup(cli).and_then(serve),
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
    // An argument may hold new lines, so the parser's own are not believed either.
    let fault = rendered.split("\n\nUsage:").next().unwrap_or_default();
    let _ = writeln!(io::stderr(), "{}\n\nFor more information, try '--help'.", text::line(fault));
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

/// Reads the files that the command line names. Faults in a folder of `.cascade` files are reported, and stop nothing.
fn setup(cli: Cli) -> Result<Setup, String> {
    Setup::read(cli, |line| warn(&line))
}

fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "{}", text::line(&format!("tracker: {line}")));
}

/// Says whether a configuration is right.
fn check(cli: Cli) -> Result<(), String> {
    let config = cli.config().unwrap_or(Path::new("")).to_owned();
    let setup = setup(cli)?;
    let (plan, rules) = (setup.plan(), setup.policy().summary());
    if let Some((state, _)) = &plan.state {
        let folder = state.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(format!("{}: state: there is no folder {}", config.display(), folder.display()));
        }
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
        warn(&warning);
    }
    if loaded.restored + loaded.left_out > 0 {
        let (restored, left_out) = (loaded.restored, loaded.left_out);
        warn(&format!("{}: {restored} registrations are back; {left_out} are over", path.display()));
    }
    Ok(tracker)
}

/// Serves until SIGINT or SIGTERM.
fn serve(setup: Setup) -> Result<(), String> {
    let max_connections = limits::raise_descriptor_limit();
    let (plan, names) = (setup.plan().clone(), setup.names());
    let tracked = setup.policy().summary();
    let tracker = with_state(bind(&plan, setup.policy())?, &plan)?;
    let page = plan.web.map(page::bind).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let (log, writer) = Log::to(io::stderr()).map_err(|error| format!("cannot start the log: {error}"))?;
    let local_addr = tracker.local_addr();
    let said = log.clone();
    let tracker = tracker.with_log(log).with_max_connections(max_connections);
    let served = runtime.block_on(async {
        // Before the line is printed: a program that reads it may send a signal at once.
        let stop = stop_signal()?;
        let (ask, asked) = sync_channel(1);
        let reload = if setup.changes() { Some(signal(SignalKind::hangup())?) } else { None };
        let shown =
            page.as_ref().map_or_else(String::new, |page| format!("tracker: web page: {}\n", page.url()));
        announce(format!("tracker: listening on {local_addr} ({tracked})\n{shown}"))?;
        let mut server = None;
        let seen = |view: View| {
            if setup.changes()
                && let Err(error) = setup.watch(view.clone(), said, asked)
            {
                warn(&format!("the rules are not read again: {error}"));
            }
            match page.map(|page| page.serve(Page::new(view, local_addr, names))) {
                Some(Err(error)) => warn(&error.to_string()),
                shown => server = shown,
            }
        };
        // A service manager waits for this; elsewhere it does nothing.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        let stop = stop_or_reload(stop, reload, &ask);
        let served = tracker.run_seen(seen, stop).await;
        // The watcher of the rules, and its hold on the log, end with this.
        drop(ask);
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        served
    });
    writer.finish();
    served.map_err(|error| format!("cannot serve on {local_addr}: {error}"))
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
fn announce(line: String) -> io::Result<()> {
    let print = move || {
        let mut stdout = io::stdout();
        if let Err(message) = told(stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush())) {
            let _ = writeln!(io::stderr(), "tracker: {message}. It serves on: {}", line.trim_end());
        }
    };
    thread::Builder::new().name("stdout".to_owned()).spawn(print).map(drop)
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

/// Ready when `stop` is; has the rules read again at each signal before.
async fn stop_or_reload(stop: impl Future<Output = ()>, reload: Option<HangUps>, ask: &SyncSender<()>) {
    let Some(mut reload) = reload else { return stop.await };
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = reload.recv() => {
                // One that waits already is enough.
                let _ = ask.try_send(());
            }
        }
    }
}
