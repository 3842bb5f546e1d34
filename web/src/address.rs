//! `--web [ADDR:PORT]`: where the page is.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

/// Where the page is when no address is named: the first of [`USUAL_PORTS`] that is free.
pub const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), *USUAL_PORTS.start());

/// The ports that are tried when no address is named.
pub const USUAL_PORTS: RangeInclusive<u16> = 8890..=8899;

/// Makes `--web ADDR:PORT` one argument, `--web=ADDR:PORT`, so that `--web` may stand alone before a file name. What
/// follows `--web` is its value if it is an address; a file of such a name is named with `./` in front.
pub fn join_address(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    let mut options = true;
    for argument in arguments {
        let after_web = options && joined.last().is_some_and(|last| last == OsStr::new("--web"));
        options &= argument != "--";
        match joined.last_mut() {
            Some(last) if after_web && is_address(&argument) => {
                last.push("=");
                last.push(argument);
            }
            Some(_) | None => joined.push(argument),
        }
    }
    joined
}

fn is_address(argument: &OsStr) -> bool {
    argument.to_str().is_some_and(|text| text.parse::<SocketAddr>().is_ok())
}

/// Where a page is to be, as the user writes it behind `--web=`.
///
/// # Errors
/// What is allowed, with an example.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "write ADDR:PORT with a numeric address, as in 127.0.0.1:8890, 0.0.0.0:8890 or [::1]:8890";
    text.parse().map_err(|_| wrong.to_owned())
}

/// An address by which others reach a listener on `bound`: of every address of this machine, that of the default
/// route.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let v4 = routed((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into());
    let v6 = || {
        let there = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        routed((Ipv6Addr::UNSPECIFIED, 0).into(), (there, 9).into())
    };
    let ip = v4.or_else(|| if bound.is_ipv6() { v6() } else { None });
    SocketAddr::new(ip.unwrap_or(Ipv4Addr::LOCALHOST.into()), bound.port())
}

/// This machine's address on the way to `there`. Nothing is sent: a datagram socket that is connected only looks the
/// route up.
fn routed(from: SocketAddr, there: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(there).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(arguments: &[&str]) -> Vec<String> {
        let joined = join_address(arguments.iter().map(OsString::from));
        joined.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn an_address_belongs_to_web_and_a_file_does_not() {
        assert_eq!(joined(&["peer", "share", "--web", "film.mkv"]), ["peer", "share", "--web", "film.mkv"]);
        assert_eq!(joined(&["--web", "[::]:80", "x"]), ["--web=[::]:80", "x"]);
        assert_eq!(joined(&["--web", "0.0.0.0:8890"]), ["--web=0.0.0.0:8890"]);
        assert_eq!(joined(&["--web=127.0.0.1:1", "1.2.3.4:5"]), ["--web=127.0.0.1:1", "1.2.3.4:5"]);
        assert_eq!(joined(&["--", "--web", "1.2.3.4:5"]), ["--", "--web", "1.2.3.4:5"]);
        assert_eq!(joined(&["--web"]), ["--web"]);
    }

    #[test]
    fn a_page_is_at_a_numeric_address() {
        assert_eq!(address("[::1]:0"), Ok("[::1]:0".parse().unwrap()));
        for wrong in ["", ":80", "80", "host", "localhost:80", "::1:80", "1.2.3.4"] {
            assert!(address(wrong).unwrap_err().starts_with("write ADDR:PORT"), "{wrong}");
        }
    }

    #[test]
    fn every_address_is_shown_as_one_that_can_be_opened() {
        let shown = reachable("0.0.0.0:8890".parse().unwrap());
        assert!(!shown.ip().is_unspecified() && shown.port() == 8890);
        assert_eq!(reachable("[::1]:7".parse().unwrap()), "[::1]:7".parse().unwrap());
    }
}
