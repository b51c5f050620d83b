//! The model that an attack queries, and an object as that model sees it before anything is changed.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::Schema};

use super::score::{Truth, TruthColumn, class_column, classes_of, image_of, latent_size, model_of};
use crate::{
    batch::{ImageLayout, Images},
    error::{Diagnostic, Error, Result},
    stage::{ColumnRef, Model, ModelOutputs, RunContext, Scorer, Scorers},
};

/// The attacked model: that of a score.
pub(crate) struct TargetModel {
    score: String,
    truth: TruthColumn,
    image: String,
    /// The classes, in the order of the logits.
    pub(crate) classes: Vec<String>,
    /// The length of latents; `None` if the model has none.
    pub(crate) latent: Option<usize>,
    /// The file of the model, if the score names it.
    pub(crate) file: Option<String>,
    /// The seed of the run.
    pub(crate) seed: u64,
    scorer: Option<Arc<dyn Scorer>>,
}

/// An unperturbed object and the outputs of the model for it.
pub(crate) struct Unperturbed<'a> {
    /// The image that the model reads, `[band, y, x]`.
    pub(crate) image: &'a [f32],
    pub(crate) truth: Option<String>,
    pub(crate) outputs: ModelOutputs,
    /// The predicted class.
    pub(crate) class: usize,
    /// Whether the predicted class is the truth.
    pub(crate) is_right: bool,
}

impl Unperturbed<'_> {
    /// Why a monitor of correctly classified objects skips this one.
    pub(crate) const fn skip_reason(&self) -> &'static str {
        if self.truth.is_none() { "unlabelled" } else { "misclassified" }
    }
}

impl TargetModel {
    /// The model of the score `score`, on objects whose true class is in the column `truth`.
    pub(crate) fn new(score: &str, truth: TruthColumn) -> Self {
        Self {
            score: score.to_owned(),
            truth,
            image: String::new(),
            classes: Vec::new(),
            latent: None,
            file: None,
            seed: 0,
            scorer: None,
        }
    }

