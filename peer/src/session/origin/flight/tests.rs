use super::*;
use crate::ground::{HaveMap, Stamp};
use crate::origin::Pool;
use crate::origin::fetcher::Answer;
use crate::origin::pool::{Share, Shrink};
use crate::origin::source::{Body, Boxed, Fault, Opened, Source};
use crate::store::DataFile;
use bytes::Bytes;
use cascade_format::{BlockHash, CascadeHash, Layout};
use std::io::IoSlice;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// An object in memory, and what is to happen to the next answers.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    length: Mutex<Option<u64>>,
    faults: Mutex<VecDeque<Fault>>,
    /// Bytes after which an answer breaks off.
    cut: Option<usize>,
    asked: Mutex<Vec<Range<u64>>>,
}

struct Pieces(VecDeque<Result<Bytes, Fault>>);

impl Source for Memory {
    fn open(&self, range: Range<u64>) -> Boxed<'_, Result<Opened, Fault>> {
        self.asked.lock().unwrap().push(range.clone());
        Box::pin(async move {
            if let Some(fault) = self.faults.lock().unwrap().pop_front() {
                return Err(fault);
            }
            let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
            let end = self.cut.map_or(end, |cut| end.min(start + cut));
            // Pieces that know nothing of blocks; and one byte more than was asked for.
            let mut pieces: VecDeque<_> =
                self.bytes[start..end].chunks(777).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            if end as u64 == range.end {
                pieces.push_back(Ok(Bytes::from_static(b"more than was asked for")));
            }
            let length = self.length.lock().unwrap().unwrap_or(self.bytes.len() as u64);
            Ok(Opened { length, tag: None, body: Box::new(Pieces(pieces)) })
        })
    }
}

impl Body for Pieces {
    fn next(&mut self) -> Boxed<'_, Result<Option<Bytes>, Fault>> {
        let next = self.0.pop_front().transpose();
        Box::pin(async move { next })
    }
}

struct Scene {
    _folder: tempfile::TempDir,
    source: Arc<Memory>,
    flights: Flights,
    path: PathBuf,
    bytes: Vec<u8>,
}

const LENGTH: u64 = 100_000;
const BLOCK: u64 = 3000;

fn scene(make: impl FnOnce(Vec<u8>) -> Memory) -> Scene {
    scene_with(None, make)
}

/// Of a file that has a share of a pool.
fn scene_with(share: Option<Share>, make: impl FnOnce(Vec<u8>) -> Memory) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let (data, path) = (folder.path().join("data"), folder.path().join("data.part"));
    let mut bytes = vec![0; usize::try_from(LENGTH).unwrap()];
    fastrand::Rng::with_seed(5).fill(&mut bytes);
    std::fs::write(&data, &bytes).unwrap();
    let layout = Layout::new(LENGTH, BLOCK).unwrap();
    let hashes = layout.iter().map(|block| {
        let range = layout.range(block);
        BlockHash::of(&bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()])
    });
    let header = cascade_format::Header { layout, file_hash: cascade_format::FileHash::of(&bytes) };
    let metafile = cascade_format::Metafile::new(header, hashes.collect()).unwrap();
    let cascade = folder.path().join("data.cascade");
    std::fs::write(&cascade, metafile.encode()).unwrap();
    let metafile = Arc::new(MetafileOnDisk::open(&cascade).unwrap());
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(LENGTH).unwrap();
    let stamp = Stamp::of(&file).unwrap();
    let data = DataFile::new(file, &path, layout);
    data.guard(stamp);
    let none = Have::none(&layout);
    let shared = Arc::new(Shared::new(CascadeHash([1; 32]), data, HaveMap::new(layout, &none), None));
    let (fetcher, _) = Fetcher::new(layout, &none, share);
    let fetcher = Arc::new(fetcher);
    shared.fetch_from(Arc::clone(&fetcher));
    let source = Arc::new(make(bytes.clone()));
    let taken = Arc::<Memory>::clone(&source);
    let objects = vec![Candidate { shown: "memory".to_owned(), source: taken }];
    Scene {
        _folder: folder,
        source,
        flights: Flights::new(fetcher, shared, metafile, objects, Gate::new(None)).unwrap(),
        path,
        bytes,
    }
}

impl Scene {
    fn ask(&self, number: u64) -> Answer {
        let crew = &self.flights.crew;
        crew.fetcher().ask(crew.shared().layout().block(number).unwrap(), None)
    }

    /// Goes on until a block is there, or the origin is given up.
    async fn bring(&mut self, number: u64) -> Result<Vec<String>, OriginError> {
        let mut lines = Vec::new();
        while !matches!(self.ask(number), Answer::Here) {
            self.flights.begin()?;
            if let News::Line(line) = self.flights.wait().await? {
                lines.push(line);
            }
        }
        Ok(lines)
    }
}

fn of(bytes: Vec<u8>) -> Memory {
    Memory { bytes, ..Memory::default() }
}

#[tokio::test]
async fn what_comes_in_any_pieces_is_written_and_published() {
    let mut scene = scene(of);
    let lines = scene.bring(33).await.unwrap();
    scene.bring(0).await.unwrap();
    assert!(lines.is_empty(), "{lines:?}");
    let have = scene.flights.crew.shared().have();
    assert!(have.is_complete() || have.count() >= 2);
    while !scene.flights.crew.shared().have().is_complete() {
        scene.flights.wait().await.unwrap();
    }
    assert!(std::fs::read(&scene.path).unwrap() == scene.bytes);
    let asked = scene.source.asked.lock().unwrap();
    assert_eq!(*asked, [33 * BLOCK..LENGTH, 0..33 * BLOCK], "nothing twice");
}

