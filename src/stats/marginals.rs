//! The dimension in which two samples differ most, by the Jensen-Shannon distance.
//!
//! Every dimension has its own histograms, in bins of equal width over the range of both samples. The greatest of many
//! distances is large by chance, so it has to be compared with the greatest distances of random groups of the pooled
//! sample, which accounts for the number of dimensions too.

use std::ops::ControlFlow;

use super::{jensen_shannon::Bins, points::Points};

/// Two samples, pooled: the bin of every number.
#[derive(Debug, Clone, PartialEq)]
pub struct Marginals {
    dimension: usize,
    bins: usize,
    /// The bin of every number, `[point][dimension]`.
    places: Vec<u8>,
    /// The histograms of all points, `[dimension][bin]`.
    totals: Vec<u32>,
}

/// The dimension in which a group differs most from the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarginalDistance {
    /// Its index.
    pub dimension: usize,
    /// Its Jensen-Shannon distance, natural logarithm.
    pub distance: f64,
}

impl Marginals {
    /// Pools two samples of equal dimension, in 1 to 256 bins; `None` without points, or for another number of bins.
    pub fn new(first: &Points, second: &Points, bins: usize) -> Option<Self> {
        match Self::new_unless(first, second, bins, &|| false) {
            ControlFlow::Continue(marginals) => marginals,
            ControlFlow::Break(()) => unreachable!("nothing stops it"),
        }
    }

    /// The same, which breaks off once `stopped` returns true.
    pub fn new_unless(
        first: &Points,
        second: &Points,
        bins: usize,
        stopped: &dyn Fn() -> bool,
    ) -> ControlFlow<(), Option<Self>> {
        if bins == 0 || bins > 256 {
            return ControlFlow::Continue(None);
        }
        let dimension = first.dimension();
        let count = first.len() + second.len();
        let (mut places, mut totals) = (vec![0; count * dimension], vec![0; dimension * bins]);
        for d in 0..dimension {
            let of = |points: &'_ Points| (0..points.len()).map(|i| f64::from(points.number(i, d))).collect::<Vec<_>>();
            let numbers = [of(first), of(second)].concat();
            if stopped() {
                return ControlFlow::Break(());
            }
            let Some(over) = Bins::over(numbers.iter().copied(), bins) else { return ControlFlow::Continue(None) };
            for (i, number) in numbers.into_iter().enumerate() {
                let bin = over.of(number);
                totals[d * bins + bin] += 1;
                places[i * dimension + d] = bin as u8;
            }
        }
        ControlFlow::Continue(Some(Self { dimension, bins, places, totals }))
    }

    /// The dimension in which a group of the pooled sample differs most from the other points; of equal ones the first.
    /// `None` when the group is empty or holds all points.
    pub fn greatest(&self, group: &[u32]) -> Option<MarginalDistance> {
        let (inside, all) = (group.len(), self.places.len() / self.dimension.max(1));
        if inside == 0 || inside >= all {
            return None;
        }
        let mut counts = vec![0_u32; self.totals.len()];
        for point in group {
            let places = &self.places[*point as usize * self.dimension..][..self.dimension];
            counts.chunks_exact_mut(self.bins).zip(places).for_each(|(counts, bin)| counts[usize::from(*bin)] += 1);
        }
        let (m, n) = (inside as f64, (all - inside) as f64);
        let divergence = |(count, total): (&u32, &u32)| {
            let (p, q) = (f64::from(*count) / m, f64::from(total - count) / n);
            let middle = f64::midpoint(p, q);
            let part = |p: f64| if p > 0.0 { p * (p / middle).ln() } else { 0.0 };
            part(p) + part(q)
        };
        let of_dimension = |(counts, totals): (&[u32], &[u32])| counts.iter().zip(totals).map(divergence).sum::<f64>();
        let pairs = counts.chunks_exact(self.bins).zip(self.totals.chunks_exact(self.bins));
        let greatest = pairs.map(of_dimension).enumerate().fold((0, f64::NEG_INFINITY), |greatest, (d, divergence)| {
            if divergence > greatest.1 { (d, divergence) } else { greatest }
        });
        Some(MarginalDistance { dimension: greatest.0, distance: (greatest.1 / 2.0).max(0.0).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct ScipyMarginals {
        dimensions: Vec<ScipyMarginal>,
    }

    #[derive(Deserialize)]
    struct ScipyMarginal {
        dimension: usize,
        bins: usize,
        x: Vec<f32>,
        y: Vec<f32>,
        distances: Vec<f64>,
    }

    #[test]
    fn the_greatest_distance_over_dimensions_is_that_of_scipy() {
        let text = include_str!("../../tests/golden/drift/golden.json");
        let golden: ScipyMarginals = serde_json::from_str(text).expect("golden numbers");
        assert!(golden.dimensions.len() >= 2);
        for ScipyMarginal { dimension, bins, x, y, distances } in golden.dimensions {
            let [first, second] = [&x, &y].map(|numbers| Points::new(numbers, dimension));
            let marginals = Marginals::new(&first, &second, bins).expect("points");
            let n = (x.len() / dimension) as u32;
            let group: Vec<u32> = (n..n + (y.len() / dimension) as u32).collect();
            let found = marginals.greatest(&group).expect("a greatest");
            let expected = distances.iter().copied().fold(0.0, f64::max);
            assert!((found.distance - expected).abs() < 1e-14, "{found:?} {expected}");
            assert_eq!(distances[found.dimension], expected);
            // Group and others can be exchanged.
            let others: Vec<u32> = (0..n).collect();
            let other = marginals.greatest(&others).expect("a greatest");
            assert!((other.distance - expected).abs() < 1e-14 && other.dimension == found.dimension);
        }
    }

    #[test]
    fn an_empty_group_and_a_group_of_all_points_have_no_distance() {
        let [some, one, none] = [&[1.0, 2.0][..], &[3.0], &[]].map(|numbers| Points::new(numbers, 1));
        let marginals = Marginals::new(&some, &one, 4).expect("points");
        assert_eq!((marginals.greatest(&[]), marginals.greatest(&[0, 1, 2])), (None, None));
        assert_eq!((Marginals::new(&some, &one, 0), Marginals::new(&none, &none, 4)), (None, None));
        assert!(Marginals::new(&some, &one, 256).is_some() && Marginals::new(&some, &one, 257).is_none());
    }

    #[test]
    fn pooling_breaks_off_once_it_is_stopped() {
        let [first, second] = [[0.0; 6], [1.0; 6]].map(|numbers| Points::new(&numbers, 3));
        for dimensions in 0..3 {
            let left = std::cell::Cell::new(dimensions);
            let stopped = || left.replace(left.get() - 1) == 0;
            assert!(Marginals::new_unless(&first, &second, 2, &stopped).is_break(), "after {dimensions} dimensions");
        }
        let finished = Marginals::new_unless(&first, &second, 2, &|| false);
        assert_eq!(finished, ControlFlow::Continue(Marginals::new(&first, &second, 2)));
    }

    #[test]
    fn of_equal_dimensions_the_first_is_returned() {
        let [first, second] = [[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]].map(|numbers| Points::new(&numbers, 2));
        let marginals = Marginals::new(&first, &second, 2).expect("points");
        assert_eq!(marginals.greatest(&[0]).expect("a greatest").dimension, 0);
    }
}
