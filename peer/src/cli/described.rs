//! The `.cascade` file of something that is shared: the one beside it, if it is right; else one in the folder of
//! records. Nothing is written beside the user's files, and nothing is hashed that has not changed since.

use super::CliError;
use super::given::metafile_path;
use super::seen::Seen;
use crate::create::{CreateError, Source};
use crate::folder::Special;
use crate::human::{Name, limit};
use crate::metafile::MetafileOnDisk;
use crate::report::FileBar;
use crate::store::Records;
use cascade_archive::Archive;
use std::cell::OnceCell;
use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// Where `.cascade` files are kept that are not beside their data.
pub(super) struct Cache {
    /// Where nothing can be remembered: for this run.
    temporary: OnceCell<TempDir>,
    records: Records,
}

/// Why there is none.
pub(super) enum Failure {
    Interrupted,
    Told(CliError),
}

impl Cache {
    pub(super) fn new(records: &Records) -> Result<Self, CliError> {
        let usable = records.shared_folder().is_some_and(|folder| fs::create_dir_all(folder).is_ok());
        let cache = Self { temporary: OnceCell::new(), records: records.clone() };
        if usable {
            records.sweep_shared();
        } else {
            cache.temporary()?;
        }
        Ok(cache)
    }

    /// Where the `.cascade` file of the data at `path` is now, or was kept before.
    fn place(&self, path: &Path) -> Result<PathBuf, CliError> {
        match self.records.shared(path).filter(|_| self.temporary.get().is_none()) {
            Some(place) => Ok(place),
            None => self.temporary(),
        }
    }

    /// A new place for this run alone.
    fn temporary(&self) -> Result<PathBuf, CliError> {
        let folder = match self.temporary.get() {
            Some(folder) => folder,
            None => {
                let folder = tempfile::Builder::new().prefix("cascade-share-").tempdir();
                let folder = folder.map_err(|error| {
                    CliError::failed(format!(
                        "cannot make a temporary folder: {error}; name another place with TMPDIR"
                    ))
                })?;
                self.temporary.get_or_init(|| folder)
            }
        };
        // One run may share several files.
        Ok(folder.path().join(format!("{}.cascade", fastrand::u64(..))))
    }
}

/// Something that is to be described, and can be read.
pub(super) struct Open {
    path: PathBuf,
    source: Source,
}

