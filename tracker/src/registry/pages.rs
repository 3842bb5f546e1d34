//! A growable array in pages, so that growing a huge one never copies it.

/// Elements of a page. A page of the smallest element (14 bytes) takes 14 KiB, of the largest 56 KiB.
pub(super) const PAGE: usize = 1024;

/// An array whose growth moves at most one page of elements. Every page but the last is full; only the
/// first page grows by doubling, so a short array stays small.
#[derive(Debug)]
pub(super) struct Pages<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Pages<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE)?.get(at % PAGE)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.pages.get_mut(at / PAGE)?.get_mut(at % PAGE)
    }

    pub(super) fn push(&mut self, element: T) {
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(element),
            None => self.pages.push(vec![element]),
            Some(_) => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(element);
                self.pages.push(page);
            }
        }
    }

    /// Removes and returns the last element.
    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.pages.last_mut()?;
        let element = last.pop();
        if last.is_empty() {
            self.pages.pop();
        }
        element
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_and_shrinks_across_page_borders() {
        let mut pages = Pages::new();
        for n in 0..3 * PAGE + 1 {
            assert_eq!(pages.len(), n);
            pages.push(n);
        }
        assert_eq!(pages.get(PAGE), Some(&PAGE));
        assert_eq!(pages.get(3 * PAGE + 1), None);
        for n in (0..=3 * PAGE).rev() {
            assert_eq!(pages.pop(), Some(n));
            assert_eq!(pages.len(), n);
        }
        assert_eq!(pages.pop(), None);
    }
}
