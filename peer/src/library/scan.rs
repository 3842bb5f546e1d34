//! Looking through a folder: which `.cascade` files there are, and what stands beside each.

use super::limits::{MAX_FOLDERS, MAX_SERVED_FILES};
use crate::ground::Stamp;
use crate::human::Name;
use crate::metafile::SUFFIX;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a `.cascade` file and its data look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) metafile: Stamp,
    pub(super) data: Option<DataLook>,
}

/// What the data looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DataLook {
    /// Of a folder: of itself, and not of what is in it.
    pub(super) stamp: Stamp,
    pub(super) folder: bool,
}

impl Look {
    /// When something of it changed last, as far as it shows: nanoseconds since the UNIX epoch.
    pub(super) fn changed_ns(&self) -> i128 {
        let data = self.data.as_ref().map_or(i128::MIN, |data| data.stamp.changed_ns);
        data.max(self.metafile.changed_ns)
    }
}

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// `.cascade` files.
    pub(super) found: BTreeMap<PathBuf, Look>,
    /// Folders that were looked through.
    pub(super) folders: Vec<PathBuf>,
    /// Folders that could not be: nobody knows what is in them.
    pub(super) unreadable: Vec<PathBuf>,
    /// What the user should know: one line each.
    pub(super) problems: Vec<String>,
    /// There is more than is taken.
    pub(super) full: bool,
    /// The most `.cascade` files.
    pub(super) max: usize,
}

/// Looks through `root` and the folders in it, but for those that are data. Where there are too many files, those that
/// are `known` come first.
pub(super) fn scan(root: &Path, known: &[Arc<Path>]) -> Scan {
    scan_for(root, known, MAX_SERVED_FILES)
}

fn scan_for(root: &Path, known: &[Arc<Path>], max: usize) -> Scan {
    let mut scan = Scan { max, ..Scan::default() };
    let mut left = vec![root.to_owned()];
    while let Some(folder) = left.pop() {
        if scan.folders.len() >= MAX_FOLDERS {
            scan.full = true;
            break;
        }
        match scan.look_through(&folder) {
            Ok(inner) => {
                left.extend(inner);
                scan.folders.push(folder);
            }
            // It was there when its name was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder != root => {}
            Err(error) => {
                scan.problems.push(format!("cannot read {}: {error}", Name(&folder)));
                scan.unreadable.push(folder);
            }
        }
    }
    if scan.full {
        scan.prefer(known);
    }
    scan
}

impl Scan {
    /// Looks through one folder; returns the folders in it that may hold `.cascade` files.
    fn look_through(&mut self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let (mut metafiles, mut inner) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            if data_name(&name).is_some() {
                metafiles.push(name);
            } else if is_folder(entry.file_type())? {
                inner.push(name);
            }
        }
        let mut data: HashSet<&OsStr> = HashSet::new();
        for name in &metafiles {
            if self.found.len() >= self.max {
                self.full = true;
                break;
            }
            data.extend(data_name(name));
            let path = folder.join(name);
            if let Some(look) = self.look_at(&path) {
                self.found.insert(path, look);
            }
        }
        let is_data = |name: &OsString| data.contains(name.as_os_str()) || is_part(name);
        Ok(inner.iter().filter(|name| !is_data(name)).map(|name| folder.join(name)).collect())
    }

    /// Takes what is known and still there in the place of others: which of too many names comes first may change with
    /// each of them.
    fn prefer(&mut self, known: &[Arc<Path>]) {
        let others = std::mem::take(&mut self.found);
        for path in known {
            if self.found.len() < self.max
                && let Some(look) = others.get(&**path).cloned().or_else(|| self.look_at(path))
            {
                self.found.insert(path.to_path_buf(), look);
            }
        }
        for (path, look) in others {
            if self.found.len() < self.max {
                self.found.entry(path).or_insert(look);
            }
        }
    }

    fn look_at(&mut self, path: &Path) -> Option<Look> {
        let metafile = self.follow(path)?;
        if !metafile.is_file() {
            self.problems.push(format!("{} is not a .cascade file, but something else", Name(path)));
            return None;
        }
        let data = self.follow(&data_of(path));
        let data = data.map(|data| DataLook { stamp: Stamp::from_metadata(&data), folder: data.is_dir() });
        Some(Look { metafile: Stamp::from_metadata(&metafile), data })
    }

    /// What a name leads to. Where it is a link, its owner must be root, this user, or the owner of what it leads to:
    /// else whoever may write into the folder could have any file given away that this user may read.
    fn follow(&mut self, path: &Path) -> Option<Metadata> {
        let there = fs::symlink_metadata(path).ok()?;
        if !there.is_symlink() {
            return Some(there);
        }
        let target = fs::metadata(path).ok()?;
        let this_user = rustix::process::geteuid().as_raw();
        if [0, this_user, target.uid()].contains(&there.uid()) {
            return Some(target);
        }
        self.problems.push(format!(
            "{} is a link to a file of another user; only a link of that user, of root or of this user is followed",
            Name(path)
        ));
        None
    }
}

