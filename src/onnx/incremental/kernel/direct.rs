//! Maps with few products per input: matrices of few outputs, scales and means.

use multiversion::{multiversion, target::target_cfg_f};

use super::{
    super::{geometry::Rect, packed_map::PackedAverage},
    Cells, SumFrame, multiply_add,
};

/// Adds a matrix times the numbers of cells to the one cell of a frame; the matrix has a row of `length` numbers for every
/// output.
#[multiversion(targets = "simd")]
pub(in super::super) fn project(weights: &[f32], length: usize, cells: Cells, frame: &mut SumFrame) {
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        project_with::<true>(weights, length, cells, frame);
    } else {
        project_with::<false>(weights, length, cells, frame);
    }
}

#[inline(always)]
fn project_with<const FUSED: bool>(weights: &[f32], length: usize, cells: Cells, frame: &mut SumFrame) {
    let lanes = cells.shape.lanes();
    let run = cells.rect.width() * lanes;
    for (weights, out) in weights.chunks_exact(length).zip(frame.data.iter_mut()) {
        let mut sums = [0.0; 8];
        for y in cells.rect.top..cells.rect.bottom {
            let values = &cells.data[cells.rect.index(y, cells.rect.left) * lanes..][..run];
            let row = &weights[cells.shape.rect().index(y, cells.rect.left) * lanes..][..run];
            for (values, row) in values.as_chunks::<8>().0.iter().zip(row.as_chunks::<8>().0) {
                for l in 0..8 {
                    sums[l] = multiply_add::<FUSED>(values[l], row[l], sums[l]);
                }
            }
        }
        *out += ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    }
}

/// Adds cells to a frame, each channel times a number.
#[multiversion(targets = "simd")]
pub(in super::super) fn scale(scale: &[f32], cells: Cells, frame: &mut SumFrame) {
    for y in cells.rect.top..cells.rect.bottom {
        for x in cells.rect.left..cells.rect.right {
            let out = &mut frame.data[frame.rect.index(y, x) * frame.lanes..][..frame.lanes];
            for ((out, value), scale) in out.iter_mut().zip(cells.cell(y, x)).zip(scale) {
                *out += value * scale;
            }
        }
    }
}

/// Adds the means of windows over cells to a frame.
#[multiversion(targets = "simd")]
pub(in super::super) fn average(map: &PackedAverage, cells: Cells, frame: &mut SumFrame) {
    let outputs = map.after.rect();
    for y in cells.rect.top..cells.rect.bottom {
        for x in cells.rect.left..cells.rect.right {
            let readers = map.window.readers(Rect::cell_at(y, x)).intersect(outputs);
            for oy in readers.top..readers.bottom {
                for ox in readers.left..readers.right {
                    let share = map.shares[outputs.index(oy, ox)];
                    let out = &mut frame.data[frame.rect.index(oy, ox) * frame.lanes..][..frame.lanes];
                    for ((out, value), scale) in out.iter_mut().zip(cells.cell(y, x)).zip(&map.scale) {
                        *out += value * (scale * share);
                    }
                }
            }
        }
    }
}
