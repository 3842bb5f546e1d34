//! `peer info`: what `.cascade` files describe.

use super::{CliError, ExitCode};
use crate::human::{Bytes, Name};
use crate::metafile::MetafileOnDisk;
use crate::report::{self, json_line, line};
use std::path::PathBuf;

/// Show what .cascade files describe, and what is wrong with damaged ones
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The .cascade files
    #[arg(value_name = "FILE.cascade", required = true)]
    files: Vec<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// None: a damaged file is told at once, and the others are shown.
pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut code = ExitCode::Done;
    for file in &args.files {
        match MetafileOnDisk::open(file) {
            Ok(metafile) if args.json => tell_json(&metafile),
            Ok(metafile) => tell(&metafile),
            Err(error) => {
                if args.json {
                    let (file, message) = (file.to_string_lossy(), error.to_string());
                    json_line(&serde_json::json!({"event": "error", "file": file, "message": message}));
                }
                report::error(&error.to_string());
                code = ExitCode::Failed;
            }
        }
    }
    Ok(code)
}

fn tell(metafile: &MetafileOnDisk) {
    let layout = metafile.layout();
    line(&Name(metafile.path()).to_string());
    line(&format!("  length        {} ({} bytes)", Bytes(layout.length()), layout.length()));
    line(&format!("  block size    {} ({} bytes)", Bytes(layout.block_size()), layout.block_size()));
    line(&format!("  blocks        {}", layout.blocks()));
    line(&format!("  cascade hash  {}", metafile.cascade_hash()));
    line(&format!("  file hash     {}", metafile.file_hash()));
}

fn tell_json(metafile: &MetafileOnDisk) {
    let layout = metafile.layout();
    json_line(&serde_json::json!({
        "event": "info",
        "file": metafile.path().to_string_lossy(),
        "length": layout.length(),
        "block_size": layout.block_size(),
        "blocks": layout.blocks(),
        "cascade_hash": metafile.cascade_hash().to_string(),
        "file_hash": metafile.file_hash().to_string(),
    }));
}
