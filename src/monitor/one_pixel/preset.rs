//! How an attack searches: the presets, and the settings that replace their values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OnePixel;
use crate::{
    error::{Code, Diagnostic},
    stats::differential_evolution::{Crossover, Evolution, Mutant},
};

/// The default values of the search settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Those of arXiv 2112.14299, after Su et al.: 400 candidates, rows and columns of the first population uniform and values
    /// normal around the middle of the range, mutant x1 + 0.5 (x2 - x3) without crossover, at most 80 generations.
    #[default]
    Paper,
    /// Those of `scipy.optimize.differential_evolution`: 15 candidates per gene in a Latin hypercube, `best1bin`, mutation from
    /// 0.5 to 1, recombination 0.7, at most 1000 generations, tolerance 0.01. All children of a generation are made before any
    /// replaces its parent (`updating='deferred'`).
    Scipy,
}

/// How children are made, in scipy's terms: the mutant, and a binomial or exponential crossover.
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

/// A number, or a range that one is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Range {
    /// One number.
    Fixed(f64),
    /// The lower and the upper end.
    Between([f64; 2]),
}

impl Range {
    const fn ends(self) -> (f64, f64) {
        match self {
            Self::Fixed(value) => (value, value),
            Self::Between([low, high]) => (low, high),
        }
    }

    /// A mistake unless this is a range of the setting `mutation`.
    pub(super) fn mutation_mistake(self) -> Option<Diagnostic> {
        let (low, high) = self.ends();
        let valid = (0.0..=2.0).contains(&low) && (low..=2.0).contains(&high);
        let message = format!("`mutation` must lie in 0 to 2, the lower end first; found {low} to {high}");
        (!valid).then(|| Diagnostic::at("mutation", Code::OutOfRange, message))
    }
}

/// A screening before the search: single pixels of a grid are changed to find those with the strongest response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Screening {
    /// Distance between neighbouring pixels of the grid, in rows and in columns.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub stride: usize,
    /// The first population is placed around this many pixels, those with the strongest response.
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
pub(super) enum InitialPopulation {
    /// Positions are uniform, values normal around the middle of their range and clipped to it.
    NormalValues,
    /// Each gene has one candidate in each of `size` equal slices of its range.
    LatinHypercube,
}

/// How many candidates a generation has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PopulationSize {
    Candidates(usize),
    CandidatesPerGene(usize),
}

/// The values of a preset.
struct PresetValues {
    initial: InitialPopulation,
    population: PopulationSize,
    generations: u32,
    strategy: Strategy,
    mutation: Range,
    recombination: f64,
    tolerance: Option<f64>,
}

impl Preset {
    const fn values(self) -> PresetValues {
        match self {
            Self::Paper => PresetValues {
                initial: InitialPopulation::NormalValues,
                population: PopulationSize::Candidates(400),
                generations: 80,
                strategy: Strategy::Rand1Bin,
                mutation: Range::Fixed(0.5),
                recombination: 1.0,
                tolerance: None,
            },
            Self::Scipy => PresetValues {
                initial: InitialPopulation::LatinHypercube,
                population: PopulationSize::CandidatesPerGene(15),
                generations: 1000,
                strategy: Strategy::Best1Bin,
                mutation: Range::Between([0.5, 1.0]),
                recombination: 0.7,
                tolerance: Some(0.01),
            },
        }
    }
}

/// The search of an attack: the settings, completed by the preset.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    pub(super) initial: InitialPopulation,
    /// Candidates of a generation.
    pub(super) population: usize,
    /// The most generations after the first population.
    pub(super) generations: u32,
    pub(super) max_queries: u64,
    pub(super) evolution: Evolution,
    pub(super) tolerance: Option<f64>,
    pub(super) screening: Option<Screening>,
}

impl Search {
    /// The search over genomes of `dimensions` genes.
    pub(super) fn new(settings: &OnePixel, dimensions: usize) -> Self {
        let preset = settings.preset.values();
        let population = match settings.popsize.map_or(preset.population, PopulationSize::Candidates) {
            PopulationSize::Candidates(size) => size,
            PopulationSize::CandidatesPerGene(each) => each * dimensions,
        };
        let (mutant, crossover) = settings.strategy.unwrap_or(preset.strategy).parts();
        Self {
            initial: preset.initial,
            population,
            generations: settings.maxiter.unwrap_or(preset.generations),
            max_queries: settings.max_queries.unwrap_or(u64::MAX),
            evolution: Evolution {
                mutant,
                crossover,
                mutation: settings.mutation.unwrap_or(preset.mutation).ends(),
                recombination: settings.recombination.unwrap_or(preset.recombination),
            },
            tolerance: settings.tolerance.or(preset.tolerance),
            screening: settings.screening,
        }
    }
}

/// A mistake if `popsize` leaves too few other candidates for the mutants of the strategy. The populations of the presets are
/// large enough for every strategy.
pub(super) fn popsize_mistake(settings: &OnePixel) -> Option<Diagnostic> {
    let size = settings.popsize?;
    let (mutant, _) = settings.strategy.unwrap_or(settings.preset.values().strategy).parts();
    let least = mutant.others() + 1;
    let message = format!("a population of {size} is too small for this strategy");
    (size < least).then(|| {
        Diagnostic::at("popsize", Code::OutOfRange, message).help(format!("use a population of at least {least}"))
    })
}
