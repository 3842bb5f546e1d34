//! The address of a store, as the user writes it. No I/O.

use std::fmt::{self, Display};
use std::str::FromStr;

/// Where a store listens that has no port in its address.
const DEFAULT_PORT: u16 = 6379;

/// Where a sentinel listens that has no port in its address.
const SENTINEL_PORT: u16 = 26_379;

/// The most hosts in one address.
const MAX_HOSTS: usize = 64;

/// How a store is made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One server.
    One,
    /// A cluster; the hosts are some of its nodes.
    Cluster,
    /// The hosts are sentinels, which know who is the master of this name.
    Sentinel(String),
}

/// The address of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// How it is made up.
    pub kind: Kind,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The user of the store, if it is not the default one.
    pub user: Option<String>,
    /// Names or addresses, and ports; not empty.
    pub hosts: Vec<(String, u16)>,
    /// The number of the database.
    pub database: i64,
}

/// Why a text is no address of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not one of ours.
    #[error(
        "it does not begin with redis://, rediss:// (with TLS), redis-cluster://, rediss-cluster://, redis-sentinel:// \
         or rediss-sentinel://"
    )]
    Scheme,
    /// A password, which everybody on the machine could read.
    #[error(
        "it has a password in it, which others on this machine can read: put it in a file, and name that with --store-password-file FILE"
    )]
    Password,
    /// No host, or too many.
    #[error("it must have a host, or at most {MAX_HOSTS}, with commas between them")]
    Hosts,
    /// One server has one host.
    #[error("it has several hosts: begin it with redis-cluster:// or redis-sentinel://")]
    OneHost,
    /// Not a port.
    #[error("{} is no port", shown(.0))]
    Port(String),
    /// Not a database.
    #[error("{} is no number of a database", shown(.0))]
    Database(String),
    /// A cluster has one database.
    #[error("a cluster has one database, without a number")]
    ClusterDatabase,
    /// No name of a master.
    #[error("the name of the master must follow the sentinels: redis-sentinel://HOST:PORT,HOST:PORT/NAME")]
    Name,
}

/// A wrong number. What is none may be a part of a password.
fn shown(text: &str) -> String {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { format!("{text:?}") } else { "what stands there".to_owned() }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let (base, form) = scheme.split_once('-').unwrap_or((scheme, ""));
        let tls = match base {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(AddressError::Scheme),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) =
            authority.rsplit_once('@').map_or((None, authority), |(user, hosts)| (Some(user), hosts));
        if user.is_some_and(|user| user.contains(':')) {
            return Err(AddressError::Password);
        }
        let user = user.filter(|user| !user.is_empty()).map(str::to_owned);
        let port = if form == "sentinel" { SENTINEL_PORT } else { DEFAULT_PORT };
        let hosts = hosts.split(',').map(|part| host(part, port)).collect::<Result<Vec<_>, _>>()?;
        if hosts.len() > MAX_HOSTS {
            return Err(AddressError::Hosts);
        }
        let (kind, number) = match form {
            "" if hosts.len() > 1 => return Err(AddressError::OneHost),
            "" => (Kind::One, path),
            "cluster" if !path.is_empty() => return Err(AddressError::ClusterDatabase),
            "cluster" => (Kind::Cluster, path),
            "sentinel" => {
                let (name, number) = path.split_once('/').unwrap_or((path, ""));
                if name.is_empty() {
                    return Err(AddressError::Name);
                }
                (Kind::Sentinel(name.to_owned()), number)
            }
            _ => return Err(AddressError::Scheme),
        };
        Ok(Self { kind, tls, user, hosts, database: database(number)? })
    }
}

fn database(number: &str) -> Result<i64, AddressError> {
    match number {
        "" => Ok(0),
        number => {
            let parsed = number.parse::<u16>().map(i64::from);
            parsed.map_err(|_| AddressError::Database(number.to_owned()))
        }
    }
}

/// `NAME`, `NAME:PORT`, `[IPv6]` or `[IPv6]:PORT`.
fn host(text: &str, default_port: u16) -> Result<(String, u16), AddressError> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(AddressError::Hosts)?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err(AddressError::Hosts);
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        None => return Err(AddressError::Hosts),
        Some(number) => {
            let parsed = number.parse().ok().filter(|port| *port != 0);
            parsed.ok_or_else(|| AddressError::Port(number.to_owned()))?
        }
    };
    Ok((name.to_owned(), port))
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.kind {
            Kind::One => "",
            Kind::Cluster => "-cluster",
            Kind::Sentinel(_) => "-sentinel",
        };
        write!(f, "redis{}{form}://", if self.tls { "s" } else { "" })?;
        for (at, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        if let Kind::Sentinel(name) = &self.kind {
            write!(f, "/{name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<Address, AddressError> {
        text.parse()
    }

    #[test]
    fn an_error_shows_no_part_of_a_password() {
        for text in
            ["redis://u:secret/x@h", "redis://h:1?password=secret", "redis://h/secret", "redis://:secret@h"]
        {
            let error = parsed(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(parsed("redis://h:99999").unwrap_err().to_string().contains("99999"));
    }

    #[test]
    fn every_form_is_read() {
        let one = parsed("redis://store.example").unwrap();
        assert_eq!(
            (one.kind.clone(), one.tls, one.hosts.clone()),
            (Kind::One, false, vec![("store.example".into(), 6379)])
        );
        assert_eq!(one.to_string(), "redis://store.example:6379");
        let tls = parsed("rediss://tracker@[2001:db8::1]:7000/3").unwrap();
        assert_eq!((tls.tls, tls.user.as_deref(), tls.database), (true, Some("tracker"), 3));
        assert_eq!(tls.to_string(), "rediss://[2001:db8::1]:7000");
        let cluster = parsed("valkey-cluster://a:1,b:2,10.0.0.3").unwrap();
        assert_eq!((cluster.kind.clone(), cluster.hosts.len()), (Kind::Cluster, 3));
        assert_eq!(cluster.to_string(), "redis-cluster://a:1,b:2,10.0.0.3:6379");
        let sentinel = parsed("rediss-sentinel://a,b:2/mymaster/1").unwrap();
        assert_eq!((sentinel.kind.clone(), sentinel.database), (Kind::Sentinel("mymaster".into()), 1));
        assert_eq!(sentinel.to_string(), "rediss-sentinel://a:26379,b:2/mymaster");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("store.example", AddressError::Scheme),
            ("http://store.example", AddressError::Scheme),
            ("redis-shard://store.example", AddressError::Scheme),
            ("redis://:secret@store.example", AddressError::Password),
            ("redis://user:secret@store.example", AddressError::Password),
            ("redis://", AddressError::Hosts),
            ("redis://a,b", AddressError::OneHost),
            ("redis://a:0", AddressError::Port("0".into())),
            ("redis://a:70000", AddressError::Port("70000".into())),
            ("redis://a/x", AddressError::Database("x".into())),
            ("redis-cluster://a,b/1", AddressError::ClusterDatabase),
            ("redis-sentinel://a,b", AddressError::Name),
            ("redis://[::1", AddressError::Hosts),
            ("redis-cluster://a,,b", AddressError::Hosts),
            ("redis://a b", AddressError::Hosts),
        ] {
            assert_eq!(parsed(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_it_shows_it_reads(text in "(redis|rediss)(-cluster|-sentinel)?://[a-z@:,/0-9\\[\\]]{0,30}") {
            if let Ok(address) = parsed(&text) {
                let again = parsed(&address.to_string()).unwrap();
                prop_assert_eq!((again.kind, again.tls, again.hosts), (address.kind, address.tls, address.hosts));
            }
        }
    }
}
