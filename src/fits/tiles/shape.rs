//! The shapes of tiles.

use crate::fits::header::Header;

/// The most pixels of a tile, whatever the limit of an image: cfitsio counts the pixels of a tile in a C `int`.
const MAX_TILE_PIXELS: u64 = 1 << 28;

/// The sides of a tile, slowest first: those of `ZTILEn`, by default a row of the image.
pub(super) fn tile_shape(header: &Header, shape: &[usize]) -> Result<Vec<usize>, String> {
    let mut tile = Vec::new();
    for (axis, length) in (1..=shape.len()).rev().zip(shape) {
        let key = format!("ZTILE{axis}");
        let side = header.integer(&key)?.unwrap_or(if axis == 1 { *length as i64 } else { 1 });
        if *length == 0 || side < 1 {
            return Err(format!("key `{key}` is {side} for an axis of {length} pixels, expected 1 or more"));
        }
        tile.push(side.unsigned_abs().min(*length as u64) as usize);
    }
    let pixels = tile.iter().try_fold(1u64, |product, side| product.checked_mul(*side as u64));
    if pixels.is_none_or(|pixels| pixels > MAX_TILE_PIXELS) {
        return Err(format!("has tiles of {tile:?} pixels, more than the allowed {MAX_TILE_PIXELS}"));
    }
    Ok(tile)
}

/// The sides of one tile; tiles at the far edges are smaller. The first axis of the file, which is the last one here, runs fastest.
pub(super) fn tile_pixels(shape: &[usize], tile: &[usize], index: usize) -> Vec<usize> {
    let mut rest = index;
    let mut sides: Vec<usize> = shape
        .iter()
        .zip(tile)
        .rev()
        .map(|(length, side)| {
            let count = length.div_ceil(*side);
            let at = rest % count;
            rest /= count;
            (*side).min(length - at * side)
        })
        .collect();
    sides.reverse();
    sides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_at_the_far_edges_are_smaller() {
        // 2 x 3 tiles: rows of 4 and 1, columns of 3, 3 and 1.
        let sides: Vec<Vec<usize>> = (0..6).map(|index| tile_pixels(&[5, 7], &[4, 3], index)).collect();
        assert_eq!(sides, [[4, 3], [4, 3], [4, 1], [1, 3], [1, 3], [1, 1]]);
    }
}