impl Open {
    pub(super) fn new(path: &Path, special: Special, cancel: &AtomicBool) -> Result<Self, Failure> {
        let source = Source::open(path, special, cancel).map_err(|error| failure(&error))?;
        Ok(Self { path: path.to_owned(), source })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How many files, folders and links are in it, if it is a folder.
    pub(super) fn entries(&self) -> Option<u32> {
        self.source.archive().map(Archive::count)
    }

    /// The `.cascade` file that describes it, made if there is none.
    pub(super) fn describe(
        self,
        records: &Records,
        cache: &Cache,
        block_size: Option<NonZeroU64>,
        cancel: &AtomicBool,
    ) -> Result<MetafileOnDisk, Failure> {
        let kept = records.shared(&self.path);
        let places = [Some(metafile_path(&self.path)), kept.clone()];
        let there: Vec<_> =
            places.into_iter().flatten().filter_map(|place| MetafileOnDisk::open(place).ok()).collect();
        let fits = |metafile: &MetafileOnDisk| {
            block_size.is_none_or(|size| metafile.layout().block_size() == size.get())
                && metafile.layout().length() == self.source.length()
        };
        let mut fitting: Vec<_> = there.into_iter().filter(fits).collect();
        if let Some(known) = fitting.iter().position(|metafile| self.is_known(records, metafile)) {
            let known = fitting.swap_remove(known);
            records.touch_shared(known.path());
            return Ok(known);
        }
        // One that is there may be right all the same: with the same block size the same bytes give the same file.
        let beside = fitting.into_iter().find(|metafile| Some(metafile.path()) != kept.as_deref());
        let like = beside.as_ref().and_then(|beside| NonZeroU64::new(beside.layout().block_size()));
        let size = block_size.or(like).unwrap_or_else(|| self.source.default_block_size());
        let made = self.make_somewhere(records, cache, size, cancel)?;
        match beside {
            Some(beside) if beside.cascade_hash() == made.cascade_hash() => {
                let _ = fs::remove_file(made.path());
                Ok(beside)
            }
            _ => Ok(made),
        }
    }

    /// Makes it where it is kept, or for this run where it cannot be kept: the disk may be full, or not be written to.
    fn make_somewhere(
        &self,
        records: &Records,
        cache: &Cache,
        size: NonZeroU64,
        cancel: &AtomicBool,
    ) -> Result<MetafileOnDisk, Failure> {
        let keeps = cache.temporary.get().is_none();
        let made = match self.make(records, &cache.place(&self.path).map_err(Failure::Told)?, size, cancel) {
            Err(CreateError::Write { source, .. }) if keeps && limit(&source).is_none() => {
                self.make(records, &cache.temporary().map_err(Failure::Told)?, size, cancel)
            }
            made => made,
        };
        made.map_err(|error| {
            if let CreateError::Inside { path } = &error {
                Failure::Told(own_folder(&self.path, path))
            } else if let CreateError::Write { path, source } = &error {
                Failure::Told(no_place(path, source))
            } else {
                failure(&error)
            }
        })
    }

    /// Whether the file was seen to be what `metafile` describes, and has not changed since.
    fn is_known(&self, records: &Records, metafile: &MetafileOnDisk) -> bool {
        let Ok(stamp) = self.source.ground().look() else { return false };
        let record = records.load(metafile.cascade_hash(), &self.path, stamp, metafile.layout());
        record.is_some_and(|record| record.have.is_complete())
    }

    fn make(
        &self,
        records: &Records,
        out: &Path,
        size: NonZeroU64,
        cancel: &AtomicBool,
    ) -> Result<MetafileOnDisk, CreateError> {
        let ground = self.source.ground();
        let seen = Seen::look(ground);
        let bar = FileBar::new(self.source.length(), &Name(&self.path).to_string());
        let made = self.source.describe(out, size, &|bytes| bar.inc(bytes), cancel);
        bar.finish();
        let made = made?;
        seen.remember(records, &made, &self.path, ground);
        Ok(made)
    }
}

fn failure(error: &CreateError) -> Failure {
    if matches!(error, CreateError::Cancelled) {
        Failure::Interrupted
    } else {
        Failure::Told(CliError::failed(error.to_string()))
    }
}

/// Not even for this run.
fn no_place(out: &Path, source: &io::Error) -> CliError {
    let advice = limit(source).unwrap_or("name another place with TMPDIR");
    CliError::failed(format!("cannot write {}: {source}; {advice}", Name(out)))
}

/// What is written into a shared folder changes it.
fn own_folder(path: &Path, out: &Path) -> CliError {
    let (path, out) = (Name(path), Name(out));
    CliError::failed(format!(
        "cannot share {path}: Cascade keeps its own files in it, as {out}; name another folder for them with \
         CASCADE_STATE_DIR"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(records: &Records, path: &Path, size: Option<u64>) -> MetafileOnDisk {
        let cache = Cache::new(records).unwrap();
        let size = size.and_then(NonZeroU64::new);
        let none = AtomicBool::new(false);
        let open = Open::new(path, Special::Refuse, &none);
        match open.and_then(|open| open.describe(records, &cache, size, &none)) {
            Ok(metafile) => metafile,
            Err(Failure::Told(error)) => panic!("{error}"),
            Err(Failure::Interrupted) => panic!("interrupted"),
        }
    }

    #[test]
    fn what_is_there_and_right_is_used_and_nothing_is_written_beside_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let records = Records::in_folder(&at("state"));
        fs::write(at("x"), b"what is shared").unwrap();

        let made = describe(&records, &at("x"), None);
        assert!(made.path().starts_with(at("state")) && !at("x.cascade").exists());
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let first = inode(made.path());
        let again = describe(&records, &at("x"), None);
        assert_eq!((again.path(), inode(again.path())), (made.path(), first), "it was not made again");

        // The user's own .cascade file comes first, if it is right; with its block size.
        let none = AtomicBool::new(false);
        let own = Source::open(&at("x"), Special::Refuse, &none).unwrap();
        let own = own.describe(&at("x.cascade"), NonZeroU64::new(5).unwrap(), &|_| {}, &none).unwrap();
        fs::remove_dir_all(at("state")).unwrap();
        assert_eq!(describe(&records, &at("x"), None).path(), own.path());
        assert_eq!(describe(&records, &at("x"), Some(5)).path(), own.path());
        assert_eq!(describe(&records, &at("x"), Some(7)).layout().block_size(), 7);

        // And not if it is not: it stays as it is.
        fs::write(at("x"), b"WHAT IS SHARED").unwrap();
        let before = fs::read(at("x.cascade")).unwrap();
        let other = describe(&records, &at("x"), None);
        assert_ne!(other.cascade_hash(), own.cascade_hash());
        assert!(other.path().starts_with(at("state")) && fs::read(at("x.cascade")).unwrap() == before);
        fs::write(at("x.cascade"), b"no .cascade file").unwrap();
        fs::remove_dir_all(at("state")).unwrap();
        describe(&records, &at("x"), None);
        assert_eq!(fs::read(at("x.cascade")).unwrap(), b"no .cascade file");
    }

    #[test]
    fn where_nothing_can_be_kept_it_is_kept_for_this_run() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let records = Records::in_folder(&at("state"));
        fs::write(at("x"), b"what is shared").unwrap();
        fs::write(at("y"), b"that as well").unwrap();
        let made = describe(&records, &at("x"), None).path().to_owned();
        fs::remove_file(&made).unwrap();
        fs::remove_dir(at("state/shared")).unwrap();
        // A folder in which nobody can make a file, root neither.
        std::os::unix::fs::symlink("/proc/self/fdinfo", at("state/shared")).unwrap();

        let (cache, none) = (Cache::new(&records).unwrap(), AtomicBool::new(false));
        for name in ["x", "y"] {
            let open = Open::new(&at(name), Special::Refuse, &none);
            let Ok(made) = open.and_then(|open| open.describe(&records, &cache, None, &none)) else {
                panic!("{name} is not described")
            };
            assert!(made.path().starts_with(cache.temporary.get().unwrap().path()));
        }
    }

    #[test]
    fn a_folder_is_described_once_and_again_when_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let records = Records::in_folder(&at("state"));
        fs::create_dir_all(at("photos/old")).unwrap();
        fs::write(at("photos/one"), b"one").unwrap();

        let made = describe(&records, &at("photos"), None);
        assert!(made.path().starts_with(at("state")) && !at("photos.cascade").exists());
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let first = inode(made.path());
        let again = describe(&records, &at("photos/"), None);
        assert_eq!((again.path(), inode(again.path())), (made.path(), first), "it was not made again");

        fs::write(at("photos/one"), b"two").unwrap();
        let other = describe(&records, &at("photos"), None);
        assert_ne!(other.cascade_hash(), made.cascade_hash());

        // Where the records themselves are in it, it never comes to rest.
        let records = Records::in_folder(&at("photos/state"));
        let (cache, none) = (Cache::new(&records).unwrap(), AtomicBool::new(false));
        let open = Open::new(&at("photos"), Special::Refuse, &none);
        let Err(Failure::Told(error)) = open.and_then(|open| open.describe(&records, &cache, None, &none))
        else {
            panic!("a folder with the records in it was described")
        };
        assert!(error.to_string().contains("CASCADE_STATE_DIR"), "{error}");
    }
}
