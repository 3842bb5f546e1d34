//! The tracker's configuration file (protocol §2): JSON, the format of the trackers in the field.

use crate::file;
use cascade_format::CascadeHash;
use cascade_format::hash::HexError;
use cascade_format::units::Bytes;
use serde_json::{Map, Value};
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

/// All fields. The first four are the field's; the others are options of the command line.
const FIELDS: [&str; 11] =
    [PORT, BAN_PRIVATE, ALLOWED, GOOD, OWN_ADDRESS_ONLY, LISTEN, ALLOW, ALLOW_DIR, STATE, STATE_EVERY, WEB];

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
    /// `web`: `true`, or the address of the page.
    pub web: Option<Option<SocketAddr>>,
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
            return Err(ConfigError::UnknownField(shorten(name)));
        }
        Ok(Self {
            port: port(&fields)?,
            ban_private: switch(&fields, BAN_PRIVATE)?,
            allowed: allowed(&fields)?,
            good: good(&fields)?,
            own_address_only: switch(&fields, OWN_ADDRESS_ONLY)?,
            listen: address(&fields, LISTEN, "an address with a port, such as \"192.0.2.1:8888\"")?,
            allow: allow(&fields)?,
            allow_dir: path(&fields, ALLOW_DIR)?,
            state: path(&fields, STATE)?,
            state_every: state_every(&fields)?,
            web: web(&fields)?,
        })
    }
}

fn port(fields: &Map<String, Value>) -> Result<u16, ConfigError> {
    let value = fields.get(PORT).ok_or(ConfigError::Missing(PORT))?;
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
    port.ok_or_else(|| wrong(PORT, "a whole number from 0 to 65535", value))
}

fn switch(fields: &Map<String, Value>, name: &'static str) -> Result<bool, ConfigError> {
    match fields.get(name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| wrong(name, "true or false", value)),
    }
}

fn allowed(fields: &Map<String, Value>) -> Result<Vec<CascadeHash>, ConfigError> {
    let value = fields.get(ALLOWED).ok_or(ConfigError::Missing(ALLOWED))?;
    elements(ALLOWED, "a list of hashes", value)?
        .map(|(index, value)| {
            let text = text_of(ALLOWED, index, "a hash of 64 hex digits", value)?;
            text.parse().map_err(|problem| ConfigError::Hash { index, problem })
        })
        .collect()
}

fn good(fields: &Map<String, Value>) -> Result<Vec<Ipv4Addr>, ConfigError> {
    const EXPECTED: &str = "an IPv4 address";
    let Some(value) = fields.get(GOOD) else { return Ok(Vec::new()) };
    elements(GOOD, "a list of IPv4 addresses", value)?
        .map(|(index, value)| {
            let text = text_of(GOOD, index, EXPECTED, value)?;
            text.parse().map_err(|_| element(GOOD, index, EXPECTED, value))
        })
        .collect()
}

fn allow(fields: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    const EXPECTED: &str = "a hash or the name of a .cascade file";
    let Some(value) = fields.get(ALLOW) else { return Ok(Vec::new()) };
    elements(ALLOW, "a list of hashes and .cascade files", value)?
        .map(|(index, value)| text_of(ALLOW, index, EXPECTED, value).map(str::to_owned))
        .collect()
}

fn path(fields: &Map<String, Value>, name: &'static str) -> Result<Option<PathBuf>, ConfigError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let text = value.as_str().filter(|text| !text.is_empty() && !text.contains('\0'));
    text.map(|text| Some(text.into())).ok_or_else(|| wrong(name, "a path", value))
}

fn address(
    fields: &Map<String, Value>,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let addr = value.as_str().and_then(|text| text.parse().ok());
    addr.map(Some).ok_or_else(|| wrong(name, expected, value))
}

fn web(fields: &Map<String, Value>) -> Result<Option<Option<SocketAddr>>, ConfigError> {
    match fields.get(WEB) {
        Some(Value::Bool(shown)) => Ok(shown.then_some(None)),
        _ => Ok(address(fields, WEB, "true, false, or an address with a port")?.map(Some)),
    }
}

fn state_every(fields: &Map<String, Value>) -> Result<Option<u64>, ConfigError> {
    let Some(value) = fields.get(STATE_EVERY) else { return Ok(None) };
    let seconds = value.as_u64().filter(|seconds| STATE_EVERY_SECS.contains(seconds));
    seconds.map(Some).ok_or_else(|| wrong(STATE_EVERY, "a number of seconds from 1 to 3600", value))
}

fn elements<'v>(
    field: &'static str,
    expected: &'static str,
    value: &'v Value,
) -> Result<impl Iterator<Item = (usize, &'v Value)>, ConfigError> {
    value.as_array().map(|list| list.iter().enumerate()).ok_or_else(|| wrong(field, expected, value))
}

fn text_of<'v>(
    field: &'static str,
    index: usize,
    expected: &'static str,
    value: &'v Value,
) -> Result<&'v str, ConfigError> {
    value.as_str().ok_or_else(|| element(field, index, expected, value))
}

fn wrong(field: &'static str, expected: &'static str, value: &Value) -> ConfigError {
    ConfigError::Field { field, expected, found: shorten(&value.to_string()) }
}

