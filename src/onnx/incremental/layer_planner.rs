//! Turns the nodes of a graph into layers.
//!
//! A value of the graph is a sum of linear maps of layers plus a constant for each channel. Convolutions, sums, batch
//! normalisations, average pools and matrices change this sum only. An activation or a max pool ends it: the result is a new
//! layer, and later values are sums of maps of layers again. So `Conv, BatchNormalization, Add, Relu, MaxPool` is one layer,
//! and a chain of matrices is one matrix, multiplied in double precision.

use std::collections::HashMap;

use super::{
    geometry::{LayerShape, SlidingWindow},
    kernel::{Activation, Epilogue},
    linear_map::{DenseMap, LinearMap},
    operators,
};
use crate::{
    onnx::{
        graph::{HeadStart, ModelGraph},
        signature::VectorOutput,
    },
    stage::AffineHead,
};

/// The product of two matrices is computed only if it takes at most this many multiply-adds.
const MAX_PRODUCT_WORK: usize = 1 << 28;

/// A layer as planned: `activation(max over windows(sum of terms + bias))`.
#[derive(Debug, Clone)]
pub(super) struct PlannedLayer {
    /// In the order of the sum.
    pub(super) terms: Vec<LinearTerm>,
    /// One number per channel.
    pub(super) bias: Vec<f64>,
    pub(super) epilogue: Epilogue,
}

/// A linear map of a layer.
#[derive(Debug, Clone)]
pub(super) struct LinearTerm {
    /// The index of the layer.
    pub(super) layer: usize,
    pub(super) map: LinearMap,
}

/// A value of the graph: a sum of linear maps of layers, and a constant.
#[derive(Debug, Clone)]
pub(super) struct LinearValue {
    pub(super) terms: Vec<LinearTerm>,
    /// One number per channel.
    pub(super) bias: Vec<f64>,
    pub(super) shape: LayerShape,
    /// Whether the value is a row of numbers in the graph, in the order `[channel][row][column]`.
    pub(super) is_flat: bool,
    /// Whether the value is one layer that no other value uses, so that an epilogue may be added to that layer.
    pub(super) owns_layer: bool,
}

/// Plans the layers between two values of a graph. The first layer is the start.
pub(super) struct LayerPlanner<'a> {
    pub(super) graph: &'a ModelGraph,
    layers: Vec<PlannedLayer>,
    values: HashMap<String, LinearValue>,
    /// How often a value is still to be read.
    uses: HashMap<String, usize>,
}

/// The value at which a plan starts.
struct StartValue<'a> {
    name: &'a str,
    shape: LayerShape,
    is_flat: bool,
}

/// Layers, and a value in terms of them.
struct LayerPlan {
    layers: Vec<PlannedLayer>,
    value: LinearValue,
}

impl<'a> LayerPlanner<'a> {
    fn plan(graph: &'a ModelGraph, start: &StartValue, end: &str) -> Result<LayerPlan, String> {
        let StartValue { name, shape, is_flat } = *start;
        shape.checked()?;
        graph.check_constants()?;
        let nodes = graph.between(name, end);
        let mut uses = HashMap::from([(end.to_owned(), 1)]);
        for name in nodes.iter().flat_map(|node| &node.input) {
            *uses.entry(name.clone()).or_insert(0) += 1;
        }
        let input =
            PlannedLayer { terms: vec![], bias: vec![0.0; shape.channels], epilogue: Epilogue::identity(shape) };
        let mut planner = Self { graph, layers: vec![input], values: HashMap::new(), uses };
        planner.insert(name, LinearValue { is_flat, ..planner.value_of(0) });
        for node in nodes {
            let value = operators::apply(&mut planner, node)?;
            value.shape.checked()?;
            let name = node.output.first().ok_or_else(|| format!("{} has no output", node.op_type))?;
            planner.insert(name, value);
        }
        let value = planner.take(end)?;
        Ok(LayerPlan { layers: planner.layers, value })
    }

