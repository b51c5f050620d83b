//! The monitor kind `pixel_map`: what every pixel of an image could do to its class.
//!
//! Where [`one_pixel`](super::one_pixel) samples, this tries all: every pixel times every value of a set, one pixel at a time.
//! The set is the corners of the box of values (2^bands of them), or other levels in every combination of bands. The map holds, for
//! every pixel, the largest drop of the probability of the class before, max over values of p_before - p_after; `flips` says
//! whether any candidate has another class. So `flips = false` is a certificate: no pixel with any value of the set changes
//! the class. Candidates whose class is won by less than 1e-3 in logits are scored again by the model on the whole image.

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
        target::{TargetModel, Unperturbed},
    },
    study::{Sample, Studied, Study},
};
use crate::{
    batch::{LABEL, list_values, object_id, origin},
    error::{Code, Diagnostic, Error, Result},
    stage::{ColumnRef, Model, Monitor, RunContext, Scorers, Settings, UpstreamSchemas},
    stats::softmax::{argmax, softmax},
};

/// Candidates won by less than this, in logits, are scored again.
const CLOSE: f32 = 1e-3;
/// Images that are scored again at once.
const AGAIN: usize = 64;

/// Tries every pixel with every value of a set, one pixel at a time.
///
/// Its table has a row for every object that is looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PixelMap {
    /// The label of the score whose model is asked, on the image that it scores.
    pub score: String,
    /// The text column with the true class.
    #[serde(default = "label")]
    pub truth: String,
    /// What may be put into a pixel.
    #[serde(default)]
    pub values: Values,
    /// The values that are tried in every band, in the unit of `values`; the lowest and the highest, if not said.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    pub levels: Option<Vec<f64>>,
    /// Looks at this many objects, those with the smallest hashes of their ids: for two monitors the same.
    #[schemars(range(min = 1))]
    pub limit: usize,
    /// Looks only at objects whose class is right. The others have a row that says so.
    #[serde(default = "yes")]
    pub only_correct: bool,
}

fn label() -> String {
    LABEL.into()
}

const fn yes() -> bool {
    true
}

impl PixelMap {
    /// The corners of all stretched values, on `limit` objects of a score.
    pub fn of(score: impl Into<String>, limit: usize) -> Self {
        Self {
            score: score.into(),
            truth: label(),
            values: Values::default(),
            levels: None,
            limit,
            only_correct: yes(),
        }
    }
}

impl Settings<dyn Monitor> for PixelMap {
    const NAME: &'static str = "pixel_map";

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let mut mistakes = self.values.mistakes();
        let (low, high, _) = self.values.range();
        let outside = self.levels.iter().flatten().find(|level| !(low..=high).contains(*level));
        if let Some(level) = outside {
            let message = format!("the level {level} is not in the range of `values`, {low} to {high}");
            mistakes.push(Diagnostic::at("levels", Code::OutOfRange, message));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let sample = Sample { fraction: None, limit: Some(self.limit) };
        let asked = TargetModel::new(&self.score, &self.truth);
        let study = PixelMapStudy { label: label.to_owned(), settings: self, asked, bound: None };
        Ok(Box::new(Studied::new(Self::NAME, label, study, sample)))
    }
}

/// The study of the kind `pixel_map`.
struct PixelMapStudy {
    label: String,
    settings: PixelMap,
    asked: TargetModel,
    bound: Option<Bound>,
}

struct Bound {
    pixels: PixelDecoder,
    /// A genome of every value, at some pixel.
    values: Vec<Vec<f64>>,
}

impl PixelMapStudy {
    fn row(
        &self,
        bound: &Bound,
        subject: &RecordBatch,
        before: &Unperturbed<'_>,
        map: Result<&DropMap, &str>,
    ) -> Result<RecordBatch> {
        let (height, width) = bound.pixels.shape();
        table(height, width).batch(&[PixelMapRow {
            object_id: object_id(subject, 0)?,
            origin: origin(subject, 0)?,
            truth: before.truth.as_deref(),
            class: self.asked.classes.get(before.class).map(String::as_str),
            map,
        }])
    }
}

