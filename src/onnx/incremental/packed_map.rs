//! Linear maps with their weights in the order in which the kernels read them.

use super::{
    aligned_buffer::AlignedBuffer,
    geometry::{LayerShape, Rect, SlidingWindow, WindowAxis},
    kernel::{self, Cells, MAX_TILE_ROWS, MAX_TILE_VECTORS, SparseValue, SumFrame, VECTOR},
    linear_map::{AverageMap, ConvolutionMap, DenseMap, LinearMap},
};

/// A matrix of up to this many outputs is computed by products along the inputs, a larger one by sums of weight rows.
const FEW_OUTPUTS: usize = 8;

/// A linear map from one layer to another, ready to run.
#[derive(Debug)]
pub(super) enum PackedMap {
    Scale(Vec<f32>),
    Convolve(SlidingWindow, TiledWeights),
    Average(PackedAverage),
    /// A matrix with a weight row for every input.
    Combine(TiledWeights),
    /// A matrix with a row of `length` weights for every output.
    Project {
        weights: AlignedBuffer,
        length: usize,
    },
}

/// The mean over a window.
#[derive(Debug)]
pub(super) struct PackedAverage {
    pub(super) window: SlidingWindow,
    /// The shape of the outputs.
    pub(super) after: LayerShape,
    /// The weight of one input, for every output cell.
    pub(super) shares: Vec<f32>,
    /// The factor of every lane.
    pub(super) scale: Vec<f32>,
}

/// Weights ordered by input: what each input adds to the outputs of the window that read it.
#[derive(Debug)]
pub(super) struct TiledWeights {
    pub(super) weights: AlignedBuffer,
    /// `[phase y][phase x]`: a stride of s has s phases.
    pub(super) phases: Vec<StridePhase>,
}

/// The outputs that read an input whose position has one remainder modulo the stride.
#[derive(Debug, Default)]
pub(super) struct StridePhase {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) tiles: Vec<WeightTile>,
}

/// A block of the outputs of a phase: rows of cells by vectors. Its sums stay in registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WeightTile {
    /// Where its weights `[input channel][row][vector][lane]` begin.
    pub(super) start: usize,
    /// How many weights it has.
    pub(super) length: usize,
    /// Its first row in the window.
    pub(super) row: usize,
    /// Its first number in a row.
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) vectors: usize,
}

/// Which weight to pack.
struct WeightIndex {
    phase: usize,
    input: usize,
    row: usize,
    column: usize,
    output: usize,
}

/// The size of the window of a phase, in outputs.
#[derive(Debug, Clone, Copy)]
struct PhaseWindow {
    rows: usize,
    columns: usize,
}

impl TiledWeights {
    /// The phase of an input along an axis, and the last output that reads it.
    #[inline(always)]
    pub(super) const fn phase(position: i32, axis: WindowAxis) -> (usize, i32) {
        let shifted = position + axis.before as i32;
        match axis.stride {
            1 => (0, shifted),
            stride => (shifted as usize % stride, shifted / stride as i32),
        }
    }

    /// Packs the weights of the windows of all phases.
    fn pack(inputs: usize, outputs: usize, windows: &[PhaseWindow], weight: impl Fn(WeightIndex) -> f32) -> Self {
        let lanes = outputs.next_multiple_of(8);
        let (mut weights, mut phases) = (Vec::new(), Vec::new());
        for (phase, &PhaseWindow { rows, columns }) in windows.iter().enumerate() {
            let mut tiles = Vec::new();
            let vectors = if rows == 0 { 0 } else { (columns * lanes).div_ceil(VECTOR) };
            for (row, rows) in equal_shares(rows, MAX_TILE_ROWS) {
                for (vector, vectors) in equal_shares(vectors, MAX_TILE_VECTORS.min(kernel::registers() / rows)) {
                    let start = weights.len();
                    for input in 0..inputs {
                        for r in row..row + rows {
                            weights.extend((vector * VECTOR..(vector + vectors) * VECTOR).map(|lane| {
                                let (column, output) = (lane / lanes, lane % lanes);
                                let inside = column < columns && output < outputs;
                                let index = WeightIndex { phase, input, row: r, column, output };
                                if inside { weight(index) } else { 0.0 }
                            }));
                        }
                    }
                    let length = weights.len() - start;
                    tiles.push(WeightTile { start, length, row, column: vector * VECTOR, rows, vectors });
                }
            }
            phases.push(StridePhase { rows, columns, tiles });
        }
        Self { weights: AlignedBuffer::of(&weights), phases }
    }

    /// Packs a convolution.
    fn of_convolution(map: &ConvolutionMap, from: LayerShape, to: LayerShape) -> Self {
        let ConvolutionMap { window: SlidingWindow { y, x }, weights, scale, group } = map;
        let windows: Vec<PhaseWindow> = (0..y.stride)
            .flat_map(|phase_y| (0..x.stride).map(move |phase_x| (phase_y, phase_x)))
            .map(|(phase_y, phase_x)| {
                let rows = y.size.saturating_sub(phase_y).div_ceil(y.stride);
                let columns = x.size.saturating_sub(phase_x).div_ceil(x.stride);
                if rows == 0 || columns == 0 {
                    PhaseWindow { rows: 0, columns: 0 }
                } else {
                    PhaseWindow { rows, columns }
                }
            })
            .collect();
        let (inputs, outputs) = (from.channels / group, to.channels / group);
        Self::pack(from.channels, to.channels, &windows, |WeightIndex { phase, input, row, column, output }| {
            if input / inputs != output / outputs {
                return 0.0;
            }
            // The first row of the window is the output that reads the input with the last row of the kernel.
            let PhaseWindow { rows, columns } = windows[phase];
            let ky = phase / x.stride + y.stride * (rows - 1 - row);
            let kx = phase % x.stride + x.stride * (columns - 1 - column);
            let weight = weights[((output * inputs + input % inputs) * y.size + ky) * x.size + kx];
            (f64::from(weight) * scale[output]) as f32
        })
    }

