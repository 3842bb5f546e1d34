//! Links to a scripted peer, over real sockets: how slices and whole blocks come to be verified, and what is written.

use super::*;
use crate::ground::HaveMap;
use crate::store::DataFile;
use cascade_format::extension::slices::name;
use cascade_format::extension::{Item, Marker};
use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN, Status};
use cascade_format::{BlockHash, CascadeHash, FileHash, Have, Header, Layout, Metafile};
use cascade_hash::Sha256Stream;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const HASH: CascadeHash = CascadeHash([1; 32]);
const SLICE_LEN: usize = 64 << 10;
const BLOCK_LEN: usize = 4 * SLICE_LEN;

/// Longer than any test takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A download of two blocks, the second of which is short: slices 0 to 3, and 4 and 5.
struct Scene {
    _folder: TempDir,
    bytes: Vec<u8>,
    file: Arc<FileContext>,
    events: mpsc::Receiver<(LinkId, LinkEvent)>,
    outcomes: Vec<Outcome>,
    news: Vec<News>,
    received: u64,
}

fn scene(with_slices: bool) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = vec![0; BLOCK_LEN + SLICE_LEN + 1000];
    fastrand::Rng::with_seed(7).fill(&mut bytes);
    let layout = Layout::new(bytes.len() as u64, BLOCK_LEN as u64).unwrap();
    let hashes = bytes.chunks(BLOCK_LEN).map(BlockHash::of).collect();
    let header = Header { layout, file_hash: FileHash::of(&bytes) };
    let path = folder.path().join("data.cascade");
    std::fs::write(&path, Metafile::new(header, hashes).unwrap().encode()).unwrap();
    let metafile = Arc::new(MetafileOnDisk::open(path).unwrap());
    let path = folder.path().join("data.part");
    let data = std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    data.set_len(bytes.len() as u64).unwrap();
    let have = HaveMap::new(layout, &Have::none(&layout));
    let shared = Arc::new(Shared::new(HASH, DataFile::new(data, &path, layout), have, None));
    let prefix = PrefixHash::new(Arc::clone(&shared));
    let (send, events) = mpsc::channel(64);
    let slices = Sliced::of(&shared).filter(|_| with_slices);
    let file = Arc::new(FileContext { shared, metafile, slices, prefix, events: send });
    Scene { _folder: folder, bytes, file, events, outcomes: Vec::new(), news: Vec::new(), received: 0 }
}

impl Scene {
    fn layout(&self) -> Layout {
        self.file.shared.layout().sliced().unwrap()
    }

    fn slice(&self, number: u64) -> Block {
        self.layout().block(number).unwrap()
    }

    fn block(&self, number: u64) -> Block {
        self.file.shared.layout().block(number).unwrap()
    }

    /// The right bytes of a slice, and the state in front of them.
    fn right(&self, number: u64) -> ([u8; 32], Vec<u8>) {
        let range = self.layout().range(self.slice(number));
        let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
        let mut stream = Sha256Stream::new();
        stream.update(&self.bytes[start / BLOCK_LEN * BLOCK_LEN..start]);
        (stream.state().unwrap(), self.bytes[start..end].to_vec())
    }

    fn has(&self, number: u64) -> bool {
        self.file.shared.has_slice(self.slice(number))
    }

    /// Whether the bytes of the slice are at their place in the file, and right.
    fn is_written(&self, number: u64) -> bool {
        let (_, right) = self.right(number);
        let mut there = vec![0; right.len()];
        let start = self.layout().start(self.slice(number));
        self.file.shared.data().read_exact_at(&mut there, start).unwrap();
        there == right
    }

