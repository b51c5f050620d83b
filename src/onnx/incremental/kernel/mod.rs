//! The inner loops, compiled for several instruction sets: sums of weighted rows, the end of a layer, products.
//!
//! All work on cells whose channels lie side by side and are filled up to multiples of eight, so that a vector holds
//! channels of one cell. Every sum has one fixed order.

use multiversion::{multiversion, target::target_cfg_f};

use super::{
    pack::{Rows, Tile},
    shape::{Rect, Shape, Window},
};

/// Numbers of a vector of weights.
pub(super) const WIDE: usize = 16;
/// The most rows and vectors of a tile.
pub(super) const MOST_ROWS: usize = 3;
pub(super) const MOST_VECTORS: usize = 6;

/// How many vectors of [`WIDE`] numbers a tile may have: they stay in registers.
#[multiversion(targets = "simd")]
pub(super) fn registers() -> usize {
    if target_cfg_f!(target_feature = "avx512f") { MOST_ROWS * MOST_VECTORS } else { 6 }
}

/// The numbers of a cell that are not zero, with their places.
pub(super) type Changes = [(u32, f32)];

/// Writes down what is not zero; how much that is.
#[inline(always)]
fn changes(values: &[f32], first: usize, list: &mut Changes) -> usize {
    let mut count = 0;
    for (i, &value) in values.iter().enumerate() {
        list[count] = ((first + i) as u32, value);
        count += usize::from(value != 0.0);
    }
    count
}

/// A rectangle of cells that is written to. It holds [`WIDE`] numbers more than its cells need.
pub(super) struct Frame<'a> {
    pub(super) rect: Rect,
    pub(super) lanes: usize,
    pub(super) data: &'a mut [f32],
}

/// A rectangle of cells that is read.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) rect: Rect,
    pub(super) shape: Shape,
    pub(super) data: &'a [f32],
}

impl Cells<'_> {
    #[inline(always)]
    fn cell(&self, y: i32, x: i32) -> &[f32] {
        let lanes = self.shape.lanes();
        &self.data[self.rect.cell(y, x) * lanes..][..lanes]
    }
}

#[inline(always)]
fn times_plus<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn vector_times_plus<const FUSED: bool>(a: &[f32; WIDE], b: f32, mut c: [f32; WIDE]) -> [f32; WIDE] {
    for l in 0..WIDE {
        c[l] = times_plus::<FUSED>(a[l], b, c[l]);
    }
    c
}

/// Adds the weighted sum of the changes to `R` rows of `V` vectors of a frame.
#[inline(always)]
fn tile<const FUSED: bool, const R: usize, const V: usize>(
    weights: &[f32],
    changes: &Changes,
    frame: &mut [f32],
    stride: usize,
) {
    let blocks = weights.as_chunks::<WIDE>().0.as_chunks::<V>().0.as_chunks::<R>().0;
    let mut sums = [[[0.0; WIDE]; V]; R];
    for &(place, value) in changes {
        let block = &blocks[place as usize];
        for (sums, block) in sums.iter_mut().zip(block) {
            for (sums, block) in sums.iter_mut().zip(block) {
                *sums = vector_times_plus::<FUSED>(block, value, *sums);
            }
        }
    }
    for r in 0..R {
        let row = &mut frame[r * stride..][..V * WIDE];
        for v in 0..V {
            for l in 0..WIDE {
                row[v * WIDE + l] += sums[r][v][l];
            }
        }
    }
}

/// All tiles of a window, at a place of a frame.
#[inline(always)]
fn tiles<const FUSED: bool>(
    tiles: &[Tile],
    weights: &[f32],
    changes: &Changes,
    frame: &mut [f32],
    at: usize,
    stride: usize,
) {
    for each in tiles {
        let weights = &weights[each.at..][..each.length];
        let frame = &mut frame[at + each.row * stride + each.column..];
        macro_rules! sizes {
            ($(($r:literal, $v:literal)),*) => {
                match (each.rows, each.vectors) {
                    $(($r, $v) => tile::<FUSED, $r, $v>(weights, changes, frame, stride),)*
                    _ => {}
                }
            };
        }
        sizes!(
            (3, 6),
            (3, 5),
            (3, 4),
            (3, 3),
            (3, 2),
            (3, 1),
            (2, 6),
            (2, 5),
            (2, 4),
            (2, 3),
            (2, 2),
            (2, 1),
            (1, 6),
            (1, 5),
            (1, 4),
            (1, 3),
            (1, 2),
            (1, 1)
        );
    }
}