fn element(field: &'static str, index: usize, expected: &'static str, value: &Value) -> ConfigError {
    ConfigError::Element { field, index, expected, found: shorten(&value.to_string()) }
}

/// The start of a text that somebody else wrote, fit for an error of one line: short, and without the
/// control characters that JSON allows in a string and a terminal obeys.
fn shorten(text: &str) -> String {
    const MAX: usize = 40;
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let start: String = text.chars().take(MAX).map(printable).collect();
    if text.chars().nth(MAX).is_some() { start + "..." } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "713a203b7e89753a8893f7d452e8bcc19de65024595f50ddf7899f1da9d95fff";

    fn error_of(json: &str) -> String {
        Config::parse(json.as_bytes()).expect_err(json).to_string()
    }

    #[test]
    fn all_fields() {
        let json = format!(
            r#"{{"port": 8888, "ban-private": true, "allowedhashes": ["{HASH}"], "good-ips": ["127.0.0.1"],
                "own-address-only": true}}"#
        );
        let config = Config::parse(json.as_bytes()).unwrap();
        let expected = Config {
            port: 8888,
            ban_private: true,
            allowed: vec![HASH.parse().unwrap()],
            good: vec![Ipv4Addr::LOCALHOST],
            own_address_only: true,
            ..Config::default()
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn three_fields_may_be_absent() {
        let config = Config::parse(br#"{"port": 1, "allowedhashes": []}"#).unwrap();
        let (allowed, good) = (vec![], vec![]);
        assert_eq!(
            config,
            Config {
                port: 1,
                ban_private: false,
                allowed,
                good,
                own_address_only: false,
                ..Config::default()
            }
        );
        assert_eq!(error_of(r#"{"allowedhashes": []}"#), "field \"port\" is missing");
        assert_eq!(error_of(r#"{"port": 1}"#), "field \"allowedhashes\" is missing");
    }

    #[test]
    fn a_wrong_field_is_named() {
        let cases = [
            (
                r#"{"port": 65536, "allowedhashes": []}"#,
                "\"port\" must be a whole number from 0 to 65535, not 65536",
            ),
            (
                r#"{"port": "1", "allowedhashes": []}"#,
                "\"port\" must be a whole number from 0 to 65535, not \"1\"",
            ),
            (r#"{"port": -1, "allowedhashes": []}"#, "\"port\" must be"),
            (r#"{"port": 1, "allowedhashes": {}}"#, "\"allowedhashes\" must be a list of hashes, not {}"),
            (
                r#"{"port": 1, "allowedhashes": [], "ban-private": 0}"#,
                "\"ban-private\" must be true or false, not 0",
            ),
            (
                r#"{"port": 1, "allowedhashes": [], "good-ips": "x"}"#,
                "\"good-ips\" must be a list of IPv4 addresses",
            ),
            (
                r#"{"port": 1, "allowedhashes": [], "own-address-only": "yes"}"#,
                "\"own-address-only\" must be true or false, not \"yes\"",
            ),
            (r#"{"port": 1, "allowed-hashes": []}"#, "unknown field \"allowed-hashes\": the fields are"),
        ];
        for (json, expected) in cases {
            let error = error_of(json);
            assert!(error.contains(expected), "{json}: {error:?} has no {expected:?}");
        }
    }

    #[test]
    fn a_wrong_element_is_named_by_its_index() {
        let hashes = |bad: &str| format!(r#"{{"port": 1, "allowedhashes": ["{HASH}", {bad}]}}"#);
        assert_eq!(
            error_of(&hashes("\"12\"")),
            "allowedhashes[1]: a hash has 64 hex digits, this has 2 characters"
        );
        assert_eq!(error_of(&hashes("7")), "allowedhashes[1] must be a hash of 64 hex digits, not 7");
        let bad_digit = format!("\"x{}\"", &HASH[1..]);
        assert_eq!(error_of(&hashes(&bad_digit)), "allowedhashes[1]: 'x' is not a hex digit");
        let ips = r#"{"port": 1, "allowedhashes": [], "good-ips": ["1.2.3.4", "1.2.3", "::1"]}"#;
        assert_eq!(error_of(ips), "good-ips[1] must be an IPv4 address, not \"1.2.3\"");
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        assert!(error_of("{\"port\": 8888,").starts_with("not valid JSON: "));
        assert_eq!(error_of("[]"), "a configuration is a JSON object, {...}");
        // Deep nesting must not exhaust the stack.
        assert!(error_of(&"[".repeat(1 << 20)).starts_with("not valid JSON: "));
        let long = format!(r#"{{"port": "{}", "allowedhashes": []}}"#, "y".repeat(100_000));
        assert!(error_of(&long).len() < 200);
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, br#"{"port": 7, "allowedhashes": []}"#).unwrap();
        assert_eq!(Config::read(file.path()).unwrap().port, 7);
        file.as_file().set_len(MAX_CONFIG_LEN + 1).unwrap();
        assert!(matches!(Config::read(file.path()), Err(ConfigFileError::TooLong)));
        let missing = Config::read(Path::new("/no/such/config.json"));
        assert!(matches!(missing, Err(ConfigFileError::Read(_))));
    }

    proptest! {
        #[test]
        fn parse_is_total(bytes: Vec<u8>) {
            let _ = Config::parse(&bytes);
        }
    }
}
