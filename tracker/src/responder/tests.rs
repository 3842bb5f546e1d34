use super::*;
use cascade_format::tracker_wire::{TrackerRequest, parse_peer_list};
use std::net::{SocketAddr, SocketAddrV4};

const FILE: CascadeHash = CascadeHash([1; 32]);
const NOW: Now = Now { steady: 5000, unix: 1_800_000_000 };

fn request(command: Command, port: u16) -> TrackerRequest {
    TrackerRequest { command, cascade_hash: FILE, listen: SocketAddrV4::new([9, 8, 7, 6].into(), port) }
}

fn ask(responder: &mut Responder, command: Command, port: u16) -> (Option<News>, u8, Vec<u8>) {
    ask_at(responder, &request(command, port), NOW)
}

fn ask_at(responder: &mut Responder, request: &TrackerRequest, now: Now) -> (Option<News>, u8, Vec<u8>) {
    let mut answer = b"left over".to_vec();
    let request = Request::Peers((*request).into());
    let news = responder.answer(&request, [9, 8, 7, 6].into(), now, &mut answer);
    let (header, body) = answer.split_first_chunk().unwrap();
    let header = TrackerResponseHeader::parse(header);
    assert_eq!(header.body_len as usize, body.len());
    (news, header.status, body.to_vec())
}

#[test]
fn listing_does_not_register_subscribing_does_once() {
    let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
    assert_eq!(ask(&mut responder, Command::List, 1), (None, 0, vec![]));
    let peer = request(Command::List, 1).listen;
    let news = Some(News { what: What::Registered, file: FILE, peer: peer.into() });
    assert_eq!(ask(&mut responder, Command::Subscribe, 1), (news, 0, vec![]));
    assert_eq!(ask(&mut responder, Command::Subscribe, 1), (None, 0, vec![]));
    let (_, status, body) = ask(&mut responder, Command::List, 2);
    let entries: Vec<_> = parse_peer_list(&body).unwrap().collect();
    let expected = PeerEntry { addr: peer, subscribed: NOW.unix, good: false };
    assert_eq!((status, entries), (0, vec![expected]));
    assert_eq!(responder.registry().peers(), 1);
}

#[test]
fn refusals_are_messages() {
    let mut strict = Responder::new(Policy::only([]), Bounds::default(), 1);
    let (news, status, body) = ask(&mut strict, Command::Subscribe, 1);
    let text = String::from_utf8(body).unwrap();
    assert_eq!((news, status, text), (None, 1, format!("this tracker does not track {FILE}\n")));
    let mut full = Responder::new(Policy::open(), Bounds { peers: 0, ..Bounds::default() }, 1);
    let (_, status, body) = ask(&mut full, Command::Subscribe, 1);
    assert_eq!(status, 1);
    assert!(String::from_utf8(body).unwrap().starts_with("the tracker is full"));
}

#[test]
fn every_message_ends_its_line() {
    let mut answer = Vec::new();
    refuse(&"no", &mut answer);
    assert_eq!(answer, b"\x01\0\0\0\x03no\n");
}

#[test]
fn who_can_listen_nowhere_is_not_registered_and_gets_the_list() {
    let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
    ask(&mut responder, Command::Subscribe, 1);
    for (ip, port) in
        [([9, 8, 7, 6], 0), ([0, 0, 0, 0], 9), ([0, 1, 2, 3], 9), ([224, 0, 0, 1], 9), ([255; 4], 9)]
    {
        let listen = SocketAddrV4::new(ip.into(), port);
        let request = TrackerRequest { listen, ..request(Command::Subscribe, 1) };
        let (news, status, body) = ask_at(&mut responder, &request, NOW);
        assert_eq!(news, Some(News { what: What::NotListening, file: FILE, peer: listen.into() }));
        assert_eq!((status, body.len()), (0, ENTRY_LEN), "{listen}");
        assert_eq!(responder.registry().peers(), 1, "{listen}");
    }
}

