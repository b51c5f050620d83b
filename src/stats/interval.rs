//! Confidence intervals of a proportion.

/// The Wilson score interval of `successes` in `trials` (Wilson 1927): with z the normal quantile of (1 + confidence) /
/// 2, (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n). `None` without trials.
pub fn wilson(successes: u64, trials: u64, confidence: f64) -> Option<(f64, f64)> {
    if trials == 0 {
        return None;
    }
    let n = trials as f64;
    let p = successes as f64 / n;
    let z = normal_quantile(f64::midpoint(1.0, confidence));
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    // At the ends the interval reaches 0 or 1 exactly, but for rounding.
    let low = if successes == 0 { 0.0 } else { (centre - half) / scale };
    let high = if successes == trials { 1.0 } else { (centre + half) / scale };
    Some((low, high))
}

/// The quantile of the standard normal distribution at a probability between 1e-11 and 1 - 1e-11.
/// Algorithm AS 241, PPND16 (Wichura 1988), without its branch for the far tails; relative error about 1e-16.
pub fn normal_quantile(probability: f64) -> f64 {
    let q = probability - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE[0], r) / polynomial(&CENTRE[1], r);
    }
    let r = (-probability.min(1.0 - probability).ln()).sqrt() - 1.6;
    (polynomial(&TAIL[0], r) / polynomial(&TAIL[1], r)).copysign(q)
}

fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The polynomials of numerator and denominator for |p - 0.5| <= 0.425, lowest power first.
const CENTRE: [[f64; 8]; 2] = [
    [
        3.387_132_872_796_366_5,
        133.141_667_891_784_38,
        1_971.590_950_306_551_3,
        13_731.693_765_509_46,
        45_921.953_931_549_87,
        67_265.770_927_008_7,
        33_430.575_583_588_13,
        2_509.080_928_730_122_7,
    ],
    [
        1.0,
        42.313_330_701_600_91,
        687.187_007_492_057_9,
        5_394.196_021_424_751,
        21_213.794_301_586_597,
        39_307.895_800_092_71,
        28_729.085_735_721_943,
        5_226.495_278_852_854,
    ],
];

/// Those for the tails.
const TAIL: [[f64; 8]; 2] = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        0.241_780_725_177_450_6,
        0.022_723_844_989_269_184,
        0.000_774_545_014_278_341_4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        0.689_767_334_985_1,
        0.148_103_976_427_480_08,
        0.015_198_666_563_616_457,
        0.000_547_593_808_499_534_5,
        1.050_750_071_644_416_9e-9,
    ],
];

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct ScipyIntervals {
        /// Successes, trials, confidence, lower and upper end.
        wilson: Vec<(u64, u64, f64, f64, f64)>,
        /// Probability and quantile.
        quantile: Vec<(f64, f64)>,
    }

    fn scipy() -> ScipyIntervals {
        serde_json::from_str(include_str!("../../tests/golden/classification/golden.json")).expect("golden numbers")
    }

    #[test]
    fn intervals_are_those_of_scipy() {
        let intervals = scipy().wilson;
        assert!(intervals.len() >= 3);
        for (successes, trials, confidence, low, high) in intervals {
            let found = wilson(successes, trials, confidence).expect("trials");
            assert!((found.0 - low).abs() < 1e-14 && (found.1 - high).abs() < 1e-14, "{found:?} {low} {high}");
        }
        assert_eq!(wilson(0, 0, 0.95), None);
    }

    #[test]
    fn intervals_reach_the_ends_exactly() {
        for trials in 1..200 {
            let [none, all] = [0, trials].map(|successes| wilson(successes, trials, 0.95).expect("trials"));
            assert!(none.0 == 0.0 && all.1 == 1.0 && none.1 < 1.0 && all.0 > 0.0, "{trials}: {none:?} {all:?}");
        }
    }

    #[test]
    fn normal_quantiles_are_those_of_scipy() {
        let quantiles = scipy().quantile;
        assert!(quantiles.len() >= 5);
        for (probability, expected) in quantiles {
            let found = normal_quantile(probability);
            assert!((found - expected).abs() <= 1e-14 * expected.abs().max(1.0), "{probability}: {found} {expected}");
        }
    }
}
