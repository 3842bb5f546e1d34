//! Who is told of whom.

use super::*;
use crate::limits::{MAX_PEERS_A_FIELD, MAX_PEERS_TOLD};

fn v6(host: u16) -> PeerAddr {
    PeerAddr::new(IpAddr::from([0x2001, 0xdb8, 0, host, 0, 0, 0, 1]), 7001)
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

/// A peer that this one has asked has not come to it: it may have said goodbye since.
#[test]
fn only_who_subscribes_is_said_to_ask() {
    let (mut upload, mut at) = (seeder(), 0);
    upload.met(addr(9), true);
    assert_eq!((upload.asking_peers_since(&mut at), upload.askers()), (vec![], 0));
    for host in [1, 9, 1] {
        upload.open(NOW, Some(addr(host)));
    }
    upload.open(NOW, None);
    assert_eq!(upload.asking_peers_since(&mut at), [addr(1), addr(9)]);
    assert!(upload.asking_peers_since(&mut at).is_empty());
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
