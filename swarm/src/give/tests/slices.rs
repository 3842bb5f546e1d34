//! What is different where slices are given.

use super::*;
use cascade_format::extension::Progress;

/// Of eight blocks with sixteen slices each, and one with half as many.
fn sliced() -> Layout {
    Layout::new((8 << 20) + (512 << 10), 1 << 20).unwrap().sliced().unwrap()
}

fn slice(number: u64) -> Block {
    sliced().block(number).unwrap()
}

fn slice_seeder() -> Upload {
    Upload::new(sliced(), &Have::all(&sliced()), Tuning::DEFAULT)
}

/// A peer that has most slices, and chooses nothing.
fn slice_leecher() -> Upload {
    let mut have = Have::all(&sliced());
    have.remove(slice(135));
    Upload::new(sliced(), &have, Tuning::DEFAULT)
}

/// The runs that the subscriber is offered now.
fn offers(upload: &mut Upload, now: Time, subscriber: SubscriberId) -> Vec<(u64, u32)> {
    let items = news(upload, now, subscriber).unwrap_or_default();
    let runs =
        items.into_iter().filter_map(|item| if let Item::Offer(runs) = item { Some(runs) } else { None });
    runs.flatten().map(|run| (run.first.number(), run.count)).collect()
}

/// Takes these offers.
fn take(upload: &mut Upload, now: Time, subscriber: SubscriberId, offers: &[(u64, u32)]) {
    for number in offers.iter().flat_map(|(first, count)| *first..first + u64::from(*count)) {
        assert!(asked(upload, now, subscriber, 0, Some(slice(number)), 0), "slice {number} is offered");
        upload.sent_to(now, subscriber, slice(number));
    }
}

/// Whether the client is given the slice.
fn is_given(upload: &mut Upload, now: Time, client: &mut Conversation, number: u64) -> bool {
    let request = (Wanted::Block(slice(number)), Some(MARKER), Behind::Nothing);
    matches!(ask(upload, now, client, request), Decision::Give(_))
}

#[test]
fn slices_are_offered_by_whole_blocks_and_each_of_them_once() {
    let mut upload = slice_seeder();
    let subscribers = [1, 2, 3].map(|host| upload.open(NOW, Some(addr(host))));
    let mut all = Vec::new();
    loop {
        let before = all.len();
        for subscriber in subscribers {
            let offers = offers(&mut upload, NOW, subscriber);
            take(&mut upload, NOW, subscriber, &offers);
            all.extend(offers);
        }
        if all.len() == before {
            break;
        }
    }
    all.sort_unstable();
    let blocks: Vec<_> = (0..9).map(|block| (block * 16, if block < 8 { 16 } else { 8 })).collect();
    assert_eq!(all, blocks);
}

#[test]
fn a_block_that_went_out_by_its_own_name_is_not_offered_in_slices() {
    let mut upload = slice_seeder();
    upload.gave_by_other_name(NOW, 0..16, 1 << 20);
    upload.gave_by_other_name(NOW, 32..48, 1 << 20);
    let subscribers = [1, 2, 3].map(|host| upload.open(NOW, Some(addr(host))));
    let told = subscribers.map(|subscriber| offers(&mut upload, NOW, subscriber));
    let all: Vec<_> = told.iter().flatten().map(|(first, _)| *first).collect();
    assert!(all.contains(&16) && all.contains(&48), "{told:?}");
    assert!(!all.contains(&0) && !all.contains(&32), "{told:?}");
}

/// The first leecher of a second crowd is alone with the seeder, and asks for whole blocks. Who comes next is offered
/// those that it has not.
#[test]
fn what_a_second_crowd_got_by_its_own_name_is_not_offered_in_slices_either() {
    let mut upload = slice_seeder();
    let gone = upload.open(NOW, Some(addr(100)));
    upload.unsubscribe(NOW, gone);
    upload.gave_by_other_name(NOW, 0..16, 1 << 20);
    let marker = Marker { progress: Some(Progress::NOTHING), ..MARKER };
    let second = [1, 2].map(|host| upload.open_for(NOW, marker, Some(addr(host)), Some(addr(host).ip())));
    let told = second.map(|subscriber| offers(&mut upload, NOW, subscriber));
    let all: Vec<_> = told.iter().flatten().map(|(first, _)| *first).collect();
    assert!(all.contains(&16) && !all.contains(&0), "{told:?}");
}

