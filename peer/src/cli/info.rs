//! `peer info`: what `.cascade` files describe.

use super::fetched::{Holders, fetched};
use super::given::{self, Given};
use super::interrupt::Ear;
use super::{CliError, ExitCode};
use crate::human::{Bytes, Name};
use crate::metafile::MetafileOnDisk;
use crate::report::{self, json_line, line};
use cascade_format::link::{Address, Link};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Show what .cascade files or links describe, and what is wrong with damaged ones
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The .cascade files, or links; the .cascade file of a link is fetched from other peers, and not kept
    #[arg(value_name = "FILE.cascade|LINK", required = true)]
    files: Vec<OsString>,
    #[command(flatten)]
    holders: Holders,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A damaged link. A damaged file is told at once, and the others are shown.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    let mut code = ExitCode::Done;
    for file in &args.files {
        let shown = match Given::read(file)? {
            Given::File(file) => match MetafileOnDisk::open(&file) {
                Ok(metafile) => {
                    tell(args, metafile.path(), &metafile);
                    Ok(())
                }
                Err(error) => Err((file, CliError::failed(error.to_string()))),
            },
            Given::Link(link) => {
                let name = PathBuf::from(given::data_name(&link));
                tell_link(args, &link);
                match fetched(&link, &args.holders, ear) {
                    Ok((metafile, _folder)) => {
                        tell(args, &name, &metafile);
                        Ok(())
                    }
                    Err(error) if error.code == ExitCode::Interrupted => return Ok(ExitCode::Interrupted),
                    Err(error) => Err((name, error)),
                }
            }
        };
        if let Err((file, error)) = shown {
            if args.json {
                let (file, message) = (file.to_string_lossy(), error.to_string());
                json_line(&serde_json::json!({"event": "error", "file": file, "message": message}));
            }
            report::error(&error.to_string());
            code = ExitCode::Failed;
        }
    }
    Ok(code)
}

/// What a link says by itself. Nothing of it is proved but the hash.
fn tell_link(args: &Args, link: &Link) {
    let list = |addresses: &[Address]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (trackers, peers) = (list(link.trackers()), list(link.peers()));
    if args.json {
        return json_line(&serde_json::json!({
            "event": "link", "link": link.to_string(), "name": link.name(), "length": link.length(),
            "cascade_hash": link.cascade_hash().to_string(), "trackers": trackers, "peers": peers,
        }));
    }
    line("the link says:");
    line(&format!("  name          {}", link.name().unwrap_or("none")));
    let length =
        link.length().map_or_else(|| "none".into(), |length| format!("{} ({length} bytes)", Bytes(length)));
    line(&format!("  length        {length}"));
    line(&format!("  cascade hash  {}", link.cascade_hash()));
    let none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    line(&format!("  trackers      {}", none(trackers)));
    line(&format!("  peers         {}", none(peers)));
}

fn tell(args: &Args, path: &Path, metafile: &MetafileOnDisk) {
    if args.json {
        return tell_json(path, metafile);
    }
    let layout = metafile.layout();
    line(&Name(path).to_string());
    line(&format!("  length        {} ({} bytes)", Bytes(layout.length()), layout.length()));
    line(&format!("  block size    {} ({} bytes)", Bytes(layout.block_size()), layout.block_size()));
    line(&format!("  blocks        {}", layout.blocks()));
    line(&format!("  cascade hash  {}", metafile.cascade_hash()));
    line(&format!("  file hash     {}", metafile.file_hash()));
}

fn tell_json(path: &Path, metafile: &MetafileOnDisk) {
    let layout = metafile.layout();
    json_line(&serde_json::json!({
        "event": "info",
        "file": path.to_string_lossy(),
        "length": layout.length(),
        "block_size": layout.block_size(),
        "blocks": layout.blocks(),
        "cascade_hash": metafile.cascade_hash().to_string(),
        "file_hash": metafile.file_hash().to_string(),
    }));
}