#[tokio::test]
async fn an_answer_that_breaks_off_goes_on_in_the_middle_of_a_block() {
    let mut scene = scene(|bytes| Memory { cut: Some(1000), ..of(bytes) });
    scene.bring(32).await.unwrap();
    let asked = scene.source.asked.lock().unwrap();
    assert_eq!(asked[..3], [96_000..LENGTH, 97_000..LENGTH, 98_000..LENGTH]);
}

#[tokio::test]
async fn faults_that_pass_are_told_once() {
    let mut scene = scene(of);
    let fault = || Fault::Passing("no connection".to_owned());
    scene.source.faults.lock().unwrap().extend(std::iter::repeat_with(fault).take(3));
    let mut lines = scene.bring(3).await.unwrap();
    while lines.len() < 2 {
        if let News::Line(line) = scene.flights.wait().await.unwrap() {
            lines.push(line);
        }
    }
    assert_eq!(lines, ["memory: no connection; trying again", "memory: goes on"]);
}

#[tokio::test]
async fn an_origin_that_says_no_is_given_up() {
    let mut scene = scene(of);
    let fault = || Fault::Refused("gone".to_owned());
    scene.source.faults.lock().unwrap().extend(std::iter::repeat_with(fault).take(9));
    assert!(matches!(scene.bring(3).await, Err(OriginError::Refused { .. })));
    let Scene { flights, .. } = scene;
    let fetcher = Arc::clone(&flights.crew.room.fetcher);
    drop(flights);
    assert!(fetcher.is_over(), "who asks is refused");
}

#[tokio::test]
async fn another_length_is_another_object() {
    let mut scene = scene(of);
    *scene.source.length.lock().unwrap() = Some(LENGTH + 1);
    let error = scene.flights.look().await.unwrap_err();
    assert!(matches!(error, OriginError::Length { length, expected: LENGTH, .. } if length == LENGTH + 1));
    *scene.source.length.lock().unwrap() = None;
    assert!(scene.flights.look().await.unwrap().is_none());
    *scene.source.length.lock().unwrap() = Some(LENGTH - 1);
    assert!(matches!(scene.bring(3).await, Err(OriginError::Changed { .. })));
}

#[tokio::test]
async fn a_wrong_block_is_not_published_and_the_others_are() {
    let mut scene = scene(|mut bytes| {
        bytes[7000] ^= 1;
        of(bytes)
    });
    assert!(matches!(scene.ask(0), Answer::Wait(_)));
    let lines = scene.bring(33).await.unwrap();
    assert!(matches!(scene.ask(2), Answer::No));
    let shared = &scene.flights.crew.room.shared;
    assert!(!shared.have().has(shared.layout().block(2).unwrap()));
    assert_eq!(shared.have().count(), 34 - 1);
    if let Some(line) = lines.first() {
        assert_eq!(line, "memory: block 2 came wrong, and is not served");
    }
}

/// What another request has brought meanwhile is served: bytes that come once more may be wrong.
#[tokio::test]
async fn a_block_that_is_there_is_never_written_to() {
    let mut scene = scene(|mut bytes| {
        bytes[7000] ^= 1;
        of(bytes)
    });
    assert!(matches!(scene.ask(0), Answer::Wait(_)));
    let shared = Arc::clone(&scene.flights.crew.room.shared);
    let (right, start) = (&scene.bytes[6000..9000], 2 * BLOCK);
    shared.data().write_all_at(&mut [IoSlice::new(right)], start).unwrap();
    shared.publish(shared.layout().block(2).unwrap());
    scene.bring(33).await.unwrap();
    assert!(shared.have().is_complete());
    assert!(std::fs::read(&scene.path).unwrap() == scene.bytes, "what is served was overwritten");
}

/// A file that nobody uses: nothing can be dropped of it.
#[derive(Debug)]
struct Unused;

impl Shrink for Unused {
    fn shrink(&self, _: Option<&[Dropped]>) -> bool {
        true
    }

    fn path(&self) -> &Path {
        Path::new("")
    }

    fn leave_for(&self, _: &Path) {}
}

/// Blocks that were read as right, and dropped before they are published, would be served as zeroes.
#[tokio::test]
async fn nothing_is_dropped_of_a_file_that_is_read_again() {
    let layout = Layout::new(LENGTH, BLOCK).unwrap();
    let pool = Pool::new(LENGTH + LENGTH / 2, false);
    let share = |number| pool.open(CascadeHash([number; 32]), layout, Arc::new(Unused)).unwrap();
    let mut scene = scene_with(Some(share(1)), of);
    scene.bring(0).await.unwrap();
    while scene.flights.tasks.join_next().await.is_some() {}
    // What has come, and was not read by those who wait for it, is kept for a moment.
    assert!(matches!(scene.ask(33), Answer::Here));
    let shared = Arc::clone(&scene.flights.crew.room.shared);
    let right = shared.have().snapshot();
    let wanted = |share| {
        let (other, _) = Fetcher::new(layout, &Have::none(&layout), Some(share));
        assert!(matches!(other.ask(layout.block(0).unwrap(), None), Answer::Wait(_)));
        other.next().inspect(|order| other.evict_others(&order.others))
    };
    scene.flights.pause().await;
    shared.doubt_all();
    assert_eq!(wanted(share(2)), None, "all that could make room is being read");
    shared.settle(&right, false);
    scene.flights.restart(&right).unwrap();
    assert!(right.is_complete() && shared.have().is_complete());
    assert!(std::fs::read(&scene.path).unwrap() == scene.bytes);
    let order = wanted(share(3)).unwrap();
    assert!(order.others.len() == 1 && shared.have().count() == 0, "then it makes room again");
}
