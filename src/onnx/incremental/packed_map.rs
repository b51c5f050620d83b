//! Weights laid out as the kernels read them.

use super::{
    buffer::Buffer,
    kernel::{self, Cells, Changes, Frame, MOST_ROWS, MOST_VECTORS, WIDE},
    linear::{Average, Convolution, Dense, Linear},
    shape::{Axis, Rect, Shape, Window},
};

/// Outputs up to this many are computed by products along the inputs, more by sums of rows.
const FEW: usize = 8;

/// A block of the outputs that one input adds to: rows of cells of a frame, by vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tile {
    /// Its weights `[input channel][row][vector][lane]` begin here and are so many.
    pub(super) at: usize,
    pub(super) length: usize,
    /// Its first row of the window, and its first number in the row.
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) vectors: usize,
}

/// The window that inputs of one phase of the stride add to.
#[derive(Debug, Default)]
pub(super) struct Phase {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) tiles: Vec<Tile>,
}

/// Weights by input: what it adds to each output of its window.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) weights: Buffer,
    /// `[stride y][stride x]`
    pub(super) phases: Vec<Phase>,
}

impl Rows {
    /// The phase of an input along an axis, and the last output that looks at it.
    #[inline(always)]
    pub(super) const fn phase(&self, place: i32, axis: Axis) -> (usize, i32) {
        let shifted = place + axis.before as i32;
        match axis.stride {
            1 => (0, shifted),
            stride => (shifted as usize % stride, shifted / stride as i32),
        }
    }

    /// Lays out the weights of windows of the given size for every phase; `weight` is asked for (phase, input, row,
    /// column, output).
    fn of(
        inputs: usize,
        outputs: usize,
        windows: &[(usize, usize)],
        weight: impl Fn(usize, usize, usize, usize, usize) -> f32,
    ) -> Self {
        let lanes = outputs.next_multiple_of(8);
        let (mut weights, mut phases) = (Vec::new(), Vec::new());
        for (phase, &(rows, columns)) in windows.iter().enumerate() {
            let mut tiles = Vec::new();
            let vectors = if rows == 0 { 0 } else { (columns * lanes).div_ceil(WIDE) };
            for (row, rows) in shares(rows, MOST_ROWS) {
                for (vector, vectors) in shares(vectors, MOST_VECTORS.min(kernel::registers() / rows)) {
                    let at = weights.len();
                    for input in 0..inputs {
                        for r in row..row + rows {
                            weights.extend((vector * WIDE..(vector + vectors) * WIDE).map(|lane| {
                                let (column, output) = (lane / lanes, lane % lanes);
                                let inside = column < columns && output < outputs;
                                if inside { weight(phase, input, r, column, output) } else { 0.0 }
                            }));
                        }
                    }
                    tiles.push(Tile { at, length: weights.len() - at, row, column: vector * WIDE, rows, vectors });
                }
            }
            phases.push(Phase { rows, columns, tiles });
        }
        Self { weights: Buffer::of(&weights), phases }
    }

    /// Multiply-adds that one input costs at most.
    fn work(&self) -> usize {
        let work = |phase: &Phase| phase.tiles.iter().map(|tile| tile.rows * tile.vectors * WIDE).sum::<usize>();
        self.phases.iter().map(work).max().unwrap_or(0)
    }
}

/// `count` things in the fewest equal shares of at most `most`: (first, how many).
fn shares(count: usize, most: usize) -> Vec<(usize, usize)> {
    let parts = count.div_ceil(most);
    let cut = |part: usize| count * part / parts.max(1);
    (0..parts).map(|part| (cut(part), cut(part + 1) - cut(part))).collect()
}

/// A linear map from one layer to another, ready to run.
#[derive(Debug)]
pub(super) enum Packed {
    Scale(Vec<f32>),
    Convolve(Window, Rows),
    Average { window: Window, after: Shape, shares: Vec<f32>, scale: Vec<f32> },
    Combine(Rows),
    Project { weights: Buffer, length: usize },
}

