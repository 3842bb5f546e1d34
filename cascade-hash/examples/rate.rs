//! Prints how fast this machine hashes: one stream, one text into two streams, two texts at once.
//!
//! `cargo run --release -p cascade-hash --example rate`
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a benchmark: it measures and prints")]

use cascade_hash::{Sha256Stream, digest_pair, update_both};
use std::hint::black_box;
use std::time::Instant;

/// Fits the second-level cache of today's processors twice.
const BUFFER: usize = 256 << 10;
const ROUNDS: u32 = 8;
/// The machine may be busy: the best of these short runs counts, which nobody has interrupted.
const RUNS: u32 = 1000;

/// Seconds for [`ROUNDS`] of `work`, the best of [`RUNS`].
fn seconds(mut work: impl FnMut()) -> f64 {
    let run = |_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(|_| work());
        start.elapsed().as_secs_f64()
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn main() {
    let data: Vec<u8> = (0..=250).cycle().take(BUFFER).collect();
    let other: Vec<u8> = data.iter().map(|byte| !byte).collect();
    let gigabytes = BUFFER as f64 * f64::from(ROUNDS) / 1e9;

    let single = seconds(|| {
        black_box(Sha256Stream::digest(&data));
    });
    let (mut a, mut b) = (Sha256Stream::new(), Sha256Stream::new());
    let both = seconds(|| update_both(&mut a, &mut b, &data));
    let pair = seconds(|| {
        black_box(digest_pair(&data, &other));
    });

    println!("pairs run as: {}", cascade_hash::pair_kernel());
    println!("one stream    {:5.2} GB/s", gigabytes / single);
    println!(
        "update_both   {:5.2} GB/s of input, {:.2} x the time of one stream",
        gigabytes / both,
        both / single
    );
    println!(
        "digest_pair   {:5.2} GB/s, {:.2} x the rate of one stream",
        2.0 * gigabytes / pair,
        2.0 * single / pair
    );
}
