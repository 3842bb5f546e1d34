//! Files to serve and clients that ask for them, with plain blocking sockets and the bytes of the
//! protocol.

use super::super::response::Response;
use crate::catalog::{Catalog, Served};
use crate::ground::{HaveMap, Stamp};
use crate::metafile::MetafileOnDisk;
use crate::serve::{Options, Pool, ServeStats};
use crate::store::{DataFile, Shared};
use cascade_format::{CascadeHash, Have, Layout};
use cascade_hash::Sha256Stream;
use cascade_tests::full_speed;
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// No test waits longer than this for anything.
pub(in crate::serve) const PATIENCE: Duration = Duration::from_secs(20);

/// A complete, verified data file of unlike bytes.
pub(in crate::serve) struct Sample {
    pub(in crate::serve) shared: Arc<Shared>,
    pub(in crate::serve) served: Arc<Served>,
    pub(in crate::serve) bytes: Vec<u8>,
    path: NamedTempFile,
}

impl Sample {
    pub(in crate::serve) fn new(length: u64, block_size: u64) -> Self {
        Self::with_blocks(length, block_size, Have::all)
    }

    pub(in crate::serve) fn with_blocks(
        length: u64,
        block_size: u64,
        have: impl Fn(&Layout) -> Have,
    ) -> Self {
        let mut random = fastrand::Rng::with_seed(length ^ block_size << 32);
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        random.fill(&mut bytes);
        let path = NamedTempFile::new().unwrap();
        std::fs::write(path.path(), &bytes).unwrap();
        let layout = Layout::new(length, block_size).unwrap();
        let file = File::open(path.path()).unwrap();
        let (stamp, have) = (Stamp::of(&file).unwrap(), HaveMap::new(layout, &have(&layout)));
        let mut hash = [0; 32];
        random.fill(&mut hash);
        let data = DataFile::new(file, path.path(), layout);
        let shared = Arc::new(Shared::new(CascadeHash(hash), data, have, Some(stamp)));
        Self { served: Served::new(Arc::clone(&shared)), shared, bytes, path }
    }

    /// From now on every block is hashed before it is served, and nothing else shows a change of the file.
    pub(in crate::serve) fn with_proof(self) -> Self {
        let metafile = NamedTempFile::new().unwrap();
        std::fs::write(metafile.path(), self.metafile_bytes()).unwrap();
        self.shared.prove_with(Arc::new(MetafileOnDisk::open(metafile.path()).unwrap()));
        self.shared.set_stamp(None);
        self
    }

    /// The bytes of its `.cascade` file.
    pub(in crate::serve) fn metafile_bytes(&self) -> Vec<u8> {
        let layout = *self.shared.layout();
        let hashes = layout.iter().flat_map(|block| Sha256Stream::digest(self.block(block.number())));
        let head = [*b"CASCADE1", [0; 8], layout.length().to_be_bytes(), layout.block_size().to_be_bytes()];
        let whole = Sha256Stream::digest(&self.bytes);
        head.concat().into_iter().chain(whole).chain(hashes).collect()
    }

    /// The file, opened to be written to.
    pub(in crate::serve) fn file(&self) -> File {
        File::options().write(true).open(self.path.path()).unwrap()
    }

    pub(in crate::serve) fn block(&self, number: u64) -> &[u8] {
        let range = self.shared.layout().range(self.shared.layout().block(number).unwrap());
        &self.bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
    }

    pub(in crate::serve) fn request(&self, number: u64) -> [u8; 64] {
        request(self.shared.cascade_hash(), number)
    }
}

/// The bytes of the answer `response` for a file.
pub(in crate::serve) fn answer_of(sample: &Sample, response: Response) -> Vec<u8> {
    match response {
        Response::Block(block) => block_answer(sample.block(block.number())),
        Response::Refusal(refusal) => refusal.encode(),
        Response::Slice(_) | Response::Part { .. } | Response::News | Response::Guest => Vec::new(),
    }
}

fn block_answer(block: &[u8]) -> Vec<u8> {
    [&[0], (block.len() as u64).to_be_bytes().as_slice(), block].concat()
}

