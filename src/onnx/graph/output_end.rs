//! What the values of an output are, as far as the last operators before it tell.

use super::{MAX_CHAIN, ModelGraph};
use crate::onnx::wire::NodeProto;

/// The last operator before an output that changes numbers, and the value before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputEnd {
    pub(crate) kind: OutputKind,
    /// The value that the last operator reads; the output itself unless that is an activation.
    pub(crate) before: String,
}

/// What the numbers of an output are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputKind {
    /// Sums of products, which have no bounds: logits, or physical values.
    Unbounded,
    /// Probabilities that add up to 1.
    Softmax,
    /// Their logarithms, which are logits too.
    LogSoftmax,
    /// Independent probabilities.
    Sigmoid,
    /// A softmax over an axis that is not that of the classes.
    WrongAxis,
    /// The number of a class.
    ClassNumber,
    /// The operator does not tell.
    Unknown(String),
}

impl ModelGraph {
    /// What an output ends in.
    pub(crate) fn output_end(&self, output: &str) -> OutputEnd {
        self.end_of(output, 0)
    }

    fn end_of(&self, output: &str, depth: usize) -> OutputEnd {
        let end = |kind| OutputEnd { kind, before: output.to_owned() };
        let mut name = output;
        for _ in 0..MAX_CHAIN {
            let Some(node) = self.producer(name) else { return end(OutputKind::Unknown("an input".into())) };
            let Some(input) = node.optional_input(0) else { return end(OutputKind::Unknown(node.op_type.clone())) };
            let activation = |kind| OutputEnd { kind, before: input.to_owned() };
            match (node.domain.as_str(), node.op_type.as_str()) {
                ("" | "ai.onnx", "Softmax") => return activation(self.softmax_kind(node, OutputKind::Softmax)),
                ("" | "ai.onnx", "LogSoftmax") => return activation(self.softmax_kind(node, OutputKind::LogSoftmax)),
                ("" | "ai.onnx", "Sigmoid") => return activation(OutputKind::Sigmoid),
                ("" | "ai.onnx", "ArgMax") => return end(OutputKind::ClassNumber),
                ("" | "ai.onnx", "Gemm" | "MatMul" | "Conv" | "BatchNormalization") => {
                    return end(OutputKind::Unbounded);
                }
                ("" | "ai.onnx", "Add" | "Sub") if depth < MAX_CHAIN => {
                    let inputs = node.input.iter().filter(|input| !self.is_constant(input));
                    let mut kinds = inputs.map(|input| self.end_of(input, depth + 1).kind);
                    let unbounded = kinds.any(|kind| kind == OutputKind::Unbounded);
                    let unknown = || OutputKind::Unknown(node.op_type.clone());
                    return end(if unbounded { OutputKind::Unbounded } else { unknown() });
                }
                ("ai.onnx.ml", "ZipMap") => name = input,
                _ if keeps_numbers(node) => name = input,
                (_, op) => return end(OutputKind::Unknown(op.to_owned())),
            }
        }
        end(OutputKind::Unknown("a long chain of operators".into()))
    }

    /// The value that an output is a copy of, of the same type and shape. tf2onnx names its outputs by `Identity` nodes.
    pub(crate) fn copied(&self, output: &str) -> String {
        let mut name = output;
        for _ in 0..MAX_CHAIN {
            let copies = |node: &&NodeProto| is_copy(node) && node.op_type != "Cast";
            match self.producer(name).filter(copies).and_then(|node| node.optional_input(0)) {
                Some(input) => name = input,
                None => break,
            }
        }
        name.to_owned()
    }

    /// The value of one number that an output copies, whatever the axes of length 1 around it.
    pub(crate) fn copied_number(&self, output: &str) -> String {
        let mut name = output;
        for _ in 0..MAX_CHAIN {
            match self.producer(name).filter(|node| keeps_numbers(node)).and_then(|node| node.optional_input(0)) {
                Some(input) => name = input,
                None => break,
            }
        }
        name.to_owned()
    }