/// Adds the convolution of cells to a frame.
#[multiversion(targets = "simd")]
pub(super) fn convolve(window: &Window, rows: &Rows, cells: Cells, list: &mut Changes, frame: &mut Frame) {
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        convolve_with::<true>(window, rows, cells, list, frame);
    } else {
        convolve_with::<false>(window, rows, cells, list, frame);
    }
}

#[inline(always)]
fn convolve_with<const FUSED: bool>(window: &Window, rows: &Rows, cells: Cells, list: &mut Changes, frame: &mut Frame) {
    let stride = frame.rect.width() * frame.lanes;
    for y in cells.rect.top..cells.rect.bottom {
        let (phase_y, last_y) = rows.phase(y, window.y);
        for x in cells.rect.left..cells.rect.right {
            let count = changes(&cells.cell(y, x)[..cells.shape.channels], 0, list);
            if count == 0 {
                continue;
            }
            let (phase_x, last_x) = rows.phase(x, window.x);
            let phase = &rows.phases[phase_y * window.x.stride + phase_x];
            if phase.tiles.is_empty() {
                continue;
            }
            let at = frame.rect.cell(last_y + 1 - phase.rows as i32, last_x + 1 - phase.columns as i32) * frame.lanes;
            tiles::<FUSED>(&phase.tiles, &rows.weights, &list[..count], frame.data, at, stride);
        }
    }
}

/// Adds a matrix times the numbers of cells to the one cell of a frame; the matrix has a row for every number of the layer.
#[multiversion(targets = "simd")]
pub(super) fn combine(rows: &Rows, cells: Cells, list: &mut Changes, frame: &mut Frame) {
    let lanes = cells.shape.lanes();
    let mut count = 0;
    for y in cells.rect.top..cells.rect.bottom {
        let run = cells.rect.width() * lanes;
        let values = &cells.data[cells.rect.cell(y, cells.rect.left) * lanes..][..run];
        let first = cells.shape.rect().cell(y, cells.rect.left) * lanes;
        count += changes(values, first, &mut list[count..]);
    }
    let all = &rows.phases[0].tiles;
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        tiles::<true>(all, &rows.weights, &list[..count], frame.data, 0, 0);
    } else {
        tiles::<false>(all, &rows.weights, &list[..count], frame.data, 0, 0);
    }
}

/// The same for few outputs: the matrix has a row for every output, `length` numbers long.
#[multiversion(targets = "simd")]
pub(super) fn project(weights: &[f32], length: usize, cells: Cells, frame: &mut Frame) {
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        project_with::<true>(weights, length, cells, frame);
    } else {
        project_with::<false>(weights, length, cells, frame);
    }
}

#[inline(always)]
fn project_with<const FUSED: bool>(weights: &[f32], length: usize, cells: Cells, frame: &mut Frame) {
    let lanes = cells.shape.lanes();
    let run = cells.rect.width() * lanes;
    for (weights, out) in weights.chunks_exact(length).zip(frame.data.iter_mut()) {
        let mut sums = [0.0; 8];
        for y in cells.rect.top..cells.rect.bottom {
            let values = &cells.data[cells.rect.cell(y, cells.rect.left) * lanes..][..run];
            let row = &weights[cells.shape.rect().cell(y, cells.rect.left) * lanes..][..run];
            for (values, row) in values.as_chunks::<8>().0.iter().zip(row.as_chunks::<8>().0) {
                for l in 0..8 {
                    sums[l] = times_plus::<FUSED>(values[l], row[l], sums[l]);
                }
            }
        }
        *out += ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    }
}

/// Adds cells to a frame, each channel times a number.
#[multiversion(targets = "simd")]
pub(super) fn scale(scale: &[f32], cells: Cells, frame: &mut Frame) {
    for y in cells.rect.top..cells.rect.bottom {
        for x in cells.rect.left..cells.rect.right {
            let out = &mut frame.data[frame.rect.cell(y, x) * frame.lanes..][..frame.lanes];
            for ((out, value), scale) in out.iter_mut().zip(cells.cell(y, x)).zip(scale) {
                *out += value * scale;
            }
        }
    }
}

