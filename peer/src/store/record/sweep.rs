//! Records of what is no more go: once a day, after a record was written, a part of the folder is looked at.

use super::{MAX_HEADER_LEN, RecordHeader};
use std::ffi::OsStr;
use std::fs::{self, DirEntry, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Days without use after which a record of a file goes that was removed from a disk that is there.
pub const GONE_RECORD_DAYS: u64 = 30;

/// Days without use after which a record goes of which nobody can tell whether its file was removed: its disk is not
/// there, or the record does not say where the file is.
pub const UNUSED_RECORD_DAYS: u64 = 365;

/// Records that one sweep looks at; the next sweep goes on with others.
pub const MAX_SWEPT: usize = 4096;

/// Between two sweeps of a folder, whichever process sweeps.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(86_400);

/// Was written at the last sweep.
const MARKER: &str = "swept";

const DAY_SECS: u64 = 86_400;

/// Sweeps `folder`, if that is due. The record `written` was written a moment ago: its time is the clock of the file
/// system, which the times of the other records are of, too.
pub(super) fn sweep(folder: &Path, written: &Path) {
    let marker = folder.join(MARKER);
    let Ok(now) = modified(written) else { return };
    let last = modified(&marker).ok().and_then(|last| now.duration_since(last).ok());
    if last.is_none_or(|since| since >= SWEEP_INTERVAL) && File::create(&marker).is_ok() {
        sweep_part(folder, now);
    }
}

fn sweep_part(folder: &Path, now: SystemTime) {
    let (Ok(all), Ok(entries)) = (fs::read_dir(folder), fs::read_dir(folder)) else { return };
    let parts = all.count().div_ceil(MAX_SWEPT).max(1);
    let days = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / DAY_SECS;
    let part = usize::try_from(days).unwrap_or(0) % parts;
    for entry in entries.skip(part * MAX_SWEPT).take(MAX_SWEPT).flatten() {
        if unused_days(&entry, now).is_some_and(|days| goes(&entry.path(), days)) {
            // Another process may have done it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Days since a record was used; `None`: it cannot be told.
fn unused_days(entry: &DirEntry, now: SystemTime) -> Option<u64> {
    let there = entry.metadata().ok().filter(fs::Metadata::is_file)?;
    Some(now.duration_since(there.modified().ok()?).ok()?.as_secs() / DAY_SECS)
}

/// Whether the record at `path`, which was not used for this number of days, goes.
fn goes(path: &Path, days: u64) -> bool {
    match path.extension().and_then(OsStr::to_str) {
        Some("checked") => days >= GONE_RECORD_DAYS && is_of_nothing(path, days),
        Some("consistent") => days >= GONE_RECORD_DAYS,
        Some("written") => days >= UNUSED_RECORD_DAYS,
        _ => false,
    }
}

/// Whether nothing has the name of the file any more that the record at `path` is of. As long as something has it, the
/// record stays, however old it is: a file that was complete once is not overwritten, because its user may have
/// changed it.
fn is_of_nothing(path: &Path, days: u64) -> bool {
    let Ok(header) = header_of(path) else { return false };
    let Some(header) = header else { return days >= UNUSED_RECORD_DAYS };
    match fs::symlink_metadata(&header.path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
        Ok(_) | Err(_) => return false,
    }
    // What is left of the way to the file is on the disk that had the file, or that disk is not there.
    let left = header.path.ancestors().skip(1).find_map(|folder| fs::metadata(folder).ok());
    days >= UNUSED_RECORD_DAYS || left.is_some_and(|left| left.dev() == header.stamp.device)
}

/// The header of a record; `None`: it has none that this program can read.
fn header_of(path: &Path) -> io::Result<Option<RecordHeader>> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?.take(MAX_HEADER_LEN as u64)).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line).ok())
}

fn modified(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path)?.modified()
}

#[cfg(test)]
mod tests {
    use super::super::{Record, Records};
    use super::*;
    use crate::folder::Written;
    use crate::ground::{Ground, Stamp};
    use cascade_format::{CascadeHash, Have, Layout};
    use std::path::PathBuf;
    use tempfile::TempDir;

    const HASH: CascadeHash = CascadeHash([1; 32]);

    struct Scene {
        dir: TempDir,
        records: Records,
        layout: Layout,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let records = Records::in_folder(&dir.path().join("state"));
            Self { dir, records, layout: Layout::new(1, 1).unwrap() }
        }

