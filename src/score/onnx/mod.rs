//! The score kind `onnx`: scores images with an ONNX model.
//!
//! What the model takes and gives is said by its card and by its graph (`graph_use`); where they disagree, or both leave it
//! open, the model is refused. The class is that of the largest logit (the first of equals). The probability is
//! softmax(l)_k = exp(l_k - max l) / sum_j exp(l_j - max l), in double precision, of the logits before a softmax that the graph may
//! end in. A row is rejected when its pixels or its outputs are not finite. Results are bitwise independent of batch composition:
//! this is tested when the model is loaded, and on the first batches of the stream.

mod columns;
mod compatibility;
mod graph_use;
mod proposal;
mod rows;
mod settings;
mod trial;

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema},
};
use prost::bytes::Bytes;
use serde_json::json;

use self::{
    columns::ScoreColumns,
    graph_use::GraphUse,
    rows::{BoundImage, ModelRows, RowNumbers},
};
pub use self::{
    proposal::{CardProposal, propose_card},
    settings::{CardSource, Device, Onnx},
};
use crate::{
    batch::{ImageLayout, LatentLayout, ScoredImage, with_columns},
    card::{Card, CardError, CardPlace, GivenCard, Head, ImageSize, ModelFile, read_file},
    error::{Code, Diagnostic, Error, Result},
    onnx::{LoadOptions, LoadedModel, ROUNDING, graph::ModelGraph, wire::data_type},
    stage::{ColumnRef, Model, ModelOutputs, Rejects, RunContext, Scorer},
};

/// In how many batches of the stream the first image is scored alone too.
const COMPARED_BATCHES: usize = 16;

/// The scorer of the kind `onnx`.
pub struct OnnxScorer {
    label: String,
    settings: Onnx,
    bound: Option<BoundModel>,
    loaded: Option<LoadedModel>,
    compared: AtomicUsize,
}

/// A model that was compared with its columns.
struct BoundModel {
    file: ModelFile,
    graph_use: GraphUse,
    domain: Option<String>,
    rows: ModelRows,
    columns: ScoreColumns,
}

/// What the columns of a score are made from.
struct ScoredModel {
    head: Head,
    /// Classes, labels, answers or values.
    names: Vec<String>,
    /// How many answers each question has, for votes.
    answers: Vec<usize>,
    has_errors: bool,
    latent_length: Option<usize>,
    latent_layout: LatentLayout,
    image: String,
    path: String,
    digest: String,
    no_head: Option<String>,
}

impl OnnxScorer {
    /// A scorer under a label, to be bound and started.
    pub fn new(label: &str, settings: Onnx) -> Self {
        Self { label: label.to_owned(), settings, bound: None, loaded: None, compared: AtomicUsize::new(0) }
    }

    /// The card of the model, once bound.
    pub fn card(&self) -> Option<&Card> {
        self.bound.as_ref().map(|bound| &bound.file.card)
    }

    /// The file of the model, and its bytes; in its card, the names that the settings override.
    fn read_model_file(&self, layout: Option<&ImageLayout>) -> Result<(ModelFile, Bytes), Diagnostic> {
        let Onnx { model, input, logits, latent, card, .. } = &self.settings;
        let wrong = |error| card_diagnostic(error, card.is_some());
        let bytes = read_file(model).map_err(wrong)?;
        let read = ModelFile::of_bytes(model, &bytes, self.settings.given_card().as_ref());
        let mut file = match (read, layout, latent) {
            (Err(CardError::NoCard { .. }), Some(layout), Some(latent)) => {
                let given = GivenCard::Value(encoder_card(layout, latent));
                ModelFile::of_bytes(model, &bytes, Some(&given)).map_err(wrong)?
            }
            (read, ..) => read.map_err(wrong)?,
        };
        let card = &mut file.card;
        card.input = input.clone().or_else(|| card.input.take());
        card.logits = logits.clone().or_else(|| card.logits.take());
        if let Some(latent) = latent.clone().filter(|latent| card.latent.as_ref() != Some(latent)) {
            (card.latent, card.latent_size) = (Some(latent), None);
        }
        Ok((file, bytes))
    }

    /// Fails when the file has changed since it was bound: the run record would name another model.
    fn check_unchanged(&self, bound: &BoundModel) -> Result<()> {
        let model = self.settings.model.display();
        let layout = bound.rows.main_layout();
        let (now, _) = self
            .read_model_file(layout)
            .map_err(|wrong| Error::data(format!("cannot read the model `{model}` again")).caused_by(wrong.message))?;
        if now.digest == bound.file.digest {
            Ok(())
        } else {
            Err(Error::data(format!("the model `{model}` has changed since the pipeline was checked")))
        }
    }

