//! The model that a study asks, and an object as the model sees it before anything is changed.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::Schema};

use super::columns::{class_column, classes_of, image_of, latent_size, model_of, needs_text, text};
use crate::{
    batch::{ImageLayout, Images, column_of},
    error::{Diagnostic, Error, Result},
    stage::{ColumnRef, Model, ModelOutputs, RunContext, Scorer, Scorers},
    stats::softmax::argmax,
};

/// A model that is asked about images of a study's own.
pub(super) struct Asked {
    score: String,
    truth: String,
    image: String,
    /// The classes, in the order of the logits.
    pub(super) classes: Vec<String>,
    /// Length of the latent vector.
    pub(super) latent: Option<usize>,
    /// The file of the model, where the score says it.
    pub(super) file: Option<String>,
    /// The seed of the run.
    pub(super) seed: u64,
    scorer: Option<Arc<dyn Scorer>>,
}

/// An object as it is.
pub(super) struct Before<'a> {
    /// What the model sees, `[band, y, x]`.
    pub(super) image: &'a [f32],
    pub(super) truth: Option<String>,
    /// What the model says.
    pub(super) said: ModelOutputs,
    /// The class that the model gives.
    pub(super) class: usize,
    pub(super) is_right: bool,
}

impl Before<'_> {
    /// Why an object is left out of a study of right answers.
    pub(super) const fn why_skipped(&self) -> &'static str {
        if self.truth.is_none() { "unlabelled" } else { "misclassified" }
    }
}

impl Asked {
    pub(super) fn new(score: &str, truth: &str) -> Self {
        let (score, truth) = (score.to_owned(), truth.to_owned());
        Self {
            score,
            truth,
            image: String::new(),
            classes: Vec::new(),
            latent: None,
            file: None,
            seed: 0,
            scorer: None,
        }
    }

    pub(super) fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("truth", &self.truth), ColumnRef::new("score", class_column(&self.score))]
    }

    pub(super) fn model_queries(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("score", &self.score)]
    }

    /// The layout of the image that is scored.
    pub(super) fn bind(&mut self, input: &Schema) -> Result<ImageLayout, Vec<Diagnostic>> {
        let mut mistakes: Vec<Diagnostic> = needs_text(input, "truth", &self.truth).into_iter().collect();
        match image_of(input, "score", &self.score) {
            Ok((image, layout)) if mistakes.is_empty() => {
                self.image = image;
                self.classes = classes_of(input, &self.score).unwrap_or_default();
                self.latent = latent_size(input, &self.score);
                self.file = model_of(input, &class_column(&self.score)).map(str::to_owned);
                Ok(layout)
            }
            found => {
                mistakes.extend(found.err());
                Err(mistakes)
            }
        }
    }

    pub(super) fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        let scorer =
            scorers.get(&self.score).ok_or_else(|| Error::bug(format!("no score `{}` was started", self.score)))?;
        if scorer.model().is_none() {
            return Err(Error::data(format!("the model of `{}` cannot be asked about other images", self.score)));
        }
        (self.seed, self.scorer) = (run.seed, Some(scorer.clone()));
        Ok(())
    }

    pub(super) fn model(&self) -> Result<&dyn Model> {
        let model = self.scorer.as_ref().and_then(|scorer| scorer.model());
        model.ok_or_else(|| Error::bug(format!("the model of `{}` was not started", self.score)))
    }

    /// The one object of a row of the stream.
    pub(super) fn before<'a>(&self, subject: &'a RecordBatch) -> Result<Before<'a>> {
        let image = Images::of(subject, &self.image)?.pixels;
        let truth = text(column_of(subject, &self.truth)?)?;
        let truth = truth.iter().next().flatten().filter(|name| !name.is_empty()).map(str::to_owned);
        let said = self.model()?.evaluate(image)?;
        let class = argmax(&said.logits);
        let is_right = truth.is_some() && truth.as_deref() == self.classes.get(class).map(String::as_str);
        Ok(Before { image, truth, said, class, is_right })
    }
}
