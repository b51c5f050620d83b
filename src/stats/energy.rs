//! The energy distance of two samples (Székely and Rizzo 2013, "Energy statistics"),
//! sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|).
//!
//! Means are over all pairs, pairs of a point with itself included, so the distance is never negative, and it is zero
//! for equal samples. For numbers it equals sqrt(2 integral (F - G)^2) with the distribution functions F and G: both
//! samples are sorted once, and nothing cancels. For points, distances are computed in blocks of rows, so memory does
//! not grow with their square; the difference of means then has an error of about 1e-16 of the distances, so equal
//! samples may be apart by the root of that.

use std::ops::Range;

use super::points::{Points, stride};

/// Distances in memory at once.
const BLOCK: usize = 1 << 20;
/// Maximum rows of a block.
const BLOCK_ROWS: usize = 96;

/// The energy distance of two samples of numbers, as `scipy.stats.energy_distance`. Sorts the samples. `None` when one
/// is empty; not finite when a number is not.
pub fn of_numbers(x: &mut [f64], y: &mut [f64]) -> Option<f64> {
    if x.is_empty() || y.is_empty() {
        return None;
    }
    x.sort_unstable_by(f64::total_cmp);
    y.sort_unstable_by(f64::total_cmp);
    let (mut below_x, mut below_y, mut integral, mut from) = (0, 0, 0.0_f64, x[0].min(y[0]));
    loop {
        let (next, is_of_x) = match (x.get(below_x), y.get(below_y)) {
            (Some(a), Some(b)) if a <= b => (*a, true),
            (Some(a), None) => (*a, true),
            (_, Some(b)) => (*b, false),
            (None, None) => return Some((2.0 * integral).sqrt()),
        };
        let difference = below_x as f64 / x.len() as f64 - below_y as f64 / y.len() as f64;
        integral += difference * difference * (next - from);
        from = next;
        if is_of_x {
            below_x += 1;
        } else {
            below_y += 1;
        }
    }
}

/// The energy distance of two samples of points of equal dimension, with Euclidean distances; `None` when one is empty.
pub fn of_points(x: &Points, y: &Points) -> Option<f64> {
    if x.is_empty() || y.is_empty() {
        return None;
    }
    let (m, n) = (x.len() as f64, y.len() as f64);
    let across = 2.0 * sum(x, y, |_| y.len()) / (m * n);
    let within = |points: &Points, n: f64| 2.0 * sum(points, points, |row| row) / (n * n);
    let squared = across - within(x, m) - within(y, n);
    Some(if squared < 0.0 { 0.0 } else { squared.sqrt() })
}

/// The sum over the points i of the distances to the first `upto(i)` points of another set.
fn sum(points: &Points, others: &Points, upto: impl Fn(usize) -> usize) -> f64 {
    let block = (BLOCK / stride(others.len())).clamp(1, BLOCK_ROWS);
    let blocks = (0..points.len()).step_by(block).map(|first| first..(first + block).min(points.len()));
    let mut squares = Vec::new();
    let mut of_block = |rows: Range<usize>| {
        let columns = upto(rows.end - 1);
        points.squared_distances(rows.clone(), others, columns, &mut squares);
        let row = |row: usize| &squares[(row - rows.start) * stride(columns)..][..upto(row)];
        rows.clone().map(|i| row(i).iter().map(|square| square.sqrt()).sum::<f64>()).sum::<f64>()
    };
    blocks.map(&mut of_block).sum()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct ScipyEnergies {
        samples: Vec<ScipyPointEnergy>,
        numbers: Vec<ScipyNumberEnergy>,
    }

    #[derive(Deserialize)]
    struct ScipyPointEnergy {
        dimension: usize,
        x: Vec<f32>,
        y: Vec<f32>,
        energy_squared: f64,
    }

    #[derive(Deserialize)]
    struct ScipyNumberEnergy {
        a: Vec<f64>,
        b: Vec<f64>,
        energy: f64,
    }

    fn scipy() -> ScipyEnergies {
        serde_json::from_str(include_str!("../../tests/golden/drift/golden.json")).expect("golden numbers")
    }

    #[test]
    fn distances_of_numbers_are_those_of_scipy_in_either_order() {
        let all = scipy().numbers;
        assert!(all.len() >= 3);
        for ScipyNumberEnergy { mut a, mut b, energy } in all {
            let (found, back) = (of_numbers(&mut a, &mut b).expect("a distance"), of_numbers(&mut b, &mut a));
            assert!((found - energy).abs() < 1e-14, "{found} {energy}");
            assert_eq!(back, Some(found));
        }
    }

    #[test]
    fn distances_of_points_are_those_of_all_pairs_in_scipy() {
        let all = scipy().samples;
        assert!(all.len() >= 4);
        for sample in all {
            let (x, y) = (Points::new(&sample.x, sample.dimension), Points::new(&sample.y, sample.dimension));
            let found = of_points(&x, &y).expect("a distance").powi(2);
            assert!((found - sample.energy_squared).abs() < 1e-12 * sample.energy_squared.max(1.0), "{found}");
        }
    }

    #[test]
    fn points_of_one_dimension_are_as_far_apart_as_numbers_for_any_block_size() {
        let numbers =
            |n: usize, shift: f32| (0..n).map(|i| (i * 7919 % 1009) as f32 / 64.0 + shift).collect::<Vec<_>>();
        // 12,000 columns make blocks of 87 rows, 250 make blocks of 96.
        for (m, n) in [(300, 250), (200, 12_000)] {
            let (x, y) = (numbers(m, 0.0), numbers(n, 0.75));
            let doubles = |numbers: &[f32]| numbers.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
            let expected = of_numbers(&mut doubles(&x), &mut doubles(&y)).expect("a distance");
            let found = of_points(&Points::new(&x, 1), &Points::new(&y, 1)).expect("a distance");
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn distances_computed_by_hand() {
        // |X - Y| is 5 and 0, |X - X'| is 0 and 5 twice each: 2 * 2.5 - 2.5 - 0.
        let (x, y) = (Points::new(&[0.0, 0.0, 3.0, 4.0], 2), Points::new(&[0.0, 0.0], 2));
        assert_eq!(of_points(&x, &y), Some(2.5_f64.sqrt()));
        assert_eq!(of_numbers(&mut [0.0, 5.0], &mut [0.0]), Some(2.5_f64.sqrt()));
    }

    #[test]
    fn equal_samples_are_at_zero_and_empty_ones_have_no_distance() {
        assert_eq!(of_numbers(&mut [3.0, 1.0, 2.0], &mut [2.0, 3.0, 1.0]), Some(0.0));
        assert_eq!((of_numbers(&mut [], &mut [1.0]), of_numbers(&mut [1.0], &mut [])), (None, None));
        let points = Points::new(&[1.0, 2.0, 3.0, 4.0, 9.0, 6.0], 2);
        assert!(of_points(&points, &points).expect("a distance") < 1e-7);
        assert_eq!(of_points(&points, &Points::new(&[], 2)), None);
    }

    #[test]
    fn a_number_that_is_not_finite_gives_no_finite_distance() {
        for odd in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let found = of_numbers(&mut [1.0, odd, 2.0], &mut [1.5, 0.0]).expect("an answer");
            assert!(!found.is_finite(), "{odd}: {found}");
        }
    }
}