    /// Multiply-adds of one input, at most.
    fn work(&self) -> usize {
        let work =
            |phase: &StridePhase| phase.tiles.iter().map(|tile| tile.rows * tile.vectors * VECTOR).sum::<usize>();
        self.phases.iter().map(work).max().unwrap_or(0)
    }
}

/// Divides `count` items into the fewest nearly equal shares of at most `most`: (first item, number of items).
fn equal_shares(count: usize, most: usize) -> Vec<(usize, usize)> {
    let shares = count.div_ceil(most);
    let cut = |share: usize| count * share / shares.max(1);
    (0..shares).map(|share| (cut(share), cut(share + 1) - cut(share))).collect()
}

impl PackedMap {
    pub(super) fn of(map: &LinearMap, from: LayerShape, to: LayerShape) -> Self {
        let lanes = |scale: &[f64]| {
            let mut lanes: Vec<f32> = scale.iter().map(|&scale| scale as f32).collect();
            lanes.resize(to.lanes(), 0.0);
            lanes
        };
        match map {
            LinearMap::Scale(scale) => Self::Scale(lanes(scale)),
            LinearMap::Average(AverageMap { window, shares, scale }) => {
                Self::Average(PackedAverage { window: *window, after: to, shares: shares.clone(), scale: lanes(scale) })
            }
            LinearMap::Convolution(convolution) => {
                Self::Convolve(convolution.window, TiledWeights::of_convolution(convolution, from, to))
            }
            LinearMap::Dense(dense) => Self::of_dense(dense, from, to),
        }
    }

    fn of_dense(DenseMap { weights, inputs }: &DenseMap, from: LayerShape, to: LayerShape) -> Self {
        // Inputs are packed in memory order, [cell][lane]; the matrix has them as [channel][cell].
        let (lanes, cells) = (from.lanes(), from.cells());
        let weight = |input: usize, output: usize| {
            let (cell, channel) = (input / lanes, input % lanes);
            let inside = channel < from.channels;
            if inside { weights[output * inputs + channel * cells + cell] as f32 } else { 0.0 }
        };
        if to.channels <= FEW_OUTPUTS {
            let rows = (0..to.channels).flat_map(|output| (0..from.length()).map(move |input| (input, output)));
            let weights: Vec<f32> = rows.map(|(input, output)| weight(input, output)).collect();
            Self::Project { weights: AlignedBuffer::of(&weights), length: from.length() }
        } else {
            let one_cell = [PhaseWindow { rows: 1, columns: 1 }];
            let by_input = |index: WeightIndex| weight(index.input, index.output);
            Self::Combine(TiledWeights::pack(from.length(), to.channels, &one_cell, by_input))
        }
    }

    /// The cells of the output that read a rectangle of the input; some may be outside the layer.
    pub(super) const fn readers(&self, rect: Rect) -> Rect {
        match self {
            Self::Scale(_) => rect,
            Self::Convolve(window, _) | Self::Average(PackedAverage { window, .. }) => window.readers(rect),
            Self::Combine(_) | Self::Project { .. } => Rect::cell_at(0, 0),
        }
    }

    /// Adds the map of cells to a frame that contains all their readers. `list` has at least
    /// [`list_length`](Self::list_length) items.
    pub(super) fn add(&self, cells: Cells, list: &mut [SparseValue], frame: &mut SumFrame) {
        match self {
            Self::Scale(scale) => kernel::scale(scale, cells, frame),
            Self::Convolve(window, weights) => kernel::convolve(window, weights, cells, list, frame),
            Self::Average(average) => kernel::average(average, cells, frame),
            Self::Combine(weights) => kernel::combine(weights, cells, list, frame),
            Self::Project { weights, length } => kernel::project(weights, *length, cells, frame),
        }
    }

    /// The most non-zero values that this map lists at once.
    pub(super) const fn list_length(&self, from: LayerShape) -> usize {
        match self {
            Self::Convolve(..) => from.channels,
            Self::Combine(_) => from.length(),
            _ => 0,
        }
    }

    /// Multiply-adds for a rectangle of the input, at most.
    pub(super) fn work(&self, rect: Rect, from: LayerShape) -> usize {
        rect.cells()
            * match self {
                Self::Scale(scale) => scale.len(),
                Self::Convolve(_, weights) | Self::Combine(weights) => from.channels * weights.work(),
                Self::Average(PackedAverage { window: SlidingWindow { y, x }, scale, .. }) => {
                    scale.len() * y.size.div_ceil(y.stride) * x.size.div_ceil(x.stride)
                }
                Self::Project { weights, .. } => weights.len() / from.cells().max(1),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_nearly_equal_and_as_few_as_possible() {
        assert_eq!(equal_shares(13, 6), [(0, 4), (4, 4), (8, 5)]);
        assert_eq!(equal_shares(5, 3), [(0, 2), (2, 3)]);
        assert_eq!(equal_shares(6, 6), [(0, 6)]);
        assert!(equal_shares(0, 6).is_empty());
    }
}
