//! Peers that have nothing to do: a seeder with clients that only wait for news, a download without peers.

use super::Found;
use crate::data::{CascadeFile, DataFile};
use crate::error::Result;
use crate::measure::{Measured, Usage};
use crate::programs::{own, printed_address};
use crate::table::{Goal, Table};
use crate::tools::READY_WITHIN;
use crate::tools::binaries::Binaries;
use crate::tools::cascade::Source;
use crate::units::MIB;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Clients of the seeder.
const CLIENTS: usize = 100;

/// For how long they are watched: for longer than the 30 s after which a peer looks whether there is something to report
/// to its tracker.
const WATCHED: Duration = Duration::from_secs(45);

/// For how long they settle before.
const SETTLE: Duration = Duration::from_secs(3);

/// The file, in bytes.
const SIZE: u64 = 64 * MIB;

/// The blocks, in bytes.
const BLOCK: u64 = 64 << 10;

/// The share of a core, in percent, that an idle process may use.
const MAX_PERCENT: f64 = 0.2;

/// Wake-ups a second, for each client or, of a download, in all.
const MAX_WAKEUPS: f64 = 1.0;

/// What an idle process used in a second.
#[derive(Debug, Clone, Copy)]
struct Rest {
    percent: f64,
    wakeups: f64,
}

impl Rest {
    fn of(usage: Usage) -> Self {
        let seconds = WATCHED.as_secs_f64();
        Self { percent: usage.cpu * 100.0 / seconds, wakeups: usage.wakeups as f64 / seconds }
    }
}

pub(super) fn run(binaries: &Binaries, folder: &Path) -> Result<Found> {
    println!("\nidle: {CLIENTS} clients that wait for news, for {} s", WATCHED.as_secs());
    let data = DataFile::random(folder, SIZE)?;
    let cascade = data.cascade_file(folder, BLOCK)?;
    let seeder = seeder(binaries, &data, &cascade, folder)?;
    let download = download(binaries, &cascade, folder)?;
    let mut table = Table::new(&["idle", "share of a core", "wake-ups a second"]);
    for (name, rest) in [("seeder with 100 clients", seeder), ("download without peers", download)] {
        table.row([name.to_owned(), format!("{:.2} %", rest.percent), format!("{:.1}", rest.wakeups)]);
    }
    println!("{}", table.render());
    let goals = vec![
        Goal::at_most("idle seeder: share of a core", seeder.percent, MAX_PERCENT).in_unit("%"),
        Goal::at_most("idle seeder: wake-ups for each client", seeder.wakeups / CLIENTS as f64, MAX_WAKEUPS)
            .in_unit("/s"),
        Goal::at_most("idle download: share of a core", download.percent, MAX_PERCENT).in_unit("%"),
        Goal::at_most("idle download: wake-ups", download.wakeups, MAX_WAKEUPS).in_unit("/s"),
    ];
    let measured = json!({
        "seeder": { "percent": seeder.percent, "wakeups": seeder.wakeups },
        "download": { "percent": download.percent, "wakeups": download.wakeups },
    });
    Ok(Found { row: "idle".to_owned(), measured, goals })
}

fn seeder(binaries: &Binaries, data: &DataFile, cascade: &CascadeFile, folder: &Path) -> Result<Rest> {
    let mut source = Source::start(binaries, data, cascade, folder)?;
    let mut command = own(&["idle-clients", &source.seeder_address.to_string()])?;
    command.arg(&cascade.path).arg(CLIENTS.to_string());
    let mut clients = Measured::start("idle clients", &mut command, &folder.join("clients.log"))?;
    clients.wait_until(READY_WITHIN, |clients| printed_address(&clients.log_text()).is_some())?;
    std::thread::sleep(SETTLE);
    source.mark();
    std::thread::sleep(WATCHED);
    // The clients still have to be there.
    clients.wait_until(READY_WITHIN, |_| true)?;
    Ok(Rest::of(source.usage()))
}

fn download(binaries: &Binaries, cascade: &CascadeFile, folder: &Path) -> Result<Rest> {
    let mut command = Command::new(&binaries.peer);
    command.arg("download").arg(&cascade.path).args(["-t", "127.0.0.1:1", "-l", "127.0.0.1:0", "-o"]);
    command.arg(folder.join("copy"));
    let mut download = Measured::start("peer download", &mut command, &folder.join("download.log"))?;
    std::thread::sleep(SETTLE);
    download.mark();
    std::thread::sleep(WATCHED);
    download.wait_until(READY_WITHIN, |_| true)?;
    Ok(Rest::of(download.usage()))
}
