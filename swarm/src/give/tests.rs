//! The upload as its subscribers see it.

use super::*;
use crate::Time;
use crate::limits::{
    HURRIED_NEWS_INTERVAL, MAX_PEERS_A_FIELD, MAX_PEERS_TOLD, NEWS_A_SECOND, NEWS_AT_ONCE, NEWS_TIMEOUT,
};
use alloc::vec;
use alloc::vec::Vec;
use cascade_format::PeerAddr;
use cascade_format::extension::{Item, Marker, Run};
use cascade_format::{Block, Have, Layout};
use core::net::IpAddr;
use core::time::Duration;

const NOW: Time = Duration::from_secs(1);

fn layout() -> Layout {
    Layout::new(100 << 20, 1 << 20).unwrap()
}

fn block(number: u64) -> Block {
    layout().block(number).unwrap()
}

fn addr(host: u8) -> PeerAddr {
    PeerAddr::new(IpAddr::from([10, 0, 0, host]), 7001)
}

fn v6(host: u16) -> PeerAddr {
    PeerAddr::new(IpAddr::from([0x2001, 0xdb8, 0, host, 0, 0, 0, 1]), 7001)
}

impl Upload {
    fn open(&mut self, now: Time, addr: Option<PeerAddr>) -> SubscriberId {
        self.open_on(now, addr, addr.map(|addr| addr.ip()))
    }
}

#[test]
fn peers_of_each_family_are_told_in_items_of_their_own() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let reader = upload.open(NOW, Some(v6(1)));
    upload.met(addr(2), true);
    upload.met(v6(2), true);
    upload.met(addr(3), false);
    upload.met(v6(3), false);
    let told = upload.news(NOW, reader, &|_| false).unwrap();
    let v4 = |host| vec![addr(host).v4().unwrap()];
    let items = [
        Item::Peers(v4(2)),
        Item::PlainPeers(v4(3)),
        Item::WidePeers(vec![v6(2)]),
        Item::WidePlainPeers(vec![v6(3)]),
    ];
    assert!(items.iter().all(|item| told.contains(item)), "{told:?}");
}

fn is_wide(item: &Item) -> bool {
    matches!(item, Item::WidePeers(_) | Item::WidePlainPeers(_))
}

#[test]
fn no_more_peers_are_told_at_once_for_being_of_two_families() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let reader = upload.open(NOW, Some(addr(1)));
    for host in 2..=200 {
        upload.met(if host % 2 == 0 { addr(host) } else { v6(host.into()) }, host % 3 == 0);
    }
    let told = |upload: &mut Upload| {
        let items = upload.news(NOW, reader, &|_| false).unwrap_or_default();
        // 6 or 18 bytes each, behind 3 for each item.
        let len = |item: &Item| (item.encoded_len() - 3) / if is_wide(item) { 18 } else { 6 };
        items.iter().filter(|item| !matches!(item, Item::Load(_) | Item::Map { .. })).map(len).sum::<usize>()
    };
    assert_eq!(told(&mut upload), MAX_PEERS_A_FIELD);
    assert_eq!(told(&mut upload), MAX_PEERS_TOLD - MAX_PEERS_A_FIELD);
    assert_eq!(told(&mut upload), 0);
}

fn seeder() -> Upload {
    Upload::new(layout(), &Have::all(&layout()), Tuning::DEFAULT)
}

fn news(upload: &mut Upload, now: Time, subscriber: SubscriberId) -> Option<Vec<Item>> {
    upload.news(now, subscriber, &|_| true)
}

fn asked(
    upload: &mut Upload,
    now: Time,
    id: SubscriberId,
    offers_seen: u32,
    block: Option<Block>,
    waiting: usize,
) -> bool {
    let Some(block) = block else {
        upload.declined(now, id, offers_seen);
        return true;
    };
    upload.admits(now, id, block, Server { waiting, counted: false, has: &|_| true })
}

/// Its question for news waits.
fn park(upload: &mut Upload, id: SubscriberId) {
    upload.subscriber(id).unwrap().waits_since = Some(NOW);
}

fn offered(items: &[Item]) -> Vec<u64> {
    let runs = items.iter().filter_map(|item| if let Item::Offer(runs) = item { Some(runs) } else { None });
    runs.flatten().flat_map(|run| run.blocks(&layout())).map(Block::number).collect()
}

