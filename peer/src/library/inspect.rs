//! Finding out what a file of a served folder holds: by the record of an earlier run, or by reading it.
//!
//! Two threads do it. One looks at `.cascade` files and records, which is a matter of microseconds: so that a folder of
//! thousands of files is served at once after a restart. The other one walks through folders and reads data, a file at a
//! time and at the lowest priority: so that those who are served do not feel it.

use super::scan::Look;
use super::scan::data_of;
use super::told::How;
use crate::folder::{FolderError, Special, Tree};
use crate::ground::disk::SystemDisk;
use crate::ground::open::{OpenError, open_regular};
use crate::ground::{Ground, Stamp};
use crate::human::Name;
use crate::metafile::{MetafileFileError, MetafileOnDisk};
use crate::origin::Pool;
use crate::store::prepare::{KeptFile, Trust, kept_path};
use crate::store::{Preparation, PrepareError, Record, Records};
use cascade_format::{CascadeHash, Have, Layout};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::mpsc;

/// What a file's number of blocks counts in, in bytes.
const STAT_BLOCK_LEN: u64 = 512;

/// Jobs that wait for a thread.
const JOBS: usize = 64;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// At the record.
    Record,
    /// At the record, and where there is none, at the bytes.
    Bytes,
    /// At the bytes: they are not what the file's stamp says.
    BytesAlone,
}

/// A file to be looked at.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: u32,
    pub(super) path: Arc<Path>,
    pub(super) look: Look,
    pub(super) depth: Depth,
    /// For the thread that reads.
    pub(super) slow: bool,
}

impl Job {
    fn done(self, outcome: Outcome) -> Inspected {
        Inspected { id: self.id, look: self.look, slow: self.slow, outcome }
    }
}

/// What was found.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) id: u32,
    pub(super) look: Look,
    pub(super) slow: bool,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    /// It cannot be served. `passing`: that may pass by itself.
    Bad { message: String, passing: bool },
    /// There is no data.
    NoData(Described),
    /// There is data, and no record of it. A file or folder that looked like this.
    Unchecked(Described, Stamp),
    /// This is what it holds.
    Checked(Checked),
    /// It does not look any more as it did.
    Moved,
    /// Everything ends.
    Interrupted,
}

/// What a `.cascade` file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) hash: CascadeHash,
    pub(super) layout: Layout,
    /// Whether the data was complete when this program looked at it last.
    pub(super) was_complete: bool,
}

/// A file whose blocks are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checked {
    pub(super) described: Described,
    /// The right blocks; `None`: all.
    pub(super) have: Option<Arc<Have>>,
    /// What the data looked like.
    pub(super) stamp: Stamp,
    pub(super) how: How,
}

impl Checked {
    /// The number of right blocks.
    pub(super) fn count(&self) -> u64 {
        self.have.as_ref().map_or(self.described.layout.blocks(), |have| have.count())
    }
}

/// How far the file is that is being read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Bytes so far.
    pub(super) done: AtomicU64,
}

/// The two threads.
#[derive(Debug)]
pub(super) struct Inspectors {
    quick: mpsc::Sender<Job>,
    slow: mpsc::Sender<Job>,
    pub(super) results: mpsc::Receiver<Inspected>,
    pub(super) reading: Arc<Reading>,
}

impl Inspectors {
    /// Starts them.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(
        records: &Records,
        cancel: &Arc<AtomicBool>,
        pool: Option<&Arc<Pool>>,
    ) -> io::Result<Self> {
        let reading = Arc::<Reading>::default();
        let (tell, results) = mpsc::channel(2 * JOBS);
        let start = |name: &str, priority: fn()| {
            let (jobs, mut waiting) = mpsc::channel::<Job>(JOBS);
            let (records, cancel) = (records.clone(), Arc::clone(cancel));
            let (tell, reading, pool) = (tell.clone(), Arc::clone(&reading), pool.cloned());
            let work = move || {
                priority();
                while let Some(job) = waiting.blocking_recv() {
                    let outcome = inspect(&job, &records, &cancel, &reading);
                    if let (Some(pool), Outcome::NoData(described)) = (&pool, &outcome) {
                        adopt(pool, &data_of(&job.path), described, &records);
                    }
                    if tell.blocking_send(job.done(outcome)).is_err() {
                        return;
                    }
                }
            };
            std::thread::Builder::new().name(name.into()).spawn(work).map(|_| jobs)
        };
        let (quick, slow) = (start("records", || ())?, start("check", yield_to_all)?);
        Ok(Self { quick, slow, results, reading })
    }

    /// Whether the thread for jobs of this kind takes one more.
    pub(super) fn has_room(&self, slow: bool) -> bool {
        // One file at a time is read: what waits here could not be put off any more.
        if slow { self.slow.capacity() == JOBS } else { self.quick.capacity() > 0 }
    }

    /// Gives it a job. Ask [`Inspectors::has_room`] first.
    pub(super) fn give(&self, job: Job) {
        if job.slow {
            self.reading.done.store(0, Ordering::Relaxed);
        }
        let _ = if job.slow { &self.slow } else { &self.quick }.try_send(job);
    }
}

