//! Adapts a graph as people export it to the one form that the rest of this crate runs: one input, images `[N, band, y, x]` or rows of
//! numbers `[N, length]`; outputs in float32 or float16; unbounded logits instead of probabilities.
//!
//! The file is not changed: nodes are added before and after those of the graph, in memory.

use prost::{Message, bytes::Bytes};

use super::{HeadStart, ModelGraph};
use crate::onnx::{
    decode_model,
    signature::{ModelSignature, RowShape, VectorOutput},
    wire::{
        AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto,
        TensorTypeProto, TypeProto, ValueInfoProto, data_type,
    },
};

/// The first operator set with all operators that are added.
const MIN_OPSET: i64 = 11;
/// The smallest probability whose logarithm is taken: the smallest normal float32.
const SMALLEST: f32 = f32::MIN_POSITIVE;
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
    /// The probabilities that the graph makes of the logits, where these are not float32: so they are what the model answers, not a
    /// more precise number.
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
    /// How many axes of length 1 follow: 2 for `[N, D, 1, 1]`.
    pub(crate) trailing_axes: usize,
    /// A second output, of as many numbers, that is joined to the first: the errors of values.
    pub(crate) joined: Option<String>,
}

/// What is done to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// Nothing.
    Plain,
    /// Probabilities that add up to 1 become log p.
    Log,
    /// Independent probabilities become log p - log(1 - p).
    Logit,
    /// The logit l of one class becomes the logits 0 and l of two.
    TwoClasses,
    /// The probability p of one class becomes the logits 0 and log p - log(1 - p) of two.
    TwoClassesOfProbability,
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
    fn is_half_outside(&self) -> bool {
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
        self.form == OutputForm::Plain && is_read && is_output
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
            VectorOutput { name, length: of.length }
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
            logits: self.head.as_ref().map(|head| vector(head, LOGITS)),
            latent: self.latent.as_ref().map(|latent| vector(latent, LATENT)),
            probabilities: self.probabilities.as_ref().map(|of| vector(of, PROBABILITIES)),
        }
    }

    /// Where the head of a graph begins: at the value that the output with the latent vector copies.
    pub(crate) fn head_start(&self, graph: &ModelGraph) -> Option<HeadStart> {
        let latent = self.latent.as_ref()?;
        let (element, length, trailing_axes) = (latent.element?, latent.length, latent.trailing_axes);
        Some(HeadStart { value: graph.copied(&latent.value), element, length, trailing_axes })
    }

    /// The bytes of a model in the one form.
    ///
    /// # Errors
    /// When the graph cannot be decoded, or its operators are too old to add others.
    pub(crate) fn adapt(&self, file: Bytes) -> Result<Bytes, String> {
        let opset = ModelGraph::read(file.clone())?.opset;
        if opset < MIN_OPSET {
            return Err(format!(
                "unsupported: operator set {opset}, expected {MIN_OPSET} or newer for a model whose input or output has to be \
                 converted: export it again"
            ));
        }
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
        let output = |VectorOutput { name, length }: &VectorOutput| OutputUse {
            value: name.clone(),
            output: name.clone(),
            element: Some(data_type::FLOAT),
            output_element: Some(data_type::FLOAT),
            form: OutputForm::Plain,
            length: *length,
            trailing_axes: 0,
            joined: None,
        };
        let [head, latent] = [&signature.logits, &signature.latent].map(|of| of.as_ref().map(output));
        Self { inputs: vec![input], head, latent, probabilities: None }
    }
}

/// The declaration of a value; an open length is `None`.
pub(super) fn value_info(name: &str, elem_type: i32, dims: &[Option<usize>]) -> ValueInfoProto {
    let dim = |length: &Option<usize>| match length {
        Some(length) => DimensionProto { dim_value: i64::try_from(*length).ok(), dim_param: None },
        None => DimensionProto { dim_value: None, dim_param: Some("lucarne:batch".into()) },
    };
    let shape = Some(TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type, shape });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

/// Nodes and constants that are added to a graph.
#[derive(Default)]
pub(super) struct AddedNodes {
    nodes: Vec<Bytes>,
    /// Encoded `TensorProto`.
    pub(super) constants: Vec<Bytes>,
    count: usize,
}

