//! `peer wait`: ends when N receivers, or all, have a file.

use super::asked::{Asked, Heard, runtime};
use super::given::{self, Trackers};
use super::interrupt::Ear;
use super::room_text::{Wanted, heading, summary_json};
use super::{CliError, ExitCode};
use crate::clock;
use crate::report::{self, RoomBar, json_line, line};
use crate::room::view::{State, share, state};
use crate::room::{Room, Summary};
use crate::session::engine::Stop;
use cascade_format::units::{SizeError, number_and_unit};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// How often trackers are asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the command waits for a first tracker that tells anything.
const FIRST_ANSWER: Duration = Duration::from_secs(30);

/// The longest time that can be asked for, in seconds: longer than anybody waits, and an end that the clock can tell.
const MAX_TIMEOUT_SECS: u64 = 4_294_967_295;

/// The shortest time between two plain lines, unless one more receiver has everything.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Wait until N peers, or all, have received a file
///
/// The command asks the trackers once a second. `tracker` and `peer share` know which peers have the file; trackers of
/// version 1 do not.
/// Peers that were started with `peer download` are counted, and still for a day after they have left.
///
/// Exit codes: 0, N receivers have it; 1, no tracker can tell (at once if all of them refuse, otherwise after 30 s); 2,
/// wrong usage; 3, the time is over; 130, interrupted.
#[derive(Debug, clap::Args)]
#[command(mut_arg("trackers", given::asked))]
pub struct Args {
    /// The .cascade file, or a link
    #[arg(value_name = "FILE.cascade|LINK")]
    file: OsString,
    /// How many: a number, or `all`, which means that at least one has it and no peer that a tracker knows lacks it. A peer
    /// of version 1, which does not report, counts as lacking it; a tracker forgets a peer 30 min after its last message
    #[arg(long, value_name = "N|all", allow_negative_numbers = true)]
    complete: Wanted,
    /// Give up after this time: seconds, or a number with s, min or h [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    timeout: Option<Duration>,
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
    let result = runtime.block_on(wait(args, &asked, &stop));
    // A name may still be looked up.
    runtime.shutdown_background();
    result
}

async fn wait(args: &Args, asked: &Asked, stop: &Stop) -> Result<ExitCode, CliError> {
    let start = clock::now();
    let end = args.timeout.map(|timeout| start + timeout);
    let mut teller = Teller::new(args, asked);
    loop {
        let before_end = async {
            match end {
                Some(end) => tokio::time::sleep_until(end.into()).await,
                None => std::future::pending().await,
            }
        };
        let asked_at = clock::now();
        let look = async {
            let heard = asked.ask(false).await;
            teller.tell(&heard);
            if let Some(summary) =
                heard.room.as_ref().map(|room| room.summary).filter(|all| args.complete.is_reached(all))
            {
                return Some(Ok(summary));
            }
            if !teller.has_heard && (is_refused(&heard) || start.elapsed() >= FIRST_ANSWER) {
                return Some(Err(CliError::failed(heard.why())));
            }
            tokio::time::sleep_until((asked_at + INTERVAL).into()).await;
            None
        };
        let looked = tokio::select! {
            looked = look => looked,
            () = before_end => {
                teller.end("timeout");
                return Ok(ExitCode::TimedOut);
            }
            () = stop.stopped() => {
                teller.end("interrupted");
                return Ok(ExitCode::Interrupted);
            }
        };
        match looked {
            None => {}
            Some(Ok(_)) => {
                teller.end("reached");
                return Ok(ExitCode::Done);
            }
            Some(Err(error)) => {
                teller.bar.finish();
                return Err(error);
            }
        }
    }
}

/// Whether every tracker has said that it tells nothing.
fn is_refused(heard: &Heard) -> bool {
    use crate::room::RoomError::{Failed, Nonsense, Refused};
    heard.room.is_none()
        && heard.failed.iter().all(|(_, error)| match error {
            Refused(_) | Nonsense(_) => true,
            Failed(_) => false,
        })
}

/// Shows how far it is.
struct Teller<'a> {
    args: &'a Args,
    asked: &'a Asked,
    bar: RoomBar,
    has_heard: bool,
    last: Option<(Summary, Instant)>,
    /// What was said of trackers that fail.
    trouble: String,
}

impl<'a> Teller<'a> {
    fn new(args: &'a Args, asked: &'a Asked) -> Self {
        let bar = RoomBar::new(&asked.shown(), !args.json);
        Self { args, asked, bar, has_heard: false, last: None, trouble: String::new() }
    }

    fn tell(&mut self, heard: &Heard) {
        let Some(room) = &heard.room else { return self.tell_trouble(heard) };
        self.has_heard = true;
        self.trouble.clear();
        let summary = room.summary;
        let text = heading(&summary);
        self.bar.set(self.args.complete.share(room), &text);
        let due = self.last.is_none_or(|(last, at)| {
            let more = last.complete != summary.complete;
            last != summary && (more || self.args.json || at.elapsed() >= LINE_INTERVAL)
        });
        if !due {
            return;
        }
        self.last = Some((summary, clock::now()));
        if self.args.json {
            json_line(&summary_json(self.asked, &summary));
        } else if !self.bar.is_drawn() {
            line(&format!("{}: {text}", self.asked.shown()));
        }
    }