    fn unready(&self, state: &str) -> Error {
        Error::bug(format!("the scorer `{}` was not {state}", self.label))
    }

    fn loaded(&self) -> Result<&LoadedModel> {
        self.loaded.as_ref().ok_or_else(|| self.unready("started"))
    }

    fn bound(&self) -> Result<&BoundModel> {
        self.bound.as_ref().ok_or_else(|| self.unready("bound"))
    }

    /// The image columns of all inputs, compared with the card. Returns the domain of the stretch too.
    fn bind_images(
        &self,
        card: &Card,
        layout: ImageLayout,
        input: &Schema,
    ) -> Result<(Vec<BoundImage>, Option<String>), Vec<Diagnostic>> {
        let Onnx { image, images, any_stretch, .. } = &self.settings;
        let mut mismatches = Vec::new();
        let mut domain = None;
        match compatibility::check(card, &layout, image, *any_stretch) {
            Ok(found) => domain = found,
            Err(wrong) => mismatches.extend(wrong),
        }
        let mut bound = vec![(image.clone(), layout)];
        for further in &card.images {
            let name = &further.input;
            let Some(column) = images.get(name) else {
                let message = format!("the model takes a further image `{name}`, and `images` names no column for it");
                mismatches.push(Diagnostic::at("images", Code::MissingKey, message));
                continue;
            };
            match layout_of(input, column, &format!("images.{name}")) {
                Ok(layout) => {
                    mismatches.extend(compatibility::check_further(further, &layout, column));
                    bound.push((column.clone(), layout));
                }
                Err(wrong) => mismatches.push(wrong),
            }
        }
        let known: Vec<&str> = card.images.iter().map(|image| image.input.as_str()).collect();
        if let Some(name) = images.keys().find(|name| !known.contains(&name.as_str())) {
            let message = format!("the card has no further image `{name}`");
            mismatches.push(Diagnostic::at("images", Code::ModelMismatch, message).suggest(
                name,
                known,
                "further images",
            ));
        }
        if mismatches.is_empty() { Ok((bound, domain)) } else { Err(mismatches) }
    }

    /// Compares the answer to a row of a batch with that to the row alone.
    fn compare_alone(&self, row: usize, numbers: &[f32], outputs: &ModelOutputs) -> Result<()> {
        if self.compared.fetch_add(1, Ordering::Relaxed) >= COMPARED_BATCHES {
            return Ok(());
        }
        match self.loaded()?.compare_alone(row, numbers, outputs)? {
            None => Ok(()),
            // The answer is the same up to the order of sums; the trial at the start has not seen it.
            Some(by) if by <= ROUNDING => {
                tracing::warn!(score = self.label, by, "an image alone gives another last bit than in its batch");
                Ok(())
            }
            Some(by) => Err(Error::data(format!(
                "the answer of the model `{}` to an image depends on the other images of its batch, by up to {by:.2e}: export it in \
                 evaluation mode, or accept it on single images with `max_batch_size: 1`",
                self.settings.model.display()
            ))),
        }
    }
}

impl Scorer for OnnxScorer {
    fn required_columns(&self) -> Vec<ColumnRef> {
        let Onnx { image, images, .. } = &self.settings;
        let mut columns = vec![ColumnRef::new("image", image)];
        columns.extend(images.iter().map(|(input, column)| ColumnRef::new(&format!("images.{input}"), column)));
        if let Some(bound) = &self.bound {
            columns.extend(bound.rows.columns().map(|column| ColumnRef::new("columns", column)));
        }
        columns
    }

