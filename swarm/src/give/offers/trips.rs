//! How long subscribers take from when they are told an offer until they ask for a block of it.

use core::time::Duration;

/// The trips of all subscribers that have asked for something that they were offered. Each counts with its shortest one: a
/// subscriber whose requests wait for others asks later than it could.
#[derive(Debug, Default)]
pub(super) struct Trips {
    sum: Duration,
    number: u32,
}

impl Trips {
    /// A subscriber, whose trip is `trip`, has asked for something `time` after it was told.
    pub(super) fn took(&mut self, trip: &mut Option<Duration>, time: Duration) {
        let shortest = trip.map_or(time, |known| known.min(time));
        self.forget(trip);
        *trip = Some(shortest);
        self.sum += shortest;
        self.number += 1;
    }

    /// A subscriber, whose trip was `trip`, has gone.
    pub(super) fn forget(&mut self, trip: &mut Option<Duration>) {
        if let Some(trip) = trip.take() {
            self.sum = self.sum.saturating_sub(trip);
            self.number -= 1;
        }
    }

    /// Their mean; zero while none is known.
    pub(super) fn mean(&self) -> Duration {
        self.sum.checked_div(self.number).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_the_shortest_trips_of_those_that_are_here() {
        let ms = Duration::from_millis;
        let (mut trips, mut one, mut two) = (Trips::default(), None, None);
        assert_eq!(trips.mean(), Duration::ZERO);
        [50, 20, 80].into_iter().for_each(|time| trips.took(&mut one, ms(time)));
        trips.took(&mut two, ms(40));
        assert_eq!(trips.mean(), ms(30));
        trips.forget(&mut one);
        assert_eq!(trips.mean(), ms(40));
        trips.forget(&mut one);
        trips.forget(&mut two);
        assert_eq!(trips.mean(), Duration::ZERO);
    }
}
