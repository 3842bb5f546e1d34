use super::*;
use crate::ask::Source;
use std::collections::HashMap;
use std::vec;

/// How a peer of the test world behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Gives right bytes.
    Honest,
    /// The same, but breaks off after a number of parts of each connection.
    Breaks(u32),
    /// Gives wrong bytes.
    Liar,
    /// Gives one wrong part on each connection, and breaks off.
    Spoiler,
    /// Says another length.
    OtherLength,
    /// Never answers.
    Silent,
    /// Begins each answer, and gives no more.
    Stalls,
    /// Cannot be reached before this second.
    LaterThan(u64),
    /// Knows only version 1.
    Plain,
    /// Answers what no peer does.
    Nonsense,
}

const PART: u64 = 100;
const TOTAL: u64 = 450;

fn addr(number: usize) -> PeerAddr {
    let number = u8::try_from(number).unwrap();
    PeerAddr::new([10, 0, 0, number + 1].into(), 8889)
}

/// A fetch among such peers.
struct World<'a> {
    manners: &'a [Manner],
    fetch: Fetch,
    now: Time,
    file: Vec<u8>,
    /// Connections to each peer.
    tries: Vec<u32>,
    /// Bytes that were thrown away.
    lost: u64,
    /// The peer of each connection, and the parts that were asked of it there.
    parts: HashMap<AttemptId, (usize, u32)>,
}

/// Runs a fetch among these peers until it is done; how long it took, how many connections each had, and the
/// bytes that were thrown away.
fn run(manners: &[Manner], limit: Time) -> Option<(Time, Vec<u32>, u64)> {
    let mut fetch = Fetch::new();
    let addrs: Vec<_> = (0..manners.len()).map(addr).collect();
    fetch.handle_peers(Source::Tracker(0), &addrs);
    let tries = vec![0; manners.len()];
    let (now, file, lost, parts) = (Time::ZERO, vec![], 0, HashMap::new());
    let mut world = World { manners, fetch, now, file, tries, lost, parts };
    let mut without_rest = 0;
    while world.now < limit && !world.fetch.is_done() {
        if let Some(action) = world.fetch.poll_action(world.now) {
            world.obey(action);
            without_rest += 1;
            assert!(without_rest < 10_000, "it never rests");
        } else {
            let next = world.fetch.next_wakeup(world.now);
            assert!(next > world.now, "a wakeup in the past");
            (world.now, without_rest) = (next, 0);
        }
    }
    world.fetch.is_done().then_some((world.now, world.tries, world.lost))
}

impl World<'_> {
    fn obey(&mut self, action: Action) {
        match action {
            Action::Ask { attempt, addr, offset } => {
                let peer = usize::from(addr.v4().unwrap().ip().octets()[3]) - 1;
                self.tries[peer] += 1;
                self.parts.insert(attempt, (peer, 0));
                self.answer(attempt, offset);
            }
            Action::Next { attempt, offset } => self.answer(attempt, offset),
            Action::Leave(id) => {
                self.parts.remove(&id);
            }
            Action::Restart => {
                self.lost += u64::try_from(self.file.len()).unwrap();
                self.file.clear();
            }
            Action::Check => {
                let right = self.file.len() as u64 == TOTAL && self.file.iter().all(|byte| *byte == 1);
                self.fetch.handle_checked(self.now, right);
            }
        }
    }

    fn answer(&mut self, id: AttemptId, offset: u32) {
        let now = self.now;
        let (peer, given) = self.parts.get_mut(&id).expect("a connection that has not ended");
        let manner = self.manners[*peer];
        *given += 1;
        let failure = match manner {
            Manner::Breaks(most) if *given > most => Failure::Broke,
            Manner::Spoiler if *given > 1 => Failure::Broke,
            Manner::LaterThan(second) if now.as_secs() < second => Failure::Broke,
            Manner::Plain => Failure::Refused(Status::NoSuchBlock),
            Manner::Nonsense => Failure::Lied,
            Manner::Silent => return,
            _ => return self.give(id, offset, manner),
        };
        self.fetch.handle_failed(now, id, failure);
    }

    fn give(&mut self, id: AttemptId, offset: u32, manner: Manner) {
        let byte = u8::from(!matches!(manner, Manner::Liar | Manner::Spoiler));
        let total = if manner == Manner::OtherLength { TOTAL + 32 } else { TOTAL };
        self.fetch.handle_total(self.now, id, total);
        let len = PART.min(total - u64::from(offset));
        let len = if manner == Manner::Stalls { 1 } else { len };
        if self.fetch.handle_bytes(self.now, id, len) {
            self.file.extend(vec![byte; usize::try_from(len).unwrap()]);
        }
        if manner != Manner::Stalls {
            self.fetch.handle_end(self.now, id);
        }
    }
}

