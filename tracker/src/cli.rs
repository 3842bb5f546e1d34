//! The command line: what the user typed becomes an address and a policy.

#[cfg(feature = "cli")]
mod usage;

use crate::config::{ConfigFaults, STATE_EVERY_SECS, first_of};
use crate::log::{self, Format};
use crate::registry::Networks;
use crate::{Config, Policy, allow};
use cascade_format::CascadeHash;
use clap::Parser;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where a tracker listens that is told nothing else.
const DEFAULT_PORT: u16 = 8888;

/// Seconds between two times that the state is written.
const DEFAULT_STATE_EVERY: u64 = 60;

/// What is logged by a tracker that is told nothing else.
const DEFAULT_LEVEL: &str = "info";

/// What follows the help.
const EXIT_CODES: &str = "Exit codes: 0, ended by SIGINT or SIGTERM, or `check` finds nothing wrong; 1, failed, and stderr says why; \
                          2, wrong usage.";

/// A level, or several, that the log knows.
fn level(text: &str) -> Result<String, String> {
    log::filter(text).map(|_| text.to_owned())
}

/// Where to listen: an address and a port, or a port alone, which stands for every address.
fn listening(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv6Addr::UNSPECIFIED, port).into());
    }
    text.parse()
        .map_err(|_| "write ADDR:PORT or PORT, as in 192.0.2.1:8888, [2001:db8::1]:8888 or 8888".to_owned())
}

/// Seconds between two times that the state is written.
fn interval(text: &str) -> Result<u64, String> {
    let (shortest, longest) = STATE_EVERY_SECS.into_inner();
    let seconds = text.parse().ok().filter(|seconds| STATE_EVERY_SECS.contains(seconds));
    seconds.ok_or_else(|| format!("it must be a number of seconds from {shortest} to {longest}"))
}

/// The Cascade tracker: tells peers of other peers that share the same file.
///
/// Without CONFIG, --allow and --allow-dir it tracks any file, in bounded memory. With any of them it tracks only the files
/// that they name.
#[derive(Debug, Clone, Parser)]
#[command(name = "tracker", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// The configuration, in JSON: {"port": 8888, "ban-private": false, "allowedhashes": ["<64 hex digits>", ...],
    /// "good-ips": ["127.0.0.1"]}, where ban-private and good-ips may be absent. Each option below may also be a field, by
    /// its long name; an option on the command line wins. CONFIG is read again when it changes, and on SIGHUP [default:
    /// none]
    #[arg(value_name = "CONFIG.json")]
    config: Option<PathBuf>,

    /// Address to listen on; a port alone is every address, and port 0 is any free port [default: every address, IPv4 and
    /// IPv6, at port 8888 or CONFIG's]
    #[arg(short, long, value_name = "[ADDR:]PORT", value_parser = listening)]
    listen: Option<SocketAddr>,

    /// Track the file with this cascade hash, or of this .cascade file; may be given several times [default: none]
    #[arg(long, value_name = "HASH|FILE.cascade")]
    allow: Vec<String>,

    /// Track every .cascade file in this folder, as they come and go; the page shows their names [default: none]
    #[arg(long, value_name = "DIR")]
    allow_dir: Option<PathBuf>,

    /// Keep the registrations in this file, so that a restart loses none [default: in memory alone]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// Write the file of --state at this interval, 1 to 3600 [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = interval, allow_negative_numbers = true)]
    state_every: Option<u64>,

    /// Share the swarms with all trackers that name the same store (Redis or Valkey): redis://HOST:PORT,
    /// redis-cluster://HOST:PORT,HOST:PORT or redis-sentinel://HOST:PORT,HOST:PORT/NAME; rediss in the
    /// place of redis encrypts [default: no store]
    #[arg(long, value_name = "ADDRESS")]
    store: Option<String>,

    /// File whose only line is the store's password [default: no password]
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<PathBuf>,

    /// File of certificates (PEM) to trust where the store is encrypted [default: those that the system trusts]
    #[arg(long, value_name = "FILE")]
    store_ca: Option<PathBuf>,

    /// Register a peer only at the address that its connection comes from; otherwise a peer says where it is reached, as one
    /// behind a forwarded port must
    #[arg(long)]
    own_address_only: bool,

    /// Prefer peers in the asker's own network (the same /24 or /64, or a site of CONFIG's networks) for up to half of
    /// a list; otherwise lists are drawn from all peers
    #[arg(long)]
    prefer_near: bool,

    /// Log this and what is worse: off, error, warn, info, debug, trace; or by module, as in
    /// info,cascade_tracker::state=debug [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    log_level: Option<String>,

    /// Form of a line of the log [default: text, or journal where stderr is systemd's journal]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,

    /// Show a web page of what is tracked. Without ADDR:PORT it is on 127.0.0.1, on the first free port from 8890 to 8899;
    /// at an address that other machines can reach, the printed URL has a token [default: no page]
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, require_equals = true)]
    #[cfg_attr(feature = "cli", arg(value_parser = cascade_web::address))]
    web: Option<Option<SocketAddr>>,
}

