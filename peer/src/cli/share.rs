//! `peer share`: describes files and folders, tells others of them by links, and serves them until it is interrupted.

use super::common::Common;
use super::given::{self, link_of};
use super::host::{Front, Host, ListenOption, descriptors_of, require_descriptors, show};
use super::interrupt::Ear;
use super::reached::{self, Reached};
use super::share_room::{Rooms, stay_in_own_room};
use super::spread::{Onlooker, Report};
use super::web::{self};
use super::{CliError, ExitCode, address, described, link};
use crate::folder::Special;
use crate::human::{Bytes, Count, Name, entries};
use crate::metafile::MetafileOnDisk;
use crate::peer::{Options, Peer};
use crate::report::{self, Style, json_line, line};
use crate::serve::Guests;
use crate::session::{Event, Seed, SeedError};
use crate::store::Records;
use cascade_format::CascadeHash;
use cascade_format::link::{Link, LinkError};
use cascade_format::units::parse_nonzero_size;
use cascade_tracker::{Desk, Policy};
use cascade_web::Bound;
use std::collections::HashSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::task::JoinSet;

/// Share files and folders with everybody who gets the printed line, until interrupted
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The files and folders to share
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Tracker to register with and to name in the link; may be given several times [default: one in this process, on the
    /// same port]
    #[arg(short, long = "tracker", value_name = "HOST:PORT", value_delimiter = ',', value_parser = address::in_link)]
    trackers: Vec<String>,
    #[command(flatten)]
    listen: ListenOption,
    /// Address to name in the link, with a port only if it differs from that of --listen; may be given several times
    /// [default: the machine's own addresses]
    #[arg(long = "address", value_name = "HOST[:PORT]", value_parser = address::in_link_anywhere)]
    addresses: Vec<String>,
    /// End when N receivers have everything that is shared, as the tracker knows it [default: when interrupted]
    #[arg(long, value_name = "N", value_parser = number_of_receivers, allow_negative_numbers = true)]
    until: Option<NonZeroU32>,
    /// Block size: bytes, or a number with KiB, MiB, GiB or TiB [default: about length/1024, from 64KiB to 4MiB]
    #[arg(short, long, value_name = "SIZE", value_parser = parse_nonzero_size, allow_hyphen_values = true)]
    block_size: Option<NonZeroU64>,
    /// Leave out of a folder what cannot be shared (devices, pipes, sockets, links that leave the folder), instead of
    /// failing
    #[arg(long)]
    skip_special: bool,
    #[command(flatten)]
    report: Report,
    /// Print no QR code of the link; otherwise there is one where the terminal has room for it
    #[arg(long)]
    no_qr: bool,
    #[command(flatten)]
    common: Common,
}

/// Something that is shared.
struct Item {
    path: PathBuf,
    /// Of a folder: how many files, folders and links are in it.
    entries: Option<u32>,
    metafile: Arc<MetafileOnDisk>,
}

/// Runs the command.
///
/// # Errors
/// Wrong usage; a file that cannot be described. Nothing is shared then.
pub(super) fn run(args: &Args, ear: &Ear) -> Result<ExitCode, CliError> {
    args.report.check(args.paths.len())?;
    let records = Records::from_environment();
    let cache = described::Cache::new(&records)?;
    let items = match describe(args, &records, &cache, &ear.flag()) {
        Ok(items) => items,
        Err(described::Failure::Interrupted) => return Ok(ExitCode::Interrupted),
        Err(described::Failure::Told(error)) => return Err(error),
    };
    let style = Style::choose(args.common.json);
    let hashes = items.iter().map(|item| item.metafile.cascade_hash());
    let desk = args.trackers.is_empty().then(|| Arc::new(Desk::new(Policy::only(hashes))));
    let options = Options { records, guests: desk.clone().map(guests), ..Options::default() };
    let options = args.common.options(options);
    let host = Host::start(options, args.listen.wanted(), &style, ear)?;
    let page = args.common.bind()?;
    require_descriptors("share", items.len(), items.iter().map(|item| descriptors_of(&item.path)).sum())?;
    // When this returns, the last answers have left.
    let served = host.run(async |front: &mut Front| serve(args, front, &style, &items, desk, page).await);
    let (code, onlooker) = served?;
    onlooker.finish(true, &args.report)?;
    Ok(code)
}

