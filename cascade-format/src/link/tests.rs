//! What links are read, written and refused.

use super::*;
use crate::hash::HexError;
use alloc::format;
use alloc::string::ToString;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use proptest::prelude::*;

const HASH: &str = "7f86d42dc67f91df9f2e86df49f95e3da8cd074fabf99abaf696bb07f0a15105";

fn bare() -> Link {
    Link::new(HASH.parse().unwrap())
}

fn read(pairs: &str) -> Result<Link, LinkError> {
    format!("cascade:{HASH}?{pairs}").parse()
}

fn texts(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn all_keys_are_read_in_any_order_and_written_in_one() {
    let link = read("peer=[2001:db8::7]:8889&x=y&length=15&tracker=Tracker.Example:8888&name=a%20b%26c.bin&tracker=192.0.2.1%3a8888")
        .unwrap();
    assert_eq!(
        (link.cascade_hash(), link.name(), link.length()),
        (HASH.parse().unwrap(), Some("a b&c.bin"), Some(15))
    );
    assert_eq!(texts(link.trackers()), ["tracker.example:8888", "192.0.2.1:8888"]);
    assert_eq!(texts(link.peers()), ["[2001:db8::7]:8889"]);
    let canonical = format!(
        "cascade:{HASH}?name=a%20b%26c.bin&length=15&tracker=tracker.example%3A8888&tracker=192.0.2.1%3A8888\
         &peer=%5B2001%3Adb8%3A%3A7%5D%3A8889"
    );
    assert_eq!(link.to_string(), canonical);
    assert_eq!(canonical.parse(), Ok(link));
}

#[test]
fn what_people_paste_is_read() {
    let upper = HASH.to_uppercase();
    for text in [
        format!("cascade:{HASH}"),
        format!("cascade:{HASH}?"),
        format!("cascade:{HASH}?&&"),
        format!("CASCADE:{upper}"),
        format!("  cascade:{HASH}\r\n"),
        format!("<cascade:{HASH}>"),
        format!(" < cascade:{HASH} >\n"),
        format!("cascade:{HASH}?Name=other&NAME&unknown=%zz&=&=name"),
    ] {
        assert!(is_meant(&text), "{text:?}");
        assert_eq!(text.parse(), Ok(bare()), "{text:?}");
    }
    assert!(!is_meant("film.mkv.cascade") && !is_meant("cascade") && !is_meant(""));
}

#[test]
fn a_name_never_leads_anywhere() {
    for (name, safe) in
        [("..%2F..%2Fetc%2Fpasswd", "_._.._etc_passwd"), ("%00%0a", "__"), ("", "_"), (".", "_")]
    {
        assert_eq!(read(&format!("name={name}")).unwrap().name(), Some(safe));
    }
    assert_eq!(read("name=a+b=c?d#e").unwrap().name(), Some("a+b=c?d#e"));
    assert_eq!(read("name").unwrap().name(), Some("_"));
}

#[test]
fn each_damage_has_its_error() {
    use LinkError as E;
    let address = |key, number, why| E::Address { key, number, why };
    for (pairs, error) in [
        ("name=%", E::Percent("name")),
        ("name=%4", E::Percent("name")),
        ("name=%+1", E::Percent("name")),
        ("tracker=%zz", E::Percent("tracker")),
        ("name=%ff", E::NotText("name")),
        ("name=a&name=a", E::Twice("name")),
        ("length=1&length=1", E::Twice("length")),
        ("length=", E::Length),
        ("length=+1", E::Length),
        ("length=9223372036854775808", E::Length),
        ("name=a b", E::Stray(80)),
        ("name=a\nb", E::Stray(80)),
        ("name=a\u{200b}", E::Stray(80)),
        ("peer=a:1&peer=192.0.2.1", address("peer", 2, AddressError::NoPort)),
        ("peer=[::1]", address("peer", 1, AddressError::NoPort)),
        ("peer=[::1:8889", address("peer", 1, AddressError::NoPort)),
        ("peer=::1:8889", address("peer", 1, AddressError::Host)),
        ("peer=[fe80::1%25eth0]:8889", address("peer", 1, AddressError::Host)),
        ("tracker=a:", address("tracker", 1, AddressError::Port)),
        ("tracker=a:0", address("tracker", 1, AddressError::Port)),
        ("tracker=a:+1", address("tracker", 1, AddressError::Port)),
        ("tracker=a:65536", address("tracker", 1, AddressError::Port)),
        ("tracker=:1", address("tracker", 1, AddressError::Host)),
        ("tracker=a..b:1", address("tracker", 1, AddressError::Host)),
        ("tracker=-a:1", address("tracker", 1, AddressError::Host)),
        ("tracker=a/b:1", address("tracker", 1, AddressError::Host)),
        ("tracker=1.2.3:1", address("tracker", 1, AddressError::Host)),
        ("tracker=256.1.1.1:1", address("tracker", 1, AddressError::Host)),
        ("tracker=0X7f.0x1:1", address("tracker", 1, AddressError::Host)),
    ] {
        assert_eq!(read(pairs), Err(error), "{pairs}");
    }
    assert_eq!("film.mkv".parse::<Link>(), Err(E::Scheme));
    assert_eq!("cascade".parse::<Link>(), Err(E::Scheme));
    assert_eq!("cascade:12?name=a".parse::<Link>(), Err(E::Hash(HexError::Length(2))));
    assert_eq!(format!("cascade:{}", "g".repeat(64)).parse::<Link>(), Err(E::Hash(HexError::Digit('g'))));
}

#[test]
fn every_bound_holds_and_one_more_is_refused() {
    let many = |key: &str, count: usize| (0..count).map(|n| format!("{key}=h{n}:1&")).collect::<String>();
    assert_eq!(read(&many("tracker", MAX_TRACKERS)).unwrap().trackers().len(), MAX_TRACKERS);
    assert_eq!(read(&many("tracker", MAX_TRACKERS + 1)), Err(LinkError::TooManyTrackers));
    assert_eq!(read(&many("peer", MAX_PEERS)).unwrap().peers().len(), MAX_PEERS);
    assert_eq!(read(&many("peer", MAX_PEERS + 1)), Err(LinkError::TooManyPeers));
    assert_eq!(read(&"peer=a:1&".repeat(100)).unwrap().peers().len(), 1, "the same one counts once");

    let name = |len: usize| read(&format!("name={}", "n".repeat(len)));
    assert_eq!(name(MAX_NAME_LEN).unwrap().name().unwrap().len(), MAX_NAME_LEN);
    assert_eq!(name(MAX_NAME_LEN + 1), Err(LinkError::NameTooLong(MAX_NAME_LEN + 1)));

    let long = |len: usize| format!("{:x<len$}", format!("cascade:{HASH}?"));
    assert_eq!(long(MAX_LINK_LEN).parse(), Ok(bare()));
    assert_eq!(long(MAX_LINK_LEN + 1).parse::<Link>(), Err(LinkError::TooLong(MAX_LINK_LEN + 1)));
}

/// Whatever fits in a [`Link`] must fit in its text.
#[test]
fn the_longest_link_is_read_again() {
    let mut link = bare();
    link.set_name(&"\u{ffff}".repeat(MAX_NAME_LEN / 3)).unwrap();
    link.set_length(MAX_LENGTH).unwrap();
    for n in 0..MAX_PEERS {
        let text = format!("{n:063}.{0}.{0}.{1}:65535", "h".repeat(63), "h".repeat(61));
        link.add_peer(text.parse().unwrap()).unwrap();
        let _ = link.add_tracker(text.parse().unwrap());
    }
    assert_eq!((link.trackers().len(), link.peers().len()), (MAX_TRACKERS, MAX_PEERS));
    let text = link.to_string();
    assert_eq!(text.len(), 7257);
    assert_eq!(text.parse(), Ok(link));
}

fn any_address() -> impl Strategy<Value = Address> {
    let name = ("[a-z0-9_]([a-z0-9_-]{0,9}[a-z0-9_])?\\.[a-z][a-z0-9]{0,9}", 1u16..)
        .prop_map(|(host, port)| format!("{host}:{port}").parse().unwrap());
    let ip =
        (any::<IpAddr>(), 1u16..).prop_map(|(ip, port)| Address::new(SocketAddr::new(ip, port)).unwrap());
    prop_oneof![name, ip]
}

prop_compose! {
    fn any_link()(
        hash: [u8; 32],
        name in proptest::option::of(any::<String>()),
        length in proptest::option::of(0..=MAX_LENGTH),
        trackers in prop::collection::vec(any_address(), 0..=MAX_TRACKERS),
        peers in prop::collection::vec(any_address(), 0..=MAX_PEERS),
    ) -> Link {
        let mut link = Link::new(CascadeHash(hash));
        name.iter().for_each(|name| { let _ = link.set_name(name); });
        length.iter().for_each(|length| link.set_length(*length).unwrap());
        trackers.into_iter().for_each(|tracker| link.add_tracker(tracker).unwrap());
        peers.into_iter().for_each(|peer| link.add_peer(peer).unwrap());
        link
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_and_needs_no_quotes_but_for_the_shell(link in any_link()) {
        let text = link.to_string();
        prop_assert!(text.len() <= MAX_LINK_LEN);
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:?&=%".contains(&b)), "{}", text);
        prop_assert_eq!(text.parse(), Ok(link));
    }

    #[test]
    fn any_text_is_a_link_that_is_written_and_read_again_or_an_error_on_one_line(pairs in any::<String>()) {
        match read(&pairs) {
            Ok(link) => prop_assert_eq!(link.to_string().parse(), Ok(link)),
            Err(error) => prop_assert!(!error.to_string().contains(char::is_control)),
        }
        let _ = pairs.parse::<Link>();
    }

    #[test]
    fn a_damaged_link_never_panics(link in any_link(), at: prop::sample::Index, character: char) {
        let mut text: Vec<char> = link.to_string().chars().collect();
        let at = at.index(text.len());
        text[at] = character;
        if let Ok(link) = text.into_iter().collect::<String>().parse::<Link>() {
            prop_assert_eq!(link.to_string().parse(), Ok(link));
        }
    }

    #[test]
    fn an_address_of_ipv6_stands_in_brackets(ip: Ipv6Addr, port in 1u16..) {
        let address: Address = format!("[{ip}]:{port}").parse().unwrap();
        prop_assert_eq!(Some(address), Address::new(SocketAddr::new(ip.into(), port)));
    }
}