#[test]
fn the_wall_clock_may_be_set_to_anything() {
    let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
    ask(&mut responder, Command::Subscribe, 1);
    const TEN_YEARS: u32 = 315_576_000;
    let times = |responder: &mut Responder, now| {
        let (_, _, body) = ask_at(responder, &request(Command::List, 2), now);
        parse_peer_list(&body).unwrap().map(|entry| entry.subscribed).collect::<Vec<_>>()
    };
    // Forwards, backwards, to the epoch: the age is told by the clock as it is set at the time.
    for unix in [NOW.unix + TEN_YEARS, NOW.unix - TEN_YEARS, 100, 0, u32::MAX] {
        let now = Now { steady: NOW.steady + 100, unix };
        assert_eq!(times(&mut responder, now), [unix.saturating_sub(100)], "{unix}");
    }
    let last = Now { steady: NOW.steady + 1800, unix: 5 };
    assert_eq!(times(&mut responder, last).len(), 1);
    assert_eq!(times(&mut responder, Now { steady: NOW.steady + 1801, unix: NOW.unix }), [0u32; 0]);
}

#[test]
fn good_addresses_are_marked() {
    let policy = Policy::open().with_good([[9, 8, 7, 6].into()]);
    let mut responder = Responder::new(policy, Bounds::default(), 1);
    ask(&mut responder, Command::Subscribe, 1);
    let (_, _, body) = ask(&mut responder, Command::List, 2);
    assert_eq!(body.get(10), Some(&1));
}

pub(super) fn wide(responder: &mut Responder, command: Command, listen: &str) -> (u8, Vec<WideEntry>) {
    let listen: SocketAddr = listen.parse().unwrap();
    let ask = Ask { form: Form::Wide, command, cascade_hash: FILE, listen: listen.into() };
    let mut answer = Vec::new();
    responder.answer(&Request::Peers(ask), listen.ip(), NOW, &mut answer);
    let (header, body) = answer.split_first_chunk().unwrap();
    let status = TrackerResponseHeader::parse(header).status;
    (status, tracker_wide::parse_peer_list(body).map(Iterator::collect).unwrap_or_default())
}

fn shown(entries: &[WideEntry]) -> Vec<String> {
    let mut shown: Vec<_> = entries.iter().map(|entry| entry.addr.to_string()).collect();
    shown.sort();
    shown
}

#[test]
fn each_form_lists_what_it_can_hold() {
    let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
    wide(&mut responder, Command::Subscribe, "[2001:db8::1]:1");
    wide(&mut responder, Command::Subscribe, "9.8.7.6:1");
    let (status, all) = wide(&mut responder, Command::List, "[2001:db8::9]:9");
    assert_eq!((status, shown(&all)), (0, vec!["9.8.7.6:1".to_owned(), "[2001:db8::1]:1".to_owned()]));
    assert!(all.iter().all(|entry| entry.subscribed == NOW.unix));
    let (_, _, body) = ask(&mut responder, Command::List, 2);
    let plain: Vec<_> = parse_peer_list(&body).unwrap().map(|entry| entry.addr.to_string()).collect();
    assert_eq!(plain, ["9.8.7.6:1"]);
    // A list never contains the peer that asks for it, in either family.
    assert_eq!(shown(&wide(&mut responder, Command::Subscribe, "[2001:db8::1]:1").1), ["9.8.7.6:1"]);
    assert_eq!(shown(&wide(&mut responder, Command::List, "9.8.7.6:1").1), ["[2001:db8::1]:1"]);
    assert_eq!(responder.peers(), 2);
}

#[test]
fn a_crowd_in_one_family_hides_nobody_in_the_other() {
    let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
    for site in 0..500 {
        wide(&mut responder, Command::Subscribe, &format!("[2001:db8:{site:x}::1]:1"));
    }
    for port in 1..=8 {
        wide(&mut responder, Command::Subscribe, &format!("9.8.7.{port}:1"));
    }
    for _ in 0..20 {
        let (_, list) = wide(&mut responder, Command::List, "[2001:db8:ffff::9]:9");
        assert_eq!(list.len(), LIST_MAX);
        assert_eq!(list.iter().filter(|entry| entry.addr.v4().is_some()).count(), 8);
    }
}

#[test]
fn ipv6_registrations_lapse_and_nobody_listens_nowhere() {
    let mut responder = Responder::new(Policy::open(), Bounds::default(), 1);
    for nowhere in ["[::]:1", "[fe80::1]:1", "[ff02::1]:1", "[2001:db8::1]:0"] {
        assert_eq!(wide(&mut responder, Command::Subscribe, nowhere), (0, vec![]), "{nowhere}");
    }
    assert_eq!(responder.peers(), 0);
    wide(&mut responder, Command::Subscribe, "[2001:db8::1]:1");
    let later = Now { steady: NOW.steady + 1801, ..NOW };
    assert_eq!((responder.sweep(later, 100), responder.peers()), (1, 0));
}
