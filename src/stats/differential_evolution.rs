//! Differential evolution (Storn and Price 1997): minimises a function over the unit cube with a population of vectors.
//!
//! In every generation each member, the parent, gets a child: a mutant, for instance r1 + F (r2 - r3) with other
//! members r1, r2 and r3 ([`Mutant`]), crossed with the parent ([`Crossover`]). A gene of the child outside of [0, 1]
//! is drawn anew. The child replaces its parent when its energy is strictly lower; all children of a generation are
//! made before any replaces its parent, as `updating='deferred'` of scipy.
//!
//! Draws are numbers in [0, 1) in a fixed order, so that another program can repeat an evolution. Once per generation:
//! F, if it is a range. For every member: the other members of its mutant, one after the other, each floor(u n), drawn
//! again while it is the parent or already chosen; the gene where the crossover begins, floor(u d); one number per
//! gene; then one per gene of the child outside of [0, 1], in the order of the genes.

use serde::{Deserialize, Serialize};

/// How children are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evolution {
    /// The formula of the mutant.
    pub mutant: Mutant,
    /// How it is crossed with the parent.
    pub crossover: Crossover,
    /// F: drawn once per generation between these two; not drawn when they are equal.
    pub mutation: (f64, f64),
    /// The probability that a gene comes from the mutant.
    pub recombination: f64,
}

/// The formula of a mutant, with the parent x, the best member b and other members r at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mutant {
    /// b + F (r1 - r2).
    Best1,
    /// r1 + F (r2 - r3).
    Rand1,
    /// b + F (r1 + r2 - r3 - r4).
    Best2,
    /// r1 + F (r2 + r3 - r4 - r5).
    Rand2,
    /// r1 + F (b - r1 + r2 - r3).
    RandToBest1,
    /// x + F (b - x + r1 - r2).
    CurrentToBest1,
}

impl Mutant {
    /// The number of other members in the formula.
    pub const fn others(self) -> usize {
        match self {
            Self::Best1 | Self::CurrentToBest1 => 2,
            Self::Rand1 | Self::RandToBest1 => 3,
            Self::Best2 => 4,
            Self::Rand2 => 5,
        }
    }
}

/// How a mutant is crossed with the parent. At least one gene comes from the mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Crossover {
    /// Each gene independently, with the probability of recombination.
    Binomial,
    /// A run of genes, which ends at the first draw that is not below the probability of recombination.
    Exponential,
}

/// Vectors and their energies.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    dimensions: usize,
    /// `[n, d]`.
    genes: Vec<f64>,
    /// `[n]`; lower is better.
    energies: Vec<f64>,
}

impl Population {
    /// A population of vectors `[n, d]` and their energies `[n]`. An energy of NaN counts as infinite. `None` when the
    /// population is empty or the lengths do not match.
    pub fn new(dimensions: usize, genes: Vec<f64>, energies: Vec<f64>) -> Option<Self> {
        let is_valid = !energies.is_empty() && dimensions > 0 && genes.len() == energies.len() * dimensions;
        is_valid.then(|| Self { dimensions, genes, energies: energies.into_iter().map(nan_to_infinity).collect() })
    }

    /// The vector of a member.
    pub fn member(&self, index: usize) -> &[f64] {
        &self.genes[index * self.dimensions..][..self.dimensions]
    }

    /// The energies of all members.
    pub fn energies(&self) -> &[f64] {
        &self.energies
    }

    /// The index of the member with the lowest energy; of equal ones the first.
    pub fn best(&self) -> usize {
        let energies = &self.energies;
        (1..energies.len()).fold(0, |best, i| if energies[i] < energies[best] { i } else { best })
    }

    /// The children of a generation, `[n, d]`, with draws from [0, 1). `None` when there are too few members for the
    /// mutants.
    pub fn children(&self, evolution: &Evolution, uniform: &mut impl FnMut() -> f64) -> Option<Vec<f64>> {
        let (n, d) = (self.energies.len(), self.dimensions);
        let others = evolution.mutant.others();
        if n <= others {
            return None;
        }
        let (low, high) = evolution.mutation;
        let scale = if low < high { low + (high - low) * uniform() } else { low };
        let best = self.best();
        let mut children = Vec::with_capacity(n * d);
        let mut chosen = [0; 5];
        let mut crosses = vec![false; d];
        for parent in 0..n {
            for i in 0..others {
                chosen[i] = loop {
                    let other = below(uniform(), n);
                    if other != parent && !chosen[..i].contains(&other) {
                        break other;
                    }
                };
            }
            let begin = below(uniform(), d);
            let draws: Vec<f64> = (0..d).map(|_| uniform()).collect();
            cross(evolution, begin, &draws, &mut crosses);
            let start = children.len();
            for (gene, crosses) in crosses.iter().enumerate() {
                let of = |member: usize| self.genes[member * d + gene];
                let [r1, r2, r3, r4, r5] = chosen.map(of);
                let (x, b) = (of(parent), of(best));
                let mutant = || match evolution.mutant {
                    Mutant::Best1 => b + scale * (r1 - r2),
                    Mutant::Rand1 => r1 + scale * (r2 - r3),
                    Mutant::Best2 => b + scale * (r1 + r2 - r3 - r4),
                    Mutant::Rand2 => r1 + scale * (r2 + r3 - r4 - r5),
                    Mutant::RandToBest1 => r1 + scale * (b - r1 + r2 - r3),
                    Mutant::CurrentToBest1 => x + scale * (b - x + r1 - r2),
                };
                children.push(if *crosses { mutant() } else { x });
            }
            for gene in &mut children[start..] {
                if !(0.0..=1.0).contains(gene) {
                    *gene = uniform();
                }
            }
        }
        Some(children)
    }

