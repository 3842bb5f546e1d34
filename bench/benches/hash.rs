//! Micro-benchmarks of the hashing: one stream, and pairs of streams on one core.

#![allow(clippy::print_stdout, reason = "a benchmark says what it measures")]

use cascade_hash::{Sha256Stream, digest_pair, finish_pair, update_both};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use sha2::{Digest, Sha256};

/// Sizes of what is hashed at once: a small block, a piece that arrives, a block.
const SIZES: [usize; 3] = [1024, 256 * 1024, 1 << 20];

fn main() {
    println!("pairs of streams use: {}", cascade_hash::pair_kernel());
    divan::main();
}

/// The yardstick.
#[divan::bench(args = SIZES)]
fn sha2_crate(bencher: Bencher<'_, '_>, size: usize) {
    let bytes = vec![7; size];
    bencher.counter(BytesCount::new(size)).bench_local(|| Sha256::digest(black_box(&bytes)));
}

#[divan::bench(args = SIZES)]
fn one_stream(bencher: Bencher<'_, '_>, size: usize) {
    let bytes = vec![7; size];
    bencher.counter(BytesCount::new(size)).bench_local(|| Sha256Stream::digest(black_box(&bytes)));
}

/// The same bytes into two streams, as a download does: counted once.
#[divan::bench(args = SIZES)]
fn same_bytes_twice(bencher: Bencher<'_, '_>, size: usize) {
    let bytes = vec![7; size];
    bencher.counter(BytesCount::new(size)).bench_local(|| {
        let (mut block, mut file) = (Sha256Stream::new(), Sha256Stream::new());
        update_both(&mut block, &mut file, black_box(&bytes));
        finish_pair(block, file)
    });
}

/// Two blocks at once, as a check does: both are counted.
#[divan::bench(args = SIZES)]
fn two_blocks(bencher: Bencher<'_, '_>, size: usize) {
    let (a, b) = (vec![7; size], vec![8; size]);
    bencher.counter(BytesCount::new(2 * size)).bench_local(|| digest_pair(black_box(&a), black_box(&b)));
}
