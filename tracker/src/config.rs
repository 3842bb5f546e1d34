//! The tracker's configuration file (protocol §2): JSON, the format of the trackers in the field.

mod fields;

use crate::file;
use crate::log::Format;
use crate::registry::{MAX_NETWORKS, Prefix, PrefixError};
use cascade_format::CascadeHash;
use cascade_format::hash::HexError;
use cascade_format::units::Bytes;
use serde_json::Value;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The longest configuration file, in bytes: an allow-list of 200,000 hashes.
pub const MAX_CONFIG_LEN: u64 = 16 << 20;

const PORT: &str = "port";
const BAN_PRIVATE: &str = "ban-private";
const ALLOWED: &str = "allowedhashes";
const GOOD: &str = "good-ips";
const OWN_ADDRESS_ONLY: &str = "own-address-only";
const LISTEN: &str = "listen";
const ALLOW: &str = "allow";
const ALLOW_DIR: &str = "allow-dir";
const STATE: &str = "state";
const STATE_EVERY: &str = "state-every";
const WEB: &str = "web";
const LOG_LEVEL: &str = "log-level";
const LOG_FORMAT: &str = "log-format";
const PREFER_NEAR: &str = "prefer-near";
const NETWORKS: &str = "networks";

/// All fields. The first four are the field's; the others, but for the last, are options of the command line.
const FIELDS: [&str; 15] = [
    PORT,
    BAN_PRIVATE,
    ALLOWED,
    GOOD,
    OWN_ADDRESS_ONLY,
    LISTEN,
    ALLOW,
    ALLOW_DIR,
    STATE,
    STATE_EVERY,
    WEB,
    LOG_LEVEL,
    LOG_FORMAT,
    PREFER_NEAR,
    NETWORKS,
];

/// Seconds between two times that the state is written.
pub const STATE_EVERY_SECS: RangeInclusive<u64> = 1..=3600;

/// A configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// `port`: where to listen. Port 0 lets the system choose.
    pub port: u16,
    /// `ban-private`: whether private addresses are refused; false where absent.
    pub ban_private: bool,
    /// `allowedhashes`: the files that are tracked.
    pub allowed: Vec<CascadeHash>,
    /// `good-ips`: the addresses that are listed first; none where absent.
    pub good: Vec<Ipv4Addr>,
    /// `own-address-only`: whether a peer is registered only at the address that its connection comes
    /// from; false where absent. Trackers in the field do not know it.
    pub own_address_only: bool,
    /// `listen`: where to listen, instead of every address and `port`.
    pub listen: Option<SocketAddr>,
    /// `allow`: hashes and `.cascade` files, tracked besides `allowedhashes`.
    pub allow: Vec<String>,
    /// `allow-dir`: the folder whose `.cascade` files are tracked.
    pub allow_dir: Option<PathBuf>,
    /// `state`: where registrations are kept.
    pub state: Option<PathBuf>,
    /// `state-every`: seconds between two times that they are written.
    pub state_every: Option<u64>,
    /// `web`: `true`, or the address of the page.
    pub web: Option<Option<SocketAddr>>,
    /// `log-level`: what is logged.
    pub log_level: Option<String>,
    /// `log-format`: how.
    pub log_format: Option<Format>,
    /// `prefer-near`: whether peers in the asker's own network are listed first; where absent, they are if there are
    /// `networks`.
    pub prefer_near: Option<bool>,
    /// `networks`: sites, each a list of networks that are near each other.
    pub networks: Vec<Vec<Prefix>>,
}

/// Why bytes are no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON at all.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// JSON, but no object.
    #[error("a configuration is a JSON object, {{...}}")]
    NotAnObject,
    /// A field that does not exist, perhaps misspelt.
    #[error("unknown field {0:?}: the fields are {fields}", fields = FIELDS.map(|name| format!("{name:?}")).join(", "))]
    UnknownField(String),
    /// A field that must be there.
    #[error("field {0:?} is missing")]
    Missing(&'static str),
    /// A field of the wrong kind or range.
    #[error("field {field:?} must be {expected}, not {found}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },
    /// An element of a list that is of the wrong kind.
    #[error("{field}[{index}] must be {expected}, not {found}")]
    Element {
        /// The list's name.
        field: &'static str,
        /// Its position in the list, from 0.
        index: usize,
        /// What it must be.
        expected: &'static str,
        /// What it is, shortened.
        found: String,
    },
    /// An element of `allowedhashes` that is no hash.
    #[error("{ALLOWED}[{index}]: {problem}")]
    Hash {
        /// Its position in the list, from 0.
        index: usize,
        /// What is wrong with it.
        problem: HexError,
    },
    /// An element of `networks` that is no network.
    #[error("{NETWORKS}[{site}][{index}]: {problem}")]
    Network {
        /// The site's position in the list, from 0.
        site: usize,
        /// Its position in the site, from 0.
        index: usize,
        /// What is wrong with it.
        problem: PrefixError,
    },
    /// A network that several sites have.
    #[error("{NETWORKS}[{site}][{index}]: {network} is there already")]
    NetworkTwice {
        /// The site's position in the list, from 0.
        site: usize,
        /// Its position in the site, from 0.
        index: usize,
        /// The network.
        network: Prefix,
    },
    /// More than [`MAX_NETWORKS`] networks.
    #[error("{NETWORKS} has more than {MAX_NETWORKS} networks")]
    TooManyNetworks,
}

/// Why a file gives no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read, or is no regular file.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// It is longer than [`MAX_CONFIG_LEN`].
    #[error("it is longer than {:#}, the most a configuration can be", Bytes(MAX_CONFIG_LEN))]
    TooLong,
    /// Its content is wrong.
    #[error(transparent)]
    Content(#[from] ConfigError),
}

impl Config {
    /// Reads and parses a file of at most [`MAX_CONFIG_LEN`] bytes.
    ///
    /// # Errors
    /// The file cannot be read, is too long, or is no configuration.
    pub fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let mut bytes = Vec::new();
        let (file, len) = file::open(path)?;
        if len > MAX_CONFIG_LEN {
            return Err(ConfigFileError::TooLong);
        }
        // It may grow meanwhile.
        file.take(MAX_CONFIG_LEN + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_CONFIG_LEN {
            return Err(ConfigFileError::TooLong);
        }
        Ok(Self::parse(&bytes)?)
    }

    /// Parses a configuration.
    ///
    /// # Errors
    /// Whatever is wrong first, by name and index.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let json = serde_json::from_slice(bytes).map_err(|error| ConfigError::Json(error.to_string()))?;
        let Value::Object(fields) = json else { return Err(ConfigError::NotAnObject) };
        if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(ConfigError::UnknownField(fields::shorten(name)));
        }
        Ok(Self {
            port: fields::port(&fields)?,
            ban_private: fields::switch(&fields, BAN_PRIVATE)?,
            allowed: fields::allowed(&fields)?,
            good: fields::good(&fields)?,
            own_address_only: fields::switch(&fields, OWN_ADDRESS_ONLY)?,
            listen: fields::address(&fields, LISTEN, "an address with a port, such as \"192.0.2.1:8888\"")?,
            allow: fields::allow(&fields)?,
            allow_dir: fields::path(&fields, ALLOW_DIR)?,
            state: fields::path(&fields, STATE)?,
            state_every: fields::state_every(&fields)?,
            web: fields::web(&fields)?,
            log_level: fields::log_level(&fields)?,
            log_format: fields::log_format(&fields)?,
            prefer_near: fields::choice(&fields, PREFER_NEAR)?,
            networks: fields::networks(&fields)?,
        })
    }
}

#[cfg(test)]
mod tests;
