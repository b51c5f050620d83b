//! One attack on one image: a population evolves until the class of the model changes or the budget is spent.

use super::preset::{InitialPopulation, Screening, Search};
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

/// The goal of an attack: which probability it changes, and the threshold for success.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    /// Targeted: raises the probability of a class above a threshold.
    Into { class: usize, above: f64 },
    /// Untargeted: lowers the probability of the original class below a threshold.
    OutOf { class: usize, below: f64 },
}

impl Goal {
    /// The target class of a targeted attack.
    pub(super) const fn target(self) -> Option<usize> {
        match self {
            Self::Into { class, .. } => Some(class),
            Self::OutOf { .. } => None,
        }
    }

    /// The probability that the attack changes.
    pub(super) fn probability(self, logits: &[f32]) -> f64 {
        let (Self::Into { class, .. } | Self::OutOf { class, .. }) = self;
        softmax(logits).nth(class).unwrap_or(f64::NAN)
    }

    /// The quantity that the search minimises.
    fn energy(self, logits: &[f32]) -> f64 {
        match self {
            Self::Into { .. } => -self.probability(logits),
            Self::OutOf { .. } => self.probability(logits),
        }
    }

    fn is_met(self, energy: f64) -> bool {
        match self {
            Self::Into { above, .. } => -energy > above,
            Self::OutOf { below, .. } => energy < below,
        }
    }
}

/// The best candidate of an attack, evaluated by the model on the complete image, and what the search cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outcome {
    /// The changed pixels as row * width + column, `[pixel]`.
    pub(super) places: Vec<u32>,
    /// Their new values in the scored image, `[pixel, band]`.
    pub(super) values: Vec<f32>,
    /// The electrons or the flux added to them, `[pixel, band]`; empty where values are replaced.
    pub(super) added: Vec<f32>,
    pub(super) p_after: f64,
    pub(super) success: bool,
    pub(super) latent: Vec<f32>,
    /// Generations after the first population.
    pub(super) iterations: u32,
    /// Candidates that were evaluated, those of the screening included.
    pub(super) queries: u64,
    pub(super) screening_queries: u64,
    pub(super) stop_reason: &'static str,
}

/// An attack: the image, the goal, and how to search.
#[derive(Clone, Copy)]
pub(super) struct Attack<'a> {
    pub(super) model: &'a dyn Model,
    pub(super) pixels: &'a PixelDecoder,
    pub(super) search: &'a Search,
    /// The image that the model scores, `[band, y, x]`.
    pub(super) image: &'a [f32],
    /// The same image in electrons before its stretch; empty where no electrons are added.
    pub(super) sky: &'a [f32],
    pub(super) goal: Goal,
    /// Whether the run was stopped.
    pub(super) stopped: &'a dyn Fn() -> bool,
}

/// The result of a screening.
struct Screened {
    /// (row, column) of the pixels with the strongest response, strongest first.
    pixels: Vec<(usize, usize)>,
    /// Candidates that were evaluated.
    queries: u64,
}

