//! The answer to a request for a part of a `.cascade` file, as a peer that has only a link reads it.

use crate::raw::{join, number};
use crate::{Seed, assert_one_line};
use cascade_format::extension::metafile::{Heard, PartError, PartReader};

/// Longest field, and longest part, in bytes.
const MAX_FIELD: u64 = 8192;
const MAX_PART: u64 = 262_144;

/// The type of the item that says how long the `.cascade` file is.
const KIND: u8 = 16;

/// What an answer says: the whole file's length, the part's bytes that have come, whether the part is complete.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    total: Option<u64>,
    part: Vec<u8>,
    complete: bool,
    refused: Option<u8>,
}

/// The first four bytes are the offset that was asked for, the fifth is how many bytes are read at once; then the
/// answer.
///
/// # Panics
/// The answer is read otherwise than the chapter says, or otherwise in pieces than at once.
pub fn run(data: &[u8]) {
    let Some((front, answer)) = data.split_first_chunk::<5>() else { return };
    let offset = number(front, 0, 4).unwrap_or(0);
    let step = usize::from(front[4]).max(1);
    let at_once = read(offset, answer, answer.len().max(1));
    if let Err(error) = &at_once {
        assert_one_line(&error.to_string());
    }
    assert_eq!(at_once, read(offset, answer, step), "otherwise in pieces of {step}");
    assert_eq!(expected(offset, answer), at_once.ok(), "another answer than the chapter's");
}

fn read(offset: u64, answer: &[u8], step: usize) -> Result<Said, PartError> {
    let mut reader = PartReader::new(u32::try_from(offset).unwrap_or(u32::MAX));
    let mut said = Said { total: None, part: Vec::new(), complete: false, refused: None };
    // An answer that ends with a chunk's end is complete without another one.
    for chunk in answer.chunks(step).chain([&[][..]]) {
        let mut bytes = chunk;
        loop {
            match reader.read(&mut bytes)? {
                Heard::More => break,
                Heard::Total(total) => assert!(said.total.replace(total).is_none(), "two lengths"),
                Heard::Bytes(part) => said.part.extend_from_slice(part),
                Heard::End => {
                    said.complete = true;
                    return Ok(said);
                }
                Heard::Refused(status, _) => {
                    said.refused = Some(status.into());
                    return Ok(said);
                }
            }
        }
    }
    Ok(said)
}

/// The rules, written down a second time; `None`: the answer is wrong.
fn expected(offset: u64, answer: &[u8]) -> Option<Said> {
    let nothing = Said { total: None, part: Vec::new(), complete: false, refused: None };
    let (Some(status), Some(body)) = (answer.first(), number(answer, 1, 8)) else { return Some(nothing) };
    if *status != 0x80 {
        let plain = status & 0x7f;
        return (plain != 0).then_some(Said { refused: Some(plain), ..nothing });
    }
    if !(2..=2 + MAX_FIELD + MAX_PART).contains(&body) {
        return None;
    }
    let Some(field) = number(answer, 9, 2) else { return Some(nothing) };
    if field > MAX_FIELD || 2 + field > body {
        return None;
    }
    let start = 11 + usize::try_from(field).ok()?;
    let Some(items) = answer.get(11..start) else { return Some(nothing) };
    let total = total_of(items)?;
    let part = body - 2 - field;
    let is_metafile = total >= 64 && (total - 64) % 32 == 0 && total < 1 << 32;
    if !is_metafile || part == 0 || part > MAX_PART || offset + part > total {
        return None;
    }
    let part = usize::try_from(part).ok()?;
    let there = answer.get(start..).unwrap_or_default();
    let complete = there.len() >= part;
    let bytes = there.get(..part.min(there.len())).unwrap_or_default();
    Some(Said { total: Some(total), part: bytes.to_vec(), complete, refused: None })
}

fn total_of(items: &[u8]) -> Option<u64> {
    let (mut at, mut count, mut totals) = (0, 0, Vec::new());
    while at < items.len() {
        let length = usize::try_from(number(items, at + 1, 2)?).ok()?;
        let value = items.get(at + 3..at + 3 + length)?;
        count += 1;
        if items.get(at) == Some(&KIND) {
            totals.push(if length == 8 { number(value, 0, 8)? } else { return None });
        }
        at += 3 + length;
    }
    if count > 16 { None } else { <[u64; 1]>::try_from(totals).ok().map(|[total]| total) }
}

/// Answers, right and wrong.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let item = |total: u64| join(&[&[KIND, 0, 8], &total.to_be_bytes()]);
    let answer = |offset: u32, status: u8, body: u64, field: &[u8], part: &[u8]| {
        let length = u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes();
        join(&[&offset.to_be_bytes(), &[7, status], &body.to_be_bytes(), &length, field, part])
    };
    let whole = |offset: u32, field: &[u8], part: &[u8]| {
        answer(offset, 0x80, (2 + field.len() + part.len()) as u64, field, part)
    };
    let unknown = join(&[&[200, 0, 2, 1, 2], &item(128)]);
    vec![
        ("whole-file", whole(0, &item(128), &[5; 128])),
        ("last-part", whole(64, &item(128), &[5; 64])),
        ("unknown-item", whole(0, &unknown, &[5; 9])),
        ("cut-short", answer(0, 0x80, 13 + 128, &item(128), &[5; 50])),
        ("behind-the-end", whole(65, &item(128), &[5; 64])),
        ("no-bytes", whole(0, &item(128), &[])),
        ("no-length", whole(0, &[], &[5; 9])),
        ("two-lengths", whole(0, &join(&[&item(128), &item(128)]), &[5; 9])),
        ("half-a-hash", whole(0, &item(100), &[5; 9])),
        ("longer-than-any", whole(0, &item(1 << 32), &[5; 9])),
        ("too-many-items", whole(0, &[200, 0, 0].repeat(17), &[5; 9])),
        ("item-cut-short", whole(0, &[KIND, 0, 9, 1], &[5; 9])),
        ("field-behind-the-body", answer(0, 0x80, 5, &item(128), &[])),
        ("body-without-end", answer(0, 0x80, u64::MAX, &item(128), &[])),
        ("a-block", answer(0, 0, 4, &[], b"data")),
        ("version-1", join(&[&[0, 0, 0, 0, 1, 3], &9_u64.to_be_bytes(), b"no block\n"])),
        ("not-now", answer(0, 0x82, 2, &[], b"")),
    ]
}
