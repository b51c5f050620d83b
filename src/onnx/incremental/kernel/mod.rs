//! The inner loops, compiled for several instruction sets.
//!
//! The channels of a cell are contiguous and padded to a multiple of eight, so a vector register holds channels of one cell.
//! Every sum has one fixed order.

mod direct;
mod epilogue;
mod scatter;

use multiversion::{multiversion, target::target_cfg_f};

pub(super) use self::{
    direct::{average, project, scale},
    epilogue::{Activation, Epilogue, LayerValues, change, make},
    scatter::{combine, convolve},
};
use super::geometry::{LayerShape, Rect};

/// Numbers of a weight vector.
pub(super) const VECTOR: usize = 16;
/// The most rows of a tile.
pub(super) const MAX_TILE_ROWS: usize = 3;
/// The most vectors in a row of a tile.
pub(super) const MAX_TILE_VECTORS: usize = 6;

/// How many vectors a tile may have so that its sums stay in registers.
#[multiversion(targets = "simd")]
pub(super) fn registers() -> usize {
    if target_cfg_f!(target_feature = "avx512f") { MAX_TILE_ROWS * MAX_TILE_VECTORS } else { 6 }
}

/// A number that is not zero, and its index.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SparseValue {
    index: u32,
    value: f32,
}

/// Lists the numbers that are not zero; the first has index `first`. Returns how many there are.
#[inline(always)]
fn list_non_zeros(values: &[f32], first: usize, list: &mut [SparseValue]) -> usize {
    let mut count = 0;
    for (i, &value) in values.iter().enumerate() {
        list[count] = SparseValue { index: (first + i) as u32, value };
        count += usize::from(value != 0.0);
    }
    count
}

/// A rectangle of sums that maps are added to. `data` has [`VECTOR`] numbers more than the cells need: the last vector of a
/// tile may extend past the last cell.
pub(super) struct SumFrame<'a> {
    pub(super) rect: Rect,
    pub(super) lanes: usize,
    pub(super) data: &'a mut [f32],
}

/// A rectangle of the cells of a layer, as input of a map.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) rect: Rect,
    /// The shape of the layer.
    pub(super) shape: LayerShape,
    pub(super) data: &'a [f32],
}

impl Cells<'_> {
    #[inline(always)]
    fn cell(&self, y: i32, x: i32) -> &[f32] {
        let lanes = self.shape.lanes();
        &self.data[self.rect.index(y, x) * lanes..][..lanes]
    }
}

/// a b + c; with one rounding if `FUSED`.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}
