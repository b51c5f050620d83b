//! The settings of `latent_distance`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LatentDistanceMonitor, ScorePair};
use crate::{
    error::{Code, Diagnostic},
    monitor::kit::{latents::LatentRef, score::Labels},
    stage::{Monitor, Settings},
};

/// Measures how far objects move in latent space, from one score to another or under attack.
///
/// Its table has a row of the scope `object` for every object, and one of the scope `total`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatentDistance {
    /// The label of the score that distances are measured from.
    pub from: String,
    /// The label of another score of the same model, or of an earlier `one_pixel` monitor.
    pub to: String,
    /// A second pair, whose distances are compared with those of the first: that of another model, for example.
    #[serde(default)]
    pub versus: Option<Versus>,
    /// Earlier `one_pixel` monitors, a label or a list of them: the statistics are over objects that all of them flipped.
    #[serde(default)]
    pub flipped_by: Option<Labels>,
    /// The number of bins of the compared histograms. Bins are equal, over the range of both pairs.
    #[serde(default = "twenty")]
    #[schemars(range(min = 2, max = 1000))]
    pub bins: usize,
    /// The number of permutations under the null of the Jensen-Shannon distance. 0 leaves the test out.
    #[serde(default = "permutations")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub permutations: usize,
    /// The quantiles of the distances to report.
    #[serde(default = "quantiles")]
    #[schemars(length(min = 1, max = 1000))]
    pub quantiles: Vec<f64>,
    /// Reports a finding (exit code 1) if the median distance is above this.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub maximum_median: Option<f64>,
    /// Reports a finding (exit code 1) if the Jensen-Shannon distance (natural logarithm) is above this.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub maximum_js_distance: Option<f64>,
}

impl LatentDistance {
    /// Settings with the required keys; all others have their defaults.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            versus: None,
            flipped_by: None,
            bins: twenty(),
            permutations: permutations(),
            quantiles: quantiles(),
            maximum_median: None,
            maximum_js_distance: None,
        }
    }
}

/// A pair that another is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Versus {
    /// The label of a score.
    pub from: String,
    /// The label of another score of the same model, or of an earlier `one_pixel` monitor.
    pub to: String,
}

const fn twenty() -> usize {
    20
}

const fn permutations() -> usize {
    999
}

fn quantiles() -> Vec<f64> {
    vec![0.05, 0.25, 0.75, 0.95]
}

impl LatentDistance {
    fn mistakes(&self) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        if let Some(q) = self.quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            let message = format!("{q} is not a quantile");
            mistakes.push(Diagnostic::at("quantiles", Code::OutOfRange, message).help("quantiles are between 0 and 1"));
        }
        if self.maximum_js_distance.is_some() && self.versus.is_none() {
            let message = "`maximum_js_distance` needs `versus`, a second pair of labels";
            mistakes.push(Diagnostic::at("maximum_js_distance", Code::Conflict, message));
        }
        mistakes
    }

    /// The pair, then the one it is compared with.
    fn pairs(&self) -> Vec<ScorePair> {
        let versus = self.versus.as_ref().map(|versus| ScorePair {
            from: LatentRef::score("versus.from", &versus.from),
            to: LatentRef::score_or_monitor("versus.to", &versus.to),
        });
        let own =
            ScorePair { from: LatentRef::score("from", &self.from), to: LatentRef::score_or_monitor("to", &self.to) };
        std::iter::once(own).chain(versus).collect()
    }
}

impl Settings<dyn Monitor> for LatentDistance {
    const NAME: &'static str = "latent_distance";

    fn examples() -> &'static [&'static str] {
        &[
            "from: da_y10\nto: da_y1\nquantiles: [0.25, 0.75]\nmaximum_median: 12.5\n",
            "from: da_y10\nto: attack\nversus: { from: da_y10, to: da_y1 }\nbins: 30\npermutations: 1999\nmaximum_js_distance: 0.6\n",
            "from: da_y10\nto: da_y1\nflipped_by: [attack]\n",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Monitor>, Vec<Diagnostic>> {
        let mistakes = self.mistakes();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let flipped_by = self.flipped_by.iter().flat_map(Labels::list);
        let flipped_by = flipped_by.map(|label| LatentRef::monitor("flipped_by", label)).collect();
        let pairs = self.pairs();
        Ok(Box::new(LatentDistanceMonitor::new(label, self, pairs, flipped_by)))
    }
}