#[test]
fn a_lone_reader_of_a_seeder_may_ask_for_anything() {
    let mut upload = seeder();
    let subscriber = upload.open(NOW, Some(addr(1)));
    assert!(asked(&mut upload, NOW, subscriber, 0, Some(block(5)), 0));
    assert_eq!(news(&mut upload, NOW, subscriber), Some(vec![Item::Everything]));
    assert_eq!(news(&mut upload, NOW, subscriber), None);
}

#[test]
fn two_readers_are_told_of_each_other_and_offered_different_blocks() {
    let mut upload = seeder();
    let subscribers = [upload.open(NOW, Some(addr(1))), upload.open(NOW, Some(addr(2)))];
    let told = subscribers.map(|subscriber| news(&mut upload, NOW, subscriber).unwrap());
    assert!(
        told[0].contains(&Item::Choosing) && told[0].contains(&Item::Peers(vec![addr(2).v4().unwrap()])),
        "{told:?}"
    );
    assert!(told[1].contains(&Item::Peers(vec![addr(1).v4().unwrap()])), "{told:?}");
    let (one, two) = (offered(&told[0]), offered(&told[1]));
    assert!(!one.is_empty() && !two.is_empty(), "{told:?}");
    assert!(one.iter().all(|number| !two.contains(number)), "{told:?}");
}

#[test]
fn a_first_question_for_a_block_that_another_has_is_put_off() {
    let mut upload = seeder();
    let first = upload.open(NOW, Some(addr(1)));
    let second = upload.open(NOW, Some(addr(2)));
    assert!(asked(&mut upload, NOW, first, 0, Some(block(70)), 0));
    assert!(!asked(&mut upload, NOW, second, 0, Some(block(70)), 0));
    assert!(asked(&mut upload, NOW, second, 0, Some(block(70)), 0), "it insists");
}

