//! `peer verify`: compares a data file with its `.cascade` file.

use super::interrupt::Ear;
use super::shell::quote;
use super::{CliError, ExitCode};
use crate::check::{Verdict, WholeFile};
use crate::clock;
use crate::folder::{FolderError, Special, Tree};
use crate::human::{Bytes, Count, Name, Span, Speed};
use crate::metafile::MetafileOnDisk;
use crate::progress::{self, Progress};
use crate::report::{json_line, line};
use crate::store::open::{OpenError, open_regular};
use crate::store::{Ground, Records};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Most ranges of wrong blocks that a person is shown.
const SHOWN_RANGES: usize = 20;

/// Most ranges of wrong blocks in a JSON object.
const JSON_RANGES: usize = 1000;

/// Compare a data file or folder with its .cascade file
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The .cascade file
    #[arg(value_name = "FILE.cascade")]
    file: PathBuf,
    /// The data file or folder [default: beside the .cascade file, under the name without .cascade]
    #[arg(value_name = "DATA")]
    data: Option<PathBuf>,
    /// Only the blocks, on all cores: the whole file's hash is one stream, which one core computes
    #[arg(long)]
    blocks: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A file that cannot be read, data that is not right.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let metafile = MetafileOnDisk::open(&args.file).map_err(|error| CliError::failed(error.to_string()))?;
    let cancel = ear.flag();
    let path = match &args.data {
        Some(data) => data.clone(),
        None => metafile.data_path().map_err(|error| CliError::failed(error.to_string()))?,
    };
    let Some(data) = open_data(&path, &cancel)? else { return Ok(ExitCode::Interrupted) };
    let start = clock::now();
    let bar = Progress::new(metafile.layout().length(), &Name(&path).to_string(), progress::on_terminal());
    let (records, hash) = (Records::from_environment(), metafile.cascade_hash());
    let consistent = records.is_consistent(hash);
    let stream = !args.blocks && !consistent;
    let verdict = Verdict::of(&*data, &metafile, stream, &|bytes| bar.inc(bytes), &cancel);
    bar.finish();
    let verdict = verdict.map(|verdict| if consistent { verdict.of_consistent_metafile() } else { verdict });
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(ExitCode::Interrupted),
        Err(error) => return Err(cannot_read(&path, &error)),
    };
    if verdict.is_right() && verdict.whole_file == WholeFile::Right {
        // Without it the next check takes longer; nothing else is lost.
        let _ = records.remember_consistent(hash);
    }
    if !verdict.is_right() {
        // An earlier run may remember the file as right; this look was later.
        records.forget(hash, &path);
    }
    if args.json {
        tell_json(&path, &metafile, &verdict, start.elapsed());
    } else {
        tell(&path, &metafile, &verdict, start.elapsed());
    }
    if verdict.is_right() {
        Ok(ExitCode::Done)
    } else {
        Err(CliError::failed(fault(&path, &metafile, &verdict)))
    }
}

/// `None`: the user wants to stop.
fn open_data(path: &Path, cancel: &AtomicBool) -> Result<Option<Box<dyn Ground>>, CliError> {
    if path.is_dir() {
        return match Tree::walk(path, Special::Skip, cancel) {
            Ok(tree) => Ok(Some(Box::new(tree))),
            Err(FolderError::Interrupted) => Ok(None),
            Err(error) => Err(CliError::failed(error.to_string())),
        };
    }
    match open_regular(path) {
        Ok((data, _)) => Ok(Some(Box::new(data))),
        Err(OpenError::Io(error)) => Err(cannot_read(path, &error)),
        Err(OpenError::NotRegular(what)) => Err(CliError::failed(format!(
            "{} is {what}, not a data file; name the data file behind the .cascade file",
            Name(path)
        ))),
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> CliError {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let advice = if missing { "; name the data file behind the .cascade file" } else { "" };
    CliError::failed(format!("cannot read {}: {error}{advice}", Name(path)))
}

fn tell(path: &Path, metafile: &MetafileOnDisk, verdict: &Verdict, time: Duration) {
    let layout = metafile.layout();
    let bytes = layout.length();
    line(&format!(
        "{}: {} of {} right, {} hashed in {} ({})",
        Name(path),
        verdict.right(),
        Count(layout.blocks(), "block"),
        Bytes(bytes),
        Span(time),
        Speed { bytes, time },
    ));
    if verdict.wrong() > 0 {
        let mut ranges = verdict.wrong_ranges();
        let shown: Vec<_> = ranges.by_ref().take(SHOWN_RANGES).map(|range| range_text(&range)).collect();
        let more = if ranges.next().is_some() { ", …" } else { "" };
        line(&format!("wrong    {}: {}{more}", Count(verdict.wrong(), "block"), shown.join(", ")));
    }
    if let Some(range) = verdict.missing_range() {
        line(&format!("missing  {}: {}", Count(verdict.missing(), "block"), range_text(&range)));
    }
    if verdict.extra_bytes() > 0 {
        line(&format!("beyond the end: {}", Count(verdict.extra_bytes(), "byte")));
    }
    match verdict.whole_file {
        WholeFile::Right => line("the whole-file hash is right"),
        WholeFile::Wrong => line("the whole-file hash is wrong"),
        WholeFile::Unchecked => line("the whole-file hash was not checked"),
    }
}

/// `7`, or `7-12`.
fn range_text(range: &RangeInclusive<u64>) -> String {
    let (first, last) = range.clone().into_inner();
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn tell_json(path: &Path, metafile: &MetafileOnDisk, verdict: &Verdict, time: Duration) {
    let pair = |range: RangeInclusive<u64>| [*range.start(), *range.end()];
    json_line(&serde_json::json!({
        "event": "verified",
        "file": metafile.path().to_string_lossy(),
        "path": path.to_string_lossy(),
        "ok": verdict.is_right(),
        "length": metafile.layout().length(),
        "blocks": metafile.layout().blocks(),
        "right": verdict.right(),
        "wrong": verdict.wrong(),
        "wrong_ranges": verdict.wrong_ranges().take(JSON_RANGES).map(pair).collect::<Vec<_>>(),
        "missing": verdict.missing(),
        "missing_ranges": verdict.missing_range().map(pair).into_iter().collect::<Vec<_>>(),
        "extra_bytes": verdict.extra_bytes(),
        "file_hash": match verdict.whole_file {
            WholeFile::Right => "right",
            WholeFile::Wrong => "wrong",
            WholeFile::Unchecked => "unchecked",
        },
        "seconds": time.as_secs_f64(),
    }));
}

/// One line: what is wrong, and what mends it.
fn fault(path: &Path, metafile: &MetafileOnDisk, verdict: &Verdict) -> String {
    let (path, cascade) = (Name(path), Name(metafile.path()));
    if verdict.whole_file == WholeFile::Wrong {
        return format!(
            "{path}: every block is right, but not the whole-file hash: {cascade} contradicts itself; get it \
             again from where it comes from"
        );
    }
    let mut faults = Vec::new();
    for (blocks, fault) in [(verdict.wrong(), "wrong"), (verdict.missing(), "missing")] {
        if blocks > 0 {
            faults.push(format!("{} {fault}", Count(blocks, "block")));
        }
    }
    if verdict.extra_bytes() > 0 {
        faults.push(format!("{} too many", Count(verdict.extra_bytes(), "byte")));
    }
    let mend = quote(metafile.path());
    format!("{path} is not what {cascade} describes: {}; peer download {mend} mends it", faults.join(", "))
}
