//! Discrepancies against numpy by the definition; size and power of the tests.

use serde::Deserialize;

use super::{
    random_features::{Features, Sums},
    *,
};
use crate::stats::{
    permutation::Strata,
    test_random::{normal, splitmix64},
};

#[derive(Deserialize)]
struct NumpyDiscrepancies {
    samples: Vec<NumpyDiscrepancy>,
}

#[derive(Deserialize)]
struct NumpyDiscrepancy {
    dimension: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    variances: Vec<f64>,
    unbiased: f64,
    biased: f64,
    groups: Vec<Vec<usize>>,
    grouped: Vec<f64>,
}

fn golden() -> Vec<NumpyDiscrepancy> {
    let text = include_str!("../../../tests/golden/drift/golden.json");
    serde_json::from_str::<NumpyDiscrepancies>(text).expect("golden numbers").samples
}

#[derive(Deserialize)]
struct NumpyScales {
    samples: Vec<NumpyScale>,
}

/// Samples of a scale under the kernel of the median distance of the first.
#[derive(Deserialize)]
struct NumpyScale {
    scale: f64,
    dimension: usize,
    x: Vec<f64>,
    y: Vec<f64>,
    variance: f64,
    unbiased: f64,
    biased: f64,
}

fn scales() -> Vec<NumpyScale> {
    let text = include_str!("../../../tests/golden/drift/scales.json");
    serde_json::from_str::<NumpyScales>(text).expect("golden numbers").samples
}

fn sample(n: usize, dimension: usize, shift: f64, normal: &mut dyn FnMut() -> f64) -> Points {
    let numbers: Vec<f32> = (0..n * dimension).map(|_| (normal() + shift) as f32).collect();
    Points::new(&numbers, dimension)
}

#[test]
fn discrepancies_of_samples_and_groups_are_those_of_the_definition() {
    for sample in golden() {
        let kernel = GaussianKernelSum::new(&sample.variances).expect("a kernel");
        let (x, y) = (Points::new(&sample.x, sample.dimension), Points::new(&sample.y, sample.dimension));
        let reference = Reference::new(x, kernel);
        let mut groups = Groups::of_size(reference.group_size(&y));
        sample.groups.iter().for_each(|group| groups.push(group.iter().copied()));
        let MmdTest { discrepancy, null, .. } = reference.test(&y, &groups).expect("tested");
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-13 * reference.kernel().at_zero();
        assert!(close(discrepancy.unbiased, sample.unbiased), "{discrepancy:?} {}", sample.unbiased);
        assert!(close(discrepancy.biased, sample.biased), "{discrepancy:?} {}", sample.biased);
        assert!(null.len() == 6 && null.iter().zip(&sample.grouped).all(|(found, expected)| close(*found, *expected)));
    }
}

#[test]
fn the_median_kernel_and_its_discrepancies_are_those_of_numpy_at_every_scale() {
    let samples = scales();
    assert!(samples.len() >= 30 && samples.iter().any(|sample| sample.scale < 1e-40));
    for NumpyScale { scale, dimension, x, y, variance, unbiased, biased } in samples {
        let points = |numbers: Vec<f64>| {
            let short: Vec<f32> = numbers.iter().map(|number| *number as f32).collect();
            assert!(short.iter().zip(&numbers).all(|(short, number)| f64::from(*short) == *number), "{scale}");
            Points::new(&short, dimension)
        };
        let (x, y) = (points(x), points(y));
        let median = PairDistances::of(&x).expect("different points").median();
        assert!((median / variance - 1.0).abs() < 1e-12, "{scale}: {median} {variance}");
        let kernel = GaussianKernelSum::new(&[median]).expect("a kernel");
        let found = mmd2(x, &y, kernel).expect("a discrepancy");
        assert!((found.unbiased - unbiased).abs() < 1e-12, "{scale}: {found:?} {unbiased}");
        assert!((found.biased - biased).abs() < 1e-12, "{scale}: {found:?} {biased}");
    }
}