/// What to do instead of serving.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Say whether a configuration is right, or what is wrong with it, and exit with 0 or 1. (A configuration that is
    /// named check is ./check)
    Check {
        /// The configuration
        #[arg(value_name = "CONFIG.json")]
        config: PathBuf,
    },
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub listen: SocketAddr,
    /// Where to listen instead if this system has no IPv6; `None`: nowhere.
    pub or_else: Option<SocketAddr>,
    /// Without the files of `allow_dir`.
    pub policy: Policy,
    /// The folder whose `.cascade` files are tracked besides.
    pub allow_dir: Option<PathBuf>,
    /// Where registrations are kept, and how often they are written.
    pub state: Option<(PathBuf, Duration)>,
    /// What is logged, and how; without a format, as is usual where the log goes.
    pub log: (String, Option<Format>),
    /// The store that is shared with other trackers.
    pub store: Option<StorePlan>,
    /// Where to show a page, if at all; without an address, where such pages are usually.
    pub web: Option<Option<SocketAddr>>,
}

/// Where a store is, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlan {
    /// As the user has written it.
    pub address: String,
    /// The file with the password.
    pub password_file: Option<PathBuf>,
    /// The file with certificates.
    pub ca: Option<PathBuf>,
}

impl Cli {
    /// The configuration to be checked, if that is to be done instead.
    #[must_use]
    pub fn checks(&self) -> Option<Self> {
        let Some(Command::Check { config }) = &self.command else { return None };
        Some(Self { command: None, config: Some(config.clone()), ..self.clone() })
    }

    /// The configuration that the arguments name.
    #[must_use]
    pub fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Reads the files that the arguments name. They may change, so it may be called again.
    ///
    /// # Errors
    /// One line for the user: the file or argument, and what is wrong with it.
    pub fn plan(&self) -> Result<Plan, String> {
        let mut faults = Vec::new();
        let plan = self.look(&mut faults);
        match faults.split_first() {
            None => Ok(plan),
            Some((first, others)) => Err(first_of(first, others.len())),
        }
    }

    /// The same, as far as all is right; each fault is a line for the user.
    pub fn look(&self, faults: &mut Vec<String>) -> Plan {
        let config = self.config.as_deref().and_then(|path| {
            let mut of_fields = ConfigFaults::default();
            let read = Config::read_some(path, &mut of_fields);
            let path = path.display();
            faults.extend(of_fields.told.iter().map(|fault| format!("{path}: {fault}")));
            if of_fields.more > 0 {
                faults.push(format!("{path}: and {} more faults", of_fields.more));
            }
            read.map_err(|error| faults.push(format!("{path}: {error}"))).ok()
        });
        let mut allowed = Vec::new();
        for text in &self.allow {
            let hash = allow::resolve(text).map_err(|error| format!("--allow {text}: {error}"));
            allowed.extend(hash.map_err(|fault| faults.push(fault)));
        }
        for text in config.iter().flat_map(|config| &config.allow) {
            allowed.extend(self.allowed_by_config(text).map_err(|fault| faults.push(fault)));
        }
        let port = config.as_ref().map_or(DEFAULT_PORT, |config| config.port);
        let listen = self.listen.or(config.as_ref().and_then(|config| config.listen));
        let everywhere = listen.is_none_or(|at| at.ip() == Ipv6Addr::UNSPECIFIED);
        let own_only = self.own_address_only || config.as_ref().is_some_and(|config| config.own_address_only);
        let in_config = |path: Option<&PathBuf>| path.map(|path| self.beside_config(path));
        let of_config = |field: fn(&Config) -> Option<&PathBuf>| in_config(config.as_ref().and_then(field));
        let allow_dir = self.allow_dir.clone().or_else(|| of_config(|config| config.allow_dir.as_ref()));
        let state = self.state.clone().or_else(|| of_config(|config| config.state.as_ref()));
        let every = self.state_every.or(config.as_ref().and_then(|config| config.state_every));
        let every = Duration::from_secs(every.unwrap_or(DEFAULT_STATE_EVERY));
        let store = self.store.clone().or_else(|| config.as_ref().and_then(|config| config.store.clone()));
        let password_file =
            self.store_password_file.clone().or_else(|| of_config(|c| c.store_password_file.as_ref()));
        let ca = self.store_ca.clone().or_else(|| of_config(|config| config.store_ca.as_ref()));
        if store.is_none() && (password_file.is_some() || ca.is_some()) {
            faults.push("a password or certificates of a store need a store: --store ADDRESS".to_owned());
        }
        let store = store.map(|address| StorePlan { address, password_file, ca });
        let web = self.web.or(config.as_ref().and_then(|config| config.web));
        let near = self.near(config.as_ref());
        let level =
            self.log_level.clone().or_else(|| config.as_ref().and_then(|config| config.log_level.clone()));
        let format = self.log_format.or(config.as_ref().and_then(|config| config.log_format));
        let policy = match config {
            Some(config) => Policy::only(config.allowed.into_iter().chain(allowed))
                .with_good(config.good)
                .with_ban_private(config.ban_private),
            None if allowed.is_empty() && allow_dir.is_none() => Policy::open(),
            None => Policy::only(allowed),
        };
        Plan {
            listen: listen.unwrap_or_else(|| (Ipv6Addr::UNSPECIFIED, port).into()),
            or_else: everywhere.then(|| (Ipv4Addr::UNSPECIFIED, listen.map_or(port, |at| at.port())).into()),
            policy: policy.with_own_address_only(own_only).with_near(near),
            allow_dir,
            state: state.map(|path| (path, every)),
            log: (level.unwrap_or_else(|| DEFAULT_LEVEL.to_owned()), format),
            store,
            web,
        }
    }

