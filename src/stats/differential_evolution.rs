//! Differential evolution (Storn and Price 1997): a population of vectors in the unit cube improves by its own differences.
//!
//! For every member a mutant is made, b + F (p - q) with other members p and q, and crossed with the member (*rand1*; the other
//! mutants are in [`Mutant`]). A gene that leaves [0, 1] is drawn anew. A child replaces its parent when its energy is strictly
//! lower; all children of a generation are made before any replaces its parent.
//!
//! Draws are numbers in [0, 1), taken in this order, so that another program can repeat an evolution. Once a generation: F, if it is
//! a range. For every member: the others that its mutant takes, one after the other, each floor(u n), drawn again while it is
//! the member itself or taken already; where the crossover begins, floor(u d); one number for every gene; then one for every
//! gene of the child that lies outside, in the order of the genes.

use serde::{Deserialize, Serialize};

/// How children are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evolution {
    /// What a mutant is made of.
    pub mutant: Mutant,
    /// How it is crossed with the parent.
    pub crossover: Crossover,
    /// F: drawn once a generation between these two; the same number twice is no draw.
    pub mutation: (f64, f64),
    /// The probability that a gene comes from the mutant.
    pub recombination: f64,
}

/// What a mutant is made of: x the parent, b the best, r the others at random.
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
    /// How many others it takes.
    pub const fn others(self) -> usize {
        match self {
            Self::Best1 | Self::CurrentToBest1 => 2,
            Self::Rand1 | Self::RandToBest1 => 3,
            Self::Best2 => 4,
            Self::Rand2 => 5,
        }
    }
}

/// How a mutant is crossed with the parent. One gene at least comes from the mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Crossover {
    /// Every gene alone, with the probability of recombination.
    Binomial,
    /// A run of genes, which ends where recombination first fails.
    Exponential,
}

/// Vectors and their energies.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    dimensions: usize,
    /// `[n, d]`.
    genes: Vec<f64>,
    /// `[n]`, the lower the better.
    energies: Vec<f64>,
}

impl Population {
    /// A population of vectors `[n, d]` and their energies `[n]`. An energy that is not a number counts as infinite.
    ///
    /// `None` when it is empty or the lengths do not fit.
    pub fn new(dimensions: usize, genes: Vec<f64>, energies: Vec<f64>) -> Option<Self> {
        let fits = !energies.is_empty() && dimensions > 0 && genes.len() == energies.len() * dimensions;
        fits.then(|| Self { dimensions, genes, energies: energies.into_iter().map(finite).collect() })
    }

    /// A member.
    pub fn member(&self, index: usize) -> &[f64] {
        &self.genes[index * self.dimensions..][..self.dimensions]
    }

    /// The energies.
    pub fn energies(&self) -> &[f64] {
        &self.energies
    }

    /// The member of the lowest energy, the first of equals.
    pub fn best(&self) -> usize {
        let energies = &self.energies;
        (1..energies.len()).fold(0, |best, i| if energies[i] < energies[best] { i } else { best })
    }

