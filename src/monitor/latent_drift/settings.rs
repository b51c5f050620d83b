//! The settings of `latent_drift`, and the checks that a JSON Schema cannot express.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LatentDriftMonitor, windows::WindowRule};
use crate::{
    error::{Code, Diagnostic},
    stage::{Monitor, Settings},
    stats::multiplicity::Lord,
};

/// Compares windows of the stream with a reference in latent space, and reports when the stream has left the domain of the reference.
///
/// Its table has a row for every window, or for every segment of one. `is_drift` is the outcome of the MMD test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatentDrift {
    /// The label of a score with latents.
    pub score: String,
    /// A Parquet file, or a folder of them (`RUN/objects`), with latents of the same model. Its galaxies must not be in the stream:
    /// those that are, by `object_id` or else by equal latents, are counted in `n_in_reference` and are a finding.
    #[schemars(extend("format" = "path"))]
    pub reference: PathBuf,
    /// Uses the rows of the reference whose column `domain` has this value; all rows if not set.
    #[serde(default)]
    pub domain: Option<String>,
    /// The column of the reference with the latents.
    #[serde(default = "latent")]
    pub reference_latent: String,
    /// Also compares the mean class probabilities, if the reference has them.
    #[serde(default = "yes")]
    pub classes: bool,
    /// The column of the reference with the class probabilities.
    #[serde(default = "probability")]
    pub reference_probability: String,
    /// The most rows of the reference to use: those with the smallest hashes of seed and id.
    #[serde(default = "reference_limit")]
    #[schemars(range(min = 2, max = 1_000_000))]
    pub reference_limit: usize,
    /// Rows of a window. With `window_by` the most rows of a window, 100,000 if not set.
    #[serde(default)]
    #[schemars(range(min = 2, max = 10_000_000))]
    pub window: Option<u64>,
    /// A window ends every `every` rows, so windows overlap if this is less than `window`. Equal to `window` if not set.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub every: Option<u64>,
    /// A column, such as `visit`: a window lasts while its value stays the same.
    #[serde(default)]
    pub window_by: Option<String>,
    /// A column whose values are tested separately in every window, with Holm's correction.
    #[serde(default)]
    pub segment: Option<String>,
    /// The most segments of a window to test, in the order in which they appear. At most (`permutations` + 1) `alpha`.
    #[serde(default = "segments")]
    #[schemars(range(min = 1, max = 10_000))]
    pub segments: usize,
    /// A column of both stream and reference: permutations exchange rows of the same value only.
    #[serde(default)]
    pub block: Option<String>,
    /// `paper` (19 Gaussian kernels), `median` (one, whose variance is the median squared distance within the reference), or a list of
    /// variances s of kernels exp(-d^2/2s). `auto` is `paper`, or `median` where those 19 are blind to the scale of the reference's latents:
    /// fewer than 1 in 100 of its pairs have a kernel value between 0.001 and 0.999.
    #[serde(default)]
    pub kernel: KernelChoice,
    /// How the discrepancy is computed.
    #[serde(default)]
    pub method: TestMethod,
    /// The number of random frequencies of `random_features`.
    #[serde(default = "features")]
    #[schemars(range(min = 1, max = 65536))]
    pub features: usize,
    /// The number of permutations (of `random_features`: of random groups) of a test.
    #[serde(default = "permutations")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub permutations: usize,
    /// The number of bins of the histograms of latent dimensions; 0 leaves them out.
    #[serde(default = "bins")]
    #[schemars(range(min = 0, max = 256))]
    pub bins: usize,
    /// The level of the test of a window, all its segments together.
    #[serde(default = "alpha")]
    #[schemars(range(min = 0.000_001, max = 0.5))]
    pub alpha: f64,
    /// Which error rate is controlled over a stream of windows.
    #[serde(default)]
    pub control: Control,
}

impl LatentDrift {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(score: impl Into<String>, reference: impl Into<PathBuf>) -> Self {
        Self {
            score: score.into(),
            reference: reference.into(),
            domain: None,
            reference_latent: latent(),
            classes: yes(),
            reference_probability: probability(),
            reference_limit: reference_limit(),
            window: None,
            every: None,
            window_by: None,
            segment: None,
            segments: segments(),
            block: None,
            kernel: Default::default(),
            method: Default::default(),
            features: features(),
            permutations: permutations(),
            bins: bins(),
            alpha: alpha(),
            control: Default::default(),
        }
    }
}

/// Kernels by name, or their variances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum KernelChoice {
    /// By name.
    Named(KernelName),
    /// Variances s of kernels exp(-d^2/2s), which are summed.
    Variances(Vec<f64>),
}

impl Default for KernelChoice {
    fn default() -> Self {
        Self::Named(KernelName::Auto)
    }
}

/// Named kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KernelName {
    /// `paper`, or `median` where the kernels of the paper are blind to the scale of the reference's latents.
    Auto,
    /// The 19 kernels of arXiv 2112.14299.
    Paper,
    /// One kernel whose variance is the median of the squared distances of different latents of the reference.
    Median,
}

