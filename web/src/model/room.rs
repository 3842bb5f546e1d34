//! Rooms, as trackers tell them, as swarms.

use super::{Member, Swarm};
use crate::limits::{MAX_MEMBERS, MAX_SWARMS};
use cascade_format::CascadeHash;
use cascade_format::tracker_room::{Member as Told, Page, Presence, Summary};
use std::collections::BTreeMap;

/// The rooms of `swarms`, the first of them with their members: `page` gives a part of a room that begins there. It is
/// asked until [`MAX_MEMBERS`] are known.
pub fn rooms(
    swarms: impl IntoIterator<Item = (CascadeHash, Summary)>,
    mut page: impl FnMut(CascadeHash, u32) -> Option<Page>,
) -> BTreeMap<String, Swarm> {
    let mut left = MAX_MEMBERS;
    let shown = swarms.into_iter().take(MAX_SWARMS).map(|(hash, summary)| {
        let mut swarm = Swarm::default();
        count(&mut swarm, summary);
        let mut first = 0;
        while left > 0 {
            let Some(page) = page(hash, first) else { break };
            let next = page.next;
            left = left.saturating_sub(page.members.len().max(1));
            add_page(&mut swarm, page.summary, &page.members);
            if next == 0 || next == first {
                break;
            }
            first = next;
        }
        (hash.to_string(), swarm)
    });
    shown.collect()
}

/// Adds members to a swarm, and takes its numbers.
pub fn add_page(swarm: &mut Swarm, summary: Summary, members: &[Told]) {
    count(swarm, summary);
    for told in members {
        // All say the same of a file, if they say the truth.
        swarm.blocks = swarm.blocks.or(told.progress.map(|progress| progress.blocks));
        let mut key = told.addr.to_string();
        // Several may listen nowhere.
        for other in 1_u32.. {
            if !swarm.members.contains_key(&key) {
                break;
            }
            key = format!("{}#{other}", told.addr);
        }
        swarm.members.insert(key, member(told));
    }
}

fn count(swarm: &mut Swarm, summary: Summary) {
    let Summary { complete, incomplete, silent, seeders, unknown } = summary;
    let numbers = [
        (&mut swarm.complete, complete),
        (&mut swarm.incomplete, incomplete),
        (&mut swarm.silent, silent),
        (&mut swarm.seeders, seeders),
        (&mut swarm.unknown, unknown),
    ];
    for (number, told) in numbers {
        *number = told.into();
    }
}

fn member(told: &Told) -> Member {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let address = told.addr;
    Member {
        name: text(told.name.as_str()),
        address: if address.port() == 0 { address.ip().to_string() } else { address.to_string() },
        blocks_done: told.progress.map(|progress| progress.blocks_done),
        complete: told.progress.is_some_and(|progress| progress.blocks_done == progress.blocks),
        seeder: told.seeder,
        presence: match told.presence {
            Presence::Here => "here",
            Presence::Silent => "silent",
            Presence::Left => "left",
        },
        bytes_per_second: told.progress.map(|_| told.rate),
        bytes_received: told.progress.map(|progress| progress.received),
        bytes_given: told.progress.map(|progress| progress.given),
        program: text(told.program.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cascade_format::tracker_room::{PeerName, Program, Progress};
    use std::net::SocketAddr;

    fn told(addr: &str, had: u64) -> Told {
        let addr: SocketAddr = addr.parse().unwrap();
        let progress = Progress { blocks_done: had, blocks: 10, received: had * 100, given: 7 };
        let (name, program) = (PeerName::of("desk 3"), Program::of("cascade 0.1"));
        Told { progress: Some(progress), rate: 5, name, program, ..Told::unknown(addr.into(), 3) }
    }

    #[test]
    fn a_room_is_asked_for_page_by_page() {
        let hash = CascadeHash([7; 32]);
        let summary = Summary { complete: 1, incomplete: 2, ..Summary::default() };
        let swarms = rooms([(hash, summary)], |of, first| {
            assert_eq!(of, hash);
            let (next, members) = match first {
                0 => (9, vec![told("192.0.2.1:1", 10), told("192.0.2.2:0", 3)]),
                _ => (0, vec![told("192.0.2.2:0", 4)]),
            };
            Some(Page { summary, next, members })
        });
        let swarm = &swarms[&hash.to_string()];
        assert_eq!((swarm.complete, swarm.incomplete, swarm.blocks), (1, 2, Some(10)));
        let keys: Vec<_> = swarm.members.keys().collect();
        assert_eq!(keys, ["192.0.2.1:1", "192.0.2.2:0", "192.0.2.2:0#1"], "two without a port are two");
        let first = &swarm.members["192.0.2.1:1"];
        assert!(first.complete && first.presence == "here" && first.name.as_deref() == Some("desk 3"));
        assert_eq!(swarm.members["192.0.2.2:0"].address, "192.0.2.2");
    }

    #[test]
    fn endless_rooms_end() {
        let hash = CascadeHash([7; 32]);
        let mut asked = 0_u32;
        let swarms = rooms([(hash, Summary::default())], |_, first| {
            asked += 1;
            Some(Page { summary: Summary::default(), next: first + 1, members: Vec::new() })
        });
        assert_eq!((asked as usize, swarms.len()), (MAX_MEMBERS, 1));
    }
}
