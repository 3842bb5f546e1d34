//! By which a file that we have written is known again.

use super::mark::Mark;

/// What files looked like when we had written them, sorted: 8 bytes each. A file that has not been written to since is
/// known to be an earlier version.
#[derive(Debug, Default)]
pub struct Written(Vec<u64>);

impl Written {
    /// Takes what [`Written::to_bytes`] has made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut marks: Vec<u64> =
            bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        marks.sort_unstable();
        Self(marks)
    }

    /// As bytes, to be remembered.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|mark| mark.to_be_bytes()).collect()
    }

    pub(super) fn of(marks: impl Iterator<Item = Mark>) -> Self {
        Self(marks.map(Mark::number).collect())
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        self.0.binary_search(&mark.number()).is_ok()
    }
}
