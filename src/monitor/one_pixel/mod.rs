//! The monitor kind `one_pixel`: how few pixels have to change for a model to change its mind.
//!
//! An attack searches, by [differential evolution](crate::stats::differential_evolution), for the pixels and the values that
//! turn an image into another class (Su, Vargas and Sakurai 2019). A genome is `[row, column, value of each band]` for every
//! pixel, all in [0, 1]. A targeted attack raises the probability of its target and succeeds above `success_above`; an
//! untargeted one lowers that of the class before and succeeds below `success_below`. After every generation the best candidate
//! is tried, and a success counts only when the model confirms it on the whole image. Values replace the stretched pixel
//! ([`Values::Stretched`]), or are electrons added to it before clip and stretch ([`Values::Electrons`]).
//!
//! Where a query is dear (networks in which a pixel changes everything), `screening` spends some on where to begin: pixels on a
//! grid are set to the lowest and to the highest values, and the first population is placed around those to which the model
//! responded most. That is a measured response to single pixels and no more; the column `screening_queries` says its price.
//!
//! `iterations` are generations after the first population, so 0 means that a random pixel was enough.
//!
//! `images` keeps image columns of the objects that are flipped, in the first row in which one is: with `pixel_row`, `pixel_column`
//! and `pixel_values` of that row the image after the attack can be drawn, without the images of all the other objects.

mod attack;
mod images;
mod preset;
mod table;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::preset::{Preset, Range, Screening, Strategy};
use self::{
    attack::{Attack, Goal},
    preset::Search,
    table::{AttackSubject, AttackTable},
};
use super::{
    kit::{
        pixels::{PixelDecoder, Values},
        target::{TargetModel, Unperturbed},
    },
    study::{Sample, Studied, Study},
};
use crate::{
    batch::{LABEL, list_values, object_id},
    error::{Code, Diagnostic, Error, Result},
    random::Stream,
    stage::{ColumnRef, Monitor, RunContext, Scorers, Settings, UpstreamSchemas},
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
    /// Tries where the model responds most, and begins there.
    #[serde(default)]
    pub screening: Option<Screening>,
    /// A targeted attack has succeeded when the probability of the target is above this.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 1))]
    pub success_above: f64,
    /// An untargeted attack has succeeded when the probability of the class before is below this.
    #[serde(default = "twentieth")]
    #[schemars(range(min = 0, max = 1))]
    pub success_below: f64,
    /// Keeps these images of the objects that it flips, in columns of their names: in the first row of an object in which it is
    /// flipped, null in all other rows.
    #[serde(default)]
    pub images: Vec<String>,
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
            screening: None,
            success_above: half(),
            success_below: twentieth(),
            images: Vec::new(),
        }
    }
}

impl Settings<dyn Monitor> for OnePixel {
    const NAME: &'static str = "one_pixel";

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let mut mistakes = self.values.mistakes();
        mistakes.extend(self.mutation.and_then(Range::mistake));
        let search = Search::of(&self);
        if search.population <= search.evolution.mutant.others() {
            let least = search.evolution.mutant.others() + 1;
            let message = format!("a population of {} is too small for this strategy", search.population);
            mistakes.push(Diagnostic::at("popsize", Code::OutOfRange, message).help(format!("take at least {least}")));
        }
        mistakes.extend(images::named_twice(&self.images));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let sample = Sample { fraction: self.sample, limit: self.limit };
        let asked = TargetModel::new(&self.score, &self.truth);
        let study = OnePixelStudy { label: label.to_owned(), settings: self, asked, bound: None };
        Ok(Box::new(Studied::new(Self::NAME, label, study, sample)))
    }
}

/// The study of the kind `one_pixel`.
struct OnePixelStudy {
    label: String,
    settings: OnePixel,
    asked: TargetModel,
    bound: Option<Bound>,
}

struct Bound {
    /// The class of `target: { class }`.
    wanted: Option<usize>,
    pixels: PixelDecoder,
    search: Search,
    table: AttackTable,
}