    fn bind(&mut self, input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        let layout = layout_of(input, &self.settings.image, "image");
        let read = self.read_model_file(layout.as_ref().ok());
        let (layout, (file, bytes)) = match (layout, read) {
            (Ok(layout), Ok(read)) => (layout, read),
            (layout, read) => return Err(layout.err().into_iter().chain(read.err()).collect()),
        };
        let at_model = |message: String| Diagnostic::at("model", Code::ModelMismatch, message);
        let model = self.settings.model.display();
        let graph = ModelGraph::read(bytes)
            .map_err(|reason| vec![at_model(format!("cannot use the model `{model}`: {reason}"))])?;
        let single_images = self.settings.max_batch_size == Some(1);
        let found = graph_use::resolve(&file.card, &graph, single_images).map_err(|misfits| {
            misfits.into_iter().map(|misfit| at_model(misfit.message).help(misfit.help)).collect::<Vec<_>>()
        });
        let images = self.bind_images(&file.card, layout, input);
        let (graph_use, (images, domain)) = match (found, images) {
            (Ok(found), Ok(images)) => (found, images),
            (found, images) => return Err([found.err(), images.err()].into_iter().flatten().flatten().collect()),
        };
        let named: Vec<&str> =
            file.card.columns.iter().flat_map(|input| input.columns.iter().map(String::as_str)).collect();
        if let Some(name) = self.settings.columns.keys().find(|name| !named.contains(&name.as_str())) {
            let message = format!("the card gives the model no column `{name}`");
            let wrong = Diagnostic::at("columns", Code::ModelMismatch, message);
            return Err(vec![wrong.suggest(name, named, "columns of the card")]);
        }
        let renamed = |name: &str| self.settings.columns.get(name).cloned().unwrap_or_else(|| name.to_owned());
        let whole_numbers = |name: &str| {
            let input = graph_use.adapter.inputs.iter().find(|input| input.name == name);
            input.and_then(|input| data_type::whole_numbers(input.element))
        };
        let shown = images.iter().enumerate();
        let shown = shown.map(|(i, (_, layout))| ScoredImage::new(layout, domain.clone().filter(|_| i == 0)));
        let latent_layout = LatentLayout::new(file.card.latent.clone().unwrap_or_default(), shown);
        let rows = ModelRows::bind(images, &file.card, renamed, whole_numbers, input)?;
        if self.settings.threshold.is_some() && graph_use.head != Head::Sigmoid {
            let head = graph_use.head.name();
            let message = format!("`threshold` is for a `sigmoid` head, that of `{model}` is `{head}`");
            return Err(vec![Diagnostic::at("threshold", Code::ModelMismatch, message)]);
        }
        trial::run(&self.settings.model, &graph_use).map_err(|wrong| vec![wrong])?;
        let card = &file.card;
        let columns = ScoreColumns::new(
            &self.label,
            &ScoredModel {
                head: graph_use.head,
                names: card.names(),
                answers: card.questions.iter().map(|question| question.answers.len()).collect(),
                has_errors: card.errors.is_some(),
                latent_length: graph_use.latent_length,
                latent_layout,
                image: if rows.is_one_image() { self.settings.image.clone() } else { String::new() },
                path: model.to_string(),
                digest: file.digest.clone(),
                no_head: graph_use.no_head.clone(),
            },
        );
        let fields = columns.fields().to_vec();
        self.bound = Some(BoundModel { file, graph_use, domain, rows, columns });
        Ok(fields)
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        let bound = self.bound()?;
        self.check_unchanged(bound)?;
        let Onnx { model, device, max_batch_size, .. } = &self.settings;
        let options = LoadOptions {
            providers: device.providers(),
            workers: run.threads,
            max_batch_size: *max_batch_size,
            threshold: self.settings.threshold.unwrap_or(0.5),
            count_nodes: true,
        };
        let loaded = LoadedModel::load(model, bound.graph_use.adapter.clone(), &options)?;
        tracing::info!(
            score = self.label,
            model = %model.display(),
            head = bound.graph_use.head.name(),
            device = loaded.pool.provider.name,
            why = loaded.pool.why,
            sessions = loaded.pool.sessions,
            batches = loaded.trial.batching.name(),
            "model loaded"
        );
        for reason in &loaded.trial.passed_over {
            tracing::info!(score = self.label, reason, "batches are smaller or padded");
        }
        self.loaded = Some(loaded);
        for finding in self.findings() {
            tracing::warn!(score = self.label, "{finding}");
        }
        Ok(())
    }

    fn score(&self, batch: RecordBatch, rejects: &mut Rejects) -> Result<RecordBatch> {
        let BoundModel { rows, columns, .. } = self.bound()?;
        let RowNumbers { numbers, mut bad } = rows.read(&batch)?;
        let outputs = self.loaded()?.evaluate(&numbers)?;
        bad.extend((0..batch.num_rows()).filter_map(|row| Some((row, columns.bad_output(row, &outputs)?))));
        // What is not finite has no equal.
        if let Some(row) = (0..batch.num_rows()).find(|row| bad.iter().all(|(bad, _)| bad != row)) {
            self.compare_alone(row, &numbers, &outputs)?;
        }
        drop(numbers);
        let model = self.loaded()?;
        let arrays = columns.arrays(outputs, |logits| model.class_of(logits))?;
        let scored = with_columns(&batch, columns.fields().iter().cloned().zip(arrays))?;
        rejects.take(scored, &self.label, &bad)
    }