#[test]
fn an_offer_that_is_declined_or_lapses_goes_to_another_as_the_whole_block() {
    for lapses in [false, true] {
        let mut upload = slice_seeder();
        let subscribers = [1, 2].map(|host| upload.open(NOW, Some(addr(host))));
        let told = subscribers.map(|subscriber| offers(&mut upload, NOW, subscriber));
        let lost = told[0][0];
        let mut now = NOW;
        if lapses {
            take(&mut upload, NOW, subscribers[0], &[(lost.0, 3)]);
            now += Tuning::DEFAULT.lapse * 3;
        } else {
            let seen = told[0].iter().map(|(_, count)| count).sum();
            asked(&mut upload, now, subscribers[0], seen, None, 0);
        }
        upload.handle_time(now);
        take(&mut upload, now, subscribers[1], &told[1]);
        let mut got = Vec::new();
        for _ in 0..9 {
            let more = offers(&mut upload, now, subscribers[1]);
            take(&mut upload, now, subscribers[1], &more);
            got.extend(more);
        }
        assert!(got.contains(&lost), "lapses {lapses}: {told:?}, {got:?}");
    }
}

#[test]
fn slices_of_one_block_go_to_three_clients_at_a_time() {
    let mut upload = slice_leecher();
    let [mut one, mut two, mut three, mut four] = [1, 2, 3, 4].map(client);
    for client in [&mut one, &mut two, &mut three] {
        assert!(is_given(&mut upload, NOW, client, 0));
    }
    assert!(!is_given(&mut upload, NOW, &mut four, 0), "it gets it from the others");
    assert!(is_given(&mut upload, NOW, &mut four, 16), "of another block");
    // Each of these makes room for one.
    upload.sent(NOW, &one, slice(0));
    assert!(is_given(&mut upload, NOW, &mut four, 0), "one slice is out");
    assert!(!is_given(&mut upload, NOW, &mut one, 1));
    upload.close(NOW, &two);
    assert!(is_given(&mut upload, NOW, &mut one, 1), "a client has gone");
    let mut five = client(5);
    assert!(!is_given(&mut upload, NOW, &mut five, 0));
    poll(&mut upload, NOW, &mut three, Behind::Requests);
    assert!(is_given(&mut upload, NOW, &mut five, 0), "a client asks for something else");
    let mut six = client(6);
    assert!(!is_given(&mut upload, NOW, &mut six, 0));
    let later = NOW + Tuning::DEFAULT.lapse;
    assert!(is_given(&mut upload, later, &mut six, 0), "the others take nothing of what they are sent");
}

#[test]
fn a_client_that_asks_for_the_next_slice_does_not_count_against_itself() {
    let mut upload = slice_leecher();
    let mut clients = [1, 2, 3].map(client);
    for number in 0..4 {
        for client in &mut clients {
            assert!(is_given(&mut upload, NOW, client, number));
        }
    }
}

#[test]
fn what_is_offered_is_given_however_many_get_slices_of_its_block() {
    let mut upload = slice_seeder();
    let mut first = client(1);
    poll(&mut upload, NOW, &mut first, Behind::Nothing);
    let mut others = [2, 3, 4, 5].map(client);
    for other in &mut others {
        poll(&mut upload, NOW, other, Behind::Nothing);
    }
    let now = NOW + Tuning::DEFAULT.news_interval * 2;
    let told = poll(&mut upload, now, &mut first, Behind::Nothing);
    let Decision::Tell(items) = &told else { panic!("{told:?}") };
    let offered =
        items.iter().find_map(|item| if let Item::Offer(runs) = item { runs.first() } else { None });
    let offered = offered.expect("the first one is offered a block").first.number();
    for other in &mut others[..3] {
        // The first request of a leecher that may not know of offers yet is put off.
        assert!(is_given(&mut upload, now, other, offered) || is_given(&mut upload, now, other, offered));
    }
    assert!(!is_given(&mut upload, now, &mut others[3], offered));
    assert!(!is_given(&mut upload, now, &mut others[3], offered), "three get it");
    assert!(is_given(&mut upload, now, &mut first, offered));
}

