//! Linear maps between layers as the graph defines them, before they are packed for the kernels.

use super::geometry::{LayerShape, SlidingWindow};

/// A linear map from one layer to another. Following factors, such as those of a batch normalisation, are folded into it in
/// double precision.
#[derive(Debug, Clone)]
pub(super) enum LinearMap {
    /// Every channel times a number.
    Scale(Vec<f64>),
    Convolution(ConvolutionMap),
    Average(AverageMap),
    Dense(DenseMap),
}

/// A two-dimensional convolution (in ONNX, a cross-correlation).
#[derive(Debug, Clone)]
pub(super) struct ConvolutionMap {
    pub(super) window: SlidingWindow,
    /// `[output][input of the group][y][x]`
    pub(super) weights: Vec<f32>,
    /// The factor of each output.
    pub(super) scale: Vec<f64>,
    /// The number of groups.
    pub(super) group: usize,
}

/// The mean over a window, channel by channel.
#[derive(Debug, Clone)]
pub(super) struct AverageMap {
    pub(super) window: SlidingWindow,
    /// The weight of one input, for every output cell.
    pub(super) shares: Vec<f32>,
    /// The factor of each channel.
    pub(super) scale: Vec<f64>,
}

/// A matrix.
#[derive(Debug, Clone)]
pub(super) struct DenseMap {
    /// `[output][input]`, the inputs in the order `[channel][row][column]`.
    pub(super) weights: Vec<f64>,
    pub(super) inputs: usize,
}

impl LinearMap {
    pub(super) fn identity(channels: usize) -> Self {
        Self::Scale(vec![1.0; channels])
    }

    pub(super) fn is_identity(&self) -> bool {
        matches!(self, Self::Scale(scale) if scale.iter().all(|&scale| scale == 1.0))
    }

    /// This map, followed by a factor for each output channel.
    pub(super) fn scaled(mut self, factors: &[f64]) -> Self {
        match &mut self {
            Self::Scale(scale)
            | Self::Convolution(ConvolutionMap { scale, .. })
            | Self::Average(AverageMap { scale, .. }) => {
                for (scale, factor) in scale.iter_mut().zip(factors) {
                    *scale *= factor;
                }
            }
            Self::Dense(DenseMap { weights, inputs }) => {
                for (row, factor) in weights.chunks_exact_mut(*inputs).zip(factors) {
                    row.iter_mut().for_each(|weight| *weight *= factor);
                }
            }
        }
        self
    }

    /// This map as a matrix, if its output is one cell.
    pub(super) fn into_dense(self, from: LayerShape) -> Option<DenseMap> {
        let (inputs, cells) = (from.channels * from.cells(), from.cells());
        match self {
            Self::Dense(dense) => Some(dense),
            Self::Average(AverageMap { window, shares, scale }) if window == SlidingWindow::all(from) => {
                let mut weights = vec![0.0; from.channels * inputs];
                for (channel, scale) in scale.iter().enumerate() {
                    weights[channel * inputs + channel * cells..][..cells].fill(scale * f64::from(shares[0]));
                }
                Some(DenseMap { weights, inputs })
            }
            _ => None,
        }
    }

    /// Multiply-adds of the map for an entire layer.
    pub(super) fn work(&self, from: LayerShape, to: LayerShape) -> usize {
        match self {
            Self::Scale(_) => to.channels * to.cells(),
            Self::Convolution(ConvolutionMap { window, group, .. }) => {
                to.channels * to.cells() * from.channels / group * window.y.size * window.x.size
            }
            Self::Average(AverageMap { window, .. }) => to.channels * to.cells() * window.y.size * window.x.size,
            Self::Dense(DenseMap { weights, .. }) => weights.len(),
        }
    }
}

impl DenseMap {
    /// The product of this matrix and another: this one is applied after `first`.
    pub(super) fn after(&self, first: &Self) -> Self {
        let mut weights = vec![0.0; self.weights.len() / self.inputs * first.inputs];
        for (row, out) in self.weights.chunks_exact(self.inputs).zip(weights.chunks_exact_mut(first.inputs)) {
            for (factor, row) in row.iter().zip(first.weights.chunks_exact(first.inputs)) {
                for (out, weight) in out.iter_mut().zip(row) {
                    *out += factor * weight;
                }
            }
        }
        Self { weights, inputs: first.inputs }
    }

    /// The matrix times a vector.
    pub(super) fn apply(&self, vector: &[f64]) -> Vec<f64> {
        let row = |row: &[f64]| row.iter().zip(vector).map(|(weight, x)| weight * x).sum();
        self.weights.chunks_exact(self.inputs).map(row).collect()
    }
}
