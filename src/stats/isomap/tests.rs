//! Embeddings against those of scikit-learn.

use serde::Deserialize;

use super::{jacobi::eigen, *};

#[derive(Deserialize)]
struct SklearnEmbeddings {
    cases: Vec<SklearnEmbedding>,
}

#[derive(Deserialize)]
struct SklearnEmbedding {
    name: String,
    dimension: usize,
    neighbours: usize,
    components: usize,
    points: Vec<f32>,
    parts: usize,
    coordinates: Vec<f64>,
    others: Vec<f32>,
    placed: Vec<f64>,
}

fn golden() -> Vec<SklearnEmbedding> {
    let text = include_str!("../../../tests/golden/isomap/golden.json");
    serde_json::from_str::<SklearnEmbeddings>(text).expect("golden numbers").cases
}

fn column(numbers: &[f64], components: usize, c: usize) -> Vec<f64> {
    numbers.iter().skip(c).step_by(components).copied().collect()
}

/// The columns, centred, of unit size together.
fn standard(numbers: &[f64], components: usize) -> Vec<Vec<f64>> {
    let mut columns: Vec<Vec<f64>> = (0..components).map(|c| column(numbers, components, c)).collect();
    for column in &mut columns {
        let mean = column.iter().sum::<f64>() / column.len() as f64;
        column.iter_mut().for_each(|x| *x -= mean);
    }
    let size = columns.iter().flatten().map(|x| x * x).sum::<f64>().sqrt();
    columns.iter_mut().flatten().for_each(|x| *x /= size);
    columns
}

/// The Procrustes disparity: 1 - (sum of the singular values of A^T B)^2, A and B centred and of unit size.
fn disparity(a: &[f64], b: &[f64], components: usize) -> f64 {
    let (a, b) = (standard(a, components), standard(b, components));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let m: Vec<Vec<f64>> = a.iter().map(|a| b.iter().map(|b| dot(a, b)).collect()).collect();
    let square = |i: usize, j: usize| m.iter().map(|row| row[i] * row[j]).sum::<f64>();
    let squares = (0..components * components).map(|at| square(at / components, at % components)).collect();
    let (values, _) = eigen(squares, components);
    1.0 - values.iter().map(|value| value.max(0.0).sqrt()).sum::<f64>().powi(2)
}

fn size(numbers: &[f64]) -> f64 {
    numbers.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn embeddings_are_those_of_scikit_learn() {
    for case in golden() {
        let isomap = Isomap::fit(&Points::new(&case.points, case.dimension), case.neighbours, case.components);
        let isomap = isomap.expect("an embedding");
        let (name, c) = (&case.name, case.components);
        assert_eq!(isomap.components(), case.parts, "{name}");
        let disparity = disparity(isomap.coordinates(), &case.coordinates, c);
        assert!(disparity.abs() < 1e-12, "{name}: {disparity}");
        for axis in 0..c {
            let [found, expected] = [isomap.coordinates(), &case.coordinates].map(|all| size(&column(all, c, axis)));
            assert!((found / expected - 1.0).abs() < 1e-11, "{name}: {found} {expected}");
        }
        // Signs agree too, so coordinates do.
        let scale = size(&case.coordinates) / (case.coordinates.len() as f64).sqrt();
        for (found, expected) in isomap.coordinates().iter().zip(&case.coordinates) {
            assert!((found - expected).abs() < 1e-8 * scale, "{name}: {found} {expected}");
        }
        let placed = isomap.place(&Points::new(&case.others, case.dimension));
        assert_eq!(placed.len(), case.placed.len());
        for (found, expected) in placed.iter().zip(&case.placed) {
            assert!((found - expected).abs() < 1e-8 * scale, "{name}, placed: {found} {expected}");
        }
    }
}

#[test]
fn a_line_is_embedded_as_a_line() {
    let points = Points::new(&[0.0, 0.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0], 2);
    let isomap = Isomap::fit(&points, 1, 3).expect("an embedding");
    let expected = [-8.75, -3.75, 1.25, 11.25];
    for (i, expected) in expected.into_iter().enumerate() {
        let place = &isomap.coordinates()[3 * i..][..3];
        assert!((place[0] - expected).abs() < 1e-12, "{place:?}");
        assert!(place[1].abs() < 1e-6 && place[2].abs() < 1e-6, "{place:?}");
    }
    // A new point on the line beyond the last point, its nearest neighbour.
    let placed = isomap.place(&Points::new(&[15.0, 20.0], 2));
    assert!((placed[0] - 16.25).abs() < 1e-12, "{placed:?}");
}

#[test]
fn axes_of_rounding_errors_are_zero_at_any_scale() {
    for scale in [2f32.powi(-30), 1.0, 2f32.powi(30)] {
        let line: Vec<f32> = [0.0, 0.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0].iter().map(|x| x * scale).collect();
        let isomap = Isomap::fit(&Points::new(&line, 2), 1, 3).expect("an embedding");
        for (place, expected) in isomap.coordinates().chunks_exact(3).zip([-8.75, -3.75, 1.25, 11.25]) {
            assert!((place[0] / f64::from(scale) - expected).abs() < 1e-12, "{scale}: {place:?}");
            assert_eq!(place[1..], [0.0, 0.0], "{scale}");
        }
    }
}

#[test]
fn of_two_coordinates_of_the_largest_size_the_first_is_positive() {
    let isomap = Isomap::fit(&Points::new(&[3.0, 1.0], 1), 1, 1).expect("an embedding");
    let [first, second] = isomap.coordinates() else { panic!("{isomap:?}") };
    assert!((first - 1.0).abs() < 1e-12 && (second + 1.0).abs() < 1e-12, "{first} {second}");
}

#[test]
fn coincident_points_are_embedded_at_the_origin() {
    let isomap = Isomap::fit(&Points::new(&[2.5; 40], 4), 3, 2).expect("an embedding");
    assert!(isomap.coordinates().iter().all(|x| *x == 0.0));
    assert!(isomap.place(&Points::new(&[1.0; 4], 4)).iter().all(|x| *x == 0.0));
}

#[test]
fn too_few_points_or_invalid_settings_have_no_embedding() {
    let fit = |numbers: &[f32], neighbours, components| Isomap::fit(&Points::new(numbers, 1), neighbours, components);
    assert!(fit(&[], 1, 2).is_none() && fit(&[1.0], 1, 2).is_none());
    assert!(fit(&[1.0, 2.0, 3.0], 3, 2).is_none() && fit(&[1.0, 2.0, 3.0], 2, 2).is_some());
    assert!(fit(&[1.0, 2.0, 3.0], 0, 2).is_none() && fit(&[1.0, 2.0, 3.0], 2, 0).is_none());
    assert!(fit(&[1.0, 2.0, f32::NAN], 1, 2).is_none());
    let two = fit(&[1.0, 3.0], 1, 2).expect("an embedding");
    let placed = two.place(&Points::new(&[f32::NAN, 3.0], 1));
    assert!(placed.len() == 4 && placed[..2].iter().all(|x| x.is_nan()) && placed[2..].iter().all(|x| x.is_finite()));
}

#[test]
fn embeddings_are_reproducible_bit_for_bit() {
    let case = golden().swap_remove(0);
    let fit = || Isomap::fit(&Points::new(&case.points, case.dimension), 5, 3).expect("an embedding");
    assert_eq!(fit().coordinates(), fit().coordinates());
}
