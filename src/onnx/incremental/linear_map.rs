//! Linear maps between layers as the graph says them, before they are laid out for the kernels.

use super::shape::{Shape, Window};

/// A linear map. Batch normalisation and the like are folded into its scale, in double precision.
#[derive(Debug, Clone)]
pub(super) enum Linear {
    /// Every channel times a number.
    Scale(Vec<f64>),
    Convolution(Convolution),
    Average(Average),
    Dense(Dense),
}

#[derive(Debug, Clone)]
pub(super) struct Convolution {
    pub(super) window: Window,
    /// `[output][input of the group][y][x]`
    pub(super) weights: Vec<f32>,
    /// What the weights of each output are multiplied by.
    pub(super) scale: Vec<f64>,
    pub(super) group: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Average {
    pub(super) window: Window,
    /// For every output cell, what one input counts.
    pub(super) shares: Vec<f32>,
    pub(super) scale: Vec<f64>,
}

/// A matrix.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    /// `[output][input]`, the inputs in the order `[channel][row][column]`.
    pub(super) weights: Vec<f64>,
    pub(super) inputs: usize,
}

impl Linear {
    pub(super) fn same(channels: usize) -> Self {
        Self::Scale(vec![1.0; channels])
    }

    /// Whether it changes nothing.
    pub(super) fn is_same(&self) -> bool {
        matches!(self, Self::Scale(scale) if scale.iter().all(|&scale| scale == 1.0))
    }

    /// This map, then a scale of its outputs.
    pub(super) fn times(mut self, factors: &[f64]) -> Self {
        match &mut self {
            Self::Scale(scale)
            | Self::Convolution(Convolution { scale, .. })
            | Self::Average(Average { scale, .. }) => {
                for (scale, factor) in scale.iter_mut().zip(factors) {
                    *scale *= factor;
                }
            }
            Self::Dense(Dense { weights, inputs }) => {
                for (row, factor) in weights.chunks_exact_mut(*inputs).zip(factors) {
                    row.iter_mut().for_each(|weight| *weight *= factor);
                }
            }
        }
        self
    }

    /// This map as a matrix, if all that it makes is one cell.
    pub(super) fn matrix(self, from: Shape) -> Option<Dense> {
        let (inputs, cells) = (from.channels * from.cells(), from.cells());
        match self {
            Self::Dense(dense) => Some(dense),
            Self::Average(Average { window, shares, scale }) if window == Window::all(from) => {
                let mut weights = vec![0.0; from.channels * inputs];
                for (channel, scale) in scale.iter().enumerate() {
                    weights[channel * inputs + channel * cells..][..cells].fill(scale * f64::from(shares[0]));
                }
                Some(Dense { weights, inputs })
            }
            _ => None,
        }
    }

    /// Multiply-adds of the whole map.
    pub(super) fn work(&self, from: Shape, to: Shape) -> usize {
        match self {
            Self::Scale(_) => to.channels * to.cells(),
            Self::Convolution(Convolution { window, group, .. }) => {
                to.channels * to.cells() * from.channels / group * window.y.size * window.x.size
            }
            Self::Average(Average { window, .. }) => to.channels * to.cells() * window.y.size * window.x.size,
            Self::Dense(Dense { weights, .. }) => weights.len(),
        }
    }
}

impl Dense {
    /// This matrix after another.
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
