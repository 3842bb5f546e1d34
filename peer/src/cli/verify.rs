//! `peer verify`: compares a data file with its `.cascade` file.

use super::fetched::{Holders, fetched};
use super::given::{self, Given};
use super::interrupt::Ear;
use super::shell::quote;
use super::{CliError, ExitCode};
use crate::check::{Findings, WholeFile};
use crate::clock;
use crate::folder::{FolderError, Special, Tree};
use crate::ground::Ground;
use crate::ground::open::{OpenError, open_regular};
use crate::human::{Bytes, Count, Name, Span, Speed};
use crate::metafile::MetafileOnDisk;
use crate::report::{FileBar, json_line, line};
use crate::store::Records;
use cascade_format::link::Link;
use std::ffi::OsString;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;

/// Most ranges of wrong blocks that a person is shown.
const SHOWN_RANGES: usize = 20;

/// Most ranges of wrong blocks in a JSON object.
const JSON_RANGES: usize = 1000;

/// Compare a data file or folder with its .cascade file
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The .cascade file, or a link
    #[arg(value_name = "FILE.cascade|LINK")]
    file: OsString,
    /// The data file or folder [default: the .cascade file's path without .cascade; for a link, the link's name in the
    /// current folder]
    #[arg(value_name = "DATA")]
    data: Option<PathBuf>,
    /// Check the blocks alone, on all cores, and not the hash of the whole file, which takes one core longer
    #[arg(long)]
    blocks: bool,
    #[command(flatten)]
    holders: Holders,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A file that cannot be read, data that is not right.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let described = Described::read(args, ear)?;
    let metafile = &described.metafile;
    let cancel = ear.flag();
    let path = described.data(args)?;
    let Some(data) = open_data(&path, &cancel)? else { return Ok(ExitCode::Interrupted) };
    let start = clock::now();
    let bar = FileBar::new(metafile.layout().length(), &Name(&path).to_string());
    let (records, hash) = (Records::from_environment(), metafile.cascade_hash());
    let consistent = records.is_consistent(hash);
    let stream = !args.blocks && !consistent;
    let findings = Findings::of(&*data, metafile, stream, &|bytes| bar.inc(bytes), &cancel);
    bar.finish();
    let findings =
        findings.map(|findings| if consistent { findings.of_consistent_metafile() } else { findings });
    let findings = match findings {
        Ok(findings) => findings,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(ExitCode::Interrupted),
        Err(error) => return Err(cannot_read(&path, &error)),
    };
    if findings.is_right() && findings.whole_file == WholeFile::Right {
        // Without it the next check takes longer; nothing else is lost.
        let _ = records.remember_consistent(hash);
    }
    if !findings.is_right() {
        // An earlier run may remember the file as right; this look was later.
        records.forget(hash, &path);
    }
    if args.json {
        tell_json(&path, &described, &findings, start.elapsed());
    } else {
        tell(&path, metafile, &findings, start.elapsed());
    }
    if findings.is_right() {
        Ok(ExitCode::Done)
    } else {
        Err(CliError::failed(fault(&path, &described, &findings)))
    }
}

/// What the data is compared with.
struct Described {
    metafile: MetafileOnDisk,
    link: Option<Box<Link>>,
    /// Holds a `.cascade` file that was fetched.
    _folder: Option<TempDir>,
}

impl Described {
    fn read(args: &Args, ear: &Ear) -> Result<Self, CliError> {
        match Given::read(&args.file)? {
            Given::File(file) => Ok(Self { metafile: given::open(&file)?, link: None, _folder: None }),
            Given::Link(link) => {
                let (metafile, folder) = of_link(args, &link, ear)?;
                Ok(Self { metafile, link: Some(link), _folder: folder })
            }
        }
    }

    /// Where the data is.
    fn data(&self, args: &Args) -> Result<PathBuf, CliError> {
        match (&args.data, &self.link) {
            (Some(data), _) => Ok(data.clone()),
            (None, Some(link)) => Ok(given::data_name(link).into()),
            (None, None) => self.metafile.data_path().map_err(|error| CliError::failed(error.to_string())),
        }
    }
}

