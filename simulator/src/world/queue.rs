//! What happens next: a radix heap. Time never goes back, so an entry moves at most once for each bit of
//! its time, through memory in order; entries of the same time come out in the order they went in.

use crate::units::Nanos;
use std::collections::VecDeque;

/// One list for each bit in which a time can differ from the present, and one for the present.
const LISTS: usize = Nanos::BITS as usize + 1;

/// Events in the order of their times.
#[derive(Debug)]
pub(super) struct Queue<E> {
    present: VecDeque<E>,
    lists: Vec<Vec<(Nanos, E)>>,
    now: Nanos,
}

impl<E> Queue<E> {
    pub(super) fn new() -> Self {
        Self { present: VecDeque::new(), lists: (0..LISTS).map(|_| Vec::new()).collect(), now: 0 }
    }

    /// `event` is to happen at `at`; if that is past, now.
    pub(super) fn push(&mut self, at: Nanos, event: E) {
        let at = at.max(self.now);
        let list = list_of(self.now, at);
        if list == 0 {
            self.present.push_back(event);
        } else if let Some(list) = self.lists.get_mut(list) {
            list.push((at, event));
        }
    }

    /// The next event and its time.
    pub(super) fn pop(&mut self) -> Option<(Nanos, E)> {
        if self.present.is_empty() {
            self.advance();
        }
        self.present.pop_front().map(|event| (self.now, event))
    }

    /// Goes on to the next time at which anything happens.
    fn advance(&mut self) {
        let Some(first) = self.lists.iter().position(|list| !list.is_empty()) else { return };
        let Some(mut list) = self.lists.get_mut(first).map(std::mem::take) else { return };
        self.now = list.iter().map(|(at, _)| *at).min().unwrap_or(self.now);
        for (at, event) in list.drain(..) {
            self.push(at, event);
        }
        // The list's memory is used again.
        if let Some(empty) = self.lists.get_mut(first) {
            *empty = list;
        }
    }
}

fn list_of(now: Nanos, at: Nanos) -> usize {
    (Nanos::BITS - (now ^ at).leading_zeros()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn events_come_in_order_and_equals_first_in_first_out() {
        let (mut queue, mut random) = (Queue::new(), Random::new(1, 1));
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let mut number = 0;
        for _ in 0..100 {
            queue.push(random.below(50), number);
            expected.push((0, number));
            number += 1;
        }
        while let Some((now, event)) = queue.pop() {
            found.push((now, event));
            if number < 20_000 {
                for _ in 0..random.below(3) {
                    let range = 1 << random.below(20);
                    queue.push(now + random.below(range), number);
                    number += 1;
                }
            }
        }
        assert!(number > 1000 && found.len() == usize::try_from(number).unwrap());
        assert!(found.windows(2).all(|pair| pair[0].0 <= pair[1].0), "out of order");
        let mut last = std::collections::HashMap::new();
        // Pushed later means a greater number; with equal times the lesser comes first.
        for (now, event) in found {
            assert!(last.insert(now, event).is_none_or(|before| before < event), "{event} at {now}");
        }
    }
}