/// Describes everything; all of it is looked at before anything is hashed.
fn describe(
    args: &Args,
    records: &Records,
    cache: &described::Cache,
    cancel: &AtomicBool,
) -> Result<Vec<Item>, described::Failure> {
    let special = if args.skip_special { Special::Skip } else { Special::Refuse };
    let open = |path: &PathBuf| described::Open::new(path, special, cancel);
    let sources = args.paths.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    for path in &args.paths {
        let named = Link::new(CascadeHash([0; 32])).set_name(&given::data_file_name(path));
        named.map_err(|error| described::Failure::Told(no_link(path, &error)))?;
    }
    let item = |source: described::Open| {
        let (path, entries) = (source.path().to_owned(), source.entries());
        let metafile = Arc::new(source.describe(records, cache, args.block_size, cancel)?);
        Ok(Item { path, entries, metafile })
    };
    sources.into_iter().map(item).collect()
}

/// Answers those who take this peer for a tracker.
fn guests(desk: Arc<Desk>) -> Guests {
    Guests(Arc::new(move |bytes, ended, from| desk.answer(bytes, ended, from)))
}

async fn serve(
    args: &Args,
    front: &mut Front,
    style: &Style,
    items: &[Item],
    desk: Option<Arc<Desk>>,
    page: Option<Bound>,
) -> Result<(ExitCode, Onlooker), CliError> {
    let listen = front.peer.address().ok_or_else(|| CliError::failed("it does not listen".into()))?;
    let reached = reached::reached(listen, &args.addresses)?;
    tell_all(args, items, &reached, listen.port())?;
    let rooms = Rooms { desk: desk.clone(), trackers: args.trackers.clone() };
    let _page = web::show(page, &front.peer, rooms_to_show(args, items, desk.as_ref()), style)?;
    if let Some(desk) = desk {
        let (reporter, stop) = (front.peer.reporter(), front.peer.stopper());
        tokio::spawn(stay_in_own_room(desk, hashes(items).collect(), reached.listeners, reporter, stop));
    }
    let mut tasks = JoinSet::new();
    let mut seeded = HashSet::new();
    for item in items {
        if seeded.insert(item.metafile.cascade_hash()) {
            tasks.spawn(seed(&front.peer, item, args, style));
        }
    }
    front.open()?;
    let mut code = ExitCode::Done;
    let order = items.iter().map(|item| item.metafile.cascade_hash()).collect();
    let mut onlooker = Onlooker::new(front.peer.watch(), style, order);
    onlooker.begin();
    let stop = front.peer.stopper();
    let enough = async {
        match args.until {
            Some(until) => rooms.reached(hashes(items), until.get()).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(enough);
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => break,
                Some(Ok(Err(message))) => {
                    // At once: the others may go on for weeks.
                    style.error(&message);
                    code = ExitCode::Failed;
                }
                Some(_) => {}
            },
            () = &mut enough => {
                tell_enough(args);
                break;
            }
            () = stop.stopped() => break,
        }
    }
    Ok((code, onlooker))
}

fn hashes(items: &[Item]) -> impl Iterator<Item = CascadeHash> {
    items.iter().map(|item| item.metafile.cascade_hash())
}

/// Who has how much: this process's tracker knows it, or the user's trackers do.
fn rooms_to_show(args: &Args, items: &[Item], desk: Option<&Arc<Desk>>) -> web::Rooms {
    let asked = || hashes(items).map(|hash| (hash, args.trackers.clone())).collect();
    desk.map_or_else(|| web::Rooms::Asked(asked()), |desk| web::Rooms::Own(Arc::clone(desk)))
}

