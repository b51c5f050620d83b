//! Linear maps between layers as the graph defines them, before they are packed for the kernels.

use super::geometry::{LayerShape, Rect, SlidingWindow};

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

    /// The columns of this map as a matrix, if its output is one cell.
    pub(super) fn dense_inputs(&self, from: LayerShape) -> Option<usize> {
        match self {
            Self::Dense(dense) => Some(dense.inputs),
            Self::Average(average) if average.window == SlidingWindow::all(from) => Some(from.channels * from.cells()),
            _ => None,
        }
    }

    /// The outputs that read a rectangle of the input; some may be outside the layer.
    pub(super) fn readers(&self, rect: Rect) -> Rect {
        match self {
            Self::Scale(_) => rect,
            Self::Convolution(ConvolutionMap { window, .. }) | Self::Average(AverageMap { window, .. }) => {
                window.readers(rect)
            }
            Self::Dense(_) => Rect::cell_at(0, 0),
        }
    }

    /// Multiply-adds of the map for an entire layer.
    pub(super) fn work(&self, from: LayerShape, to: LayerShape) -> usize {
        match self {
            Self::Scale(_) => to.channels * to.cells(),
            Self::Convolution(ConvolutionMap { window, group, .. }) => {
                let window = window.y.size.saturating_mul(window.x.size);
                (to.channels * to.cells()).saturating_mul(from.channels / group).saturating_mul(window)
            }
            Self::Average(AverageMap { window, .. }) => {
                (to.channels * to.cells()).saturating_mul(window.y.size.saturating_mul(window.x.size))
            }
            Self::Dense(DenseMap { weights, .. }) => weights.len(),
        }
    }
}

impl DenseMap {
    /// The product of this matrix and a map that is applied before it, which as a matrix has `inputs` columns
    /// ([`LinearMap::dense_inputs`]).
    pub(super) fn after(&self, first: &LinearMap, inputs: usize) -> Option<Self> {
        let mut weights = vec![0.0; self.weights.len() / self.inputs * inputs];
        let rows = self.weights.chunks_exact(self.inputs).zip(weights.chunks_exact_mut(inputs));
        match first {
            LinearMap::Dense(first) => {
                for (row, out) in rows {
                    for (factor, row) in row.iter().zip(first.weights.chunks_exact(inputs)) {
                        for (out, weight) in out.iter_mut().zip(row) {
                            *out += factor * weight;
                        }
                    }
                }
            }
            // The matrix of an average has mostly zeros, and would be large: channels times inputs.
            LinearMap::Average(AverageMap { shares, scale, .. }) => {
                for (row, out) in rows {
                    let cells = out.chunks_exact_mut(inputs / scale.len());
                    for ((factor, scale), cells) in row.iter().zip(scale).zip(cells) {
                        cells.fill(factor * (scale * f64::from(shares[0])));
                    }
                }
            }
            _ => return None,
        }
        Some(Self { weights, inputs })
    }

    /// The matrix times a vector.
    pub(super) fn apply(&self, vector: &[f64]) -> Vec<f64> {
        let row = |row: &[f64]| row.iter().zip(vector).map(|(weight, x)| weight * x).sum();
        self.weights.chunks_exact(self.inputs).map(row).collect()
    }
}
