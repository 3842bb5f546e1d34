//! The tracker's configuration file (protocol §2): JSON, the format of the trackers in the field.

mod fields;

use crate::file;
use crate::log::Format;
use crate::registry::{MAX_NETWORKS, Prefix, PrefixError};
use cascade_format::CascadeHash;
use cascade_format::hash::HexError;
use cascade_format::units::Bytes;
use serde_json::Value;
use std::error::Error;
use std::fmt::{self, Display};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The longest configuration file, in bytes: an allow-list of 200,000 hashes.
pub const MAX_CONFIG_LEN: u64 = 16 << 20;

/// The most faults of a configuration that are told.
pub const MAX_FAULTS: usize = 100;

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
const STORE: &str = "store";
const STORE_PASSWORD_FILE: &str = "store-password-file";
const STORE_CA: &str = "store-ca";

/// All fields. The first four are the field's; the others, but for the last, are options of the command line.
const FIELDS: [&str; 18] = [
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
    STORE,
    STORE_PASSWORD_FILE,
    STORE_CA,
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
    /// `allow`: hashes and `.cascade` files, tracked in addition to `allowedhashes`.
    pub allow: Vec<String>,
    /// `allow-dir`: the folder whose `.cascade` files are tracked.
    pub allow_dir: Option<PathBuf>,
    /// `state`: where registrations are kept.
    pub state: Option<PathBuf>,
    /// `state-every`: seconds between two times that they are written.
    pub state_every: Option<u64>,
    /// `store`: the address of the store that is shared with other trackers.
    pub store: Option<String>,
    /// `store-password-file`: the file with its password.
    pub store_password_file: Option<PathBuf>,
    /// `store-ca`: the file with the certificates to trust.
    pub store_ca: Option<PathBuf>,
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
    #[error("unknown field {name:?}: {hint}", hint = hint(*.nearest))]
    UnknownField {
        /// Its name, shortened.
        name: String,
        /// The field whose name is most like it, if it is like any.
        nearest: Option<&'static str>,
    },
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
    Content(#[from] ConfigFaults),
}

/// What is wrong with a configuration; shown is the first thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigFaults {
    /// The first faults, at most [`MAX_FAULTS`].
    pub told: Vec<ConfigError>,
    /// The number of those besides.
    pub more: usize,
}

impl ConfigFaults {
    fn push(&mut self, fault: ConfigError) {
        if self.told.len() < MAX_FAULTS {
            self.told.push(fault);
        } else {
            self.more += 1;
        }
    }
}

impl Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.told.split_first() else { return Ok(()) };
        f.write_str(&first_of(&first.to_string(), others.len() + self.more))
    }
}

/// The first fault, and a word about `more` others.
pub(crate) fn first_of(first: &str, more: usize) -> String {
    match more {
        0 => first.to_owned(),
        1 => format!("{first}; and one more fault, which `tracker check` names"),
        more => format!("{first}; and {more} more faults, which `tracker check` names"),
    }
}

impl Error for ConfigFaults {}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(field) => format!("is {field:?} meant?"),
        None => {
            "the fields are port, ban-private, allowedhashes, good-ips, networks and the long options that \
                 `tracker --help` names"
                .to_owned()
        }
    }
}

impl Config {
    /// Reads and parses a file of at most [`MAX_CONFIG_LEN`] bytes.
    ///
    /// # Errors
    /// The file cannot be read, is too long, or is no configuration.
    pub fn read(path: &Path) -> Result<Self, ConfigFileError> {
        Ok(Self::parse(&Self::bytes(path)?)?)
    }

    /// What is right of a file; everything else is put to the faults. It may be read only to be checked.
    ///
    /// # Errors
    /// The file cannot be read, or is too long.
    pub fn read_some(path: &Path, faults: &mut ConfigFaults) -> Result<Self, ConfigFileError> {
        Ok(Self::parse_some(&Self::bytes(path)?, faults))
    }

    fn bytes(path: &Path) -> Result<Vec<u8>, ConfigFileError> {
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
        Ok(bytes)
    }

    /// Parses a configuration.
    ///
    /// # Errors
    /// Everything that is wrong, by name and index.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigFaults> {
        let mut faults = ConfigFaults::default();
        let config = Self::parse_some(bytes, &mut faults);
        if faults.told.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// What is right of a configuration; what is wrong is put to the faults.
    fn parse_some(bytes: &[u8], faults: &mut ConfigFaults) -> Self {
        let fields = match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => fields,
            Ok(_) => {
                faults.push(ConfigError::NotAnObject);
                return Self::default();
            }
            Err(error) => {
                faults.push(ConfigError::Json(error.to_string()));
                return Self::default();
            }
        };
        for name in fields.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
            let name = fields::shorten(name);
            faults.push(ConfigError::UnknownField { nearest: fields::nearest(&name), name });
        }
        let listen = "an address with a port, such as \"192.0.2.1:8888\"";
        Self {
            port: fields::kept(fields::port(&fields), faults).unwrap_or_default(),
            ban_private: fields::kept(fields::switch(&fields, BAN_PRIVATE), faults).unwrap_or_default(),
            allowed: fields::allowed(&fields, faults),
            good: fields::good(&fields, faults),
            own_address_only: fields::kept(fields::switch(&fields, OWN_ADDRESS_ONLY), faults)
                .unwrap_or_default(),
            listen: fields::kept(fields::address(&fields, LISTEN, listen), faults).flatten(),
            allow: fields::allow(&fields, faults),
            allow_dir: fields::kept(fields::path(&fields, ALLOW_DIR), faults).flatten(),
            state: fields::kept(fields::path(&fields, STATE), faults).flatten(),
            state_every: fields::kept(fields::state_every(&fields), faults).flatten(),
            store: fields::kept(fields::store(&fields), faults).flatten(),
            store_password_file: fields::kept(fields::path(&fields, STORE_PASSWORD_FILE), faults).flatten(),
            store_ca: fields::kept(fields::path(&fields, STORE_CA), faults).flatten(),
            web: fields::kept(fields::web(&fields), faults).flatten(),
            log_level: fields::kept(fields::log_level(&fields), faults).flatten(),
            log_format: fields::kept(fields::log_format(&fields), faults).flatten(),
            prefer_near: fields::kept(fields::choice(&fields, PREFER_NEAR), faults).flatten(),
            networks: fields::networks(&fields, faults),
        }
    }
}

#[cfg(test)]
mod tests;
