//! How fast a pool serves one client over loopback, and what it costs.
//!
//! `serve_speed [MIB [BLOCK_SIZE...]]` makes a file of that size in `/dev/shm` (or `TMPDIR`), serves it
//! to a process that asks for all blocks, pipelined, and throws them away, and prints for each block
//! size the best of several runs. `serve_speed idle N` holds N idle clients and prints what one costs.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a measuring tool"
)]

use cascade_format::peer_wire::{BlockRequest, REQUEST_LEN, RESPONSE_HEADER_LEN};
use cascade_format::{CascadeHash, Have, Layout};
use cascade_peer::catalog::{Catalog, Served};
use cascade_peer::ground::{HaveMap, Stamp};
use cascade_peer::serve::{Options, Pool};
use cascade_peer::store::{DataFile, Shared};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RUNS: usize = 5;
/// Bytes that the client keeps asked for, as long as the number of requests allows it.
const IN_FLIGHT: u64 = 8 << 20;
const MAX_REQUESTS: u64 = 4096;
const HASH: CascadeHash = CascadeHash([7; 32]);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["drain", address, length, block_size] => {
            drain(address.parse().unwrap(), &layout(length, block_size));
        }
        ["hold", address, clients] => hold(address.parse().unwrap(), clients.parse().unwrap()),
        ["idle", clients] => idle(clients),
        [] => speed(1024, &[10 << 20, 1 << 20, 64 << 10, 10 << 10, 1 << 10]),
        [mib, sizes @ ..] => {
            let sizes: Vec<u64> = sizes.iter().map(|size| size.parse().unwrap()).collect();
            speed(mib.parse().unwrap(), &sizes);
        }
    }
}

fn layout(length: &str, block_size: &str) -> Layout {
    Layout::new(length.parse().unwrap(), block_size.parse().unwrap()).unwrap()
}

fn serve(file: &Path, layout: Layout) -> Pool {
    let file_open = std::fs::File::open(file).unwrap();
    let stamp = Stamp::of(&file_open).unwrap();
    let data = DataFile::new(file_open, file, layout);
    let have = HaveMap::new(layout, &Have::all(&layout));
    let catalog = Catalog::new();
    catalog.add(Served::new(Arc::new(Shared::new(HASH, data, have, Some(stamp)))));
    let copy = std::env::var_os("SERVE_COPY").is_some();
    let options = Options { copy, ..Options::default() };
    Pool::start(TcpListener::bind("127.0.0.1:0").unwrap(), catalog, options).unwrap()
}

fn speed(mib: u64, block_sizes: &[u64]) {
    let shm = Path::new("/dev/shm");
    let folder = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    let mut file = tempfile::Builder::new().tempfile_in(folder).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut chunk = vec![0; 1 << 20];
    for _ in 0..mib {
        random.fill(&mut chunk);
        file.write_all(&chunk).unwrap();
    }
    println!("block size, bytes | GB/s | wall, s | server CPU, s | client CPU, s | peak memory, KiB");
    for &block_size in block_sizes {
        let layout = Layout::new(mib << 20, block_size).unwrap();
        let pool = serve(file.path(), layout);
        let mut best: Option<(Duration, f64, f64)> = None;
        for _ in 0..RUNS {
            let (cpu, start) = (cpu_seconds(), Instant::now());
            let me = std::env::current_exe().unwrap();
            let client = Command::new(me)
                .args(["drain", &pool.local_addr().to_string(), &layout.length().to_string()])
                .arg(block_size.to_string())
                .status();
            assert!(client.unwrap().success());
            let (wall, now) = (Instant::now() - start, cpu_seconds());
            if best.is_none_or(|(best, ..)| wall < best) {
                best = Some((wall, now.0 - cpu.0, now.1 - cpu.1));
            }
        }
        let (wall, server, client) = best.unwrap();
        let (wall, memory) = (wall.as_secs_f64(), status("VmHWM"));
        let rate = layout.length() as f64 / wall / 1e9;
        println!("{block_size:>10} | {rate:.2} | {wall:.2} | {server:.2} | {client:.2} | {memory}");
        pool.stop();
    }
}

/// Asks for every block and throws it away.
fn drain(address: SocketAddr, layout: &Layout) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let answer = layout.block_size() + RESPONSE_HEADER_LEN as u64;
    let window = (IN_FLIGHT / answer).clamp(2, MAX_REQUESTS);
    let (mut asked, mut received) = (0, 0);
    let total = layout.length() + layout.blocks() * RESPONSE_HEADER_LEN as u64;
    let mut buffer = vec![0; 256 << 10];
    let mut requests = Vec::new();
    while received < total {
        let answered = received / answer;
        if answered + window / 2 >= asked {
            requests.clear();
            while asked < (answered + window).min(layout.blocks()) {
                let request = BlockRequest::new(HASH, layout.block(asked).unwrap()).encode();
                requests.extend_from_slice(&request);
                asked += 1;
            }
            stream.write_all(&requests).unwrap();
        }
        match stream.read(&mut buffer).unwrap() {
            0 => panic!("closed after {received} of {total} bytes"),
            bytes => received += bytes as u64,
        }
    }
}

/// What `clients` connections cost that sent nothing, and as many that sent half a request.
fn idle(clients: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let pool = serve(file.path(), Layout::new(0, 1).unwrap());
    let number: u64 = clients.parse().unwrap();
    let before = status("VmRSS");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["hold", &pool.local_addr().to_string(), clients])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while pool.stats().clients() < number {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    let after = status("VmRSS");
    println!("{number} idle clients: {before} KiB before, {after} KiB with them");
    println!("{} bytes a client", (after - before) * 1024 / number);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    pool.stop();
}

fn hold(address: SocketAddr, clients: usize) {
    cascade_peer::serve::descriptors::raise_limit();
    let mut held = Vec::new();
    for number in 0..clients {
        let mut stream = TcpStream::connect(address).unwrap();
        if number % 2 == 0 {
            stream.write_all(&[b"CASCADE1".as_slice(), &[0; REQUEST_LEN / 2 - 8]].concat()).unwrap();
        }
        held.push(stream);
    }
    let _ = std::io::stdin().read(&mut [0]);
}

/// User and system time of this process and of its ended children, in seconds (100 ticks each, as on
/// every Linux).
fn cpu_seconds() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11);
    let times: Vec<f64> = fields.take(4).filter_map(|field| field.parse().ok()).collect();
    let sum =
        |range: std::ops::Range<usize>| times.get(range).unwrap_or_default().iter().sum::<f64>() / 100.0;
    (sum(0..2), sum(2..4))
}

/// A figure of `/proc/self/status`, in KiB.
fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|value| value.parse().ok()).unwrap_or(0)
}
