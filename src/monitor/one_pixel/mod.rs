//! The monitor kind `one_pixel`: how few pixels have to change for a model to change its mind.
//!
//! An attack searches, by [differential evolution](crate::stats::differential_evolution), for the pixels and the values that
//! turn an image into another class (Su, Vargas and Sakurai 2019). A genome is `[row, column, value of each band]` for every
//! pixel, all in [0, 1]. A targeted attack raises the probability of its target and succeeds above `success_above`; an
//! untargeted one lowers that of the class before and succeeds below `success_below`. After every generation the best candidate
//! is tried, and a success counts only when the model confirms it on the whole image. Values replace the stretched pixel
//! ([`Values::Stretched`]), or are electrons added to it before clip and stretch ([`Values::Electrons`]).
//!
//! `iterations` are generations after the first population, so 0 means that a random pixel was enough.

mod attack;
mod pixels;
mod preset;
mod table;

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    attack::{Attack, Goal, Outcome},
    pixels::Pixels,
    preset::Search,
    table::{Line, Table},
};
pub use self::{
    pixels::{AddTo, Electrons, Stretched, Values},
    preset::{Preset, Range, Strategy},
};
use super::{
    columns::{class_column, classes_of, image_of, latent_size, model_of, needs_text, text},
    study::{Sample, Studied, Study},
};
use crate::{
    batch::{Images, LABEL, column_of, list_values, object_id},
    error::{Code, Error, Mistake, Result},
    stage::{Model, Monitor, Need, RunContext, Scorer, Scorers, Settings, Tables},
    stats::softmax::{argmax, softmax},
    survey::noise::Stream,
};

/// Searches for the pixels that make a model change its mind.
///
/// Its table has a row for every object that is looked at and every target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnePixel {
    /// The label of the score whose model is attacked, on the image that it scores.
    pub score: String,
    /// The text column with the true class.
    #[serde(default = "label")]
    pub truth: String,
    /// What the search is by default: that of the paper, or that of scipy.
    #[serde(default)]
    pub preset: Preset,
    /// The classes to turn the image into.
    #[serde(default)]
    pub target: Target,
    /// How many pixels may change.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub pixels: usize,
    /// What may be put into a pixel.
    #[serde(default)]
    pub values: Values,
    /// Looks at this fraction of the objects, by a hash of their ids.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub sample: Option<f64>,
    /// Looks at no more objects than this, those with the smallest hashes of their ids: for two monitors the same.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub limit: Option<usize>,
    /// Attacks only objects whose class is right. The others have a row that says so. If false, they are attacked too, but
    /// never count as flipped.
    #[serde(default = "yes")]
    pub only_correct: bool,
    /// Candidates of a generation.
    #[serde(default)]
    #[schemars(range(min = 6, max = 100_000))]
    pub popsize: Option<usize>,
    /// The most generations after the first population.
    #[serde(default)]
    pub maxiter: Option<u32>,
    /// The most candidates that the model is asked about, for one target; a generation that would exceed it is not begun.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_queries: Option<u64>,
    /// How children are made, in scipy's words.
    #[serde(default)]
    pub strategy: Option<Strategy>,
    /// The factor of the differences: a number, or a range from which every generation draws one.
    #[serde(default)]
    pub mutation: Option<Range>,
    /// The probability that a gene comes from the mutant.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub recombination: Option<f64>,
    /// Gives up when the standard deviation of the energies (minus the probability of the target, or the probability of the class
    /// before) is no more than this part of their mean. 0 never gives up before all are equal.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub tolerance: Option<f64>,
    /// A targeted attack has succeeded when the probability of the target is above this.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 1))]
    pub success_above: f64,
    /// An untargeted attack has succeeded when the probability of the class before is below this.
    #[serde(default = "twentieth")]
    #[schemars(range(min = 0, max = 1))]
    pub success_below: f64,
}

