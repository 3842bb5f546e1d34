//! What a seeder offers, and whose requests are refused.

use super::*;
use crate::give::offers::Offers;
use crate::limits::MAX_HAVE_RUNS;
use cascade_format::extension::Progress;

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
fn large_blocks_leave_one_to_a_leecher_and_four_at_a_time() {
    let mut upload = seeder();
    let subscribers: Vec<_> = (1..=8).map(|host| upload.open(NOW, Some(addr(host)))).collect();
    let told: Vec<_> = subscribers
        .iter()
        .map(|subscriber| offered(&news(&mut upload, NOW, *subscriber).unwrap_or_default()))
        .collect();
    assert!(told.iter().all(|offers| offers.len() <= 1), "{told:?}");
    assert_eq!(told.iter().flatten().count(), 4, "{told:?}");
    // What a leecher asks for before it knows of offers is left to those that are offered it.
    let idle = told.iter().position(Vec::is_empty).unwrap();
    assert!(!asked(&mut upload, NOW, subscribers[idle], 0, Some(block(70)), 0));
    let taken = told.iter().position(|offers| !offers.is_empty()).unwrap();
    let first = block(told[taken][0]);
    assert!(asked(&mut upload, NOW, subscribers[taken], 1, Some(first), 0));
    upload.sent_to(NOW, subscribers[taken], first);
    upload.handle_time(NOW);
    // The next offer goes to one that has got nothing yet.
    let next: Vec<_> = subscribers
        .iter()
        .map(|subscriber| offered(&news(&mut upload, NOW, *subscriber).unwrap_or_default()).len())
        .collect();
    assert_eq!((next.iter().sum::<usize>(), next[taken]), (1, 0), "{next:?}");
}

#[test]
fn a_first_question_for_a_block_that_another_has_is_put_off() {
    let small = Layout::new(100 << 18, 1 << 18).unwrap();
    let mut upload = Upload::new(small, &Have::all(&small), Tuning::DEFAULT);
    let first = upload.open(NOW, Some(addr(1)));
    let second = upload.open(NOW, Some(addr(2)));
    assert!(asked(&mut upload, NOW, first, 0, small.block(70), 0));
    assert!(!asked(&mut upload, NOW, second, 0, small.block(70), 0));
    assert!(asked(&mut upload, NOW, second, 0, small.block(70), 0), "it insists");
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
            // Everything else is given, so that all may ask for anything.
            now += Duration::from_secs(5);
            assert_eq!(news(&mut upload, now, subscribers[1]), Some(vec![Item::Everything]));
            for number in &lost {
                assert!(asked(&mut upload, now, subscribers[1], 0, Some(block(*number)), 0));
                got.push(*number);
            }
        }
        assert!(lost.iter().all(|number| got.contains(number)), "leaves {leaves}: {lost:?} of {got:?}");
    }
}

#[test]
fn once_all_may_ask_for_anything_it_stays_so() {
    let mut upload = seeder();
    let subscribers = [1, 2, 3].map(|host| upload.open(NOW, Some(addr(host))));
    // One begins with what it is offered, and takes no more of it.
    let slow = offered(&news(&mut upload, NOW, subscribers[0]).unwrap());
    assert!(asked(&mut upload, NOW, subscribers[0], 1, Some(block(slow[0])), 0));
    take_all(&mut upload, NOW, &subscribers[1..]);
    let mut now = NOW + Duration::from_secs(20);
    upload.handle_time(now);
    assert_eq!(news(&mut upload, now, subscribers[1]), Some(vec![Item::Everything]));
    for _ in 0..300 {
        now += Duration::from_millis(200);
        upload.handle_time(now);
        assert_eq!(news(&mut upload, now, subscribers[1]), None, "at {now:?}");
    }
    upload.unsubscribe(now, subscribers[0]);
    upload.handle_time(now);
    assert_eq!(news(&mut upload, now, subscribers[1]), None);
}

