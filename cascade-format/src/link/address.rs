//! `HOST:PORT`: where a tracker or a peer listens.

use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

/// Bytes of a host name, and of one of its labels: those of the domain name system.
const MAX_HOST_LEN: usize = 253;
const MAX_LABEL_LEN: usize = 63;

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no colon and port.
    #[error("it has no port: HOST:PORT is expected, or [IPv6]:PORT")]
    NoPort,
    /// The port is no number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// Neither an IP address nor a name.
    #[error("its host is neither a name nor an IPv4 address nor an IPv6 address in brackets")]
    Host,
}

/// A host as it stands in an [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name to be looked up: letters, digits, `-`, `_` and dots, in lower case.
    Name(String),
}

/// Where somebody listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: Host,
    port: u16,
}

impl Address {
    /// The address of a listener; none if its port is 0. An IPv6 scope is left out: it means nothing on
    /// another machine.
    #[must_use]
    pub const fn new(addr: SocketAddr) -> Option<Self> {
        match addr.port() {
            0 => None,
            port => Some(Self { host: Host::Ip(addr.ip()), port }),
        }
    }

    /// The host.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `HOST:PORT`, where an IPv6 address stands in brackets.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => {
                let inside = rest.strip_suffix(']').ok_or(AddressError::NoPort)?;
                Host::Ip(IpAddr::V6(inside.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?))
            }
            None => name_or_v4(host)?,
        };
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = if digits { port.parse().ok() } else { None };
        let port = port.filter(|port| *port != 0).ok_or(AddressError::Port)?;
        Ok(Self { host, port })
    }
}

/// A name whose last label is a number (`1.2.3`, `0x7f.1`) is an old spelling of an IPv4 address to some
/// systems and not to others: such a text is an IPv4 address or nothing.
fn name_or_v4(host: &str) -> Result<Host, AddressError> {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(IpAddr::V4(address)));
    }
    let label_is_right = |label: &str| {
        (1..=MAX_LABEL_LEN).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if host.len() <= MAX_HOST_LEN && !is_number && host.split('.').all(label_is_right) {
        Ok(Host::Name(host.to_ascii_lowercase()))
    } else {
        Err(AddressError::Host)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}:{}", self.port),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}