/// A request, written down from the protocol's table.
pub(in crate::serve) fn request(hash: CascadeHash, number: u64) -> [u8; 64] {
    let mut request = [0; 64];
    request[..8].copy_from_slice(b"CASCADE1");
    request[24..32].copy_from_slice(&number.to_be_bytes());
    request[32..].copy_from_slice(hash.as_bytes());
    request
}

/// A pool that serves `samples`.
pub(in crate::serve) struct Server {
    pool: Option<Pool>,
    pub(in crate::serve) catalog: Arc<Catalog>,
    pub(in crate::serve) address: SocketAddr,
    pub(in crate::serve) stats: Arc<ServeStats>,
}

impl Server {
    pub(in crate::serve) fn start(samples: &[&Sample]) -> Self {
        Self::with(samples, Options::default())
    }

    pub(in crate::serve) fn with(samples: &[&Sample], options: Options) -> Self {
        let catalog = Catalog::new();
        for sample in samples {
            catalog.add(Arc::clone(&sample.served));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let pool = Pool::start(listener, Arc::clone(&catalog), options).unwrap();
        let (address, stats) = (pool.local_addr(), Arc::clone(pool.stats()));
        Self { pool: Some(pool), catalog, address, stats }
    }

    pub(in crate::serve) fn connect(&self) -> Client {
        Client::new(self.address)
    }

    pub(in crate::serve) fn stop(&mut self) {
        self.pool.take().unwrap().stop();
    }
}

/// A client that reads answers byte for byte.
pub(in crate::serve) struct Client(pub(in crate::serve) TcpStream);

impl Client {
    pub(in crate::serve) fn new(address: SocketAddr) -> Self {
        Self::over(socket(address), address)
    }

    /// A client over a socket that was made before.
    pub(in crate::serve) fn over(socket: Socket, address: SocketAddr) -> Self {
        socket.connect_timeout(&address.into(), PATIENCE).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub(in crate::serve) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// The next answer: status and body.
    pub(in crate::serve) fn answer(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 9];
        self.0.read_exact(&mut header)?;
        let length = u64::from_be_bytes(header[1..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(length).unwrap()];
        self.0.read_exact(&mut body)?;
        Ok((header[0], body))
    }

    /// Expects that the next answer is block `number` of `sample`.
    pub(in crate::serve) fn expect_block(&mut self, sample: &Sample, number: u64) {
        let (status, body) = self.answer().unwrap_or_else(|error| panic!("block {number}: {error}"));
        assert_eq!(status, 0, "block {number}: {}", String::from_utf8_lossy(&body));
        assert!(body == sample.block(number), "block {number}: {} bytes, not the block's", body.len());
    }

    /// Expects an answer with `status`, and a message; returns it.
    pub(in crate::serve) fn expect_message(&mut self, status: u8) -> String {
        let (got, body) = self.answer().unwrap();
        let message = String::from_utf8(body).unwrap();
        assert_eq!(got, status, "{message}");
        assert!(!message.is_empty());
        message
    }

    /// Expects that the other side closes, without a reset and without another byte.
    pub(in crate::serve) fn expect_end(&mut self) {
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0, "a byte came instead of the end");
    }

    /// Expects that the connection ends soon, in whatever way, and returns what came before that.
    pub(in crate::serve) fn read_to_end(&mut self) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return all,
                Ok(read) => all.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return all,
                Err(error) => panic!("the connection did not end: {error}"),
            }
        }
    }
}

/// A socket for a client of `address`, not yet connected.
pub(in crate::serve) fn socket(address: SocketAddr) -> Socket {
    Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap()
}

/// Whether this process runs the test `name` alone. If not, runs it in a process of its own, for tests
/// that count or use up what a process has only once.
pub(in crate::serve) fn is_alone(name: &str) -> bool {
    const ALONE: &str = "CASCADE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let me = std::env::current_exe().unwrap();
    let output = std::process::Command::new(me).args(["--exact", name]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

/// Waits until `condition` holds; says `what` was waited for when it never does.
pub(in crate::serve) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = crate::clock::now();
    while !condition() {
        assert!(full_speed::since(start) < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(in crate::serve) fn elapsed(start: Instant) -> Duration {
    crate::clock::now() - start
}
