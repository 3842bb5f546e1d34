//! The parts that the nodes of a swarm play.

use serde::Serialize;

/// What a downloader's node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The client that is measured, at the full rate.
    Own,
    /// The same with a tenth of the rate.
    Slow,
    /// A scripted peer with the habits of the field.
    Version1,
    /// A scripted peer that sends wrong bytes.
    Liar,
    /// A scripted peer that sends half of an answer, then nothing.
    Staller,
}

impl Role {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 5] = [Self::Own, Self::Slow, Self::Version1, Self::Liar, Self::Staller];

    /// The name in tables and pictures; `client` is the name of the client that is measured.
    #[must_use]
    pub fn name(self, client: &str) -> String {
        match self {
            Self::Own => client.to_owned(),
            Self::Slow => format!("{client}, slow"),
            Self::Version1 => "version 1".to_owned(),
            Self::Liar => "liar".to_owned(),
            Self::Staller => "staller".to_owned(),
        }
    }

    /// Whether it wants the file; a run ends when all of these have it.
    #[must_use]
    pub const fn downloads(self) -> bool {
        matches!(self, Self::Own | Self::Slow | Self::Version1)
    }
}

/// This number of nodes of each role, mixed evenly: the node that starts first knows the fewest others, which must not
/// affect one role alone.
#[must_use]
pub fn mix(counts: &[(Role, usize)]) -> Vec<Role> {
    let mut placed: Vec<(f64, Role)> = Vec::new();
    for (role, count) in counts {
        placed.extend((0..*count).map(|at| ((at as f64 + 0.5) / *count as f64, *role)));
    }
    placed.sort_by(|one, other| one.0.total_cmp(&other.0));
    placed.into_iter().map(|(_, role)| role).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_take_turns() {
        use Role::{Liar, Own, Version1};
        assert_eq!(mix(&[(Own, 2), (Version1, 2)]), [Own, Version1, Own, Version1]);
        assert_eq!(mix(&[(Own, 3), (Liar, 1)]), [Own, Own, Liar, Own]);
        assert_eq!(mix(&[(Own, 0)]), []);
    }
}