    fn provenance(&self) -> serde_json::Value {
        let (Some(bound), Some(loaded)) = (&self.bound, &self.loaded) else { return serde_json::Value::Null };
        let card = match &bound.file.place {
            CardPlace::Inside => "inside".to_owned(),
            CardPlace::Document => "document".to_owned(),
            CardPlace::File(path) => path.display().to_string(),
        };
        json!({
            "model": self.settings.model,
            "sha256": bound.file.digest,
            "card": card,
            "head": bound.graph_use.head.name(),
            "threshold": self.settings.threshold,
            "adapted": !bound.graph_use.adapter.is_plain(),
            "image": self.settings.image,
            "domain": bound.domain,
            "trained_on": bound.file.card.trained_on,
            "device": loaded.pool.provider.name,
            "why": loaded.pool.why,
            "nodes": loaded.pool.nodes,
            "sessions": loaded.pool.sessions,
            "max_batch_size": loaded.trial.batching.size(),
            "batches": loaded.trial.batching.name(),
            "passed_over": loaded.trial.passed_over,
            "library": loaded.runtime.path,
            "onnxruntime": loaded.runtime.version,
            "build": loaded.runtime.build,
        })
    }

    fn findings(&self) -> Vec<String> {
        let dependence = self.loaded.as_ref().and_then(|loaded| loaded.trial.dependence);
        let finding = |by: f32| {
            format!(
                "the answer of the model `{}` to an image depends on the other images of its batch, by up to {by:.2e}: images are scored \
                 one by one; `max_batch_size: 1` accepts this",
                self.settings.model.display()
            )
        };
        dependence.map(finding).into_iter().collect()
    }

    fn digest(&self) -> Option<String> {
        self.bound.as_ref().map(|bound| bound.file.digest.clone())
    }

    fn preferred_batch_rows(&self) -> Option<usize> {
        let loaded = self.loaded.as_ref()?;
        loaded.pool.provider.is_accelerator.then(|| loaded.trial.batching.size())
    }

    fn model(&self) -> Option<&dyn Model> {
        self.loaded.as_ref().map(|loaded| loaded as &dyn Model)
    }
}

/// The card of an encoder without one: it takes the images of the column as they are.
fn encoder_card(layout: &ImageLayout, latent: &str) -> serde_json::Value {
    let ImageLayout { bands, height, width, unit, .. } = layout;
    json!({
        "format": 3, "head": Head::Embedding, "bands": bands, "size": ImageSize::Rectangle(*height, *width),
        "pixel_scale_arcsec": "any", "unit": unit, "latent": latent,
    })
}

/// The layout of an image column.
fn layout_of(input: &Schema, image: &str, key: &str) -> Result<ImageLayout, Diagnostic> {
    let Ok(field) = input.field_with_name(image) else {
        let message = format!("no earlier step makes a column `{image}`");
        let known = input.fields().iter().map(|field| field.name().as_str());
        return Err(Diagnostic::at(key, Code::UnknownColumn, message).suggest(image, known, "columns"));
    };
    let wrong = || Diagnostic::at(key, Code::WrongColumn, format!("column `{image}` does not hold images"));
    ImageLayout::of(field).ok_or_else(wrong)
}

#[allow(clippy::needless_pass_by_value, reason = "the signature that `map_err` takes")]
fn card_diagnostic(error: CardError, is_card_given: bool) -> Diagnostic {
    // What is wrong with a card that the settings give is wrong there.
    let of_card = if is_card_given { "card" } else { "model" };
    let check_path = "check the path; it is relative to the current directory";
    match error {
        CardError::Read { .. } => Diagnostic::at("model", Code::MissingFile, error.to_string()).help(check_path),
        CardError::ReadCard { .. } => Diagnostic::at(of_card, Code::MissingFile, error.to_string()).help(check_path),
        CardError::Unusable { .. } | CardError::Newer { .. } => {
            Diagnostic::at(of_card, Code::ModelMismatch, error.to_string())
        }
        CardError::NoCard { .. } => Diagnostic::at("model", Code::ModelMismatch, error.to_string())
            .help("write one with `lucarne card MODEL`, or name it by `card`; an encoder needs `latent` only"),
        _ => Diagnostic::at("model", Code::ModelMismatch, error.to_string()),
    }
}