#[test]
fn a_subscriber_is_told_once_that_slices_are_given_and_again_after_a_check() {
    let mut upload = seeder().with_slices();
    let mut one = client(1);
    let told = |decision: &Decision| match decision {
        Decision::Tell(items) => items.iter().filter(|item| **item == Item::Slices).count(),
        Decision::Give(_) | Decision::Refuse(_) | Decision::Wait(_) | Decision::End => 0,
    };
    assert_eq!(told(&poll(&mut upload, NOW, &mut one, Behind::Nothing)), 1);
    upload.met(addr(9), true);
    let later = NOW + Tuning::DEFAULT.news_interval * 2;
    let next = poll(&mut upload, later, &mut one, Behind::Nothing);
    assert!(matches!(&next, Decision::Tell(_)) && told(&next) == 0, "{next:?}");
    assert_eq!(told(&poll(&mut upload, later, &mut client(2), Behind::Nothing)), 1, "each is told");
    upload.restart(&Have::all(&layout()), true);
    assert_eq!(told(&poll(&mut upload, later, &mut one, Behind::Nothing)), 1);
}

/// The blocks that the client is offered now.
fn offered_to(upload: &mut Upload, now: Time, client: &mut Conversation) -> Vec<u64> {
    match poll(upload, now, client, Behind::Nothing) {
        Decision::Tell(items) => offered(&items),
        Decision::Give(_) | Decision::Refuse(_) | Decision::Wait(_) | Decision::End => Vec::new(),
    }
}

#[test]
fn a_client_that_asks_for_slices_leaves_all_offers_of_blocks_to_others() {
    let mut upload = seeder().with_slices();
    let (mut one, mut two) = (client(1), client(2));
    let _ = poll(&mut upload, NOW, &mut two, Behind::Nothing);
    let lost = offered_to(&mut upload, NOW, &mut one);
    assert!(!lost.is_empty(), "two blocks at least are offered to two clients");
    upload.asks_for_slices(NOW, &one);
    let (mut now, mut seen, mut got) = (NOW, 0, Vec::new());
    while got.len() < 100 {
        now += Tuning::DEFAULT.news_interval * 2;
        assert!(now < NOW + Duration::from_secs(60), "it is offered {got:?} alone");
        assert_eq!(offered_to(&mut upload, now, &mut one), []);
        let marker = Some(Marker { offers_seen: seen, ..MARKER });
        let Decision::Tell(items) = ask(&mut upload, now, &mut two, (Wanted::News, marker, Behind::Nothing))
        else {
            continue;
        };
        for number in offered(&items) {
            seen += 1;
            let marker = Some(Marker { offers_seen: seen, ..MARKER });
            let given =
                ask(&mut upload, now, &mut two, (Wanted::Block(block(number)), marker, Behind::Nothing));
            assert!(matches!(given, Decision::Give(_)), "{given:?}");
            upload.sent(now, &two, block(number));
            got.push(number);
        }
    }
    assert!(lost.iter().all(|number| got.contains(number)), "{lost:?} of {got:?}");
    // It may still ask for a block that it is not offered, and leaves nothing behind.
    let whole = ask(&mut upload, now, &mut one, (Wanted::Block(block(99)), Some(MARKER), Behind::Nothing));
    assert!(matches!(whole, Decision::Give(_)), "{whole:?}");
    upload.sent(now, &one, block(99));
    upload.close(now, &one);
    upload.close(now, &two);
    assert_eq!(upload.subscribers(), 0);
}

#[test]
fn version_1_has_a_share_beside_clients_that_get_slices() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let mut plain = client(1);
    let server = Server { waiting: 2, counted: true, full: true, has: &|_| true };
    let request = Request { wanted: Wanted::Block(block(0)), marker: None, behind: Behind::Nothing };
    let mut given = 0;
    for _ in 0..800 {
        upload.gave_by_other_name(NOW, 0..0, 64 << 10);
        given += u32::from(upload.request(NOW, &mut plain, request, server) == Decision::Give(None));
    }
    assert!((4..=5).contains(&given), "{given} blocks beside 50 in slices");
    assert!(matches!(upload.request(NOW, &mut plain, request, server), Decision::Wait(_)));
    let idle = NOW + Tuning::DEFAULT.idle;
    assert_eq!(upload.request(idle, &mut plain, request, server), Decision::Give(None), "no slice goes out");
}
