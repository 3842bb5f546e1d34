//! Giving a complete part file its name.

use super::{DataFile, Stamp};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Renames the complete and verified `part` to `target`, in an order that survives a power loss at any
/// moment: first the bytes are on the disk, then the name. Returns the file's stamp under its new name.
///
/// # Errors
/// The file system's own; the part file is still there then.
pub fn finish(data: &DataFile, part: &Path, target: &Path) -> io::Result<Stamp> {
    data.file().sync_all()?;
    if let Ok(old) = fs::metadata(target) {
        // A newer version keeps the permissions that its reader gave to the older one.
        let _ = data.file().set_permissions(old.permissions());
    }
    fs::rename(part, target)?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        // Some file systems cannot: then the name may be lost with the power, but no byte.
        let _ = folder.sync_all();
    }
    Stamp::of(data.file())
}
