//! Adapts a graph as people export it to the one form that the rest of this crate runs: one input, images `[N, band, y, x]` or rows of
//! numbers `[N, length]`; outputs in float32 or float16; unbounded logits instead of probabilities.
//!
//! The file is not changed: nodes are added before and after those of the graph, in memory.

use prost::{Message, bytes::Bytes};

use super::{
    HeadStart, ModelGraph,
    added_nodes::{AddedNodes, value_info},
};
use crate::onnx::{
    decode_model,
    signature::{ModelSignature, ProbabilityKind, RowShape, VectorOutput},
    wire::{GraphProto, ModelProto, NodeProto, ValueInfoProto, data_type},
};

/// The first operator set in which the operators that are added have the form that they are added in.
const MIN_OPSET: i64 = 7;
/// The names of the adapted input and outputs.
const ROW: &str = "lucarne:row";
const LOGITS: &str = "lucarne:logits";
const LATENT: &str = "lucarne:latent";
const PROBABILITIES: &str = "lucarne:probabilities";

/// How a graph is used: its inputs in the order of a row, and its outputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Adapter {
    pub(crate) inputs: Vec<ModelInput>,
    /// The output of the head; an encoder has none.
    pub(crate) head: Option<OutputUse>,
    /// The output with the latent vector.
    pub(crate) latent: Option<OutputUse>,
    /// The probabilities that the graph makes of the logits: what the model answers, in whatever precision.
    pub(crate) probabilities: Option<OutputUse>,
}

/// An input of a graph.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelInput {
    pub(crate) name: String,
    /// `TensorProto.DataType`.
    pub(crate) element: i32,
    /// The batch size that the graph is fixed to, if it is.
    pub(crate) fixed_batch: Option<usize>,
    pub(crate) shape: InputShape,
}

/// The numbers of one row of an input.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum InputShape {
    /// An image.
    Image {
        bands: usize,
        height: usize,
        width: usize,
        /// Whether the graph takes `[N, y, x, band]`.
        channels_last: bool,
        scaling: PixelScaling,
    },
    /// A row of numbers.
    Numbers(usize),
}

/// What is done to pixels before the graph: (scale x + offset - mean) / std, band by band.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct PixelScaling {
    pub(crate) scale: Option<f32>,
    pub(crate) offset: Option<f32>,
    /// One number per band.
    pub(crate) mean: Option<Vec<f32>>,
    /// One number per band.
    pub(crate) std: Option<Vec<f32>>,
}

/// An output of a graph, or a value inside of it that is made an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputUse {
    /// The value.
    pub(crate) value: String,
    /// The output of the graph that it stands for; the same name unless an activation is left out.
    pub(crate) output: String,
    /// `TensorProto.DataType` of the value, where it is known.
    pub(crate) element: Option<i32>,
    /// That of the output; `None` for a class map.
    pub(crate) output_element: Option<i32>,
    pub(crate) form: OutputForm,
    /// Numbers of a row after the form was applied.
    pub(crate) length: usize,
    /// The lengths of the axes after the batch, as declared; `[length]` where they are not.
    pub(crate) axes: Vec<usize>,
    /// A second output, of as many numbers, that is joined to the first: the errors of values.
    pub(crate) joined: Option<String>,
}

/// What is done to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// Nothing.
    Plain,
    /// The logit l of one class becomes the logits 0 and l of two, in the graph.
    TwoClasses,
    /// Probabilities become logits, outside of the graph: the logarithm of ONNX Runtime depends on the place in the batch.
    OfProbabilities(ProbabilityKind),
}

impl InputShape {
    const fn numbers(&self) -> usize {
        match self {
            Self::Image { bands, height, width, .. } => bands.saturating_mul(*height).saturating_mul(*width),
            Self::Numbers(length) => *length,
        }
    }
}

impl ModelInput {
    fn is_plain(&self) -> bool {
        let plain_shape = match &self.shape {
            InputShape::Image { channels_last, scaling, .. } => !channels_last && *scaling == PixelScaling::default(),
            InputShape::Numbers(_) => false,
        };
        plain_shape && matches!(self.element, data_type::FLOAT | data_type::FLOAT16)
    }

    /// Whether the rows are float16 outside of the graph too. ONNX Runtime removes a conversion of single precision to half and
    /// back, and with it the rounding.
    pub(super) fn is_half_outside(&self) -> bool {
        let is_scaled = match &self.shape {
            InputShape::Image { scaling, .. } => *scaling != PixelScaling::default(),
            InputShape::Numbers(_) => true,
        };
        self.element == data_type::FLOAT16 && !is_scaled
    }
}

impl OutputUse {
    fn is_plain(&self) -> bool {
        let is_output = self.value == self.output && self.joined.is_none();
        let is_read = matches!(self.element, Some(data_type::FLOAT | data_type::FLOAT16));
        self.form != OutputForm::TwoClasses && is_read && is_output
    }
}

impl Adapter {
    /// Whether the graph has the one form already.
    pub(crate) fn is_plain(&self) -> bool {
        let are_plain = self.outputs().all(|(output, _)| output.is_plain()) && self.probabilities.is_none();
        matches!(self.inputs.as_slice(), [input] if input.is_plain()) && are_plain
    }

    fn is_half_outside(&self) -> bool {
        matches!(self.inputs.as_slice(), [input] if input.is_half_outside())
    }

    /// The outputs, and their names after the graph was adapted.
    fn outputs(&self) -> impl Iterator<Item = (&OutputUse, &'static str)> {
        let named = [(&self.head, LOGITS), (&self.latent, LATENT), (&self.probabilities, PROBABILITIES)];
        named.into_iter().filter_map(|(output, name)| Some((output.as_ref()?, name)))
    }

