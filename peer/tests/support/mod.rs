//! A file to be shared, and the options of a peer on loopback.

use cascade_format::{BlockHash, FileHash, Header, Layout, Metafile};
use cascade_peer::store::Records;
use cascade_peer::{Listening, Options};
use std::path::{Path, PathBuf};

/// A data file of this length, and its `.cascade` file.
pub(crate) fn describe(folder: &Path, length: u64, block_size: u64) -> (PathBuf, PathBuf) {
    let data: Vec<u8> = (0..length).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    let layout = Layout::new(length, block_size).unwrap();
    let hashes = data.chunks(usize::try_from(block_size).unwrap()).map(BlockHash::of).collect();
    let metafile = Metafile::new(Header { layout, file_hash: FileHash::of(&data) }, hashes).unwrap();
    let (file, cascade) = (folder.join("data"), folder.join("data.cascade"));
    std::fs::write(&file, data).unwrap();
    std::fs::write(&cascade, metafile.encode()).unwrap();
    (file, cascade)
}

/// A peer that listens on loopback, and keeps its records in `folder`.
pub(crate) fn options(folder: &Path) -> Options {
    let listen = Some(Listening::at("127.0.0.1:0".parse().unwrap()));
    Options { listen, records: Records::in_folder(&folder.join("state")), ..Options::default() }
}
