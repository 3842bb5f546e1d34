//! Files as the page shows them.

use crate::view::{FileState, FileView, LinkView, ReceiverView, Role};
use cascade_web::model::{Cell, File, Link, Member, Swarm, cells};
use std::collections::BTreeMap;
use std::ops::Range;

/// A file that is downloaded or served.
pub(super) fn file(view: &FileView) -> File {
    let download = view.download.as_deref();
    let in_flight = in_flight(view);
    File {
        file: view.name.clone(),
        state: match view.state {
            FileState::Fetching { .. } => "fetching",
            FileState::Checking { .. } => "checking",
            FileState::Downloading => "progress",
            FileState::Seeding => "seeding",
        },
        length: view.length,
        block_size: view.block_size,
        blocks: view.blocks,
        blocks_done: view.have.count(),
        in_flight: in_flight.len() as u64,
        bytes_per_second: download.map_or(0, |download| whole(download.rate)),
        seconds_left: download.and_then(|download| Some(download.time_left?.as_secs())),
        bytes_given: view.bytes_given,
        map: cells(view.blocks, |range| cell(view, &in_flight, range)),
        links: download.map_or_else(BTreeMap::new, |download| download.links.iter().map(link).collect()),
    }
}

/// The blocks that are in flight. How the download stands may be older than what is here: a block that has arrived in
/// the meantime is in flight no longer.
fn in_flight(view: &FileView) -> Vec<u64> {
    let in_flight = view.download.iter().flat_map(|download| &download.in_flight);
    in_flight.copied().filter(|block| !view.have.has(*block)).collect()
}

/// The blocks of a cell of the map.
fn cell(view: &FileView, in_flight: &[u64], range: Range<u64>) -> Cell {
    let here = view.have.count_in(range.clone());
    let Some(download) = view.download.as_deref() else { return Cell { here, ..Cell::default() } };
    let first = in_flight.partition_point(|block| *block < range.start);
    let in_flight = in_flight.get(first).is_some_and(|block| *block < range.end);
    // Where something is here, how rare the rest is does not show.
    let rarest = if here == 0 { rarest(&download.holders, range) } else { 0 };
    let seeders = u32::try_from(download.seeders).unwrap_or(u32::MAX);
    Cell { here, in_flight, had_by: u32::from(rarest).saturating_add(seeders) }
}

/// How many leechers have the rarest of the blocks in `range`.
fn rarest(holders: &[u8], range: Range<u64>) -> u8 {
    let (start, end) = (usize::try_from(range.start).ok(), usize::try_from(range.end).ok());
    let holders = start.zip(end).and_then(|(start, end)| holders.get(start..end));
    holders.and_then(|holders| holders.iter().min().copied()).unwrap_or(0)
}

fn link(view: &LinkView) -> (String, Link) {
    let role = match view.role {
        Role::Connecting => "connecting",
        Role::Asking => "asking",
        Role::Stalled => "stalled",
        Role::Waiting => "waiting",
        Role::Idle => "idle",
    };
    let bytes_per_second = whole(view.rate);
    let link = Link { role, bytes_per_second, bytes: view.bytes, blocks_done: view.blocks_done };
    (view.addr.to_string(), link)
}

/// Adds to a swarm what this peer sees itself: receivers that no tracker knows, and how far others are. A tracker is told
/// every 30 s; blocks are never lost, so the greater number is the later one.
pub(super) fn add_seen(swarm: &mut Swarm, view: &FileView, own: &[String]) {
    swarm.file = Some(view.name.clone());
    swarm.blocks = swarm.blocks.or((view.blocks > 0).then_some(view.blocks));
    for receiver in &view.receivers {
        let seen = member(receiver);
        match swarm.members.get(&seen.address) {
            Some(_) => correct(swarm, &seen, view.blocks),
            None => {
                *number_of(swarm, &seen) += 1;
                swarm.members.insert(seen.address.clone(), seen);
            }
        }
    }
    for address in own {
        let (address, have) = (address.clone(), view.have.count());
        let complete = view.have.is_complete();
        correct(
            swarm,
            &Member { address, blocks_done: Some(have), complete, ..Member::default() },
            view.blocks,
        );
    }
    for link in view.download.iter().flat_map(|download| &download.links) {
        let address = link.addr.to_string();
        let complete = link.blocks_done == Some(view.blocks);
        correct(
            swarm,
            &Member { address, blocks_done: link.blocks_done, complete, ..Member::default() },
            view.blocks,
        );
    }
}

/// A member that a tracker knows is at least as far as it is seen to be.
fn correct(swarm: &mut Swarm, seen: &Member, blocks: u64) {
    let Some(told) = swarm.members.get(&seen.address).cloned() else { return };
    if seen.blocks_done <= told.blocks_done || seen.blocks_done > Some(blocks) {
        return;
    }
    let known = Member {
        blocks_done: seen.blocks_done,
        complete: seen.complete,
        bytes_received: told.bytes_received.max(seen.bytes_received),
        bytes_per_second: told.bytes_per_second.max(seen.bytes_per_second),
        ..told.clone()
    };
    let before = number_of(swarm, &told);
    *before = before.saturating_sub(1);
    *number_of(swarm, &known) += 1;
    swarm.members.insert(seen.address.clone(), known);
}

