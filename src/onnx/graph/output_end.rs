//! What the values of an output are, as far as the last operators before it tell.

use std::collections::HashSet;

use super::{MAX_CHAIN, ModelGraph};
use crate::onnx::wire::NodeProto;

/// `TensorProto.DataType` as attributes have them.
const FLOAT: i64 = 1;
const FLOAT16: i64 = 10;
const DOUBLE: i64 = 11;
const BFLOAT16: i64 = 16;

/// The last operator before an output that changes numbers, and the value before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputEnd {
    pub(crate) kind: OutputKind,
    /// The value that the last operator reads; the output itself unless that is an activation.
    pub(crate) before: String,
    /// The names of the classes in a class map (ZipMap), and the value that it reads.
    pub(crate) class_map: Option<ClassMap>,
}

/// A class map of scikit-learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassMap {
    /// Names, or numbers as text, in the order of the values.
    pub(crate) labels: Vec<String>,
    pub(crate) value: String,
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
        let mut class_map = None;
        let (kind, before) = self.end_of(output, &mut class_map);
        OutputEnd { kind, before, class_map }
    }

    fn end_of(&self, output: &str, class_map: &mut Option<ClassMap>) -> (OutputKind, String) {
        let end = |kind| (kind, output.to_owned());
        let mut name = output;
        for _ in 0..MAX_CHAIN {
            let Some(node) = self.producer(name) else { return end(OutputKind::Unknown("an input".into())) };
            let Some(input) = node.optional_input(0) else { return end(OutputKind::Unknown(node.op_type.clone())) };
            let activation = |kind| (kind, input.to_owned());
            match (node.domain.as_str(), node.op_type.as_str()) {
                ("" | "ai.onnx", "Softmax") => return activation(self.softmax_kind(node, OutputKind::Softmax)),
                ("" | "ai.onnx", "LogSoftmax") => return activation(self.softmax_kind(node, OutputKind::LogSoftmax)),
                ("" | "ai.onnx", "Sigmoid") => return activation(OutputKind::Sigmoid),
                ("" | "ai.onnx", "ArgMax") => return end(OutputKind::ClassNumber),
                ("" | "ai.onnx", op @ ("Gemm" | "MatMul" | "Conv" | "BatchNormalization" | "Add" | "Sub")) => {
                    return end(match self.sums(name) {
                        // A mean of probabilities, or probabilities that are calibrated again.
                        Summed::Activations => OutputKind::Unknown(format!("{op} after a Softmax or a Sigmoid")),
                        Summed::Products => OutputKind::Unbounded,
                        Summed::Others => OutputKind::Unknown(op.into()),
                    });
                }
                ("ai.onnx.ml", "ZipMap") => {
                    let numbers = node.ints("classlabels_int64s").unwrap_or_default();
                    let mut labels = node.strings("classlabels_strings");
                    labels.extend(numbers.iter().map(i64::to_string));
                    *class_map = Some(ClassMap { labels, value: input.to_owned() });
                    name = input;
                }
                _ if self.keeps_numbers(node) => name = input,
                (_, op) => return end(OutputKind::Unknown(op.to_owned())),
            }
        }
        end(OutputKind::Unknown("a long chain of operators".into()))
    }

    /// What a value sums, as far as only linear operators lie between.
    fn sums(&self, value: &str) -> Summed {
        let (mut pending, mut seen) = (vec![value], HashSet::new());
        let mut has_products = false;
        while let Some(name) = pending.pop() {
            if !seen.insert(name) || self.is_constant(name) {
                continue;
            }
            let Some(node) = self.producer(name).filter(|node| is_of_onnx(node)) else { continue };
            match node.op_type.as_str() {
                "Softmax" | "LogSoftmax" | "Sigmoid" | "HardSigmoid" => return Summed::Activations,
                "Gemm" | "MatMul" | "Conv" | "BatchNormalization" => {
                    has_products = true;
                    let others = node.input.iter().skip(1).any(|input| !self.is_constant(input));
                    // A product of two values, as in attention, is not a sum of either.
                    if !others {
                        pending.extend(node.optional_input(0));
                    }
                }
                "Mul" | "Div" if node.input.iter().all(|input| !self.is_constant(input)) => {}
                "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Mean" | "Concat" => {
                    pending.extend(node.input.iter().map(String::as_str));
                }
                "Gather" | "Slice" | "Transpose" | "ReduceMean" | "ReduceSum" | "AveragePool" | "GlobalAveragePool" => {
                    pending.extend(node.optional_input(0));
                }
                _ if self.keeps_numbers(node) => pending.extend(node.optional_input(0)),
                _ => {}
            }
        }
        if has_products { Summed::Products } else { Summed::Others }
    }

    /// The value that an output is a copy of, of the same type and shape. tf2onnx names its outputs by `Identity` nodes.
    pub(crate) fn copied(&self, output: &str) -> String {
        let mut name = output;
        for _ in 0..MAX_CHAIN {
            let copies = |node: &&NodeProto| self.is_copy(node) && node.op_type != "Cast";
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
            // A conversion rounds.
            let passes = |node: &&NodeProto| self.keeps_numbers(node) && node.op_type != "Cast";
            match self.producer(name).filter(passes).and_then(|node| node.optional_input(0)) {
                Some(input) => name = input,
                None => break,
            }
        }
        name.to_owned()
    }

    /// Whether an operator passes its first input on, number by number in the same order.
    fn keeps_numbers(&self, node: &NodeProto) -> bool {
        self.is_copy(node)
            || (is_of_onnx(node) && matches!(node.op_type.as_str(), "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze"))
    }

    /// Whether an operator passes its first input on with the same shape, and numbers of another precision at most.
    fn is_copy(&self, node: &NodeProto) -> bool {
        let drops = || node.optional_input(2).is_some_and(|mode| self.constant_bool(mode).unwrap_or(true));
        let to_float = || matches!(node.int("to", 0), FLOAT | FLOAT16 | DOUBLE | BFLOAT16);
        is_of_onnx(node)
            && match node.op_type.as_str() {
                "Identity" => true,
                "Cast" => to_float(),
                "Dropout" => !drops(),
                _ => false,
            }
    }

    /// Whether a softmax is over the classes, axis 1 of `[N, class]` or of `[N, class, 1, 1]`.
    fn softmax_kind(&self, node: &NodeProto, kind: OutputKind) -> OutputKind {
        // Before operator set 13 all axes from the given one on were one.
        let default = if self.opset < 13 { 1 } else { -1 };
        if matches!(node.int("axis", default), 1 | -1) { kind } else { OutputKind::WrongAxis }
    }
}

