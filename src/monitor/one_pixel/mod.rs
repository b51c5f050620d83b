//! The monitor kind `one_pixel`: how few pixels must change until the class of the model changes.
//!
//! An attack searches, by [differential evolution](crate::stats::differential_evolution), for the pixels and the values that
//! turn an image into another class (Su, Vargas and Sakurai 2019). The genome of a candidate holds
//! `[row, column, value of each band]` for every pixel, or `[row, column, angle, values]` for a track of pixels, all in [0, 1]. A targeted attack raises the probability of its target and
//! succeeds above `success_above`; an untargeted attack lowers the probability of the original class and succeeds below
//! `success_below`. After each generation the best candidate is tested, and a success counts only if the model confirms it on
//! the complete image. Values replace the stretched pixel ([`Values::Stretched`]), are electrons added to it before clip and
//! stretch ([`Values::Electrons`]), or a flux that some bands of an image in nJy get ([`Values::Flux`]).
//!
//! Where a query is expensive (networks in which one pixel affects every activation), `screening` spends some queries on a better
//! start: pixels on a grid are set to the lowest and to the highest values, and the first population is placed around those
//! with the strongest response. The response is measured for single pixels only; `screening_queries` is its cost.
//!
//! `iterations` counts the generations after the first population: 0 means that a random candidate was enough.
//!
//! `images` keeps image columns of flipped objects, in the first row that flips the object. Together with `pixel_row`,
//! `pixel_column` and `pixel_values` of that row they give the image after the attack, without storing the images of all other
//! objects.

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
    preset::{Search, popsize_mistake},
    table::{AttackSubject, AttackTable},
};
use super::{
    kit::{
        pixels::{Arrangement, PixelDecoder, Values},
        score::TruthColumn,
        target::{TargetModel, Unperturbed},
    },
    object_tasks::{ObjectTask, ObjectTasks, Sample},
};
use crate::{
    batch::{LABEL, list_values, object_id},
    error::{Code, Diagnostic, Error, Result},
    random::Stream,
    stage::{ColumnRef, Monitor, RunContext, Scorers, Settings, UpstreamSchemas},
    stats::softmax::sigmoid,
};

/// Searches for the pixels that change the class of a model.
///
/// Its table has a row for every sampled object and every target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnePixel {
    /// The label of the score whose model is attacked, on the image that it scores.
    pub score: String,
    /// The column with the true class: text, or integers that count the classes of the model from 0.
    #[serde(default = "label")]
    pub truth: String,
    /// The classes in the order of the integers of `truth`, where that is not the order of the model: all classes of the model, and
    /// others that the truth has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth_classes: Option<Vec<String>>,
    /// The default values of the search settings below: those of the paper, or those of scipy.
    #[serde(default)]
    pub preset: Preset,
    /// The classes to turn the image into.
    #[serde(default)]
    pub target: Target,
    /// How many pixels may change.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub pixels: usize,
    /// How the pixels lie, if there are several.
    #[serde(default, skip_serializing_if = "Arrangement::is_anywhere")]
    pub arrangement: Arrangement,
    /// The values that a pixel may get.
    #[serde(default)]
    pub values: Values,
    /// Samples this fraction of the objects, by a hash of their ids.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub sample: Option<f64>,
    /// Samples at most this many objects, those with the smallest hashes of their ids, so that several monitors get the same
    /// objects.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub limit: Option<usize>,
    /// Attacks only objects that are classified correctly. The others get a row with the reason in `stop_reason`. If false, they
    /// are attacked too, but never count as flipped.
    #[serde(default = "yes")]
    pub only_correct: bool,
    /// Candidates of a generation.
    #[serde(default)]
    #[schemars(range(min = 6, max = 100_000))]
    pub popsize: Option<usize>,
    /// The most generations after the first population.
    #[serde(default)]
    pub maxiter: Option<u32>,
    /// The most candidates that are evaluated for one target. A generation that would exceed it is not started.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_queries: Option<u64>,
    /// How children are made, in scipy's terms.
    #[serde(default)]
    pub strategy: Option<Strategy>,
    /// The factor of the differences: a number, or a range from which every generation draws one.
    #[serde(default)]
    pub mutation: Option<Range>,
    /// The probability that a gene comes from the mutant.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub recombination: Option<f64>,
    /// Gives up when the standard deviation of the energies is at most this fraction of their mean. The energy is minus the
    /// probability of the target, or the probability of the original class. With 0, only when all energies are equal.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub tolerance: Option<f64>,
    /// Finds the pixels with the strongest response first, and starts the search around them.
    #[serde(default)]
    pub screening: Option<Screening>,
    /// A targeted attack succeeds when the probability of the target is above this. The default is 0.5, or where a score has a
    /// `threshold`, the probability at which the class changes.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub success_above: Option<f64>,
    /// An untargeted attack succeeds when the probability of the original class is below this.
    #[serde(default = "twentieth")]
    #[schemars(range(min = 0, max = 1))]
    pub success_below: f64,
    /// Keeps these images of flipped objects, in columns of the same names: in the first row that flips the object, null in
    /// all other rows.
    #[serde(default)]
    pub images: Vec<String>,
}

