//! Quantiles of a list of numbers. Every interpolation rule is a function.
//!
//! The rules give different numbers, by a rank or by a rounding, and the rows of a run depend on them: a caller keeps
//! the rule that it was published with.

/// The quantile q (0 to 1) of sorted numbers, linear between ranks: the default of `numpy.quantile`. `None` for an
/// empty list.
pub fn linear(sorted: &[f64], q: f64) -> Option<f64> {
    let position = Position::of(sorted.len(), q)?;
    let next = (position.rank + 1).min(sorted.len() - 1);
    Some(position.between(sorted[position.rank], sorted[next]))
}

/// The quantile q (0 to 1) of sorted numbers at the rank below: `method='lower'` of `numpy.quantile`. `None` for an
/// empty list.
pub fn lower(sorted: &[f64], q: f64) -> Option<f64> {
    Some(sorted[Position::of(sorted.len(), q)?.rank])
}

/// The median of sorted numbers: the mean of the two in the middle where their count is even. `None` for an empty list.
///
/// It may differ from [`linear`] at 0.5 in the last bit: (a + b) / 2 is rounded differently from a + (b - a) / 2.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

/// The median by nearest rank, ceil(n / 2): the lower of the two in the middle where their count is even. `None` for an
/// empty list. Reorders the numbers, in linear time.
pub fn nearest_rank_median(numbers: &mut [f64]) -> Option<f64> {
    let half = numbers.len().checked_sub(1)? / 2;
    Some(*numbers.select_nth_unstable_by(half, f64::total_cmp).1)
}

/// Percentiles (0 to 100, ascending) of finite numbers, linear between ranks: the default of `numpy.percentile`. `None`
/// for an empty list. Reorders the numbers, in linear time.
pub fn percentiles<const N: usize>(numbers: &mut [f32], percents: [f64; N]) -> Option<[f64; N]> {
    let mut found = [0.0; N];
    let mut start = 0;
    for (percent, found) in percents.into_iter().zip(&mut found) {
        let position = Position::of(numbers.len(), percent / 100.0)?;
        // The selection for a lower percentile put all that is less before `start`.
        let (_, low, above) = numbers[start..].select_nth_unstable_by(position.rank - start, f32::total_cmp);
        let low = f64::from(*low);
        let high = above.iter().copied().min_by(f32::total_cmp).map_or(low, f64::from);
        *found = position.between(low, high);
        start = position.rank;
    }
    Some(found)
}

/// The position of a quantile in sorted numbers, between a rank and the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    /// The rank below; 0 is that of the least number.
    pub(super) rank: usize,
    /// The part of the way to the next rank.
    fraction: f64,
}

impl Position {
    /// The position of the quantile q (0 to 1) in `count` numbers; `None` for none.
    pub(super) fn of(count: usize, q: f64) -> Option<Self> {
        let position = count.checked_sub(1)? as f64 * q.clamp(0.0, 1.0);
        let rank = position as usize;
        Some(Self { rank, fraction: position - rank as f64 })
    }

    /// Interpolates between the number of the rank and the next.
    pub(super) fn between(&self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.fraction
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_and_lower_take_different_numbers_between_ranks() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!([0.0, 0.5, 0.75, 1.0].map(|q| linear(&sorted, q)), [1.0, 3.0, 5.0, 8.0].map(Some));
        assert_eq!([0.0, 0.5, 0.75, 1.0].map(|q| lower(&sorted, q)), [1.0, 2.0, 4.0, 8.0].map(Some));
        assert_eq!([-1.0, 2.0].map(|q| linear(&sorted, q)), [Some(1.0), Some(8.0)]);
    }

    #[test]
    fn medians_of_an_even_count_are_the_mean_or_the_lower_one() {
        assert_eq!((median(&[1.0, 2.0, 9.0]), nearest_rank_median(&mut [9.0, 1.0, 2.0])), (Some(2.0), Some(2.0)));
        assert_eq!((median(&[1.0, 2.0, 5.0, 9.0]), median(&[3.0])), (Some(3.5), Some(3.0)));
        assert_eq!(nearest_rank_median(&mut [9.0, 1.0, 5.0, 2.0]), Some(2.0));
    }

    #[test]
    fn an_empty_list_has_no_quantile() {
        assert_eq!(
            (linear(&[], 0.5), lower(&[], 0.5), median(&[]), nearest_rank_median(&mut [])),
            (None, None, None, None)
        );
        assert_eq!(percentiles(&mut [], [50.0]), None);
    }

    #[test]
    fn percentiles_interpolate_between_ranks() {
        let mut numbers = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentiles(&mut numbers, [0.0, 25.0, 50.0, 100.0]), Some([1.0, 1.75, 2.5, 4.0]));
        assert_eq!(percentiles(&mut [7.0], [0.1, 99.9]), Some([7.0, 7.0]));
        assert_eq!(percentiles(&mut [7.0, 5.0], [-3.0, 130.0]), Some([5.0, 7.0]));
    }

    #[test]
    fn percentiles_of_unsorted_numbers_are_those_of_the_sorted_list() {
        let mut numbers: Vec<f32> = (0..30_001u32).map(|i| (i.wrapping_mul(7919) % 30_001) as f32).collect();
        let sorted: Vec<f64> = (0..30_001u32).map(f64::from).collect();
        let found = percentiles(&mut numbers, [0.1, 0.1, 12.345, 99.9]).expect("numbers");
        for (found, q) in found.into_iter().zip([0.001, 0.001, 0.12345, 0.999]) {
            let expected = linear(&sorted, q).expect("numbers");
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }
}
