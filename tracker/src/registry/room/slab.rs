//! Values with numbers that stay the same; the numbers of removed ones are used again.

use super::super::pages::Pages;

/// No number.
pub(super) const NONE: u32 = u32::MAX;

/// The values.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Pages<Place<T>>,
    free: u32,
    len: usize,
}

#[derive(Debug)]
enum Place<T> {
    Used(T),
    Free { next: u32 },
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Pages::new(), free: NONE, len: 0 }
    }

    /// Number of values.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// One more than the greatest number that a value may have.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(NONE)
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        match self.places.get(at as usize)? {
            Place::Used(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        match self.places.get_mut(at as usize)? {
            Place::Used(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    /// Adds a value; its number.
    pub(super) fn add(&mut self, value: T) -> u32 {
        self.len += 1;
        let at = self.free;
        if let Some(place) = self.places.get_mut(at as usize)
            && let Place::Free { next } = std::mem::replace(place, Place::Free { next: NONE })
        {
            self.free = next;
            *place = Place::Used(value);
            return at;
        }
        self.places.push(Place::Used(value));
        self.end() - 1
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let place = self.places.get_mut(at as usize).filter(|place| matches!(place, Place::Used(_)))?;
        match std::mem::replace(place, Place::Free { next: self.free }) {
            Place::Used(value) => {
                self.free = at;
                self.len -= 1;
                Some(value)
            }
            Place::Free { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_and_are_used_again() {
        let mut slab = Slab::new();
        let numbers: Vec<u32> = (0..5).map(|value| slab.add(value)).collect();
        assert_eq!((slab.remove(numbers[1]), slab.remove(numbers[1]), slab.len()), (Some(1), None, 4));
        assert_eq!((slab.get(numbers[1]), slab.get(numbers[4]).copied()), (None, Some(4)));
        assert_eq!(slab.add(9), numbers[1]);
        assert_eq!((slab.add(10), slab.len(), slab.end()), (5, 6, 6));
        assert_eq!(slab.get_mut(numbers[1]).copied(), Some(9));
    }
}