    pub(crate) fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("truth", self.truth.name()), ColumnRef::new("score", class_column(&self.score))]
    }

    pub(crate) fn model_queries(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("score", &self.score)]
    }

    /// Finds the image column of the score. Returns its layout.
    pub(crate) fn bind(&mut self, input: &Schema) -> Result<ImageLayout, Vec<Diagnostic>> {
        let image = image_of(input, "score", &self.score);
        let classes = classes_of(input, &self.score).unwrap_or_default();
        let mut diagnostics = self.truth.bind(input, image.is_ok().then_some(&classes));
        match image {
            Ok((image, layout)) if diagnostics.is_empty() => {
                self.image = image;
                self.classes = classes;
                self.latent = latent_size(input, &self.score);
                self.file = model_of(input, &class_column(&self.score)).map(str::to_owned);
                Ok(layout)
            }
            found => {
                diagnostics.extend(found.err());
                Err(diagnostics)
            }
        }
    }

    /// Takes the started scorer.
    ///
    /// # Errors
    /// [`Error::Data`] if its model cannot be queried.
    pub(crate) fn start(&mut self, run: &RunContext, scorers: &Scorers) -> Result<()> {
        let scorer = scorers
            .get(&self.score)
            .ok_or_else(|| Error::bug(format!("the score `{}` was not started", self.score)))?;
        if scorer.model().is_none() {
            return Err(Error::data(format!("the model of `{}` cannot be queried with other images", self.score)));
        }
        (self.seed, self.scorer) = (run.seed, Some(scorer.clone()));
        Ok(())
    }

    pub(crate) fn model(&self) -> Result<&dyn Model> {
        let model = self.scorer.as_ref().and_then(|scorer| scorer.model());
        model.ok_or_else(|| Error::bug(format!("the model of `{}` was not started", self.score)))
    }

    /// Evaluates the model on the object of `row`, a batch of one row.
    pub(crate) fn unperturbed<'a>(&self, row: &'a RecordBatch) -> Result<Unperturbed<'a>> {
        let image = Images::of(row, &self.image)?.pixels;
        let values = self.truth.read(row)?;
        let (truth, name) = values.row(0);
        let model = self.model()?;
        let outputs = model.evaluate(image)?;
        let class = model.class_of(&outputs.logits);
        let is_right = truth == Truth::Class(class);
        Ok(Unperturbed { image, truth: name.map(str::to_owned), outputs, class, is_right })
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, DictionaryArray, StringArray},
        datatypes::{DataType, Field, Int32Type},
    };

    use super::*;
    use crate::{
        batch::{LABEL, Unit, list_column},
        stage::{AffineHead, PixelEvaluator, Rejects},
    };

    /// A model whose logits are the sums of the two bands.
    struct BandSums;

    impl Scorer for BandSums {
        fn required_columns(&self) -> Vec<ColumnRef> {
            Vec::new()
        }

        fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
            Ok(Vec::new())
        }

        fn start(&mut self, _run: &RunContext) -> Result<()> {
            Ok(())
        }

        fn score(&self, batch: RecordBatch, _rejects: &mut Rejects) -> Result<RecordBatch> {
            Ok(batch)
        }

        fn provenance(&self) -> serde_json::Value {
            serde_json::Value::Null
        }

        fn model(&self) -> Option<&dyn Model> {
            Some(self)
        }
    }

    impl Model for BandSums {
        fn evaluate(&self, images: &[f32]) -> Result<ModelOutputs> {
            let logits = images.chunks(images.len() / 2).map(|band| band.iter().sum()).collect();
            Ok(ModelOutputs { logits, ..ModelOutputs::default() })
        }

        fn pixel_evaluator<'a>(&'a self, _image: &[f32]) -> Result<Box<dyn PixelEvaluator + 'a>> {
            Err(Error::bug("not used here"))
        }

        fn head(&self, _latents: &[f32]) -> Result<Vec<f32>> {
            Err(Error::bug("not used here"))
        }

        fn affine_head(&self) -> Option<&AffineHead> {
            None
        }
    }

    fn layout() -> ImageLayout {
        ImageLayout {
            bands: ["g", "r"].map(str::to_owned).to_vec(),
            height: 1,
            width: 2,
            unit: Unit::Stretched,
            pixel_scale_arcsec: None,
            stretch: None,
            electrons_per_njy: None,
            wcs: None,
        }
    }

    fn input() -> Schema {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let metadata = [pair("classes", r#"["blue, [U]","red"]"#), pair("image", "y10"), pair("model", "m.onnx")];
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        Schema::new(vec![
            Field::new(LABEL, DataType::Utf8, true),
            layout().field("y10"),
            Field::new("a_class", dictionary, false).with_metadata(metadata.into()),
        ])
    }

    fn row(truth: Option<&str>, pixels: [f32; 4]) -> RecordBatch {
        let class: DictionaryArray<Int32Type> = ["blue, [U]"].into_iter().collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![truth])),
            list_column(pixels.to_vec(), 4).expect("an image"),
            Arc::new(class),
        ];
        RecordBatch::try_new(Arc::new(input()), columns).expect("a row")
    }

    #[test]
    fn evaluates_the_unperturbed_object_and_compares_it_with_the_truth() {
        let mut target = TargetModel::new("a", TruthColumn::new(LABEL, None));
        assert_eq!(target.bind(&input()).expect("bound"), layout());
        assert_eq!((target.latent, target.file.as_deref()), (None, Some("m.onnx")));
        let scorers = Scorers::from([("a".to_owned(), Arc::new(BandSums) as Arc<dyn Scorer>)]);
        target.start(&RunContext { seed: 5, ..RunContext::default() }, &scorers).expect("started");
        let of = |truth, pixels| {
            let row = row(truth, pixels);
            let object = target.unperturbed(&row).expect("evaluated");
            (object.class, object.is_right, object.outputs.logits.clone(), object.skip_reason())
        };
        assert_eq!(of(Some("red"), [1.0, 0.0, 2.0, 3.0]), (1, true, vec![1.0, 5.0], "misclassified"));
        assert_eq!(of(Some("red"), [3.0, 0.0, 1.0, 1.0]), (0, false, vec![3.0, 2.0], "misclassified"));
        assert_eq!(of(Some(""), [0.0, 0.0, 1.0, 1.0]), (1, false, vec![0.0, 2.0], "unlabelled"));
    }

    #[test]
    fn reports_a_score_without_an_image_and_a_truth_that_is_not_text() {
        let diagnostics = TargetModel::new("b", TruthColumn::new("y10", None)).bind(&input()).expect_err("diagnostics");
        assert_eq!(diagnostics.iter().map(|wrong| wrong.path[0].as_str()).collect::<Vec<_>>(), ["truth", "score"]);
        let target = TargetModel::new("a", TruthColumn::new(LABEL, None));
        assert!(target.model().is_err(), "not started");
    }
}