    /// Says once what is wrong; it may pass.
    fn tell_trouble(&mut self, heard: &Heard) {
        let why = heard.why();
        if self.trouble == why {
            return;
        }
        if self.args.json {
            json_line(&serde_json::json!({"event": "warning", "file": self.asked.name, "message": why}));
        } else if self.bar.is_drawn() {
            self.bar.set(None, &why);
        } else {
            report::error(&why);
        }
        self.trouble = why;
    }

    fn end(&mut self, how: &str) {
        self.bar.finish();
        let summary = self.last.map(|(summary, _)| summary).unwrap_or_default();
        if self.args.json {
            let mut object = summary_json(self.asked, &summary);
            if let Some(event) = object.get_mut("event") {
                *event = how.into();
            }
            return json_line(&object);
        }
        let what = match how {
            "reached" => "done waiting",
            "timeout" => "the time is over",
            _ => how,
        };
        // Before a tracker has answered, nothing is known of anybody.
        let known = if self.last.is_some() { heading(&summary) } else { "no tracker has answered".into() };
        line(&format!("{}: {what}, {known}", self.asked.shown()));
    }
}

impl Wanted {
    /// Whether enough of the room have it.
    fn is_reached(self, summary: &Summary) -> bool {
        match self {
            Self::Number(number) => summary.complete >= number,
            Self::All => summary.complete > 0 && summary.incomplete + summary.silent + summary.unknown == 0,
        }
    }

    /// How far it is, from 0 to 1. Where only a part of the members is known, those stand for all.
    fn share(self, room: &Room) -> Option<f64> {
        let Summary { complete, incomplete, silent, unknown, .. } = room.summary;
        let wanted = match self {
            Self::Number(number) => number,
            Self::All => complete + incomplete + silent + unknown,
        };
        let lacking =
            room.members.iter().filter(|member| matches!(state(member), State::Incomplete | State::Silent));
        let shares: Vec<f64> = lacking.filter_map(share).collect();
        #[allow(clippy::cast_precision_loss, reason = "a shown number")]
        let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        let rest = f64::from(wanted.saturating_sub(complete).min(incomplete + silent)) * mean;
        Some(((f64::from(complete) + rest) / f64::from(wanted.max(1))).min(1.0))
    }
}

/// Reads a time: seconds, or a number with a unit.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is no time, write seconds, or a number with s, min or h, as in 90, 10min or 2h");
    let too_long = || {
        format!("the longest time is {MAX_TIMEOUT_SECS} seconds; leave the option out to wait without end")
    };
    let number_and_unit = number_and_unit(text);
    let (number, unit) =
        number_and_unit.map_err(|error| if error == SizeError::TooLarge { too_long() } else { wrong() })?;
    let seconds = match unit {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(seconds)
        .filter(|seconds| *seconds <= MAX_TIMEOUT_SECS)
        .map(Duration::from_secs)
        .ok_or_else(too_long)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{Member, Progress};
    use std::net::SocketAddr;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("10min", 600), ("10 m", 600), ("2h", 7200), ("0", 0)]
        {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "x", "-1", "1.5h", "1d"] {
            assert!(parse_time(wrong).unwrap_err().contains("is no time"), "{wrong}");
        }
        assert_eq!(parse_time("4294967295"), Ok(Duration::from_secs(4_294_967_295)));
        for long in [
            "4294967296",
            "99999999999",
            "18446744073709551615",
            "18446744073709551616",
            "18446744073709551615h",
        ] {
            assert!(parse_time(long).unwrap_err().contains("is 4294967295 seconds"), "{long}");
        }
    }

    #[test]
    fn all_is_nobody_who_lacks_it_and_somebody_who_has_it() {
        let room = |complete, incomplete, silent, unknown| Summary {
            complete,
            incomplete,
            silent,
            unknown,
            seeders: 2,
        };
        assert!(Wanted::All.is_reached(&room(1, 0, 0, 0)) && Wanted::Number(3).is_reached(&room(3, 9, 9, 9)));
        for lacking in [room(0, 0, 0, 0), room(5, 1, 0, 0), room(5, 0, 1, 0), room(5, 0, 0, 1)] {
            assert!(!Wanted::All.is_reached(&lacking) && !Wanted::Number(6).is_reached(&lacking));
        }
    }

    #[test]
    fn the_bar_goes_on_while_nobody_has_all() {
        let addr: SocketAddr = ([10, 0, 0, 1], 1).into();
        let half = Some(Progress { blocks_done: 5, blocks: 10, ..Progress::default() });
        let members = vec![Member { progress: half, ..Member::unknown(addr.into(), 0) }];
        let room = |complete, incomplete| Room {
            summary: Summary { complete, incomplete, ..Summary::default() },
            members: members.clone(),
        };
        assert_eq!(Wanted::Number(10).share(&room(0, 10)), Some(0.5));
        assert_eq!(Wanted::Number(10).share(&room(5, 1)), Some(0.55));
        assert_eq!(Wanted::All.share(&room(1, 3)), Some(0.625));
        assert_eq!(Wanted::Number(2).share(&room(7, 3)), Some(1.0));
    }
}
