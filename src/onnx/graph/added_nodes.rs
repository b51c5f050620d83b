//! Nodes and constants that are added to a graph in memory.

use prost::{Message, bytes::Bytes};

use super::{HeadStart, InputShape, ModelInput, OutputForm, OutputUse, PixelScaling};
use crate::onnx::wire::{
    AttributeProto, DimensionProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, data_type,
};

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
    /// The operator set that they need.
    pub(super) opset: i64,
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

    pub(super) fn reshape(&mut self, value: &str, dims: &[i64]) -> String {
        let shape = self.integers(dims.to_vec());
        self.apply("Reshape", &[value, &shape])
    }

    /// Numbers `start` to `start + length` of each row.
    pub(super) fn slice(&mut self, value: &str, start: usize, length: usize) -> Result<String, String> {
        self.opset = self.opset.max(10);
        let index = |i: usize| i64::try_from(i).map_err(|error| error.to_string());
        let (starts, ends) = (self.integers(vec![index(start)?]), index(start + length)?);
        let (ends, axes) = (self.integers(vec![ends]), self.integers(vec![1]));
        Ok(self.apply("Slice", &[value, &starts, &ends, &axes]))
    }

    /// Leads a value `[N, band, y, x]` or `[N, length]` to an input of the graph.
    pub(super) fn input(&mut self, input: &ModelInput, value: &str, graph: &mut GraphProto, decoded: &[NodeProto]) {
        let mut value = value.to_owned();
        let ModelInput { name, element, shape, .. } = input;
        if let InputShape::Image { channels_last, scaling, .. } = shape {
            value = self.scale(scaling, value);
            if *element == data_type::UINT8 {
                let (low, high) = (self.floats(vec![], vec![0.0]), self.floats(vec![], vec![255.0]));
                self.opset = self.opset.max(11);
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
            // What the trial of batches makes up may be outside of the type, and then the cast is not defined.
            if let (Some([low, high]), InputShape::Numbers(_)) = (data_type::whole_numbers(*element), shape) {
                let (low, high) = (self.floats(vec![], vec![low as f32]), self.floats(vec![], vec![high as f32]));
                self.opset = self.opset.max(11);
                value = self.apply("Clip", &[&value, &low, &high]);
            }
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
        if start.axes.len() > 1 {
            let lengths = start.axes.iter().map(|length| *length as i64);
            let dims: Vec<i64> = std::iter::once(-1).chain(lengths).collect();
            value = self.reshape(&value, &dims);
        }
        self.cast(&value, start.element, &start.value);
    }

    /// Leads a value of the graph to an output `[N, length]`. Returns its type; `None` where ONNX Runtime has to infer it.
    pub(super) fn output(&mut self, of: &OutputUse, output: &str) -> Option<i32> {
        let is_read = !matches!(of.output_element, Some(data_type::DOUBLE) | None);
        if of.form != OutputForm::TwoClasses && of.joined.is_none() && is_read {
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
            OutputForm::TwoClasses => self.two_classes(&single),
            _ => single,
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
