//! From the nodes of a graph to layers: what is linear is gathered, and a layer ends where it is not.
//!
//! A value of the graph is a sum of linear maps of layers plus a constant per channel. Convolutions, sums, batch
//! normalisation, pooled means and matrices only change such a sum; an activation or a pool of maxima closes it, and the
//! layer that it makes is what later values are made of. So `Conv, BatchNorm, Add, Relu, MaxPool` is one layer, and a
//! chain of matrices at the end is one matrix, multiplied out in double precision.

use std::collections::HashMap;

use super::{
    kernel::{Activation, End},
    linear::{Dense, Linear},
    ops,
    shape::{Shape, Window},
};
use crate::{score::onnx::graph::Graph, stage::AffineHead};

/// A layer as planned: `act(max over windows(sum of maps + bias))`.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// (layer, map), in the order of the sum.
    pub(super) terms: Vec<(usize, Linear)>,
    /// One number a channel.
    pub(super) bias: Vec<f64>,
    pub(super) end: End,
}

/// A value of the graph on the way: a sum of maps of layers, and a constant.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) terms: Vec<(usize, Linear)>,
    pub(super) bias: Vec<f64>,
    pub(super) shape: Shape,
    /// Whether the graph sees one row of numbers, `[channel][row][column]`.
    pub(super) flat: bool,
    /// Whether nothing else uses the layer that it consists of.
    pub(super) sole: bool,
}

/// Products of matrices larger than this are not worth it.
const MOST_PRODUCTS: usize = 1 << 28;

/// Layers in the making; the first is the image.
pub(super) struct Planner<'a> {
    pub(super) graph: &'a Graph,
    pub(super) layers: Vec<Layer>,
    values: HashMap<String, Value>,
    uses: HashMap<String, usize>,
}

impl<'a> Planner<'a> {
    /// Plans all that is between a value of the given shape and another.
    pub(super) fn plan(
        graph: &'a Graph,
        (start, shape, flat): (&str, Shape, bool),
        end: &str,
    ) -> Result<(Vec<Layer>, Value), String> {
        let nodes = graph.between(start, end);
        let mut uses = HashMap::from([(end.to_owned(), 1)]);
        for name in nodes.iter().flat_map(|node| &node.input) {
            *uses.entry(name.clone()).or_insert(0) += 1;
        }
        let whole = End { before: shape, after: shape, pool: Window::SAME, activation: Activation::NONE };
        let input = Layer { terms: vec![], bias: vec![0.0; shape.channels], end: whole };
        let mut planner = Self { graph, layers: vec![input], values: HashMap::new(), uses };
        planner.put(start, Value { flat, ..planner.value_of(0) });
        for node in nodes {
            let value = ops::apply(&mut planner, node)?;
            let name = node.output.first().ok_or_else(|| format!("{} makes nothing", node.op_type))?;
            planner.put(name, value);
        }
        let value = planner.take(end)?;
        Ok((planner.layers, value))
    }

    /// Plans all that is between the image and the logits: the layers up to the one that is the logits, and its number.
    pub(super) fn logits(
        graph: &'a Graph,
        (image, shape): (&str, Shape),
        logits: &str,
    ) -> Result<(Vec<Layer>, usize), String> {
        let (layers, value) = Self::plan(graph, (image, shape, false), logits)?;
        let last = layers.len();
        let end = End { before: value.shape, after: value.shape, pool: Window::SAME, activation: Activation::NONE };
        let own = Layer { terms: value.terms, bias: value.bias, end };
        Ok((layers.into_iter().chain([own]).collect(), last))
    }

    /// The layer as a value.
    fn value_of(&self, layer: usize) -> Value {
        let shape = self.layers[layer].end.after;
        Value {
            terms: vec![(layer, Linear::same(shape.channels))],
            bias: vec![0.0; shape.channels],
            shape,
            flat: false,
            sole: layer > 0,
        }
    }

    fn put(&mut self, name: &str, mut value: Value) {
        if self.uses.get(name).is_some_and(|&uses| uses > 1) {
            // What several nodes use is computed once.
            value = self.closed(value);
            value.sole = false;
        }
        self.values.insert(name.to_owned(), value);
    }

