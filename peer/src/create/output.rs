//! A `.cascade` file in the making.

use cascade_format::metafile::HEADER_LEN;
use cascade_format::{BlockHash, Header};
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::TempPath;

/// Bytes of hashes that are written at once.
const WRITE_LEN: usize = 64 << 10;

/// A temporary file: it goes away unless it is published.
pub(super) struct Output {
    file: BufWriter<File>,
    path: TempPath,
}

impl Output {
    /// Makes a temporary file in the folder of `out`, with the permissions of an ordinary file.
    pub(super) fn beside(out: &Path) -> io::Result<Self> {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut failed = None;
        // The process's mask takes off what the user does not want.
        let open = |path: &Path| {
            let file = File::options().read(true).write(true).create_new(true).open(path);
            file.inspect_err(|error| failed = error.raw_os_error())
        };
        let made = tempfile::Builder::new().prefix(".cascade-").suffix(".tmp").make_in(folder, open);
        // `tempfile` adds the temporary file's name to the system's error, which tells the user nothing.
        // So it does to those of writing, if it does that.
        let made = made.map_err(|error| failed.map_or(error, io::Error::from_raw_os_error))?;
        let (mut file, path) = made.into_parts();
        // The header comes last: it holds the file hash.
        file.seek(SeekFrom::Start(HEADER_LEN as u64))?;
        Ok(Self { file: BufWriter::with_capacity(WRITE_LEN, file), path })
    }

    /// Writes the next block's hash.
    pub(super) fn push(&mut self, hash: BlockHash) -> io::Result<()> {
        self.file.write_all(hash.as_bytes())
    }

    /// Writes the header, puts everything on disk and gives the file its name.
    pub(super) fn publish(self, header: &Header, out: &Path) -> io::Result<()> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.write_all_at(&header.encode(), 0)?;
        file.sync_all()?;
        self.path.persist(out).map_err(|error| error.error)?;
        Ok(())
    }
}
