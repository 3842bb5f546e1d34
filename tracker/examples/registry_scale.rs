//! How much memory ten million registered peers take, and how long requests take among them.
//!
//! ```text
//! cargo run --release -p cascade-tracker --example registry_scale [near] [PEERS | SWARMS PEERS]
//! cargo run --release -p cascade-tracker --example registry_scale flood | state [SWARMS PEERS]
//! ```
//!
//! For each shape (swarms × peers) it runs a process of its own, fills a registry one subscription at
//! a time in an order that is bad for memory (every swarm gets its first peer, then every swarm its
//! second...), and measures each call. With `near` lists prefer peers of the asker's /24. With `flood` one source registers five million peers beside ten
//! honest ones. With `state` it fills a tracker's responder instead, writes its state into the folder for temporary files as
//! a running tracker does, one part after the other, and reads it again. Linux only: the memory is read from `/proc`.

use cascade_format::CascadeHash;
use cascade_tracker::Policy;
use cascade_tracker::frames::Kept;
use cascade_tracker::registry::{Bounds, Claim, LIFETIME_SECS, Registration, Registry, Source};
use cascade_tracker::responder::{Now, Responder};
use cascade_tracker::state::StateFile;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NOW: u32 = 1_800_000_000;

/// Calls of each kind that are measured once the registry is full.
const SAMPLES: u32 = 1_000_000;

#[allow(clippy::print_stderr, reason = "an example's command line")]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<u32> = words.iter().filter_map(|arg| arg.parse().ok()).collect();
    let near = words.first().is_some_and(|word| word == "near");
    match args.as_slice() {
        [] if words == ["state"] => {
            for (swarms, each) in [(1, 10_000_000), (1000, 10_000), (1_000_000, 10), (10_000_000, 1)] {
                state(swarms, each);
            }
        }
        [swarms, each] if words.first().is_some_and(|word| word == "state") => state(*swarms, *each),
        [] if words == ["flood"] => flood(5_000_000),
        [swarms, peers] => measure(*swarms, *peers, near),
        [] => run_shapes(10_000_000, near),
        [peers] => run_shapes(*peers, near),
        _ => eprintln!("usage: registry_scale [near] [PEERS | SWARMS PEERS] | flood | state [SWARMS PEERS]"),
    }
}

/// One swarm; few large; many small; the a swarm for every peer.
#[allow(clippy::print_stderr, reason = "an example's command line")]
fn run_shapes(peers: u32, near: bool) {
    let most = peers;
    for swarms in [1, 1000, peers.div_ceil(10), most] {
        let each = peers / swarms;
        let Ok(program) = std::env::current_exe() else { return };
        let mut command = Command::new(program);
        command.args(near.then_some("near")).args([swarms.to_string(), each.to_string()]);
        let status = command.status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("the run with {swarms} swarms failed");
        }
    }
}

/// One source registers `hostile` peers for a file that ten honest ones share: how many of these are in
/// lists then, and what a request costs.
#[allow(clippy::print_stdout, reason = "an example's command line")]
fn flood(hostile: u32) {
    let mut registry = Registry::new(Bounds::default());
    let honest: Vec<Claim> = (0..10).map(|n| claim(7, n, false)).collect();
    for claim in &honest {
        registry.subscribe(&file(1), *claim, NOW).ok();
    }
    let (mut floods, mut lists) = (Times::default(), Times::default());
    for n in 0..hostile {
        let hostile =
            Claim { addr: addr(100 + n), source: Source::of([198, 51, 100, 1].into()), good: false };
        floods.time(|| registry.subscribe(&file(1), hostile, NOW)).ok();
    }
    let (mut rng, mut entries, mut seen) = (fastrand::Rng::with_seed(1), Vec::new(), 0);
    for _ in 0..1000 {
        lists.time(|| registry.list(&file(1), addr(50), NOW + 1, &mut rng, &mut entries));
        seen += entries.iter().filter(|entry| honest.iter().any(|claim| claim.addr == entry.addr)).count();
    }
    println!(
        "one source registers {hostile} peers beside ten honest ones: {} are kept",
        registry.peers() - 10
    );
    println!("  1000 lists of 20 have {:.1} of the ten honest peers on average", seen as f64 / 1000.0);
    floods.print("hostile one");
    lists.print("list");
}

fn file(n: u32) -> CascadeHash {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    CascadeHash(hash)
}

fn addr(n: u32) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(0x0b00_0000 + n), 9000)
}

/// Peer `n` of a swarm, registered by a source that it has for itself.
fn claim(swarm: u32, n: u32, good: bool) -> Claim {
    let source = Ipv4Addr::from_bits(swarm.wrapping_mul(0x9e37_79b9).wrapping_add(n));
    Claim { addr: addr(n), source: Source::of(source.into()), good }
}

