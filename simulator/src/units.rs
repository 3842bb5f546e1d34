//! Times, rates and bytes on a link.

/// Virtual time since the start, or a span of it, in nanoseconds.
pub type Nanos = u64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;

/// `seconds` as nanoseconds; negative ones are none.
#[must_use]
pub fn nanos(seconds: f64) -> Nanos {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let nanos = (seconds * 1e9) as Nanos;
    nanos
}

/// `nanos` as seconds.
#[must_use]
pub fn seconds(nanos: Nanos) -> f64 {
    nanos as f64 / 1e9
}

/// `value` rounded down; negative ones are 0.
#[must_use]
pub fn whole(value: f64) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let whole = value as u64;
    whole
}

/// What a byte takes on a line, in 1/65536 of a nanosecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(u64);

impl Pace {
    /// The pace of a line of `bits_per_second`.
    #[must_use]
    pub fn of(bits_per_second: f64) -> Self {
        Self(whole(8e9 * 65536.0 / bits_per_second.max(1.0)).max(1))
    }

    /// How long `bytes` take.
    #[must_use]
    pub const fn time_for(self, bytes: u64) -> Nanos {
        bytes.saturating_mul(self.0) >> 16
    }
}

/// Payload of a full packet (with the timestamp option that systems send today), in bytes.
pub const SEGMENT: u64 = 1448;

/// A full packet, in bytes.
pub const PACKET: u64 = 1500;

/// A packet without payload (IPv4, TCP, timestamps), in bytes.
pub const HEADERS: u64 = PACKET - SEGMENT;

/// Bytes that `payload` takes on a line, if it flows in full packets.
#[must_use]
pub const fn flowing(payload: u64) -> u64 {
    payload.saturating_mul(PACKET) / SEGMENT
}

/// Bytes that a message of `payload` takes on a line, if it travels alone.
#[must_use]
pub const fn alone(payload: u64) -> u64 {
    payload.saturating_add(payload.div_ceil(SEGMENT).saturating_mul(HEADERS))
}

/// Bytes of acknowledgements for `payload`: a packet without payload for every two full ones.
#[must_use]
pub const fn acknowledgements(payload: u64) -> u64 {
    payload.saturating_mul(HEADERS) / (2 * SEGMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_eight_gigabits_moves_a_byte_a_nanosecond() {
        assert_eq!(Pace::of(8e9).time_for(1000), 1000);
        assert_eq!(Pace::of(50e6).time_for(1_000_000), 160 * MILLISECOND);
    }

    #[test]
    fn packets_have_headers() {
        assert_eq!((flowing(1_448_000), alone(64), alone(1449)), (1_500_000, 116, 1449 + 104));
        assert_eq!(acknowledgements(2896), 52);
    }
}
