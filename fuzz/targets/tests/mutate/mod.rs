//! Makes new inputs from old ones, in the ways that break parsers: lengths off by one, numbers at the
//! ends of their range, parts missing, doubled, or from another message.

use fastrand::Rng;

/// Numbers that arithmetic goes wrong with.
const BORDERS: [u64; 10] = [0, 1, 2, 63, 64, 65, u32::MAX as u64, i64::MAX as u64, u64::MAX - 1, u64::MAX];

/// The longest input, in bytes.
const MAX_LEN: usize = 4096;

/// One of `corpus`, changed in one to four ways.
pub(crate) fn mutate(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.choice(corpus).cloned().unwrap_or_default();
    for _ in 0..rng.u8(1..=4) {
        match rng.u8(0..8) {
            0 => flip_bit(&mut input, rng),
            1 => replace_byte(&mut input, rng),
            2 => write_border(&mut input, rng),
            3 => input.truncate(rng.usize(0..=input.len())),
            4 => drop(input.drain(some_range(input.len(), rng))),
            5 => repeat_part(&mut input, rng),
            6 => input.insert(rng.usize(0..=input.len()), rng.u8(..)),
            _ => splice(&mut input, rng.choice(corpus), rng),
        }
    }
    input.truncate(MAX_LEN);
    input
}

fn some_range(len: usize, rng: &mut Rng) -> std::ops::Range<usize> {
    let start = rng.usize(0..=len);
    start..start + rng.usize(0..=(len - start).min(64))
}

fn flip_bit(input: &mut [u8], rng: &mut Rng) {
    if let Some(byte) = rng.choice(input.iter_mut()) {
        *byte ^= 1 << rng.u8(0..8);
    }
}

fn replace_byte(input: &mut [u8], rng: &mut Rng) {
    if let Some(byte) = rng.choice(input.iter_mut()) {
        *byte = rng.u8(..);
    }
}

/// A whole field, where the formats have theirs: at a multiple of four, four or eight bytes long.
fn write_border(input: &mut [u8], rng: &mut Rng) {
    let border = rng.choice(BORDERS).unwrap_or(0).to_be_bytes();
    let field = if rng.bool() { &border[..] } else { &border[4..] };
    let at = rng.usize(0..=input.len() / 4) * 4;
    if let Some(place) = input.get_mut(at..at + field.len()) {
        place.copy_from_slice(field);
    }
}

fn repeat_part(input: &mut Vec<u8>, rng: &mut Rng) {
    let part = input[some_range(input.len(), rng)].to_vec();
    let at = rng.usize(0..=input.len());
    input.splice(at..at, part);
}

/// The start of `input`, then the end of `other`.
fn splice(input: &mut Vec<u8>, other: Option<&Vec<u8>>, rng: &mut Rng) {
    let Some(other) = other else { return };
    input.truncate(rng.usize(0..=input.len()));
    input.extend_from_slice(&other[rng.usize(0..=other.len())..]);
}
