//! What each request is answered with.

use super::*;
use crate::limits::{HURRIED_NEWS_INTERVAL, NEWS_TIMEOUT};

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
    let server = Server { waiting: 1, counted: true, full: true, has: &|_| true };
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
fn slices_behind_a_refused_one_are_refused_with_it() {
    let layout = layout().sliced().unwrap();
    let mut upload = Upload::new(layout, &Have::none(&layout), Tuning::DEFAULT);
    let slice = |number| Wanted::Block(layout.block(number).unwrap());
    let gives = |upload: &mut Upload, now, client: &mut Conversation, number| {
        matches!(ask(upload, now, client, (slice(number), Some(MARKER), Behind::Nothing)), Decision::Give(_))
    };
    let mut clients = [1, 2, 3, 4].map(client);
    let [first, .., last] = &mut clients;
    assert!(gives(&mut upload, NOW, first, 0));
    assert!(gives(&mut upload, NOW, &mut client(2), 0) && gives(&mut upload, NOW, &mut client(3), 0));
    assert!(!gives(&mut upload, NOW, last, 0), "three get slices of this block");
    // The first one goes on with another block.
    assert!(gives(&mut upload, NOW, first, 16));
    assert!(!gives(&mut upload, NOW, last, 1) && !gives(&mut upload, NOW, last, 2));
    assert!(gives(&mut upload, NOW, last, 32), "the end of another block");
    assert!(gives(&mut upload, NOW, last, 0), "it asks again for what it lacks");
    assert!(gives(&mut upload, NOW + Duration::from_secs(1), last, 3));
}

#[test]
fn version_1_gets_everything_while_it_is_alone_and_a_share_beside_others() {
    let mut upload = Upload::new(layout(), &Have::none(&layout()), Tuning::DEFAULT);
    let (mut plain, mut marked, mut seen) = (client(1), client(2), 0);
    let has: &dyn Fn(Block) -> bool = &|_| true;
    // The other one waits for a block, too.
    let server = Server { waiting: 2, counted: true, full: true, has };
    let of = |block, marker| Request { wanted: Wanted::Block(block), marker, behind: Behind::Nothing };
    for number in 0..20 {
        let decision = upload.request(NOW, &mut plain, of(block(number), None), server);
        assert_eq!(decision, Decision::Give(None));
    }
    assert_eq!(upload.asking_hosts_since(&mut seen), [IpAddr::from([10, 0, 0, 1])]);
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
    let roomy = Server { full: false, ..server };
    let decision = upload.request(NOW, &mut client(3), of(block(0), None), roomy);
    assert_eq!(decision, Decision::Give(None), "it takes nothing from the others");
    let alone = Server { waiting: 1, ..server };
    let later = NOW + Tuning::DEFAULT.idle;
    let decision = upload.request(later, &mut client(3), of(block(0), None), alone);
    assert_eq!(decision, Decision::Give(None), "the other one takes nothing of what it is sent");
    let end = NOW + Tuning::DEFAULT.version1_max_wait;
    let decision = upload.request(end, &mut plain, of(block(0), None), server);
    assert_eq!(decision, Decision::Give(None), "it waits no longer than that");
    let beside = |upload: &mut Upload, now| upload.request(now, &mut client(4), of(block(0), None), server);
    upload.sent(end, &marked, block(50));
    let idle = Tuning::DEFAULT.idle;
    let pause = end + idle / 2 + Tuning::DEFAULT.news_interval;
    assert_eq!(
        beside(&mut upload, end + idle / 2),
        Decision::Wait(pause),
        "the block may still be in the system"
    );
    assert_eq!(
        beside(&mut upload, end + idle),
        Decision::Give(None),
        "long after it, the others are of version 1"
    );
}

#[test]
fn a_goodbye_is_told_after_a_check_too() {
    let mut upload = seeder();
    upload.leave();
    upload.restart(&Have::all(&layout()), true);
    let told = poll(&mut upload, NOW, &mut client(1), Behind::Nothing);
    assert!(matches!(&told, Decision::Tell(items) if items.contains(&Item::Goodbye)), "{told:?}");
}

#[test]
fn after_the_file_was_checked_again_everybody_is_told_anew() {
    let mut upload = seeder();
    let mut client = client(1);
    assert!(matches!(poll(&mut upload, NOW, &mut client, Behind::Nothing), Decision::Tell(_)));
    assert!(matches!(poll(&mut upload, NOW, &mut client, Behind::Nothing), Decision::Wait(_)));
    let before = client.subscriber().unwrap();
    upload.restart(&Have::none(&layout()), false);
    assert_eq!((upload.take_woken(NOW), upload.subscribers()), (vec![before], 0));
    let told = poll(&mut upload, NOW, &mut client, Behind::Nothing);
    assert!(matches!(&told, Decision::Tell(items) if !items.contains(&Item::Everything)), "{told:?}");
    assert_ne!(client.subscriber(), Some(before));
    assert_eq!(upload.asking_peers_since(&mut 0), [addr(1)], "who has asked is still known");
}

#[test]
fn where_blocks_are_lost_the_connections_on_which_they_were_told_end() {
    let mut part = Have::all(&layout());
    part.remove(layout().block(1).unwrap());
    for (right, lost) in [(Have::all(&layout()), false), (part, true)] {
        let mut upload = seeder();
        let (mut told, mut meanwhile) = (client(1), client(2));
        assert!(matches!(poll(&mut upload, NOW, &mut told, Behind::Nothing), Decision::Tell(_)));
        upload.restart(&Have::none(&layout()), false);
        // Also when it has asked again while the file was checked.
        for client in [&mut told, &mut meanwhile] {
            assert_ne!(poll(&mut upload, NOW, client, Behind::Nothing), Decision::End);
        }
        upload.restart(&right, true);
        for client in [&mut told, &mut meanwhile] {
            assert_eq!(poll(&mut upload, NOW, client, Behind::Nothing) == Decision::End, lost);
        }
        assert_ne!(poll(&mut upload, NOW, &mut client(3), Behind::Nothing), Decision::End);
        // Nothing is lost any more.
        upload.restart(&right, true);
        assert_eq!(poll(&mut upload, NOW, &mut told, Behind::Nothing) == Decision::End, lost);
    }
}
