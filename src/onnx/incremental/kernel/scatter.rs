//! Maps computed from the input: every input that is not zero adds its weighted row to the outputs that read it.

use multiversion::{multiversion, target::target_cfg_f};

use super::{
    super::{
        geometry::SlidingWindow,
        packed_map::{TiledWeights, WeightTile},
    },
    Cells, SparseValue, SumFrame, VECTOR, list_non_zeros, multiply_add,
};

#[inline(always)]
fn multiply_add_vector<const FUSED: bool>(a: &[f32; VECTOR], b: f32, mut c: [f32; VECTOR]) -> [f32; VECTOR] {
    for l in 0..VECTOR {
        c[l] = multiply_add::<FUSED>(a[l], b, c[l]);
    }
    c
}

/// Adds the weighted sum of some values to `R` rows of `V` vectors of a frame.
#[inline(always)]
fn add_tile<const FUSED: bool, const R: usize, const V: usize>(
    weights: &[f32],
    values: &[SparseValue],
    frame: &mut [f32],
    stride: usize,
) {
    let blocks = weights.as_chunks::<VECTOR>().0.as_chunks::<V>().0.as_chunks::<R>().0;
    let mut sums = [[[0.0; VECTOR]; V]; R];
    for &SparseValue { index, value } in values {
        let block = &blocks[index as usize];
        for (sums, block) in sums.iter_mut().zip(block) {
            for (sums, block) in sums.iter_mut().zip(block) {
                *sums = multiply_add_vector::<FUSED>(block, value, *sums);
            }
        }
    }
    for r in 0..R {
        let row = &mut frame[r * stride..][..V * VECTOR];
        for v in 0..V {
            for l in 0..VECTOR {
                row[v * VECTOR + l] += sums[r][v][l];
            }
        }
    }
}

/// Adds all tiles of a window to a frame that begins at the window's first output.
#[inline(always)]
fn add_tiles<const FUSED: bool>(
    tiles: &[WeightTile],
    weights: &[f32],
    values: &[SparseValue],
    frame: &mut [f32],
    stride: usize,
) {
    for tile in tiles {
        let weights = &weights[tile.start..][..tile.length];
        let frame = &mut frame[tile.row * stride + tile.column..];
        macro_rules! sizes {
            ($(($r:literal, $v:literal)),*) => {
                match (tile.rows, tile.vectors) {
                    $(($r, $v) => add_tile::<FUSED, $r, $v>(weights, values, frame, stride),)*
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

/// Adds the convolution of cells to a frame. `list` has room for the channels of a cell.
#[multiversion(targets = "simd")]
pub(in super::super) fn convolve(
    window: &SlidingWindow,
    weights: &TiledWeights,
    cells: Cells,
    list: &mut [SparseValue],
    frame: &mut SumFrame,
) {
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        convolve_with::<true>(window, weights, cells, list, frame);
    } else {
        convolve_with::<false>(window, weights, cells, list, frame);
    }
}

#[inline(always)]
fn convolve_with<const FUSED: bool>(
    window: &SlidingWindow,
    weights: &TiledWeights,
    cells: Cells,
    list: &mut [SparseValue],
    frame: &mut SumFrame,
) {
    let stride = frame.rect.width() * frame.lanes;
    for y in cells.rect.top..cells.rect.bottom {
        let (phase_y, last_y) = TiledWeights::phase(y, window.y);
        for x in cells.rect.left..cells.rect.right {
            let count = list_non_zeros(&cells.cell(y, x)[..cells.shape.channels], 0, list);
            if count == 0 {
                continue;
            }
            let (phase_x, last_x) = TiledWeights::phase(x, window.x);
            let phase = &weights.phases[phase_y * window.x.stride + phase_x];
            if phase.tiles.is_empty() {
                continue;
            }
            let (top, left) = (last_y + 1 - phase.rows as i32, last_x + 1 - phase.columns as i32);
            let target = &mut frame.data[frame.rect.index(top, left) * frame.lanes..];
            add_tiles::<FUSED>(&phase.tiles, &weights.weights, &list[..count], target, stride);
        }
    }
}

/// Adds a matrix times the numbers of cells to the one cell of a frame; the matrix has a row for every number of the layer.
/// `list` has room for all numbers of the layer.
#[multiversion(targets = "simd")]
pub(in super::super) fn combine(weights: &TiledWeights, cells: Cells, list: &mut [SparseValue], frame: &mut SumFrame) {
    let lanes = cells.shape.lanes();
    let mut count = 0;
    for y in cells.rect.top..cells.rect.bottom {
        let run = cells.rect.width() * lanes;
        let values = &cells.data[cells.rect.index(y, cells.rect.left) * lanes..][..run];
        let first = cells.shape.rect().index(y, cells.rect.left) * lanes;
        count += list_non_zeros(values, first, &mut list[count..]);
    }
    let tiles = &weights.phases[0].tiles;
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        add_tiles::<true>(tiles, &weights.weights, &list[..count], frame.data, 0);
    } else {
        add_tiles::<false>(tiles, &weights.weights, &list[..count], frame.data, 0);
    }
}
