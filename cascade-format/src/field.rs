//! Reading fixed-size fields out of fixed-size messages.

/// The `N` bytes of `message` from `offset`, or zeroes past its end. Callers pass constant offsets into
/// arrays of constant size, so the fallback is never taken; it stands where a panic would.
pub(crate) fn bytes<const N: usize>(message: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    if let Some(field) = message.get(offset..offset + N) {
        out.copy_from_slice(field);
    }
    out
}

/// A big-endian `u32` field.
pub(crate) fn u32_at(message: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(bytes(message, offset))
}

/// A big-endian `u64` field.
pub(crate) fn u64_at(message: &[u8], offset: usize) -> u64 {
    u64::from_be_bytes(bytes(message, offset))
}

/// Writes `field` at `offset` of `message`; the caller's constants keep it inside.
pub(crate) fn put(message: &mut [u8], offset: usize, field: &[u8]) {
    if let Some(place) = message.get_mut(offset..offset + field.len()) {
        place.copy_from_slice(field);
    }
}
