//! Addresses as a user writes them.

use cascade_format::link::{Address, Host};
use cascade_format::text::is_shown;
use cascade_swarm::Listening;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What is said of an IPv6 address that is not in brackets: where its port begins nobody knows.
const BRACKETS: &str =
    "write an IPv6 address in brackets, with the port behind them, as in [2001:db8::5]:8888";

/// Checks that `text` is `HOST:PORT`. Whether the host exists is found out when it is used.
///
/// # Errors
/// What is wrong, with an example.
pub(super) fn host_port(text: &str) -> Result<String, String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(BRACKETS.into());
    }
    if text.starts_with('[') && text.ends_with(']') {
        return Err("the port is missing, write [IPv6]:PORT, as in [2001:db8::5]:8888".into());
    }
    let (host, port) =
        text.rsplit_once(':').ok_or("the port is missing, write HOST:PORT, as in 10.0.0.5:8888")?;
    if host.is_empty() {
        return Err("the host is missing, write HOST:PORT, as in 10.0.0.5:8888".into());
    }
    check_host(host)?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if digits => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(format!("{port:?} is no port, ports are 1 to 65535")),
    }
}

/// Whether `host` is one that the system can look up.
fn check_host(host: &str) -> Result<(), String> {
    if host.starts_with('[') {
        // With a zone, where that is a number.
        return format!("{host}:1").parse::<SocketAddr>().map(drop).map_err(|_| BRACKETS.into());
    }
    // The end of an address with a zone is known without brackets, and the zone may be a name.
    let is_zone = |zone: &str| zone.chars().all(|c| is_of_label(c) || c == '.');
    let has_zone = |(ip, zone): (&str, &str)| ip.parse::<Ipv6Addr>().is_ok() && is_zone(zone);
    if host.parse::<Ipv4Addr>().is_ok() || host.split_once('%').is_some_and(has_zone) {
        return Ok(());
    }
    if host.split('.').all(is_number) {
        return Err(format!("{host} is no IPv4 address, which has four numbers from 0 to 255"));
    }
    // A name that is whole ends with a dot.
    let labels = host.strip_suffix('.').unwrap_or(host);
    if labels.split('.').all(|label| !label.is_empty() && label.chars().all(is_of_label)) {
        return Ok(());
    }
    Err(format!("{host:?} is neither a name nor an IPv4 address nor an IPv6 address in brackets"))
}

/// Whether a system may take the label of a name for a part of an IPv4 address, as in 10.1, 0x7f.1 or 2130706433.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether the label of a name can have this character. Names on the local network, and in the system's table of hosts, may
/// have letters of any language.
fn is_of_label(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() || matches!(c, '-' | '_') } else { is_shown(c) }
}

/// [`host_port`] of somebody whom others are to reach: it can be in a link, and is shown as it is there.
///
/// # Errors
/// What is wrong, with an example.
pub(super) fn in_link(text: &str) -> Result<String, String> {
    let text = host_port(text)?;
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    // A name in a link is whole anyway.
    let address = format!("{}:{port}", host.strip_suffix('.').unwrap_or(host)).parse::<Address>();
    let address = address.map_err(|error| format!("it cannot be in a link: {error}"))?;
    match address.host() {
        Host::Ip(ip) if ip.is_unspecified() => Err(format!(
            "{ip} stands for every address of a machine, and nobody can connect to it; name one of them"
        )),
        Host::Ip(_) | Host::Name(_) => Ok(address.to_string()),
    }
}

/// [`in_link`] of what may be a host alone: then it is at `port`.
///
/// # Errors
/// What is wrong, with an example.
pub(super) fn in_link_at(text: &str, port: u16) -> Result<String, String> {
    // Nobody has one of these (::/96): it is an address with a port, as in ::1:8888.
    let has_port = |ip: &Ipv6Addr| ip.to_bits() >> 32 == 0 && !ip.is_unspecified() && !ip.is_loopback();
    match text.parse::<Ipv6Addr>() {
        Ok(ip) if has_port(&ip) => Err(BRACKETS.into()),
        Ok(ip) => in_link(&format!("[{ip}]:{port}")),
        Err(_) if text.ends_with(']') || !text.contains(':') => in_link(&format!("{text}:{port}")),
        Err(_) => in_link(text),
    }
}

/// What [`in_link_at`] takes, for the command line's parser.
///
/// # Errors
/// What is wrong, with an example.
pub(super) fn in_link_anywhere(text: &str) -> Result<String, String> {
    in_link_at(text, 1).map(|_| text.to_owned())
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
        for right in [
            "a.b:80",
            "my_host:80",
            "box.local:80",
            "box.local.:80",
            "a-.b:080",
            "büro.local:80",
            "node.1:80",
            "1.2.3.4:80",
            "0.0.0.0:80",
            "[::1]:80",
            "[fe80::1%2]:80",
            "fe80::1%eth0.5:80",
        ] {
            assert_eq!(host_port(right), Ok(right.into()));
        }
        for (wrong, why) in [
            ("a.b", "the port is missing"),
            (":80", "the host is missing"),
            ("a:", "ports are 1 to 65535"),
            ("a:x", "ports are 1 to 65535"),
            ("a:0", "ports are 1 to 65535"),
            ("a:65536", "ports are 1 to 65535"),
            ("a:+80", "ports are 1 to 65535"),
            ("[::1]", "the port is missing"),
            ("[::1", "in brackets"),
            ("[::1:80", "in brackets"),
            ("[host]:80", "in brackets"),
            ("::1:80", "in brackets"),
            ("2001:db8::5", "in brackets"),
            ("2001:db8:0:0:0:0:0:5:80", "in brackets"),
            ("1.2.3.4:80:90", "neither a name"),
            ("ho st:80", "neither a name"),
            ("a..b:80", "neither a name"),
            ("http://a:80", "neither a name"),
            ("a\u{202e}b:80", "neither a name"),
            ("256.1.1.1:80", "four numbers"),
            ("1.2.3:80", "four numbers"),
            ("010.0.0.1:80", "four numbers"),
            ("0x7f.1:80", "four numbers"),
            ("2130706433:80", "four numbers"),
        ] {
            let error = host_port(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn what_is_in_a_link_is_reached_by_others() {
        assert_eq!(in_link("Box.local.:80"), Ok("box.local:80".into()));
        for wrong in ["0.0.0.0:80", "[::]:80", "[fe80::1%2]:80", "büro.local:80", "1.2.3:80", "a"] {
            assert!(in_link(wrong).is_err(), "{wrong}");
        }
        for (text, whole) in [
            ("1.2.3.4", "1.2.3.4:7"),
            ("1.2.3.4:5", "1.2.3.4:5"),
            ("box", "box:7"),
            ("2001:db8::7:80", "[2001:db8::7:80]:7"),
            ("[2001:db8::7]", "[2001:db8::7]:7"),
            ("[2001:db8::7]:80", "[2001:db8::7]:80"),
            ("::1", "[::1]:7"),
        ] {
            assert_eq!(in_link_at(text, 7), Ok(whole.into()));
        }
        for wrong in ["::1:80", "0.0.0.0", "::", "0.0.0.0:80", "[::1", "1.2.3", "a b", "", "a:b:c"] {
            assert!(in_link_anywhere(wrong).is_err(), "{wrong}");
        }
    }
}