/// Takes every offer at once until nothing is offered; gives the blocks in order of their offers.
fn take_all(upload: &mut Upload, now: Time, subscribers: &[SubscriberId]) -> Vec<u64> {
    let (mut all, mut seen) = (Vec::new(), vec![0; subscribers.len()]);
    loop {
        let before = all.len();
        for (subscriber, seen) in subscribers.iter().zip(&mut seen) {
            for number in offered(&news(upload, now, *subscriber).unwrap_or_default()) {
                *seen += 1;
                assert!(asked(upload, now, *subscriber, *seen, Some(block(number)), 0));
                upload.sent_to(now, *subscriber, block(number));
                all.push(number);
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

#[test]
fn every_block_is_offered_once_and_then_all_may_be_asked() {
    let mut upload = seeder();
    let subscribers = [1, 2, 3].map(|host| upload.open(NOW, Some(addr(host))));
    let mut all = take_all(&mut upload, NOW, &subscribers);
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    let wakeup = upload.next_wakeup(NOW).unwrap();
    subscribers.iter().for_each(|subscriber| park(&mut upload, *subscriber));
    upload.take_woken(NOW);
    upload.handle_time(wakeup);
    assert_eq!(upload.take_woken(NOW).len(), 3);
    assert_eq!(news(&mut upload, wakeup, subscribers[0]), Some(vec![Item::Everything]));
}

#[test]
fn what_a_reader_leaves_or_lets_lapse_goes_to_others() {
    for leaves in [true, false] {
        let mut upload = seeder();
        let subscribers = [1, 2, 3].map(|host| upload.open(NOW, Some(addr(host))));
        let lost = offered(&news(&mut upload, NOW, subscribers[0]).unwrap());
        assert!(!lost.is_empty());
        let mut now = NOW;
        if leaves {
            upload.unsubscribe(now, subscribers[0]);
        }
        let mut got = take_all(&mut upload, now, &subscribers[1..]);
        if !leaves {
            now += Duration::from_secs(60);
            got.extend(take_all(&mut upload, now, &subscribers[1..]));
        }
        assert!(lost.iter().all(|number| got.contains(number)), "leaves {leaves}: {lost:?} of {got:?}");
    }
}

#[test]
fn a_reader_that_declines_gets_other_offers() {
    let mut upload = seeder();
    let subscribers = [1, 2].map(|host| upload.open(NOW, Some(addr(host))));
    let first = offered(&news(&mut upload, NOW, subscribers[0]).unwrap());
    asked(&mut upload, NOW, subscribers[0], 0, None, 0);
    assert_eq!(news(&mut upload, NOW, subscribers[0]), None, "it has not read them yet");
    asked(&mut upload, NOW, subscribers[0], u32::try_from(first.len()).unwrap(), None, 0);
    let second = offered(&news(&mut upload, NOW, subscribers[0]).unwrap());
    assert!(!second.is_empty() && second.iter().all(|number| !first.contains(number)), "{second:?}");
}

#[test]
fn a_fast_seeder_does_not_choose() {
    let mut upload = seeder();
    let subscribers = [1, 2].map(|host| upload.open(NOW, Some(addr(host))));
    for step in 0..100u64 {
        upload.sent_to(NOW + Duration::from_millis(step * 4), subscribers[0], block(step));
    }
    let now = NOW + Duration::from_secs(1);
    assert!(news(&mut upload, now, subscribers[0]).unwrap().contains(&Item::Everything));
}

#[test]
fn a_leecher_tells_its_map_once_and_then_what_is_new() {
    let mut have = Have::none(&layout());
    [3, 4, 50].iter().for_each(|number| assert!(have.insert(block(*number))));
    let mut upload = Upload::new(layout(), &have, Tuning::DEFAULT);
    upload.set_waiting(NOW, 1);
    let subscriber = upload.open(NOW, None);
    let mut bits = vec![0; 13];
    (bits[0], bits[6]) = (0b0001_1000, 0b0010_0000);
    let told = upload.news(NOW, subscriber, &|block| have.has(block));
    assert_eq!(told, Some(vec![Item::Map { first: 0, bits }, Item::Load(1)]));
    assert_eq!(upload.news(NOW, subscriber, &|block| have.has(block)), None);
    [7, 8, 20].iter().for_each(|number| upload.published(NOW, block(*number)));
    park(&mut upload, subscriber);
    assert_eq!(upload.take_woken(NOW), [subscriber]);
    upload.handle_time(upload.next_wakeup(NOW).unwrap());
    let runs = vec![Run { first: block(7), count: 2 }, Run::of(block(20))];
    assert_eq!(news(&mut upload, NOW, subscriber), Some(vec![Item::Have(runs)]));
}

#[test]
fn news_waits_for_more_only_while_others_wait_for_the_uplink() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let subscriber = upload.open(NOW, None);
    let told = |upload: &mut Upload| news(upload, NOW, subscriber).is_some_and(|items| !items.is_empty());
    upload.published(NOW, block(1));
    assert!(told(&mut upload));
    upload.published(NOW, block(2));
    assert!(told(&mut upload), "nobody waits for the uplink");
    upload.set_waiting(NOW, 1);
    told(&mut upload);
    upload.published(NOW, block(3));
    assert!(!told(&mut upload));
    upload.set_waiting(NOW, 0);
    assert!(told(&mut upload), "nobody waits any more");
}

#[test]
fn a_peer_with_many_blocks_lets_more_wait() {
    for (blocks, size, most) in [(8, 1 << 20, 4), (80, 1 << 20, 12), (80, 64 << 10, 12)] {
        let layout = Layout::new(100 * size, size).unwrap();
        let mut have = Have::none(&layout);
        layout.iter().take(blocks).for_each(|block| assert!(have.insert(block)));
        let mut upload = Upload::new(layout, &have, Tuning::DEFAULT);
        let subscriber = upload.open(NOW, None);
        let first = layout.block(0);
        assert!(asked(&mut upload, NOW, subscriber, 0, first, most - 1), "{blocks} of {size}");
        assert!(!asked(&mut upload, NOW, subscriber, 0, first, most), "{blocks} of {size}");
    }
}

#[test]
fn a_reader_that_was_woken_for_nothing_is_woken_again() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let subscriber = upload.open(NOW, Some(addr(0)));
    for host in 1..=250 {
        upload.met(addr(host), true);
        news(&mut upload, NOW, subscriber);
    }
    park(&mut upload, subscriber);
    upload.take_woken(NOW);
    upload.met(addr(251), true);
    assert_eq!(upload.take_woken(NOW), [subscriber]);
    assert!(!upload.has_news(subscriber), "it has been told of enough peers");
    upload.published(NOW, block(7));
    assert_eq!(upload.take_woken(NOW), [subscriber]);
    assert_eq!(news(&mut upload, NOW, subscriber), Some(vec![Item::Have(vec![Run::of(block(7))])]));
}

#[test]
fn a_leecher_that_becomes_complete_says_so() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let subscriber = upload.open(NOW, None);
    assert_eq!(news(&mut upload, NOW, subscriber), Some(vec![]), "the greeting: it knows the extension");
    layout().iter().for_each(|block| upload.published(NOW, block));
    assert_eq!(news(&mut upload, NOW, subscriber), Some(vec![Item::Everything]));
}

#[test]
fn a_reader_that_falls_behind_is_told_the_map_again() {
    let layout = Layout::new(200_000, 1).unwrap();
    let mut upload = Upload::new(layout, &Have::none(&layout), Tuning::DEFAULT);
    upload.set_waiting(NOW, 1);
    let subscriber = upload.open(NOW, None);
    upload.news(NOW, subscriber, &|_| false);
    // Every other block: no two make a run.
    let came: Vec<Block> = layout.iter().filter(|block| block.number() % 2 == 0).collect();
    came.iter().for_each(|block| upload.published(NOW, *block));
    upload.take_woken(NOW);
    upload.handle_time(upload.next_wakeup(NOW).unwrap());
    let mut known = Have::none(&layout);
    while let Some(items) = upload.news(NOW, subscriber, &|block| block.number() % 2 == 0) {
        for item in items {
            let Item::Map { first, bits } = item else { panic!("{item:?}") };
            for (at, byte) in bits.iter().enumerate() {
                for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                    known.insert(layout.block(first + at as u64 * 8 + bit).unwrap());
                }
            }
        }
    }
    assert_eq!(known.count(), came.len() as u64);
}

