use super::*;
use crate::compress::one;

/// Chunks that differ from each other, seeded.
fn chunks(count: usize, seed: u32) -> Vec<[u8; CHUNK]> {
    let mut x = seed;
    let mut byte = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        x.to_be_bytes()[0]
    };
    (0..count).map(|_| core::array::from_fn(|_| byte())).collect()
}

#[test]
fn both_is_the_library_twice() {
    if let Some(kernel) = Kernel::detect() {
        for count in [0, 1, 2, 3, 4, 5, 16, 33] {
            let input = chunks(count, 7);
            let (mut a, mut b) = ([1; 8], [0xffff_fff0, 2, 3, 4, 5, 6, 7, 8]);
            let (mut expected_a, mut expected_b) = (a, b);
            kernel.both(&mut a, &mut b, &input);
            one(&mut expected_a, &input);
            one(&mut expected_b, &input);
            assert_eq!((a, b), (expected_a, expected_b), "{count} chunks");
        }
    }
}

#[test]
fn two_is_the_library_twice() {
    if let Some(kernel) = Kernel::detect() {
        for count in [0, 1, 2, 3, 16, 33] {
            let (input_a, input_b) = (chunks(count, 1), chunks(count + 1, 2));
            let (mut a, mut b) = ([9; 8], [0x8000_0000, 1, 2, 3, 4, 5, 6, 7]);
            let (mut expected_a, mut expected_b) = (a, b);
            kernel.two(&mut a, &input_a, &mut b, &input_b);
            one(&mut expected_a, &input_a);
            one(&mut expected_b, &input_b[..count]);
            assert_eq!((a, b), (expected_a, expected_b), "{count} chunks");
        }
    }
}