#[test]
fn one_honest_peer_is_enough_whoever_else_is_there() {
    use Manner::*;
    let minute = Duration::from_secs(60);
    for (manners, within) in [
        (vec![Honest], 1),
        (vec![Breaks(1)], 6),
        (vec![Silent, Silent, Silent, Honest], 1),
        (vec![Plain, Nonsense, Honest], 1),
        (vec![Stalls, Honest], 4),
        (vec![Liar, Liar, Liar, Honest], 1),
        (vec![OtherLength, Honest], 1),
        (vec![Spoiler, Honest], 5),
        (vec![Spoiler, Spoiler, Breaks(2), Honest], 30),
        (vec![LaterThan(3)], 8),
        (vec![Silent, Stalls, Plain, Liar, Spoiler, OtherLength, Nonsense, Breaks(3)], 60),
    ] {
        let (time, ..) = run(&manners, 10 * minute).unwrap_or_else(|| panic!("{manners:?}: never done"));
        assert!(time <= Duration::from_secs(within), "{manners:?}: {time:?}");
    }
}

#[test]
fn a_lone_liar_costs_one_round_and_is_asked_no_more() {
    let (_, tries, lost) = run(&[Manner::Liar, Manner::Honest], Duration::from_secs(60)).unwrap();
    assert_eq!((tries, lost), (vec![1, 1], TOTAL));
}

#[test]
fn bytes_that_are_there_are_kept_when_their_giver_fails() {
    let (_, tries, lost) = run(&[Manner::Breaks(2), Manner::Honest], Duration::from_secs(60)).unwrap();
    assert_eq!((tries, lost), (vec![1, 1], 0));
}

#[test]
fn among_liars_alone_it_is_never_done_and_rests() {
    let minute = Duration::from_secs(60);
    for manner in [Manner::Liar, Manner::Spoiler, Manner::OtherLength, Manner::Silent, Manner::Stalls] {
        // `run` fails if there is no rest.
        assert_eq!(run(&[manner; 3], 5 * minute), None, "{manner:?}");
    }
}

#[test]
fn whoever_is_known_in_vain_is_no_hope() {
    let mut fetch = Fetch::new();
    assert!(fetch.is_hopeless(), "nobody is known");
    fetch.handle_peers(Source::User, &[addr(0)]);
    assert!(!fetch.is_hopeless());
    let Some(Action::Ask { attempt, offset: 0, .. }) = fetch.poll_action(Time::ZERO) else {
        panic!("nobody is asked")
    };
    assert!(!fetch.is_hopeless(), "it has not answered yet");
    fetch.handle_failed(Time::ZERO, attempt, Failure::Refused(Status::UnknownFile));
    assert!(fetch.is_hopeless());
    assert_eq!(fetch.poll_action(Time::ZERO), None);
    assert!(fetch.next_wakeup(Time::ZERO) <= FIRST_WAIT);
}

const FIRST_WAIT: Duration = Duration::from_secs(1);

#[test]
fn no_more_are_asked_at_once_than_may_be_and_the_first_that_answers_is_asked_alone() {
    let mut fetch = Fetch::new();
    let addrs: Vec<_> = (0..20).map(addr).collect();
    fetch.handle_peers(Source::Tracker(0), &addrs);
    let (mut now, mut asked) = (Time::ZERO, Vec::new());
    while now < Duration::from_secs(5) {
        while let Some(action) = fetch.poll_action(now) {
            let Action::Ask { attempt, .. } = action else { panic!("{action:?}") };
            asked.push((now, attempt));
        }
        now += Duration::from_millis(10);
    }
    assert_eq!(asked.len(), MAX_AT_ONCE);
    assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= STAGGER));
    fetch.handle_total(now, asked[2].1, TOTAL);
    let mut left: Vec<_> = core::iter::from_fn(|| fetch.poll_action(now)).collect();
    left.sort_by_key(|action| std::format!("{action:?}"));
    assert_eq!(left, [0, 1, 3].map(|number: usize| Action::Leave(asked[number].1)));
    assert!(fetch.handle_bytes(now, asked[2].1, 5) && !fetch.handle_bytes(now, asked[0].1, 5));
}