    /// The layers from the image to the logits. The last is the logits.
    pub(super) fn layers_to_logits(
        graph: &'a ModelGraph,
        image: &str,
        shape: LayerShape,
        logits: &str,
    ) -> Result<Vec<PlannedLayer>, String> {
        let start = StartValue { name: image, shape, is_flat: false };
        let LayerPlan { mut layers, value } = Self::plan(graph, &start, logits)?;
        let epilogue = Epilogue::identity(value.shape);
        layers.push(PlannedLayer { terms: value.terms, bias: value.bias, epilogue });
        Ok(layers)
    }

    /// A layer as a value.
    fn value_of(&self, layer: usize) -> LinearValue {
        let shape = self.layers[layer].epilogue.after;
        LinearValue {
            terms: vec![LinearTerm { layer, map: LinearMap::identity(shape.channels) }],
            bias: vec![0.0; shape.channels],
            shape,
            is_flat: false,
            owns_layer: layer > 0,
        }
    }

    fn insert(&mut self, name: &str, mut value: LinearValue) {
        if self.uses.get(name).is_some_and(|&uses| uses > 1) {
            // A value that several nodes read is computed once.
            value = self.as_layer(value);
            value.owns_layer = false;
        }
        self.values.insert(name.to_owned(), value);
    }

    /// The value of a name. The last reader takes it out of the map.
    pub(super) fn take(&mut self, name: &str) -> Result<LinearValue, String> {
        let missing = || format!("no node produces the value `{name}`");
        let uses = self.uses.get_mut(name).ok_or_else(missing)?;
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            return self.values.remove(name).ok_or_else(missing);
        }
        self.values.get(name).cloned().ok_or_else(missing)
    }

    /// The layer that a value equals, if it is exactly one layer.
    fn layer_of(value: &LinearValue) -> Option<usize> {
        match value.terms.as_slice() {
            [LinearTerm { layer, map }] if map.is_identity() && value.bias.iter().all(|&bias| bias == 0.0) => {
                Some(*layer)
            }
            _ => None,
        }
    }

    /// The layer that a value equals, created if necessary.
    fn ensure_layer(&mut self, value: LinearValue) -> usize {
        match Self::layer_of(&value) {
            Some(layer) => layer,
            None => self.push_layer(value, Activation::IDENTITY),
        }
    }

    /// The same value as one layer.
    fn as_layer(&mut self, value: LinearValue) -> LinearValue {
        let is_flat = value.is_flat;
        let owns_layer = value.owns_layer || Self::layer_of(&value).is_none();
        let layer = self.ensure_layer(value);
        LinearValue { is_flat, owns_layer, ..self.value_of(layer) }
    }

    fn push_layer(&mut self, value: LinearValue, activation: Activation) -> usize {
        let epilogue = Epilogue { activation, ..Epilogue::identity(value.shape) };
        self.layers.push(PlannedLayer { terms: value.terms, bias: value.bias, epilogue });
        self.layers.len() - 1
    }

    /// The value after an activation. The activation is non-decreasing, so it may follow a max pool of the same layer.
    pub(super) fn activate(&mut self, value: LinearValue, activation: Activation) -> LinearValue {
        let is_flat = value.is_flat;
        let own = Self::layer_of(&value).filter(|_| value.owns_layer);
        let layer = match own.map(|layer| (layer, &mut self.layers[layer].epilogue)) {
            Some((layer, epilogue)) if epilogue.activation == Activation::IDENTITY => {
                epilogue.activation = activation;
                layer
            }
            _ => self.push_layer(value, activation),
        };
        LinearValue { is_flat, ..self.value_of(layer) }
    }

    /// The value after a max pool.
    pub(super) fn max_pool(&mut self, value: LinearValue, pool: SlidingWindow, after: LayerShape) -> LinearValue {
        let own = Self::layer_of(&value).filter(|_| value.owns_layer);
        let has_no_pool =
            |epilogue: &Epilogue| epilogue.pool == SlidingWindow::IDENTITY && epilogue.before == epilogue.after;
        let layer = match own {
            Some(layer) if has_no_pool(&self.layers[layer].epilogue) => layer,
            _ => self.push_layer(value, Activation::IDENTITY),
        };
        let epilogue = &mut self.layers[layer].epilogue;
        (epilogue.pool, epilogue.after) = (pool, after);
        self.value_of(layer)
    }

    /// The value after a linear map and a constant.
    pub(super) fn map(&mut self, value: LinearValue, map: LinearMap, bias: Vec<f64>, shape: LayerShape) -> LinearValue {
        let is_flat = value.is_flat;
        let layer = self.ensure_layer(value);
        LinearValue { terms: vec![LinearTerm { layer, map }], bias, shape, is_flat, owns_layer: false }
    }

    /// The row of numbers after a matrix and a constant. If the row itself is made by matrices, the matrices are multiplied.
    pub(super) fn dense(&mut self, value: LinearValue, dense: DenseMap, mut bias: Vec<f64>) -> LinearValue {
        let shape = LayerShape::vector(bias.len());
        let composed = |LinearTerm { layer, map }: &LinearTerm| {
            let inputs = map.dense_inputs(self.layers[*layer].epilogue.after)?;
            let work = dense.weights.len().saturating_mul(inputs);
            if bias.len() > dense.inputs || work > MAX_PRODUCT_WORK {
                return None;
            }
            Some(LinearTerm { layer: *layer, map: LinearMap::Dense(dense.after(map, inputs)?) })
        };
        let terms: Option<Vec<_>> =
            (value.shape.cells() == 1).then(|| value.terms.iter().map(composed).collect()).flatten();
        match terms {
            Some(terms) => {
                bias.iter_mut().zip(dense.apply(&value.bias)).for_each(|(bias, more)| *bias += more);
                LinearValue { terms, bias, shape, is_flat: true, owns_layer: false }
            }
            None => self.map(value, LinearMap::Dense(dense), bias, shape),
        }
    }
}

