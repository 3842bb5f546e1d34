//! `peer create`: makes `.cascade` files.

use super::given::{self, Trackers};
use super::interrupt::Ear;
use super::link;
use super::seen::Seen;
use super::shell::quote;
use super::{CliError, ExitCode};
use crate::clock;
use crate::create::{CreateError, Source};
use crate::folder::Special;
use crate::human::{Bytes, Count, Name, Span, Speed, entries};
use crate::metafile::MetafileOnDisk;
use crate::report::{self, FileBar, json_line, line};
use crate::store::Records;
use cascade_archive::Archive;
use cascade_format::units::parse_nonzero_size;
use std::collections::HashSet;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Make the .cascade file of each FILE or folder, and print its link
#[derive(Debug, clap::Args)]
#[command(mut_arg("trackers", given::named_in_link))]
pub struct Args {
    /// The data files and folders
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Name of the .cascade file, with one FILE, or an existing folder for the .cascade files [default: beside FILE, as
    /// FILE.cascade]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Block size: bytes, or a number with KiB, MiB, GiB or TiB [default: about length/1024, from 64KiB to 4MiB]
    #[arg(short, long, value_name = "SIZE", value_parser = parse_nonzero_size, allow_hyphen_values = true)]
    block_size: Option<NonZeroU64>,
    #[command(flatten)]
    trackers: Trackers,
    /// Leave out of a folder what cannot be shared (devices, pipes, sockets, links that leave the folder), instead of
    /// failing
    #[arg(long)]
    skip_special: bool,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage. A file that cannot be described is told at once, and the others are described.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let outputs = outputs(args)?;
    let cancel = ear.flag();
    let mut code = ExitCode::Done;
    for (file, output) in args.files.iter().zip(&outputs) {
        match create(args, &Records::from_environment(), file, output, &cancel) {
            Ok(()) => {}
            Err(CreateError::Cancelled) => return Ok(ExitCode::Interrupted),
            Err(error) => {
                report::error(&error.to_string());
                code = ExitCode::Failed;
            }
        }
    }
    Ok(code)
}

fn create(
    args: &Args,
    records: &Records,
    file: &Path,
    output: &Path,
    cancel: &AtomicBool,
) -> Result<(), CreateError> {
    let start = clock::now();
    let special = if args.skip_special { Special::Skip } else { Special::Refuse };
    let source = Source::open(file, special, cancel)?;
    let block_size = args.block_size.unwrap_or_else(|| source.default_block_size());
    let seen = Seen::look(source.ground());
    let bar = FileBar::new(source.length(), &Name(file).to_string());
    let result = source.describe(output, block_size, &|bytes| bar.inc(bytes), cancel);
    bar.finish();
    let metafile = result?;
    let time = start.elapsed();
    seen.remember(records, &metafile, file, source.ground());
    // A name too long for a link has none.
    let link = given::link_of(&metafile, None).ok().and_then(|mut link| {
        link::add(&mut link, args.trackers.named(), &[]).ok()?;
        Some(link.to_string())
    });
    if args.json {
        tell_json(file, &metafile, source.archive(), time, link.as_deref());
    } else {
        tell(file, &metafile, source.archive(), time, args.trackers.named(), link.as_deref());
    }
    Ok(())
}

fn tell(
    file: &Path,
    metafile: &MetafileOnDisk,
    archive: Option<&Archive>,
    time: Duration,
    trackers: &[String],
    link: Option<&str>,
) {
    let layout = metafile.layout();
    let of_folder = entries(archive.map(Archive::count));
    line(&format!(
        "{}: {}{of_folder} in {} of {}, made in {} ({})",
        Name(metafile.path()),
        Bytes(layout.length()),
        Count(layout.blocks(), "block"),
        Bytes(layout.block_size()),
        Span(time),
        Speed { bytes: layout.length(), time },
    ));
    line(&format!("cascade hash  {}", metafile.cascade_hash()));
    let cascade = quote(metafile.path());
    let data = match metafile.data_path() {
        Ok(path) if path == file => String::new(),
        _ => format!(" --data {}", quote(file)),
    };
    let name = quote(Path::new(given::file_name(metafile.path())));
    let options: String =
        trackers.iter().map(|tracker| format!(" --tracker {}", quote(Path::new(tracker)))).collect();
    line(&format!("to seed       peer seed {cascade}{data}{options}"));
    line(&format!("to download   peer download {name}{options}"));
    if let Some(link) = link {
        line(&format!("by its link   peer download '{link}'"));
    }
    if trackers.is_empty() {
        line("              with the tracker on another machine, add --tracker HOST:8888 to each of them");
    }
}

fn tell_json(
    file: &Path,
    metafile: &MetafileOnDisk,
    archive: Option<&Archive>,
    time: Duration,
    link: Option<&str>,
) {
    let layout = metafile.layout();
    json_line(&serde_json::json!({
        "event": "created",
        "file": metafile.path().to_string_lossy(),
        "path": file.to_string_lossy(),
        "cascade_hash": metafile.cascade_hash().to_string(),
        "file_hash": metafile.file_hash().to_string(),
        "length": layout.length(),
        "block_size": layout.block_size(),
        "blocks": layout.blocks(),
        "folder": archive.is_some(),
        "seconds": time.as_secs_f64(),
        "link": link,
    }));
}

/// Where each `.cascade` file goes, checked before anything is begun.
fn outputs(args: &Args) -> Result<Vec<PathBuf>, CliError> {
    let outputs: Vec<_> = match &args.output {
        None => args.files.iter().map(|file| given::metafile_path(file)).collect(),
        Some(folder) if folder.is_dir() => {
            args.files.iter().map(|file| folder.join(given::file_name(&given::metafile_path(file)))).collect()
        }
        Some(output) if args.files.len() == 1 => vec![output.clone()],
        Some(output) => {
            let output = Name(output);
            return Err(CliError::usage(format!("{output} is not a folder, and there are several files")));
        }
    };
    let mut seen = HashSet::new();
    match outputs.iter().find(|output| !seen.insert(*output)) {
        Some(twice) => Err(CliError::usage(format!("two of the files would have the same {}", Name(twice)))),
        None => Ok(outputs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::fs;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_was_described_is_not_hashed_again_until_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("x"), b"what is described").unwrap();
        fs::create_dir(at("photos")).unwrap();
        fs::write(at("photos/a"), b"what is described").unwrap();
        let records = Records::in_folder(&at("state"));
        for name in ["x", "photos"] {
            let args = Line::parse_from(["create", name]).args;
            let (none, out) = (AtomicBool::new(false), at(&format!("{name}.cascade")));
            create(&args, &records, &at(name), &out, &none).unwrap();
            let metafile = MetafileOnDisk::open(out).unwrap();
            let known = || {
                let source = Source::open(&at(name), Special::Refuse, &none).unwrap();
                let stamp = source.ground().look().unwrap();
                let record = records.load(metafile.cascade_hash(), &at(name), stamp, metafile.layout());
                record.is_some_and(|record| record.have.is_complete() && record.file_hash_checked)
            };
            assert!(known(), "{name}");
            fs::write(if name == "x" { at("x") } else { at("photos/a") }, b"WHAT IS DESCRIBED").unwrap();
            assert!(!known(), "{name} was changed");
        }
    }
}
