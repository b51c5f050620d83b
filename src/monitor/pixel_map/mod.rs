//! The monitor kind `pixel_map`: how much each pixel of an image can change its class.
//!
//! Where [`one_pixel`](super::one_pixel) searches, this kind tries all candidates: every pixel with every value of a set, one
//! pixel at a time. The set is the corners of the box of values (2^bands of them), or the given levels in every combination of
//! bands. The map holds for every pixel the largest drop of the probability of the original class, max over values of
//! p_before - p_after; `flips` is true if any candidate has another class. So `flips = false` is a certificate: no single pixel
//! with a value of the set changes the class. Where the model is evaluated incrementally, candidates whose logits are within
//! 1e-3 of another class are evaluated again on the complete image.

mod table;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::table::{DropMap, PixelMapRow, table};
use super::{
    kit::{
        pixels::{PixelDecoder, Values},
        score::TruthColumn,
        target::{TargetModel, Unperturbed},
    },
    object_tasks::{ObjectTask, ObjectTasks, Sample},
};
use crate::{
    batch::{LABEL, list_values, object_id, origin},
    error::{Code, Diagnostic, Error, Result},
    stage::{ColumnRef, Model, Monitor, RunContext, Scorers, Settings, UpstreamSchemas},
    stats::softmax::softmax,
};

/// Candidates with a smaller margin, in logits, are evaluated again on the complete image.
const CLOSE_MARGIN: f32 = 1e-3;
/// Complete images that are evaluated at once.
const RESCORED_BATCH: usize = 64;

/// Tries every pixel with every value of a set, one pixel at a time.
///
/// Its table has a row for every sampled object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PixelMap {
    /// The label of the score whose model is queried, on the image that it scores.
    pub score: String,
    /// The column with the true class: text, or integers that count the classes of the model from 0.
    #[serde(default = "label")]
    pub truth: String,
    /// The classes in the order of the integers of `truth`, where that is not the order of the model: all classes of the model, and
    /// others that the truth has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth_classes: Option<Vec<String>>,
    /// The values that a pixel may get.
    #[serde(default)]
    pub values: Values,
    /// The values that are tried in every band, in the unit of `values`. The lowest and the highest by default.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    pub levels: Option<Vec<f64>>,
    /// Samples this many objects, those with the smallest hashes of their ids, so that several monitors get the same objects.
    #[schemars(range(min = 1))]
    pub limit: usize,
    /// Maps only objects that are classified correctly. The others get a row with the reason.
    #[serde(default = "yes")]
    pub only_correct: bool,
}

impl PixelMap {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(score: impl Into<String>, limit: usize) -> Self {
        Self {
            score: score.into(),
            truth: label(),
            truth_classes: None,
            values: Default::default(),
            levels: None,
            limit,
            only_correct: yes(),
        }
    }
}

fn label() -> String {
    LABEL.into()
}

const fn yes() -> bool {
    true
}

impl Settings<dyn Monitor> for PixelMap {
    const NAME: &'static str = "pixel_map";

    fn examples() -> &'static [&'static str] {
        &[
            "{ score: da_y10, limit: 4 }",
            "{ score: da_y1, limit: 2, levels: [0, 0.5, 1], only_correct: false }",
            "{ score: da_y10, limit: 2, values: { electrons: { image: y10_sky, high: 20000, add_to: { band: r } } }, \
             levels: [1000, 20000] }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let mut mistakes = self.values.mistakes();
        let (low, high, _) = self.values.range();
        let outside = self.levels.iter().flatten().find(|level| !(low..=high).contains(*level));
        if let Some(level) = outside {
            let message = format!("the level {level} is outside the range of `values`, {low} to {high}");
            mistakes.push(Diagnostic::at("levels", Code::OutOfRange, message));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let sample = Sample { fraction: None, limit: Some(self.limit) };
        let target_model = TargetModel::new(&self.score, TruthColumn::new(&self.truth, self.truth_classes.as_deref()));
        let task = PixelMapTask { label: label.to_owned(), settings: self, target_model, bound: None };
        Ok(Box::new(ObjectTasks::new(Self::NAME, label, task, sample)))
    }
}

/// The per-object task of the kind `pixel_map`.
struct PixelMapTask {
    label: String,
    settings: PixelMap,
    target_model: TargetModel,
    bound: Option<BoundMap>,
}

/// What is known of the maps once the stream's schema is known.
struct BoundMap {
    pixels: PixelDecoder,
    /// One genome for each value of the set; its position is replaced for every pixel.
    genomes: Vec<Vec<f64>>,
}

impl ObjectTask for PixelMapTask {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let sky = self.settings.values.image().map(|image| ColumnRef::new("values.electrons.image", image));
        self.target_model.required_columns().into_iter().chain(sky).collect()
    }

    fn model_queries(&self) -> Vec<ColumnRef> {
        self.target_model.model_queries()
    }

    fn bind(&mut self, input: &Schema, _upstream: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let layout = self.target_model.bind(input)?;
        let pixels = PixelDecoder::new(1, &self.settings.values, &layout, input).map_err(|mistake| vec![mistake])?;
        let (low, high, _) = self.settings.values.range();
        let genomes = pixels.combinations(self.settings.levels.as_deref().unwrap_or(&[low, high]));
        self.bound = Some(BoundMap { pixels, genomes });
        Ok(table(layout.height, layout.width).schema())
    }

    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        self.target_model.start(run, scorers)
    }

    fn run(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>> {
        let unbound = || Error::bug(format!("the monitor `{}` was not bound", self.label));
        let bound = self.bound.as_ref().ok_or_else(unbound)?;
        let before = self.target_model.unperturbed(subject)?;
        if !before.is_right && self.settings.only_correct {
            return self.row(bound, subject, &before, Err(before.skip_reason())).map(Some);
        }
        let sky = match self.settings.values.image() {
            Some(column) => list_values(subject, column)?.0,
            None => &[],
        };
        let found = bound.map(self.target_model.model()?, &before, sky, stopped)?;
        found.map(|found| self.row(bound, subject, &before, Ok(&found))).transpose()
    }
}