/// Serves one item until the end.
fn seed(
    peer: &Peer,
    item: &Item,
    args: &Args,
    style: &Style,
) -> impl Future<Output = Result<(), String>> + use<> {
    let mut observer = style.observer(&item.path, &item.metafile.cascade_hash().to_string());
    let (metafile, data) = (Arc::clone(&item.metafile), item.path.clone());
    let (trackers, lan) = (args.trackers.clone(), args.common.lan(true));
    let transfer = peer.seed(Seed { metafile, data, trackers, lan });
    async move {
        match show(transfer, &mut *observer).await {
            Ok(()) | Err(SeedError::Interrupted) => Ok(()),
            Err(error) => {
                observer.event(Event::Failed(error.to_string()));
                Err(error.to_string())
            }
        }
    }
}

/// What is shared cannot be in a link.
fn no_link(path: &Path, error: &LinkError) -> CliError {
    CliError::failed(format!("no link for {}: {error}; share it under a shorter name", Name(path)))
}

/// How many receivers are wanted.
fn number_of_receivers(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("it must be a number of receivers from 1 to {}", u32::MAX))
}

/// "1 receiver has", "2 receivers have".
fn receivers_have(number: u32) -> String {
    format!("{} {}", Count(number.into(), "receiver"), if number == 1 { "has" } else { "have" })
}

/// The receivers that were wanted have everything.
fn tell_enough(args: &Args) {
    let until = args.until.map_or(0, NonZeroU32::get);
    if args.common.json {
        json_line(&serde_json::json!({"event": "reached", "complete": until}));
    } else {
        line(&format!("{} everything: ending", receivers_have(until)));
    }
}

/// The lines to paste, and what to do with them.
fn tell_all(args: &Args, items: &[Item], reached: &Reached, port: u16) -> Result<(), CliError> {
    for item in items {
        tell_link(args, item, reached, items.len() == 1)?;
    }
    if !args.common.json {
        let what = if args.trackers.is_empty() { "peer and tracker" } else { "peer" };
        let until = args
            .until
            .map_or_else(|| "Ctrl-C".to_owned(), |until| format!("{} it", receivers_have(until.get())));
        line(&format!("sharing until {until}; others must reach TCP port {port} of this machine ({what})"));
    }
    Ok(())
}

/// The line to paste.
fn tell_link(args: &Args, item: &Item, reached: &Reached, alone: bool) -> Result<(), CliError> {
    let (metafile, path) = (&item.metafile, &item.path);
    let name = given::data_file_name(path);
    let mut link = link_of(metafile, Some(&name)).map_err(|error| no_link(path, &error))?;
    let trackers = if args.trackers.is_empty() { reached.tracker.as_slice() } else { &args.trackers };
    link::add(&mut link, trackers, &reached.peers)?;
    let layout = metafile.layout();
    if args.common.json {
        json_line(&serde_json::json!({
            "event": "share", "file": name, "path": path.to_string_lossy(), "folder": item.entries.is_some(),
            "length": layout.length(),
            "cascade_hash": metafile.cascade_hash().to_string(), "link": link.to_string(),
        }));
        return Ok(());
    }
    let blocks = Count(layout.blocks(), "block");
    let of_folder = entries(item.entries);
    line(&format!(
        "{}: {}{of_folder} in {blocks} of {}",
        Name(path),
        Bytes(layout.length()),
        Bytes(layout.block_size())
    ));
    if alone && !args.no_qr {
        report::qr(&link.to_string());
    }
    line(&format!("peer download '{link}'"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_counted_up_to_a_highest_number() {
        assert_eq!(number_of_receivers("4294967295").map(NonZeroU32::get), Ok(u32::MAX));
        for wrong in ["4294967296", "0", "-1", "x", ""] {
            assert!(number_of_receivers(wrong).unwrap_err().ends_with("from 1 to 4294967295"), "{wrong}");
        }
    }

    #[test]
    fn one_receiver_has_and_two_have() {
        assert_eq!([1, 2].map(receivers_have), ["1 receiver has", "2 receivers have"]);
    }
}
