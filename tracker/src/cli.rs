//! The command line: what the user typed becomes an address and a policy.

use crate::{Config, Policy, allow};
use clap::Parser;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Where a tracker listens that is told nothing else.
const DEFAULT_PORT: u16 = 8888;

/// The Cascade tracker: tells peers of other peers that share the same file.
///
/// Without CONFIG and without --allow it tracks any file, with its memory bounded; with either, only
/// the files they name.
#[derive(Debug, Parser)]
#[command(name = "tracker", version)]
pub struct Cli {
    /// JSON: {"port": 8888, "ban-private": false, "allowedhashes": ["<64 hex digits>", ...],
    /// "good-ips": ["127.0.0.1"], "own-address-only": false}; the last two and ban-private may be absent
    #[arg(value_name = "CONFIG.json")]
    config: Option<PathBuf>,

    /// Listen here [default: every address, IPv4 and IPv6, port 8888 or CONFIG's]; port 0 takes a free one
    #[arg(short, long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// Track the file with this cascade hash, or of this .cascade file; may be repeated
    #[arg(long, value_name = "HASH|FILE.cascade")]
    allow: Vec<String>,

    /// Register a peer only at the address that its connection comes from, as CONFIG's own-address-only.
    /// By default a peer says where it is reached: one behind a forwarded port must
    #[arg(long)]
    own_address_only: bool,

    /// Show a page of what is tracked at this address [default: 127.0.0.1, the first free port from 8890 to 8899].
    /// Where others than this machine reach it, its address has a token
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, require_equals = true)]
    web: Option<Option<SocketAddr>>,
}

/// What to do.
#[derive(Debug)]
pub struct Plan {
    pub listen: SocketAddr,
    /// Where to listen instead if this system has no IPv6; `None`: nowhere.
    pub or_else: Option<SocketAddr>,
    pub policy: Policy,
    /// Where to show a page, if at all; without an address, where such pages are usually.
    pub web: Option<Option<SocketAddr>>,
}

impl Cli {
    /// Reads the files that the arguments name.
    ///
    /// # Errors
    /// One line for the user: the file or argument, and what is wrong with it.
    pub fn plan(self) -> Result<Plan, String> {
        let config = match &self.config {
            None => None,
            Some(path) => Some(Config::read(path).map_err(|error| format!("{}: {error}", path.display()))?),
        };
        let mut allowed = Vec::new();
        for text in &self.allow {
            allowed.push(allow::resolve(text).map_err(|error| format!("--allow {text}: {error}"))?);
        }
        let port = config.as_ref().map_or(DEFAULT_PORT, |config| config.port);
        let or_else = self.listen.is_none().then(|| (Ipv4Addr::UNSPECIFIED, port).into());
        let listen = self.listen.unwrap_or_else(|| (Ipv6Addr::UNSPECIFIED, port).into());
        let own_only = self.own_address_only || config.as_ref().is_some_and(|config| config.own_address_only);
        let policy = match config {
            Some(config) => Policy::only(config.allowed.into_iter().chain(allowed))
                .with_good(config.good)
                .with_ban_private(config.ban_private),
            None if allowed.is_empty() => Policy::open(),
            None => Policy::only(allowed),
        };
        let policy = policy.with_own_address_only(own_only);
        Ok(Plan { listen, or_else, policy, web: self.web })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    fn plan(args: &[&str]) -> Plan {
        Cli::parse_from([&["tracker"], args].concat()).plan().unwrap()
    }

    #[test]
    fn open_without_config_and_allow_else_closed() {
        let hash = "ab".repeat(32);
        assert_eq!(plan(&[]).policy.allowed(), None);
        assert_eq!(plan(&[]).listen, "[::]:8888".parse().unwrap());
        assert_eq!(plan(&[]).or_else, Some(([0, 0, 0, 0], 8888).into()));
        assert_eq!(plan(&["-l", "127.0.0.1:0"]).or_else, None);
        assert_eq!(plan(&["--allow", &hash]).policy.allowed(), Some(1));
        assert_eq!(plan(&["-l", "127.0.0.1:0"]).listen, ([127, 0, 0, 1], 0).into());
    }

    #[test]
    fn config_and_command_line_add_up() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let json =
            format!(r#"{{"port": 7, "allowedhashes": ["{}"], "good-ips": ["1.2.3.4"]}}"#, "ab".repeat(32));
        std::io::Write::write_all(&mut file, json.as_bytes()).unwrap();
        let path = file.path().to_str().unwrap();
        let both = plan(&[path, "--allow", &"cd".repeat(32)]);
        assert_eq!((both.policy.allowed(), both.listen.port()), (Some(2), 7));
        assert!(both.policy.is_good([1, 2, 3, 4].into()));
        assert_eq!(plan(&[path, "--listen", "127.0.0.1:9"]).listen.port(), 9);
    }

    #[test]
    fn own_addresses_only_by_the_command_line_or_the_configuration() {
        let strict = Policy::open().with_own_address_only(true);
        assert_eq!(plan(&["--own-address-only"]).policy, strict);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(
            &mut file,
            br#"{"port": 7, "allowedhashes": [], "own-address-only": true}"#,
        )
        .unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(plan(&[path]).policy, Policy::only([]).with_own_address_only(true));
        assert_eq!(plan(&[]).policy, Policy::open());
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let error = |args: &[&str]| Cli::parse_from([&["tracker"], args].concat()).plan().unwrap_err();
        assert!(error(&["/no/such.json"]).starts_with("/no/such.json: cannot read it: "));
        assert!(error(&["--allow", "xyz"]).starts_with("--allow xyz: it is not 64 hex digits"));
    }
}
