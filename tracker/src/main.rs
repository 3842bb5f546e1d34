//! The tracker's command.
#![allow(clippy::disallowed_methods, reason = "this is where it prints, with what others wrote made fit")]

mod page;

use cascade_format::text;
use cascade_tracker::cli::{Cli, Plan};
use cascade_tracker::log::Log;
use cascade_tracker::{Tracker, limits};
use clap::Parser;
use page::Page;
use sd_notify::NotifyState;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

/// The exit code of a command line that makes no sense.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let result = match Cli::try_parse_from(cascade_web::join_address(std::env::args_os())) {
        Ok(cli) => cli.plan().and_then(|plan| serve(&plan)),
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

/// Serves until SIGINT or SIGTERM.
fn serve(plan: &Plan) -> Result<(), String> {
    let max_connections = limits::raise_descriptor_limit();
    let tracked = match plan.policy.allowed() {
        None => "open: any file".to_owned(),
        Some(1) => "1 file allowed".to_owned(),
        Some(count) => format!("{count} files allowed"),
    };
    let tracker = bind(plan)?;
    let page = plan.web.map(page::bind).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let (log, writer) = Log::to(io::stderr()).map_err(|error| format!("cannot start the log: {error}"))?;
    let local_addr = tracker.local_addr();
    let tracker = tracker.with_log(log).with_max_connections(max_connections);
    let served = runtime.block_on(async {
        // Before the line is printed: a program that reads it may send a signal at once.
        let stop = stop_signal()?;
        let shown =
            page.as_ref().map_or_else(String::new, |page| format!("tracker: web page: {}\n", page.url()));
        announce(format!("tracker: listening on {local_addr} ({tracked})\n{shown}"))?;
        let mut server = None;
        let seen = |view| match page.map(|page| page.serve(Page::new(view, local_addr))) {
            Some(Err(error)) => drop(writeln!(io::stderr(), "tracker: {error}")),
            shown => server = shown,
        };
        // A service manager waits for this; elsewhere it does nothing.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        let served = tracker.run_seen(seen, stop).await;
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        served
    });
    writer.finish();
    served.map_err(|error| format!("cannot serve on {local_addr}: {error}"))
}

/// Takes the address: of both families where the system has both.
fn bind(plan: &Plan) -> Result<Tracker, String> {
    let bind = |addr| Tracker::bind(addr, plan.policy.clone());
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
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
