//! Checks for NaN and infinities in long slices.

use multiversion::multiversion;

/// Whether all numbers are finite.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "x86_64+avx"))]
pub fn all_finite(numbers: &[f32]) -> bool {
    /// NaN and infinities have all bits of the exponent set.
    const EXPONENT: u32 = 0x7f80_0000;
    let is_finite = |x: &f32| (x.to_bits() & EXPONENT) != EXPONENT;
    // A loop that stops at the first NaN is not vectorised; one over a chunk that does not stop is.
    numbers.chunks(4096).all(|chunk| chunk.iter().fold(true, |all, x| all & is_finite(x)))
}

/// The index of the first number that is NaN or infinite.
pub fn first_non_finite(numbers: &[f32]) -> Option<usize> {
    if all_finite(numbers) { None } else { numbers.iter().position(|x| !x.is_finite()) }
}

/// How many numbers are NaN or infinite.
pub fn count_non_finite(numbers: &[f32]) -> usize {
    if all_finite(numbers) { 0 } else { numbers.iter().filter(|x| !x.is_finite()).count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_and_counts_non_finite_numbers_in_any_chunk() {
        let mut numbers = vec![1.0; 10_000];
        (numbers[0], numbers[1], numbers[2]) = (f32::MAX, f32::MIN, -0.0);
        assert_eq!((all_finite(&numbers), first_non_finite(&numbers), count_non_finite(&numbers)), (true, None, 0));
        numbers[9_999] = f32::NEG_INFINITY;
        assert_eq!(
            (all_finite(&numbers), first_non_finite(&numbers), count_non_finite(&numbers)),
            (false, Some(9_999), 1)
        );
        (numbers[77], numbers[78]) = (f32::NAN, f32::INFINITY);
        assert_eq!((first_non_finite(&numbers), count_non_finite(&numbers)), (Some(77), 3));
        // Chunks of odd length, and two in one chunk.
        for length in 1..9 {
            assert!(all_finite(&vec![1.0; length]), "{length}");
            assert!(!all_finite(&vec![f32::NAN; length]), "{length}");
        }
        assert!(all_finite(&[]) && first_non_finite(&[]).is_none() && count_non_finite(&[]) == 0);
    }
}
