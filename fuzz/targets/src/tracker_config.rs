//! The tracker's configuration: written by hand, so wrong now and then.

use crate::{Seed, assert_one_line};
use cascade_tracker::config::Config;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The fields once more, read by derived code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Oracle {
    port: u16,
    #[serde(rename = "ban-private", default)]
    ban_private: bool,
    allowedhashes: Vec<String>,
    #[serde(rename = "good-ips", default)]
    good: Vec<Ipv4Addr>,
    #[serde(rename = "own-address-only", default)]
    own_address_only: bool,
    #[serde(default, deserialize_with = "some")]
    listen: Option<SocketAddr>,
    #[serde(default)]
    allow: Vec<String>,
    #[serde(rename = "allow-dir", default, deserialize_with = "some")]
    allow_dir: Option<String>,
    #[serde(default, deserialize_with = "some")]
    state: Option<String>,
    #[serde(rename = "state-every", default, deserialize_with = "some")]
    state_every: Option<u64>,
    #[serde(default, deserialize_with = "some")]
    web: Option<Web>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Web {
    Switch(bool),
    At(SocketAddr),
}

/// A field that may be absent, and may not be `null`.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Parses `data` as a configuration.
///
/// # Panics
/// It is accepted or refused against the rule, or a value is read as another.
pub fn run(data: &[u8]) {
    let config = Config::parse(data);
    if let Err(error) = &config {
        assert_one_line(&error.to_string());
    }
    match oracle(data) {
        Ok(oracle) => {
            let config =
                config.unwrap_or_else(|error| unreachable!("refused a legal configuration: {error}"));
            let hashes: Vec<String> = config.allowed.iter().map(ToString::to_string).collect();
            let expected: Vec<String> = oracle.allowedhashes.iter().map(|text| text.to_lowercase()).collect();
            assert_eq!(hashes, expected);
            assert_eq!((config.port, config.ban_private), (oracle.port, oracle.ban_private));
            assert_eq!(config.good, oracle.good);
            assert_eq!(config.own_address_only, oracle.own_address_only);
            assert_eq!((config.listen, config.allow), (oracle.listen, oracle.allow));
            assert_eq!(config.allow_dir, oracle.allow_dir.map(PathBuf::from));
            assert_eq!(
                (config.state, config.state_every),
                (oracle.state.map(PathBuf::from), oracle.state_every)
            );
            let web = oracle.web.and_then(|web| match web {
                Web::Switch(shown) => shown.then_some(None),
                Web::At(addr) => Some(Some(addr)),
            });
            assert_eq!(config.web, web);
        }
        Err(why) => assert!(config.is_err(), "accepted a configuration although: {why}"),
    }
}

/// What `data` says, or why it is no configuration. Where a field is given twice, the last one counts.
fn oracle(data: &[u8]) -> Result<Oracle, String> {
    let value: Value = serde_json::from_slice(data).map_err(|error| error.to_string())?;
    if !value.is_object() {
        return Err("it is no object".into());
    }
    let oracle: Oracle = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let is_hash = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_path = |text: &String| !text.is_empty() && !text.contains('\0');
    if !oracle.allow_dir.iter().chain(&oracle.state).all(is_path) {
        return Err("a path is none".into());
    }
    if oracle.state_every.is_some_and(|seconds| !(1..=3600).contains(&seconds)) {
        return Err("the interval is out of range".into());
    }
    if oracle.allowedhashes.iter().all(is_hash) { Ok(oracle) } else { Err("a hash is wrong".into()) }
}

/// Configurations as operators write them, and as they mistype them.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    const HASH: &str = "7F86d42dc67f91df9f2e86df49f95e3da8cd074fabf99abaf696bb07f0a15105";
    let hashes = format!(r#""allowedhashes": ["{HASH}", "{HASH}"]"#);
    let with = |rest: &str| format!("{{\"port\": 8888, {hashes}{rest}}}\n").into_bytes();
    vec![
        ("all-fields", with(r#", "ban-private": true, "good-ips": ["127.0.0.1", "192.0.2.1"]"#)),
        ("own-address-only", with(r#", "own-address-only": true"#)),
        (
            "every-option",
            with(
                r#", "listen": "[::1]:80", "allow": ["a.cascade"], "allow-dir": "files", "state": "kept",
                "state-every": 60, "web": true"#,
            ),
        ),
        ("options-of-another-kind", with(r#", "listen": 80, "allow": "x", "web": null, "state-every": 0"#)),
        ("page-at-an-address", with(r#", "web": "127.0.0.1:80", "state": "", "allow-dir": "\u0000""#)),
        ("no-optional-field", with("")),
        ("nothing-allowed", br#"{"port": 0, "allowedhashes": []}"#.to_vec()),
        ("field-twice", with(r#", "port": 8889"#)),
        ("port-missing", format!("{{{hashes}}}").into_bytes()),
        ("hashes-missing", br#"{"port": 8888}"#.to_vec()),
        ("port-too-large", br#"{"port": 65536, "allowedhashes": []}"#.to_vec()),
        ("port-is-text", br#"{"port": "8888", "allowedhashes": []}"#.to_vec()),
        ("hash-too-short", br#"{"port": 8888, "allowedhashes": ["7f86"]}"#.to_vec()),
        ("hash-is-a-number", br#"{"port": 8888, "allowedhashes": [7]}"#.to_vec()),
        ("ban-private-is-null", with(r#", "ban-private": null"#)),
        ("good-ips-of-six", with(r#", "good-ips": ["::1"]"#)),
        ("unknown-field", with(r#", "ban_private": true"#)),
        ("comma-at-the-end", with(",")),
        ("control-characters", b"{\"port\": \"\x7f\xc2\x85\\n\", \"allowedhashes\": []}".to_vec()),
        ("not-an-object", format!(r#"[8888, false, ["{HASH}"], []]"#).into_bytes()),
        ("deep", b"[".repeat(2000)),
        ("no-bytes", Vec::new()),
    ]
}