/// Makes this thread, and those that it starts, give way to all others: on Linux the priority is that of a thread, and
/// lowers that of its reads from the disk as well.
#[cfg(target_os = "linux")]
fn yield_to_all() {
    /// What `nice` would add.
    const NICE: i32 = 19;
    let _ = rustix::process::setpriority_process(None, NICE);
}

#[cfg(not(target_os = "linux"))]
fn yield_to_all() {}

fn inspect(job: &Job, records: &Records, cancel: &AtomicBool, reading: &Reading) -> Outcome {
    let metafile = match MetafileOnDisk::open(&*job.path) {
        Ok(metafile) => metafile,
        Err(MetafileFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Outcome::Moved;
        }
        Err(error) => {
            let passing = matches!(error, MetafileFileError::Io { .. });
            return Outcome::Bad { message: error.to_string(), passing };
        }
    };
    let data = match metafile.data_path() {
        Ok(data) => data,
        Err(error) => return Outcome::Bad { message: error.to_string(), passing: false },
    };
    let hash = metafile.cascade_hash();
    let recorded = records.recorded(hash, &data, metafile.layout());
    let was_complete = recorded.as_ref().is_some_and(|(_, record)| record.have.is_complete());
    let described = Described { hash, layout: *metafile.layout(), was_complete };
    let Some(look) = &job.look.data else { return Outcome::NoData(described) };
    let ground = match open(&data, look.folder, cancel) {
        Ok(ground) => ground,
        Err(outcome) => return *outcome,
    };
    let progress = |bytes| {
        reading.done.fetch_add(bytes, Ordering::Relaxed);
    };
    let preparation = Preparation { progress: &progress, ..Preparation::new(&metafile, records, cancel) };
    let inspection = Inspection { preparation, records, described, data: &data, ground: &*ground };
    match inspection.run(job, look.folder, recorded) {
        Ok(outcome) => outcome,
        Err(PrepareError::Interrupted) => Outcome::Interrupted,
        Err(error) => Outcome::Bad { message: error.to_string(), passing: true },
    }
}

/// What an earlier run has kept of a file that an origin has is counted.
fn adopt(pool: &Pool, data: &Path, described: &Described, records: &Records) {
    let (path, &Described { hash, layout, .. }) = (kept_path(data), described);
    let Ok(there) = fs::symlink_metadata(&path) else { return };
    if there.is_file()
        && there.len() == layout.length()
        // Else it is somebody else's.
        && let Some((stamp, record)) = records.recorded(hash, &path, &layout)
    {
        let have = (stamp == Stamp::from_metadata(&there)).then_some(&record.have);
        let bytes = there.blocks() * STAT_BLOCK_LEN;
        let file = Arc::new(KeptFile { hash, path, layout, records: records.clone() });
        pool.adopt(hash, layout, file, (have, bytes));
    }
}

/// Opens the data.
fn open(path: &Path, folder: bool, cancel: &AtomicBool) -> Result<Box<dyn Ground>, Box<Outcome>> {
    if folder {
        return match Tree::walk(path, Special::Skip, cancel) {
            Ok(tree) => Ok(Box::new(tree)),
            Err(FolderError::Interrupted) => Err(Box::new(Outcome::Interrupted)),
            Err(error) => Err(Box::new(Outcome::Bad { message: error.to_string(), passing: true })),
        };
    }
    match open_regular(path) {
        Ok((file, _)) => Ok(Box::new(file)),
        Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Err(Box::new(Outcome::Moved)),
        Err(error) => {
            let message = format!("cannot open {}: {error}", Name(path));
            Err(Box::new(Outcome::Bad { message, passing: matches!(error, OpenError::Io(_)) }))
        }
    }
}