#[test]
fn two_points_each_have_the_discrepancy_of_the_formula() {
    // k(d) = exp(-d^2), points 0 and 1, 2 and 4.
    let (x, y) = (Points::new(&[0.0, 1.0], 1), Points::new(&[2.0, 4.0], 1));
    let kernel = GaussianKernelSum::new(&[0.5]).expect("a kernel");
    let k = |d: f64| (-d * d).exp();
    let across = (k(2.0) + k(4.0) + k(1.0) + k(3.0)) / 2.0;
    let reference = Reference::new(x.clone(), kernel);
    let found = reference.discrepancy(&y).expect("a discrepancy");
    assert!((found.unbiased - (k(1.0) + k(2.0) - across)).abs() < 1e-13, "{found:?}");
    assert!((found.biased - ((1.0 + k(1.0)) / 2.0 + (1.0 + k(2.0)) / 2.0 - across)).abs() < 1e-13, "{found:?}");
    assert_eq!((reference.points(), reference.len(), reference.is_empty()), (&x, 2, false));
    assert!(Reference::new(Points::new(&[], 1), GaussianKernelSum::paper()).is_empty());
}

#[test]
fn the_range_of_kernel_values_includes_every_position_of_a_row() {
    for length in 2..40 {
        for at in 0..length {
            let mut row = vec![0.5; length];
            (row[at], row[(at + 1) % length]) = (0.25, 0.75);
            let mut range = KernelRange { least: 0.4, greatest: 0.6 };
            range.include(&row);
            assert_eq!(range, KernelRange { least: 0.25, greatest: 0.75 }, "{at} of {length}");
        }
    }
    let mut range = KernelRange { least: 0.1, greatest: 0.9 };
    range.include(&[0.5; 20]);
    assert_eq!(range, KernelRange { least: 0.1, greatest: 0.9 });
}

#[test]
fn a_test_is_blind_if_its_kernel_values_are_all_equal() {
    let mut normal = normal(15);
    let (x, y) = (sample(30, 5, 0.0, &mut normal), sample(20, 5, 3.0, &mut normal));
    let far = Points::new(&(0..100).map(|i| (1e9 * normal()) as f32 + i as f32).collect::<Vec<_>>(), 5);
    let is_blind = |x: &Points, y: &Points, variances: &[f64]| {
        let reference = Reference::new(x.clone(), GaussianKernelSum::new(variances).expect("a kernel"));
        reference.test(y, &Groups::of_size(reference.group_size(y))).expect("tested").range.is_blind()
    };
    // All kernels vanish, do not tell points apart, or some one and some the other.
    assert!(is_blind(&x, &y, &[1e-9]) && is_blind(&x, &y, &[1e9]) && is_blind(&x, &y, &[1e-9, 1e9]));
    assert!(!is_blind(&x, &y, &PAPER) && !is_blind(&x, &y, &[1.0]));
    // The window is out of sight of the reference and of itself, but the reference sees itself: this is drift.
    assert!(!is_blind(&x, &far, &[1.0]) && !is_blind(&x, &Points::new(&[1.0; 100], 5), &[1.0]));
    // The reference is out of its own sight, but the window sees itself.
    assert!(!is_blind(&far, &y, &[1.0]));
    let other = Points::new(&(0..100).map(|i| (i * i) as f32 * 1e6).collect::<Vec<_>>(), 5);
    assert!(is_blind(&far, &other, &PAPER));
}

#[test]
fn a_test_breaks_off_once_it_is_stopped() {
    let mut normal = normal(16);
    let (x, y) = (sample(60, 3, 0.0, &mut normal), sample(40, 3, 0.0, &mut normal));
    for stored in [true, false] {
        let mut reference = Reference::new(x.clone(), GaussianKernelSum::paper());
        reference.stored = reference.stored.filter(|_| stored);
        let groups = Groups::of_size(40);
        for rows in [0, 1, 59, 60, 99] {
            let left = std::cell::Cell::new(rows);
            let stopped = || left.replace(left.get() - 1) == 0;
            assert!(reference.test_unless(&y, &groups, &stopped).is_break(), "{rows} rows");
        }
        let finished = reference.test_unless(&y, &groups, &|| false);
        assert_eq!(finished, ControlFlow::Continue(reference.test(&y, &groups)));
    }
    assert!(Reference::new_unless(x, GaussianKernelSum::paper(), &|| true).is_break());
}

