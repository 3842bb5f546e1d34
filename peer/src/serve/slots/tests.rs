use super::*;
use proptest::prelude::*;

const NOBODY: [u32; 0] = [];

/// A table whose handles are the indices, and the marks.
struct Table {
    slots: Slots<u32>,
    marks: Vec<Mark>,
}

impl Table {
    fn new(max_clients: usize, workers: usize) -> Self {
        let marks = (0..Slots::<u32>::places(max_clients)).map(|_| Mark::default()).collect();
        Self { slots: Slots::new(max_clients, workers, Timeouts::default()), marks }
    }

    fn admit(&mut self, now: u64) -> Option<Admitted<u32>> {
        let host = u8::try_from(self.slots.open() % 200).unwrap();
        self.admit_from(now, host)
    }

    /// The client has asked for something.
    fn asks(&self, index: u32) {
        let Timeouts { evict, silent, .. } = Timeouts::default();
        self.marks[index as usize].stays_longer(millis(evict - silent));
    }

    /// The client takes a part of a block.
    fn takes(&self, index: u32, now: u64) {
        self.marks[index as usize].stays_until(now + millis(Timeouts::default().evict));
    }

    fn admit_from(&mut self, now: u64, host: u8) -> Option<Admitted<u32>> {
        let admitted = self.slots.admit(now, IpAddr::from([10, 0, 0, host]), &self.marks)?;
        assert!(self.slots.attach(admitted.index, admitted.index));
        Some(admitted)
    }
}

#[test]
fn who_has_taken_nothing_for_longest_makes_room_and_the_takers_stay() {
    let mut table = Table::new(3, 1);
    let [a, b, c] = [0, 1, 2].map(|now| table.admit(now).unwrap().index);
    [a, b, c].iter().for_each(|client| table.asks(*client));
    table.takes(a, 4000);
    assert_eq!(table.admit(4500), None, "nobody has waited long enough");
    let next = table.admit(5001).unwrap();
    assert_eq!(next.evicted, Some(Some(b)), "b is there since 1, a took something at 4000");
    assert!(!table.slots.attach(b, b), "b is leaving");
    table.asks(next.index);
    let another = table.admit(5002).unwrap();
    assert_eq!(another.evicted, Some(Some(c)));
    table.asks(another.index);
    assert_eq!(table.admit(8999), None);
    assert_eq!(table.admit(9000).unwrap().evicted, Some(Some(a)));
    for index in [a, b, c] {
        table.slots.release(index);
    }
    assert_eq!(table.slots.open(), 3);
}

#[test]
fn a_little_sent_now_and_then_keeps_no_place() {
    let mut table = Table::new(10, 1);
    let holders: Vec<u32> = (0..10).map(|_| table.admit(0).unwrap().index).collect();
    holders.iter().for_each(|holder| table.asks(*holder));
    table.takes(holders[3], 4000);
    let (mut evicted, mut refused) = (Vec::new(), 0);
    for now in (4000..9000).step_by(100) {
        let alive = |holder: &&u32| !evicted.contains(*holder);
        holders.iter().filter(alive).for_each(|at| table.marks[*at as usize].set(now, Phase::Answer));
        match table.admit(now) {
            Some(admitted) => {
                table.asks(admitted.index);
                table.takes(admitted.index, now);
                evicted.extend(admitted.evicted.flatten());
            }
            None => refused += 1,
        }
    }
    assert_eq!(refused, 10 + 31, "until the first may be evicted; and then as long as all others take");
    assert_eq!(evicted.len(), 9, "all but the one that took something");
    assert!(!evicted.contains(&holders[3]));
}

#[test]
fn who_has_asked_for_nothing_makes_room_first() {
    let mut table = Table::new(2, 1);
    let [asked, silent] = [0, 3900].map(|now| table.admit(now).unwrap().index);
    table.asks(asked);
    assert_eq!(table.admit(4899), None);
    assert_eq!(table.admit(4900).unwrap().evicted, Some(Some(silent)));
}