impl Study for PixelMapStudy {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let sky = self.settings.values.image().map(|image| ColumnRef::new("values.electrons.image", image));
        self.asked.required_columns().into_iter().chain(sky).collect()
    }

    fn model_queries(&self) -> Vec<ColumnRef> {
        self.asked.model_queries()
    }

    fn bind(&mut self, input: &Schema, _above: &UpstreamSchemas) -> Result<SchemaRef, Vec<Diagnostic>> {
        let layout = self.asked.bind(input)?;
        let pixels = PixelDecoder::new(1, &self.settings.values, &layout, input).map_err(|mistake| vec![mistake])?;
        let (low, high, _) = self.settings.values.range();
        let values = pixels.combinations(self.settings.levels.as_deref().unwrap_or(&[low, high]));
        self.bound = Some(Bound { pixels, values });
        Ok(table(layout.height, layout.width).schema())
    }

    fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        self.asked.start(run, scorers)
    }

    fn study(&self, subject: &RecordBatch, stopped: &dyn Fn() -> bool) -> Result<Option<RecordBatch>> {
        let unbound = || Error::bug(format!("the monitor `{}` was not bound", self.label));
        let bound = self.bound.as_ref().ok_or_else(unbound)?;
        let before = self.asked.unperturbed(subject)?;
        if !before.is_right && self.settings.only_correct {
            return self.row(bound, subject, &before, Err(before.skip_reason())).map(Some);
        }
        let sky = match self.settings.values.image() {
            Some(column) => list_values(subject, column)?.0,
            None => &[],
        };
        let found = map(self.asked.model()?, bound, &before, sky, stopped)?;
        found.map(|found| self.row(bound, subject, &before, Ok(&found))).transpose()
    }
}

/// Tries all candidates, row of pixels after row of pixels; `None` when it was told to stop.
fn map(
    model: &dyn Model,
    bound: &Bound,
    before: &Unperturbed<'_>,
    sky: &[f32],
    stopped: &dyn Fn() -> bool,
) -> Result<Option<DropMap>> {
    let p_before = softmax(&before.outputs.logits).nth(before.class).unwrap_or(f64::NAN);
    let classes = before.outputs.logits.len();
    let mut found = DropMap::new(p_before);
    let mut around = model.pixel_evaluator(before.image)?;
    let (mut places, mut values, mut logits) = (Vec::new(), Vec::new(), Vec::new());
    let (height, width) = bound.pixels.shape();
    let mut genomes = bound.values.clone();
    for y in 0..height {
        if stopped() {
            return Ok(None);
        }
        places.clear();
        values.clear();
        logits.clear();
        for x in 0..width {
            for genome in &mut genomes {
                bound.pixels.move_to(genome, y, x);
                bound.pixels.decode(genome, before.image, sky, &mut places, &mut values);
            }
        }
        around.logits(1, &places, &values, &mut logits)?;
        let bands = values.len() / places.len();
        if around.is_incremental() {
            let margin = |logits: &[f32]| margin(logits, before.class).abs();
            let close: Vec<usize> =
                (0..places.len()).filter(|i| margin(&logits[i * classes..][..classes]) < CLOSE).collect();
            for close in close.chunks(AGAIN) {
                let images: Vec<f32> = close
                    .iter()
                    .flat_map(|i| bound.pixels.put(before.image, &places[*i..=*i], &values[i * bands..][..bands]))
                    .collect();
                let again = model.evaluate(&images)?.logits;
                for (i, again) in close.iter().zip(again.chunks_exact(classes)) {
                    logits[i * classes..][..classes].copy_from_slice(again);
                }
                found.rescored += close.len() as u64;
            }
        }
        for pixel in logits.chunks_exact(classes * genomes.len()) {
            let lowest =
                pixel.chunks_exact(classes).map(|logits| softmax(logits).nth(before.class).unwrap_or(f64::NAN));
            let drop = p_before - lowest.fold(f64::INFINITY, f64::min);
            let flips = pixel.chunks_exact(classes).any(|logits| argmax(logits) != before.class);
            found.push(drop, flips);
        }
        found.candidates += places.len() as u64;
    }
    Ok(Some(found))
}

/// By how much a class is ahead of the best other one.
fn margin(logits: &[f32], class: usize) -> f32 {
    let others = logits.iter().enumerate().filter(|(other, _)| *other != class).map(|(_, logit)| *logit);
    logits[class] - others.fold(f32::NEG_INFINITY, f32::max)
}
