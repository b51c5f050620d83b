//! One attack on one image: a population, generation after generation, until the model changes its mind.

use super::preset::{First, Screening, Search};
use crate::{
    error::{Error, Result},
    monitor::kit::pixels::PixelDecoder,
    random::Stream,
    stage::{Model, PixelEvaluator},
    stats::{
        differential_evolution::{Population, latin_hypercube},
        softmax::softmax,
    },
};

/// What an attack wants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    /// A class, with a probability above this.
    Into(usize, f64),
    /// Another class than this one, whose probability is to be below this.
    OutOf(usize, f64),
}

impl Goal {
    /// The class that is wanted, if it is one.
    pub(super) const fn target(self) -> Option<usize> {
        match self {
            Self::Into(class, _) => Some(class),
            Self::OutOf(..) => None,
        }
    }

    /// The probability of the class that the goal is about.
    pub(super) fn probability(self, logits: &[f32]) -> f64 {
        let (Self::Into(class, _) | Self::OutOf(class, _)) = self;
        softmax(logits).nth(class).unwrap_or(f64::NAN)
    }

    /// What the search lowers.
    fn energy(self, logits: &[f32]) -> f64 {
        match self {
            Self::Into(..) => -self.probability(logits),
            Self::OutOf(..) => self.probability(logits),
        }
    }

    fn is_met(self, energy: f64) -> bool {
        match self {
            Self::Into(_, above) => -energy > above,
            Self::OutOf(_, below) => energy < below,
        }
    }
}

/// What came of an attack: its best candidate, as the model itself judges it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) places: Vec<u32>,
    /// Stretched, `[pixel, band]`.
    pub(super) values: Vec<f32>,
    /// Added, `[pixel, band]`; empty where values were replaced.
    pub(super) electrons: Vec<f32>,
    pub(super) p_after: f64,
    pub(super) success: bool,
    pub(super) latent: Vec<f32>,
    pub(super) iterations: u32,
    /// Candidates that the model was asked about, those of the screening included.
    pub(super) queries: u64,
    pub(super) screening_queries: u64,
    pub(super) stop_reason: &'static str,
}

/// What is attacked, and how.
#[derive(Clone, Copy)]
pub(super) struct Attack<'a> {
    pub(super) model: &'a dyn Model,
    pub(super) pixels: &'a PixelDecoder,
    pub(super) search: &'a Search,
    pub(super) image: &'a [f32],
    pub(super) sky: &'a [f32],
}

