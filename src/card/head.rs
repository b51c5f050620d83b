//! What the output of a model is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the output of a model is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// One of several classes: a logit or a probability for each.
    #[default]
    Softmax,
    /// One of two classes, by one number: the logit or the probability of the positive one.
    Sigmoid,
    /// Several labels that do not exclude each other: a logit or a probability for each.
    Multilabel,
    /// Votes on questions: the concentration of every answer, above 0 (Walmsley et al. 2022).
    Dirichlet,
    /// Physical values.
    Regression,
    /// A latent vector alone.
    Embedding,
}

/// What the numbers of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputValues {
    /// Numbers without bounds, whose softmax or sigmoid is a probability.
    Logits,
    /// Probabilities.
    Probabilities,
}

/// A question of a `dirichlet` head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Its name.
    pub name: String,
    /// The names of its answers, in the order of the output.
    #[schemars(length(min = 2))]
    pub answers: Vec<String>,
}

impl Head {
    /// The head as written in cards and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::Multilabel => "multilabel",
            Self::Dirichlet => "dirichlet",
            Self::Regression => "regression",
            Self::Embedding => "embedding",
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    pub(super) const fn is_softmax(&self) -> bool {
        matches!(self, Self::Softmax)
    }

    /// Whether an image has one class.
    pub const fn classifies(self) -> bool {
        matches!(self, Self::Softmax | Self::Sigmoid)
    }
}

impl OutputValues {
    /// The values as written in cards and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
        }
    }
}