    /// Replaces every one of the first m members whose child has a strictly lower energy, given the children `[m, d]`
    /// and their energies `[m]`.
    pub fn select(&mut self, children: &[f64], energies: &[f64]) {
        let d = self.dimensions;
        for (i, (child, energy)) in children.chunks_exact(d).zip(energies).enumerate() {
            if nan_to_infinity(*energy) < self.energies[i] {
                self.energies[i] = *energy;
                self.genes[i * d..][..d].copy_from_slice(child);
            }
        }
    }

    /// Whether the standard deviation of the energies is at most `tolerance` times the size of their mean.
    pub fn has_converged(&self, tolerance: f64) -> bool {
        let n = self.energies.len() as f64;
        let mean = self.energies.iter().sum::<f64>() / n;
        let variance = self.energies.iter().map(|energy| (energy - mean).powi(2)).sum::<f64>() / n;
        variance.is_finite() && variance.sqrt() <= tolerance * mean.abs()
    }
}

/// A Latin hypercube (McKay, Beckman and Conover 1979): vectors `[n, d]`, one in each of the n equal slices of every
/// axis. Draws from [0, 1), axis by axis: first the position within every slice, then the swaps that shuffle the
/// slices, from the last one down.
pub fn latin_hypercube(n: usize, d: usize, uniform: &mut impl FnMut() -> f64) -> Vec<f64> {
    let mut vectors = vec![0.0; n * d];
    for axis in 0..d {
        let mut column: Vec<f64> = (0..n).map(|slice| (slice as f64 + uniform()) / n as f64).collect();
        for last in (1..n).rev() {
            column.swap(last, below(uniform(), last + 1));
        }
        for (vector, value) in vectors.chunks_exact_mut(d).zip(column) {
            vector[axis] = value;
        }
    }
    vectors
}

fn nan_to_infinity(energy: f64) -> f64 {
    if energy.is_nan() { f64::INFINITY } else { energy }
}

/// floor(u n), which is below n for every u below 1: the largest is 1 - 2^-53, and n times that is rounded to less than n.
fn below(uniform: f64, n: usize) -> usize {
    (uniform * n as f64) as usize
}