struct Inspection<'a> {
    preparation: Preparation<'a>,
    records: &'a Records,
    described: Described,
    data: &'a Path,
    ground: &'a dyn Ground,
}

impl Inspection<'_> {
    fn run(
        &self,
        job: &Job,
        folder: bool,
        recorded: Option<(Stamp, Record)>,
    ) -> Result<Outcome, PrepareError> {
        let Self { described, data: path, ground, .. } = *self;
        let Ok(stamp) = ground.look() else { return Ok(Outcome::Moved) };
        if !folder && job.look.data.as_ref().is_some_and(|data| data.stamp != stamp) {
            return Ok(Outcome::Moved);
        }
        if job.depth != Depth::BytesAlone && ground.sync(&SystemDisk).is_ok() {
            if let Some((_, record)) = recorded.filter(|(there, _)| *there == stamp) {
                return Ok(Outcome::Checked(self.checked(record.have, stamp, How::Known)));
            }
            if job.depth == Depth::Record {
                return Ok(Outcome::Unchecked(described, stamp));
            }
        }
        // Also where a sync has failed: then the system's memory of the file is not to be believed.
        let found = self.preparation.durable(path, ground, Trust::Bytes)?;
        let (stamp, file_hash_checked) = (found.stamp, found.file_hash_checked);
        let record = Record { have: found.have, file_hash_checked };
        // That it was complete once is worth more than what a changed file has left.
        if record.have.is_complete() || !described.was_complete {
            // Without it the next run reads the file again; nothing else is lost.
            let _ = self.records.save(described.hash, path, ground, stamp, &record);
        }
        Ok(Outcome::Checked(self.checked(record.have, stamp, How::Checked)))
    }

    fn checked(&self, have: Have, stamp: Stamp, how: How) -> Checked {
        let have = (!have.is_complete()).then(|| Arc::new(have));
        let complete = self.described.was_complete || have.is_none();
        Checked { described: Described { was_complete: complete, ..self.described }, have, stamp, how }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::scan;
    use super::*;
    use cascade_format::{BlockHash, FileHash, Header, Metafile};
    use std::fs;

    fn look_at(folder: &Path, records: &Records, depth: Depth) -> Outcome {
        let (path, look) = scan(folder, &[]).found.into_iter().next().unwrap();
        let job = Job { id: 1, path: path.into(), look, depth, slow: true };
        inspect(&job, records, &AtomicBool::new(false), &Reading::default())
    }

    #[test]
    fn a_file_is_known_by_its_record_and_a_changed_one_was_complete_once() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::in_folder(&folder.path().join(".state"));
        let (data, blocks) = (folder.path().join("x"), [b"0123".as_slice(), b"4567"]);
        let header = Header {
            layout: Layout::new(8, 4).unwrap(),
            file_hash: FileHash(*BlockHash::of(&blocks.concat()).as_bytes()),
        };
        let hashes = blocks.iter().map(|block| BlockHash::of(block)).collect();
        fs::write(folder.path().join("x.cascade"), Metafile::new(header, hashes).unwrap().encode()).unwrap();
        let look = |depth| look_at(folder.path(), &records, depth);
        assert!(matches!(look(Depth::Record), Outcome::NoData(described) if !described.was_complete));
        fs::write(&data, blocks.concat()).unwrap();
        assert!(matches!(look(Depth::Record), Outcome::Unchecked(..)));
        let Outcome::Checked(checked) = look(Depth::Bytes) else { panic!("not checked") };
        assert!(checked.have.is_none() && checked.how == How::Checked && checked.count() == 2);
        let Outcome::Checked(known) = look(Depth::Record) else { panic!("not known") };
        assert_eq!(known.how, How::Known);
        let Outcome::Checked(again) = look(Depth::BytesAlone) else { panic!("not checked") };
        assert_eq!(again.how, How::Checked, "the record is not asked");

        // Somebody works on the file.
        fs::write(&data, b"0123....").unwrap();
        for _ in 0..2 {
            let Outcome::Checked(changed) = look(Depth::Bytes) else { panic!("not checked") };
            assert!(changed.count() == 1 && changed.described.was_complete && changed.how == How::Checked);
        }
        fs::write(folder.path().join("x.cascade"), b"nonsense").unwrap();
        assert!(matches!(look(Depth::Record), Outcome::Bad { passing: false, .. }));
    }
}
