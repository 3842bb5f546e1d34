//! `--allow-dir`: the `.cascade` files of a folder, as they come and go.

use crate::allow::{self, AllowError};
use crate::file::Stamp;
use cascade_format::CascadeHash;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The most `.cascade` files of a folder that are tracked; each look asks the system for each of them.
pub(crate) const MAX_FOLDER_FILES: usize = 100_000;

/// A folder, as it was seen last.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: BTreeMap<OsString, Known>,
    /// Whether the log knows that the folder cannot be read, or has too many files.
    told: bool,
}

/// What is known of a file.
#[derive(Debug)]
struct Known {
    stamp: Option<Stamp>,
    /// Of its content when it was right; a file that is being written over is tracked on as what it was.
    hash: Option<CascadeHash>,
    /// Whether the log knows that it is wrong.
    told: bool,
}

impl Folder {
    /// A folder that was not looked at yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), files: BTreeMap::new(), told: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks which files are new, gone or changed. Each fault is reported once, until the file is right again.
    pub(crate) fn look(&mut self, mut say: impl FnMut(String)) {
        let names = match names(&self.path) {
            Ok(names) => names,
            Err(error) => {
                // It may be a network's, and come back: what was there stays.
                if !std::mem::replace(&mut self.told, true) {
                    say(format!("{}: cannot read the folder: {error}", self.path.display()));
                }
                return;
            }
        };
        let too_many = names.len() > MAX_FOLDER_FILES;
        if too_many && !self.told {
            let path = self.path.display();
            say(format!("{path}: it has more than {MAX_FOLDER_FILES} .cascade files; not all are tracked"));
        }
        self.told = too_many;
        let mut before = std::mem::take(&mut self.files);
        for name in names.into_iter().take(MAX_FOLDER_FILES) {
            let known = before.remove(&name).unwrap_or(Known { stamp: None, hash: None, told: false });
            let known = known.look(&self.path.join(&name), &mut say);
            self.files.insert(name, known);
        }
    }

    /// The files that are tracked.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = CascadeHash> {
        self.files.values().filter_map(|known| known.hash)
    }

    /// What their data files are called, as far as the `.cascade` files' names tell.
    pub(crate) fn data_names(&self) -> HashMap<CascadeHash, String> {
        let named = |(name, known): (&OsString, &Known)| {
            Some((known.hash?, Path::new(name).file_stem()?.to_string_lossy().into_owned()))
        };
        self.files.iter().filter_map(named).collect()
    }
}

impl Known {
    fn look(self, path: &Path, say: &mut impl FnMut(String)) -> Self {
        // Before it is read: a change meanwhile is seen by the next look.
        let stamp = Stamp::of(path).ok();
        if stamp.is_some() && stamp == self.stamp {
            return self;
        }
        match allow::cascade_hash_of(path) {
            Ok(hash) => Self { stamp, hash: Some(hash), told: false },
            Err(error) => {
                if !self.told {
                    let why = match error {
                        AllowError::Read(error) => format!("it cannot be read: {error}"),
                        AllowError::TooLong(_) | AllowError::Damaged(_) => error.to_string(),
                    };
                    say(format!("{}: not tracked as it is now: {why}", path.display()));
                }
                Self { stamp, told: true, ..self }
            }
        }
    }
}

/// The names of `.cascade` files, one more than are tracked at most.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if Path::new(&name).extension() == Some(OsStr::new("cascade")) && names.len() <= MAX_FOLDER_FILES {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::metafile::Header;
    use cascade_format::{BlockHash, FileHash, Layout, Metafile};

    fn metafile(n: u8) -> Metafile {
        let layout = Layout::new(10, 1).unwrap();
        let hashes = layout.iter().map(|_| BlockHash::of(&[n])).collect();
        Metafile::new(Header { layout, file_hash: FileHash::of(&[n]) }, hashes).unwrap()
    }

    fn look(folder: &mut Folder) -> (Vec<CascadeHash>, Vec<String>) {
        let mut said = Vec::new();
        folder.look(|line| said.push(line));
        (folder.hashes().collect(), said)
    }

    #[test]
    fn files_come_and_go_and_wrong_ones_are_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(dir.path());
        let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        assert_eq!(look(&mut folder), (vec![], vec![]));
        put("a.iso.cascade", &metafile(1).encode());
        put("notes.txt", b"not looked at");
        assert_eq!(look(&mut folder), (vec![metafile(1).cascade_hash()], vec![]));
        assert_eq!(folder.data_names()[&metafile(1).cascade_hash()], "a.iso");
        let whole = metafile(2).encode();
        put("b.cascade", &whole[..100]);
        let (hashes, said) = look(&mut folder);
        assert_eq!(hashes.len(), 1);
        assert!(said.len() == 1 && said[0].contains("b.cascade"), "{said:?}");
        put("b.cascade", &whole[..101]);
        assert_eq!(look(&mut folder).1, Vec::<String>::new(), "it grows");
        put("b.cascade", &whole);
        assert_eq!(look(&mut folder).0, [1, 2].map(|n| metafile(n).cascade_hash()));
        // While another is written over it, it is tracked on.
        put("b.cascade", b"CASCADE1");
        assert_eq!(look(&mut folder).0.len(), 2);
        put("b.cascade", &metafile(3).encode());
        assert_eq!(look(&mut folder).0, [1, 3].map(|n| metafile(n).cascade_hash()));
        fs::remove_file(dir.path().join("a.iso.cascade")).unwrap();
        assert_eq!(look(&mut folder).0, [metafile(3).cascade_hash()]);
    }

    #[test]
    fn a_folder_that_is_gone_keeps_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.cascade"), metafile(1).encode()).unwrap();
        fs::create_dir(dir.path().join("folder.cascade")).unwrap();
        let mut folder = Folder::new(dir.path());
        let (hashes, said) = look(&mut folder);
        assert_eq!((hashes.len(), said.len()), (1, 1));
        assert!(said[0].contains("now: it cannot be read: it is a folder"), "{said:?}");
        let away = dir.path().with_extension("away");
        fs::rename(dir.path(), &away).unwrap();
        let (hashes, said) = look(&mut folder);
        assert!(hashes.len() == 1 && said.len() == 1 && said[0].contains("cannot read the folder"));
        assert_eq!(look(&mut folder).1.len(), 0);
        fs::rename(&away, dir.path()).unwrap();
        assert_eq!(look(&mut folder).0.len(), 1);
    }
}