/// The classes to turn an image into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every other class, in the order of the model, each by an attack of its own.
    #[default]
    Each,
    /// The class of the lowest probability.
    LeastLikely,
    /// Whatever is not the class before.
    Untargeted,
    /// One class; objects that have it already are not attacked.
    Class(String),
}

fn label() -> String {
    LABEL.into()
}

const fn one() -> usize {
    1
}

const fn yes() -> bool {
    true
}

const fn half() -> f64 {
    0.5
}

const fn twentieth() -> f64 {
    0.05
}

impl OnePixel {
    /// The attack of the paper on a score, on at most `limit` objects.
    pub fn of(score: impl Into<String>, limit: Option<usize>) -> Self {
        Self {
            score: score.into(),
            truth: label(),
            preset: Preset::default(),
            target: Target::default(),
            pixels: one(),
            values: Values::default(),
            sample: None,
            limit,
            only_correct: yes(),
            popsize: None,
            maxiter: None,
            max_queries: None,
            strategy: None,
            mutation: None,
            recombination: None,
            tolerance: None,
            success_above: half(),
            success_below: twentieth(),
        }
    }
}

impl Settings<dyn Monitor> for OnePixel {
    const NAME: &'static str = "one_pixel";

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Mistake>> {
        let mut mistakes = self.values.mistakes();
        mistakes.extend(self.mutation.and_then(Range::mistake));
        let search = Search::of(&self);
        if search.population <= search.evolution.mutant.others() {
            let least = search.evolution.mutant.others() + 1;
            let message = format!("a population of {} is too small for this strategy", search.population);
            mistakes.push(Mistake::at("popsize", Code::OutOfRange, message).help(format!("take at least {least}")));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let sample = Sample { fraction: self.sample, limit: self.limit };
        let study = OnePixelStudy { label: label.to_owned(), settings: self, bound: None, started: None };
        Ok(Box::new(Studied::new(label, study, sample)))
    }
}

/// The study of the kind `one_pixel`.
struct OnePixelStudy {
    label: String,
    settings: OnePixel,
    bound: Option<Bound>,
    started: Option<(u64, Arc<dyn Scorer>)>,
}

struct Bound {
    image: String,
    classes: Vec<String>,
    /// The class of `target: { class }`.
    wanted: Option<usize>,
    latent: bool,
    pixels: Pixels,
    search: Search,
    table: Table,
}

impl OnePixelStudy {
    fn unready(&self) -> Error {
        Error::Bug(format!("the monitor `{}` was not bound and started", self.label))
    }

    /// The targets of an object of a class, `None` for whatever is not that class.
    fn goals(&self, bound: &Bound, before: usize, probabilities: &[f32]) -> Vec<Goal> {
        let others = (0..bound.classes.len()).filter(|class| *class != before);
        match &self.settings.target {
            Target::Each => others.map(|class| Goal::Into(class, self.settings.success_above)).collect(),
            Target::Untargeted => vec![Goal::OutOf(before, self.settings.success_below)],
            Target::LeastLikely => {
                let least = others.min_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
                least.map(|class| Goal::Into(class, self.settings.success_above)).into_iter().collect()
            }
            Target::Class(_) => {
                let wanted = bound.wanted.filter(|wanted| *wanted != before);
                wanted.map(|class| Goal::Into(class, self.settings.success_above)).into_iter().collect()
            }
        }
    }
}

impl Study for OnePixelStudy {
    fn needs(&self) -> Vec<Need> {
        let score = &self.settings.score;
        let mut needs = vec![Need::new("truth", &self.settings.truth), Need::new("score", class_column(score))];
        needs.extend(self.settings.values.image().map(|image| Need::new("values.electrons.image", image)));
        needs
    }

    fn asks(&self) -> Vec<Need> {
        vec![Need::new("score", &self.settings.score)]
    }

