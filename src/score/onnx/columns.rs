//! The columns that a score adds, by the head of its model.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, DictionaryArray, Int32Array, StringArray},
    datatypes::{DataType, Field, Int32Type},
};

use super::ScoredModel;
use crate::{
    batch::{list_column, list_type, metadata_list},
    card::Head,
    error::Result,
    stage::ModelOutputs,
    stats::{
        finite::first_non_finite,
        softmax::{sigmoid, softmax},
    },
};

/// The columns of a score.
pub(super) struct ScoreColumns {
    head: Head,
    /// Classes, labels, answers or values.
    names: Vec<String>,
    /// How many answers each question has, for votes.
    answers: Vec<usize>,
    has_errors: bool,
    latent_length: Option<usize>,
    classes: Arc<StringArray>,
    fields: Vec<Field>,
}

impl ScoreColumns {
    pub(super) fn new(label: &str, model: &ScoredModel) -> Self {
        let ScoredModel {
            head,
            names,
            answers,
            has_errors,
            latent_length,
            latent_layout,
            image,
            path,
            digest,
            no_head,
        } = model;
        let (head, latent_length, has_errors) = (*head, *latent_length, *has_errors);
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let joined = metadata_list(names);
        let named = entry(if head.classifies() { "classes" } else { "names" }, &joined);
        let origin = || [entry("image", image), entry("model", path), entry("head", head.name())];
        let list = |suffix: &str, length: usize| Field::new(format!("{label}_{suffix}"), list_type(length), false);
        let with = |field: Field, entries: Vec<(String, String)>| {
            field.with_metadata(entries.into_iter().collect::<HashMap<_, _>>())
        };
        let mut fields = Vec::new();
        match head {
            Head::Softmax | Head::Sigmoid => {
                let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                let mut entries = vec![named.clone()];
                entries.extend(origin());
                entries.extend(no_head.as_ref().map(|reason| entry("no_head", reason)));
                fields.push(with(Field::new(format!("{label}_class"), dictionary, false), entries));
                fields.push(with(list("probability", names.len()), vec![named]));
            }
            Head::Multilabel => {
                fields.push(with(list("probability", names.len()), [vec![named], origin().into()].concat()));
            }
            Head::Dirichlet => {
                fields.push(with(list("fraction", names.len()), [vec![named.clone()], origin().into()].concat()));
                fields.push(with(list("fraction_std", names.len()), vec![named]));
            }
            Head::Regression => {
                fields.push(with(list("value", names.len()), [vec![named.clone()], origin().into()].concat()));
                if has_errors {
                    fields.push(with(list("error", names.len()), vec![named]));
                }
            }
            Head::Embedding => {}
        }
        if let Some(length) = latent_length {
            let known = vec![entry("model_sha256", digest), latent_layout.entry()];
            fields.push(with(list("latent", length), [origin().into(), known].concat()));
        }
        let classes = Arc::new(StringArray::from_iter_values(names));
        Self { head, names: names.clone(), answers: answers.clone(), has_errors, latent_length, classes, fields }
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Numbers of the head's output for a row.
    fn outputs(&self) -> usize {
        match self.head {
            Head::Embedding => 0,
            Head::Regression if self.has_errors => 2 * self.names.len(),
            _ => self.names.len(),
        }
    }

    /// Why a row cannot be used, if it cannot.
    pub(super) fn bad_output(&self, row: usize, outputs: &ModelOutputs) -> Option<String> {
        let (length, width) = (self.latent_length.unwrap_or(0), self.outputs());
        let numbers = &outputs.logits[row * width..][..width];
        if first_non_finite(numbers).is_some() {
            let what = if matches!(self.head, Head::Dirichlet | Head::Regression) { "outputs" } else { "logits" };
            return Some(format!("the model gave {what} that are not finite: {numbers:?}"));
        }
        let per_row = outputs.probabilities.len().checked_div(outputs.logits.len() / width.max(1)).unwrap_or(0);
        let own = &outputs.probabilities[row * per_row..][..per_row];
        if let Some(p) = own.iter().find(|p| !(-1e-5..=1.0 + 1e-5).contains(*p)) {
            return Some(format!("the model gave the probability {p}, expected 0 to 1"));
        }
        let least = numbers.iter().copied().fold(f32::INFINITY, f32::min);
        if self.head == Head::Dirichlet && least <= 0.0 {
            return Some(format!("the model gave a concentration of {least}, expected numbers above 0"));
        }
        if self.head == Head::Regression
            && self.has_errors
            && numbers[self.names.len()..].iter().any(|error| *error < 0.0)
        {
            return Some(format!("the model gave an error below 0: {numbers:?}"));
        }
        let index = first_non_finite(&outputs.latents[row * length..][..length])?;
        Some(format!("the model gave a latent vector that is not finite, at {index}"))
    }

    /// The columns of some rows; `class_of` gives the class that logits mean.
    pub(super) fn arrays(&self, outputs: ModelOutputs, class_of: impl Fn(&[f32]) -> usize) -> Result<Vec<ArrayRef>> {
        let (numbers, count) = (&outputs.logits, self.names.len());
        let mut arrays: Vec<ArrayRef> = Vec::new();
        match self.head {
            Head::Softmax | Head::Sigmoid => {
                let keys: Int32Array = numbers.chunks_exact(count).map(|logits| class_of(logits) as i32).collect();
                let probabilities = match outputs.probabilities.len() {
                    0 => numbers.chunks_exact(count).flat_map(softmax).map(|p| p as f32).collect(),
                    own if own == numbers.len() => outputs.probabilities,
                    _ => outputs.probabilities.iter().flat_map(|p| [1.0 - p, *p]).collect(),
                };
                arrays.push(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, self.classes.clone())?));
                arrays.push(list_column(probabilities, count)?);
            }
            Head::Multilabel => {
                let probabilities = match outputs.probabilities.is_empty() {
                    true => numbers.iter().map(|logit| sigmoid(*logit) as f32).collect(),
                    false => outputs.probabilities,
                };
                arrays.push(list_column(probabilities, count)?);
            }
            Head::Dirichlet => {
                let (mut fractions, mut spreads) =
                    (Vec::with_capacity(numbers.len()), Vec::with_capacity(numbers.len()));
                for row in numbers.chunks_exact(count) {
                    let mut rest = row;
                    for answers in &self.answers {
                        let (question, more) = rest.split_at(*answers);
                        for (mean, spread) in expected_fractions(question) {
                            fractions.push(mean as f32);
                            spreads.push(spread as f32);
                        }
                        rest = more;
                    }
                }
                arrays.extend([list_column(fractions, count)?, list_column(spreads, count)?]);
            }
            Head::Regression if self.has_errors => {
                let part = |start: usize| {
                    numbers.chunks_exact(2 * count).flat_map(|row| row[start..][..count].to_vec()).collect()
                };
                arrays.extend([list_column(part(0), count)?, list_column(part(count), count)?]);
            }
            Head::Regression => arrays.push(list_column(numbers.clone(), count)?),
            Head::Embedding => {}
        }
        if let Some(length) = self.latent_length {
            arrays.push(list_column(outputs.latents, length)?);
        }
        Ok(arrays)
    }
}

/// The mean a / s and the standard deviation sqrt(a (s - a) / (s^2 (s + 1))) of every fraction of a Dirichlet distribution with
/// the concentrations a and their sum s.
fn expected_fractions(concentrations: &[f32]) -> impl Iterator<Item = (f64, f64)> {
    let sum: f64 = concentrations.iter().map(|a| f64::from(*a)).sum();
    concentrations.iter().map(move |a| {
        let mean = f64::from(*a) / sum;
        (mean, (mean * (1.0 - mean) / (sum + 1.0)).sqrt())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_votes_have_the_moments_of_a_dirichlet_distribution() {
        // scipy.stats.dirichlet([2, 3, 5]): mean 0.2, 0.3, 0.5; var 0.014545, 0.019091, 0.022727.
        let found: Vec<(f64, f64)> = expected_fractions(&[2.0, 3.0, 5.0]).collect();
        for ((mean, spread), (expected, variance)) in
            found.iter().zip([(0.2, 0.016 / 1.1), (0.3, 0.021 / 1.1), (0.5, 0.025 / 1.1)])
        {
            assert!((mean - expected).abs() < 1e-12 && (spread * spread - variance).abs() < 1e-12);
        }
    }
}