/// Whether an entry is a folder. Where the file system does not tell this with the name, the system looks at the entry,
/// which may be gone by then: that says nothing of the folder that it was in.
fn is_folder(kind: io::Result<FileType>) -> io::Result<bool> {
    match kind {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        kind => Ok(kind?.is_dir()),
    }
}

/// The name of the data that a `.cascade` file describes, if the name is that of one.
fn data_name(name: &OsStr) -> Option<&OsStr> {
    let path = Path::new(name);
    path.file_stem().filter(|_| path.extension() == Some(OsStr::new(SUFFIX)))
}

/// Whether a folder is one of a download that is not finished.
fn is_part(name: &OsStr) -> bool {
    let path = Path::new(name);
    path.extension().is_some_and(|end| end == "part")
        || path.file_stem().is_some_and(|stem| Path::new(stem).extension().is_some_and(|end| end == "part"))
}

/// Where the data of a `.cascade` file is.
pub(super) fn data_of(metafile: &Path) -> PathBuf {
    metafile.with_extension("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(scan: &Scan, root: &Path) -> Vec<String> {
        scan.found.keys().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn what_is_served_and_what_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for inner in ["films/old", "photos/a", ".hidden", "big.part", "big.part.2"] {
            fs::create_dir_all(root.join(inner)).unwrap();
        }
        for file in [
            "a.cascade",
            "a",
            "films/b.cascade",
            "films/old/c.cascade",
            "photos.cascade",
            "photos/a/x.cascade",
            ".hidden/y.cascade",
            ".z.cascade",
            ".cascade",
            "big.part/v.cascade",
            "big.part.2/w.cascade",
            "notes.txt",
        ] {
            fs::write(root.join(file), b"x").unwrap();
        }
        fs::create_dir(root.join("folder.cascade")).unwrap();
        symlink(root, root.join("films/loop")).unwrap();
        symlink(root.join("a"), root.join("linked")).unwrap();
        fs::write(root.join("linked.cascade"), b"x").unwrap();
        let found = scan(root, &[]);
        assert_eq!(
            names(&found, root),
            ["a.cascade", "films/b.cascade", "films/old/c.cascade", "linked.cascade", "photos.cascade"]
        );
        let data = |name: &str| found.found[&root.join(name)].data.clone();
        assert!(!data("a.cascade").unwrap().folder && data("photos.cascade").unwrap().folder);
        assert_eq!(data("linked.cascade"), data("a.cascade"), "it is followed");
        assert_eq!(data("films/b.cascade"), None);
        assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
        assert_eq!(found.folders.len(), 3);
    }

    #[test]
    fn a_link_of_somebody_else_to_our_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("a.cascade"), b"x").unwrap();
        symlink("/etc/hostname", root.join("a")).unwrap();
        if std::os::unix::fs::lchown(root.join("a"), Some(12345), None).is_err() {
            eprintln!("skipped: this needs root");
            return;
        }
        let found = scan(root, &[]);
        assert_eq!(found.found[&root.join("a.cascade")].data, None);
        assert!(found.problems[0].contains("another user"), "{:?}", found.problems);
    }

    #[test]
    fn of_too_many_files_those_that_are_known_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let put = |number: u32| fs::write(root.join(format!("{number}.cascade")), b"x").unwrap();
        (0..10).for_each(put);
        let first = scan_for(root, &[], 10);
        assert!(first.found.len() == 10 && !first.full);
        let known: Vec<Arc<Path>> = first.found.into_keys().map(Arc::from).collect();
        (10..100).for_each(put);
        let full = scan_for(root, &known, 10);
        assert!(full.full && full.found.keys().map(PathBuf::as_path).eq(known.iter().map(|path| &**path)));
        // One that goes makes room for one of the others.
        fs::remove_file(&known[3]).unwrap();
        let full = scan_for(root, &known, 10);
        assert_eq!((full.found.len(), full.found.contains_key(&*known[3])), (10, false));
        assert_eq!(known.iter().filter(|path| full.found.contains_key(&***path)).count(), 9);
    }

    #[test]
    fn a_folder_that_is_gone_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let gone = scan(&folder.path().join("nowhere"), &[]);
        assert_eq!((gone.unreadable.len(), gone.problems.len()), (1, 1));
    }

    #[test]
    fn an_entry_that_is_gone_when_it_is_looked_at_is_no_folder_and_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let gone = || fs::symlink_metadata(folder.path().join("gone")).map(|there| there.file_type());
        assert!(!is_folder(gone()).unwrap());
        assert!(is_folder(fs::metadata(folder.path()).map(|there| there.file_type())).unwrap());
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(is_folder(Err(denied)).is_err(), "nobody knows what it is");
    }
}