impl OnePixelStudy {
    /// The goals on an object.
    fn goals(&self, wanted: Option<usize>, before: &Unperturbed<'_>) -> Vec<Goal> {
        let others = (0..self.asked.classes.len()).filter(|class| *class != before.class);
        let into = |class| Goal::Into(class, self.settings.success_above);
        match &self.settings.target {
            Target::Each => others.map(into).collect(),
            Target::Untargeted => vec![Goal::OutOf(before.class, self.settings.success_below)],
            Target::LeastLikely => {
                let logits = &before.outputs.logits;
                others.min_by(|a, b| logits[*a].total_cmp(&logits[*b])).map(into).into_iter().collect()
            }
            Target::Class(_) => wanted.filter(|wanted| *wanted != before.class).map(into).into_iter().collect(),
        }
    }
}

impl Study for OnePixelStudy {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let sky = self.settings.values.image().map(|image| ColumnRef::new("values.electrons.image", image));
        let images = self.settings.images.iter().map(|image| ColumnRef::new("images", image));
        self.asked.required_columns().into_iter().chain(sky).chain(images).collect()
    }

    fn model_queries(&self) -> Vec<ColumnRef> {
        self.asked.model_queries()
    }

    fn bind(&mut self, input: &Schema, _above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let layout = self.asked.bind(input)?;
        let OnePixel { score, target, pixels, values, .. } = &self.settings;
        let mut mistakes = Vec::new();
        let mut wanted = None;
        if let Target::Class(name) = target {
            wanted = self.asked.classes.iter().position(|class| class == name);
            if wanted.is_none() {
                let message = format!("the model of `{score}` has no class `{name}`");
                let help = format!("its classes are {}", self.asked.classes.join(", "));
                mistakes.push(Diagnostic::at("target.class", Code::OutOfRange, message).help(help));
            }
        }
        if *pixels > layout.plane() {
            let message = format!("{pixels} pixels are to change, the image of `{score}` has {}", layout.plane());
            mistakes.push(Diagnostic::at("pixels", Code::OutOfRange, message));
        }
        let kept = match images::fields(&self.settings.images, input) {
            Ok(kept) => kept,
            Err(wrong) => {
                mistakes.extend(wrong);
                Vec::new()
            }
        };
        let pixels = match PixelDecoder::new(*pixels, values, &layout, input) {
            Ok(pixels) if mistakes.is_empty() => pixels,
            pixels => {
                mistakes.extend(pixels.err());
                return Err(mistakes);
            }
        };
        let mut search = Search::of(&self.settings);
        search.settle(pixels.dimensions());
        let table = AttackTable::new(&pixels, self.asked.latent, self.asked.file.as_deref()).with_images(kept)?;
        let schema = table.schema();
        self.bound = Some(Bound { wanted, pixels, search, table });
        Ok(schema)
    }

    fn rows_of_one(&self) -> usize {
        match self.settings.target {
            Target::Each => self.asked.classes.len().saturating_sub(1).max(1),
            _ => 1,
        }
    }

    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        self.asked.start(run, scorers)
    }

    fn study(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>> {
        let unbound = || Error::bug(format!("the monitor `{}` was not bound", self.label));
        let Bound { wanted, pixels, search, table } = self.bound.as_ref().ok_or_else(unbound)?;
        let (asked, model) = (&self.asked, self.asked.model()?);
        let before = asked.unperturbed(subject)?;
        let line = AttackSubject { subject, before: &before, classes: &asked.classes, seed: asked.seed };
        if !before.is_right && self.settings.only_correct {
            return table.skipped(&line, before.skip_reason()).map(Some);
        }
        let goals = self.goals(*wanted, &before);
        if goals.is_empty() {
            return table.skipped(&line, "is_target").map(Some);
        }
        let sky = match self.settings.values.image() {
            Some(column) => list_values(subject, column)?.0,
            None => &[],
        };
        let mut around = model.pixel_evaluator(before.image)?;
        let attack = Attack { model, pixels, search, image: before.image, sky };
        let mut outcomes = Vec::new();
        for goal in goals {
            let name = goal.target().map_or("untargeted", |target| asked.classes[target].as_str());
            let mut stream = Stream::new(asked.seed, object_id(subject, 0)?, &format!("{}/{name}", self.label));
            let Some(outcome) = attack.run(goal, around.as_mut(), &mut stream, stopped)? else { return Ok(None) };
            outcomes.push((goal, outcome));
        }
        table.attacked(&line, &outcomes).map(Some)
    }
}