impl Attack<'_> {
    /// Runs the attack; `None` if the run was stopped.
    pub(super) fn run(&self, evaluator: &mut dyn PixelEvaluator, stream: &mut Stream) -> Result<Option<Outcome>> {
        let Search { population: size, generations, max_queries, evolution, tolerance, .. } = self.search;
        let per_generation = *size as u64;
        let mut genes = self.initial_genes(*size, stream);
        let mut screening_queries = 0;
        if let Some(screening) = self.search.screening {
            let Some(screened) = self.screen(screening, evaluator)? else { return Ok(None) };
            screening_queries = screened.queries;
            self.move_to_screened(&mut genes, &screened.pixels, screening.stride, stream);
        }
        let Some(energies) = self.energies(&genes, evaluator)? else { return Ok(None) };
        let too_small = || Error::bug("the population of an attack is too small");
        let mut population = Population::new(self.pixels.dimensions(), genes, energies).ok_or_else(too_small)?;
        let (mut iterations, mut queries) = (0, screening_queries + per_generation);
        loop {
            let best = population.best();
            let met = self.goal.is_met(population.energies()[best]);
            let last_generation = iterations >= *generations;
            let last_query = queries + per_generation > *max_queries;
            let stop_reason = if met {
                Some("success")
            } else if last_generation {
                Some("maxiter")
            } else if tolerance.is_some_and(|tolerance| population.has_converged(tolerance)) {
                Some("converged")
            } else if last_query {
                Some("max_queries")
            } else {
                None
            };
            if let Some(stop_reason) = stop_reason {
                let confirmed = self.confirm(population.member(best))?;
                // A success counts only if the model confirms it on the complete image. If it does not, the search continues
                // while the budget lasts.
                let refuted = met && !confirmed.success;
                let stop_reason = if !refuted {
                    Some(stop_reason)
                } else if last_generation {
                    Some("maxiter")
                } else if last_query {
                    Some("max_queries")
                } else {
                    None
                };
                if let Some(stop_reason) = stop_reason {
                    return Ok(Some(Outcome { iterations, queries, screening_queries, stop_reason, ..confirmed }));
                }
            }
            let children = population.children(evolution, &mut || stream.uniform()).ok_or_else(too_small)?;
            let Some(energies) = self.energies(&children, evaluator)? else { return Ok(None) };
            population.select(&children, &energies);
            iterations += 1;
            queries += per_generation;
        }
    }

    /// The genomes of the first population, `[size, gene]`.
    fn initial_genes(&self, size: usize, stream: &mut Stream) -> Vec<f64> {
        let dimensions = self.pixels.dimensions();
        match self.search.initial {
            InitialPopulation::LatinHypercube => latin_hypercube(size, dimensions, &mut || stream.uniform()),
            InitialPopulation::NormalValues => {
                let gene = |index: usize| {
                    if self.pixels.is_value(index % dimensions) {
                        (0.5 + 0.5 * stream.normal()).clamp(0.0, 1.0)
                    } else {
                        stream.uniform()
                    }
                };
                (0..size * dimensions).map(gene).collect()
            }
        }
    }

    /// Sets each pixel of a grid to the extreme values, and returns the pixels with the strongest response; `None` if the run
    /// was stopped.
    fn screen(&self, screening: Screening, evaluator: &mut dyn PixelEvaluator) -> Result<Option<Screened>> {
        let Screening { stride, keep } = screening;
        let one_pixel = self.pixels.single_pixel();
        let (height, width) = one_pixel.shape();
        let grid = |length: usize| (stride.min(length) / 2..length).step_by(stride);
        let pixels: Vec<(usize, usize)> =
            grid(height).flat_map(|row| grid(width).map(move |column| (row, column))).collect();
        // All bands at the lowest value, then all at the highest.
        let mut extremes = one_pixel.combinations(&one_pixel.ends());
        extremes.retain(|genome| {
            let values =
                genome.iter().enumerate().filter(|(gene, _)| one_pixel.is_value(*gene)).map(|(_, value)| *value);
            values.clone().all(|value| Some(value) == values.clone().next())
        });
        let mut genes = Vec::with_capacity(pixels.len() * extremes.len() * extremes[0].len());
        for (row, column) in &pixels {
            for genome in &mut extremes {
                one_pixel.move_to(genome, *row, *column);
                genes.extend_from_slice(genome);
            }
        }
        let single = Attack { pixels: &one_pixel, ..*self };
        let Some(energies) = single.energies(&genes, evaluator)? else { return Ok(None) };
        let queries = energies.len() as u64;
        let lowest =
            energies.chunks_exact(extremes.len()).map(|each| each.iter().copied().fold(f64::INFINITY, f64::min));
        let mut ranked: Vec<(f64, (usize, usize))> = lowest.zip(pixels).collect();
        ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        Ok(Some(Screened { pixels: ranked.into_iter().take(keep).map(|(_, pixel)| pixel).collect(), queries }))
    }

    /// Moves every pixel or track of the candidates to within half a stride of a random one of `screened`.
    fn move_to_screened(&self, genes: &mut [f64], screened: &[(usize, usize)], stride: usize, stream: &mut Stream) {
        // Slightly less than a stride: rounding must not move a candidate into the next cell of the grid.
        let offset = |stream: &mut Stream| 0.5 + (stream.uniform() - 0.5) * (stride as f64 - 1e-9);
        for genome in genes.chunks_exact_mut(self.pixels.dimensions()) {
            for place in 0..self.pixels.positions() {
                let (row, column) = screened[stream.below(screened.len() as u64) as usize];
                let position = (row as f64 + offset(stream), column as f64 + offset(stream));
                self.pixels.move_around(genome, place, position);
            }
        }
    }

    /// The energies of genomes `[n, gene]`; `None` if the run was stopped.
    fn energies(&self, genes: &[f64], evaluator: &mut dyn PixelEvaluator) -> Result<Option<Vec<f64>>> {
        let dimensions = self.pixels.dimensions();
        let mut energies = Vec::with_capacity(genes.len() / dimensions);
        let (mut places, mut values, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in genes.chunks(evaluator.preferred_candidates() * dimensions) {
            if (self.stopped)() {
                return Ok(None);
            }
            places.clear();
            values.clear();
            logits.clear();
            for genome in chunk.chunks_exact(dimensions) {
                self.pixels.decode(genome, self.image, self.sky, &mut places, &mut values);
            }
            evaluator.logits(self.pixels.count, &places, &values, &mut logits)?;
            let classes = logits.len() / (chunk.len() / dimensions);
            energies.extend(logits.chunks_exact(classes.max(1)).map(|logits| self.goal.energy(logits)));
        }
        Ok(Some(energies))
    }

    /// Evaluates a candidate on the complete image. The costs and the stop reason are left empty.
    fn confirm(&self, genome: &[f64]) -> Result<Outcome> {
        let (mut places, mut values) = (Vec::new(), Vec::new());
        let added = self.pixels.decode(genome, self.image, self.sky, &mut places, &mut values);
        let outputs = self.model.evaluate(&self.pixels.put(self.image, &places, &values))?;
        Ok(Outcome {
            p_after: self.goal.probability(&outputs.logits),
            success: self.goal.is_met(self.goal.energy(&outputs.logits)),
            latent: outputs.latents,
            places,
            values,
            added,
            ..Outcome::default()
        })
    }
}