    /// A new link, and its other end.
    async fn link(&self, id: u64) -> (LinkHandle, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let task = LinkTask {
            id: LinkId(id),
            addr: listener.local_addr().unwrap().into(),
            file: Arc::clone(&self.file),
            listening: None,
            marker_port: Some(7001),
            threads: LinkThreads::start(1).unwrap(),
            buffers: BufferPool::default(),
            hashers: HashPool::start(1).unwrap(),
            limit: None,
        };
        // The threads end when the last of these is dropped.
        let threads = (task.threads.clone(), task.hashers.clone());
        let handle = task.start();
        let (stream, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
        (handle, Peer { stream, _threads: threads })
    }

    async fn take_event(&mut self) {
        let (_, event) = timeout(LONG, self.events.recv()).await.expect("an event").unwrap();
        match event {
            LinkEvent::Connected => {}
            LinkEvent::Received { bytes, news, outcomes, .. } => {
                self.received += bytes;
                self.news.extend(news);
                self.outcomes.extend(outcomes);
            }
            LinkEvent::Closed(ended, reason) => panic!("{ended:?}: {reason}"),
            LinkEvent::Disk(error) => panic!("{error}"),
        }
    }

    /// The next outcomes, on whatever link.
    async fn outcomes<const N: usize>(&mut self) -> [Outcome; N] {
        while self.outcomes.len() < N {
            self.take_event().await;
        }
        std::mem::take(&mut self.outcomes).try_into().unwrap()
    }

    /// Waits until the links have received this number of bytes.
    async fn receive(&mut self, bytes: usize) {
        let until = self.received + bytes as u64;
        while self.received < until {
            self.take_event().await;
        }
    }

    fn verified(&self, number: u64) -> Outcome {
        Outcome::Verified(self.slice(number))
    }

    fn corrupt(&self, number: u64) -> Outcome {
        Outcome::Corrupt(self.slice(number))
    }
}

fn ask(link: &LinkHandle, asks: &[Ask]) {
    link.ask(Questions { asks: asks.to_vec(), offers_seen: 0 });
}

/// The other end of a link.
struct Peer {
    stream: TcpStream,
    _threads: (LinkThreads, HashPool),
}

impl Peer {
    async fn request(&mut self) -> BlockRequest {
        let mut bytes = [0; REQUEST_LEN];
        timeout(LONG, self.stream.read_exact(&mut bytes)).await.expect("a request").unwrap();
        BlockRequest::parse(&bytes).unwrap()
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits for the next request, and answers it.
    async fn reply(&mut self, answer: &[u8]) {
        self.request().await;
        self.send(answer).await;
    }
}

/// An answer, its field first if it has one.
fn answer(status: u8, field: Option<&[u8]>, body: &[u8]) -> Vec<u8> {
    let field = field.map(|items| [&u16::try_from(items.len()).unwrap().to_be_bytes(), items].concat());
    let status = if field.is_some() { 0x80 | status } else { status };
    let body = [&field.unwrap_or_default(), body].concat();
    [&[status], &(body.len() as u64).to_be_bytes()[..], &body].concat()
}

/// The answer with a slice: item 17 of 32 bytes, and the slice.
fn slice_answer((state, bytes): &([u8; 32], Vec<u8>)) -> Vec<u8> {
    answer(0, Some(&[&[17, 0, 32], &state[..]].concat()), bytes)
}

#[tokio::test]
async fn slices_are_requested_by_their_name_and_verified_from_the_end_of_their_block() {
    let mut scene = scene(true);
    scene.file.prefix.start().unwrap();
    let (link, mut peer) = scene.link(1).await;
    let asks: Vec<Ask> = (0..6).map(|number| Ask::Slice(scene.slice(number))).collect();
    ask(&link, &asks);
    for number in 0..6 {
        let request = peer.request().await;
        assert_eq!((request.cascade_hash, request.block), (name(&HASH), number));
        assert_eq!(Marker::of(&request).unwrap().port, 7001);
        assert!(!scene.has(number));
        peer.send(&slice_answer(&scene.right(number))).await;
        assert_eq!(scene.outcomes().await, [scene.verified(number)]);
        assert!(scene.has(number) && scene.is_written(number));
        let complete = [0, 1].map(|block| scene.file.shared.have().has(scene.block(block)));
        assert_eq!(complete, [number >= 3, number >= 5], "after slice {number}");
    }
    // A state alone is no news of the peer.
    assert_eq!(scene.news, []);
    let hash = timeout(LONG, scene.file.prefix.result()).await.expect("the hash of the file").unwrap();
    assert_eq!(hash, FileHash::of(&scene.bytes));
}

#[tokio::test]
async fn slices_that_arrive_together_are_verified_in_order() {
    let mut scene = scene(true);
    let (link, mut peer) = scene.link(1).await;
    let asks: Vec<Ask> = (0..6).map(|number| Ask::Slice(scene.slice(number))).collect();
    ask(&link, &asks);
    for _ in &asks {
        peer.request().await;
    }
    let answers: Vec<Vec<u8>> = (0..6).map(|number| slice_answer(&scene.right(number))).collect();
    peer.send(&answers.concat()).await;
    assert_eq!(scene.outcomes().await, [0, 1, 2, 3, 4, 5].map(|number| scene.verified(number)));
    assert!((0..6).all(|number| scene.is_written(number)) && scene.file.shared.have().is_complete());
}

#[tokio::test]
async fn a_slice_with_a_wrong_state_or_a_wrong_byte_is_corrupt() {
    let mut scene = scene(true);
    let (link, mut peer) = scene.link(1).await;
    for number in 0..4 {
        let right = scene.right(number);
        let (mut wrong_state, mut wrong_byte) = (right.clone(), right.clone());
        wrong_state.0[31] ^= 1;
        wrong_byte.1[SLICE_LEN / 2] ^= 1;
        ask(&link, &[Ask::Slice(scene.slice(number)); 3]);
        peer.reply(&slice_answer(&wrong_state)).await;
        peer.reply(&slice_answer(&wrong_byte)).await;
        let corrupt = scene.corrupt(number);
        assert_eq!(scene.outcomes().await, [corrupt; 2]);
        assert!(!scene.has(number));
        peer.reply(&slice_answer(&right)).await;
        assert_eq!(scene.outcomes().await, [scene.verified(number)]);
    }
    assert!(scene.file.shared.have().has(scene.block(0)) && (0..4).all(|number| scene.is_written(number)));
}

#[tokio::test]
async fn a_slice_is_discarded_if_the_one_behind_it_was_refused() {
    let mut scene = scene(true);
    let (link, mut peer) = scene.link(1).await;
    let [first, second] = [scene.slice(0), scene.slice(1)];
    ask(&link, &[Ask::Slice(first), Ask::Slice(second)]);
    peer.reply(&answer(2, None, b"not now")).await;
    peer.reply(&slice_answer(&scene.right(1))).await;
    let refused = Outcome::Refused(first, Status::MissingBlock);
    assert_eq!(scene.outcomes().await, [refused, Outcome::Discarded(second)]);
    ask(&link, &[Ask::Slice(first), Ask::Slice(second)]);
    for number in 0..2 {
        peer.reply(&slice_answer(&scene.right(number))).await;
    }
    assert_eq!(scene.outcomes().await, [scene.verified(0), scene.verified(1)]);
}

#[tokio::test]
async fn a_whole_block_writes_only_what_is_not_verified() {
    let mut scene = scene(true);
    let (link, mut peer) = scene.link(1).await;
    let (block, first) = (scene.block(0), scene.slice(0));
    ask(&link, &[Ask::Slice(first), Ask::Slice(scene.slice(1)), Ask::Block(block), Ask::Block(block)]);
    for number in 0..2 {
        peer.reply(&slice_answer(&scene.right(number))).await;
    }
    assert_eq!(scene.outcomes().await, [scene.verified(0), scene.verified(1)]);
    let mut wrong = scene.bytes[..BLOCK_LEN].to_vec();
    wrong.iter_mut().for_each(|byte| *byte ^= 0xff);
    peer.reply(&answer(0, None, &wrong)).await;
    assert_eq!(scene.outcomes().await, [scene.corrupt(0)]);
    assert!(scene.is_written(0) && scene.is_written(1) && !scene.is_written(2) && !scene.is_written(3));
    assert!(scene.has(1) && !scene.has(2));
    peer.reply(&answer(0, None, &scene.bytes[..BLOCK_LEN])).await;
    assert_eq!(scene.outcomes().await, [Outcome::VerifiedWhole(first)]);
    assert!((0..4).all(|number| scene.has(number) && scene.is_written(number)));
    // What is there as a whole is not written either.
    ask(&link, &[Ask::Block(block), Ask::Slice(first)]);
    peer.reply(&answer(0, None, &wrong)).await;
    peer.reply(&slice_answer(&(scene.right(0).0, wrong[..SLICE_LEN].to_vec()))).await;
    assert_eq!(scene.outcomes().await, [scene.corrupt(0); 2]);
    assert!((0..4).all(|number| scene.is_written(number)));
}

#[tokio::test]
async fn late_bytes_of_a_whole_block_overwrite_no_slice() {
    let mut scene = scene(true);
    let (slow, mut slow_peer) = scene.link(1).await;
    let (fast, mut fast_peer) = scene.link(2).await;
    ask(&slow, &[Ask::Block(scene.block(0))]);
    let late = answer(0, None, &vec![0xee; BLOCK_LEN]);
    let (early, late) = late.split_at(SLICE_LEN);
    slow_peer.reply(early).await;
    scene.receive(early.len()).await;
    assert!(slow.lease().revoke(Unit::Block(scene.block(0)), &scene.file.shared));
    let asks: Vec<Ask> = (0..3).map(|number| Ask::Slice(scene.slice(number))).collect();
    ask(&fast, &asks);
    for number in 0..3 {
        fast_peer.reply(&slice_answer(&scene.right(number))).await;
    }
    assert_eq!(scene.outcomes().await, [0, 1, 2].map(|number| scene.verified(number)));
    slow_peer.send(late).await;
    assert_eq!(scene.outcomes().await, [Outcome::Discarded(scene.slice(0))]);
    assert!((0..3).all(|number| scene.is_written(number)));
}

#[tokio::test]
async fn late_bytes_of_a_slice_overwrite_nothing() {
    let mut scene = scene(true);
    let (slow, mut slow_peer) = scene.link(1).await;
    let (fast, mut fast_peer) = scene.link(2).await;
    let [first, second] = [scene.slice(0), scene.slice(1)];
    ask(&slow, &[Ask::Slice(first), Ask::Slice(second)]);
    let (state, mut wrong) = scene.right(0);
    wrong.fill(0xee);
    let late = slice_answer(&(state, wrong));
    let (early, late) = late.split_at(SLICE_LEN / 2);
    slow_peer.reply(early).await;
    scene.receive(early.len()).await;
    for slice in [first, second] {
        assert!(slow.lease().revoke(Unit::Slice(slice), &scene.file.shared));
    }
    // One is asked for as a slice elsewhere, the other is a part of a whole block then.
    ask(&fast, &[Ask::Slice(first), Ask::Block(scene.block(0))]);
    fast_peer.reply(&slice_answer(&scene.right(0))).await;
    fast_peer.reply(&answer(0, None, &scene.bytes[..BLOCK_LEN])).await;
    assert_eq!(scene.outcomes().await, [scene.verified(0), Outcome::VerifiedWhole(first)]);
    slow_peer.send(late).await;
    slow_peer.reply(&slice_answer(&([9; 32], vec![0xee; SLICE_LEN]))).await;
    assert_eq!(scene.outcomes().await, [Outcome::Discarded(first), Outcome::Discarded(second)]);
    assert!((0..4).all(|number| scene.is_written(number)));
}

#[tokio::test]
async fn news_are_told_in_order_with_their_kind() {
    let mut scene = scene(true);
    let (link, mut peer) = scene.link(1).await;
    let slice = Ask::Slice(scene.slice(0));
    ask(&link, &[Ask::News]);
    link.ask(Questions { asks: vec![Ask::SliceNews, Ask::SliceNews, slice], offers_seen: 5 });
    let news = u64::MAX;
    for expected in [(HASH, news, 0), (name(&HASH), news, 5), (name(&HASH), news, 5), (name(&HASH), 0, 5)] {
        let request = peer.request().await;
        let offers_seen = Marker::of(&request).unwrap().offers_seen;
        assert_eq!((request.cascade_hash, request.block, offers_seen), expected);
    }
    let [slices, everything, load] = [&[12, 0, 0][..], &[1, 0, 0], &[8, 0, 2, 0, 0]];
    let (state, bytes) = scene.right(0);
    let with_load = [&[17, 0, 32], &state[..], load].concat();
    peer.send(
        &[
            answer(2, Some(slices), b""),
            answer(2, Some(everything), b""),
            answer(2, Some(load), b""),
            answer(0, Some(&with_load), &bytes),
        ]
        .concat(),
    )
    .await;
    let told = Outcome::Told;
    assert_eq!(scene.outcomes().await, [told, told, told, scene.verified(0)]);
    let all = |sliced| {
        let news = scene.news.iter().filter(move |news| news.sliced == sliced);
        news.flat_map(|news| news.items.clone()).collect::<Vec<_>>()
    };
    assert!(!scene.news[0].sliced, "{:?}", scene.news);
    assert_eq!(
        (all(false), all(true)),
        (vec![Item::Slices], vec![Item::Everything, Item::Load(0), Item::Load(0)])
    );
}

#[tokio::test]
async fn a_lie_about_a_slice_ends_the_link() {
    let mut scene = scene(true);
    let (link, mut peer) = scene.link(1).await;
    ask(&link, &[Ask::Slice(scene.slice(0))]);
    peer.reply(&answer(0, None, &scene.right(0).1)).await;
    let (ended, reason) = loop {
        let (_, event) = timeout(LONG, scene.events.recv()).await.expect("an event").unwrap();
        if let LinkEvent::Closed(ended, reason) = event {
            break (ended, reason);
        }
    };
    assert_eq!(ended, Ended::Lied);
    assert_eq!(reason, "it sent slice 0 without the state of SHA-256 in front of it");
    assert!(!scene.has(0));
}

#[tokio::test]
async fn a_plan_of_blocks_hears_of_blocks() {
    let mut scene = scene(false);
    let (link, mut peer) = scene.link(1).await;
    let [first, second] = [scene.block(0), scene.block(1)];
    ask(&link, &[Ask::Block(first), Ask::Block(second), Ask::Block(second)]);
    let request = peer.request().await;
    assert_eq!((request.cascade_hash, request.block), (HASH, 0));
    peer.send(&answer(0, None, &scene.bytes[..BLOCK_LEN])).await;
    peer.reply(&answer(2, None, b"not now")).await;
    peer.reply(&answer(0, None, &vec![0; scene.bytes.len() - BLOCK_LEN])).await;
    let refused = Outcome::Refused(second, Status::MissingBlock);
    assert_eq!(scene.outcomes().await, [Outcome::Verified(first), refused, Outcome::Corrupt(second)]);
}