/// The number that a member is counted in.
fn number_of<'a>(swarm: &'a mut Swarm, member: &Member) -> &'a mut u64 {
    match (member.seeder, member.complete, member.blocks_done) {
        (true, ..) => &mut swarm.seeders,
        (_, true, _) => &mut swarm.complete,
        (_, _, None) => &mut swarm.unknown,
        _ if member.presence == "here" => &mut swarm.incomplete,
        _ => &mut swarm.silent,
    }
}

fn member(view: &ReceiverView) -> Member {
    let complete = view.complete == Some(true);
    Member {
        address: match view.port {
            Some(port) => std::net::SocketAddr::new(view.ip, port).to_string(),
            None => view.ip.to_string(),
        },
        blocks_done: view.blocks_done,
        complete,
        // Who has everything needs no connection to this peer.
        presence: if view.active || complete { "here" } else { "silent" },
        bytes_per_second: Some(whole(view.rate)),
        bytes_received: Some(view.bytes_given),
        ..Member::default()
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate that is shown; casts saturate"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{BlockSet, DownloadView};
    use cascade_format::CascadeHash;
    use std::sync::Arc;
    use std::time::Duration;

    fn view(blocks: u64, download: Option<DownloadView>) -> FileView {
        FileView {
            hash: CascadeHash([7; 32]),
            name: "film.mkv".into(),
            length: blocks * 10,
            block_size: 10,
            blocks,
            have: BlockSet::new(blocks, [0b11].into_iter()),
            state: FileState::Downloading,
            age: Duration::ZERO,
            download: download.map(Arc::new),
            receivers: Vec::new(),
            receivers_known: 0,
            receivers_given: 0,
            bytes_given: 0,
            copies_given: 0.0,
            bytes_received: 0,
        }
    }

    #[test]
    fn a_download_shows_what_is_here_what_comes_and_what_is_rare() {
        let download = DownloadView {
            in_flight: vec![2, 7],
            holders: vec![0, 0, 0, 0, 1, 2, 200, 0],
            ..DownloadView::default()
        };
        assert_eq!(file(&view(8, Some(download.clone()))).map, "2HFnrumF");
        let with_seeder = DownloadView { seeders: 1, ..download };
        assert_eq!(file(&view(8, Some(with_seeder))).map, "2HFr2umF");
        let unknown = DownloadView { seeders: 2, ..DownloadView::default() };
        assert_eq!(file(&view(4, Some(unknown))).map, "2H2u");
        assert_eq!(file(&view(4, None)).map, "2H2n");
    }

    #[test]
    fn a_block_that_is_here_is_in_flight_no_longer() {
        let download = DownloadView { in_flight: vec![0, 1, 3], ..DownloadView::default() };
        let shown = file(&view(4, Some(download)));
        assert_eq!((shown.blocks_done, shown.in_flight, shown.map.as_str()), (2, 1, "2HnF"));
    }

    #[test]
    fn receivers_are_a_room_where_no_tracker_tells_one() {
        let receiver = |last: u8, complete: Option<bool>, active| ReceiverView {
            ip: [192, 0, 2, last].into(),
            port: Some(8889),
            extension: complete.is_some(),
            blocks_done: complete.map(|complete| if complete { 8 } else { 3 }),
            complete,
            bytes_given: 70,
            rate: 5.4,
            active,
            first_seen: Duration::ZERO,
            last_seen: Duration::ZERO,
            completed: None,
        };
        let receivers = [
            receiver(1, Some(true), false),
            receiver(2, Some(false), true),
            receiver(3, Some(false), false),
            receiver(4, None, true),
        ];
        let view = FileView { receivers: receivers.to_vec(), ..view(8, None) };
        let mut swarm = Swarm::default();
        add_seen(&mut swarm, &view, &[]);
        let numbers = (swarm.complete, swarm.incomplete, swarm.silent, swarm.unknown, swarm.seeders);
        assert_eq!(numbers, (1, 1, 1, 1, 0));
        let presences: Vec<_> = swarm.members.values().map(|member| member.presence).collect();
        assert_eq!(presences, ["here", "here", "silent", "here"]);
        assert_eq!(swarm.members["192.0.2.2:8889"].bytes_per_second, Some(5));
        // A tracker knows two of them: one reports, one does not.
        let name = Some("desk".to_owned());
        let told =
            |had| Member { blocks_done: had, name: name.clone(), presence: "here", ..Member::default() };
        let members = [("192.0.2.2:8889".into(), told(None)), ("192.0.2.3:8889".into(), told(Some(5)))];
        let mut swarm = Swarm { incomplete: 1, unknown: 1, members: members.into(), ..Swarm::default() };
        add_seen(&mut swarm, &view, &["192.0.2.9:8889".into()]);
        let numbers = (swarm.complete, swarm.incomplete, swarm.silent, swarm.unknown);
        assert_eq!((numbers, swarm.members.len()), ((1, 2, 0, 1), 4));
        assert_eq!(swarm.members["192.0.2.3:8889"].name.as_deref(), Some("desk"));
        assert_eq!(swarm.members["192.0.2.2:8889"].blocks_done, Some(3));
    }
}