impl Attack<'_> {
    /// Runs it; `None` when it was told to stop.
    pub(super) fn run(
        &self,
        goal: Goal,
        around: &mut dyn PixelEvaluator,
        stream: &mut Stream,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Outcome>> {
        let d = self.pixels.dimensions();
        let Search { population: n, generations, max_queries, evolution, tolerance, screening, .. } = self.search;
        let mut genes = self.first(*n, stream);
        let mut screened = 0;
        if let Some(screening) = screening {
            let Some(places) = self.screen(goal, *screening, around, &mut screened, stopped)? else { return Ok(None) };
            self.place(&mut genes, &places, screening.stride, stream);
        }
        let Some(energies) = self.energies(goal, &genes, around, stopped)? else { return Ok(None) };
        let too_small = || Error::bug("the population of an attack is too small");
        let mut population = Population::new(d, genes, energies).ok_or_else(too_small)?;
        let (mut iterations, mut queries) = (0, screened + *n as u64);
        loop {
            let best = population.best();
            let met = goal.is_met(population.energies()[best]);
            let reason = if met {
                "success"
            } else if iterations >= *generations {
                "maxiter"
            } else if tolerance.is_some_and(|tolerance| population.has_converged(tolerance)) {
                "converged"
            } else if queries + *n as u64 > *max_queries {
                "max_queries"
            } else {
                ""
            };
            if !reason.is_empty() {
                let mut outcome = self.confirm(goal, population.member(best))?;
                outcome = Outcome { iterations, queries, screening_queries: screened, stop_reason: reason, ..outcome };
                // What the quick way found has to hold for the model itself; else the search goes on.
                let spent = iterations >= *generations || queries + *n as u64 > *max_queries;
                if outcome.success || !met || spent {
                    if met && !outcome.success {
                        outcome.stop_reason = if iterations >= *generations { "maxiter" } else { "max_queries" };
                    }
                    return Ok(Some(outcome));
                }
            }
            let children = population.children(evolution, &mut || stream.uniform()).ok_or_else(too_small)?;
            let Some(energies) = self.energies(goal, &children, around, stopped)? else { return Ok(None) };
            population.select(&children, &energies);
            iterations += 1;
            queries += *n as u64;
        }
    }

    /// The first population, gene after gene.
    fn first(&self, n: usize, stream: &mut Stream) -> Vec<f64> {
        let d = self.pixels.dimensions();
        match self.search.first {
            First::LatinHypercube => latin_hypercube(n, d, &mut || stream.uniform()),
            First::AroundTheMiddle => {
                let gene = |index: usize| {
                    if self.pixels.is_value(index % d) {
                        (0.5 + 0.5 * stream.normal()).clamp(0.0, 1.0)
                    } else {
                        stream.uniform()
                    }
                };
                (0..n * d).map(gene).collect()
            }
        }
    }

    /// The pixels of a grid to which the model responds most, the strongest first; and how many candidates that took.
    fn screen(
        &self,
        goal: Goal,
        Screening { stride, keep }: Screening,
        around: &mut dyn PixelEvaluator,
        queries: &mut u64,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<(usize, usize)>>> {
        let one = self.pixels.single_pixel();
        let (height, width) = one.shape();
        let grid = |length: usize| (stride.min(length) / 2..length).step_by(stride);
        let places: Vec<(usize, usize)> =
            grid(height).flat_map(|row| grid(width).map(move |column| (row, column))).collect();
        let mut ends = one.combinations(&one.ends());
        ends.retain(|genome| {
            let values = genome.iter().enumerate().filter(|(gene, _)| one.is_value(*gene)).map(|(_, value)| *value);
            values.clone().all(|value| Some(value) == values.clone().next())
        });
        let mut genes = Vec::with_capacity(places.len() * ends.len() * ends[0].len());
        for (row, column) in &places {
            for genome in &mut ends {
                one.move_to(genome, *row, *column);
                genes.extend_from_slice(genome);
            }
        }
        let single = Attack { pixels: &one, ..*self };
        let Some(energies) = single.energies(goal, &genes, around, stopped)? else { return Ok(None) };
        *queries = energies.len() as u64;
        let response = energies.chunks_exact(ends.len()).map(|each| each.iter().copied().fold(f64::INFINITY, f64::min));
        let mut ranked: Vec<(f64, (usize, usize))> = response.zip(places).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(Some(ranked.into_iter().take(keep).map(|(_, place)| place).collect()))
    }

    /// Moves every pixel of the candidates to within half a stride of one of some places.
    fn place(&self, genes: &mut [f64], places: &[(usize, usize)], stride: usize, stream: &mut Stream) {
        let off = |stream: &mut Stream| 0.5 + (stream.uniform() - 0.5) * (stride as f64 - 1e-9);
        for genome in genes.chunks_exact_mut(self.pixels.dimensions()) {
            for pixel in 0..self.pixels.count {
                let (row, column) = places[stream.below(places.len() as u64) as usize];
                let at = (row as f64 + off(stream), column as f64 + off(stream));
                self.pixels.move_around(genome, pixel, at);
            }
        }
    }

    /// The energies of genomes `[n, d]`.
    fn energies(
        &self,
        goal: Goal,
        genes: &[f64],
        around: &mut dyn PixelEvaluator,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<f64>>> {
        let d = self.pixels.dimensions();
        let mut energies = Vec::with_capacity(genes.len() / d);
        let (mut places, mut values, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in genes.chunks(around.preferred_candidates() * d) {
            if stopped() {
                return Ok(None);
            }
            places.clear();
            values.clear();
            logits.clear();
            for genome in chunk.chunks_exact(d) {
                self.pixels.decode(genome, self.image, self.sky, &mut places, &mut values);
            }
            around.logits(self.pixels.count, &places, &values, &mut logits)?;
            let classes = logits.len() / (chunk.len() / d);
            energies.extend(logits.chunks_exact(classes.max(1)).map(|logits| goal.energy(logits)));
        }
        Ok(Some(energies))
    }

    /// What the model itself says of a candidate.
    fn confirm(&self, goal: Goal, genome: &[f64]) -> Result<Outcome> {
        let (mut places, mut values) = (Vec::new(), Vec::new());
        let electrons = self.pixels.decode(genome, self.image, self.sky, &mut places, &mut values);
        let said = self.model.evaluate(&self.pixels.put(self.image, &places, &values))?;
        Ok(Outcome {
            p_after: goal.probability(&said.logits),
            success: goal.is_met(goal.energy(&said.logits)),
            latent: said.latents,
            places,
            values,
            electrons,
            iterations: 0,
            queries: 0,
            screening_queries: 0,
            stop_reason: "",
        })
    }
}
