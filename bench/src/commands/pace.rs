//! `bench pace`: how exactly a seeder keeps its `--max-up`, over ten seconds.

use super::{CommonOptions, Start};
use crate::clock;
use crate::data::{CascadeFile, DataFile};
use crate::error::{Context, Result, failed};
use crate::machine::Machine;
use crate::measure::Measured;
use crate::table::{self, Goal};
use crate::tools::binaries::Binaries;
use crate::tools::{READY_WITHIN, free_address};
use cascade_format::peer_wire::BlockRequest;
use serde::Serialize;
use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Size of the file, whose blocks are asked for again and again.
const FILE_LEN: u64 = 64 << 20;

/// Size of its blocks, in bytes.
const BLOCK_LEN: u64 = 64 << 10;

/// What a limit may let through at its start.
const WARM_UP: Duration = Duration::from_secs(1);

/// By how much the mean may differ from the limit.
const TOLERANCE: f64 = 0.05;

/// Options of `bench pace`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The limits; may be given several times
    #[arg(long, value_name = "MBIT/S", value_delimiter = ',', default_values = ["1", "10", "100", "1000"],
          value_parser = clap::value_parser!(u64).range(1..))]
    rate: Vec<u64>,
    /// How long each is measured
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    #[command(flatten)]
    common: CommonOptions,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    seconds: u64,
    /// The limits in Mbit/s, and what was received, in bits a second.
    rates: &'a [(u64, f64)],
    goals: &'a [Goal],
}

/// Runs the benchmark.
///
/// # Errors
/// A seeder fails, or ends its connection.
pub fn run(options: &Options) -> Result<()> {
    let Start { machine, binaries, folder } = options.common.start()?;
    let data = DataFile::random(folder.path(), FILE_LEN)?;
    let cascade = data.cascade_file(folder.path(), BLOCK_LEN)?;
    let (mut rates, mut goals) = (Vec::new(), Vec::new());
    for rate in &options.rate {
        let bits = measure(*rate, &binaries, &data, &cascade, folder.path(), options.seconds)?;
        let off = (bits / (*rate as f64 * 1e6) - 1.0).abs();
        println!("--max-up {rate}Mbit/s: {:.3} Mbit/s over {} s", bits / 1e6, options.seconds);
        rates.push((*rate, bits));
        goals.push(Goal::at_most(format!("{rate} Mbit/s: difference from the limit"), off, TOLERANCE));
    }
    table::print_goals(&goals);
    let seconds = options.seconds;
    options.common.place.write_json(&Report { machine: &machine, seconds, rates: &rates, goals: &goals })
}

/// Bits of answers that come in a second within this limit, in Mbit/s.
fn measure(
    rate: u64,
    binaries: &Binaries,
    data: &DataFile,
    cascade: &CascadeFile,
    folder: &Path,
    seconds: u64,
) -> Result<f64> {
    let address = free_address()?;
    let mut command = Command::new(&binaries.peer);
    // Port 1 of loopback: nobody is there, and nobody is needed.
    command.arg("seed").arg(&cascade.path).args(["-t", "127.0.0.1:1", "-l", &address.to_string(), "--data"]);
    command.arg(&data.path).arg(format!("--max-up={rate}Mbit/s"));
    command.env("CASCADE_STATE_DIR", folder.join("state"));
    let log = folder.join("seed.log");
    let mut seeder = Measured::start("peer seed", &mut command, &log)?;
    seeder.wait_until(READY_WITHIN, |seeder| seeder.log_text().contains(": seeding"))?;
    let received = received_in(address, cascade, Duration::from_secs(seconds))?;
    drop(seeder);
    Ok(received * 8.0)
}

/// Bytes a second that come for requests that never end.
fn received_in(address: SocketAddrV4, cascade: &CascadeFile, time: Duration) -> Result<f64> {
    let what = || format!("no connection to {address}");
    let mut stream = TcpStream::connect(address).context(what)?;
    stream.set_read_timeout(Some(READY_WITHIN)).context(what)?;
    let mut requests = stream.try_clone().context(what)?;
    let cascade = cascade.clone();
    // It ends with the connection.
    let asking = thread::spawn(move || {
        let bytes = |block| BlockRequest::new(cascade.hash, block).encode();
        let round: Vec<u8> = cascade.layout.iter().flat_map(bytes).collect();
        while requests.write_all(&round).is_ok() {}
    });
    let mut buffer = vec![0; 1 << 18];
    let mut take = |for_time: Duration| -> Result<f64> {
        let (start, mut bytes) = (clock::now(), 0);
        while start.elapsed() < for_time {
            match stream.read(&mut buffer).context(what)? {
                0 => return failed(format!("{address} has ended the connection")),
                len => bytes += len,
            }
        }
        Ok(bytes as f64 / start.elapsed().as_secs_f64())
    };
    take(WARM_UP)?;
    let rate = take(time)?;
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let _ = asking.join();
    Ok(rate)
}
