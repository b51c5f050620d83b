//! Runs a model at `check`, so that what only ONNX Runtime knows is found before a run: operators and versions that it does not
//! have, weights that are cut off, shapes that do not fit each other.

use std::path::Path;

use super::graph_use::GraphUse;
use crate::{
    card::Head,
    error::{Code, Diagnostic},
    onnx::{LoadOptions, LoadedModel, ProbabilityKind, graph::OutputForm, probe_rows, provider, runtime},
    stage::ModelOutputs,
    stats::softmax::{sigmoid, softmax},
};

/// How far from 1 the sum of probabilities may be: those of an int8 model are multiples of 1/256.
const SUM_TOLERANCE: f64 = 2e-2;
/// How far probabilities may be from those of the logits before the last activation: half precision.
const SAME_TOLERANCE: f64 = 5e-3;

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
    let options = LoadOptions {
        providers: vec![&provider::CPU],
        workers: 1,
        max_batch_size: Some(1),
        threshold: 0.5,
        count_nodes: false,
    };
    let outputs = LoadedModel::load(model, graph_use.adapter.clone(), &options)
        .and_then(|loaded| loaded.answers(probe_rows))
        .map_err(|error| at_model(error.report()))?;
    check_probabilities(graph_use, &outputs)
        .map_err(|(wrong, help)| at_model(format!("the outputs of the model `{}` {wrong}", model.display())).help(help))
}

/// Compares what the answers to the seeded rows show with what the card says.
fn check_probabilities(graph_use: &GraphUse, outputs: &ModelOutputs) -> Result<(), (String, &'static str)> {
    let Some(head) = &graph_use.adapter.head else { return Ok(()) };
    let ModelOutputs { logits, probabilities, .. } = outputs;
    let adds_up = |row: &[f32]| (row.iter().map(|p| f64::from(*p)).sum::<f64>() - 1.0).abs() < SUM_TOLERANCE;
    let is_probability = |p: &f32| (-1e-5..=1.0 + 1e-5).contains(p);
    let as_logits = "say `output: probabilities` in the card (`format: 3`)";
    let as_probabilities = "correct `output` in the card: they are not probabilities";
    match (head.form, graph_use.head) {
        (OutputForm::OfProbabilities(kind), _) => {
            if let Some(p) = probabilities.iter().find(|p| !is_probability(p)) {
                return Err((format!("are said to be probabilities, and one is {p}"), as_probabilities));
            }
            let wrong = probabilities.chunks_exact(head.length).find(|row| !adds_up(row));
            match wrong.filter(|_| kind == ProbabilityKind::Classes) {
                Some(row) => Err((
                    format!("are said to be probabilities of classes, and {row:?} do not add up to 1"),
                    as_probabilities,
                )),
                None => Ok(()),
            }
        }
        (_, Head::Softmax) if graph_use.may_be_probabilities => {
            let all = logits.iter().all(is_probability) && logits.chunks_exact(head.length).all(adds_up);
            if all && head.length > 1 { Err(("are probabilities, taken for logits".into(), as_logits)) } else { Ok(()) }
        }
        (_, Head::Softmax | Head::Sigmoid | Head::Multilabel) if !probabilities.is_empty() => {
            let of_row = |row: &[f32]| match graph_use.head {
                Head::Softmax => softmax(row).collect(),
                Head::Sigmoid => softmax(row).skip(1).collect(),
                _ => row.iter().map(|logit| sigmoid(*logit)).collect::<Vec<f64>>(),
            };
            let expected = logits.chunks_exact(head.length).flat_map(of_row);
            let largest = expected.zip(probabilities).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, f64::max);
            if largest <= SAME_TOLERANCE {
                return Ok(());
            }
            let wrong =
                format!("differ by {largest:.1e} from the probabilities of the logits before their last activation");
            Err((wrong, "export the model with a softmax over the classes, or without it"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use arrow::datatypes::Schema;
    use prost::Message;
    use serde_json::json;

    use super::{
        super::{CardSource, Onnx, OnnxScorer},
        *,
    };
    use crate::{
        batch::{ImageLayout, Unit},
        onnx::wire::ModelProto,
        stage::Scorer,
    };

    #[test]
    fn an_output_of_another_length_is_named_as_the_file_names_it() {
        if runtime::runtime().is_err() {
            eprintln!("skipped: ONNX Runtime is missing");
            return;
        }
        let bytes = fs::read("models/examples/keras_like.onnx").expect("a model");
        let mut model = ModelProto::decode(bytes.as_slice()).expect("a model");
        // The graph does not declare the three classes that it gives.
        model.graph.as_mut().expect("a graph").output[0].r#type = None;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.onnx");
        fs::write(&path, model.encode_to_vec()).expect("written");
        let card = json!({
            "format": 3, "classes": ["a", "b"], "bands": ["g", "r", "i"], "size": 100, "pixel_scale_arcsec": "any", "unit": "stretched",
        });
        let layout = ImageLayout::new(["g", "r", "i"], 100, 100, Unit::Stretched);
        let mut scorer = OnnxScorer::new("m", Onnx { card: Some(CardSource::Keys(card)), ..Onnx::new(path, "image") });
        let wrong = scorer.bind(&Schema::new(vec![layout.field("image")])).expect_err("refused").remove(0);
        assert!(
            wrong.message.contains("output `predictions` of the model has shape [1, 3], expected [1, 2]"),
            "{wrong:?}"
        );
    }
}