/// Sets which genes come from the mutant, given the gene where the crossover begins and a draw per gene.
fn cross(evolution: &Evolution, begin: usize, draws: &[f64], crosses: &mut [bool]) {
    let d = crosses.len();
    match evolution.crossover {
        Crossover::Binomial => {
            for (crosses, draw) in crosses.iter_mut().zip(draws) {
                *crosses = *draw < evolution.recombination;
            }
            crosses[begin] = true;
        }
        Crossover::Exponential => {
            crosses.fill(false);
            for (i, draw) in draws.iter().enumerate() {
                if i > 0 && *draw >= evolution.recombination {
                    break;
                }
                crosses[(begin + i) % d] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::test_random::uniform;

    const PAPER: Evolution =
        Evolution { mutant: Mutant::Rand1, crossover: Crossover::Binomial, mutation: (0.5, 0.5), recombination: 1.0 };

    fn evolve(evolution: &Evolution, generations: usize) -> Population {
        // The distance from (0.3, 0.3, 0.3).
        let energy = |x: &[f64]| x.iter().map(|x| (x - 0.3).powi(2)).sum::<f64>();
        let mut uniform = uniform(20);
        let genes: Vec<f64> = (0..60).map(|_| uniform()).collect();
        let energies = genes.chunks(3).map(energy).collect();
        let mut population = Population::new(3, genes, energies).expect("a population");
        for _ in 0..generations {
            let children = population.children(evolution, &mut uniform).expect("children");
            assert!(children.iter().all(|gene| (0.0..=1.0).contains(gene)));
            let energies: Vec<f64> = children.chunks(3).map(energy).collect();
            population.select(&children, &energies);
        }
        population
    }

    #[test]
    fn every_strategy_finds_the_minimum_of_a_quadratic() {
        use Mutant::{Best1, Best2, CurrentToBest1, Rand1, Rand2, RandToBest1};
        for mutant in [Best1, Rand1, Best2, Rand2, RandToBest1, CurrentToBest1] {
            for crossover in [Crossover::Binomial, Crossover::Exponential] {
                let evolution = Evolution { mutant, crossover, mutation: (0.5, 0.9), recombination: 0.8 };
                let population = evolve(&evolution, 200);
                let best = population.energies()[population.best()];
                assert!(best < 1e-5, "{mutant:?} {crossover:?}: {best:e}");
            }
        }
        let first = evolve(&PAPER, 0);
        assert!(evolve(&PAPER, 40).energies().iter().sum::<f64>() < 0.1 * first.energies().iter().sum::<f64>());
    }

    #[derive(Deserialize)]
    struct ScipyEvolution {
        dimensions: usize,
        mutation: (f64, f64),
        recombination: f64,
        generations: Vec<ScipyGeneration>,
    }

    #[derive(Deserialize)]
    struct ScipyGeneration {
        strategy: String,
        crossover: String,
        genes: Vec<f64>,
        energies: Vec<f64>,
        draws: Vec<f64>,
        children: Vec<f64>,
    }

    #[test]
    fn children_of_every_strategy_are_those_of_scipy() {
        let text = include_str!("../../tests/golden/differential_evolution/golden.json");
        let ScipyEvolution { dimensions, mutation, recombination, generations } =
            serde_json::from_str(text).expect("golden numbers");
        assert_eq!(generations.len(), 12);
        for ScipyGeneration { strategy, crossover, genes, energies, draws, children } in generations {
            let mutant = match strategy.as_str() {
                "best1" => Mutant::Best1,
                "rand1" => Mutant::Rand1,
                "best2" => Mutant::Best2,
                "rand2" => Mutant::Rand2,
                "randtobest1" => Mutant::RandToBest1,
                "currenttobest1" => Mutant::CurrentToBest1,
                other => panic!("unknown strategy {other}"),
            };
            let cross = if crossover == "bin" { Crossover::Binomial } else { Crossover::Exponential };
            let evolution = Evolution { mutant, crossover: cross, mutation, recombination };
            let population = Population::new(dimensions, genes, energies).expect("a population");
            let mut draws = draws.into_iter();
            let found = population.children(&evolution, &mut || draws.next().expect("a draw")).expect("children");
            assert_eq!(draws.next(), None, "{strategy}{crossover} uses all draws");
            assert_eq!(found.len(), children.len());
            for (i, (found, expected)) in found.iter().zip(children).enumerate() {
                assert!((found - expected).abs() < 1e-15, "{strategy}{crossover}, gene {i}: {found} {expected}");
            }
        }
    }

    #[test]
    fn others_are_drawn_again_while_they_are_the_parent_or_chosen() {
        let population = Population::new(1, vec![0.3, 0.5, 0.4, 0.6], vec![4.0, 3.0, 2.0, 1.0]).expect("a population");
        let member = |index: i32| (f64::from(index) + 0.5) / 4.0;
        // For parent 0: 1, itself, 2, 1 again, 2, 0, 3. For the others: the first three that are left. F is not drawn.
        let draws = [[1, 0, 2, 1, 2, 0, 3].as_slice(), &[0, 2, 3], &[0, 1, 3], &[0, 1, 2]];
        let mut draws = draws.into_iter().flat_map(|others| others.iter().map(|i| member(*i)).chain([0.0, 0.0]));
        let children = population.children(&PAPER, &mut || draws.next().expect("a draw")).expect("children");
        for (found, expected) in children.iter().zip([0.4, 0.2, 0.25, 0.35]) {
            assert!((found - expected).abs() < 1e-15, "{children:?}");
        }
        assert_eq!(draws.next(), None);
    }

    #[test]
    fn a_gene_comes_from_the_mutant_if_its_draw_is_below_the_probability() {
        let crossed = |crossover, recombination, begin, draws: [f64; 4]| {
            let mut crosses = [true; 4];
            cross(&Evolution { crossover, recombination, ..PAPER }, begin, &draws, &mut crosses);
            crosses.map(u8::from)
        };
        assert_eq!(crossed(Crossover::Binomial, 0.5, 0, [0.9, 0.5, 0.49, 0.51]), [1, 0, 1, 0]);
        assert_eq!(crossed(Crossover::Binomial, 0.0, 3, [0.0; 4]), [0, 0, 0, 1]);
        assert_eq!(crossed(Crossover::Exponential, 0.5, 2, [0.9, 0.49, 0.0, 0.5]), [1, 0, 1, 1]);
        assert_eq!(crossed(Crossover::Exponential, 0.0, 1, [0.0; 4]), [0, 1, 0, 0]);
        assert_eq!(crossed(Crossover::Exponential, 1.0, 1, [0.9; 4]), [1, 1, 1, 1]);
    }

    #[test]
    fn draws_just_below_one_choose_the_last() {
        assert!((1..10_000).all(|n| below(1.0_f64.next_down(), n) == n - 1 && below(0.0, n) == 0));
    }

    #[test]
    fn a_latin_hypercube_has_one_vector_in_every_slice_of_every_axis() {
        let vectors = latin_hypercube(50, 4, &mut uniform(21));
        for axis in 0..4 {
            let column: Vec<f64> = vectors.chunks(4).map(|vector| vector[axis]).collect();
            assert!(column.iter().all(|x| (0.0..1.0).contains(x)) && column.iter().any(|x| (x * 50.0).fract() > 0.1));
            let mut slices: Vec<usize> = vectors.chunks(4).map(|vector| (vector[axis] * 50.0) as usize).collect();
            assert!(!slices.is_sorted());
            slices.sort_unstable();
            assert_eq!(slices, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn slices_are_shuffled_from_the_last_one_down_and_may_stay_in_place() {
        // Three positions within the slices, then swaps of the last slice with any of three and of the second with any of two.
        let column = |swaps: [f64; 2]| {
            let mut draws = [0.5; 3].into_iter().chain(swaps);
            let found = latin_hypercube(3, 1, &mut || draws.next().expect("a draw"));
            assert_eq!(draws.next(), None);
            found.into_iter().map(|x| (x * 3.0) as usize).collect::<Vec<_>>()
        };
        assert_eq!(column([0.99, 0.99]), [0, 1, 2]);
        assert_eq!(column([0.99, 0.0]), [1, 0, 2]);
        assert_eq!(column([0.0, 0.99]), [2, 1, 0]);
        assert_eq!(column([0.34, 0.0]), [2, 0, 1]);
    }

    #[test]
    fn a_child_replaces_its_parent_only_when_strictly_better() {
        let mut population = Population::new(1, vec![0.1, 0.2], vec![1.0, f64::NAN]).expect("a population");
        population.select(&[0.7, 0.8], &[1.0, 5.0]);
        assert_eq!((population.member(0), population.member(1)), (&[0.1][..], &[0.8][..]));
        assert_eq!(population.best(), 0);
        let mut population =
            Population::new(2, vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6], vec![1.0; 3]).expect("a population");
        population.select(&[0.7, 0.8, 0.9, 0.95], &[2.0, 0.5]);
        let members = [0, 1, 2].map(|member| population.member(member).to_vec());
        assert_eq!(members, [[0.1, 0.2], [0.9, 0.95], [0.5, 0.6]]);
        assert_eq!(population.energies(), [1.0, 0.5, 1.0]);
    }

    #[test]
    fn a_population_too_small_for_its_mutants_has_no_children() {
        let population = Population::new(1, vec![0.1, 0.2, 0.3], vec![1.0; 3]).expect("a population");
        assert_eq!(population.children(&PAPER, &mut || 0.5), None);
        assert!(population.has_converged(0.0));
        let just_enough = Population::new(1, vec![0.1, 0.2, 0.3, 0.4], vec![1.0; 4]).expect("a population");
        assert!(just_enough.children(&PAPER, &mut uniform(1)).is_some());
    }

    #[test]
    fn a_population_needs_members_and_matching_lengths() {
        assert_eq!((Population::new(1, vec![], vec![]), Population::new(0, vec![], vec![1.0])), (None, None));
        assert_eq!(Population::new(2, vec![0.0; 3], vec![1.0; 2]), None);
    }

    #[test]
    fn converges_when_the_deviation_is_at_most_a_fraction_of_the_mean() {
        // Mean -4, standard deviation 1.
        let population = Population::new(1, vec![0.5; 2], vec![-3.0, -5.0]).expect("a population");
        assert!(population.has_converged(0.25) && !population.has_converged(0.249));
        let infinite = Population::new(1, vec![0.5; 2], vec![f64::NAN, 1.0]).expect("a population");
        assert!(!infinite.has_converged(1e9));
        assert_eq!(infinite.best(), 1);
    }

    #[test]
    fn of_equal_energies_the_first_member_is_the_best() {
        assert_eq!(Population::new(1, vec![0.5; 3], vec![2.0, 1.0, 1.0]).expect("a population").best(), 1);
    }
}
