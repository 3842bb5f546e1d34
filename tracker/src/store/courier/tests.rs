//! A store that is played: what becomes of every registration, whatever fails when.

use super::*;
use crate::others::Record;
use crate::registry::Source;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;

const HERE: Fate = Fate::Here { good: false };

fn record(n: u8) -> Record {
    let addr = SocketAddrV4::new([10, 0, 0, n].into(), 1);
    Record { file: CascadeHash([n % 3; 32]), source: Source::of((*addr.ip()).into()), addr: addr.into() }
}

fn change(n: u8, fate: Fate) -> Change {
    Change { record: record(n), fate, at: 2000 }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn probe(courier: &mut Courier, unix: f64, was_there: bool, now: Duration) {
    courier.handle_clock(unix + now.as_secs_f64(), now);
    courier.handle_marked(was_there, now);
}

/// The store's clock at the start.
const UNIX: f64 = 1_800_000_000.0;

/// A courier whose store is well and has everything.
fn synced(now: Duration) -> Courier {
    let mut courier = Courier::new("redis://s:1".into());
    assert_eq!(courier.poll(now), Some(Work::Connect));
    courier.handle_connected(now);
    assert_eq!(courier.poll(now), Some(Work::Probe));
    assert_eq!(courier.poll(now), None, "nothing before the store's time is known");
    probe(&mut courier, UNIX, true, now);
    assert_eq!(courier.poll_line().unwrap(), "store redis://s:1: connected");
    assert_eq!(courier.poll(now), Some(Work::Export(Export::default())));
    courier.handle_exported(Vec::new(), None);
    assert_eq!(courier.poll(now), None);
    courier
}

fn written(work: Option<Work>) -> Vec<Change> {
    match work {
        Some(Work::Write(batch, _)) => batch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cluster_with_another_master_is_brought_everything_again() {
    let mut courier = synced(ms(0));
    for (epoch, again) in [(6, false), (6, false), (7, true), (6, false), (7, false), (9, true)] {
        courier.handle_epoch(epoch);
        let work = courier.poll(ms(10));
        assert_eq!(work, again.then(|| Work::Export(Export::default())), "epoch {epoch}");
        if again {
            courier.handle_exported(Vec::new(), None);
            assert_eq!(courier.poll(ms(10)), None);
        }
    }
}

#[test]
fn changes_are_gathered_and_written_one_batch_at_a_time() {
    let mut courier = synced(ms(0));
    courier.handle_changes([change(1, HERE)], false);
    assert_eq!(written(courier.poll(ms(10))), [change(1, HERE)]);
    courier.handle_changes([change(2, HERE), change(2, Fate::Left)], false);
    assert_eq!(courier.poll(ms(100)), None, "one batch at a time");
    courier.handle_written(1);
    assert_eq!(written(courier.poll(ms(100))), [change(2, Fate::Left)]);
    courier.handle_written(1);
    courier.handle_changes([change(3, HERE)], false);
    assert_eq!((courier.poll(ms(101)), courier.next_wakeup()), (None, ms(105)));
    assert_eq!(written(courier.poll(ms(105))), [change(3, HERE)]);
    assert_eq!((courier.figures().written, courier.figures().waiting), (2, 0));
}

#[test]
fn files_are_looked_up_once_whoever_asks_and_while_batches_are_written() {
    let mut courier = synced(ms(0));
    let wanted = |n: u8| Wanted { file: CascadeHash([n; 32]), since: 0 };
    courier.handle_changes([change(1, HERE)], false);
    courier.handle_wanted([wanted(1), wanted(2), wanted(1)]);
    let Some(Work::Read(files, _)) = courier.poll(ms(10)) else { panic!("no read") };
    assert_eq!(files, [wanted(1), wanted(2)]);
    assert_eq!(written(courier.poll(ms(10))).len(), 1);
    courier.handle_wanted([wanted(3)]);
    assert_eq!(courier.poll(ms(11)), None);
    courier.handle_read(2);
    assert!(matches!(courier.poll(ms(11)), Some(Work::Read(files, _)) if files == [wanted(3)]));
    // What is wanted is bounded, and nothing is wanted of a store that is away.
    courier.handle_wanted(
        (0..=255).flat_map(|a| (0..32).map(move |b| Wanted { file: CascadeHash([a ^ b; 32]), since: 0 })),
    );
    assert!(courier.wanted.len() <= WANTED_MAX);
    assert!(courier.handle_fault(Fault::Lost("gone".into()), ms(20), 0.5));
    courier.handle_wanted([wanted(4)]);
    assert!(courier.wanted.is_empty() && courier.queued.is_empty());
}

#[test]
fn a_store_that_is_away_is_said_once_and_once_when_it_is_back() {
    let mut courier = synced(ms(0));
    let mut now = ms(1000);
    let mut tries = Vec::new();
    for _ in 0..12 {
        assert!(courier.handle_fault(Fault::Lost("connection refused".into()), now, 1.0));
        let wake = courier.next_wakeup();
        assert_eq!(courier.poll(wake - ms(1)), None);
        assert_eq!(courier.poll(wake), Some(Work::Connect));
        tries.push((wake - now).as_millis());
        now = wake;
    }
    assert_eq!(tries[..6], [250, 500, 1000, 2000, 4000, 5000]);
    assert_eq!(tries[11], 5000);
    let line = courier.poll_line().unwrap();
    assert!(line.starts_with("store redis://s:1: connection refused; lists have"), "{line}");
    assert_eq!(courier.poll_line(), None);
    // It comes and goes: that is one trouble.
    courier.handle_connected(now);
    courier.poll(now);
    probe(&mut courier, UNIX, true, now);
    courier.poll(now + ms(1900));
    courier.handle_fault(Fault::Lost("reset".into()), now + ms(1900), 0.0);
    assert_eq!(courier.poll_line(), None);
    now = courier.next_wakeup();
    assert_eq!(courier.poll(now), Some(Work::Connect));
    courier.handle_connected(now);
    courier.poll(now);
    probe(&mut courier, UNIX, true, now);
    assert!(courier.answers());
    assert_eq!(courier.next_wakeup(), now + SETTLED_FOR_TEST);
    courier.poll(now + SETTLED_FOR_TEST);
    assert!(courier.poll_line().unwrap().contains(": back after "));
    // The next trouble begins with short pauses.
    courier.handle_fault(Fault::Lost("reset".into()), now + ms(5000), 1.0);
    assert_eq!(courier.next_wakeup(), now + ms(5250));
}

const SETTLED_FOR_TEST: Duration = trouble::SETTLED;

#[test]
fn a_full_store_is_read_and_not_written_until_it_takes_the_mark() {
    let mut courier = synced(ms(0));
    courier.handle_changes([change(1, HERE), change(2, Fate::Left)], false);
    let batch = written(courier.poll(ms(10)));
    courier.handle_unwritten(batch);
    assert!(!courier.handle_fault(Fault::Refused("OOM".into()), ms(10), 1.0), "the connection stays");
    assert!(courier.poll_line().unwrap().contains("takes no registrations: OOM"));
    courier.handle_wanted([Wanted { file: CascadeHash([1; 32]), since: 0 }]);
    assert!(matches!(courier.poll(ms(20)), Some(Work::Read(..))));
    assert!(courier.answers() && !courier.figures().well);
    // What is registered meanwhile comes from the registry.
    courier.handle_changes([change(3, HERE)], false);
    assert_eq!((courier.poll(ms(30)), courier.figures().waiting), (None, 1));
    assert_eq!(courier.poll(ms(260)), Some(Work::Probe));
    probe(&mut courier, UNIX, true, ms(261));
    assert_eq!(courier.poll(ms(261)), Some(Work::Export(Export::default())));
    courier.handle_exported(vec![change(1, HERE), change(3, HERE)], None);
    assert_eq!(written(courier.poll(ms(262))), [change(1, HERE), change(3, HERE)]);
    courier.handle_written(2);
    assert_eq!(written(courier.poll(ms(270))), [change(2, Fate::Left)]);
    courier.poll(ms(2300));
    assert!(courier.poll_line().unwrap().contains("back after"));
}

#[test]
fn a_store_that_has_lost_its_memory_or_its_time_gets_everything_again() {
    for (marked, unix) in [(false, UNIX), (true, UNIX - 1000.0)] {
        let mut courier = synced(ms(0));
        assert_eq!(courier.poll(ms(10_000)), Some(Work::Probe));
        probe(&mut courier, unix, marked, ms(10_000));
        assert_eq!(courier.poll(ms(10_000)), Some(Work::Export(Export::default())));
        courier.handle_exported(Vec::new(), None);
        courier.poll(ms(10_001));
        assert_eq!(courier.poll(ms(20_000)), Some(Work::Probe));
        probe(&mut courier, unix, true, ms(20_000));
        assert_eq!(courier.poll(ms(20_000)), None);
    }
}

#[test]
fn what_has_no_room_is_brought_in_from_the_registry() {
    let mut courier = synced(ms(0));
    courier.handle_changes([], true);
    assert_eq!(courier.poll(ms(1)), Some(Work::Export(Export::default())));
    // Trouble while a part is made: that part is of no use.
    courier.handle_changes([], true);
    courier.handle_exported(vec![change(1, HERE)], None);
    assert_eq!(courier.poll(ms(2)), Some(Work::Export(Export::default())));
    courier.handle_not_exported(ms(2));
    assert_eq!((courier.poll(ms(3)), courier.next_wakeup()), (None, ms(22)));
    assert_eq!(courier.poll(ms(22)), Some(Work::Export(Export::default())));
    courier.handle_exported(vec![change(1, HERE)], None);
    assert_eq!(written(courier.poll(ms(22))).len(), 1);
}

#[test]
fn goodbyes_are_kept_and_those_that_are_lost_are_counted() {
    let mut courier = synced(ms(0));
    courier.handle_fault(Fault::Lost("gone".into()), ms(0), 0.0);
    let left = |n: u32| {
        let addr = SocketAddrV4::new(std::net::Ipv4Addr::from_bits(n), 1);
        Change { record: Record { addr: addr.into(), ..record(1) }, fate: Fate::Left, at: 2000 }
    };
    let max = u32::try_from(OUTBOX_MAX).unwrap();
    courier.handle_changes((0..max + 5).map(left), false);
    assert_eq!((courier.figures().lost_goodbyes, courier.figures().waiting), (5, OUTBOX_MAX as u64));
    // Who comes back has not left.
    courier.handle_changes([Change { fate: HERE, ..left(7) }], false);
    assert_eq!(courier.figures().waiting, OUTBOX_MAX as u64 - 1);
}

proptest! {
    /// A tracker's registry and a store that fails at random: in the end the store has what the registry has, and of
    /// those who have left nobody.
    #[test]
    fn in_the_end_the_store_has_what_the_registry_has(steps in prop::collection::vec((0u8..8, 0u8..20, any::<bool>()), 0..200)) {
        let mut courier = Courier::new("s".into());
        let (mut registry, mut store) = (BTreeSet::new(), BTreeMap::new());
        let mut now = ms(0);
        let mut exported: Option<(Vec<Change>, Option<Export>)> = None;
        let mut in_flight: Option<Vec<Change>> = None;
        let apply = |store: &mut BTreeMap<Record, ()>, batch: &[Change]| for change in batch {
            match change.fate {
                Fate::Here { .. } => { store.insert(change.record, ()); }
                Fate::Left => { store.remove(&change.record); }
            }
        };
        let end = steps.len();
        for (at, (kind, n, flag)) in steps.into_iter().chain(std::iter::repeat_n((7, 0, false), 400)).enumerate() {
            let quiet = at >= end;
            now += ms(if quiet { 200 } else { u64::from(n) * 3 });
            match kind {
                0..=2 => { registry.insert(n); courier.handle_changes([change(n, HERE)], false); }
                3 => { registry.remove(&n); courier.handle_changes([change(n, Fate::Left)], false); }
                4 => {
                    // A batch may have been written, in whole or in part, before the connection broke.
                    if let Some(batch) = in_flight.take() {
                        apply(&mut store, &batch[..if flag { batch.len() / 2 } else { 0 }]);
                        courier.handle_unwritten(batch);
                    }
                    if matches!(courier.link, Link::On) {
                        courier.handle_fault(Fault::Lost("x".into()), now, 0.5);
                        if flag { store.clear(); }
                    }
                }
                5 => if let Some(batch) = in_flight.take() {
                    courier.handle_unwritten(batch);
                    courier.handle_fault(Fault::Refused("x".into()), now, 0.5);
                },
                _ => {
                    if let Some(batch) = in_flight.take() {
                        apply(&mut store, &batch);
                        courier.handle_written(batch.len() as u64);
                    }
                    if let Some((part, next)) = exported.take() {
                        courier.handle_exported(part, next);
                    }
                }
            }
            while let Some(work) = courier.poll(now) {
                match work {
                    Work::Connect => courier.handle_connected(now),
                    Work::Probe => probe(&mut courier, UNIX, true, now),
                    Work::Write(batch, _) => in_flight = Some(batch),
                    Work::Read(..) => courier.handle_read(0),
                    Work::Export(_) => {
                        exported = Some((registry.iter().map(|n| change(*n, HERE)).collect(), None));
                    }
                }
            }
        }
        prop_assert!(in_flight.is_none() && exported.is_none());
        let kept: BTreeSet<Record> = store.into_keys().collect();
        let expected: BTreeSet<Record> = registry.iter().map(|n| record(*n)).collect();
        prop_assert_eq!(kept, expected);
    }
}
