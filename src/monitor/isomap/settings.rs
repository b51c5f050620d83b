//! The settings of `isomap`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IsomapMonitor;
use crate::{
    error::{Code, Diagnostic},
    monitor::kit::{latents::LatentRef, score::Labels},
    stage::{Monitor, Settings},
};

/// Draws the latents of a sample of objects in two or three dimensions.
///
/// Its table has a row for every point: one for every object and score, those of triplets, and those that are placed afterwards. It is
/// written when the stream has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Isomap {
    /// The label of a score, or a list of them, all of one model: every object has a point for each.
    pub score: Labels,
    /// How many objects are drawn: those with the smallest hashes of their ids, the same in every monitor.
    #[serde(default = "two_hundred_and_fifty")]
    #[schemars(range(min = 4, max = 5000))]
    pub n: usize,
    /// How many nearest points each point is connected to.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub neighbours: usize,
    /// The dimensions of the drawing. The first two are the same with and without the third.
    #[serde(default = "three")]
    #[schemars(range(min = 2, max = 3))]
    pub components: usize,
    /// The label of an earlier `one_pixel` monitor: objects that it flipped are drawn as triplets.
    #[serde(default)]
    pub attacked: Option<String>,
    /// How many objects are drawn as triplets, those with the smallest hashes of their ids.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub triplets: usize,
    /// The column with the true class: text, or integers that count the classes of the model from 0.
    #[serde(default)]
    pub truth: Option<String>,
    /// The classes in the order of the integers of `truth`, where that is not the order of the model: all classes of the model, and
    /// others that the truth has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truth_classes: Option<Vec<String>>,
    /// How many further objects are placed among the others without influencing the embedding.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000))]
    pub place: usize,
}

impl Isomap {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(score: impl Into<Labels>) -> Self {
        Self {
            score: score.into(),
            n: two_hundred_and_fifty(),
            neighbours: five(),
            components: three(),
            attacked: None,
            triplets: ten(),
            truth: None,
            truth_classes: None,
            place: Default::default(),
        }
    }
}

const fn two_hundred_and_fifty() -> usize {
    250
}

const fn five() -> usize {
    5
}

const fn three() -> usize {
    3
}

const fn ten() -> usize {
    10
}

/// The most points of an embedding: their distances take about 100 MiB, and the embedding about a second.
const MAX_POINTS: usize = 5000;

impl Isomap {
    /// Diagnostics of too few or too many points under `scores` scores.
    fn mistakes(&self, scores: usize) -> Vec<Diagnostic> {
        let points = self.n * scores;
        let all = points + if self.attacked.is_some() { self.triplets * triplet_latents(scores) } else { 0 };
        let mut mistakes = Vec::new();
        if self.truth_classes.is_some() && self.truth.is_none() {
            let message = "`truth_classes` has no effect without `truth`";
            let help = "name the column with the true class: `truth: label`";
            mistakes.push(Diagnostic::at("truth_classes", Code::Conflict, message).help(help));
        }
        if self.neighbours >= points {
            let message = format!("{points} points cannot have {} neighbours each", self.neighbours);
            let help = "draw more objects, or use fewer neighbours";
            mistakes.push(Diagnostic::at("neighbours", Code::OutOfRange, message).help(help));
        }
        if all > MAX_POINTS {
            let message = format!("{all} points are too many: an embedding has at most {MAX_POINTS}");
            let help = "every object has a point for every score; `place` adds objects without limit";
            mistakes.push(Diagnostic::at("n", Code::OutOfRange, message).help(help));
        }
        mistakes
    }
}

/// The number of latents of a triplet: there is no third one if there is only one score.
pub(super) const fn triplet_latents(scores: usize) -> usize {
    if scores > 1 { 3 } else { 2 }
}

impl Settings<dyn Monitor> for Isomap {
    const NAME: &'static str = "isomap";

    fn examples() -> &'static [&'static str] {
        &[
            "score: da_y10\nn: 500\nneighbours: 8\ncomponents: 2\n",
            "score: [da_y10, da_y1]\nattacked: attack\ntriplets: 20\ntruth: label\nplace: 1000\n",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let scores = self.score.scores()?;
        let mistakes = self.mistakes(scores.len());
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let scores = scores.iter().map(|label| LatentRef::score("score", label)).collect();
        Ok(Box::new(IsomapMonitor::new(label, self, scores)))
    }
}