/// The `.cascade` file of a link: that beside the data if it is the right one, else it is fetched, and goes away
/// with the folder.
fn of_link(args: &Args, link: &Link, ear: &Ear) -> Result<(MetafileOnDisk, Option<TempDir>), CliError> {
    let data = args.data.clone().unwrap_or_else(|| given::data_name(link).into());
    let beside = MetafileOnDisk::open(given::metafile_path(&data)).ok();
    match beside.filter(|there| there.cascade_hash() == link.cascade_hash()) {
        Some(there) => Ok((there, None)),
        None => fetched(link, &args.holders, ear).map(|(metafile, folder)| (metafile, Some(folder))),
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

fn tell(path: &Path, metafile: &MetafileOnDisk, findings: &Findings, time: Duration) {
    let layout = metafile.layout();
    let missing_from = findings.missing_range().map(|range| range.start() * layout.block_size());
    let bytes = missing_from.unwrap_or(layout.length());
    line(&format!(
        "{}: {} of {} right, {} hashed in {} ({})",
        Name(path),
        findings.right(),
        Count(layout.blocks(), "block"),
        Bytes(bytes),
        Span(time),
        Speed { bytes, time },
    ));
    if findings.wrong() > 0 {
        let mut ranges = findings.wrong_ranges();
        let shown: Vec<_> = ranges.by_ref().take(SHOWN_RANGES).map(|range| range_text(&range)).collect();
        let more = if ranges.next().is_some() { ", …" } else { "" };
        line(&format!("wrong    {}: {}{more}", Count(findings.wrong(), "block"), shown.join(", ")));
    }
    if let Some(range) = findings.missing_range() {
        line(&format!("missing  {}: {}", Count(findings.missing(), "block"), range_text(&range)));
    }
    if findings.extra_bytes() > 0 {
        line(&format!("beyond the end: {}", Count(findings.extra_bytes(), "byte")));
    }
    match findings.whole_file {
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

fn tell_json(path: &Path, described: &Described, findings: &Findings, time: Duration) {
    let metafile = &described.metafile;
    let link = described.link.as_ref().map(ToString::to_string);
    let pair = |range: RangeInclusive<u64>| [*range.start(), *range.end()];
    json_line(&serde_json::json!({
        "event": "verified",
        "file": link.map_or_else(|| metafile.path().to_string_lossy(), Into::into),
        "path": path.to_string_lossy(),
        "ok": findings.is_right(),
        "length": metafile.layout().length(),
        "blocks": metafile.layout().blocks(),
        "right": findings.right(),
        "wrong": findings.wrong(),
        "wrong_ranges": findings.wrong_ranges().take(JSON_RANGES).map(pair).collect::<Vec<_>>(),
        "missing": findings.missing(),
        "missing_ranges": findings.missing_range().map(pair).into_iter().collect::<Vec<_>>(),
        "extra_bytes": findings.extra_bytes(),
        "file_hash": match findings.whole_file {
            WholeFile::Right => "right",
            WholeFile::Wrong => "wrong",
            WholeFile::Unchecked => "unchecked",
        },
        "seconds": time.as_secs_f64(),
    }));
}

/// The command that makes the data right; `None`: no single one does.
fn mending(path: &Path, described: &Described) -> Option<String> {
    let (what, usual) = match &described.link {
        Some(link) => (format!("'{link}'"), given::data_name(link).into()),
        None => (quote(described.metafile.path()), described.metafile.data_path().ok()?),
    };
    let is_usual = path == usual;
    match (path.is_dir(), is_usual, &described.link) {
        (true, true, _) => Some(format!("peer download {what} --update")),
        // With -o it would go into that folder, under its usual name.
        (true, false, _) => None,
        (false, true, None) => Some(format!("peer download {what}")),
        // A file is not replaced for a link unless the user names it.
        (false, ..) => Some(format!("peer download {what} -o {}", quote(path))),
    }
}

/// One line: what is wrong, and what mends it.
fn fault(path: &Path, described: &Described, findings: &Findings) -> String {
    let mends = mending(path, described).map_or_else(String::new, |mending| format!("; {mending} mends it"));
    let cascade = match described.link {
        Some(_) => "the link".to_owned(),
        None => Name(described.metafile.path()).to_string(),
    };
    let path = Name(path);
    if findings.whole_file == WholeFile::Wrong {
        return format!(
            "{path}: every block is right, but not the whole-file hash: {cascade} contradicts itself; get it \
             again from where it comes from"
        );
    }
    let mut faults = Vec::new();
    for (blocks, fault) in [(findings.wrong(), "wrong"), (findings.missing(), "missing")] {
        if blocks > 0 {
            faults.push(format!("{} {fault}", Count(blocks, "block")));
        }
    }
    if findings.extra_bytes() > 0 {
        faults.push(format!("{} too many", Count(findings.extra_bytes(), "byte")));
    }
    format!("{path} is not what {cascade} describes: {}{mends}", faults.join(", "))
}
