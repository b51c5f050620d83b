//! How an attack searches: the search of the paper and that of scipy, and what a user changes of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OnePixel;
use crate::{
    error::{Code, Diagnostic},
    stats::differential_evolution::{Crossover, Evolution, Mutant},
};

/// What a search is by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// That of arXiv 2112.14299, after Su et al.: 400 candidates, rows and columns uniform, values of the first population normal
    /// around the middle, x1 + 0.5 (x2 - x3) without crossover, at most 80 generations.
    #[default]
    Paper,
    /// The defaults of `scipy.optimize.differential_evolution`: 15 candidates for every gene in a Latin hypercube, `best1bin`, mutation
    /// from 0.5 to 1, recombination 0.7, at most 1000 generations, tolerance 0.01. Children of a generation are made together
    /// (`updating='deferred'`).
    Scipy,
}

/// How children are made, in scipy's words: the mutant, and whether the crossover is binomial or exponential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are scipy's")]
pub enum Strategy {
    Best1Bin,
    Best1Exp,
    Rand1Bin,
    Rand1Exp,
    Best2Bin,
    Best2Exp,
    Rand2Bin,
    Rand2Exp,
    RandToBest1Bin,
    RandToBest1Exp,
    CurrentToBest1Bin,
    CurrentToBest1Exp,
}

impl Strategy {
    const fn parts(self) -> (Mutant, Crossover) {
        use Crossover::{Binomial, Exponential};
        match self {
            Self::Best1Bin => (Mutant::Best1, Binomial),
            Self::Best1Exp => (Mutant::Best1, Exponential),
            Self::Rand1Bin => (Mutant::Rand1, Binomial),
            Self::Rand1Exp => (Mutant::Rand1, Exponential),
            Self::Best2Bin => (Mutant::Best2, Binomial),
            Self::Best2Exp => (Mutant::Best2, Exponential),
            Self::Rand2Bin => (Mutant::Rand2, Binomial),
            Self::Rand2Exp => (Mutant::Rand2, Exponential),
            Self::RandToBest1Bin => (Mutant::RandToBest1, Binomial),
            Self::RandToBest1Exp => (Mutant::RandToBest1, Exponential),
            Self::CurrentToBest1Bin => (Mutant::CurrentToBest1, Binomial),
            Self::CurrentToBest1Exp => (Mutant::CurrentToBest1, Exponential),
        }
    }
}

/// A number, or two between which one is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Range {
    /// One number.
    Fixed(f64),
    /// From the first to the second.
    Between([f64; 2]),
}

impl Range {
    const fn ends(self) -> (f64, f64) {
        match self {
            Self::Fixed(value) => (value, value),
            Self::Between([low, high]) => (low, high),
        }
    }

    pub(super) fn mistake(self) -> Option<Diagnostic> {
        let (low, high) = self.ends();
        let fine = (0.0..=2.0).contains(&low) && (low..=2.0).contains(&high);
        let message = format!("`mutation` goes from 0 to 2, the lower first; it is {low} to {high}");
        (!fine).then(|| Diagnostic::at("mutation", Code::OutOfRange, message))
    }
}

/// Where the model responds most, as far as single pixels of a grid tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Screening {
    /// Pixels from one that is tried to the next, in rows and columns.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub stride: usize,
    /// The first population is placed around this many pixels.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1))]
    pub keep: usize,
}

const fn five() -> usize {
    5
}

const fn twenty() -> usize {
    20
}

/// How the first population is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// Places uniform, values normal around the middle, clipped.
    AroundTheMiddle,
    /// Every gene in every slice of its range once.
    LatinHypercube,
}

/// A search, all defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    pub(super) first: First,
    pub(super) population: usize,
    /// Candidates for every gene, when the population was not said.
    for_every_gene: Option<usize>,
    pub(super) generations: u32,
    pub(super) max_queries: u64,
    pub(super) evolution: Evolution,
    pub(super) tolerance: Option<f64>,
    pub(super) screening: Option<Screening>,
}

impl Search {
    pub(super) fn of(settings: &OnePixel) -> Self {
        let (first, population, for_every_gene, generations, strategy, mutation, recombination, tolerance) =
            match settings.preset {
                Preset::Paper => {
                    (First::AroundTheMiddle, 400, None, 80, Strategy::Rand1Bin, Range::Fixed(0.5), 1.0, None)
                }
                Preset::Scipy => {
                    let mutation = Range::Between([0.5, 1.0]);
                    (First::LatinHypercube, 15, Some(15), 1000, Strategy::Best1Bin, mutation, 0.7, Some(0.01))
                }
            };
        let (mutant, crossover) = settings.strategy.unwrap_or(strategy).parts();
        Self {
            first,
            population: settings.popsize.unwrap_or(population),
            for_every_gene: for_every_gene.filter(|_| settings.popsize.is_none()),
            generations: settings.maxiter.unwrap_or(generations),
            max_queries: settings.max_queries.unwrap_or(u64::MAX),
            evolution: Evolution {
                mutant,
                crossover,
                mutation: settings.mutation.unwrap_or(mutation).ends(),
                recombination: settings.recombination.unwrap_or(recombination),
            },
            tolerance: settings.tolerance.or(tolerance),
            screening: settings.screening,
        }
    }

    /// Takes in how many genes there are.
    pub(super) fn settle(&mut self, dimensions: usize) {
        if let Some(each) = self.for_every_gene {
            self.population = each * dimensions;
        }
    }
}
