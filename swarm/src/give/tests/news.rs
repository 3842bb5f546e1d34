//! What subscribers are told of blocks, and when it is whose turn.

use super::*;
use crate::limits::{NEWS_A_SECOND, NEWS_AT_ONCE};

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