#[test]
fn who_leaves_says_goodbye_once() {
    let mut upload = seeder();
    let subscriber = upload.open(NOW, None);
    news(&mut upload, NOW, subscriber);
    upload.leave();
    assert_eq!(news(&mut upload, NOW, subscriber), Some(vec![Item::Goodbye]));
    assert_eq!(news(&mut upload, NOW, subscriber), None);
}

#[test]
fn an_address_of_this_machine_is_told_on_this_machine_alone() {
    let local = PeerAddr::new(IpAddr::from([127, 0, 0, 1]), 7001);
    let mut upload = seeder();
    upload.met(local, true);
    let far = upload.open(NOW, Some(addr(1)));
    let near = upload.open(NOW, Some(PeerAddr::new(IpAddr::from([127, 0, 0, 1]), 7002)));
    let peers = |items: Vec<Item>| items.into_iter().find(|item| matches!(item, Item::Peers(_)));
    let to_far = peers(news(&mut upload, NOW, far).unwrap());
    assert_eq!(to_far, None, "both others are of this machine");
    let to_near = peers(news(&mut upload, NOW, near).unwrap());
    assert_eq!(to_near, Some(Item::Peers([local, addr(1)].map(|addr| addr.v4().unwrap()).into())));
}

#[test]
fn many_who_only_listen_get_the_budget_and_who_takes_blocks_goes_first() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let subscribers: Vec<_> = (0..500).map(|_| upload.open(NOW, None)).collect();
    let mut now = NOW;
    let mut times_told = vec![0; subscribers.len()];
    for round in 0..50u64 {
        upload.published(now, block(round));
        // The first one takes what it hears of.
        upload.sent_to(now, subscribers[0], block(round));
        for (subscriber, told) in subscribers.iter().zip(&mut times_told) {
            if upload.has_news(*subscriber) && upload.may_answer(now, *subscriber) {
                *told += u32::from(news(&mut upload, now, *subscriber).is_some());
            }
        }
        now += Tuning::DEFAULT.news_interval;
    }
    let all: u32 = times_told.iter().sum();
    assert!(all <= NEWS_A_SECOND + NEWS_AT_ONCE, "{all} in a second");
    assert!(all >= NEWS_A_SECOND * 9 / 10, "{all} in a second");
    // All alike until everybody has been told once, which takes a third of the second.
    assert!(times_told[0] >= 33, "told {} times in 50 rounds", times_told[0]);
    assert!(times_told[1..].iter().all(|told| *told <= 5), "{times_told:?}");
}