/// `swarms` swarms of `each` peers, whether near ones are preferred.
#[allow(clippy::print_stdout, reason = "an example's command line")]
fn measure(swarms: u32, each: u32, near: bool) {
    let before = resident();
    let mut registry = Registry::new(Bounds::default()).with_networks(near.then(Arc::default));
    let mut fill = Times::default();
    for peer in 0..each {
        for swarm in 0..swarms {
            fill.time(|| registry.subscribe(&file(swarm), claim(swarm, peer, peer == 0), NOW)).ok();
        }
    }
    let peers = registry.peers();
    let bytes = resident().saturating_sub(before);
    println!("{} swarms x {each} peers = {peers} peers", registry.swarms());
    println!("  memory      {} MiB, {:.1} bytes a peer", bytes >> 20, bytes as f64 / peers as f64);
    fill.print("first fill");
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut lists, mut renewals, mut arrivals) = (Times::default(), Times::default(), Times::default());
    let mut entries = Vec::new();
    for n in 0..SAMPLES {
        let swarm = rng.u32(..swarms);
        let peer = claim(swarm, rng.u32(..each), false);
        lists.time(|| registry.list(&file(swarm), peer.addr, NOW + 1, &mut rng, &mut entries));
        renewals.time(|| registry.subscribe(&file(swarm), peer, NOW + 2)).ok();
        arrivals.time(|| registry.subscribe(&file(swarm), claim(swarm, each + n, false), NOW + 2)).ok();
    }
    lists.print("list");
    renewals.print("renewal");
    arrivals.print("new peer");
    let mut sweeps = Times::default();
    let all_lapsed = NOW + 3 + LIFETIME_SECS;
    while registry.peers() > 0 {
        sweeps.time(|| registry.sweep(all_lapsed, 4096));
        let (swarm, peer) = (file(rng.u32(..swarms)), addr(rng.u32(..each)));
        lists.time(|| registry.list(&swarm, peer, all_lapsed, &mut rng, &mut entries));
    }
    sweeps.print("sweep step");
    lists.print("all lists");
}

/// Writes and reads the state of `swarms` swarms of `each` peers.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "an example's command line")]
#[allow(clippy::disallowed_methods, reason = "measuring time is the purpose")]
fn state(swarms: u32, each: u32) {
    let now = Now { steady: NOW, unix: NOW };
    let path = std::env::temp_dir().join(format!("registry_scale-{}", std::process::id()));
    let Ok(file) = StateFile::open(&path) else {
        return eprintln!("no room for a state in {}", path.display());
    };
    let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
    for peer in 0..each {
        for swarm in 0..swarms {
            let Claim { addr, source, .. } = claim(swarm, peer, false);
            let one = Registration { file: self::file(swarm), source, addr, age: 0 };
            let _ = responder.restore(Kept::V4(one), NOW, now);
        }
    }
    let peers = responder.peers();
    let (mut parts, start) = (Times::default(), Instant::now());
    let written = file.save(|at, frame| Ok(parts.time(|| responder.export(at, now, frame))));
    let took = start.elapsed();
    let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    println!("{swarms} swarms x {each} peers = {peers} peers");
    println!(
        "  written     {written:?} in {took:.2?}, {} MiB, {:.1} bytes a peer",
        bytes >> 20,
        bytes as f64 / peers as f64
    );
    parts.print("part");
    drop(responder);
    let (mut again, start) = (Responder::new(Policy::open(), Bounds::default(), 1), Instant::now());
    let loaded = file.load(&mut again, now);
    println!("  read        {} registrations in {:.2?}", loaded.restored, start.elapsed());
    assert_eq!(again.peers(), peers, "all are back: {loaded:?}");
    for ending in ["", ".lock"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
}

/// Durations of calls, in buckets of 2^(1/8), so that measuring ten million takes no memory.
struct Times {
    buckets: [u32; 256],
    count: u32,
    max: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { buckets: [0; 256], count: 0, max: Duration::ZERO }
    }
}

impl Times {
    #[allow(clippy::disallowed_methods, reason = "measuring time is the purpose")]
    fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        let took = start.elapsed();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let bucket = (took.as_nanos().max(1) as f64).log2().mul_add(8.0, 0.0) as usize;
        self.buckets[bucket.min(255)] += 1;
        self.count += 1;
        self.max = self.max.max(took);
        result
    }

    /// The duration below which a share of the calls stayed, in microseconds (rounded up by at most 9 %).
    fn quantile(&self, share: f64) -> f64 {
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += count;
            f64::from(seen) >= share * f64::from(self.count)
        });
        let bucket = u32::try_from(reached.unwrap_or(255)).unwrap_or(255);
        (f64::from(bucket + 1) / 8.0).exp2() / 1000.0
    }

    #[allow(clippy::print_stdout, reason = "an example's command line")]
    fn print(&self, what: &str) {
        println!(
            "  {what:<11} p50 {:8.2} us   p99 {:8.2} us   p99.99 {:8.2} us   max {:8.2} us   ({} calls)",
            self.quantile(0.5),
            self.quantile(0.99),
            self.quantile(0.9999),
            self.max.as_secs_f64() * 1e6,
            self.count,
        );
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kib.unwrap_or(0) << 10
}
