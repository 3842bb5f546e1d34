//! A place in the tree, kept while entries go by in their order.

/// The path of an entry, and where its components end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    path: String,
    ends: Vec<usize>,
}

impl Place {
    /// The path.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Number of components; 0 at the shared folder itself.
    pub(crate) const fn depth(&self) -> usize {
        self.ends.len()
    }

    /// The component that is `depth` folders down.
    pub(crate) fn component(&self, depth: usize) -> Option<&str> {
        let start = match depth.checked_sub(1) {
            Some(before) => self.ends.get(before)? + 1,
            None => 0,
        };
        self.path.get(start..*self.ends.get(depth)?)
    }

    /// Goes to `name` in the folder that is `depth` down on the way here.
    pub(crate) fn enter(&mut self, depth: usize, name: &str) {
        self.ends.truncate(depth);
        self.path.truncate(self.ends.last().copied().unwrap_or(0));
        if !self.ends.is_empty() {
            self.path.push('/');
        }
        self.path.push_str(name);
        self.ends.push(self.path.len());
    }

    /// Bytes of the path after [`enter`](Self::enter).
    pub(crate) fn len_with(&self, depth: usize, name: &str) -> usize {
        match depth.checked_sub(1).and_then(|last| self.ends.get(last)) {
            Some(end) => end + 1 + name.len(),
            None => name.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_moves() {
        let mut place = Place::default();
        for (depth, name, path) in
            [(0, "a", "a"), (1, "bc", "a/bc"), (2, "d", "a/bc/d"), (1, "e", "a/e"), (0, "f", "f")]
        {
            assert_eq!(place.len_with(depth, name), path.len());
            place.enter(depth, name);
            assert_eq!((place.path(), place.depth()), (path, depth + 1));
            assert_eq!(place.component(depth), Some(name));
            assert_eq!(place.component(depth + 1), None);
        }
    }
}
