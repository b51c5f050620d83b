//! A setting that takes one label or a list of them.

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

impl From<&str> for Labels {
    fn from(label: &str) -> Self {
        Self::One(label.to_owned())
    }
}

impl<const N: usize> From<[&str; N]> for Labels {
    fn from(labels: [&str; N]) -> Self {
        Self::Many(labels.map(str::to_owned).to_vec())
    }
}

impl Labels {
    /// The labels, in order.
    pub(crate) fn list(&self) -> &[String] {
        match self {
            Self::One(label) => std::slice::from_ref(label),
            Self::Many(labels) => labels,
        }
    }

    /// The labels of the setting `score`: at least one, without duplicates.
    pub(crate) fn scores(&self) -> Result<Vec<String>, Vec<Diagnostic>> {
        let scores = self.list();
        if scores.is_empty() {
            return Err(vec![Diagnostic::at("score", Code::OutOfRange, "`score` is an empty list, expected a label")]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_label_or_a_list_without_duplicates() {
        let read = |json: &str| serde_json::from_str::<Labels>(json).expect("labels");
        assert_eq!(read("\"a\"").scores(), Ok(vec!["a".to_owned()]));
        assert_eq!(read("[\"a\", \"b\"]"), ["a", "b"].into_iter().collect());
        let why = |json: &str| read(json).scores().expect_err("a diagnostic")[0].message.clone();
        assert_eq!(why("[\"a\", \"b\", \"a\"]"), "`score` names `a` twice");
        assert!(why("[]").contains("empty list"));
    }
}