        /// A file below the scene, and its record.
        fn recorded(&self, name: &str) -> (PathBuf, PathBuf) {
            let path = self.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"x").unwrap();
            let file = File::open(&path).unwrap();
            let record = Record { have: Have::all(&self.layout), file_hash_checked: true };
            self.records.save(HASH, &path, &file, file.look().unwrap(), &record).unwrap();
            let record = self.records.name(HASH, &path).unwrap();
            assert!(record.exists());
            (path, record)
        }

        /// The same day, some days later.
        fn sweep_after(&self, days: u64) {
            let marker = self.state().join("now");
            let now = File::create(&marker).and_then(|_| modified(&marker)).unwrap();
            fs::remove_file(&marker).unwrap();
            sweep_part(self.state(), now + Duration::from_secs(days * DAY_SECS + 60));
        }

        fn state(&self) -> &Path {
            self.records.folder.as_deref().unwrap()
        }
    }

    #[test]
    fn a_record_goes_when_its_file_was_removed_and_nobody_has_used_it_for_a_month() {
        let scene = Scene::new();
        let (gone, record_of_gone) = scene.recorded("gone");
        let (below, record_of_below) = scene.recorded("folder/below/gone");
        let (_, record_of_there) = scene.recorded("there");
        fs::remove_file(&gone).unwrap();
        fs::remove_dir_all(below.parent().unwrap().parent().unwrap()).unwrap();
        let left = || [&record_of_gone, &record_of_below, &record_of_there].map(|record| record.exists());
        scene.sweep_after(GONE_RECORD_DAYS - 1);
        assert_eq!(left(), [true, true, true]);
        scene.sweep_after(GONE_RECORD_DAYS);
        assert_eq!(left(), [false, false, true]);
        scene.sweep_after(10 * UNUSED_RECORD_DAYS);
        assert_eq!(left(), [false, false, true], "something has the name");
    }

    #[test]
    fn a_record_of_a_disk_that_is_not_there_stays_for_a_year() {
        let scene = Scene::new();
        let (path, record) = scene.recorded("gone");
        let bytes = fs::read(&record).unwrap();
        let device = fs::metadata(&path).unwrap().dev();
        let (own, other) = (format!("\"device\":{device}"), format!("\"device\":{}", device ^ 1));
        let at = bytes.windows(own.len()).position(|window| window == own.as_bytes()).unwrap();
        let changed = [&bytes[..at], other.as_bytes(), &bytes[at + own.len()..]].concat();
        fs::write(&record, changed).unwrap();
        fs::remove_file(&path).unwrap();
        scene.sweep_after(UNUSED_RECORD_DAYS - 1);
        assert!(record.exists());
        scene.sweep_after(UNUSED_RECORD_DAYS);
        assert!(!record.exists());
    }

    #[test]
    fn a_record_that_is_read_is_in_use() {
        let scene = Scene::new();
        let (path, record) = scene.recorded("file");
        let old = SystemTime::UNIX_EPOCH;
        let is_old = |record: &Path| modified(record).unwrap() == old;
        File::options().write(true).open(&record).unwrap().set_modified(old).unwrap();
        let stamp = Stamp::of(&File::open(&path).unwrap()).unwrap();
        assert!(
            scene.records.load(CascadeHash([2; 32]), &path, stamp, &scene.layout).is_none()
                && is_old(&record)
        );
        assert!(scene.records.load(HASH, &path, stamp, &scene.layout).is_some() && !is_old(&record));

        scene.records.remember_consistent(HASH).unwrap();
        let record = scene.records.consistent(HASH).unwrap();
        File::options().write(true).open(&record).unwrap().set_modified(old).unwrap();
        assert!(scene.records.is_consistent(HASH) && !is_old(&record));

        scene.records.save_written(&path, &Written::from_bytes(&[7; 8])).unwrap();
        let record = scene.records.written_name(&path).unwrap();
        File::options().write(true).open(&record).unwrap().set_modified(old).unwrap();
        assert_eq!(scene.records.written(&path).to_bytes(), [7; 8]);
        assert!(!is_old(&record));
    }

    #[test]
    fn other_records_go_by_age_and_what_is_no_record_stays() {
        let scene = Scene::new();
        let (path, checked) = scene.recorded("file");
        scene.records.remember_consistent(HASH).unwrap();
        scene.records.save_written(&path, &Written::from_bytes(&[7; 8])).unwrap();
        let (consistent, written) =
            (scene.records.consistent(HASH).unwrap(), scene.records.written_name(&path).unwrap());
        let strange = scene.state().join("notes.txt");
        fs::write(&strange, b"the user's").unwrap();
        fs::write(&checked, b"no header that this program can read").unwrap();
        let left = || [&consistent, &checked, &written, &strange].map(|path| path.exists());
        scene.sweep_after(GONE_RECORD_DAYS);
        assert_eq!(left(), [false, true, true, true]);
        scene.sweep_after(UNUSED_RECORD_DAYS);
        assert_eq!(left(), [false, false, false, true]);
    }

    #[test]
    fn a_folder_is_swept_once_a_day_when_a_record_is_written() {
        let scene = Scene::new();
        let (_, _) = scene.recorded("first");
        let marker = scene.state().join(MARKER);
        let swept = modified(&marker).unwrap();
        let aged = |path: &Path, days: u64| {
            let time = swept - Duration::from_secs(days * DAY_SECS);
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        };
        let (gone, record) = scene.recorded("gone");
        fs::remove_file(gone).unwrap();
        aged(&record, 2 * GONE_RECORD_DAYS);
        scene.recorded("second");
        assert!(record.exists(), "it was swept a moment ago");
        aged(&marker, 2);
        scene.recorded("third");
        assert!(!record.exists());
    }

    #[test]
    fn one_sweep_looks_at_a_bounded_number_and_the_next_ones_at_the_others() {
        let scene = Scene::new();
        fs::create_dir_all(scene.state()).unwrap();
        let count = 2 * MAX_SWEPT + 10;
        (0..count).for_each(|number| {
            File::create(scene.state().join(format!("{number}.consistent"))).unwrap();
        });
        let left = || fs::read_dir(scene.state()).unwrap().count();
        scene.sweep_after(GONE_RECORD_DAYS);
        let after_one = left();
        assert!(after_one >= count - MAX_SWEPT && after_one < count, "{after_one} of {count}");
        (1..6).for_each(|day| scene.sweep_after(GONE_RECORD_DAYS + day));
        assert_eq!(left(), 0);
    }
}
