//! Percentiles of the pixels of one image, as `numpy.percentile` gives them (linear interpolation).

/// The percentiles (0 to 100, ascending) of finite numbers; `None` of no numbers. Reorders the numbers.
pub fn percentiles<const N: usize>(numbers: &mut [f32], percents: [f64; N]) -> Option<[f64; N]> {
    let last = numbers.len().checked_sub(1)?;
    let mut found = [0.0; N];
    let mut start = 0;
    for (percent, found) in percents.into_iter().zip(&mut found) {
        let place = last as f64 * (percent / 100.0).clamp(0.0, 1.0);
        // All that lies before `start` is no greater than what follows: it was put there for a lower percentile.
        let rank = (place as usize).clamp(start, last);
        let (_, value, above) = numbers[start..].select_nth_unstable_by(rank - start, f32::total_cmp);
        let value = f64::from(*value);
        let next = above.iter().copied().min_by(f32::total_cmp).map_or(value, f64::from);
        *found = value + (next - value) * (place - rank as f64);
        start = rank;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate_between_ranks() {
        let mut numbers = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentiles(&mut numbers, [0.0, 25.0, 50.0, 100.0]), Some([1.0, 1.75, 2.5, 4.0]));
        assert_eq!(percentiles(&mut [7.0], [0.1, 99.9]), Some([7.0, 7.0]));
        assert_eq!(percentiles(&mut [], [50.0]), None);
    }

    #[test]
    fn percentiles_of_many_numbers_are_those_of_the_sorted_list() {
        let mut numbers: Vec<f32> = (0..30_001u32).map(|i| (i.wrapping_mul(7919) % 30_001) as f32).collect();
        let found = percentiles(&mut numbers, [0.1, 0.1, 99.9]).expect("numbers");
        for (found, want) in found.into_iter().zip([30.0, 30.0, 29_970.0]) {
            assert!((found - want).abs() < 1e-9, "{found} {want}");
        }
    }
}
