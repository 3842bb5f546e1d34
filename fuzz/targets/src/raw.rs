//! Fields read and written by slicing, on purpose not with the project's own code.

/// The big-endian number in the first `len` bytes of `message` from `at`; `None` if it is too short.
pub(crate) fn number(message: &[u8], at: usize, len: usize) -> Option<u64> {
    let field = message.get(at..at.checked_add(len)?)?;
    Some(field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The parts, one after the other.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}