#[test]
fn random_features_of_every_scale_approximate_the_discrepancy() {
    for NumpyScale { scale, dimension, x, y, variance, unbiased, .. } in scales() {
        let points =
            |numbers: &[f64]| Points::new(&numbers.iter().map(|number| *number as f32).collect::<Vec<_>>(), dimension);
        let kernel = GaussianKernelSum::new(&[variance]).expect("a kernel");
        let features = Features::draw(&kernel, 20_000, dimension, &mut normal(17));
        let sums = |points: &Points| {
            let mut sums = Sums::new(&features, 0);
            sums.add(&features, points, &[]);
            sums
        };
        let (x, y) = (sums(&points(&x)), sums(&points(&y)));
        let (found, _) = random_features::test(&features, &x, &y).expect("tested");
        // A mean of 20,000 cosines.
        assert!((found.unbiased - unbiased).abs() < 0.03, "{scale}: {found:?} {unbiased}");
        assert!(!random_features::is_saturated(&features, &x, &y), "{scale}");
        // A point that is far out of scale has features too.
        assert_eq!(sums(&Points::new(&vec![1e38; dimension], dimension)).count(), 1);
    }
    let features = Features::draw(&GaussianKernelSum::paper(), 190, 2, &mut normal(18));
    let sums = |of: [f32; 2]| {
        let mut sums = Sums::new(&features, 0);
        sums.add(&features, &Points::new(&of.repeat(50), 2), &[]);
        sums
    };
    assert!(random_features::is_saturated(&features, &sums([5.0, 1.0]), &sums([5.0, 1.0])));
    assert!(!random_features::is_saturated(&features, &sums([5.0, 1.0]), &sums([5.0, 1.1])));
}

#[test]
fn stored_and_recomputed_kernel_values_give_the_same_bits() {
    let mut normal = normal(3);
    let (x, y) = (sample(300, 20, 0.0, &mut normal), sample(150, 20, 0.1, &mut normal));
    let stored = Reference::new(x, GaussianKernelSum::paper());
    let mut recomputed = stored.clone();
    recomputed.stored = None;
    let (mut groups, mut strata, mut bits) = (Groups::of_size(150), Strata::single(450, 150), splitmix64(4));
    (0..20).for_each(|_| strata.draw(&mut groups, &mut bits));
    assert!(stored.stored.is_some());
    assert_eq!(stored.test(&y, &groups), recomputed.test(&y, &groups));
}

#[test]
fn equal_samples_have_biased_estimate_zero_and_a_negative_unbiased_one() {
    let points = sample(40, 8, 0.0, &mut normal(5));
    let found = mmd2(points.clone(), &points, GaussianKernelSum::paper()).expect("a discrepancy");
    assert!(found.biased.abs() < 1e-13 && found.unbiased < 0.0, "{found:?}");
}

#[test]
fn fewer_than_two_points_have_no_discrepancy() {
    let (one, two) = (Points::new(&[1.0], 1), Points::new(&[1.0, 2.0], 1));
    assert_eq!(mmd2(one.clone(), &two, GaussianKernelSum::paper()), None);
    assert_eq!(mmd2(two, &one, GaussianKernelSum::paper()), None);
}

/// The fraction of pairs of samples, the second shifted, with a p-value of at most 0.05.
fn rejected(pairs: usize, shift: f64, seed: u64, test: impl Fn(Points, &Points, u64) -> f64) -> f64 {
    let mut normal = normal(seed);
    let p_value = |pair| {
        let (x, y) = (sample(60, 4, 0.0, &mut normal), sample(24, 4, shift, &mut normal));
        test(x, &y, pair as u64)
    };
    (0..pairs).map(p_value).filter(|p| *p <= 0.05).count() as f64 / pairs as f64
}