/// Adds the means of windows to a frame; `shares` has for every output what one input counts.
#[multiversion(targets = "simd")]
pub(super) fn average(window: &Window, shares: &[f32], after: Shape, scale: &[f32], cells: Cells, frame: &mut Frame) {
    for y in cells.rect.top..cells.rect.bottom {
        for x in cells.rect.left..cells.rect.right {
            let place = Rect { top: y, left: x, bottom: y + 1, right: x + 1 };
            let reached = window.reach(place).intersect(after.rect());
            for oy in reached.top..reached.bottom {
                for ox in reached.left..reached.right {
                    let share = shares[after.rect().cell(oy, ox)];
                    let out = &mut frame.data[frame.rect.cell(oy, ox) * frame.lanes..][..frame.lanes];
                    for ((out, value), scale) in out.iter_mut().zip(cells.cell(y, x)).zip(scale) {
                        *out += value * (scale * share);
                    }
                }
            }
        }
    }
}

/// What follows the sums of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Activation {
    /// What negative numbers are multiplied by, 0..=1.
    pub(super) slope: f32,
    pub(super) low: f32,
    pub(super) high: f32,
}

impl Activation {
    pub(super) const NONE: Self = Self { slope: 1.0, low: f32::NEG_INFINITY, high: f32::INFINITY };
}

/// The end of a layer: the greatest of each window, then the activation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct End {
    pub(super) before: Shape,
    pub(super) after: Shape,
    pub(super) pool: Window,
    pub(super) activation: Activation,
}

/// What the end of a layer makes of its sums, and of the changes in a frame: the difference from what it made without them.
#[multiversion(targets = "simd")]
pub(super) fn change(end: &End, sums: &[f32], made: &[f32], frame: &Frame, rect: Rect, out: &mut [f32]) {
    if end.before.lanes().is_multiple_of(WIDE) {
        finish::<WIDE, true>(end, sums, made, frame, rect, out);
    } else {
        finish::<8, true>(end, sums, made, frame, rect, out);
    }
}

/// What the end of a layer makes of its sums.
#[multiversion(targets = "simd")]
pub(super) fn make(end: &End, sums: &[f32], out: &mut [f32]) {
    let nothing = Frame { rect: end.before.rect(), lanes: 0, data: &mut [] };
    finish::<8, false>(end, sums, &[], &nothing, end.after.rect(), out);
}

#[inline(always)]
fn finish<const N: usize, const CHANGED: bool>(
    end: &End,
    sums: &[f32],
    made: &[f32],
    frame: &Frame,
    rect: Rect,
    out: &mut [f32],
) {
    let lanes = end.before.lanes();
    let (before, after) = (end.before.rect(), end.after.rect());
    let Activation { slope, low, high } = end.activation;
    let mut out = out.as_chunks_mut::<N>().0.iter_mut();
    for oy in rect.top..rect.bottom {
        for ox in rect.left..rect.right {
            let place = Rect { top: oy, left: ox, bottom: oy + 1, right: ox + 1 };
            let seen = end.pool.sources(place).intersect(before);
            for first in (0..lanes).step_by(N) {
                let mut most = [f32::NEG_INFINITY; N];
                for y in seen.top..seen.bottom {
                    for x in seen.left..seen.right {
                        let sums = &sums[before.cell(y, x) * lanes + first..][..N];
                        let changes =
                            if CHANGED { &frame.data[frame.rect.cell(y, x) * lanes + first..][..N] } else { sums };
                        for l in 0..N {
                            let value = if CHANGED { sums[l] + changes[l] } else { sums[l] };
                            most[l] = if value > most[l] { value } else { most[l] };
                        }
                    }
                }
                let Some(out) = out.next() else { return };
                let made = if CHANGED { &made[after.cell(oy, ox) * lanes + first..][..N] } else { &most[..] };
                for l in 0..N {
                    let leaked = if most[l] > slope * most[l] { most[l] } else { slope * most[l] };
                    let floored = if leaked > low { leaked } else { low };
                    let value = if floored < high { floored } else { high };
                    out[l] = if CHANGED { value - made[l] } else { value };
                }
            }
        }
    }
}
