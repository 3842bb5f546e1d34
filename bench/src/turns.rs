//! Contestants run in turns: A B C, B C A, C A B …, so that whatever drifts on the machine hits all alike.

/// The order of one round: `count` contestants, starting with another one in each `round`.
pub fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (turn + round) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_runs_once_a_round_and_the_first_changes() {
        assert_eq!(order(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(3, 4).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(order(0, 4).count(), 0);
    }
}
