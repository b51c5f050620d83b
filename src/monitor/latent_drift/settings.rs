//! The settings of `latent_drift`, and what no schema can say of them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LatentDriftMonitor, windows::Rule};
use crate::{
    error::{Code, Diagnostic},
    stage::{Monitor, Settings},
    stats::multiplicity::Lord,
};

/// Compares windows of the stream with a reference in latent space, and says when the stream has left the domain that the model knows.
///
/// Its table has a row for every window, or for every segment of one. `is_drift` goes by the MMD test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatentDrift {
    /// The label of a score with latents.
    pub score: String,
    /// A Parquet file, or a folder of them (`RUN/objects`), with latents of the same model. Its galaxies must not be in the stream.
    pub reference: PathBuf,
    /// The rows of the reference whose column `domain` has this value; all when not set.
    #[serde(default)]
    pub domain: Option<String>,
    /// The column of the reference with the latents.
    #[serde(default = "latent")]
    pub reference_latent: String,
    /// Compares the mean class probabilities too, where the reference has them.
    #[serde(default = "yes")]
    pub classes: bool,
    /// The column of the reference with the class probabilities.
    #[serde(default = "probability")]
    pub reference_probability: String,
    /// The most rows of the reference that are used: those with the smallest hashes of seed and id.
    #[serde(default = "reference_limit")]
    #[schemars(range(min = 2, max = 1_000_000))]
    pub reference_limit: usize,
    /// Rows of a window. With `window_by` the most rows of one, 100,000 when not set.
    #[serde(default)]
    #[schemars(range(min = 2, max = 10_000_000))]
    pub window: Option<u64>,
    /// A window ends every so many rows, so that windows slide. As many as `window` when not set.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub every: Option<u64>,
    /// A column, such as `visit`: a window goes on while its value stays the same.
    #[serde(default)]
    pub window_by: Option<String>,
    /// A column whose values are tested one by one in every window, with Holm's correction.
    #[serde(default)]
    pub segment: Option<String>,
    /// The most segments of a window that are tested, in the order in which they appear. (`permutations` + 1) `alpha` has to reach it.
    #[serde(default = "segments")]
    #[schemars(range(min = 1, max = 10_000))]
    pub segments: usize,
    /// A column of stream and reference: rows change places under permutation with rows of the same value alone.
    #[serde(default)]
    pub block: Option<String>,
    /// `paper` (19 Gaussian kernels), `median` (one, as wide as the median distance within the reference), or a list of variances s of
    /// kernels exp(-d^2/2s).
    #[serde(default)]
    pub kernel: KernelChoice,
    /// How the discrepancy is worked out.
    #[serde(default)]
    pub method: Method,
    /// Random frequencies of `random_features`.
    #[serde(default = "features")]
    #[schemars(range(min = 1, max = 65536))]
    pub features: usize,
    /// Permutations (or hashed groups) of a test.
    #[serde(default = "permutations")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub permutations: usize,
    /// Bins of the histograms of latent dimensions; 0 does not compare them.
    #[serde(default = "bins")]
    #[schemars(range(min = 0, max = 256))]
    pub bins: usize,
    /// The level of a window's test, all its segments together.
    #[serde(default = "alpha")]
    #[schemars(range(min = 0.000_001, max = 0.5))]
    pub alpha: f64,
    /// What is controlled over a stream of windows.
    #[serde(default)]
    pub control: Control,
}

/// Kernels by name, or their variances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KernelChoice {
    /// By name.
    Named(KernelName),
    /// Variances s of kernels exp(-d^2/2s), which are added.
    Variances(Vec<f64>),
}

impl Default for KernelChoice {
    fn default() -> Self {
        Self::Named(KernelName::Paper)
    }
}

/// Kernels that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KernelName {
    /// The 19 of arXiv 2112.14299.
    Paper,
    /// One whose variance is the median of the squared distances within the reference.
    Median,
}

/// How the discrepancy is worked out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// From all pairs, with permutations.
    #[default]
    Permutation,
    /// From sums of random features, with groups by hash: linear in the rows, and bounded whatever the window.
    RandomFeatures,
}

/// What is controlled over a stream of windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// The false alarms of every window: alpha.
    #[default]
    None,
    /// The part of false alarms among all alarms so far: at most alpha, by LORD++.
    Lord,
}

fn latent() -> String {
    "latent".into()
}

fn probability() -> String {
    "probability".into()
}

const fn yes() -> bool {
    true
}

const fn reference_limit() -> usize {
    5000
}

const fn segments() -> usize {
    16
}

const fn features() -> usize {
    512
}

const fn permutations() -> usize {
    999
}

const fn bins() -> usize {
    20
}

