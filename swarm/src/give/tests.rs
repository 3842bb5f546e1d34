//! The board as its readers see it.

use super::*;
use crate::Time;
use crate::limits::{NEWS_A_SECOND, NEWS_AT_ONCE, NEWS_INTERVAL};
use alloc::vec;
use alloc::vec::Vec;
use cascade_format::extension::{Item, Run};
use cascade_format::{Block, Have, Layout};
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;

const NOW: Time = Duration::from_secs(1);

fn layout() -> Layout {
    Layout::new(100 << 20, 1 << 20).unwrap()
}

fn block(number: u64) -> Block {
    layout().block(number).unwrap()
}

fn addr(host: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, host), 7001)
}

fn seeder() -> Board {
    Board::new(layout(), &Have::all(&layout()), 0)
}

fn news(board: &mut Board, now: Time, reader: ReaderId) -> Option<Vec<Item>> {
    board.news(now, reader, &|_| true)
}

fn offered(items: &[Item]) -> Vec<u64> {
    let runs = items.iter().filter_map(|item| if let Item::Offer(runs) = item { Some(runs) } else { None });
    runs.flatten().flat_map(|run| run.blocks(&layout())).map(Block::number).collect()
}

#[test]
fn a_lone_reader_of_a_seeder_may_ask_for_anything() {
    let mut board = seeder();
    let reader = board.open(NOW, Some(addr(1)));
    assert_eq!(board.asked(NOW, reader, 0, Some(block(5)), 0), Verdict::Serve);
    assert_eq!(news(&mut board, NOW, reader), Some(vec![Item::Everything]));
    assert_eq!(news(&mut board, NOW, reader), None);
}

#[test]
fn two_readers_are_told_of_each_other_and_offered_different_blocks() {
    let mut board = seeder();
    let readers = [board.open(NOW, Some(addr(1))), board.open(NOW, Some(addr(2)))];
    let told = readers.map(|reader| news(&mut board, NOW, reader).unwrap());
    assert!(told[0].contains(&Item::Choosing) && told[0].contains(&Item::Peers(vec![addr(2)])), "{told:?}");
    assert!(told[1].contains(&Item::Peers(vec![addr(1)])), "{told:?}");
    let (one, two) = (offered(&told[0]), offered(&told[1]));
    assert!(!one.is_empty() && !two.is_empty(), "{told:?}");
    assert!(one.iter().all(|number| !two.contains(number)), "{told:?}");
}

#[test]
fn a_first_question_for_a_block_that_another_has_is_put_off() {
    let mut board = seeder();
    let first = board.open(NOW, Some(addr(1)));
    let second = board.open(NOW, Some(addr(2)));
    assert_eq!(board.asked(NOW, first, 0, Some(block(70)), 0), Verdict::Serve);
    assert_eq!(board.asked(NOW, second, 0, Some(block(70)), 0), Verdict::Later);
    assert_eq!(board.asked(NOW, second, 0, Some(block(70)), 0), Verdict::Serve, "it insists");
}

