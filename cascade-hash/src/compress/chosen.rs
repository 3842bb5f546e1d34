//! Whether two streams at once are faster than one after the other on this machine, measured once.
//!
//! What a processor can do does not tell what is fast on it: one kernel that interleaved two streams took a hundred
//! times as long as the library on some processors.

use super::x86::Kernel;
use super::{CHUNK, State, one};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Chunks of one measurement. They take some microseconds.
const CHUNKS: usize = 32;

/// Measurements of each; the shortest counts.
const ROUNDS: usize = 5;

/// The kernel to use; `None`: two streams of the library, one after the other.
pub(super) fn kernel() -> Option<Kernel> {
    static CHOSEN: OnceLock<Option<Kernel>> = OnceLock::new();
    *CHOSEN.get_or_init(choose)
}

fn choose() -> Option<Kernel> {
    let kernel = Kernel::detect()?;
    let interleaved = shortest(|a, b, chunks| kernel.two(a, chunks, b, chunks));
    (interleaved < shortest(one_after_the_other)).then_some(kernel)
}

fn one_after_the_other(a: &mut State, b: &mut State, chunks: &[[u8; CHUNK]]) {
    one(a, chunks);
    one(b, chunks);
}

#[allow(clippy::disallowed_methods, reason = "a measurement of this machine, not the time of anything")]
fn shortest(kernel: impl Fn(&mut State, &mut State, &[[u8; CHUNK]])) -> Duration {
    let chunks = [[0x5a; CHUNK]; CHUNKS];
    let (mut a, mut b) = ([1; 8], [2; 8]);
    let mut measure = || {
        let start = Instant::now();
        kernel(&mut a, &mut b, &chunks);
        let took = start.elapsed();
        core::hint::black_box((&a, &b));
        took
    };
    (0..ROUNDS).map(|_| measure()).min().unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_kernel_is_not_much_slower_than_the_library() {
        let library = shortest(one_after_the_other);
        let chosen = kernel();
        let took = shortest(|a, b, chunks| match chosen {
            Some(kernel) => kernel.two(a, chunks, b, chunks),
            None => one_after_the_other(a, b, chunks),
        });
        let name = chosen.map_or("the library", |_| Kernel::NAME);
        assert!(took <= library * 4, "{name}: {took:?}, the library {library:?}");
    }
}