impl Packed {
    pub(super) fn of(map: &Linear, from: Shape, to: Shape) -> Self {
        let lanes = |scale: &[f64]| {
            let mut lanes: Vec<f32> = scale.iter().map(|&scale| scale as f32).collect();
            lanes.resize(to.lanes(), 0.0);
            lanes
        };
        match map {
            Linear::Scale(scale) => Self::Scale(lanes(scale)),
            Linear::Average(Average { window, shares, scale, .. }) => {
                Self::Average { window: *window, after: to, shares: shares.clone(), scale: lanes(scale) }
            }
            Linear::Convolution(convolution) => {
                Self::Convolve(convolution.window, convolution_rows(convolution, from, to))
            }
            Linear::Dense(Dense { weights, inputs }) => {
                // Inputs in the order of memory; that of the matrix is [channel][row][column].
                let (lanes, cells) = (from.lanes(), from.cells());
                let weight = |input: usize, output: usize| {
                    let (cell, channel) = (input / lanes, input % lanes);
                    let inside = channel < from.channels;
                    if inside { weights[output * inputs + channel * cells + cell] as f32 } else { 0.0 }
                };
                if to.channels <= FEW {
                    let rows = (0..to.channels).flat_map(|output| (0..from.length()).map(move |input| (input, output)));
                    let weights: Vec<f32> = rows.map(|(input, output)| weight(input, output)).collect();
                    Self::Project { weights: Buffer::of(&weights), length: from.length() }
                } else {
                    let by_input = |_, input, _, _, output| weight(input, output);
                    Self::Combine(Rows::of(from.length(), to.channels, &[(1, 1)], by_input))
                }
            }
        }
    }

    /// What a rectangle of the input may change, some of it perhaps outside the layer.
    pub(super) const fn reach(&self, rect: Rect) -> Rect {
        match self {
            Self::Scale(_) => rect,
            Self::Convolve(window, _) | Self::Average { window, .. } => window.reach(rect),
            Self::Combine(_) | Self::Project { .. } => Rect { top: 0, left: 0, bottom: 1, right: 1 },
        }
    }

    /// Adds the map of cells to a frame that holds all that they reach.
    pub(super) fn add(&self, cells: Cells, list: &mut Changes, frame: &mut Frame) {
        match self {
            Self::Scale(scale) => kernel::scale(scale, cells, frame),
            Self::Convolve(window, rows) => kernel::convolve(window, rows, cells, list, frame),
            Self::Average { window, after, shares, scale } => {
                kernel::average(window, shares, *after, scale, cells, frame);
            }
            Self::Combine(rows) => kernel::combine(rows, cells, list, frame),
            Self::Project { weights, length } => kernel::project(weights, *length, cells, frame),
        }
    }

    /// How many changes a list for this map must have room for.
    pub(super) const fn list(&self, from: Shape) -> usize {
        match self {
            Self::Convolve(..) => from.channels,
            Self::Combine(_) => from.length(),
            _ => 0,
        }
    }

    /// Multiply-adds for a rectangle of the input, at most.
    pub(super) fn work(&self, rect: Rect, from: Shape) -> usize {
        rect.cells()
            * match self {
                Self::Scale(scale) => scale.len(),
                Self::Convolve(_, rows) => from.channels * rows.work(),
                Self::Average { window, scale, .. } => {
                    scale.len() * window.y.size.div_ceil(window.y.stride) * window.x.size.div_ceil(window.x.stride)
                }
                Self::Combine(rows) => from.channels * rows.work(),
                Self::Project { weights, .. } => weights.len() / from.cells().max(1),
            }
    }
}

fn convolution_rows(convolution: &Convolution, from: Shape, to: Shape) -> Rows {
    let Convolution { window: Window { y, x }, weights, scale, group } = convolution;
    let windows: Vec<(usize, usize)> = (0..y.stride)
        .flat_map(|phase_y| (0..x.stride).map(move |phase_x| (phase_y, phase_x)))
        .map(|(phase_y, phase_x)| {
            (y.size.saturating_sub(phase_y).div_ceil(y.stride), x.size.saturating_sub(phase_x).div_ceil(x.stride))
        })
        .map(|(rows, columns)| if rows == 0 || columns == 0 { (0, 0) } else { (rows, columns) })
        .collect();
    let (inputs, outputs) = (from.channels / group, to.channels / group);
    Rows::of(from.channels, to.channels, &windows, |phase, input, row, column, output| {
        if input / inputs != output / outputs {
            return 0.0;
        }
        // The first row of a window is the output that looks at the input with the last row of the kernel.
        let (rows, columns) = windows[phase];
        let ky = phase / x.stride + y.stride * (rows - 1 - row);
        let kx = phase % x.stride + x.stride * (columns - 1 - column);
        let weight = weights[((output * inputs + input % inputs) * y.size + ky) * x.size + kx];
        (f64::from(weight) * scale[output]) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_nearly_equal_and_as_few_as_can_be() {
        assert_eq!(shares(13, 6), [(0, 4), (4, 4), (8, 5)]);
        assert_eq!(shares(5, 3), [(0, 2), (2, 3)]);
        assert_eq!(shares(6, 6), [(0, 6)]);
        assert!(shares(0, 6).is_empty());
    }
}
