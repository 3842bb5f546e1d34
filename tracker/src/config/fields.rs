//! The fields of a configuration, one by one.

use super::{
    ALLOW, ALLOWED, ConfigError, ConfigFaults, FIELDS, GOOD, LOG_FORMAT, LOG_LEVEL, NETWORKS, PORT,
    STATE_EVERY, STATE_EVERY_SECS, STORE, WEB,
};
use crate::log::{self, Format};
use crate::registry::{MAX_NETWORKS, Prefix, PrefixError};
use cascade_format::CascadeHash;
use clap::ValueEnum;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub(super) fn port(fields: &Map<String, Value>) -> Result<u16, ConfigError> {
    let value = fields.get(PORT).ok_or(ConfigError::Missing(PORT))?;
    let port = value.as_u64().and_then(|port| u16::try_from(port).ok());
    port.ok_or_else(|| wrong(PORT, "a whole number from 0 to 65535", value))
}

pub(super) fn switch(fields: &Map<String, Value>, name: &'static str) -> Result<bool, ConfigError> {
    Ok(choice(fields, name)?.unwrap_or(false))
}

pub(super) fn choice(fields: &Map<String, Value>, name: &'static str) -> Result<Option<bool>, ConfigError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    value.as_bool().map(Some).ok_or_else(|| wrong(name, "true or false", value))
}

pub(super) fn allowed(fields: &Map<String, Value>, faults: &mut ConfigFaults) -> Vec<CascadeHash> {
    let hash = |index, value: &Value| {
        let text = text_of(ALLOWED, index, "a hash of 64 hex digits", value)?;
        text.parse().map_err(|problem| ConfigError::Hash { index, problem })
    };
    match fields.get(ALLOWED) {
        Some(value) => list(ALLOWED, "a list of hashes", value, faults, hash),
        None => {
            faults.push(ConfigError::Missing(ALLOWED));
            Vec::new()
        }
    }
}

pub(super) fn good(fields: &Map<String, Value>, faults: &mut ConfigFaults) -> Vec<Ipv4Addr> {
    const EXPECTED: &str = "an IPv4 address";
    let Some(value) = fields.get(GOOD) else { return Vec::new() };
    list(GOOD, "a list of IPv4 addresses", value, faults, |index, value| {
        let text = text_of(GOOD, index, EXPECTED, value)?;
        text.parse().map_err(|_| element(GOOD, index, EXPECTED, value))
    })
}

pub(super) fn allow(fields: &Map<String, Value>, faults: &mut ConfigFaults) -> Vec<String> {
    const EXPECTED: &str = "a hash or the name of a .cascade file";
    let Some(value) = fields.get(ALLOW) else { return Vec::new() };
    list(ALLOW, "a list of hashes and .cascade files", value, faults, |index, value| {
        text_of(ALLOW, index, EXPECTED, value).map(str::to_owned)
    })
}

pub(super) fn path(fields: &Map<String, Value>, name: &'static str) -> Result<Option<PathBuf>, ConfigError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let text = value.as_str().filter(|text| !text.is_empty() && !text.contains('\0'));
    text.map(|text| Some(text.into())).ok_or_else(|| wrong(name, "a path", value))
}

pub(super) fn address(
    fields: &Map<String, Value>,
    name: &'static str,
    expected: &'static str,
) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let addr = value.as_str().and_then(|text| text.parse().ok());
    addr.map(Some).ok_or_else(|| wrong(name, expected, value))
}

pub(super) fn web(fields: &Map<String, Value>) -> Result<Option<Option<SocketAddr>>, ConfigError> {
    match fields.get(WEB) {
        Some(Value::Bool(shown)) => Ok(shown.then_some(None)),
        _ => Ok(address(fields, WEB, "true, false, or an address with a port")?.map(Some)),
    }
}

pub(super) fn store(fields: &Map<String, Value>) -> Result<Option<String>, ConfigError> {
    let Some(value) = fields.get(STORE) else { return Ok(None) };
    let text = value.as_str().map(str::to_owned);
    text.map(Some).ok_or_else(|| wrong(STORE, "an address, such as \"redis://192.0.2.1:6379\"", value))
}