fn by_permutation(x: Points, y: &Points, pair: u64) -> f64 {
    let reference = Reference::new(x, GaussianKernelSum::new(&[2.0]).expect("a kernel"));
    let (mut groups, mut bits) = (Groups::of_size(24), splitmix64(pair));
    let mut strata = Strata::single(84, 24);
    (0..99).for_each(|_| strata.draw(&mut groups, &mut bits));
    reference.test(y, &groups).expect("tested").p_value()
}

fn by_features(x: &Points, y: &Points, pair: u64) -> f64 {
    let features = Features::draw(&GaussianKernelSum::new(&[2.0]).expect("a kernel"), 64, 4, &mut normal(77 + pair));
    let mut bits = splitmix64(pair);
    let mut sums = |points: &Points| {
        let coins: Vec<u64> = (0..2 * points.len()).map(|_| bits()).collect();
        let mut sums = Sums::new(&features, 99);
        sums.add(&features, points, &coins);
        sums
    };
    let (of_reference, of_window) = (sums(x), sums(y));
    random_features::test(&features, &of_reference, &of_window).expect("tested").1
}

#[test]
fn under_the_null_one_test_in_twenty_rejects() {
    // Three standard errors of 0.05 over 600 pairs are 0.027.
    let size = rejected(600, 0.0, 11, by_permutation);
    assert!((size - 0.05).abs() < 0.027, "{size}");
    let size = rejected(600, 0.0, 12, |x, y, pair| by_features(&x, y, pair));
    assert!((size - 0.05).abs() < 0.027, "{size}");
}

#[test]
fn a_shift_is_detected() {
    let power = rejected(100, 0.8, 13, by_permutation);
    assert!(power > 0.9, "{power}");
    let power = rejected(100, 0.8, 14, |x, y, pair| by_features(&x, y, pair));
    assert!(power > 0.9, "{power}");
}

#[test]
fn many_random_features_approximate_the_discrepancy() {
    let mut draw = normal(6);
    let (x, y) = (sample(200, 6, 0.0, &mut draw), sample(100, 6, 0.5, &mut draw));
    let kernel = GaussianKernelSum::new(&[5.0, 1.0]).expect("a kernel");
    let exact = mmd2(x.clone(), &y, kernel.clone()).expect("a discrepancy");
    let features = Features::draw(&kernel, 4000, 6, &mut draw);
    let sums = |points: &Points| {
        let mut sums = Sums::new(&features, 0);
        sums.add(&features, points, &[]);
        sums
    };
    let (found, p_value) = random_features::test(&features, &sums(&x), &sums(&y)).expect("tested");
    assert!((found.unbiased - exact.unbiased).abs() < 0.1 * exact.unbiased, "{found:?} {exact:?}");
    assert!((found.biased - exact.biased).abs() < 0.1 * exact.biased, "{found:?} {exact:?}");
    assert_eq!(p_value, 1.0);
    assert_eq!((features.len(), features.is_empty()), (8000, false));
    assert!(Features::draw(&kernel, 0, 6, &mut draw).is_empty());
}

#[test]
fn points_are_in_the_groups_whose_coins_show_heads() {
    // One frequency, 1: the features of x are cos x and sin x, in units of 2^-32.
    let features = Features::draw(&GaussianKernelSum::new(&[1.0]).expect("a kernel"), 1, 1, &mut || 1.0);
    let fixed = |x: f64| (x * 4_294_967_296.0).round() as i64;
    let (cosine, sine) = (fixed(0.5_f64.cos()), fixed(0.5_f64.sin()));
    let mut sums = Sums::new(&features, 2);
    sums.add(&features, &Points::new(&[0.0, 0.5], 1), &[0b01, 0b11]);
    let both = [fixed(1.0) + cosine, sine];
    let expected = [2, 1, 2].into_iter().chain(both).chain([cosine, sine]).chain(both);
    assert_eq!(sums.to_bytes(), expected.flat_map(i64::to_le_bytes).collect::<Vec<_>>());
    let none = Features::draw(&GaussianKernelSum::paper(), 0, 1, &mut || 1.0);
    let mut sums = Sums::new(&none, 2);
    sums.add(&none, &Points::new(&[0.0, 0.5], 1), &[0, 0]);
    assert_eq!(sums.count(), 0);
}

