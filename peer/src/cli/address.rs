//! Addresses as a user writes them.

use cascade_swarm::Listening;
use std::net::{IpAddr, SocketAddr};

/// Checks that `text` looks like `HOST:PORT`. Whether the host exists is found out when it is used.
///
/// # Errors
/// What is missing, with an example.
pub(super) fn host_port(text: &str) -> Result<String, String> {
    let (host, port) =
        text.rsplit_once(':').ok_or("the port is missing, write HOST:PORT, as in 10.0.0.5:8888")?;
    if host.is_empty() {
        return Err("the host is missing, write HOST:PORT, as in 10.0.0.5:8888".into());
    }
    match port.parse::<u16>() {
        Ok(1..) => Ok(text.to_owned()),
        Ok(0) | Err(_) => Err(format!("{port:?} is no port, ports are 1 to 65535")),
    }
}

/// Where a peer listens: an address and a port, or a port alone, which stands for every address, as `[::]` does for the
/// tracker too.
///
/// # Errors
/// What is wrong, with an example.
pub(super) fn listening(text: &str) -> Result<Listening, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(Listening::everywhere(port));
    }
    let addr: SocketAddr = text.parse().map_err(|_| {
        "write ADDR:PORT or PORT, as in 192.0.2.1:8889, [2001:db8::1]:8889 or 8889".to_owned()
    })?;
    let link_local = matches!(addr.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local());
    if link_local {
        return Err(format!("{} is a link-local address, which means nothing to other machines", addr.ip()));
    }
    let everywhere = addr.is_ipv6() && addr.ip().is_unspecified();
    Ok(if everywhere { Listening::everywhere(addr.port()) } else { Listening::at(addr.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_or_all_are_listened_on() {
        assert_eq!(listening("8889"), Ok(Listening::everywhere(8889)));
        assert_eq!(listening("[::]:8889"), Ok(Listening::everywhere(8889)));
        for one in ["192.0.2.1:8889", "0.0.0.0:0", "[::1]:8889"] {
            assert_eq!(listening(one).unwrap().to_string(), one);
        }
        for wrong in ["", "::1:8889", "[::1]", "localhost:1", "65536", "1.2.3.4", "[fe80::1%2]:8889"] {
            assert!(listening(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_and_ports_are_checked() {
        assert_eq!(host_port("a.b:80"), Ok("a.b:80".into()));
        for wrong in ["a.b", ":80", "a:", "a:x", "a:0", "a:65536"] {
            assert!(host_port(wrong).is_err(), "{wrong}");
        }
    }
}