impl PixelMapTask {
    fn row(
        &self,
        bound: &BoundMap,
        subject: &RecordBatch,
        before: &Unperturbed<'_>,
        map: Result<&DropMap, &str>,
    ) -> Result<RecordBatch> {
        let (height, width) = bound.pixels.shape();
        table(height, width).batch(&[PixelMapRow {
            object_id: object_id(subject, 0)?,
            origin: origin(subject, 0)?,
            truth: before.truth.as_deref(),
            class: self.target_model.classes.get(before.class).map(String::as_str),
            map,
        }])
    }
}

impl BoundMap {
    /// Tries all candidates, one row of pixels at a time; `None` if the run was stopped.
    fn map(
        &self,
        model: &dyn Model,
        before: &Unperturbed<'_>,
        sky: &[f32],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<DropMap>> {
        let probability = |logits: &[f32]| softmax(logits).nth(before.class).unwrap_or(f64::NAN);
        let p_before = probability(&before.outputs.logits);
        let classes = before.outputs.logits.len();
        let mut found = DropMap::new(p_before);
        let mut evaluator = model.pixel_evaluator(before.image)?;
        let (mut places, mut values, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        let (height, width) = self.pixels.shape();
        let mut genomes = self.genomes.clone();
        for row in 0..height {
            if stopped() {
                return Ok(None);
            }
            places.clear();
            values.clear();
            logits.clear();
            for column in 0..width {
                for genome in &mut genomes {
                    self.pixels.move_to(genome, row, column);
                    self.pixels.decode(genome, before.image, sky, &mut places, &mut values);
                }
            }
            evaluator.logits(1, &places, &values, &mut logits)?;
            if evaluator.is_incremental() {
                found.rescored += self.rescore_close(model, before, &places, &values, &mut logits)?;
            }
            for pixel in logits.chunks_exact(classes * genomes.len()) {
                let lowest = pixel.chunks_exact(classes).map(probability).fold(f64::INFINITY, f64::min);
                let flips = pixel.chunks_exact(classes).any(|logits| model.class_of(logits) != before.class);
                found.push(p_before - lowest, flips);
            }
            found.candidates += places.len() as u64;
        }
        Ok(Some(found))
    }

    /// Replaces the logits of candidates close to another class by those of the model on the complete image. Returns how many.
    fn rescore_close(
        &self,
        model: &dyn Model,
        before: &Unperturbed<'_>,
        places: &[u32],
        values: &[f32],
        logits: &mut [f32],
    ) -> Result<u64> {
        let (classes, bands) = (before.outputs.logits.len(), self.pixels.bands);
        // The threshold counts for the second of two classes and against the first.
        let threshold = if before.class == 1 { model.threshold_logit() } else { -model.threshold_logit() };
        let is_close = |logits: &[f32]| (margin(logits, before.class) - threshold).abs() < CLOSE_MARGIN;
        let close: Vec<usize> = (0..places.len()).filter(|i| is_close(&logits[i * classes..][..classes])).collect();
        for chunk in close.chunks(RESCORED_BATCH) {
            let image = |i: &usize| self.pixels.put(before.image, &places[*i..=*i], &values[i * bands..][..bands]);
            let images: Vec<f32> = chunk.iter().flat_map(image).collect();
            let rescored = model.evaluate(&images)?.logits;
            for (i, rescored) in chunk.iter().zip(rescored.chunks_exact(classes)) {
                logits[i * classes..][..classes].copy_from_slice(rescored);
            }
        }
        Ok(close.len() as u64)
    }
}

/// The lead of a class over the best other class, in logits.
fn margin(logits: &[f32], class: usize) -> f32 {
    let others = logits.iter().enumerate().filter(|(other, _)| *other != class).map(|(_, logit)| *logit);
    logits[class] - others.fold(f32::NEG_INFINITY, f32::max)
}
