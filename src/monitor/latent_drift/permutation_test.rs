//! The permutation test: discrepancies from all pairs of latents, and how they are distributed under permutation.

use std::ops::ControlFlow;

use super::{
    sample::LatentSample,
    table::{BLIND, TOO_FEW_ROWS, TestResult},
};
use crate::stats::{
    jensen_shannon::distance_of_weights,
    marginals::Marginals,
    mmd::{GaussianKernelSum, Reference},
    permutation::{Groups, Strata, p_value},
    quantile,
};

/// Why a window is not tested whose blocks the reference does not have.
const NO_COMMON_BLOCK: &str = "no block has rows of both the window and the reference";

/// A reference, ready to test windows.
pub(super) struct PermutationTest {
    reference: Reference,
    /// Class probabilities of the reference, `[n, class]`.
    probabilities: Vec<f32>,
    /// The block of every row of the reference.
    blocks: Vec<String>,
    options: PermutationTestOptions,
}

/// What is compared besides the latents, and how often the pooled sample is permuted.
#[derive(Debug, Clone, Copy)]
pub(super) struct PermutationTestOptions {
    /// The number of classes; 0 if class probabilities are not compared.
    pub(super) classes: usize,
    /// Bins of the histograms of latent dimensions; `None` if those are not compared.
    pub(super) bins: Option<usize>,
    pub(super) permutations: usize,
}

impl PermutationTest {
    /// Breaks off once `stopped` returns true, as every function here with such an argument.
    pub(super) fn new(
        reference: LatentSample,
        kernel: GaussianKernelSum,
        options: PermutationTestOptions,
        stopped: &dyn Fn() -> bool,
    ) -> ControlFlow<(), Self> {
        let LatentSample { latents, probabilities, blocks, .. } = reference;
        let reference = Reference::new_unless(latents, kernel, stopped)?;
        ControlFlow::Continue(Self { reference, probabilities, blocks, options })
    }

    /// Rows of the reference.
    pub(super) const fn len(&self) -> usize {
        self.reference.len()
    }

    /// Tests a sample. `level` determines the reported threshold; `bits` draws the permutations.
    pub(super) fn test(
        &self,
        sample: &LatentSample,
        level: f64,
        bits: &mut dyn FnMut() -> u64,
        stopped: &dyn Fn() -> bool,
    ) -> ControlFlow<(), TestResult> {
        let points = &sample.latents;
        let (n, m) = (self.len(), points.len());
        let untested = |reason| ControlFlow::Continue(TestResult::untested(m as u64, reason));
        if m < 2 {
            return untested(TOO_FEW_ROWS);
        }
        // Groups have the size of the smaller sample; pooled indices are those of the reference, then those of the window.
        let size = self.reference.group_size(points);
        let own = if m <= n { n..n + m } else { 0..n };
        let mut strata = self.strata(sample, &own);
        if !strata.can_exchange() {
            return untested(NO_COMMON_BLOCK);
        }
        let marginals = match self.options.bins {
            Some(bins) => Marginals::new_unless(self.reference.points(), points, bins, stopped)?,
            None => None,
        };
        let mut groups = Groups::of_size(size);
        for _ in 0..self.options.permutations {
            if stopped() {
                return ControlFlow::Break(());
            }
            strata.draw(&mut groups, bits);
        }
        let Some(tested) = self.reference.test_unless(points, &groups, stopped)? else {
            return untested(TOO_FEW_ROWS);
        };
        let mut result = TestResult { n: m as u64, ..TestResult::default() };
        if tested.range.is_blind() {
            result.reason = Some(BLIND);
        } else {
            let mut null = tested.null.clone();
            null.sort_unstable_by(f64::total_cmp);
            result.discrepancy = Some(tested.discrepancy);
            result.mmd2_threshold = quantile::linear(&null, 1.0 - level);
            result.p_value = Some(tested.p_value());
        }
        let mut observed = Groups::of_size(size);
        observed.push_range(own);
        let all = || observed.iter().chain(groups.iter());
        if let Some((distance, p_value)) =
            first_and_p_value(all().filter_map(|group| self.class_distance(sample, group)), stopped)?
        {
            (result.js_class, result.js_class_p_value) = (Some(distance), Some(p_value));
        }
        if let Some(marginals) = marginals
            && let Some((distance, p_value)) =
                first_and_p_value(all().filter_map(|group| Some(marginals.greatest(group)?.distance)), stopped)?
        {
            result.js_dimension =
                observed.iter().next().and_then(|group| marginals.greatest(group)).map(|found| found.dimension as u64);
            (result.js_latent, result.js_latent_p_value) = (Some(distance), Some(p_value));
        }
        ControlFlow::Continue(result)
    }

    /// The strata within which rows are exchanged; `own` are the indices of the observed group.
    fn strata(&self, sample: &LatentSample, own: &std::ops::Range<usize>) -> Strata {
        if sample.blocks.is_empty() {
            return Strata::single(self.len() + sample.latents.len(), own.len());
        }
        let pooled: Vec<&str> = self.blocks.iter().chain(&sample.blocks).map(String::as_str).collect();
        let mut names = pooled.clone();
        names.sort_unstable();
        names.dedup();
        let number = |name: &&str| names.binary_search(name).map_or(0, |index| index as u32);
        Strata::by_block(&pooled.iter().map(number).collect::<Vec<_>>(), own)
    }

    /// The Jensen-Shannon distance between the mean class probabilities of a group and those of the other rows.
    fn class_distance(&self, sample: &LatentSample, group: &[u32]) -> Option<f64> {
        let classes = self.options.classes;
        if classes == 0 {
            return None;
        }
        let row = |i: usize| {
            let in_window = i.checked_sub(self.len());
            let (of, i) = in_window.map_or((&self.probabilities, i), |i| (&sample.probabilities, i));
            &of[i * classes..][..classes]
        };
        let add = |mut sums: Vec<f64>, row: &[f32]| {
            sums.iter_mut().zip(row).for_each(|(sum, p)| *sum += f64::from(*p));
            sums
        };
        let zeros = || vec![0.0; classes];
        let inside = group.iter().map(|i| row(*i as usize)).fold(zeros(), add);
        let every = self.probabilities.chunks_exact(classes).chain(sample.probabilities.chunks_exact(classes));
        let outside: Vec<f64> =
            every.fold(zeros(), add).iter().zip(&inside).map(|(all, own)| (all - own).max(0.0)).collect();
        distance_of_weights(&inside, &outside)
    }
}

/// The first of some distances, and its p-value among the others.
fn first_and_p_value(
    mut distances: impl Iterator<Item = f64>,
    stopped: &dyn Fn() -> bool,
) -> ControlFlow<(), Option<(f64, f64)>> {
    let Some(observed) = distances.next() else { return ControlFlow::Continue(None) };
    let mut null = Vec::new();
    for distance in distances {
        if stopped() {
            return ControlFlow::Break(());
        }
        null.push(distance);
    }
    ControlFlow::Continue(Some((observed, p_value(observed, &null))))
}