    /// The value of a name; its last user gets it as its own.
    pub(super) fn take(&mut self, name: &str) -> Result<Value, String> {
        let missing = || format!("nothing makes the value `{name}`");
        let uses = self.uses.get_mut(name).ok_or_else(missing)?;
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            return self.values.remove(name).ok_or_else(missing);
        }
        self.values.get(name).cloned().ok_or_else(missing)
    }

    /// The layer that a value is, nothing more and nothing less.
    fn plain(value: &Value) -> Option<usize> {
        match value.terms.as_slice() {
            [(layer, map)] if map.is_same() && value.bias.iter().all(|&bias| bias == 0.0) => Some(*layer),
            _ => None,
        }
    }

    /// The layer of a value, made if there is none yet.
    pub(super) fn layer(&mut self, value: Value) -> usize {
        match Self::plain(&value) {
            Some(layer) => layer,
            None => self.close(value, Activation::NONE, Window::SAME, None),
        }
    }

    /// The value as that of a layer.
    fn closed(&mut self, value: Value) -> Value {
        let flat = value.flat;
        let sole = value.sole || Self::plain(&value).is_none();
        let layer = self.layer(value);
        Value { flat, sole, ..self.value_of(layer) }
    }

    fn close(&mut self, value: Value, activation: Activation, pool: Window, after: Option<Shape>) -> usize {
        let before = value.shape;
        let end = End { before, after: after.unwrap_or(before), pool, activation };
        self.layers.push(Layer { terms: value.terms, bias: value.bias, end });
        self.layers.len() - 1
    }

    /// The value after an activation. One that does not fall commutes with a pool of maxima.
    pub(super) fn activate(&mut self, value: Value, activation: Activation) -> Value {
        let flat = value.flat;
        let own = Self::plain(&value).filter(|_| value.sole);
        let layer = match own.map(|layer| (layer, &mut self.layers[layer].end)) {
            Some((layer, end)) if end.activation == Activation::NONE => {
                end.activation = activation;
                layer
            }
            _ => self.close(value, activation, Window::SAME, None),
        };
        Value { flat, ..self.value_of(layer) }
    }

    /// The value after a pool of maxima.
    pub(super) fn pool(&mut self, value: Value, pool: Window, after: Shape) -> Value {
        let own = Self::plain(&value).filter(|_| value.sole);
        let layer = match own.map(|layer| (layer, &mut self.layers[layer].end)) {
            Some((layer, end)) if end.pool == Window::SAME && end.before == end.after => {
                (end.pool, end.after) = (pool, after);
                layer
            }
            _ => self.close(value, Activation::NONE, pool, Some(after)),
        };
        self.value_of(layer)
    }

    /// A linear map of a value, as one of the layer that it is.
    pub(super) fn map(&mut self, value: Value, map: Linear, bias: Vec<f64>, shape: Shape) -> Value {
        let flat = value.flat;
        let layer = self.layer(value);
        Value { terms: vec![(layer, map)], bias, shape, flat, sole: false }
    }

    /// A matrix and a constant after a row of numbers. Where the row is made of matrices itself, they are multiplied out.
    pub(super) fn dense(&mut self, value: Value, dense: Dense, mut bias: Vec<f64>) -> Value {
        let shape = Shape::vector(bias.len());
        let composed = |(layer, map): &(usize, Linear)| {
            let from = self.layers[*layer].end.after;
            let first = map.clone().matrix(from)?;
            let cheap = bias.len() <= dense.inputs && dense.weights.len() * first.inputs <= MOST_PRODUCTS;
            cheap.then(|| (*layer, Linear::Dense(dense.after(&first))))
        };
        let terms: Option<Vec<_>> =
            (value.shape.cells() == 1).then(|| value.terms.iter().map(composed).collect()).flatten();
        match terms {
            Some(terms) => {
                bias.iter_mut().zip(dense.apply(&value.bias)).for_each(|(bias, more)| *bias += more);
                Value { terms, bias, shape, flat: true, sole: false }
            }
            None => self.map(value, Linear::Dense(dense), bias, shape),
        }
    }

    /// Each channel times a factor plus a constant.
    pub(super) fn affine(value: Value, factors: &[f64], constants: &[f64]) -> Value {
        let terms = value.terms.into_iter().map(|(layer, map)| (layer, map.times(factors))).collect();
        let bias = value.bias.iter().zip(factors).zip(constants).map(|((bias, factor), more)| bias * factor + more);
        Value { bias: bias.collect(), terms, ..value }
    }

    /// The sum of two values.
    pub(super) fn sum(a: Value, b: Value) -> Result<Value, String> {
        if a.shape != b.shape || a.flat != b.flat {
            return Err(format!("unsupported: the sum of values of the shapes {:?} and {:?}", a.shape, b.shape));
        }
        let terms = a.terms.into_iter().chain(b.terms).collect();
        let bias = a.bias.iter().zip(&b.bias).map(|(a, b)| a + b).collect();
        Ok(Value { terms, bias, shape: a.shape, flat: a.flat, sole: false })
    }
}

/// The function from the latent vector to the logits, if it is affine; else why it is not taken for one.
pub(in crate::score::onnx) fn affine_head(
    graph: &Graph,
    latent: &str,
    length: usize,
    logits: &str,
) -> Result<AffineHead, String> {
    let (layers, value) = Planner::plan(graph, (latent, Shape::vector(length), true), logits)?;
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    match <[_; 1]>::try_from(value.terms) {
        Ok([(0, Linear::Dense(dense))]) if layers.len() == 1 => {
            Ok(AffineHead { weights: single(dense.weights), bias: single(value.bias) })
        }
        _ => Err(format!("`{logits}` is no affine function of `{latent}`")),
    }
}
