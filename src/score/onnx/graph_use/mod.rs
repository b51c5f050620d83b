//! How a graph is used, from its card: which inputs and outputs, and what their numbers are.
//!
//! What the graph declares has to agree with the card; what it does not tell, the card has to.

mod inputs;
mod outputs;

use self::{
    inputs::inputs,
    outputs::{HeadUse, head, latent},
};
use crate::{
    card::{Card, Head},
    onnx::{
        ModelPort,
        graph::{Adapter, Hazard, ModelGraph},
    },
};

/// How a graph is used.
#[derive(Debug, Clone)]
pub(super) struct GraphUse {
    pub(super) adapter: Adapter,
    /// The head, as the graph has it: a card of two classes and one output that ends in a sigmoid is a `sigmoid`.
    pub(super) head: Head,
    /// Length of the latent vector, if there is one.
    pub(super) latent_length: Option<usize>,
    /// Why the head cannot be computed from the latent vector, if it cannot.
    pub(super) no_head: Option<String>,
    /// Whether the graph leaves open that its logits are probabilities.
    pub(super) may_be_probabilities: bool,
}

/// A part of the settings or of the card that does not fit the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) message: String,
    pub(super) help: String,
}

fn misfit<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Misfit> {
    Err(Misfit { message: message.into(), help: help.into() })
}

/// Finds the inputs and outputs of a graph that a card names. `single_images` accepts models that depend on their batch.
///
/// # Errors
/// All parts that do not fit.
pub(super) fn resolve(card: &Card, graph: &ModelGraph, single_images: bool) -> Result<GraphUse, Vec<Misfit>> {
    let mut misfits: Vec<Misfit> =
        graph.hazards().iter().filter_map(|hazard| hazard_misfit(hazard, single_images)).collect();
    let inputs = keep(inputs(card, graph), &mut misfits);
    let latent = keep(latent(card, graph), &mut misfits).flatten();
    let head = keep(head(card, graph), &mut misfits);
    let (Some(inputs), Some(found)) = (inputs, head) else { return Err(misfits) };
    if !misfits.is_empty() {
        return Err(misfits);
    }
    let HeadUse { head, output, probabilities, may_be_probabilities } = found;
    let latent_length = latent.as_ref().map(|latent| latent.length);
    let adapter = Adapter { inputs, head: output, latent, probabilities };
    let no_head = adapter
        .head
        .as_ref()
        .zip(adapter.head_start(graph))
        .and_then(|(output, start)| graph.no_head(&start.value, &output.value));
    Ok(GraphUse { adapter, head, latent_length, no_head, may_be_probabilities })
}

fn keep<T>(found: Result<T, Misfit>, misfits: &mut Vec<Misfit>) -> Option<T> {
    found.map_err(|misfit| misfits.push(misfit)).ok()
}

fn hazard_misfit(hazard: &Hazard, single_images: bool) -> Option<Misfit> {
    let (message, help) = match hazard {
        Hazard::Random(node) => (
            format!("the model draws random numbers ({node}): its answers cannot be repeated"),
            "export it in evaluation mode; of a variational encoder, export the mean",
        ),
        Hazard::BatchStatistics(_) if single_images => return None,
        Hazard::BatchStatistics(node) => (
            format!("the answer of the model depends on the other images of a batch ({node} in training mode)"),
            "export it in evaluation mode, or accept it on single images with `max_batch_size: 1`",
        ),
    };
    Some(Misfit { message, help: help.into() })
}

fn listed(ports: &[ModelPort]) -> String {
    let shown: Vec<String> = ports.iter().take(20).map(|port| format!("`{}` ({port})", port.name)).collect();
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}