#[test]
fn thirty_links_are_told_as_often_as_ever() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let subscribers: Vec<_> = (0..30).map(|_| upload.open(NOW, None)).collect();
    let mut now = NOW;
    for round in 0..100u64 {
        upload.published(now, block(round));
        for subscriber in &subscribers {
            assert!(upload.has_news(*subscriber) && upload.may_answer(now, *subscriber), "round {round}");
            assert!(news(&mut upload, now, *subscriber).is_some());
        }
        now += Tuning::DEFAULT.news_interval;
    }
}

#[test]
fn who_waits_for_its_turn_is_woken_and_not_before() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let subscribers: Vec<_> = (0..1000).map(|_| upload.open(NOW, None)).collect();
    let waiting: Vec<_> =
        subscribers.iter().filter(|subscriber| !upload.may_answer(NOW, **subscriber)).collect();
    assert_eq!(waiting.len(), subscribers.len() - NEWS_AT_ONCE as usize);
    subscribers.iter().for_each(|subscriber| park(&mut upload, *subscriber));
    assert_eq!(upload.take_woken(NOW), [], "nobody else's turn has come");
    let (mut now, mut woken) = (NOW, 0);
    while woken < waiting.len() {
        now = upload.next_wakeup(now).expect("somebody waits");
        upload.handle_time(now);
        woken += upload.take_woken(now).len();
    }
    let took = (now - NOW).as_secs_f64() * f64::from(NEWS_A_SECOND);
    assert!((800.0..1000.0).contains(&took), "{took}");
    assert!(subscribers.iter().all(|subscriber| upload.may_answer(now, *subscriber)));
}

#[test]
fn a_goodbye_is_told_to_all_at_once() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let subscribers: Vec<_> = (0..1000).map(|_| upload.open(NOW, None)).collect();
    subscribers.iter().for_each(|subscriber| drop(news(&mut upload, NOW, *subscriber)));
    subscribers.iter().for_each(|subscriber| park(&mut upload, *subscriber));
    upload.take_woken(NOW);
    upload.leave();
    assert_eq!(upload.take_woken(NOW).len(), subscribers.len());
}

/// Takes all that the subscriber is offered, and returns it.
fn take_offers(upload: &mut Upload, now: Time, subscriber: SubscriberId, seen: &mut u32) -> Vec<u64> {
    let offers = offered(&news(upload, now, subscriber).unwrap_or_default());
    *seen += u32::try_from(offers.len()).unwrap();
    for number in &offers {
        assert!(asked(upload, now, subscriber, *seen, Some(block(*number)), 0));
        upload.sent_to(now, subscriber, block(*number));
    }
    offers
}

#[test]
fn many_readers_of_one_host_do_not_keep_what_is_on_offer() {
    let mut upload = seeder();
    let (mut now, greedy_host) = (NOW, IpAddr::from([10, 0, 0, 9]));
    let greedy: Vec<SubscriberId> =
        (1..=50).map(|port| upload.open(now, Some(PeerAddr::new(greedy_host, port)))).collect();
    let held: usize =
        greedy.iter().map(|subscriber| offered(&news(&mut upload, now, *subscriber).unwrap()).len()).sum();
    assert!(held > 4, "alone they are offered {held}");
    let mut honest = [1, 2].map(|host| (upload.open(now, Some(addr(host))), 0));
    let mut got = 0;
    // Long before an offer that nobody asks for lapses.
    for step in 0..40usize {
        now += Duration::from_millis(100);
        for (subscriber, seen) in &mut honest {
            got += take_offers(&mut upload, now, *subscriber, seen).len();
        }
        // They ask for what they like, and are told what they are offered.
        let subscriber = greedy[step % greedy.len()];
        asked(&mut upload, now, subscriber, 0, Some(block(step as u64)), 0);
        upload.sent_to(now, subscriber, block(step as u64));
        let _ = news(&mut upload, now, subscriber);
    }
    assert!(got >= 97, "two others were offered {got} of 100 blocks");
}

/// A client that shows the marker.
const MARKER: Marker = Marker { port: 7001, offers_seen: 0, progress: None };

/// What `wanted` is answered with, nothing else waiting here.
fn ask(
    upload: &mut Upload,
    now: Time,
    client: &mut Conversation,
    (wanted, marker, behind): (Wanted, Option<Marker>, Behind),
) -> Decision {
    let server = Server { waiting: 1, counted: true, has: &|_| true };
    upload.request(now, client, Request { wanted, marker, behind }, server)
}