    /// Which addresses are near each other, where near peers are preferred. Who names networks wants that.
    fn near(&self, config: Option<&Config>) -> Option<Arc<Networks>> {
        let networks = config.map_or(&[][..], |config| &config.networks);
        let said = config.and_then(|config| config.prefer_near).unwrap_or(!networks.is_empty());
        (self.prefer_near || said).then(|| Arc::new(Networks::of_sites(networks.iter().cloned())))
    }

    /// What `text` in the configuration's `allow` names.
    fn allowed_by_config(&self, text: &str) -> Result<CascadeHash, String> {
        if let Ok(hash) = text.parse() {
            return Ok(hash);
        }
        let path = self.beside_config(Path::new(text));
        let config = self.config.as_deref().unwrap_or(Path::new("")).display();
        allow::resolve(&path.to_string_lossy()).map_err(|error| format!("{config}: allow: {text}: {error}"))
    }

    /// Paths in a configuration are relative to the folder that it stands in.
    fn beside_config(&self, path: &Path) -> PathBuf {
        let folder = self.config.as_deref().and_then(Path::parent);
        folder.map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    /// A user who reads `--help` alone finds out what happens without an option.
    #[test]
    fn each_option_has_a_sentence_and_each_value_a_default() {
        let command = <Cli as clap::CommandFactory>::command();
        let takes_value = |arg: &clap::Arg| arg.get_action().takes_values() && !arg.is_required_set();
        for arg in command.get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.split_whitespace().count() > 1, "{} has no sentence: {help:?}", arg.get_id());
            assert!(
                !takes_value(arg) || help.contains("[default: "),
                "{} has no default: {help:?}",
                arg.get_id()
            );
        }
    }

    #[test]
    fn a_port_alone_is_every_address() {
        let Plan { listen, or_else, .. } = plan(&["-l", "7"]);
        assert_eq!((listen, or_else), ("[::]:7".parse().unwrap(), Some(([0, 0, 0, 0], 7).into())));
        for wrong in ["x", "1.2.3.4", "::1:7", "65536", "host:7"] {
            assert!(listening(wrong).unwrap_err().starts_with("write ADDR:PORT or PORT"), "{wrong}");
        }
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
    fn near_peers_are_preferred_by_the_command_line_or_the_configuration() {
        let of = |config: &str, args: &[&str]| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let json = format!(r#"{{"port": 7, "allowedhashes": []{config}}}"#);
            std::io::Write::write_all(&mut file, json.as_bytes()).unwrap();
            plan(&[&[file.path().to_str().unwrap()], args].concat()).policy.near().cloned()
        };
        let site = vec!["10.1.0.0/16".parse().unwrap()];
        let sites = Some(Arc::new(Networks::of_sites([site])));
        let usual = Some(Arc::new(Networks::default()));
        let networks = r#", "networks": [["10.1.0.0/16"]]"#;
        let off = r#", "networks": [["10.1.0.0/16"]], "prefer-near": false"#;
        assert_eq!([of("", &[]), of(off, &[])], [None, None]);
        assert_eq!([of("", &["--prefer-near"]), of(r#", "prefer-near": true"#, &[])], [usual.clone(), usual]);
        assert_eq!([of(networks, &[]), of(off, &["--prefer-near"])], [sites.clone(), sites]);
        assert_eq!(plan(&["--prefer-near"]).policy, Policy::open().with_near(Some(Arc::default())));
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let error = |args: &[&str]| Cli::parse_from([&["tracker"], args].concat()).plan().unwrap_err();
        assert!(error(&["/no/such.json"]).starts_with("/no/such.json: cannot read it: "));
        assert!(error(&["--allow", "xyz"]).starts_with("--allow xyz: it is not 64 hex digits"));
    }
}