    /// Whether a softmax is over the classes, axis 1 of `[N, class]` or of `[N, class, 1, 1]`.
    fn softmax_kind(&self, node: &NodeProto, kind: OutputKind) -> OutputKind {
        // Before operator set 13 all axes from the given one on were one.
        let default = if self.opset < 13 { 1 } else { -1 };
        if matches!(node.int("axis", default), 1 | -1) { kind } else { OutputKind::WrongAxis }
    }
}

/// Whether an operator passes its first input on, number by number in the same order.
fn keeps_numbers(node: &NodeProto) -> bool {
    is_copy(node)
        || (is_of_onnx(node) && matches!(node.op_type.as_str(), "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze"))
}

/// Whether an operator passes its first input on with the same shape.
fn is_copy(node: &NodeProto) -> bool {
    let in_training = node.optional_input(2).is_some();
    is_of_onnx(node)
        && (matches!(node.op_type.as_str(), "Identity" | "Cast") || (node.op_type == "Dropout" && !in_training))
}

fn is_of_onnx(node: &NodeProto) -> bool {
    matches!(node.domain.as_str(), "" | "ai.onnx")
}

#[cfg(test)]
mod tests {
    use super::{
        super::builder::{AttributeValue, GraphBuilder},
        *,
    };

    fn end(build: impl FnOnce(&mut GraphBuilder)) -> OutputEnd {
        let mut builder = GraphBuilder::default();
        builder.constant("w", &[2, 3], vec![0.0; 6]);
        builder.node("MatMul", &["image", "w"], "sums", &[]);
        build(&mut builder);
        builder.read().output_end("out")
    }

    #[test]
    fn sums_are_unbounded_and_activations_name_the_value_before_them() {
        let kind = |op: &str| end(|graph| graph.node(op, &["sums"], "out", &[]));
        assert_eq!(kind("Softmax"), OutputEnd { kind: OutputKind::Softmax, before: "sums".into() });
        assert_eq!(kind("LogSoftmax").kind, OutputKind::LogSoftmax);
        assert_eq!(kind("Sigmoid"), OutputEnd { kind: OutputKind::Sigmoid, before: "sums".into() });
        assert_eq!(kind("Identity"), OutputEnd { kind: OutputKind::Unbounded, before: "out".into() });
        assert_eq!(kind("ArgMax").kind, OutputKind::ClassNumber);
        assert_eq!(kind("Tanh").kind, OutputKind::Unknown("Tanh".into()));
    }

    #[test]
    fn shapes_and_copies_are_seen_through() {
        let found = end(|graph| {
            graph.node("Softmax", &["sums"], "p", &[("axis", AttributeValue::Int(1))]);
            graph.node("Cast", &["p"], "half", &[("to", AttributeValue::Int(10))]);
            graph.node("Squeeze", &["half"], "flat", &[]);
            graph.node("Identity", &["flat"], "out", &[]);
        });
        assert_eq!(found, OutputEnd { kind: OutputKind::Softmax, before: "sums".into() });
    }

    #[test]
    fn the_sum_of_probabilities_does_not_tell_and_that_of_logits_does() {
        let found = end(|graph| {
            graph.node("Softmax", &["sums"], "p", &[]);
            graph.node("Add", &["p", "p"], "out", &[]);
        });
        assert_eq!(found.kind, OutputKind::Unknown("Add".into()));
        let found = end(|graph| {
            graph.constant("b", &[3], vec![0.0; 3]);
            graph.node("Add", &["sums", "b"], "out", &[]);
        });
        assert_eq!(found.kind, OutputKind::Unbounded);
    }

    #[test]
    fn a_softmax_over_the_batch_is_not_one_of_classes() {
        let found = end(|graph| graph.node("Softmax", &["sums"], "out", &[("axis", AttributeValue::Int(0))]));
        assert_eq!(found.kind, OutputKind::WrongAxis);
    }
}
