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
        let MmdTest { discrepancy, null } = reference.test(&y, &groups).expect("tested");
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-13 * reference.kernel().at_zero();
        assert!(close(discrepancy.unbiased, sample.unbiased), "{discrepancy:?} {}", sample.unbiased);
        assert!(close(discrepancy.biased, sample.biased), "{discrepancy:?} {}", sample.biased);
        assert!(null.len() == 6 && null.iter().zip(&sample.grouped).all(|(found, expected)| close(*found, *expected)));
    }
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
