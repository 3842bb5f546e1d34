//! What the peers of the test world understand and do.

use cascade_format::Layout;
use core::time::Duration;

/// What a peer understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    Slices,
    /// The extension, but no slices.
    Blocks,
    Version1,
}

/// What a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Honest,
    /// Closes after each answer.
    Closes,
    /// Gives only what it has offered, and now and then something else.
    Chooses,
    /// Refuses every other request for what it has.
    Busy,
    /// Sends wrong bytes now and then.
    Liar,
    /// Refuses everything.
    Refuses,
    /// Gives some, and then half of an answer.
    Stalls,
    /// The same, and then a byte every ten seconds.
    Trickles,
    /// Cuts the connection in the middle of an answer now and then.
    Cuts,
    Dead,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Nature {
    pub(super) speech: Speech,
    pub(super) manner: Manner,
    /// It has a part of the file, which grows.
    pub(super) leeches: bool,
    pub(super) rate: f64,
    pub(super) delay: Duration,
}

/// Some blocks of some length, and perhaps a shorter one.
pub(super) fn layout(random: &mut fastrand::Rng) -> Layout {
    let block = (128 << 10) << random.u32(..4);
    let length = block * random.u64(2..7) + random.u64(..block);
    Layout::new(length, block).unwrap().sliced().unwrap()
}

pub(super) fn nature(random: &mut fastrand::Rng, speech: Speech, manner: Manner, leeches: bool) -> Nature {
    let rate = [1e6, 3e6, 10e6][random.usize(..3)];
    Nature { speech, manner, leeches, rate, delay: Duration::from_millis(random.u64(1..60)) }
}

pub(super) fn any_nature(random: &mut fastrand::Rng) -> Nature {
    use Manner::*;
    let manners = [Honest, Honest, Closes, Chooses, Busy, Liar, Refuses, Stalls, Trickles, Cuts, Dead];
    let speech = any_speech(random);
    let manner = manners[random.usize(..manners.len())];
    // Who knows only version 1 tells nothing.
    let manner = if speech == Speech::Version1 && manner == Chooses { Honest } else { manner };
    let leeches = manner != Chooses && random.bool();
    nature(random, speech, manner, leeches)
}

pub(super) fn any_speech(random: &mut fastrand::Rng) -> Speech {
    [Speech::Slices, Speech::Slices, Speech::Blocks, Speech::Version1][random.usize(..4)]
}
