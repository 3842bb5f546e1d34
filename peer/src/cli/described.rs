//! The `.cascade` file of something that is shared: the one beside it, if it is right; else one in the folder of
//! records. Nothing is written beside the user's files, and nothing is hashed that has not changed since.

use super::CliError;
use super::given::metafile_path;
use crate::create::{CreateError, Source};
use crate::folder::Special;
use crate::ground::disk::SystemDisk;
use crate::human::Name;
use crate::metafile::MetafileOnDisk;
use crate::report::FileBar;
use crate::store::{Record, Records};
use cascade_archive::Archive;
use cascade_format::Have;
use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// Where `.cascade` files are kept that are not beside their data.
pub(super) struct Cache {
    /// Where nothing is remembered: for this run.
    temporary: Option<TempDir>,
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
        let temporary = if usable {
            records.sweep_shared();
            None
        } else {
            let folder = tempfile::Builder::new().prefix("cascade-share-").tempdir();
            Some(folder.map_err(|error| {
                CliError::failed(format!(
                    "cannot make a temporary folder: {error}; name another place with TMPDIR"
                ))
            })?)
        };
        Ok(Self { temporary, records: records.clone() })
    }

    /// Where the `.cascade` file of the data at `path` is kept.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        match &self.temporary {
            // One run may share several files.
            Some(folder) => Some(folder.path().join(format!("{}.cascade", fastrand::u64(..)))),
            None => self.records.shared(path),
        }
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
        let kept = cache.place(&self.path);
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
        let kept = kept.ok_or_else(|| failure(&CreateError::NoPlace { path: self.path.clone() }))?;
        let made = self.make(records, &kept, size, cancel)?;
        match beside {
            Some(beside) if beside.cascade_hash() == made.cascade_hash() => {
                let _ = fs::remove_file(kept);
                Ok(beside)
            }
            _ => Ok(made),
        }
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
    ) -> Result<MetafileOnDisk, Failure> {
        let ground = self.source.ground();
        // Before it is hashed: what is remembered must be on the disk, and a later write must show in the stamp.
        let synced = ground.sync(&SystemDisk).is_ok();
        let stamp = ground.look();
        let bar = FileBar::new(self.source.length(), &Name(&self.path).to_string());
        let made = self.source.describe(out, size, &|bytes| bar.inc(bytes), cancel);
        bar.finish();
        let made = made.map_err(|error| {
            if let CreateError::Inside { path } = &error {
                Failure::Told(own_folder(&self.path, path))
            } else {
                failure(&error)
            }
        })?;
        let hash = made.cascade_hash();
        // Without these the file is hashed once more; nothing else is lost.
        let _ = records.remember_consistent(hash);
        if let (true, Ok(stamp)) = (synced, stamp) {
            let record = Record { have: Have::all(made.layout()), file_hash_checked: true };
            let _ = records.save(hash, &self.path, ground, stamp, &record);
        }
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