    fn bind(&mut self, input: &Schema, _above: &Tables) -> Result<SchemaRef, Vec<Mistake>> {
        let OnePixel { score, truth, target, pixels, values, .. } = &self.settings;
        let mut mistakes: Vec<Mistake> = needs_text(input, "truth", truth).into_iter().collect();
        let (image, layout) = image_of(input, "score", score).map_err(|mistake| vec![mistake])?;
        let classes = classes_of(input, score).unwrap_or_default();
        let wanted = match target {
            Target::Class(name) => {
                let wanted = classes.iter().position(|class| class == name);
                if wanted.is_none() {
                    let message = format!("the model of `{score}` has no class `{name}`");
                    let help = format!("its classes are {}", classes.join(", "));
                    mistakes.push(Mistake::at("target.class", Code::OutOfRange, message).help(help));
                }
                wanted
            }
            _ => None,
        };
        if *pixels > layout.plane() {
            let message = format!("{pixels} pixels are to change, `{image}` has {}", layout.plane());
            mistakes.push(Mistake::at("pixels", Code::OutOfRange, message));
        }
        let latent = latent_size(input, score);
        let pixels = Pixels::new(*pixels, values, &layout, input);
        let pixels = match pixels {
            Ok(pixels) if mistakes.is_empty() => pixels,
            pixels => {
                mistakes.extend(pixels.err());
                return Err(mistakes);
            }
        };
        let mut search = Search::of(&self.settings);
        search.settle(pixels.dimensions());
        let table = Table::new(&pixels, latent, model_of(input, &class_column(score)));
        let schema = table.schema().clone();
        self.bound = Some(Bound { image, classes, wanted, latent: latent.is_some(), pixels, search, table });
        Ok(schema)
    }

    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        let scorer = scorers.get(&self.settings.score).ok_or_else(|| self.unready())?;
        let model = scorer.model();
        if model.is_none() {
            return Err(Error::Data(format!(
                "the model of `{}` cannot be asked about other images",
                self.settings.score
            )));
        }
        self.started = Some((run.seed, scorer.clone()));
        Ok(())
    }

    fn study(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>> {
        let (Some(bound), Some((seed, scorer))) = (&self.bound, &self.started) else { return Err(self.unready()) };
        let model: &dyn Model = scorer.model().ok_or_else(|| self.unready())?;
        let image = Images::of(subject, &bound.image)?.pixels;
        let truth = text(column_of(subject, &self.settings.truth)?)?;
        let truth = truth.iter().next().flatten().filter(|name| !name.is_empty());
        let before = model.ask(image)?;
        let probabilities: Vec<f32> = softmax(&before.logits).map(|p| p as f32).collect();
        let class = argmax(&before.logits);
        let is_right = truth == Some(bound.classes[class].as_str());
        let latent_before = if bound.latent { before.latents.as_slice() } else { &[] };
        let line = Line { subject, truth, class, seed: *seed, latent_before };
        if !is_right && self.settings.only_correct {
            let reason = if truth.is_none() { "unlabelled" } else { "misclassified" };
            return bound.table.skipped(&line, &bound.classes, reason).map(Some);
        }
        let goals = self.goals(bound, class, &probabilities);
        if goals.is_empty() {
            return bound.table.skipped(&line, &bound.classes, "is_target").map(Some);
        }
        let sky = match self.settings.values.image() {
            Some(column) => list_values(subject, column)?.0,
            None => &[],
        };
        let mut around = model.around(image)?;
        let attack = Attack { model, pixels: &bound.pixels, search: &bound.search, image, sky };
        let mut outcomes: Vec<(Goal, f64, Outcome)> = Vec::new();
        for goal in goals {
            let name = goal.target().map_or("untargeted", |target| bound.classes[target].as_str());
            let mut stream = Stream::new(*seed, object_id(subject, 0)?, &format!("{}/{name}", self.label));
            let Some(outcome) = attack.run(goal, around.as_mut(), &mut stream, stopped)? else { return Ok(None) };
            outcomes.push((goal, goal.probability(&before.logits), outcome));
        }
        bound.table.attacked(&line, &bound.classes, is_right, &outcomes).map(Some)
    }
}

#[cfg(test)]
mod tests;