fn poll(upload: &mut Upload, now: Time, client: &mut Conversation, behind: Behind) -> Decision {
    ask(upload, now, client, (Wanted::News, Some(MARKER), behind))
}

fn client(host: u8) -> Conversation {
    Conversation::new(Some(IpAddr::from([10, 0, 0, host])))
}

#[test]
fn a_question_for_news_waits_until_there_is_some_or_its_time_is_up() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let mut client = client(1);
    assert_eq!(poll(&mut upload, NOW, &mut client, Behind::Nothing), Decision::Tell(vec![Item::Load(1)]));
    let until = NOW + NEWS_TIMEOUT;
    assert_eq!(poll(&mut upload, NOW, &mut client, Behind::Nothing), Decision::Wait(until));
    upload.published(NOW, block(7));
    assert_eq!(upload.take_woken(NOW), [client.subscriber().unwrap()]);
    let due = NOW + Tuning::DEFAULT.news_interval;
    assert_eq!(poll(&mut upload, NOW, &mut client, Behind::Nothing), Decision::Wait(due));
    let told = Decision::Tell(vec![Item::Have(vec![Run::of(block(7))])]);
    assert_eq!(poll(&mut upload, due, &mut client, Behind::Nothing), told);
    assert_eq!(poll(&mut upload, due, &mut client, Behind::Nothing), Decision::Wait(due + NEWS_TIMEOUT));
    let late = due + NEWS_TIMEOUT;
    assert_eq!(poll(&mut upload, late, &mut client, Behind::Nothing), Decision::Tell(vec![]));
}

#[test]
fn what_follows_a_question_for_news_hurries_it_and_not_without_end() {
    for (behind, pause) in
        [(Behind::Requests, HURRIED_NEWS_INTERVAL), (Behind::Questions, Tuning::DEFAULT.news_interval)]
    {
        let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
        let mut client = client(1);
        assert!(matches!(poll(&mut upload, NOW, &mut client, behind), Decision::Tell(_)));
        assert_eq!(poll(&mut upload, NOW, &mut client, behind), Decision::Wait(NOW + pause), "{behind:?}");
        assert_eq!(poll(&mut upload, NOW + pause, &mut client, behind), Decision::Tell(vec![]), "{behind:?}");
    }
}

#[test]
fn news_stands_in_front_of_a_block_and_not_of_every_block() {
    let mut upload = seeder();
    let mut client = client(1);
    let block_0 = (Wanted::Block(block(0)), Some(MARKER), Behind::Nothing);
    let told = Decision::Give(Some(vec![Item::Everything, Item::Load(1)]));
    assert_eq!(ask(&mut upload, NOW, &mut client, block_0), told);
    upload.met(addr(9), true);
    assert_eq!(ask(&mut upload, NOW, &mut client, block_0), Decision::Give(None), "too soon");
    let due = NOW + Tuning::DEFAULT.news_interval;
    let missing = (Wanted::Missing, Some(MARKER), Behind::Nothing);
    let told = Decision::Refuse(Some(vec![Item::Peers(vec![addr(9).v4().unwrap()])]));
    assert_eq!(ask(&mut upload, due, &mut client, missing), told);
}

#[test]
fn a_further_request_goes_along_while_there_is_nothing_to_tell() {
    let mut upload = seeder();
    let mut client = client(1);
    let server = Server { waiting: 1, counted: true, has: &|_| true };
    let request = |wanted, marker| Request { wanted, marker, behind: Behind::Nothing };
    let marked = request(Wanted::Block(block(1)), Some(MARKER));
    assert!(!upload.further_request(NOW, &mut client, marked, server), "it is to be greeted");
    upload.request(NOW, &mut client, marked, server);
    assert!(upload.further_request(NOW, &mut client, marked, server));
    upload.met(addr(9), true);
    assert!(upload.further_request(NOW, &mut client, marked, server), "it was told something just now");
    let due = NOW + Tuning::DEFAULT.news_interval;
    assert!(!upload.further_request(due, &mut client, marked, server));
    assert!(!upload.further_request(NOW, &mut client, request(Wanted::News, Some(MARKER)), server));
    assert!(upload.further_request(due, &mut client, request(Wanted::Block(block(1)), None), server));
}

