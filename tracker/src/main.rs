//! The tracker's command.
#![allow(clippy::disallowed_methods, reason = "this is where it prints, with what others wrote made fit")]

mod cli;

use cascade_format::text;
use cascade_tracker::log::Log;
use cascade_tracker::{Tracker, limits};
use clap::Parser;
use cli::{Cli, Plan};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return tell_usage(&error),
    };
    match cli.plan().and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Not eprintln!, which panics when nobody reads.
            let _ = writeln!(io::stderr(), "{}", text::line(&format!("tracker: {message}")));
            ExitCode::FAILURE
        }
    }
}

/// What the argument parser has to say: help and version on stdout, a fault in one line on stderr.
fn tell_usage(error: &clap::Error) -> ExitCode {
    let rendered = error.render().to_string();
    if !error.use_stderr() {
        let written = io::stdout().write_all(text::lines(&rendered).as_bytes());
        let lost = written.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe);
        return if lost { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    // An argument may hold new lines, so the parser's own are not believed either.
    let fault = rendered.split("\n\nUsage:").next().unwrap_or_default();
    let _ = writeln!(io::stderr(), "{}\n\nFor more information, try '--help'.", text::line(fault));
    ExitCode::from(2)
}

/// Serves until SIGINT or SIGTERM.
fn serve(plan: Plan) -> Result<(), String> {
    let max_connections = limits::raise_descriptor_limit();
    let tracked = match plan.policy.allowed() {
        None => "open: any file".to_owned(),
        Some(1) => "1 file allowed".to_owned(),
        Some(count) => format!("{count} files allowed"),
    };
    let tracker =
        Tracker::bind(plan.listen, plan.policy).map_err(|error| cannot_listen(plan.listen, &error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let (log, writer) = Log::to(io::stderr()).map_err(|error| format!("cannot start the log: {error}"))?;
    let local_addr = tracker.local_addr();
    let tracker = tracker.with_log(log).with_max_connections(max_connections);
    let served = runtime.block_on(async {
        // Before the line is printed: whoever reads it may send a signal at once.
        let stop = stop_signal()?;
        let _ = writeln!(io::stdout(), "tracker: listening on {local_addr} ({tracked})");
        tracker.run(stop).await
    });
    writer.finish();
    served.map_err(|error| format!("cannot serve on {local_addr}: {error}"))
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
#[cfg(unix)]
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

/// Ready when the process is told to stop.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