impl OnePixel {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(score: impl Into<String>) -> Self {
        Self {
            score: score.into(),
            truth: label(),
            truth_classes: None,
            preset: Default::default(),
            target: Default::default(),
            pixels: one(),
            arrangement: Default::default(),
            values: Default::default(),
            sample: None,
            limit: None,
            only_correct: yes(),
            popsize: None,
            maxiter: None,
            max_queries: None,
            strategy: None,
            mutation: None,
            recombination: None,
            tolerance: None,
            screening: None,
            success_above: None,
            success_below: twentieth(),
            images: Default::default(),
        }
    }
}

/// The classes to turn an image into.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Every other class, in the order of the model, each by its own attack.
    #[default]
    Each,
    /// The class with the lowest probability.
    LeastLikely,
    /// Any class other than the original one.
    Untargeted,
    /// One class; objects that already have it are not attacked.
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

const fn twentieth() -> f64 {
    0.05
}

impl Settings<dyn Monitor> for OnePixel {
    const NAME: &'static str = "one_pixel";

    fn examples() -> &'static [&'static str] {
        &[
            "{ score: da_y10, limit: 150, images: [y10, y1] }",
            "{ score: da_y10, limit: 150, values: { electrons: { image: y10_sky, high: 20000, add_to: one_band } } }",
            "{ score: da_y10, limit: 150, pixels: 4, arrangement: track, values: { electrons: { image: y10_sky, high: 5000, add_to: \
             { band: r } } } }",
            "{ score: da_y1, preset: scipy, target: untargeted, success_below: 0.2, pixels: 3, sample: 0.1, maxiter: 200, \
             max_queries: 20000, strategy: rand1bin, mutation: [0.4, 0.8], recombination: 0.9, tolerance: 0.001, \
             screening: { stride: 10, keep: 5 } }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let mut mistakes = self.values.mistakes();
        if self.arrangement == Arrangement::Track && self.pixels < 2 {
            let mistake =
                Diagnostic::at("arrangement", Code::Conflict, "a track of one pixel does not have a direction");
            mistakes.push(mistake.help("set `pixels` to the length of the track"));
        }
        mistakes.extend(self.mutation.and_then(Range::mutation_mistake));
        mistakes.extend(popsize_mistake(&self));
        mistakes.extend(images::named_twice(&self.images));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let sample = Sample { fraction: self.sample, limit: self.limit };
        let target_model = TargetModel::new(&self.score, TruthColumn::new(&self.truth, self.truth_classes.as_deref()));
        let task = OnePixelTask { label: label.to_owned(), settings: self, target_model, bound: None };
        Ok(Box::new(ObjectTasks::new(Self::NAME, label, task, sample)))
    }
}

/// The per-object task of the kind `one_pixel`.
struct OnePixelTask {
    label: String,
    settings: OnePixel,
    target_model: TargetModel,
    bound: Option<BoundAttack>,
}

/// What is known of the attacks once the stream's schema is known.
struct BoundAttack {
    /// The class of `target: { class: ... }`.
    target_class: Option<usize>,
    pixels: PixelDecoder,
    search: Search,
    table: AttackTable,
}

impl OnePixelTask {
    /// The goals of the attacks on an object.
    fn goals(&self, target_class: Option<usize>, before: &Unperturbed<'_>, threshold_logit: f32) -> Vec<Goal> {
        let others = (0..self.target_model.classes.len()).filter(|class| *class != before.class);
        let threshold = sigmoid(threshold_logit);
        let changes_at = |class| if class == 1 { threshold } else { 1.0 - threshold };
        let into =
            |class| Goal::Into { class, above: self.settings.success_above.unwrap_or_else(|| changes_at(class)) };
        match &self.settings.target {
            Target::Each => others.map(into).collect(),
            Target::Untargeted => vec![Goal::OutOf { class: before.class, below: self.settings.success_below }],
            Target::LeastLikely => {
                let logits = &before.outputs.logits;
                others.min_by(|a, b| logits[*a].total_cmp(&logits[*b])).map(into).into_iter().collect()
            }
            Target::Class(_) => target_class.filter(|class| *class != before.class).map(into).into_iter().collect(),
        }
    }
}

