//! The distances so far, and their statistics.

use serde::{Deserialize, Serialize};

use super::{
    distance_sample::DistanceSample,
    settings::LatentDistance,
    table::{DistanceSummary, DistanceTotal, Divergence, ObjectDistance},
};
use crate::{
    random::{Stream, rank},
    stats::{
        jensen_shannon::{Pairs, in_base_2},
        moments::Moments,
        permutation::p_value,
        quantile,
    },
};

/// The most objects that quantiles and histograms are computed from.
pub(super) const MAX_SAMPLED: usize = 1 << 20;

/// Counts and sums over all objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct DistanceTally {
    /// Rows about objects.
    objects: u64,
    /// Moments of the distances of each pair.
    moments: [Moments; 2],
}

/// The tally, and the sample that quantiles are computed from.
pub(super) struct Distances {
    /// Whether a second pair is compared.
    pub(super) has_versus: bool,
    pub(super) tally: DistanceTally,
    pub(super) sample: DistanceSample,
}

impl Distances {
    pub(super) fn new(has_versus: bool) -> Self {
        Self { has_versus, tally: DistanceTally::default(), sample: DistanceSample::new(MAX_SAMPLED) }
    }

    /// Adds an object. The statistics cover objects that were not withheld by an attack and have all distances.
    pub(super) fn add(&mut self, seed: u64, object: &ObjectDistance) {
        self.tally.objects += 1;
        let is_counted = object.flipped != Some(false) && object.versus.is_some() == self.has_versus;
        if let Some(distance) = object.distance.filter(|_| is_counted) {
            self.tally.moments[0].add(distance);
            object.versus.iter().for_each(|versus| self.tally.moments[1].add(*versus));
            self.sample.add(rank(seed, &object.object_id), distance, object.versus.unwrap_or(0.0));
        }
    }

    /// The statistics. `label` is the monitor's: with the seed it determines the permutations.
    pub(super) fn total(&self, settings: &LatentDistance, seed: u64, label: &str) -> DistanceTotal {
        let pairs = self.sample.pairs();
        let [own, versus] = &self.tally.moments;
        let sorted = |of: fn(&(f64, f64)) -> f64| {
            let mut sorted: Vec<f64> = pairs.iter().map(of).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            sorted
        };
        let mut total = DistanceTotal {
            objects: self.tally.objects,
            n: own.count(),
            own: summary(own, &sorted(|pair| pair.0), &settings.quantiles),
            ..DistanceTotal::default()
        };
        if self.has_versus {
            total.versus = summary(versus, &sorted(|pair| pair.1), &settings.quantiles);
            let mut stream = Stream::new(seed, "", &format!("{label}/permutations"));
            total.divergence =
                divergence(&pairs, settings.bins, settings.permutations, &mut || stream.next_u64()).unwrap_or_default();
        }
        total
    }
}

fn summary(moments: &Moments, sorted: &[f64], quantiles: &[f64]) -> DistanceSummary {
    DistanceSummary {
        median: quantile::linear(sorted, 0.5),
        mean: moments.mean(),
        standard_error: moments.standard_error(),
        quantiles: quantiles.iter().filter_map(|q| quantile::linear(sorted, *q)).collect(),
    }
}

/// The Jensen-Shannon distance of the two distributions and its permutation test; `None` if there are no pairs.
fn divergence(
    pairs: &[(f64, f64)],
    bins: usize,
    permutations: usize,
    bits: &mut dyn FnMut() -> u64,
) -> Option<Divergence> {
    let pairs = Pairs::new(pairs, bins)?;
    let distance = pairs.distance()?;
    let mut null = pairs.swapped(permutations, bits);
    null.sort_unstable_by(f64::total_cmp);
    Some(Divergence {
        distance: Some(distance),
        base_2: Some(in_base_2(distance)),
        null_median: quantile::linear(&null, 0.5),
        null_p95: quantile::linear(&null, 0.95),
        p_value: (!null.is_empty()).then(|| p_value(distance, &null)),
    })
}