impl AddedNodes {
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.nodes)
    }

    fn name(&mut self) -> String {
        self.count += 1;
        format!("lucarne:{}", self.count)
    }

    fn floats(&mut self, dims: Vec<i64>, float_data: Vec<f32>) -> String {
        let name = self.name();
        let tensor =
            TensorProto { name: name.clone(), dims, data_type: data_type::FLOAT, float_data, ..TensorProto::default() };
        self.constants.push(tensor.encode_to_vec().into());
        name
    }

    fn integers(&mut self, int64_data: Vec<i64>) -> String {
        let name = self.name();
        let (dims, data_type) = (vec![int64_data.len() as i64], data_type::INT64);
        let tensor = TensorProto { name: name.clone(), dims, data_type, int64_data, ..TensorProto::default() };
        self.constants.push(tensor.encode_to_vec().into());
        name
    }

    fn push(&mut self, op: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) {
        let node = NodeProto {
            op_type: op.into(),
            name: output.into(),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        };
        self.nodes.push(node.encode_to_vec().into());
    }

    /// A node with a new output.
    fn apply(&mut self, op: &str, input: &[&str]) -> String {
        let output = self.name();
        self.push(op, input, &output, vec![]);
        output
    }

    fn cast(&mut self, value: &str, to: i32, output: &str) {
        self.push("Cast", &[value], output, vec![int_attribute("to", i64::from(to))]);
    }

    fn reshape(&mut self, value: &str, dims: &[i64]) -> String {
        let shape = self.integers(dims.to_vec());
        self.apply("Reshape", &[value, &shape])
    }

    /// Numbers `start` to `start + length` of each row.
    fn slice(&mut self, value: &str, start: usize, length: usize) -> Result<String, String> {
        let index = |i: usize| i64::try_from(i).map_err(|error| error.to_string());
        let (starts, ends) = (self.integers(vec![index(start)?]), index(start + length)?);
        let (ends, axes) = (self.integers(vec![ends]), self.integers(vec![1]));
        Ok(self.apply("Slice", &[value, &starts, &ends, &axes]))
    }

    /// Leads a value `[N, band, y, x]` or `[N, length]` to an input of the graph.
    fn input(&mut self, input: &ModelInput, value: &str, graph: &mut GraphProto, decoded: &[NodeProto]) {
        let mut value = value.to_owned();
        let ModelInput { name, element, shape, .. } = input;
        if let InputShape::Image { channels_last, scaling, .. } = shape {
            value = self.scale(scaling, value);
            if *element == data_type::UINT8 {
                let (low, high) = (self.floats(vec![], vec![0.0]), self.floats(vec![], vec![255.0]));
                let rounded = self.apply("Round", &[&value]);
                value = self.apply("Clip", &[&rounded, &low, &high]);
            }
            if *channels_last {
                let is_ready = *element == data_type::FLOAT || input.is_half_outside();
                if is_ready && self.skip_transposes(name, &value, graph, decoded) {
                    return;
                }
                let transposed = self.name();
                self.push("Transpose", &[&value], &transposed, vec![ints_attribute("perm", &[0, 2, 3, 1])]);
                value = transposed;
            }
        }
        if *element == data_type::FLOAT || input.is_half_outside() {
            self.push("Identity", &[&value], name, vec![]);
        } else {
            self.cast(&value, *element, name);
        }
    }

    /// Where a graph only turns its `[N, y, x, band]` into `[N, band, y, x]`, as those of tf2onnx do, both transposes are left
    /// out, so that incremental scoring sees a plain network.
    fn skip_transposes(&mut self, name: &str, value: &str, graph: &mut GraphProto, decoded: &[NodeProto]) -> bool {
        let reads = |node: &NodeProto| node.input.iter().any(|input| input == name);
        let turns = |node: &NodeProto| node.op_type == "Transpose" && node.ints("perm") == Some(&[0, 3, 1, 2]);
        // A graph inside of a node may read the input too.
        let nests = |node: &NodeProto| {
            node.attribute.iter().any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
        };
        if decoded.iter().any(|node| nests(node) || (reads(node) && !turns(node))) || !decoded.iter().any(reads) {
            return false;
        }
        for node in decoded.iter().filter(|node| reads(node)) {
            self.push("Identity", &[value], &node.output[0], vec![]);
        }
        let mut of = decoded.iter();
        graph.node.retain(|_| of.next().is_some_and(|node| !reads(node)));
        true
    }

    fn scale(&mut self, scaling: &PixelScaling, mut value: String) -> String {
        let PixelScaling { scale, offset, mean, std } = scaling;
        let of_band = |numbers: &Vec<f32>| (vec![numbers.len() as i64, 1, 1], numbers.clone());
        let steps = [
            ("Mul", scale.map(|scale| (vec![], vec![scale]))),
            ("Add", offset.map(|offset| (vec![], vec![offset]))),
            ("Sub", mean.as_ref().map(of_band)),
            ("Div", std.as_ref().map(of_band)),
        ];
        for (op, constant) in steps {
            if let Some((dims, numbers)) = constant {
                let constant = self.floats(dims, numbers);
                value = self.apply(op, &[&value, &constant]);
            }
        }
        value
    }

    /// Leads an input `[N, length]` to the value at which a head begins.
    pub(super) fn head_input(&mut self, input: &str, start: &HeadStart) {
        let mut value = input.to_owned();
        if start.trailing_axes > 0 {
            let mut dims = vec![-1, start.length as i64];
            dims.resize(2 + start.trailing_axes, 1);
            value = self.reshape(&value, &dims);
        }
        self.cast(&value, start.element, &start.value);
    }

    /// Leads a value of the graph to an output `[N, length]`. Returns its type; `None` where ONNX Runtime has to infer it.
    fn output(&mut self, of: &OutputUse, output: &str) -> Option<i32> {
        let is_read = !matches!(of.output_element, Some(data_type::DOUBLE) | None);
        if of.form == OutputForm::Plain && of.joined.is_none() && is_read {
            self.push("Identity", &[&of.value], output, vec![]);
            return of.element;
        }
        let single = self.name();
        self.cast(&of.value, data_type::FLOAT, &single);
        let single = match &of.joined {
            None => single,
            Some(second) => self.join(&single, second, of.length / 2),
        };
        let value = match of.form {
            OutputForm::Plain => single,
            OutputForm::Log => {
                let smallest = self.floats(vec![1], vec![SMALLEST]);
                let positive = self.apply("Max", &[&single, &smallest]);
                self.apply("Log", &[&positive])
            }
            OutputForm::Logit => self.logit(&single),
            OutputForm::TwoClasses => self.two_classes(&single),
            OutputForm::TwoClassesOfProbability => {
                let logit = self.logit(&single);
                self.two_classes(&logit)
            }
        };
        self.push("Identity", &[&value], output, vec![]);
        Some(data_type::FLOAT)
    }

    /// `[N, length]` of each of two outputs as one `[N, 2 length]`.
    fn join(&mut self, first: &str, second: &str, length: usize) -> String {
        let other = self.name();
        self.cast(second, data_type::FLOAT, &other);
        let rows = [first, &other].map(|value| self.reshape(value, &[-1, length as i64]));
        let joined = self.name();
        self.push("Concat", &[&rows[0], &rows[1]], &joined, vec![int_attribute("axis", 1)]);
        joined
    }

    fn logit(&mut self, probability: &str) -> String {
        let (smallest, one) = (self.floats(vec![1], vec![SMALLEST]), self.floats(vec![1], vec![1.0]));
        let rest = self.apply("Sub", &[&one, probability]);
        let (positive, rest) = (self.apply("Max", &[probability, &smallest]), self.apply("Max", &[&rest, &smallest]));
        let (log, log_rest) = (self.apply("Log", &[&positive]), self.apply("Log", &[&rest]));
        self.apply("Sub", &[&log, &log_rest])
    }

    /// softmax(0, l) is the sigmoid of l and its complement.
    fn two_classes(&mut self, logit: &str) -> String {
        let column = self.reshape(logit, &[-1, 1]);
        let weights = self.floats(vec![1, 2], vec![0.0, 1.0]);
        self.apply("MatMul", &[&column, &weights])
    }
}

fn int_attribute(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: 2, ..AttributeProto::default() }
}

fn ints_attribute(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), r#type: 7, ..AttributeProto::default() }
}