impl ObjectTask for OnePixelTask {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let sky = self.settings.values.image().map(|image| ColumnRef::new("values.electrons.image", image));
        let images = self.settings.images.iter().map(|image| ColumnRef::new("images", image));
        self.target_model.required_columns().into_iter().chain(sky).chain(images).collect()
    }

    fn model_queries(&self) -> Vec<ColumnRef> {
        self.target_model.model_queries()
    }

    fn bind(&mut self, input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let layout = self.target_model.bind(input)?;
        let OnePixel { score, target, pixels, values, .. } = &self.settings;
        let mut mistakes = Vec::new();
        let mut target_class = None;
        if let Target::Class(name) = target {
            let classes = self.target_model.classes.iter().map(String::as_str);
            target_class = classes.clone().position(|class| class == name);
            if target_class.is_none() {
                let message = format!("the model of `{score}` has no class `{name}`");
                let mistake = Diagnostic::at("target.class", Code::OutOfRange, message);
                mistakes.push(mistake.suggest(name, classes, "classes"));
            }
        }
        if *pixels > layout.plane() {
            let message = format!("cannot change {pixels} pixels: the image of `{score}` has {}", layout.plane());
            mistakes.push(Diagnostic::at("pixels", Code::OutOfRange, message));
        }
        let images = match images::fields(&self.settings.images, input) {
            Ok(images) => images,
            Err(wrong) => {
                mistakes.extend(wrong);
                Vec::new()
            }
        };
        let pixels = match PixelDecoder::new(*pixels, values, &layout, input) {
            Ok(pixels) if mistakes.is_empty() => pixels.arranged(self.settings.arrangement),
            pixels => {
                mistakes.extend(pixels.err());
                return Err(mistakes);
            }
        };
        let search = Search::new(&self.settings, pixels.dimensions());
        let table = AttackTable::new(&pixels, self.target_model.latent, self.target_model.file.as_deref())
            .with_images(images)?;
        let schema = table.schema();
        self.bound = Some(BoundAttack { target_class, pixels, search, table });
        Ok(schema)
    }

    fn max_rows_per_object(&self) -> usize {
        match self.settings.target {
            Target::Each => self.target_model.classes.len().saturating_sub(1).max(1),
            _ => 1,
        }
    }

    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        // Otherwise the run would fail at its first attack.
        if i64::try_from(run.seed).is_err() {
            let message =
                format!("`seed` is {}, expected at most {}: it is a column of `{}`", run.seed, i64::MAX, self.label);
            return Err(Error::data(message));
        }
        self.target_model.start(run, scorers)
    }

    fn run(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>> {
        let unbound = || Error::bug(format!("the monitor `{}` was not bound", self.label));
        let BoundAttack { target_class, pixels, search, table } = self.bound.as_ref().ok_or_else(unbound)?;
        let (target_model, model) = (&self.target_model, self.target_model.model()?);
        let before = target_model.unperturbed(subject)?;
        let line = AttackSubject { subject, before: &before, classes: &target_model.classes, seed: target_model.seed };
        if !before.is_right && self.settings.only_correct {
            return table.skipped(&line, before.skip_reason()).map(Some);
        }
        let goals = self.goals(*target_class, &before, model.threshold_logit());
        if goals.is_empty() {
            return table.skipped(&line, "is_target").map(Some);
        }
        let sky = match self.settings.values.image() {
            Some(column) => list_values(subject, column)?.0,
            None => &[],
        };
        let mut evaluator = model.pixel_evaluator(before.image)?;
        let mut outcomes = Vec::new();
        for goal in goals {
            let attack = Attack { model, pixels, search, image: before.image, sky, goal, stopped };
            let name = goal.target().map_or("untargeted", |target| target_model.classes[target].as_str());
            let mut stream = Stream::new(target_model.seed, object_id(subject, 0)?, &format!("{}/{name}", self.label));
            let Some(outcome) = attack.run(evaluator.as_mut(), &mut stream)? else { return Ok(None) };
            outcomes.push((goal, outcome));
        }
        table.attacked(&line, &outcomes).map(Some)
    }
}