const fn alpha() -> f64 {
    0.05
}

/// The most rows of a window that a column bounds.
const MOST_ROWS: u64 = 100_000;

impl LatentDrift {
    /// Windows of so many rows against a reference, all else by default.
    pub fn of(score: impl Into<String>, reference: impl Into<PathBuf>, window: u64) -> Self {
        Self {
            score: score.into(),
            reference: reference.into(),
            domain: None,
            reference_latent: latent(),
            classes: true,
            reference_probability: probability(),
            reference_limit: reference_limit(),
            window: Some(window),
            every: None,
            window_by: None,
            segment: None,
            segments: segments(),
            block: None,
            kernel: KernelChoice::default(),
            method: Method::default(),
            features: features(),
            permutations: permutations(),
            bins: bins(),
            alpha: alpha(),
            control: Control::default(),
        }
    }

    /// The most rows of a window.
    pub(super) fn most_rows(&self) -> u64 {
        self.window.unwrap_or(MOST_ROWS)
    }

    /// The most samples of a window that are tested.
    pub(super) fn most_segments(&self) -> usize {
        if self.segment.is_some() { self.segments } else { 1 }
    }

    /// Whether class probabilities are read: sums of random features hold none.
    pub(super) fn reads_classes(&self) -> bool {
        self.classes && self.method == Method::Permutation
    }

    pub(super) fn rule(&self) -> Rule {
        let size = self.most_rows();
        match &self.window_by {
            Some(_) => Rule::Value { most: size },
            None => Rule::Rows { size, every: self.every.unwrap_or(size) },
        }
    }

    /// Whether the smallest p-value that there can be, corrected for segments, is at this level or below.
    pub(super) fn can_be_significant(&self, level: f64) -> bool {
        (self.permutations + 1) as f64 * level >= self.most_segments() as f64 * (1.0 - 1e-12)
    }

    fn mistakes(&self) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        let mut refuse = |key: &str, code, message: String, help: &str| {
            mistakes.push(Diagnostic::at(key, code, message).help(help));
        };
        let cut = "give `window`, the rows of a window, or `window_by`, a column that cuts the stream";
        match (self.window, &self.window_by) {
            (None, None) => refuse("", Code::MissingKey, "nothing says how long a window is".into(), cut),
            (Some(window), _) if window < 2 => {
                refuse("window", Code::OutOfRange, format!("`window` is {window}"), "a discrepancy needs 2 rows");
            }
            _ => {}
        }
        if self.every.is_some() && self.window_by.is_some() {
            refuse(
                "every",
                Code::Conflict,
                "windows that a column cuts do not slide".into(),
                "drop `every` or `window_by`",
            );
        }
        if self.every.zip(self.window).is_some_and(|(every, window)| every > window) {
            let message = "rows between windows would belong to none".into();
            refuse("every", Code::OutOfRange, message, "`every` is at most `window`");
        }
        if self.every == Some(0) {
            refuse("every", Code::OutOfRange, "`every` is 0".into(), "a window ends every row at most");
        }
        if self.method == Method::RandomFeatures {
            let slides = self.every.is_some_and(|every| Some(every) != self.window);
            for (key, set) in [("every", slides), ("block", self.block.is_some())] {
                let message =
                    format!("`{key}` needs the rows of a window, of which `random_features` keeps sums alone");
                if set {
                    refuse(key, Code::Conflict, message, "use `method: permutation`");
                }
            }
        }
        if let KernelChoice::Variances(variances) = &self.kernel
            && crate::stats::mmd::GaussianKernelSum::new(variances).is_none()
        {
            let message = "variances of kernels are numbers above 0, one at least".into();
            refuse("kernel", Code::OutOfRange, message, "or `paper`, or `median`");
        }
        // Levels of `lord` only fall from the first one on, until something is found.
        let level = match self.control {
            Control::None => self.alpha,
            Control::Lord => Lord::new(self.alpha).level(),
        };
        if !self.can_be_significant(level) {
            let (permutations, segments) = (self.permutations, self.most_segments());
            let what = if segments == 1 { "a window".to_owned() } else { format!("one of {segments} segments") };
            let shown = (level * 1e4).round() / 1e4;
            let message = format!("{permutations} permutations cannot make {what} significant at {shown}");
            let needed = (segments as f64 / level).ceil() - 1.0;
            refuse("permutations", Code::OutOfRange, message, &format!("{needed} are enough"));
        }
        mistakes
    }
}

impl Settings<dyn Monitor> for LatentDrift {
    const NAME: &'static str = "latent_drift";

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let mistakes = self.mistakes();
        if mistakes.is_empty() { Ok(Box::new(LatentDriftMonitor::new(label, self))) } else { Err(mistakes) }
    }
}