/// How the discrepancy is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestMethod {
    /// From all pairs of latents, with permutations.
    #[default]
    Permutation,
    /// From sums of random features, with random groups: time is linear in the rows, and memory does not depend on them.
    RandomFeatures,
}

/// Which error rate is controlled over a stream of windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// The probability of a false alarm in each window: alpha.
    #[default]
    None,
    /// The expected fraction of false alarms among all alarms so far: at most alpha, by LORD++.
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

/// The most rows of a window that a column cuts.
const DEFAULT_MAX_ROWS: u64 = 100_000;

impl LatentDrift {
    /// The most rows of a window.
    pub(super) fn max_rows(&self) -> u64 {
        self.window.unwrap_or(DEFAULT_MAX_ROWS)
    }

    /// The most samples of a window to test.
    pub(super) fn max_segments(&self) -> usize {
        if self.segment.is_some() { self.segments } else { 1 }
    }

    /// Whether class probabilities are read: sums of random features do not include them.
    pub(super) fn reads_classes(&self) -> bool {
        self.classes && self.method == TestMethod::Permutation
    }

    pub(super) fn rule(&self) -> WindowRule {
        let size = self.max_rows();
        match &self.window_by {
            Some(_) => WindowRule::Value { max: size },
            None => WindowRule::Rows { size, every: self.every.unwrap_or(size) },
        }
    }

    /// Whether the smallest possible p-value, corrected for segments, is at most this level.
    pub(super) fn can_be_significant(&self, level: f64) -> bool {
        (self.permutations + 1) as f64 * level >= self.max_segments() as f64 * (1.0 - 1e-12)
    }

    fn mistakes(&self) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        let mut refuse = |key: &str, code, message: String, help: &str| {
            mistakes.push(Diagnostic::at(key, code, message).help(help));
        };
        let cut = "set `window`, the rows of a window, or `window_by`, a column that cuts the stream";
        match (self.window, &self.window_by) {
            (None, None) => refuse("", Code::MissingKey, "the length of a window is missing".into(), cut),
            (Some(window), _) if window < 2 => {
                refuse("window", Code::OutOfRange, format!("`window` is {window}"), "it must be at least 2");
            }
            _ => {}
        }
        if self.every.is_some() && self.window_by.is_some() {
            refuse(
                "every",
                Code::Conflict,
                "windows that `window_by` cuts cannot overlap".into(),
                "remove `every` or `window_by`",
            );
        }
        if self.every.zip(self.window).is_some_and(|(every, window)| every > window) {
            let message = "`every` is above `window`: the rows in between would not be tested".into();
            refuse("every", Code::OutOfRange, message, "it must be at most `window`");
        }
        if self.every == Some(0) {
            refuse("every", Code::OutOfRange, "`every` is 0".into(), "it must be at least 1");
        }
        if self.method == TestMethod::RandomFeatures {
            let slides = self.every.is_some_and(|every| Some(every) != self.window);
            for (key, set) in [("every", slides), ("block", self.block.is_some())] {
                let message = format!("`{key}` needs the rows of a window, `random_features` keeps only their sums");
                if set {
                    refuse(key, Code::Conflict, message, "use `method: permutation`");
                }
            }
        }
        if let KernelChoice::Variances(variances) = &self.kernel
            && crate::stats::mmd::GaussianKernelSum::new(variances).is_none()
        {
            let message = "`kernel` needs at least one variance, and all must be above 0".into();
            refuse("kernel", Code::OutOfRange, message, "or set `auto`, `paper` or `median`");
        }
        // The levels of `lord` are largest at the first window, and fall until a window is significant.
        let level = match self.control {
            Control::None => self.alpha,
            Control::Lord => Lord::new(self.alpha).level(),
        };
        if !self.can_be_significant(level) {
            let (permutations, segments) = (self.permutations, self.max_segments());
            let what = if segments == 1 { "a window".to_owned() } else { format!("one of {segments} segments") };
            let shown = (level * 1e4).round() / 1e4;
            let message = format!("{permutations} permutations cannot make {what} significant at {shown}");
            let needed = (segments as f64 / level).ceil() - 1.0;
            refuse("permutations", Code::OutOfRange, message, &format!("set at least {needed}"));
        }
        mistakes
    }
}

impl Settings<dyn Monitor> for LatentDrift {
    const NAME: &'static str = "latent_drift";

    fn examples() -> &'static [&'static str] {
        &[
            "score: da_y1\nreference: models/convnet-da.latents.parquet\ndomain: y10\nwindow: 500\n",
            "score: da_y10\nreference: models/convnet-da.latents.parquet\ndomain: y10\nwindow: 750\nevery: 250\nsegment: label\n\
             segments: 4\nkernel: median\nbins: 0\n",
            "score: da_y1\nreference: models/convnet-da.latents.parquet\ndomain: y1\nwindow_by: label\nwindow: 10000\n\
             method: random_features\nfeatures: 256\npermutations: 4999\nalpha: 0.01\ncontrol: lord\n",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let mistakes = self.mistakes();
        if mistakes.is_empty() { Ok(Box::new(LatentDriftMonitor::new(label, self))) } else { Err(mistakes) }
    }
}
