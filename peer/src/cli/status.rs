//! `peer status`: who has how much of a file.

use super::asked::{Asked, runtime};
use super::given::{self, Trackers};
use super::interrupt::Ear;
use super::room_text::{footing, heading, member_json, summary_json, table};
use super::{CliError, ExitCode};
use crate::report::{json_line, line, stdout_width};
use crate::room::view::by_who_holds_up;
use std::ffi::OsString;

/// Show how much each peer of a swarm has
///
/// The trackers are asked, and tell what the peers have reported to them. `tracker` and `peer share` can tell it; trackers of
/// version 1 cannot. The peers that delay the end come first. A question mark behind an address means that the peer reports
/// from another address.
#[derive(Debug, clap::Args)]
#[command(mut_arg("trackers", given::asked))]
pub struct Args {
    /// The .cascade file, or a link
    #[arg(value_name = "FILE.cascade|LINK")]
    file: OsString,
    #[command(flatten)]
    trackers: Trackers,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage; no tracker keeps the file's room.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let asked = Asked::read(&args.file, &args.trackers)?;
    let (runtime, stop) = runtime(ear)?;
    let heard = runtime.block_on(async {
        tokio::select! {
            heard = asked.ask(true) => Some(heard),
            () = stop.stopped() => None,
        }
    });
    runtime.shutdown_background();
    let Some(heard) = heard else { return Ok(ExitCode::Interrupted) };
    let why = heard.why();
    let Some(mut room) = heard.room else { return Err(CliError::failed(why)) };
    by_who_holds_up(&mut room.members, asked.length);
    if args.json {
        json_line(&summary_json(&asked, &room.summary));
        room.members.iter().for_each(|member| json_line(&member_json(&asked, member)));
        return Ok(ExitCode::Done);
    }
    line(&format!("{}: {}", asked.shown(), heading(&room.summary)));
    if !room.members.is_empty() {
        table(&room.members, asked.length, stdout_width()).iter().for_each(|row| line(row));
        footing(&room.members).iter().for_each(|foot| line(foot));
    }
    Ok(ExitCode::Done)
}