/// What a value sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Summed {
    /// Probabilities of a softmax or a sigmoid.
    Activations,
    /// Products with constants, of values that are not probabilities.
    Products,
    Others,
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
        assert_eq!((kind("Softmax").kind, kind("Softmax").before), (OutputKind::Softmax, "sums".into()));
        assert_eq!(kind("LogSoftmax").kind, OutputKind::LogSoftmax);
        assert_eq!((kind("Sigmoid").kind, kind("Sigmoid").before), (OutputKind::Sigmoid, "sums".into()));
        assert_eq!((kind("Identity").kind, kind("Identity").before), (OutputKind::Unbounded, "out".into()));
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
        assert_eq!((found.kind, found.before), (OutputKind::Softmax, "sums".into()));
    }

    #[test]
    fn the_sum_of_probabilities_does_not_tell_and_that_of_logits_does() {
        let found = end(|graph| {
            graph.node("Softmax", &["sums"], "p", &[]);
            graph.node("Add", &["p", "p"], "out", &[]);
        });
        assert_eq!(found.kind, OutputKind::Unknown("Add after a Softmax or a Sigmoid".into()));
        let found = end(|graph| {
            graph.constant("v", &[3, 3], vec![0.5; 9]);
            graph.node("Sigmoid", &["sums"], "p", &[]);
            graph.node("MatMul", &["p", "v"], "out", &[]);
        });
        assert_eq!(found.kind, OutputKind::Unknown("MatMul after a Softmax or a Sigmoid".into()));
        let found = end(|graph| {
            graph.constant("b", &[3], vec![0.0; 3]);
            graph.node("Add", &["sums", "b"], "out", &[]);
        });
        assert_eq!(found.kind, OutputKind::Unbounded);
    }

    #[test]
    fn sums_of_sums_are_followed_once() {
        let found = end(|graph| {
            let names: Vec<String> = (0..60).map(|i| format!("s{i}")).collect();
            graph.node("Add", &["sums", "sums"], &names[0], &[]);
            for pair in names.windows(2) {
                graph.node("Add", &[&pair[0], &pair[0]], &pair[1], &[]);
            }
            graph.node("Add", &[&names[59], &names[59]], "out", &[]);
        });
        assert_eq!(found.kind, OutputKind::Unbounded);
    }

    #[test]
    fn a_softmax_over_the_batch_is_not_one_of_classes() {
        let found = end(|graph| graph.node("Softmax", &["sums"], "out", &[("axis", AttributeValue::Int(0))]));
        assert_eq!(found.kind, OutputKind::WrongAxis);
    }
}
