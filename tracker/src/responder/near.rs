//! Where an asker is, where near peers are preferred.

use crate::policy::can_listen;
use crate::registry::Networks;
use cascade_format::PeerAddr;
use std::net::IpAddr;
use std::sync::Arc;

/// Where the asker is, where peers of one family that are near it are preferred: where it listens, or where its
/// connection comes from. The first that is in a site decides, which may have networks of both families; else the first
/// of the family.
pub(super) fn place(near: Option<&Arc<Networks>>, peer: PeerAddr, from: IpAddr, v6: bool) -> Option<IpAddr> {
    let (near, from) = (near?, from.to_canonical());
    let places = [Some(peer.ip()).filter(|_| can_listen(peer)), Some(from)];
    let first = |fits: &dyn Fn(&IpAddr) -> bool| places.into_iter().flatten().find(fits);
    first(&|ip| near.have(*ip)).or_else(|| first(&|ip| ip.is_ipv6() == v6))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::registry::{Bounds, LIST_MAX};
    use crate::responder::Responder;
    use crate::responder::tests::wide;
    use cascade_format::tracker_wide::WideEntry;
    use cascade_format::tracker_wire::Command;
    use std::net::SocketAddr;

    #[test]
    fn near_peers_of_both_families_are_half_of_a_list_together() {
        let site = ["10.3.0.0/16", "2001:db8:3::/48"].map(|text| text.parse().unwrap());
        let near = Some(Arc::new(Networks::of_sites([site.to_vec()])));
        let mut responder = Responder::new(Policy::open().with_near(near), Bounds::default(), 1);
        for n in 1..=100 {
            wide(&mut responder, Command::Subscribe, &format!("[2001:db8:3:{n:x}::1]:1"));
            wide(&mut responder, Command::Subscribe, &format!("[2001:db9:{n:x}::1]:1"));
            wide(&mut responder, Command::Subscribe, &format!("10.3.0.{n}:1"));
            wide(&mut responder, Command::Subscribe, &format!("10.{}.0.1:1", 100 + n));
        }
        // By either address it is of the site; a place that is in no site is looked for by its family.
        for asker in ["[2001:db8:3:ff::9]:9", "10.3.9.9:9"] {
            let (_, list) = wide(&mut responder, Command::List, asker);
            let near = |entry: &&WideEntry| {
                let text = entry.addr.to_string();
                text.starts_with("10.3.") || text.starts_with("[2001:db8:3:")
            };
            let (v4, v6): (Vec<&WideEntry>, Vec<&WideEntry>) =
                list.iter().filter(near).partition(|entry| entry.addr.v4().is_some());
            assert_eq!(list.len(), LIST_MAX);
            assert!(v4.len() >= 5 && v6.len() >= 5 && v4.len() + v6.len() < 19, "{asker}: {list:?}");
        }
        let networks = Arc::new(Networks::default());
        let place = |peer: &str, from: &str, v6| {
            let peer: SocketAddr = peer.parse().unwrap();
            place(Some(&networks), peer.into(), from.parse().unwrap(), v6).map(|ip| ip.to_string())
        };
        assert_eq!(place("10.0.0.1:1", "2001:db8::1", false).as_deref(), Some("10.0.0.1"));
        assert_eq!(place("10.0.0.1:1", "2001:db8::1", true).as_deref(), Some("2001:db8::1"));
        assert_eq!(place("0.0.0.0:0", "::ffff:10.0.0.2", false).as_deref(), Some("10.0.0.2"));
        assert_eq!(place("10.0.0.1:1", "10.0.0.2", true), None);
    }
}