    /// The children of a generation, `[n, d]`, given numbers of [0, 1).
    ///
    /// `None` when there are too few members for the mutants.
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
        let mut taken = [0; 5];
        let mut crosses = vec![false; d];
        for parent in 0..n {
            for i in 0..others {
                taken[i] = loop {
                    let other = below(uniform(), n);
                    if other != parent && !taken[..i].contains(&other) {
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
                let [a, b, c, e, f] = taken;
                let x = of(parent);
                let mutant = || match evolution.mutant {
                    Mutant::Best1 => of(best) + scale * (of(a) - of(b)),
                    Mutant::Rand1 => of(a) + scale * (of(b) - of(c)),
                    Mutant::Best2 => of(best) + scale * (of(a) + of(b) - of(c) - of(e)),
                    Mutant::Rand2 => of(a) + scale * (of(b) + of(c) - of(e) - of(f)),
                    Mutant::RandToBest1 => of(a) + scale * (of(best) - of(a) + of(b) - of(c)),
                    Mutant::CurrentToBest1 => x + scale * (of(best) - x + of(a) - of(b)),
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

    /// Takes in the children `[m, d]` of the first m members, with their energies `[m]`: each strictly better one replaces its parent.
    pub fn select(&mut self, children: &[f64], energies: &[f64]) {
        let d = self.dimensions;
        for (i, (child, energy)) in children.chunks_exact(d).zip(energies).enumerate() {
            if finite(*energy) < self.energies[i] {
                self.energies[i] = *energy;
                self.genes[i * d..][..d].copy_from_slice(child);
            }
        }
    }

    /// Whether the energies differ by no more than `tolerance` of their mean: standard deviation <= tolerance |mean|.
    pub fn has_converged(&self, tolerance: f64) -> bool {
        let n = self.energies.len() as f64;
        let mean = self.energies.iter().sum::<f64>() / n;
        let variance = self.energies.iter().map(|energy| (energy - mean).powi(2)).sum::<f64>() / n;
        variance.is_finite() && variance.sqrt() <= tolerance * mean.abs()
    }
}

/// Vectors `[n, d]` that meet each of n equal slices of every axis once (McKay, Beckman and Conover 1979), given numbers of
/// [0, 1): axis by axis, first the place in every slice, then the swaps that shuffle the slices, from the last down.
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

fn finite(energy: f64) -> f64 {
    if energy.is_nan() { f64::INFINITY } else { energy }
}

fn below(uniform: f64, n: usize) -> usize {
    ((uniform * n as f64) as usize).min(n - 1)
}

/// Which genes come from the mutant.
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

    const PAPER: Evolution =
        Evolution { mutant: Mutant::Rand1, crossover: Crossover::Binomial, mutation: (0.5, 0.5), recombination: 1.0 };

    /// Numbers of [0, 1) from a multiplicative sequence.
    fn numbers() -> impl FnMut() -> f64 {
        let mut state = 20_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    fn evolve(evolution: &Evolution, generations: usize) -> Population {
        // The sphere around (.3, .3, .3).
        let energy = |x: &[f64]| x.iter().map(|x| (x - 0.3).powi(2)).sum::<f64>();
        let mut uniform = numbers();
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
    fn every_strategy_finds_the_bottom_of_a_bowl() {
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

    #[test]
    fn without_crossover_a_child_is_the_mutant_worked_out_by_hand() {
        let genes = vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
        let population = Population::new(2, genes, vec![4.0, 3.0, 2.0, 1.0]).expect("a population");
        // For each parent: three others, where the crossover begins, two genes.
        let others = [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]];
        let mut draws = others.iter().flat_map(|[a, b, c]| {
            [*a, *b, *c].map(|other: i32| (f64::from(other) + 0.5) / 4.0).into_iter().chain([0.0, 0.9, 0.9])
        });
        let children = population.children(&PAPER, &mut || draws.next().unwrap_or(0.5)).expect("children");
        assert!((children[0] - 0.2).abs() < 1e-12 && (children[1] - 0.3).abs() < 1e-12, "{children:?}");
    }

    #[test]
    fn a_latin_hypercube_has_one_vector_in_every_slice_of_every_axis() {
        let vectors = latin_hypercube(50, 4, &mut numbers());
        for axis in 0..4 {
            let mut slices: Vec<usize> = vectors.chunks(4).map(|vector| (vector[axis] * 50.0) as usize).collect();
            assert!(!slices.is_sorted());
            slices.sort_unstable();
            assert_eq!(slices, (0..50).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_equal_child_does_not_replace_its_parent_and_a_better_one_does() {
        let mut population = Population::new(1, vec![0.1, 0.2], vec![1.0, f64::NAN]).expect("a population");
        population.select(&[0.7, 0.8], &[1.0, 5.0]);
        assert_eq!((population.member(0), population.member(1)), (&[0.1][..], &[0.8][..]));
        assert_eq!(population.best(), 0);
    }

    #[test]
    fn a_population_too_small_for_its_mutants_has_no_children() {
        let population = Population::new(1, vec![0.1, 0.2, 0.3], vec![1.0; 3]).expect("a population");
        assert_eq!(population.children(&PAPER, &mut || 0.5), None);
        assert!(population.has_converged(0.0));
    }
}
