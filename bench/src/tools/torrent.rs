//! Torrent files, for the BitTorrent programs that Cascade is compared with.

use crate::data::DataFile;
use crate::error::{Context, Result};
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of one piece.
pub const PIECE_LEN: u64 = 1 << 20;

/// The metadata of one file, without a tracker.
#[derive(Debug, Clone)]
pub struct Torrent {
    name: String,
    length: u64,
    pieces: Vec<u8>,
}

impl Torrent {
    /// Hashes the file's pieces.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(data: &DataFile) -> Result<Self> {
        let mut file = File::open(&data.path).context(|| format!("cannot open {}", data.path.display()))?;
        let mut pieces = Vec::new();
        let mut piece = Vec::new();
        loop {
            piece.clear();
            file.by_ref()
                .take(PIECE_LEN)
                .read_to_end(&mut piece)
                .context(|| format!("cannot read {}", data.path.display()))?;
            if piece.is_empty() {
                return Ok(Self { name: data.name(), length: data.length, pieces });
            }
            pieces.extend_from_slice(&Sha1::digest(&piece));
        }
    }

    /// Writes the torrent file with a tracker's address.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, announce: &str, path: &Path) -> Result<()> {
        std::fs::write(path, self.encode(announce)).context(|| format!("cannot write {}", path.display()))
    }

    /// The bencoded dictionary; its keys are in order, as the format wants.
    fn encode(&self, announce: &str) -> Vec<u8> {
        let head = format!(
            "d8:announce{}:{announce}4:infod6:lengthi{}e4:name{}:{}12:piece lengthi{PIECE_LEN}e6:pieces{}:",
            announce.len(),
            self.length,
            self.name.len(),
            self.name,
            self.pieces.len()
        );
        [head.as_bytes(), &self.pieces, b"ee"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let torrent =
            Torrent { name: "a.bin".to_owned(), length: 3, pieces: b"0123456789abcdefghij".to_vec() };
        let text = String::from_utf8(torrent.encode("http://x/a")).unwrap();
        assert_eq!(
            text,
            "d8:announce10:http://x/a4:infod6:lengthi3e4:name5:a.bin\
             12:piece lengthi1048576e6:pieces20:0123456789abcdefghijee"
        );
    }

    #[test]
    fn the_last_piece_may_be_short() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataFile::random(dir.path(), PIECE_LEN + 1).unwrap();
        assert_eq!(Torrent::of(&data).unwrap().pieces.len(), 40);
    }
}
