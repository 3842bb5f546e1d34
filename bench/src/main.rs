//! `bench`: the command line.

#![allow(clippy::print_stderr, reason = "errors of a command go to standard error")]

use cascade_bench::commands;
use cascade_bench::error::{BenchError, Result};
use cascade_bench::interrupt;
use cascade_bench::programs::{announce, bare_tracker, floor, greedy, idle_clients, tar, tcp, v1_peer};
use cascade_bench::tools::probe;
use clap::{Parser, Subcommand};
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::process::ExitCode;

/// Benchmarks of Cascade, beside other tools and beside what the machine allows
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One file from a seeder to a new peer, by every tool that is installed
    Transfer(commands::transfer::Options),
    /// Folders: a few large files beside one, and many small ones by every tool that is installed
    Folder(commands::folder::Options),
    /// The next version of a folder: how much of it comes from the swarm
    Update(commands::update::Options),
    /// Creating a .cascade file, beside openssl
    Create(commands::create::Options),
    /// Verifying a file and checking it before seeding, beside one core's SHA-256
    Verify(commands::FileOptions),
    /// Restarting the seed of a large file that was checked before
    Restart(commands::restart::Options),
    /// A box that serves thousands of files: until it does, its memory and its descriptors
    Serve(commands::serve::Options),
    /// Sharing a file that is described already: until its link is printed, and until a receiver has something
    Share(commands::FileOptions),
    /// The tracker under load, beside a bare server and other trackers
    Tracker(commands::tracker::Options),
    /// Two trackers and a store, of which one tracker is killed and the store restarted
    Store(commands::store::Options),
    /// Receivers of a share on one switch, over uplinks of 1 Gbit/s and more (needs root)
    Lan(commands::lan::Options),
    /// One download over a fast link with a long round trip
    Link(commands::link::Options),
    /// Several downloads at once from one seeder
    Parallel(commands::parallel::Options),
    /// Many receivers of a file that only an object store has, beside the same with a local file
    Origin(commands::origin::Options),
    /// How exactly a limit on speed is kept
    Pace(commands::pace::Options),
    /// Peak memory for all block sizes and for many peers
    Memory(commands::memory::Options),
    /// One seeder and many downloaders, each behind an emulated link (needs root)
    Swarm(commands::swarm::Options),
    /// Processor time and wake-ups of a transfer over an emulated link, beside others (needs root)
    Cost(commands::cost::Options),
    /// Waiting for a room of real peers, and many that report to a tracker (the first needs root)
    Room(commands::room::Options),
    /// Subnets joined by thin links, with a tracker that prefers near peers and without (needs root)
    Near(commands::near::Options),
    /// Honest leechers beside greedy and slow clients of one seeder (needs root)
    Greedy(commands::greedy::Options),
    #[command(flatten)]
    Program(Program),
}

/// Our minimal programs, which the benchmarks start as processes of their own.
#[derive(Debug, Subcommand)]
enum Program {
    #[command(hide = true)]
    FloorSend { file: PathBuf },
    #[command(hide = true)]
    FloorReceive {
        sender: SocketAddr,
        length: u64,
        out: PathBuf,
        #[arg(long, value_enum)]
        hashing: floor::Hashing,
    },
    #[command(hide = true)]
    BareTracker { body_len: u32, threads: usize },
    #[command(hide = true)]
    AnnounceTracker {
        #[arg(default_value_t = tcp::ANY_LOOPBACK)]
        listen: SocketAddr,
    },
    #[command(hide = true)]
    TarSend { folder: PathBuf },
    #[command(hide = true)]
    TarReceive { sender: SocketAddr, folder: PathBuf },
    #[command(hide = true)]
    TcpSend { listen: SocketAddr, length: u64 },
    #[command(hide = true)]
    TcpReceive { sender: SocketAddr },
    #[command(hide = true)]
    WaitForPort { address: SocketAddrV4 },
    #[command(hide = true)]
    WaitForSeeder { peer: SocketAddrV4, cascade: PathBuf },
    #[command(hide = true)]
    IdleClients { peer: SocketAddrV4, cascade: PathBuf, count: usize },
    #[command(hide = true)]
    V1Peer(v1_peer::Options),
    #[command(hide = true)]
    GreedyClient(greedy::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Program(program) => run_program(program),
        Command::Transfer(options) => watched(|| commands::transfer::run(&options)),
        Command::Folder(options) => watched(|| commands::folder::run(&options)),
        Command::Update(options) => watched(|| commands::update::run(&options)),
        Command::Create(options) => watched(|| commands::create::run(&options)),
        Command::Verify(options) => watched(|| commands::verify::run(&options)),
        Command::Restart(options) => watched(|| commands::restart::run(&options)),
        Command::Serve(options) => watched(|| commands::serve::run(&options)),
        Command::Share(options) => watched(|| commands::share::run(&options)),
        Command::Tracker(options) => watched(|| commands::tracker::run(&options)),
        Command::Store(options) => watched(|| commands::skip_unavailable(commands::store::run(&options))),
        Command::Lan(options) => watched(|| commands::lan::run(&options)),
        Command::Link(options) => watched(|| commands::link::run(&options)),
        Command::Parallel(options) => watched(|| commands::parallel::run(&options)),
        Command::Origin(options) => watched(|| commands::skip_unavailable(commands::origin::run(&options))),
        Command::Memory(options) => watched(|| commands::memory::run(&options)),
        Command::Pace(options) => watched(|| commands::pace::run(&options)),
        Command::Cost(options) => watched(|| commands::cost::run(&options)),
        Command::Swarm(options) => watched(|| commands::swarm::run(&options)),
        Command::Room(options) => watched(|| commands::room::run(&options)),
        Command::Near(options) => watched(|| commands::near::run(&options)),
        Command::Greedy(options) => watched(|| commands::greedy::run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(BenchError::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A benchmark, which cleans up after Ctrl-C.
fn watched(benchmark: impl FnOnce() -> Result<()>) -> Result<()> {
    interrupt::watch();
    benchmark()
}

fn run_program(program: Program) -> Result<()> {
    match program {
        Program::FloorSend { file } => floor::send(&file),
        Program::FloorReceive { sender, length, out, hashing } => {
            floor::receive(sender, length, &out, hashing)
        }
        Program::BareTracker { body_len, threads } => bare_tracker::serve(body_len, threads),
        Program::AnnounceTracker { listen } => announce::serve(listen),
        Program::TarSend { folder } => tar::send(tcp::ANY_LOOPBACK, &folder),
        Program::TarReceive { sender, folder } => tar::receive(sender, &folder),
        Program::TcpSend { listen, length } => tcp::send(listen, length),
        Program::TcpReceive { sender } => tcp::receive(sender),
        Program::WaitForPort { address } => probe::wait_for_port(address),
        Program::WaitForSeeder { peer, cascade } => probe::wait_for_seeder(peer, &cascade),
        Program::IdleClients { peer, cascade, count } => idle_clients::run(peer, &cascade, count),
        Program::V1Peer(options) => v1_peer::run(&options),
        Program::GreedyClient(options) => greedy::run(&options),
    }
}
