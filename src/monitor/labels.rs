//! One label or several, as a setting of a monitor names them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Diagnostic};

/// One label, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Labels {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Labels {
    /// The labels, in order.
    pub(super) fn list(&self) -> &[String] {
        match self {
            Self::One(label) => std::slice::from_ref(label),
            Self::Many(labels) => labels,
        }
    }

    /// The labels of the setting `score`: one at least, none twice.
    pub(super) fn scores(&self) -> Result<Vec<String>, Vec<Diagnostic>> {
        let scores = self.list();
        if scores.is_empty() {
            return Err(vec![Diagnostic::at("score", Code::OutOfRange, "`score` names no score")]);
        }
        match (1..scores.len()).find(|&i| scores[..i].contains(&scores[i])) {
            None => Ok(scores.to_vec()),
            Some(i) => {
                let message = format!("`score` names `{}` twice", scores[i]);
                Err(vec![Diagnostic::at("score", Code::Conflict, message)])
            }
        }
    }
}

impl<T: Into<String>> FromIterator<T> for Labels {
    fn from_iter<I: IntoIterator<Item = T>>(labels: I) -> Self {
        Self::Many(labels.into_iter().map(Into::into).collect())
    }
}