#[test]
fn one_host_cannot_take_all_places() {
    let mut table = Table::new(1000, 1);
    let mut greedy: Vec<u32> = (0..250).map(|now| table.admit_from(now, 1).unwrap().index).collect();
    assert_eq!(table.admit_from(300, 1), None, "it has its share");
    assert!(table.admit_from(300, 2).is_some(), "others have theirs");
    table.slots.release(greedy.pop().unwrap());
    assert!(table.admit_from(301, 1).is_some());
    assert_eq!(table.admit_from(302, 1), None);
    let local = IpAddr::from([127, 0, 0, 1]);
    assert!((0..500).all(|_| table.slots.admit(303, local, &table.marks).is_some()));
}

#[test]
fn each_phase_has_its_time() {
    let mut table = Table::new(8, 1);
    let phases = [Phase::Idle, Phase::Request, Phase::Answer, Phase::Closing];
    let at: Vec<u32> = phases.iter().map(|_| table.admit(0).unwrap().index).collect();
    for (index, phase) in at.iter().zip(phases) {
        table.marks[*index as usize].set(1000, phase);
    }
    assert_eq!(table.slots.sweep(2999, &table.marks), NOBODY);
    assert_eq!(table.slots.sweep(3000, &table.marks), [at[3]]);
    assert_eq!(table.slots.sweep(10_999, &table.marks), NOBODY);
    assert_eq!(table.slots.sweep(11_000, &table.marks), [at[1]]);
    assert_eq!(table.slots.sweep(60_999, &table.marks), NOBODY);
    assert_eq!(table.slots.sweep(61_000, &table.marks), [at[2]]);
    assert_eq!(table.slots.sweep(901_000, &table.marks), [at[0]]);
    assert_eq!(table.slots.sweep(u64::MAX >> 2, &table.marks), NOBODY, "once is enough");
}

#[test]
fn busy_clients_are_spread_evenly_whoever_idles_where() {
    let mut table = Table::new(1000, 2);
    // Two thirds of many idle clients stay, all of the first worker's among them.
    let idle: Vec<Admitted<u32>> = (0..300).map(|_| table.admit(0).unwrap()).collect();
    for client in idle.iter().filter(|client| client.worker == 1).take(100) {
        table.slots.release(client.index);
    }
    assert_eq!(table.slots.sweep(10_000, &table.marks), NOBODY);
    let busy: Vec<usize> = (0..8).map(|_| table.admit(10_000).unwrap().worker).collect();
    assert_eq!(busy.iter().filter(|worker| **worker == 0).count(), 4, "{busy:?}");
}

#[test]
fn a_stopping_worker_keeps_its_answers() {
    let mut table = Table::new(10, 1);
    let (idle, sending) = (table.admit(0).unwrap().index, table.admit(0).unwrap().index);
    table.marks[sending as usize].set(1, Phase::Answer);
    assert_eq!(table.slots.dismiss_idle(0, &table.marks), [idle]);
    assert_eq!(table.slots.dismiss_idle(0, &table.marks), NOBODY);
}

proptest! {
    /// Whatever happens: never more than the bound, the order holds exactly the held ones, places
    /// are neither lost nor given twice.
    #[test]
    fn books_balance(steps in prop::collection::vec((0u8..5, 0u64..7000, any::<prop::sample::Index>()), 0..300)) {
        let (mut table, mut now, mut open) = (Table::new(5, 2), 0, Vec::<u32>::new());
        for (step, later, which) in steps {
            now += later;
            match step {
                0 | 1 => if let Some(admitted) = table.admit(now) {
                    prop_assert!(!open.contains(&admitted.index));
                    if let Some(Some(evicted)) = admitted.evicted {
                        prop_assert!(open.contains(&evicted));
                    }
                    open.push(admitted.index);
                },
                2 if !open.is_empty() => table.slots.release(open.swap_remove(which.index(open.len()))),
                3 if !open.is_empty() => table.takes(open[which.index(open.len())], now),
                _ => drop(table.slots.sweep(now, &table.marks)),
            }
            let held = table.slots.entries.iter().filter(|entry| entry.state == State::Held).count();
            prop_assert_eq!(held, table.slots.order.len());
            prop_assert!(held <= 5);
            prop_assert_eq!(table.slots.open(), open.len());
            let counted = table.slots.entries.iter().filter(|entry| entry.counted).count();
            prop_assert_eq!(table.slots.loads.iter().sum::<usize>(), counted);
        }
    }
}