#[test]
fn what_comes_from_a_slow_second_peer_is_not_put_behind_other_bytes() {
    let mut fetch = Fetch::new();
    fetch.handle_peers(Source::User, &[addr(0), addr(1)]);
    let ask = |fetch: &mut Fetch, now| match fetch.poll_action(now) {
        Some(Action::Ask { attempt, offset, .. }) => (attempt, offset),
        other => panic!("{other:?}"),
    };
    let (first, _) = ask(&mut fetch, Time::ZERO);
    fetch.handle_total(Time::ZERO, first, TOTAL);
    assert!(fetch.handle_bytes(Time::ZERO, first, 10));
    let (second, offset) = ask(&mut fetch, GIVER_PATIENCE);
    assert_eq!(offset, 10);
    // The first goes on after all.
    assert!(fetch.handle_bytes(GIVER_PATIENCE, first, 10));
    fetch.handle_total(GIVER_PATIENCE, second, TOTAL);
    assert!(!fetch.handle_bytes(GIVER_PATIENCE, second, 10));
    assert_eq!(fetch.progress(), (20, Some(TOTAL)));
    assert_eq!(fetch.poll_action(GIVER_PATIENCE), Some(Action::Leave(second)));
}

#[test]
fn addresses_that_stand_for_nobody_and_our_own_are_not_asked() {
    let mut fetch = Fetch::new();
    let own = addr(7);
    fetch.set_own_address(own);
    fetch.handle_peers(
        Source::User,
        &[own, PeerAddr::new([0, 0, 0, 0].into(), 1), PeerAddr::new([10, 0, 0, 1].into(), 0)],
    );
    assert_eq!(fetch.poll_action(Time::ZERO), None);
    assert!(fetch.is_hopeless());
}

#[test]
fn a_long_list_of_one_tracker_leaves_room_for_others() {
    let mut fetch = Fetch::new();
    let many: Vec<_> = (1..5000_u16).map(|port| PeerAddr::new([10, 0, 0, 1].into(), port)).collect();
    fetch.handle_peers(Source::Tracker(0), &many);
    let before = fetch.known();
    assert!(before < 100, "{before}");
    fetch.handle_peers(Source::Tracker(1), &[addr(9)]);
    assert_eq!(fetch.known(), before + 1);
}

/// Any mixture with one peer that is honest, from the start or later, and never breaks off at once.
#[test]
fn any_mixture_with_an_honest_peer_ends_well() {
    let kinds = [
        Manner::Breaks(1),
        Manner::Breaks(3),
        Manner::Liar,
        Manner::Spoiler,
        Manner::OtherLength,
        Manner::Silent,
        Manner::Stalls,
        Manner::LaterThan(20),
        Manner::Plain,
        Manner::Nonsense,
    ];
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..300 {
        let mut manners: Vec<_> = (0..random.usize(0..12)).map(|_| random.choice(kinds).unwrap()).collect();
        let honest = if random.bool() { Manner::Honest } else { Manner::LaterThan(30) };
        manners.insert(random.usize(0..=manners.len()), honest);
        let result = run(&manners, Duration::from_secs(1200));
        assert!(result.is_some(), "round {round}: {manners:?} is never done");
    }
}

/// Lists of four hours name peers that have left; then the sharer comes.
#[test]
fn who_comes_after_many_that_have_left_is_asked() {
    let (mut fetch, mut now) = (Fetch::new(), Time::from_secs(1));
    let at = |number: u16| {
        let [high, low] = number.to_be_bytes();
        PeerAddr::new(core::net::IpAddr::from([10, 0, high, low]), 7001)
    };
    let asked = |fetch: &mut Fetch, now: &mut Time| {
        let (mut all, until) = (Vec::new(), *now + Duration::from_secs(300));
        while *now < until {
            while let Some(action) = fetch.poll_action(*now) {
                if let Action::Ask { attempt, addr, .. } = action {
                    all.push(addr);
                    fetch.handle_failed(*now, attempt, Failure::Broke);
                }
            }
            *now = fetch.next_wakeup(*now).max(*now + Duration::from_millis(1));
        }
        all
    };
    for list in 0..48 {
        let addrs: Vec<_> = (1..=20).map(|peer| at(list * 20 + peer)).collect();
        fetch.handle_peers(Source::Tracker(0), &addrs);
        asked(&mut fetch, &mut now);
    }
    assert!(fetch.known() <= 64, "{} peers are known", fetch.known());
    let sharer = at(5000);
    fetch.handle_peers(Source::Tracker(0), &[sharer]);
    assert!(asked(&mut fetch, &mut now).contains(&sharer));
}
