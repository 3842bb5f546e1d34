//! How a swarm is called on the local network: by a name that those who know the cascade hash can compute, and from
//! which nobody learns it.

use cascade_format::CascadeHash;
use cascade_hash::Sha256Stream;

/// The service, as DNS-SD names it.
pub(super) const SERVICE: &str = "_cascade._tcp.local.";

/// In front of the cascade hash: the name is of no use for anything else.
const DOMAIN: &[u8] = b"cascade lan";

/// Bytes of the hash that are shown: 128 bits, so that no two files of a network have one name.
const SHOWN: usize = 16;

/// Hex digits that tell the peers of a swarm apart.
const OWN_DIGITS: usize = 8;

/// The swarm's name: 32 hex digits.
pub(super) fn swarm(hash: &CascadeHash) -> String {
    let digest = Sha256Stream::digest(&[DOMAIN, &hash.0].concat());
    digest.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect()
}

/// The name of one peer of the swarm; `random` tells it from the others.
pub(super) fn instance(swarm: &str, random: u32) -> String {
    format!("{swarm}-{random:0OWN_DIGITS$x}")
}

/// A name for this machine that says nothing of it.
pub(super) fn host(random: u32) -> String {
    format!("cascade-{random:0OWN_DIGITS$x}.local.")
}

/// The name of the peer, if the full name of a service is that of a peer of `swarm`.
pub(super) fn instance_of<'a>(full_name: &'a str, swarm: &str) -> Option<&'a str> {
    let instance = full_name.strip_suffix(SERVICE)?.strip_suffix('.')?;
    let own = instance.strip_prefix(swarm)?.strip_prefix('-')?;
    let is_own = own.len() == OWN_DIGITS && own.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_own.then_some(instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_peers_and_of_others() {
        let swarm = swarm(&CascadeHash([7; 32]));
        let full = format!("{}.{SERVICE}", instance(&swarm, 0x1f));
        assert_eq!(instance_of(&full, &swarm), Some(format!("{swarm}-0000001f").as_str()));
        for wrong in [
            format!("{swarm}.{SERVICE}"),
            format!("{swarm}-0000001f"),
            format!("{swarm}-0000001g.{SERVICE}"),
            format!("{swarm}-0000001f0.{SERVICE}"),
            format!("x{swarm}-0000001f.{SERVICE}"),
            format!("{swarm}-0000001f._other._tcp.local."),
            String::new(),
        ] {
            assert_eq!(instance_of(&wrong, &swarm), None, "{wrong}");
        }
        assert!(full.split('.').all(|label| label.len() <= 63));
    }

    #[test]
    fn the_name_does_not_hold_the_hash() {
        let hash = CascadeHash([0xab; 32]);
        assert!(!hash.to_string().contains(swarm(&hash).get(..8).unwrap()));
    }
}