/// Takes every offer at once until nothing is offered; gives the blocks in order of their offers.
fn take_all(board: &mut Board, now: Time, readers: &[ReaderId]) -> Vec<u64> {
    let (mut all, mut seen) = (Vec::new(), vec![0; readers.len()]);
    loop {
        let before = all.len();
        for (reader, seen) in readers.iter().zip(&mut seen) {
            for number in offered(&news(board, now, *reader).unwrap_or_default()) {
                *seen += 1;
                assert_eq!(board.asked(now, *reader, *seen, Some(block(number)), 0), Verdict::Serve);
                board.sent(now, *reader, block(number));
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
    let mut board = seeder();
    let readers = [1, 2, 3].map(|host| board.open(NOW, Some(addr(host))));
    let mut all = take_all(&mut board, NOW, &readers);
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    let wakeup = board.next_wakeup(NOW).unwrap();
    board.take_woken(NOW);
    board.handle_time(wakeup);
    assert_eq!(board.take_woken(NOW).len(), 3);
    assert_eq!(news(&mut board, wakeup, readers[0]), Some(vec![Item::Everything]));
}

#[test]
fn what_a_reader_leaves_or_lets_lapse_goes_to_others() {
    for leaves in [true, false] {
        let mut board = seeder();
        let readers = [1, 2, 3].map(|host| board.open(NOW, Some(addr(host))));
        let lost = offered(&news(&mut board, NOW, readers[0]).unwrap());
        assert!(!lost.is_empty());
        let mut now = NOW;
        if leaves {
            board.close(now, readers[0]);
        }
        let mut got = take_all(&mut board, now, &readers[1..]);
        if !leaves {
            now += Duration::from_secs(60);
            got.extend(take_all(&mut board, now, &readers[1..]));
        }
        assert!(lost.iter().all(|number| got.contains(number)), "leaves {leaves}: {lost:?} of {got:?}");
    }
}

#[test]
fn a_reader_that_declines_gets_other_offers() {
    let mut board = seeder();
    let readers = [1, 2].map(|host| board.open(NOW, Some(addr(host))));
    let first = offered(&news(&mut board, NOW, readers[0]).unwrap());
    board.asked(NOW, readers[0], 0, None, 0);
    assert_eq!(news(&mut board, NOW, readers[0]), None, "it has not read them yet");
    board.asked(NOW, readers[0], u32::try_from(first.len()).unwrap(), None, 0);
    let second = offered(&news(&mut board, NOW, readers[0]).unwrap());
    assert!(!second.is_empty() && second.iter().all(|number| !first.contains(number)), "{second:?}");
}

#[test]
fn a_fast_seeder_does_not_choose() {
    let mut board = seeder();
    let readers = [1, 2].map(|host| board.open(NOW, Some(addr(host))));
    for step in 0..100u64 {
        board.sent(NOW + Duration::from_millis(step * 4), readers[0], block(step));
    }
    let now = NOW + Duration::from_secs(1);
    assert!(news(&mut board, now, readers[0]).unwrap().contains(&Item::Everything));
}

#[test]
fn a_leecher_tells_its_map_once_and_then_what_is_new() {
    let mut have = Have::none(&layout());
    [3, 4, 50].iter().for_each(|number| assert!(have.insert(block(*number))));
    let mut board = Board::new(layout(), &have, 0);
    board.set_load(NOW, 1);
    let reader = board.open(NOW, None);
    let mut bits = vec![0; 13];
    (bits[0], bits[6]) = (0b0001_1000, 0b0010_0000);
    let told = board.news(NOW, reader, &|block| have.has(block));
    assert_eq!(told, Some(vec![Item::Map { first: 0, bits }, Item::Load(1)]));
    assert_eq!(board.news(NOW, reader, &|block| have.has(block)), None);
    [7, 8, 20].iter().for_each(|number| board.published(NOW, block(*number)));
    assert_eq!(board.take_woken(NOW), [reader]);
    board.handle_time(board.next_wakeup(NOW).unwrap());
    let runs = vec![Run { first: block(7), count: 2 }, Run::of(block(20))];
    assert_eq!(news(&mut board, NOW, reader), Some(vec![Item::Have(runs)]));
}

#[test]
fn news_waits_for_more_only_while_others_wait_for_the_uplink() {
    let mut board = Board::new(layout(), &Have::none(&layout()), 0);
    let reader = board.open(NOW, None);
    let told = |board: &mut Board| news(board, NOW, reader).is_some_and(|items| !items.is_empty());
    board.published(NOW, block(1));
    assert!(told(&mut board));
    board.published(NOW, block(2));
    assert!(told(&mut board), "nobody waits for the uplink");
    board.set_load(NOW, 1);
    told(&mut board);
    board.published(NOW, block(3));
    assert!(!told(&mut board));
    board.set_load(NOW, 0);
    assert!(told(&mut board), "nobody waits any more");
}

#[test]
fn who_has_many_blocks_lets_more_wait() {
    for (blocks, size, most) in [(8, 1 << 20, 4), (80, 1 << 20, 5), (80, 256 << 10, 8), (80, 64 << 10, 16)] {
        let layout = Layout::new(100 * size, size).unwrap();
        let mut have = Have::none(&layout);
        layout.iter().take(blocks).for_each(|block| assert!(have.insert(block)));
        let mut board = Board::new(layout, &have, 0);
        let reader = board.open(NOW, None);
        let first = layout.block(0);
        assert_eq!(board.asked(NOW, reader, 0, first, most - 1), Verdict::Serve, "{blocks} of {size}");
        assert_eq!(board.asked(NOW, reader, 0, first, most), Verdict::Later, "{blocks} of {size}");
    }
}

#[test]
fn who_was_sent_away_is_let_in_sooner_where_blocks_are_small() {
    for (size, most, more) in [(64 << 10, 16, 4), (1 << 20, 8, 0)] {
        let layout = Layout::new(100 * size, size).unwrap();
        let mut have = Have::none(&layout);
        layout.iter().take(80).for_each(|block| assert!(have.insert(block)));
        let mut board = Board::new(layout, &have, 0);
        let reader = board.open(NOW, None);
        let ask = |board: &mut Board, now, others| board.asked(now, reader, 0, layout.block(0), others);
        let mut now = NOW;
        for _ in 0..6 {
            for _ in 0..3 {
                assert_eq!(
                    ask(&mut board, now, most + more),
                    Verdict::Later,
                    "blocks of {size}: a bound holds"
                );
            }
            now += Duration::from_millis(150);
        }
        if more > 0 {
            assert_eq!(ask(&mut board, now, most + more - 1), Verdict::Serve, "blocks of {size}");
        }
        board.sent(now, reader, layout.block(0).unwrap());
        assert_eq!(ask(&mut board, now, most), Verdict::Later, "blocks of {size}: it begins anew");
    }
}

#[test]
fn a_reader_that_was_woken_for_nothing_is_woken_again() {
    let mut board = Board::new(layout(), &Have::none(&layout()), 0);
    let reader = board.open(NOW, Some(addr(0)));
    for host in 1..=250 {
        board.met(addr(host), true);
        news(&mut board, NOW, reader);
    }
    board.take_woken(NOW);
    board.met(addr(251), true);
    assert_eq!(board.take_woken(NOW), [reader]);
    assert!(!board.has_news(reader), "it has been told of enough peers");
    board.published(NOW, block(7));
    assert_eq!(board.take_woken(NOW), [reader]);
    assert_eq!(news(&mut board, NOW, reader), Some(vec![Item::Have(vec![Run::of(block(7))])]));
}

#[test]
fn a_leecher_that_becomes_complete_says_so() {
    let mut board = Board::new(layout(), &Have::none(&layout()), 0);
    let reader = board.open(NOW, None);
    assert_eq!(news(&mut board, NOW, reader), Some(vec![]), "the greeting: it knows the extension");
    layout().iter().for_each(|block| board.published(NOW, block));
    assert_eq!(news(&mut board, NOW, reader), Some(vec![Item::Everything]));
}

#[test]
fn a_reader_that_falls_behind_is_told_the_map_again() {
    let layout = Layout::new(200_000, 1).unwrap();
    let mut board = Board::new(layout, &Have::none(&layout), 0);
    board.set_load(NOW, 1);
    let reader = board.open(NOW, None);
    board.news(NOW, reader, &|_| false);
    // Every other block: no two make a run.
    let came: Vec<Block> = layout.iter().filter(|block| block.number() % 2 == 0).collect();
    came.iter().for_each(|block| board.published(NOW, *block));
    board.take_woken(NOW);
    board.handle_time(board.next_wakeup(NOW).unwrap());
    let mut known = Have::none(&layout);
    while let Some(items) = board.news(NOW, reader, &|block| block.number() % 2 == 0) {
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
    let mut board = seeder();
    let reader = board.open(NOW, None);
    news(&mut board, NOW, reader);
    board.leave();
    assert_eq!(news(&mut board, NOW, reader), Some(vec![Item::Goodbye]));
    assert_eq!(news(&mut board, NOW, reader), None);
}

#[test]
fn an_address_of_this_machine_is_told_on_this_machine_alone() {
    let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7001);
    let mut board = seeder();
    board.met(local, true);
    let far = board.open(NOW, Some(addr(1)));
    let near = board.open(NOW, Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7002)));
    let peers = |items: Vec<Item>| items.into_iter().find(|item| matches!(item, Item::Peers(_)));
    let to_far = peers(news(&mut board, NOW, far).unwrap());
    assert_eq!(to_far, None, "both others are of this machine");
    let to_near = peers(news(&mut board, NOW, near).unwrap());
    assert_eq!(to_near, Some(Item::Peers(vec![local, addr(1)])));
}

#[test]
fn many_who_only_listen_get_the_budget_and_who_takes_blocks_goes_first() {
    let mut board = Board::new(layout(), &Have::none(&layout()), 0);
    let readers: Vec<_> = (0..500).map(|_| board.open(NOW, None)).collect();
    let mut now = NOW;
    let mut tellings = vec![0; readers.len()];
    for round in 0..50u64 {
        board.published(now, block(round));
        // The first one takes what it hears of.
        board.sent(now, readers[0], block(round));
        for (reader, told) in readers.iter().zip(&mut tellings) {
            if board.has_news(*reader) && board.may_answer(now, *reader) {
                *told += u32::from(news(&mut board, now, *reader).is_some());
            }
        }
        now += NEWS_INTERVAL;
    }
    let all: u32 = tellings.iter().sum();
    assert!(all <= NEWS_A_SECOND + NEWS_AT_ONCE, "{all} in a second");
    assert!(all >= NEWS_A_SECOND * 9 / 10, "{all} in a second");
    // All alike until everybody has been told once, which takes a third of the second.
    assert!(tellings[0] >= 33, "told {} times in 50 rounds", tellings[0]);
    assert!(tellings[1..].iter().all(|told| *told <= 5), "{tellings:?}");
}

#[test]
fn thirty_links_are_told_as_often_as_ever() {
    let mut board = Board::new(layout(), &Have::none(&layout()), 0);
    let readers: Vec<_> = (0..30).map(|_| board.open(NOW, None)).collect();
    let mut now = NOW;
    for round in 0..100u64 {
        board.published(now, block(round));
        for reader in &readers {
            assert!(board.has_news(*reader) && board.may_answer(now, *reader), "round {round}");
            assert!(news(&mut board, now, *reader).is_some());
        }
        now += NEWS_INTERVAL;
    }
}

#[test]
fn who_waits_for_its_turn_is_woken_and_not_before() {
    let mut board = Board::new(layout(), &Have::none(&layout()), 0);
    let readers: Vec<_> = (0..1000).map(|_| board.open(NOW, None)).collect();
    let waiting: Vec<_> = readers.iter().filter(|reader| !board.may_answer(NOW, **reader)).collect();
    assert_eq!(waiting.len(), readers.len() - NEWS_AT_ONCE as usize);
    assert_eq!(board.take_woken(NOW), [], "nobody else's turn has come");
    let (mut now, mut woken) = (NOW, 0);
    while woken < waiting.len() {
        now = board.next_wakeup(now).expect("somebody waits");
        board.handle_time(now);
        woken += board.take_woken(now).len();
    }
    let took = (now - NOW).as_secs_f64() * f64::from(NEWS_A_SECOND);
    assert!((800.0..1000.0).contains(&took), "{took}");
    assert!(readers.iter().all(|reader| board.may_answer(now, *reader)));
}

#[test]
fn a_goodbye_is_told_to_all_at_once() {
    let mut board = Board::new(layout(), &Have::none(&layout()), 0);
    let readers: Vec<_> = (0..1000).map(|_| board.open(NOW, None)).collect();
    readers.iter().for_each(|reader| drop(news(&mut board, NOW, *reader)));
    board.take_woken(NOW);
    board.leave();
    assert_eq!(board.take_woken(NOW).len(), readers.len());
}

/// Takes all that the reader is offered, and returns it.
fn take_offers(board: &mut Board, now: Time, reader: ReaderId, seen: &mut u32) -> Vec<u64> {
    let offers = offered(&news(board, now, reader).unwrap_or_default());
    *seen += u32::try_from(offers.len()).unwrap();
    for number in &offers {
        assert_eq!(board.asked(now, reader, *seen, Some(block(*number)), 0), Verdict::Serve);
        board.sent(now, reader, block(*number));
    }
    offers
}

#[test]
fn many_readers_of_one_host_do_not_keep_what_is_on_offer() {
    let mut board = seeder();
    let (mut now, greedy_host) = (NOW, Ipv4Addr::new(10, 0, 0, 9));
    let greedy: Vec<ReaderId> =
        (1..=50).map(|port| board.open(now, Some(SocketAddrV4::new(greedy_host, port)))).collect();
    let held: usize =
        greedy.iter().map(|reader| offered(&news(&mut board, now, *reader).unwrap()).len()).sum();
    assert!(held > 4, "alone they are offered {held}");
    let mut honest = [1, 2].map(|host| (board.open(now, Some(addr(host))), 0));
    let mut got = 0;
    // Long before an offer that nobody asks for lapses.
    for step in 0..40usize {
        now += Duration::from_millis(100);
        for (reader, seen) in &mut honest {
            got += take_offers(&mut board, now, *reader, seen).len();
        }
        // They ask for what they like, and are told what they are offered.
        let reader = greedy[step % greedy.len()];
        board.asked(now, reader, 0, Some(block(step as u64)), 0);
        board.sent(now, reader, block(step as u64));
        let _ = news(&mut board, now, reader);
    }
    assert!(got >= 97, "two others were offered {got} of 100 blocks");
}
