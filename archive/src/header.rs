//! The bytes of tar headers: ustar, with a pax extended header in front where ustar has no room.
//!
//! There is one way to write each entry. A check of an archive makes the bytes and compares.

use crate::line::What;

/// Tar works in units of this many bytes.
pub(crate) const UNIT: usize = 512;

/// The largest number in a field of twelve bytes: eleven octal digits.
const MAX_OCTAL: u64 = 0o777_7777_7777;

/// The name of extended headers, as Python's `tarfile` writes it. No tool unpacks it.
const PAX_NAME: &str = "././@PaxHeader";

const NAME_LEN: usize = 100;
const PREFIX_LEN: usize = 155;
const LINK_NAME_LEN: usize = 100;

/// The header of entry `number` at `path`: one unit, or three and more.
pub(crate) fn header(number: u32, path: &str, what: What<'_>, mtime: u64) -> Vec<u8> {
    let full = full_path(path, what);
    let records = records(&full, what);
    let mut out = Vec::with_capacity(UNIT + extension_len(&records));
    if !records.is_empty() {
        out.extend_from_slice(&extended(b'x', records.len()));
        out.extend_from_slice(records.as_bytes());
        out.resize(out.len().next_multiple_of(UNIT), 0);
    }
    // A program that cannot read extended headers gets names that are different, and go nowhere. They must not be
    // empty: libarchive makes no link of an entry whose target is in the extended header alone.
    let fallback = format!("entry-{number}");
    let (prefix, name) = split(&full).unwrap_or(("", &fallback));
    let (mode, kind, link) = match what {
        What::File { executable: false, .. } => (0o644, b'0', ""),
        What::File { executable: true, .. } => (0o755, b'0', ""),
        What::Folder => (0o755, b'5', ""),
        What::Link { target } => (0o777, b'2', if fits_link_name(target) { target } else { &fallback }),
    };
    let size = if what.size() > MAX_OCTAL { 0 } else { what.size() };
    out.extend_from_slice(&unit(&Fields { prefix, name, mode, size, mtime, kind, link }));
    out
}

/// Length of [`header`], in bytes, without making it.
pub(crate) fn header_len(path: &str, what: What<'_>) -> u64 {
    // Of the usual entry: nothing extended.
    let short = path.len() < NAME_LEN && path.is_ascii() && what.size() <= MAX_OCTAL;
    let plain = short && !matches!(what, What::Link { .. });
    if plain { UNIT as u64 } else { (UNIT + extension_len(&records(&full_path(path, what), what))) as u64 }
}

/// Bytes of a file's content in an archive, filled up to a whole unit. What no archive can hold stays what no archive
/// can hold.
pub(crate) const fn padded(size: u64) -> u64 {
    match size.checked_next_multiple_of(UNIT as u64) {
        Some(padded) => padded,
        None => u64::MAX,
    }
}

/// The unit of an extended header of `kind` with `size` bytes behind it.
pub(crate) fn extended(kind: u8, size: usize) -> [u8; UNIT] {
    let size = size as u64;
    unit(&Fields { prefix: "", name: PAX_NAME, mode: 0o644, size, mtime: 0, kind, link: "" })
}

/// The header of the shared folder itself, which stands between two rows of global headers: libarchive counts
/// anew behind it. Unpacking it changes nothing but the folder's own time.
pub(crate) fn separator() -> [u8; UNIT] {
    unit(&Fields { prefix: "", name: "./", mode: 0o755, size: 0, mtime: 0, kind: b'5', link: "" })
}

/// `LENGTH KEY=VALUE` and a line's end, where LENGTH counts itself: everything before the value.
pub(crate) fn record_start(key: &str, value_len: usize) -> String {
    let rest = " ".len() + key.len() + "=".len() + value_len + "\n".len();
    let mut len = rest + digits(rest);
    // One digit more may make it one digit longer, once.
    if rest + digits(len) > len {
        len = rest + digits(len);
    }
    format!("{len} {key}=")
}

const fn digits(number: usize) -> usize {
    match number.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

/// A folder's path ends with a slash in tar.
fn full_path(path: &str, what: What<'_>) -> String {
    let mut full = String::with_capacity(path.len() + 1);
    full.push_str(path);
    if what.is_folder() {
        full.push('/');
    }
    full
}

/// The records of the extended header in front of an entry; empty if it needs none.
fn records(full: &str, what: What<'_>) -> String {
    let mut out = String::new();
    let mut add = |key: &str, value: &str| {
        out.push_str(&record_start(key, value.len()));
        out.push_str(value);
        out.push('\n');
    };
    if let What::Link { target } = what
        && !fits_link_name(target)
    {
        add("linkpath", target);
    }
    if split(full).is_none() {
        add("path", full);
    }
    if what.size() > MAX_OCTAL {
        add("size", &what.size().to_string());
    }
    out
}

fn extension_len(records: &str) -> usize {
    if records.is_empty() { 0 } else { UNIT + records.len().next_multiple_of(UNIT) }
}

fn fits_link_name(target: &str) -> bool {
    target.is_ascii() && target.len() <= LINK_NAME_LEN
}

/// Prefix and name of the ustar header: a path that does not fit in the name is divided at the first slash
/// behind which it does. `None` if that leaves too much, or the path is not ASCII.
fn split(full: &str) -> Option<(&str, &str)> {
    if !full.is_ascii() {
        return None;
    }
    let Some(too_long) = full.len().checked_sub(NAME_LEN + 1) else { return Some(("", full)) };
    let slash = too_long + full.get(too_long..)?.find('/')?;
    let (prefix, name) = (full.get(..slash)?, full.get(slash + 1..)?);
    (prefix.len() <= PREFIX_LEN && !name.is_empty()).then_some((prefix, name))
}

struct Fields<'a> {
    prefix: &'a str,
    name: &'a str,
    mode: u64,
    size: u64,
    mtime: u64,
    kind: u8,
    link: &'a str,
}