/// Everything was given to two subscribers, of which one has left; the other one has half of the file. A number of others
/// comes, of which nobody has anything. Whether the seeder chooses then.
fn chooses_for_a_second_crowd(count: u8) -> bool {
    let mut upload = seeder();
    let first = [100, 101].map(|host| upload.open(NOW, Some(addr(host))));
    take_all(&mut upload, NOW, &first);
    let now = NOW + Duration::from_secs(20);
    upload.handle_time(now);
    assert_eq!(news(&mut upload, now, first[0]), Some(vec![Item::Everything]));
    upload.unsubscribe(now, first[0]);
    upload.note_progress(first[1], Marker { progress: Progress::of(1, 2), ..MARKER });
    (1..=count).any(|host| {
        let marker = Marker { progress: Some(Progress::NOTHING), ..MARKER };
        let told = ask(&mut upload, now, &mut client(host), (Wanted::News, Some(marker), Behind::Nothing));
        matches!(told, Decision::Tell(items) if items.contains(&Item::Choosing))
    })
}

#[test]
fn a_seeder_chooses_anew_when_most_subscribers_have_nothing() {
    assert!(!chooses_for_a_second_crowd(1), "the other one needs what nobody else has");
    assert!(chooses_for_a_second_crowd(2));
}

/// A second crowd finds nobody but the seeder.
#[test]
fn when_the_last_has_left_each_block_is_offered_once_again() {
    for (progress, again) in [
        (None, false),
        (Some(Progress::NOTHING), true),
        (Progress::of(1, 100), false),
        (Some(Progress::COMPLETE), false),
    ] {
        let mut upload = seeder();
        let first = [1, 2].map(|host| upload.open(NOW, Some(addr(host))));
        take_all(&mut upload, NOW, &first);
        let now = NOW + Duration::from_secs(20);
        upload.handle_time(now);
        assert_eq!(news(&mut upload, now, first[0]), Some(vec![Item::Everything]));
        first.into_iter().for_each(|id| upload.unsubscribe(now, id));
        let marker = Some(Marker { progress, ..MARKER });
        let told = [1, 2].map(|host| {
            let wanted = (Wanted::News, marker, Behind::Nothing);
            ask(&mut upload, now, &mut client(host), wanted)
        });
        let chooses = matches!(&told[1], Decision::Tell(items) if !offered(items).is_empty());
        assert_eq!(chooses, again, "{progress:?}: {told:?}");
    }
}

#[test]
fn connections_of_one_host_do_not_make_a_crowd() {
    let mut upload = seeder();
    let honest = [1, 2].map(|host| upload.open(NOW, Some(addr(host))));
    take_all(&mut upload, NOW, &honest);
    let now = NOW + Duration::from_secs(20);
    upload.handle_time(now);
    assert_eq!(news(&mut upload, now, honest[0]), Some(vec![Item::Everything]));
    for _ in 0..7 {
        let marker = Marker { progress: Some(Progress::NOTHING), ..MARKER };
        let _ = ask(&mut upload, now, &mut client(66), (Wanted::News, Some(marker), Behind::Nothing));
    }
    let told = news(&mut upload, now, honest[0]).unwrap_or_default();
    assert!(!told.contains(&Item::Choosing), "{told:?}");
}

/// Two subscribers behind one address have got everything; then a stranger comes and goes three times. How many blocks
/// they are offered again each time.
fn offered_again(open: bool) -> Vec<usize> {
    let mut upload = seeder();
    let honest = [1, 1].map(|host| upload.open(NOW, Some(addr(host))));
    assert_eq!(take_all(&mut upload, NOW, &honest).len(), 100);
    let mut now = NOW;
    let strangers = (0..3).map(|_| {
        now += if open { Duration::from_secs(20) } else { Duration::ZERO };
        upload.handle_time(now);
        let stranger = upload.open(now, Some(addr(66)));
        upload.unsubscribe(now, stranger);
        take_all(&mut upload, now, &honest).len()
    });
    strangers.collect()
}