pub(super) fn state_every(fields: &Map<String, Value>) -> Result<Option<u64>, ConfigError> {
    let Some(value) = fields.get(STATE_EVERY) else { return Ok(None) };
    let seconds = value.as_u64().filter(|seconds| STATE_EVERY_SECS.contains(seconds));
    seconds.map(Some).ok_or_else(|| wrong(STATE_EVERY, "a number of seconds from 1 to 3600", value))
}

pub(super) fn log_level(fields: &Map<String, Value>) -> Result<Option<String>, ConfigError> {
    let Some(value) = fields.get(LOG_LEVEL) else { return Ok(None) };
    let text = value.as_str().filter(|text| log::filter(text).is_ok());
    let expected =
        "off, error, warn, info, debug or trace, or a list such as \"info,cascade_tracker::state=debug\"";
    text.map(|text| Some(text.to_owned())).ok_or_else(|| wrong(LOG_LEVEL, expected, value))
}

pub(super) fn log_format(fields: &Map<String, Value>) -> Result<Option<Format>, ConfigError> {
    let Some(value) = fields.get(LOG_FORMAT) else { return Ok(None) };
    let format = value.as_str().and_then(|text| Format::from_str(text, false).ok());
    format.map(Some).ok_or_else(|| wrong(LOG_FORMAT, "\"text\", \"journal\" or \"json\"", value))
}

pub(super) fn networks(fields: &Map<String, Value>, faults: &mut ConfigFaults) -> Vec<Vec<Prefix>> {
    const SITE: &str = "a site: a list of networks, such as [\"10.1.0.0/16\"]";
    let Some(value) = fields.get(NETWORKS) else { return Vec::new() };
    let what = "a list of sites, each a list of networks";
    let sites = list(NETWORKS, what, value, faults, |site, value| {
        value.as_array().ok_or_else(|| element(NETWORKS, site, SITE, value)).map(|networks| (site, networks))
    });
    let mut seen = HashSet::new();
    let mut parse = |site, index, value: &Value| {
        let text = value.as_str().ok_or_else(|| wrong_network(site, index, PrefixError::Form))?;
        let network: Prefix = text.parse().map_err(|problem| wrong_network(site, index, problem))?;
        let is_new = seen.insert(network);
        if is_new { Ok(network) } else { Err(ConfigError::NetworkTwice { site, index, network }) }
    };
    let sites = sites.into_iter().map(|(site, networks)| {
        let networks = networks.iter().enumerate();
        networks.filter_map(|(index, value)| kept(parse(site, index, value), faults)).collect()
    });
    let sites = sites.collect();
    if seen.len() > MAX_NETWORKS {
        faults.push(ConfigError::TooManyNetworks);
    }
    sites
}

const fn wrong_network(site: usize, index: usize, problem: PrefixError) -> ConfigError {
    ConfigError::Network { site, index, problem }
}

/// The elements of a list, those that are right; what is wrong with each of the others is a fault.
fn list<'v, T>(
    field: &'static str,
    expected: &'static str,
    value: &'v Value,
    faults: &mut ConfigFaults,
    mut parse: impl FnMut(usize, &'v Value) -> Result<T, ConfigError>,
) -> Vec<T> {
    let Some(elements) = value.as_array() else {
        faults.push(wrong(field, expected, value));
        return Vec::new();
    };
    elements.iter().enumerate().filter_map(|(index, value)| kept(parse(index, value), faults)).collect()
}

/// What is right; a fault is put to the others.
pub(super) fn kept<T>(result: Result<T, ConfigError>, faults: &mut ConfigFaults) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

/// The field whose name is most like this one, if it is like any.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', ' ', '-'], "");
    let name = plain(name);
    let distance = |field: &str| strsim::damerau_levenshtein(&plain(field), &name);
    let like = |field: &&str| distance(field) <= plain(field).len().max(name.len()) / 2;
    FIELDS.into_iter().filter(like).min_by_key(|field| distance(field))
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
pub(super) fn shorten(text: &str) -> String {
    const MAX: usize = 40;
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let start: String = text.chars().take(MAX).map(printable).collect();
    if text.chars().nth(MAX).is_some() { start + "..." } else { start }
}