    /// The input and the outputs after the graph was adapted.
    pub(crate) fn signature(&self) -> ModelSignature {
        let plain = self.is_plain();
        let vector = |of: &OutputUse, adapted: &str| {
            let name = if plain { of.output.clone() } else { adapted.to_owned() };
            VectorOutput { name, of: of.output.clone(), length: of.length }
        };
        let row = match self.inputs.as_slice() {
            [ModelInput { shape: InputShape::Image { bands, height, width, .. }, .. }] => {
                RowShape::Image { bands: *bands, height: *height, width: *width }
            }
            inputs => RowShape::Numbers(inputs.iter().map(|input| input.shape.numbers()).sum()),
        };
        let input = if plain { self.inputs[0].name.clone() } else { ROW.to_owned() };
        ModelSignature {
            input,
            row,
            is_half: self.is_half_outside(),
            of_probabilities: self.head.as_ref().and_then(|head| match head.form {
                OutputForm::OfProbabilities(kind) => Some(kind),
                _ => None,
            }),
            logits: self.head.as_ref().map(|head| vector(head, LOGITS)),
            latent: self.latent.as_ref().map(|latent| vector(latent, LATENT)),
            probabilities: self.probabilities.as_ref().map(|of| vector(of, PROBABILITIES)),
        }
    }

    /// Where the head of a graph begins: at the value that the output with the latent vector copies.
    pub(crate) fn head_start(&self, graph: &ModelGraph) -> Option<HeadStart> {
        let latent = self.latent.as_ref()?;
        let (element, length, axes) = (latent.element?, latent.length, latent.axes.clone());
        Some(HeadStart { value: graph.copied(&latent.value), element, length, axes })
    }

    /// The bytes of a model in the one form.
    ///
    /// # Errors
    /// When the graph cannot be decoded, or its operators are too old to add others.
    pub(crate) fn adapt(&self, file: Bytes) -> Result<Bytes, String> {
        let opset = ModelGraph::read(file.clone())?.opset;
        let unreadable = |error| format!("the graph cannot be read: {error}");
        let model = decode_model(file).map_err(|error| error.to_string())?;
        let mut graph = model.graph.ok_or("the model has no graph")?;
        let decoded = graph.nodes().map_err(unreadable)?;
        let mut added = AddedNodes::default();
        self.add_inputs(&mut graph, &decoded, &mut added)?;
        let mut nodes = added.take();
        nodes.append(&mut graph.node);
        graph.output.clear();
        for (of, name) in self.outputs() {
            let element = added.output(of, name);
            graph.output.push(match element {
                Some(element) => value_info(name, element, &[None, Some(of.length)]),
                None => ValueInfoProto { name: name.into(), r#type: None },
            });
        }
        nodes.append(&mut added.take());
        graph.node = nodes;
        graph.initializer.append(&mut added.constants);
        let needed = added.opset.max(MIN_OPSET);
        if opset < needed {
            return Err(format!(
                "unsupported: operator set {opset}, expected {needed} or newer for a model whose input or output has to be converted: \
                 export it again"
            ));
        }
        Ok(ModelProto { graph: Some(graph), ..model }.encode_to_vec().into())
    }

    fn add_inputs(&self, graph: &mut GraphProto, decoded: &[NodeProto], added: &mut AddedNodes) -> Result<(), String> {
        let batch = self.inputs.iter().find_map(|input| input.fixed_batch);
        let element = if self.is_half_outside() { data_type::FLOAT16 } else { data_type::FLOAT };
        let names: Vec<&str> = self.inputs.iter().map(|input| input.name.as_str()).collect();
        graph.input.retain(|value| !names.contains(&value.name.as_str()));
        let RowShape::Image { bands, height, width } = self.signature().row else {
            let total: usize = self.inputs.iter().map(|input| input.shape.numbers()).sum();
            graph.input.insert(0, value_info(ROW, element, &[batch, Some(total)]));
            let mut start = 0;
            for input in &self.inputs {
                let part = added.slice(ROW, start, input.shape.numbers())?;
                start += input.shape.numbers();
                let part = match &input.shape {
                    InputShape::Image { bands, height, width, .. } => {
                        added.reshape(&part, &[-1, *bands as i64, *height as i64, *width as i64])
                    }
                    InputShape::Numbers(_) => part,
                };
                added.input(input, &part, graph, decoded);
            }
            return Ok(());
        };
        graph.input.insert(0, value_info(ROW, element, &[batch, Some(bands), Some(height), Some(width)]));
        added.input(&self.inputs[0], ROW, graph, decoded);
        Ok(())
    }
}

#[cfg(any(test, fuzzing))]
impl Adapter {
    /// A graph that has the one form.
    pub(crate) fn plain(signature: &ModelSignature) -> Self {
        let RowShape::Image { bands, height, width } = signature.row else { unreachable!("rows of several inputs") };
        let scaling = PixelScaling::default();
        let shape = InputShape::Image { bands, height, width, channels_last: false, scaling };
        let input = ModelInput { name: signature.input.clone(), element: data_type::FLOAT, fixed_batch: None, shape };
        let output = |VectorOutput { name, length, .. }: &VectorOutput| OutputUse {
            value: name.clone(),
            output: name.clone(),
            element: Some(data_type::FLOAT),
            output_element: Some(data_type::FLOAT),
            form: OutputForm::Plain,
            length: *length,
            axes: vec![*length],
            joined: None,
        };
        let [head, latent] = [&signature.logits, &signature.latent].map(|of| of.as_ref().map(output));
        Self { inputs: vec![input], head, latent, probabilities: None }
    }
}
