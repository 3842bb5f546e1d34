//! What a connection knows during one of its turns, and forgets after it.

use crate::limits::{READ_AHEAD_LEN, TURN_LEN};
use crate::store::Shared;
use cascade_format::CascadeHash;
use cascade_format::peer_wire::BlockRequest;
use std::ops::Range;

/// One turn. It never waits, and sends about [`TURN_LEN`] bytes: what was asked of the file system at its beginning
/// holds to its end.
pub(super) struct Turn {
    /// Bytes that may still be sent.
    pub(super) left: usize,
    /// The file that was compared with its stamp, and is what was verified.
    compared: Option<CascadeHash>,
    /// What the disk was asked for last.
    ahead: Range<u64>,
}

impl Turn {
    /// A turn begins.
    pub(super) fn new() -> Self {
        Self { left: TURN_LEN, compared: None, ahead: 0..0 }
    }

    /// See [`Shared::is_unchanged`]; the file system is asked once in a turn.
    pub(super) fn is_unchanged(&mut self, file: &Shared) -> bool {
        if self.compared == Some(file.cascade_hash()) {
            // Another thread may have found out meanwhile.
            return !file.is_known_to_have_changed();
        }
        let unchanged = file.is_unchanged();
        self.compared = unchanged.then(|| file.cascade_hash());
        unchanged
    }

    /// Lets the disk work on the block that `waiting` begins with, and on those behind it that follow in the file,
    /// while the answer to the request before goes to the network.
    pub(super) fn read_ahead<'a>(
        &mut self,
        file: &Shared,
        mut waiting: impl Iterator<Item = &'a BlockRequest>,
    ) {
        let range_of = |request: &BlockRequest| {
            let of_file = request.cascade_hash == file.cascade_hash();
            let block = file.layout().block(request.block).filter(|_| of_file)?;
            Some(file.layout().range(block))
        };
        let Some(mut wanted) = waiting.next().and_then(range_of) else { return };
        if self.ahead.contains(&wanted.start) {
            return;
        }
        let end = wanted.start.saturating_add(READ_AHEAD_LEN);
        while wanted.end < end
            && let Some(next) = waiting.next().and_then(range_of)
            && next.start == wanted.end
        {
            wanted.end = next.end;
        }
        self.ahead = wanted.start..wanted.end.min(end);
        file.data().will_need(self.ahead.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::Sample;
    use super::*;
    use std::io::Write;

    #[test]
    fn the_file_system_is_asked_once_in_a_turn_and_by_the_next_one_again() {
        let sample = Sample::new(300, 100);
        let mut turn = Turn::new();
        assert!(turn.is_unchanged(&sample.shared));
        sample.file().write_all(b"changed").unwrap();
        assert!(turn.is_unchanged(&sample.shared), "the turn has asked already");
        assert!(!Turn::new().is_unchanged(&sample.shared));
        assert!(!turn.is_unchanged(&sample.shared), "what another turn has found counts at once");
    }

    #[test]
    fn neighbours_that_wait_are_asked_of_the_disk_with_one_call() {
        let sample = Sample::new(1000, 100);
        let file = &sample.shared;
        let requests = |blocks: &[u64]| -> Vec<BlockRequest> {
            let request =
                |block| BlockRequest { reserved: [0; 16], block, cascade_hash: file.cascade_hash() };
            blocks.iter().map(|block| request(*block)).collect()
        };
        for (waiting, expected) in [
            (&[][..], 0..0),
            (&[3, 4, 5], 300..600),
            (&[3, 5], 300..400),
            (&[8, 9, 10], 800..1000),
            (&[77], 0..0),
        ] {
            let mut turn = Turn::new();
            let waiting = requests(waiting);
            turn.read_ahead(file, waiting.iter());
            assert_eq!(turn.ahead, expected, "{waiting:?}");
        }
        let (mut turn, waiting) = (Turn::new(), requests(&[3, 4, 9]));
        for (answered, expected) in [(0, 300..500), (1, 300..500), (2, 900..1000)] {
            turn.read_ahead(file, waiting.iter().skip(answered));
            assert_eq!(turn.ahead, expected, "what was asked for is not asked for again");
        }
    }
}
