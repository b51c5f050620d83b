//! Windows judged by all pairs of latents, with permutations.

use super::{sample::Sample, table::Judged};
use crate::stats::{
    jensen_shannon::distance_of_weights,
    marginals::Marginals,
    mmd::{GaussianKernelSum, Reference},
    permutation::{Groups, Strata, p_value},
    points::{Points, WIDE, stride},
    quantile,
};

/// A reference that windows are compared with.
pub(super) struct Exact {
    reference: Reference,
    /// Of the reference: `[n, class]`, and blocks by row.
    probabilities: Vec<f32>,
    blocks: Vec<String>,
    classes: usize,
    /// Bins of the histograms of latent dimensions, where those are compared.
    bins: Option<usize>,
    permutations: usize,
}

/// What of two samples is compared, besides their discrepancy.
pub(super) struct Comparison {
    /// How many classes there are probabilities of; 0 where they are not compared.
    pub(super) classes: usize,
    pub(super) bins: Option<usize>,
    pub(super) permutations: usize,
}

impl Exact {
    pub(super) fn new(sample: Sample, kernel: GaussianKernelSum, how: &Comparison) -> Self {
        let Sample { latents, probabilities, blocks } = sample;
        let &Comparison { classes, bins, permutations } = how;
        Self { reference: Reference::new(latents, kernel), probabilities, blocks, classes, bins, permutations }
    }

    /// Rows of the reference.
    pub(super) const fn len(&self) -> usize {
        self.reference.len()
    }

    /// Judges a sample. `level` is that of the threshold, `bits` are the draws of its permutations.
    pub(super) fn judge(&self, sample: &Sample, level: f64, bits: &mut dyn FnMut() -> u64) -> Judged {
        let points = &sample.latents;
        let (n, m) = (self.len(), points.len());
        let nothing = |reason| Judged { n: m as u64, reason: Some(reason), ..Judged::default() };
        if m < 2 {
            return nothing("fewer than 2 rows");
        }
        let size = self.reference.group_size(points);
        let own = if m <= n { n..n + m } else { 0..n };
        let mut strata = self.strata(sample, &own);
        if !strata.can_exchange() {
            return nothing("no block has rows of both the window and the reference");
        }
        let marginals = self.bins.and_then(|bins| Marginals::new(self.reference.points(), points, bins));
        let mut groups = Groups::of_size(size);
        (0..self.permutations).for_each(|_| strata.draw(&mut groups, bits));
        let Some(tested) = self.reference.test(points, &groups) else { return nothing("fewer than 2 rows") };
        let mut null = tested.null.clone();
        null.sort_unstable_by(f64::total_cmp);
        let mut judged = Judged {
            n: m as u64,
            discrepancy: Some(tested.discrepancy),
            mmd2_threshold: quantile::linear(&null, 1.0 - level),
            p_value: Some(tested.p_value()),
            ..Judged::default()
        };
        let mut observed = Groups::of_size(size);
        observed.push_range(own);
        let all = || observed.iter().chain(groups.iter());
        if let Some((distance, p_value)) = tested_by(all().filter_map(|group| self.class_distance(sample, group))) {
            (judged.js_class, judged.js_class_p_value) = (Some(distance), Some(p_value));
        }
        if let Some(marginals) = marginals
            && let Some((distance, p_value)) =
                tested_by(all().filter_map(|group| Some(marginals.greatest(group)?.distance)))
        {
            judged.js_dimension =
                observed.iter().next().and_then(|group| marginals.greatest(group)).map(|found| found.dimension as u64);
            (judged.js_latent, judged.js_latent_p_value) = (Some(distance), Some(p_value));
        }
        judged
    }

    fn strata(&self, sample: &Sample, own: &std::ops::Range<usize>) -> Strata {
        if sample.blocks.is_empty() {
            return Strata::single(self.len() + sample.latents.len(), own.len());
        }
        let mut names: Vec<&str> = self.blocks.iter().chain(&sample.blocks).map(String::as_str).collect();
        let pooled = names.clone();
        names.sort_unstable();
        names.dedup();
        let number = |name: &&str| names.binary_search(name).map_or(0, |place| place as u32);
        Strata::by_block(&pooled.iter().map(number).collect::<Vec<_>>(), own)
    }

    /// The Jensen-Shannon distance between the mean class probabilities of a group and those of the others.
    fn class_distance(&self, sample: &Sample, group: &[u32]) -> Option<f64> {
        if self.classes == 0 {
            return None;
        }
        let row = |i: usize| {
            let known = i.checked_sub(self.len());
            let (of, i) = known.map_or((&self.probabilities, i), |i| (&sample.probabilities, i));
            &of[i * self.classes..][..self.classes]
        };
        let add = |mut sums: Vec<f64>, row: &[f32]| {
            sums.iter_mut().zip(row).for_each(|(sum, p)| *sum += f64::from(*p));
            sums
        };
        let zeros = || vec![0.0; self.classes];
        let inside = group.iter().map(|i| row(*i as usize)).fold(zeros(), add);
        let every =
            self.probabilities.chunks_exact(self.classes).chain(sample.probabilities.chunks_exact(self.classes));
        let outside: Vec<f64> =
            every.fold(zeros(), add).iter().zip(&inside).map(|(all, own)| (all - own).max(0.0)).collect();
        distance_of_weights(&inside, &outside)
    }
}

/// The first of some distances, and its p-value among the others.
fn tested_by(mut distances: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let observed = distances.next()?;
    let null: Vec<f64> = distances.collect();
    Some((observed, p_value(observed, &null)))
}

/// One kernel as wide as the median distance between points.
pub(super) fn median_kernel(points: &Points) -> Option<GaussianKernelSum> {
    // Of more, evenly chosen ones: a median needs no more.
    const MOST: usize = 2048;
    let points = points.select((0..points.len()).step_by(points.len().div_ceil(MOST).max(1)));
    let (mut distances, mut block) = (Vec::new(), Vec::new());
    for first in (0..points.len()).step_by(WIDE) {
        let rows = first..(first + WIDE).min(points.len());
        points.squared_distances(rows.clone(), &points, rows.end, &mut block);
        rows.clone().for_each(|i| distances.extend_from_slice(&block[(i - first) * stride(rows.end)..][..i]));
    }
    GaussianKernelSum::median(&mut distances)
}