#[test]
fn a_host_that_comes_and_goes_does_not_make_a_seeder_choose_again_and_again() {
    assert_eq!(offered_again(true), [0, 0, 0]);
    let again = offered_again(false);
    assert!(again[0] > 0, "what those of one host have may never reach another one");
    assert_eq!(again[1..], [0, 0]);
}

#[test]
fn slow_readers_do_not_keep_a_fast_one_from_being_offered_more() {
    let small = Layout::new(100 << 18, 1 << 18).unwrap();
    let mut upload = Upload::new(small, &Have::all(&small), Tuning::DEFAULT);
    let [fast, slow @ ..] = [1, 2, 3, 4, 5].map(|host| upload.open(NOW, Some(addr(host))));
    let offers = |upload: &mut Upload, now, id| offered(&news(upload, now, id).unwrap_or_default());
    let take = |upload: &mut Upload, now, id, number| {
        assert!(asked(upload, now, id, 1, small.block(number), 0));
        upload.sent_to(now, id, small.block(number).unwrap());
    };
    // Each has taken one, so that it may be offered as many as the others.
    for id in slow {
        offers(&mut upload, NOW, id).into_iter().for_each(|number| take(&mut upload, NOW, id, number));
    }
    let (mut now, mut got) = (NOW, Vec::new());
    while got.len() < 60 {
        assert!(now < NOW + Duration::from_secs(8), "after {now:?} it has been offered {got:?} alone");
        // They ask for one of many, and are sent nothing of it.
        for id in slow {
            if let Some(first) = offers(&mut upload, now, id).first() {
                assert!(asked(&mut upload, now, id, 1, small.block(*first), 0));
            }
        }
        for number in offers(&mut upload, now, fast) {
            take(&mut upload, now, fast, number);
            got.push(number);
        }
        now += Duration::from_millis(100);
        upload.handle_time(now);
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

/// Bytes that an uplink of 100 MB/s sends in a second, after some seconds, to two subscribers that ask for what they are
/// offered after `trip`.
fn sent_in_a_second(trip: Duration) -> u64 {
    const STEP: Duration = Duration::from_millis(10);
    let small = Layout::new(4000 << 18, 1 << 18).unwrap();
    let mut upload = Upload::new(small, &Have::all(&small), Tuning::DEFAULT);
    let subscribers = [1, 2].map(|host| upload.open(NOW, Some(addr(host))));
    let (mut told, mut queue, mut seen) = (Vec::new(), Vec::new(), [0; 2]);
    let (mut now, mut sent) = (NOW, 0);
    while now < NOW + Duration::from_secs(6) {
        for (at, subscriber) in subscribers.iter().enumerate() {
            let blocks = offered_of(&small, &news(&mut upload, now, *subscriber).unwrap_or_default());
            told.extend(blocks.into_iter().map(|block| (now + trip, at, block)));
        }
        for (_, at, block) in told.extract_if(.., |(due, ..)| *due <= now) {
            seen[at] += 1;
            assert!(asked(&mut upload, now, subscribers[at], seen[at], Some(block), 0));
            queue.push((at, block));
        }
        for (at, block) in queue.drain(..queue.len().min(4)) {
            upload.sent_to(now, subscribers[at], block);
            sent += if now >= NOW + Duration::from_secs(5) { 1 << 18 } else { 0 };
        }
        now += STEP;
        upload.handle_time(now);
    }
    sent
}

#[test]
fn offers_keep_an_uplink_busy_whose_subscribers_are_far_away() {
    for trip in [10, 50, 200] {
        let sent = sent_in_a_second(Duration::from_millis(trip));
        assert!(sent > 95_000_000, "{sent} bytes in a second with trips of {trip} ms");
    }
}

#[test]
fn a_seeder_chooses_however_fast_its_uplink_is() {
    let mut upload = seeder();
    let subscribers = [1, 2].map(|host| upload.open(NOW, Some(addr(host))));
    for step in 0..50u64 {
        upload.sent_to(NOW + Duration::from_millis(step * 4), subscribers[0], block(step));
    }
    let now = NOW + Duration::from_secs(1);
    assert!(news(&mut upload, now, subscribers[0]).unwrap().contains(&Item::Choosing));
}

#[test]
fn no_more_offers_are_told_together_than_fit() {
    let layout = Layout::new(1 << 32, 1 << 18).unwrap();
    let mut offers = Offers::new(layout, Tuning::DEFAULT);
    let subscribers = [1, 2].map(SubscriberId);
    subscribers.iter().for_each(|subscriber| offers.open(NOW, *subscriber, Some(addr(1).ip())));
    let (mut now, mut most, mut follow) = (NOW, 0, false);
    for step in 0..1000 {
        now += Duration::from_millis(1);
        offers.offer(now);
        // Both take at once what they are told, and are not told anything for half a second.
        if step > 500 && step < 999 {
            continue;
        }
        for subscriber in subscribers {
            let told = offers.tell(now, subscriber);
            most = most.max(told.len());
            follow |= offers.has_untold(subscriber);
            for block in told.iter().flat_map(|run| run.blocks(&layout)) {
                offers.asked(now + Duration::from_millis(500), subscriber, block);
                offers.sent(now, subscriber, block);
            }
        }
    }
    assert_eq!((most, follow), (MAX_HAVE_RUNS, true), "the others are told next");
}

#[test]
fn a_seeder_does_not_choose_where_nobody_passes_anything_on() {
    let mut upload = seeder();
    let deaf = [(); 2].map(|()| upload.open(NOW, None));
    for subscriber in deaf {
        assert!(news(&mut upload, NOW, subscriber).unwrap().contains(&Item::Everything));
    }
    let listener = upload.open(NOW, Some(addr(1)));
    for subscriber in [deaf[0], deaf[1], listener] {
        assert!(news(&mut upload, NOW, subscriber).unwrap().contains(&Item::Choosing));
    }
    upload.unsubscribe(NOW, listener);
    for subscriber in deaf {
        assert!(news(&mut upload, NOW, subscriber).unwrap().contains(&Item::Everything));
    }
}

#[test]
fn a_peer_with_many_blocks_lets_more_wait() {
    for (blocks, size, most) in [(8, 1 << 20, 7), (80, 1 << 20, 12), (8, 64 << 10, 4), (80, 64 << 10, 12)] {
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
    // Of large blocks each has one offer open, so that two that look ten times a second take twenty.
    for (size, least, steps) in [(256 << 10, 5, 40), (1 << 20, 4, 60)] {
        let layout = Layout::new(100 * size, size).unwrap();
        let mut upload = Upload::new(layout, &Have::all(&layout), Tuning::DEFAULT);
        let (mut now, greedy_host) = (NOW, IpAddr::from([10, 0, 0, 9]));
        let greedy: Vec<SubscriberId> =
            (1..=50).map(|port| upload.open(now, Some(PeerAddr::new(greedy_host, port)))).collect();
        let held: usize = greedy
            .iter()
            .map(|subscriber| offered(&news(&mut upload, now, *subscriber).unwrap()).len())
            .sum();
        assert!(held >= least, "alone they are offered {held}");
        let mut honest = [1, 2].map(|host| (upload.open(now, Some(addr(host))), 0));
        let mut got = 0;
        // Long before an offer that nobody asks for lapses.
        for step in 0..steps {
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
        assert!(got >= 97, "two others were offered {got} of 100 blocks of {size}");
    }
}

#[test]
fn subscribers_that_take_nothing_do_not_hold_up_another() {
    let mut upload = seeder();
    let mut idlers = [1, 2].map(client);
    let mut leecher = client(3);
    let (mut now, mut seen, mut got, mut wanted) = (NOW, 0, 0, Vec::new());
    let server = Server { waiting: 0, counted: false, full: true, has: &|_| true };
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