#[test]
fn equal_points_are_saturated_however_few_features_and_wherever_they_are() {
    for frequencies in [1, 2, 19] {
        let features =
            Features::draw(&GaussianKernelSum::new(&[0.7]).expect("a kernel"), frequencies, 2, &mut normal(19));
        for i in 0..500 {
            let sums = |n: usize| {
                let point = [i as f32 * 0.618_034, 3.0 - i as f32 * 0.014_142];
                let mut sums = Sums::new(&features, 0);
                sums.add(&features, &Points::new(&point.repeat(n), 2), &[]);
                sums
            };
            assert!(random_features::is_saturated(&features, &sums(7), &sums(5)), "{frequencies} features, point {i}");
        }
    }
}

#[test]
fn random_features_need_two_points_and_the_same_groups() {
    let features = Features::draw(&GaussianKernelSum::paper(), 19, 1, &mut normal(20));
    let sums = |n: usize, tosses: usize| {
        let mut sums = Sums::new(&features, tosses);
        sums.add(&features, &Points::new(&[0.0, 1.0, 2.0][..n], 1), &[1, 0, 1][..n]);
        sums
    };
    let is_tested = |n: usize, m: usize| random_features::test(&features, &sums(n, 1), &sums(m, 1)).is_some();
    assert!(is_tested(2, 2) && is_tested(3, 2) && is_tested(2, 3));
    assert!(!is_tested(1, 2) && !is_tested(2, 1) && !is_tested(0, 2) && !is_tested(2, 0) && !is_tested(0, 0));
    assert_eq!(random_features::test(&features, &sums(3, 1), &sums(3, 2)), None);
}

#[test]
fn a_group_of_no_points_or_of_all_is_no_evidence() {
    let features = Features::draw(&GaussianKernelSum::new(&[1.0]).expect("a kernel"), 8, 1, &mut normal(21));
    let p_value = |coins: u64| {
        let sums = |points: [f32; 3]| {
            let mut sums = Sums::new(&features, 2);
            sums.add(&features, &Points::new(&points, 1), &[coins; 3]);
            sums
        };
        random_features::test(&features, &sums([0.0, 0.1, 0.2]), &sums([2.0, 2.1, 2.2])).expect("tested").1
    };
    assert_eq!([0b00, 0b01, 0b10, 0b11].map(p_value), [1.0; 4]);
}

#[test]
fn merged_sums_of_parts_equal_those_of_all_points_bit_for_bit() {
    let mut draw = normal(7);
    let features = Features::draw(&GaussianKernelSum::paper(), 19, 5, &mut draw);
    let numbers: Vec<f32> = (0..50 * 5).map(|_| draw() as f32).collect();
    let coins: Vec<u64> = (0..100).map(|i| splitmix64(i)()).collect();
    let of = |range: std::ops::Range<usize>| {
        let mut sums = Sums::new(&features, 70);
        let points = Points::new(&numbers[5 * range.start..5 * range.end], 5);
        sums.add(&features, &points, &coins[2 * range.start..2 * range.end]);
        sums
    };
    let mut merged = of(33..50);
    merged.merge(&of(0..1));
    merged.merge(&of(1..33));
    assert_eq!(merged, of(0..50));
    assert_eq!(merged.count(), 50);
    assert_eq!(Sums::from_bytes(&features, 70, &merged.to_bytes()), Some(merged.clone()));
    assert_eq!(Sums::from_bytes(&features, 71, &merged.to_bytes()), None);
}