#[test]
fn version_1_gets_everything_while_it_is_alone_and_a_share_beside_others() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let (mut plain, mut marked, mut seen) = (client(1), client(2), 0);
    let has: &dyn Fn(Block) -> bool = &|_| true;
    // The other one waits for a block, too.
    let server = Server { waiting: 2, counted: true, has };
    let of = |block, marker| Request { wanted: Wanted::Block(block), marker, behind: Behind::Nothing };
    for number in 0..20 {
        let decision = upload.request(NOW, &mut plain, of(block(number), None), server);
        assert_eq!(decision, Decision::Give(None));
    }
    assert_eq!(upload.askers_since(&mut seen), [IpAddr::from([10, 0, 0, 1])]);
    let mut given = 0;
    for number in 0..50 {
        let decision = upload.request(NOW, &mut marked, of(block(number), Some(MARKER)), server);
        assert!(matches!(decision, Decision::Give(_)), "{decision:?}");
        given +=
            u32::from(upload.request(NOW, &mut plain, of(block(0), None), server) == Decision::Give(None));
        upload.sent(NOW, &marked, block(number));
    }
    assert!((4..=5).contains(&given), "{given} of 50");
    upload.request(NOW, &mut marked, of(block(50), Some(MARKER)), server);
    let pause = NOW + Tuning::DEFAULT.news_interval;
    assert_eq!(upload.request(NOW, &mut plain, of(block(0), None), server), Decision::Wait(pause));
    let alone = Server { waiting: 1, ..server };
    let decision = upload.request(NOW, &mut client(3), of(block(0), None), alone);
    assert_eq!(decision, Decision::Give(None), "the other one takes nothing of what it is sent");
    let end = NOW + Tuning::DEFAULT.version1_max_wait;
    let decision = upload.request(end, &mut plain, of(block(0), None), server);
    assert_eq!(decision, Decision::Give(None), "it waits no longer than that");
}

#[test]
fn after_the_file_was_checked_again_everybody_is_told_anew() {
    let mut upload = seeder();
    let mut client = client(1);
    assert!(matches!(poll(&mut upload, NOW, &mut client, Behind::Nothing), Decision::Tell(_)));
    assert!(matches!(poll(&mut upload, NOW, &mut client, Behind::Nothing), Decision::Wait(_)));
    let before = client.subscriber().unwrap();
    upload.restart(&Have::none(&layout()));
    assert_eq!((upload.take_woken(NOW), upload.subscribers()), (vec![before], 0));
    let told = poll(&mut upload, NOW, &mut client, Behind::Nothing);
    assert!(matches!(&told, Decision::Tell(items) if !items.contains(&Item::Everything)), "{told:?}");
    assert_ne!(client.subscriber(), Some(before));
    assert_eq!(upload.met_since(&mut 0), [addr(1)], "what was met is still known");
}

#[test]
fn subscribers_that_take_nothing_do_not_hold_up_another() {
    let mut upload = seeder();
    let mut idlers = [1, 2].map(client);
    let mut leecher = client(3);
    let (mut now, mut seen, mut got, mut wanted) = (NOW, 0, 0, Vec::new());
    let server = Server { waiting: 0, counted: false, has: &|_| true };
    for idler in &mut idlers {
        poll(&mut upload, now, idler, Behind::Nothing);
    }
    // One block of 1 MiB in each 50 ms.
    while got < 100 {
        now += Duration::from_millis(25);
        upload.handle_time(now);
        let marker = Some(Marker { port: 7001, offers_seen: seen, progress: None });
        let news = Request { wanted: Wanted::News, marker, behind: Behind::Nothing };
        if let Decision::Tell(items) = upload.request(now, &mut leecher, news, server) {
            let offers = offered(&items);
            seen += u32::try_from(offers.len()).unwrap();
            wanted.extend(offers);
        }
        now += Duration::from_millis(25);
        if let Some(number) = wanted.pop() {
            let marker = Some(Marker { port: 7001, offers_seen: seen, progress: None });
            let request = Request { wanted: Wanted::Block(block(number)), marker, behind: Behind::Nothing };
            assert!(matches!(upload.request(now, &mut leecher, request, server), Decision::Give(_)));
            upload.sent(now, &leecher, block(number));
            got += 1;
        }
        assert!(now < NOW + Duration::from_secs(8), "{got} of 100 blocks after eight seconds");
    }
}