impl LinearValue {
    /// Each channel times a factor plus a constant.
    pub(super) fn affine(self, factors: &[f64], constants: &[f64]) -> Self {
        let scaled = |LinearTerm { layer, map }| LinearTerm { layer, map: map.scaled(factors) };
        let terms = self.terms.into_iter().map(scaled).collect();
        let bias = self.bias.iter().zip(factors).zip(constants).map(|((bias, factor), more)| bias * factor + more);
        Self { bias: bias.collect(), terms, ..self }
    }

    /// The sum of two values.
    pub(super) fn plus(self, other: Self) -> Result<Self, String> {
        if self.shape != other.shape || self.is_flat != other.is_flat {
            return Err(format!("unsupported: the sum of values of the shapes {:?} and {:?}", self.shape, other.shape));
        }
        let terms = self.terms.into_iter().chain(other.terms).collect();
        let bias = self.bias.iter().zip(&other.bias).map(|(a, b)| a + b).collect();
        Ok(Self { terms, bias, shape: self.shape, is_flat: self.is_flat, owns_layer: false })
    }
}

/// The map from the latent vector to the logits, if it is affine. The error is the reason why it is not, or is not supported.
pub(in crate::onnx) fn affine_head(
    graph: &ModelGraph,
    latent: &HeadStart,
    logits: &VectorOutput,
) -> Result<AffineHead, String> {
    let is_flat = latent.axes.len() == 1;
    let start = StartValue { name: &latent.value, shape: LayerShape::vector(latent.length), is_flat };
    let LayerPlan { layers, value } = LayerPlanner::plan(graph, &start, &logits.name)?;
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    match <[_; 1]>::try_from(value.terms) {
        Ok([LinearTerm { layer: 0, map: LinearMap::Dense(dense) }]) if layers.len() == 1 => {
            Ok(AffineHead { weights: single(dense.weights), bias: single(value.bias) })
        }
        _ => Err(format!("`{}` is not an affine function of `{}`", logits.name, latent.value)),
    }
}
