//! A link: pasted from anywhere, typed by anybody.

use crate::{Seed, assert_one_line};
use cascade_format::{Link, link};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Parses `data`, if it is UTF-8, as a link.
///
/// # Panics
/// It is accepted against the rule, refused against it, read as another link, or its canonical text is
/// not the rule's.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let expected = read(text);
    match text.parse::<Link>() {
        Ok(link) => {
            assert_eq!(Some(link.to_string()), expected, "read as another link");
            assert_eq!(link.to_string().parse(), Ok(link), "the canonical text is another link");
            assert!(link::is_meant(text));
        }
        Err(error) => {
            assert_eq!(expected, None, "refused a legal link: {error}");
            assert_one_line(&error.to_string());
        }
    }
}

/// The canonical text of a legal link, by the rules of the protocol's section "Links".
fn read(text: &str) -> Option<String> {
    let mut text = text.trim();
    if text.starts_with('<') && text.ends_with('>') {
        text = text.get(1..text.len() - 1)?.trim();
    }
    let legal = text.len() <= 8192 && !text.chars().any(|c| c.is_whitespace() || hides(c));
    let (hash, pairs) = text.get(8..).map(|rest| rest.split_once('?').unwrap_or((rest, "")))?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !legal || !text.get(..8)?.eq_ignore_ascii_case("cascade:") || !is_hash {
        return None;
    }
    let (mut names, mut lengths, mut trackers, mut peers) = (vec![], vec![], vec![], vec![]);
    for pair in pairs.split('&') {
        let at = pair.find('=').unwrap_or(pair.len());
        let value = || decoded(pair.get(at + 1..).unwrap_or("").as_bytes());
        match pair.get(..at)? {
            "name" => names.push(name(&value()?)?),
            "length" => lengths.push(number(&value()?, u64::MAX >> 1)?.to_string()),
            "tracker" => trackers.push(address(&value()?)?),
            "peer" => peers.push(address(&value()?)?),
            _ => {}
        }
    }
    let mut out = format!("cascade:{}", hash.to_ascii_lowercase());
    let lists = [("name", names, 1), ("length", lengths, 1), ("tracker", trackers, 8), ("peer", peers, 16)];
    for (key, values, most) in lists {
        // An address that stands twice counts once; a name must not stand twice at all.
        if most == 1 && values.len() > 1 {
            return None;
        }
        let mut written: Vec<&String> = Vec::new();
        for value in &values {
            if !written.contains(&value) {
                written.push(value);
                let mark = if out.contains('?') { '&' } else { '?' };
                let _ = write!(out, "{mark}{key}={}", encoded(value));
            }
        }
        if written.len() > most {
            return None;
        }
    }
    Some(out)
}

/// Characters that must not stand in a link, nor in a file name.
fn hides(character: char) -> bool {
    let invisible = [
        (0x00, 0x1f),
        (0x7f, 0x9f),
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x180e, 0x180e),
        (0x200b, 0x200f),
        (0x2028, 0x202e),
        (0x2060, 0x2064),
        (0x2066, 0x206f),
        (0xfeff, 0xfeff),
        (0xe0000, 0xe007f),
    ];
    invisible.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(character)))
}

fn decoded(bytes: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let digits = bytes.get(at + 1..at + 3)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            out.push(u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn name(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("_".into());
    }
    let replaced = text.replace(|c| c == '/' || c == '\\' || hides(c), "_");
    let first_is_wrong = replaced.starts_with('.') || replaced.starts_with('-');
    let safe = if first_is_wrong { format!("_{}", replaced.get(1..)?) } else { replaced };
    (text.len() <= 240).then_some(safe)
}

/// A decimal number of at most `most`.
fn number(text: &str, most: u64) -> Option<u64> {
    let significant = text.trim_start_matches('0');
    let is_number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) && significant.len() <= 19;
    if !is_number {
        return None;
    }
    let value = significant.chars().fold(0u128, |value, c| value * 10 + u128::from(u32::from(c) - 48));
    u64::try_from(value).ok().filter(|value| *value <= most)
}

fn address(text: &str) -> Option<String> {
    let colon = text.rfind(':')?;
    let (host, port) = (text.get(..colon)?, number(text.get(colon + 1..)?, 65535)?);
    let host = if host.starts_with('[') && host.ends_with(']') {
        format!("[{}]", host.get(1..host.len() - 1)?.parse::<Ipv6Addr>().ok()?)
    } else if let Ok(ip) = host.parse::<Ipv4Addr>() {
        ip.to_string()
    } else {
        let labels: Vec<&str> = host.split('.').collect();
        let is_label = |label: &&str| {
            let edges = !label.starts_with('-') && !label.ends_with('-');
            let inside = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            edges && inside && !label.is_empty() && label.len() <= 63
        };
        let last = labels.last()?;
        let numeric =
            last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
        if numeric || host.len() > 253 || !labels.iter().all(is_label) {
            return None;
        }
        host.to_lowercase()
    };
    (port > 0).then(|| format!("{host}:{port}"))
}

/// Links as people paste them, and what can be wrong with one.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let hash = "7f86d42dc67f91df9f2e86df49f95e3da8cd074fabf99abaf696bb07f0a15105";
    let link = |pairs: &str| format!("cascade:{hash}?{pairs}").into_bytes();
    vec![
        ("bare", format!("cascade:{hash}").into_bytes()),
        (
            "full",
            link("name=film.mkv&length=15&tracker=192.0.2.1%3A8888&peer=%5B2001%3Adb8%3A%3A7%5D%3A8889"),
        ),
        ("capitals", format!("CASCADE:{}?name=A", hash.to_uppercase()).into_bytes()),
        ("in-brackets", format!(" <cascade:{hash}>\r\n").into_bytes()),
        ("any-order-and-unknown-keys", link("x=1&peer=a:1&&name=%c3%a4+b&later&tracker=Box.Local:8888")),
        ("name-leads-up", link("name=../../etc/passwd")),
        ("name-is-hidden", link("name=.bashrc")),
        ("name-is-empty", link("name=")),
        ("name-turns-around", link("name=%E2%80%AEgpj.exe%00")),
        ("name-twice", link("name=a&name=b")),
        ("name-too-long", link(&format!("name={}", "n".repeat(241)))),
        ("percent-cut", link("name=100%")),
        ("not-utf-8", link("name=%FF")),
        ("white-space-inside", link("name=my film")),
        ("length-too-large", link("length=9223372036854775808")),
        ("address-twice", link("peer=a:1&peer=A:01")),
        ("port-missing", link("tracker=192.0.2.1")),
        ("port-zero", link("tracker=192.0.2.1:0")),
        ("host-is-an-old-number", link("tracker=0x7f.1:1")),
        ("ipv6-without-brackets", link("peer=::1:8889")),
        ("ipv6-with-scope", link("peer=[fe80::1%25eth0]:8889")),
        ("seventeen-peers", link(&(0..17).map(|n| format!("peer=h{n}:1&")).collect::<String>())),
        ("hash-cut", b"cascade:7f86?name=film.mkv".to_vec()),
        ("no-link", b"film.mkv.cascade".to_vec()),
        ("no-bytes", Vec::new()),
    ]
}
