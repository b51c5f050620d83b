//! Statistics of sky pixels: mean, standard deviation, mode and sigma clipping.

use crate::stats::quantile::median;

/// The mean; NaN for an empty list.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The population standard deviation; NaN for an empty list.
pub(super) fn standard_deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// The mode of sorted numbers as SExtractor estimates it, 2.5 median - 1.5 mean; `None` for an empty list.
pub(super) fn mode(sorted: &[f64]) -> Option<f64> {
    Some(2.5 * median(sorted)? - 1.5 * mean(sorted))
}

/// Repeatedly removes numbers farther than 3 standard deviations from a centre, until none is or `max_iterations` are
/// done. Takes and returns sorted numbers.
pub(super) fn sigma_clip(sorted: &[f64], max_iterations: usize, centre: impl Fn(&[f64]) -> Option<f64>) -> &[f64] {
    let mut kept = sorted;
    for _ in 0..max_iterations {
        let Some(centre) = centre(kept) else { break };
        let reach = 3.0 * standard_deviation(kept);
        let start = kept.partition_point(|value| *value < centre - reach);
        let end = kept.partition_point(|value| *value <= centre + reach);
        if end - start == kept.len() || start >= end {
            break;
        }
        kept = &kept[start..end];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sigma_clipping_keeps_the_sky_and_removes_stars() {
        let mut values: Vec<f64> = (0..1001).map(|i| f64::from(i % 21) - 10.0).collect();
        values.extend([-400.0, 500.0, 700.0, 1e4]);
        values.sort_by(f64::total_cmp);
        let kept = sigma_clip(&values, usize::MAX, median);
        assert_eq!((kept.len(), kept[0], kept[1000]), (1001, -10.0, 10.0));
        assert!((standard_deviation(kept) - 6.055).abs() < 0.01, "{}", standard_deviation(kept));
        // The first iteration removes 1e4 alone.
        assert_eq!(sigma_clip(&values, 1, median).len(), 1004);
        assert_eq!(sigma_clip(&values, 0, median).len(), 1005);
        assert_eq!(sigma_clip(&[], 5, median), &[] as &[f64]);
        assert_eq!(sigma_clip(&[2.0; 5], 5, median), [2.0; 5]);
    }

    #[test]
    fn the_mode_is_that_of_sextractor() {
        assert_eq!(mode(&[1.0, 2.0, 6.0]), Some(2.5 * 2.0 - 1.5 * 3.0));
        assert_eq!(mode(&[]), None);
    }

    #[test]
    fn numbers_at_three_standard_deviations_are_kept() {
        // 16 zeros and two numbers at 3: variance 18 / 18.
        let mut values = [0.0; 18];
        (values[0], values[17]) = (-3.0, 3.0);
        assert_eq!(sigma_clip(&values, 5, median).len(), 18);
        values[17] = 3.1;
        assert_eq!(sigma_clip(&values, 5, median).len(), 16);
    }
}
