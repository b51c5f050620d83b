//! Runs a model at `check`, so that what only ONNX Runtime knows is found before a run: operators and versions that it does not
//! have, weights that are cut off, shapes that do not fit each other.

use std::path::Path;

use super::graph_use::GraphUse;
use crate::{
    card::Head,
    error::{Code, Diagnostic},
    onnx::{LoadOptions, LoadedModel, probe_rows, provider, runtime},
};

/// How far from 1 the sum of probabilities may be.
const SUM_TOLERANCE: f32 = 1e-3;

/// Loads a model on the CPU and runs some seeded rows. Where ONNX Runtime is not installed, nothing is done: starting the run will
/// say so.
///
/// # Errors
/// Why the model cannot be run, or what its outputs show to be wrong with the card.
pub(super) fn run(model: &Path, graph_use: &GraphUse) -> Result<(), Diagnostic> {
    let at_model = |message: String| Diagnostic::at("model", Code::ModelMismatch, message);
    if let Err(error) = runtime::runtime() {
        tracing::debug!(error = error.report(), "the model is not run at `check`");
        return Ok(());
    }
    let options = LoadOptions { providers: vec![&provider::CPU], workers: 1, max_batch_size: Some(1), threshold: 0.5 };
    let outputs = LoadedModel::load(model, graph_use.adapter.clone(), &options)
        .and_then(|loaded| loaded.answers(probe_rows))
        .map_err(|error| at_model(error.report()))?;
    let classes = graph_use.adapter.head.as_ref().map_or(0, |head| head.length);
    if graph_use.may_be_probabilities && graph_use.head == Head::Softmax && are_probabilities(&outputs, classes) {
        let message = format!("the outputs of the model `{}` are probabilities, taken for logits", model.display());
        return Err(at_model(message).help("say `output: probabilities` in the card (`format: 3`)"));
    }
    Ok(())
}

/// Whether every row adds up to 1 and has no number outside of 0 to 1.
fn are_probabilities(numbers: &[f32], classes: usize) -> bool {
    classes > 1
        && numbers.chunks_exact(classes).all(|row| {
            row.iter().all(|p| (0.0..=1.0).contains(p)) && (row.iter().sum::<f32>() - 1.0).abs() < SUM_TOLERANCE
        })
}