fn unit(fields: &Fields<'_>) -> [u8; UNIT] {
    let mut out = [0; UNIT];
    put(&mut out, 0, fields.name.as_bytes());
    put_octal::<8>(&mut out, 100, fields.mode);
    put_octal::<8>(&mut out, 108, 0); // owner
    put_octal::<8>(&mut out, 116, 0); // group
    put_octal::<12>(&mut out, 124, fields.size);
    put_octal::<12>(&mut out, 136, fields.mtime);
    put(&mut out, 148, b"        "); // the sum is made over spaces
    put(&mut out, 156, &[fields.kind]);
    put(&mut out, 157, fields.link.as_bytes());
    put(&mut out, 257, b"ustar\x0000");
    put_octal::<8>(&mut out, 329, 0); // device
    put_octal::<8>(&mut out, 337, 0);
    put(&mut out, 345, fields.prefix.as_bytes());
    let sum = out.iter().map(|byte| u64::from(*byte)).sum();
    put_octal::<7>(&mut out, 148, sum);
    out
}

/// Writes a field; the constants of this file and `split` keep it inside.
fn put(out: &mut [u8; UNIT], at: usize, field: &[u8]) {
    if let Some(place) = out.get_mut(at..at + field.len()) {
        place.copy_from_slice(field);
    }
}

/// Octal digits that fill a field of `LEN` bytes, but for a zero byte behind them.
fn put_octal<const LEN: usize>(out: &mut [u8; UNIT], at: usize, mut value: u64) {
    let mut field = [0; LEN];
    for digit in field.iter_mut().rev().skip(1) {
        *digit = b'0' | (value & 7) as u8;
        value >>= 3;
    }
    put(out, at, &field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_counts_its_own_length() {
        for value_len in 0..20_000 {
            let start = record_start("path", value_len);
            let (len, _) = start.split_once(' ').unwrap();
            assert_eq!(len.parse::<usize>().unwrap(), start.len() + value_len + 1, "{value_len}");
        }
    }

    #[test]
    fn a_path_is_divided_only_where_it_must_be() {
        let long = |a: usize, b: usize| format!("{}/{}", "a".repeat(a), "b".repeat(b));
        assert_eq!(split(&"n".repeat(100)), Some(("", "n".repeat(100).as_str())));
        assert_eq!(split(&"n".repeat(101)), None);
        assert_eq!(split(&long(155, 100)), Some(("a".repeat(155).as_str(), "b".repeat(100).as_str())));
        assert_eq!(split(&long(156, 100)), None);
        assert_eq!(split(&long(50, 101)), None);
        assert_eq!(split(&format!("{}/", "n".repeat(100))), None, "nothing is behind this slash");
        assert_eq!(split("x/y/".repeat(26).trim_end_matches('/')).unwrap().0, "x/y");
        assert_eq!(split("ä"), None);
    }

    #[test]
    fn each_field_is_where_tar_has_it() {
        let bytes = header(3, "docs/run", What::File { size: 10, executable: true }, 1_700_000_000);
        assert_eq!(bytes.len(), UNIT);
        assert!(bytes.starts_with(b"docs/run\0"));
        assert_eq!(
            &bytes[100..157],
            b"0000755\x000000000\x000000000\x0000000000012\x0014524770400\x00010722\0 0"
        );
        assert_eq!(&bytes[257..265], b"ustar\x0000");
    }

    fn any_what() -> impl Strategy<Value = (u64, bool, u8, String)> {
        let size = prop_oneof![0..9_999u64, MAX_OCTAL - 1..=MAX_OCTAL + 1];
        let target = prop_oneof!["[a-z/]{1,120}", "[a-zä]{1,9}"];
        (size, any::<bool>(), 0..3u8, target)
    }

    proptest! {
        #[test]
        fn the_length_is_that_of_the_bytes(
            path in prop_oneof!["([a-z]{1,60}/){0,6}[a-z]{1,120}", "[a-zä]{1,9}", "[a-z]{98,102}"],
            (size, executable, kind, target) in any_what(),
        ) {
            let what = match kind {
                0 => What::File { size, executable },
                1 => What::Folder,
                _ => What::Link { target: &target },
            };
            prop_assert_eq!(header_len(&path, what), header(1, &path, what, 0).len() as u64);
        }
    }
}
