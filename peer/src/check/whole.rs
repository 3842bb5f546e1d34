//! The hash of a whole file: one stream, which only one core can compute.

use crate::ground::Ground;
use crate::page_buffer::PageBuffer;
use cascade_format::FileHash;
use cascade_hash::Sha256Stream;
use std::io;

/// Bytes read at once.
const PIECE_LEN: usize = 128 << 10;

/// The hash of the first `len` bytes of `data`, or of all where there are fewer. `progress` is told how
/// many bytes are done since it was last told; `stopped` is asked between any two pieces.
///
/// # Errors
/// The file cannot be read; `Interrupted` when `stopped` said so.
pub fn file_hash(
    data: &dyn Ground,
    len: u64,
    progress: &dyn Fn(u64),
    stopped: &dyn Fn() -> bool,
) -> io::Result<FileHash> {
    let mut stream = Sha256Stream::new();
    let len = len.min(data.length()?);
    let mut buffer = PageBuffer::new(PIECE_LEN);
    while stream.len() < len {
        if stopped() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
        }
        let want = usize::try_from(len - stream.len()).map_or(PIECE_LEN, |left| left.min(PIECE_LEN));
        let piece = buffer.get_mut(..want).unwrap_or_default();
        data.fill(piece, stream.len())?;
        stream.update(piece);
        progress(want as u64);
    }
    Ok(FileHash(stream.finish()))
}
