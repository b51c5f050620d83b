//! The tiles of an image: their shapes and places.

use std::ops::Range;

use crate::fits::header::Header;

/// The most axes of a compressed image.
pub(super) const MAX_AXES: usize = 6;

/// One number for each axis, slowest first. An image with fewer axes has axes of one pixel before them.
pub(super) type Axes = [usize; MAX_AXES];

/// The tiles of an image. The first axis of the file, which is the last one here, runs fastest, within tiles and among them.
pub(super) struct TileGrid {
    /// The first axis that the image has.
    first: usize,
    shape: Axes,
    tile: Axes,
    /// Pixels from one to the next along an axis.
    strides: Axes,
}

/// A tile: its first pixel, and its sides. Tiles at the far edges are smaller.
#[derive(Debug, Clone)]
pub(super) struct TileBox {
    pub(super) start: Axes,
    pub(super) sides: Axes,
}

impl TileBox {
    /// The pixels of a box that another one has too, along an axis.
    pub(super) fn common(&self, other: &Self, axis: usize) -> Range<usize> {
        let start = self.start[axis].max(other.start[axis]);
        let end = (self.start[axis] + self.sides[axis]).min(other.start[axis] + other.sides[axis]);
        start..end.max(start)
    }

    /// The number of a pixel of the image within the box.
    pub(super) fn index(&self, pixel: &Axes) -> usize {
        (0..MAX_AXES).fold(0, |index, axis| index * self.sides[axis] + pixel[axis] - self.start[axis])
    }

    pub(super) fn pixels(&self) -> usize {
        self.sides.iter().product()
    }
}

/// The tiles that have pixels of a rectangle of a plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct TilesOfRectangle {
    pub(super) first: usize,
    rows: usize,
    columns: usize,
    /// From a row of tiles to the next.
    stride: usize,
}

impl TilesOfRectangle {
    /// Their numbers, which grow.
    pub(super) fn numbers(self) -> impl Iterator<Item = usize> {
        let Self { first, rows, columns, stride } = self;
        (0..rows).flat_map(move |row| (0..columns).map(move |column| first + row * stride + column))
    }

    /// The smallest range that has all of them.
    pub(super) fn range(self) -> Range<usize> {
        self.first..self.first + (self.rows - 1) * self.stride + self.columns
    }
}

/// A part of an image that consists of complete tiles.
pub(super) struct TiledPart {
    /// The numbers of the tiles.
    pub(super) tiles: Range<usize>,
    /// The pixels in the order of the file.
    pub(super) pixels: Range<usize>,
}

impl TileGrid {
    /// The grid of `ZTILEn`; by default a tile is a row of the image.
    pub(super) fn of(header: &Header, shape: &[usize]) -> Result<Self, String> {
        if !(1..=MAX_AXES).contains(&shape.len()) {
            return Err(format!("key `ZNAXIS` is {}, expected 1 to {MAX_AXES}", shape.len()));
        }
        let first = MAX_AXES - shape.len();
        let mut grid = Self { first, shape: [1; MAX_AXES], tile: [1; MAX_AXES], strides: [1; MAX_AXES] };
        for ((axis, length), at) in (1..=shape.len()).rev().zip(shape).zip(first..) {
            let key = format!("ZTILE{axis}");
            let side = header.integer(&key)?.unwrap_or(if axis == 1 { *length as i64 } else { 1 });
            if *length == 0 || side < 1 {
                return Err(format!("key `{key}` is {side} for an axis of {length} pixels, expected 1 or more"));
            }
            grid.shape[at] = *length;
            // A tile that is larger than the image has the size of the image.
            grid.tile[at] = side.unsigned_abs().min(*length as u64) as usize;
        }
        for axis in (0..MAX_AXES - 1).rev() {
            grid.strides[axis] = grid.strides[axis + 1] * grid.shape[axis + 1];
        }
        Ok(grid)
    }

    /// The axes of the image.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape[self.first..]
    }

    /// The axes of a tile that is not at an edge.
    pub(super) fn tile(&self) -> &[usize] {
        &self.tile[self.first..]
    }

    /// The number of tiles.
    pub(super) fn tiles(&self) -> usize {
        self.tiles_along(0)
    }

    /// The number of tiles that have the same place along the axes before this one.
    fn tiles_along(&self, axis: usize) -> usize {
        self.shape[axis..].iter().zip(&self.tile[axis..]).map(|(length, side)| length.div_ceil(*side)).product()
    }

    /// The smallest part that has these pixels, and is complete along all axes but the slowest.
    pub(super) fn part(&self, pixels: &Range<usize>) -> TiledPart {
        if pixels.is_empty() {
            return TiledPart { tiles: 0..0, pixels: pixels.start..pixels.start };
        }
        let (slice, side) = (self.strides[self.first], self.tile[self.first]);
        let (start, end) = (pixels.start / slice / side, pixels.end.div_ceil(slice).div_ceil(side));
        let tiles = self.tiles_along(self.first) / self.shape[self.first].div_ceil(side);
        let last = (end * side).min(self.shape[self.first]);
        TiledPart { tiles: start * tiles..end * tiles, pixels: start * side * slice..last * slice }
    }

    /// A tile by its number.
    pub(super) fn tile_box(&self, number: usize) -> TileBox {
        let (mut start, mut sides) = ([0; MAX_AXES], [1; MAX_AXES]);
        let mut rest = number;
        for axis in (self.first..MAX_AXES).rev() {
            let (length, side) = (self.shape[axis], self.tile[axis]);
            let count = length.div_ceil(side);
            start[axis] = rest % count * side;
            sides[axis] = side.min(length - start[axis]);
            rest /= count;
        }
        TileBox { start, sides }
    }

    /// A rectangle of a plane, which is the number of its place along all axes but the fastest two. All have to lie within the
    /// image.
    pub(super) fn rectangle(&self, plane: usize, rows: &Range<usize>, columns: &Range<usize>) -> TileBox {
        let (mut start, mut sides) = ([0; MAX_AXES], [1; MAX_AXES]);
        let mut rest = plane;
        for axis in (0..MAX_AXES - 2).rev() {
            start[axis] = rest % self.shape[axis];
            rest /= self.shape[axis];
        }
        start[MAX_AXES - 2..].copy_from_slice(&[rows.start, columns.start]);
        sides[MAX_AXES - 2..].copy_from_slice(&[rows.len(), columns.len()]);
        TileBox { start, sides }
    }

    /// The numbers of the tiles that have pixels of a rectangle: the first one, and how many follow each other in how many rows
    /// of tiles.
    pub(super) fn tiles_of(&self, rectangle: &TileBox) -> TilesOfRectangle {
        let along = |axis: usize| self.shape[axis].div_ceil(self.tile[axis]);
        let first =
            (0..MAX_AXES).fold(0, |number, axis| number * along(axis) + rectangle.start[axis] / self.tile[axis]);
        let count = |axis: usize| {
            let (start, side) = (rectangle.start[axis], self.tile[axis]);
            (start + rectangle.sides[axis]).div_ceil(side) - start / side
        };
        let (rows, columns) = (count(MAX_AXES - 2), count(MAX_AXES - 1));
        TilesOfRectangle { first, rows, columns, stride: along(MAX_AXES - 1) }
    }

    /// The pixels of a tile that follow each other in the image: the length of each run, and where the runs begin.
    pub(super) fn runs(&self, tile: &TileBox) -> (usize, impl Iterator<Item = usize>) {
        // A run goes along the fastest axis, and along the next one where the tile is as wide as the image.
        let (mut outer, mut length) = (MAX_AXES - 1, tile.sides[MAX_AXES - 1]);
        while outer > 0 && tile.sides[outer] == self.shape[outer] {
            outer -= 1;
            length *= tile.sides[outer];
        }
        let (start, sides, strides) = (tile.start, tile.sides, self.strides);
        let first: usize = start.iter().zip(&strides).map(|(at, stride)| at * stride).sum();
        let runs = (0..sides[..outer].iter().product()).map(move |run| {
            let mut rest: usize = run;
            (0..outer).rev().fold(first, |offset, axis| {
                let at = rest % sides[axis];
                rest /= sides[axis];
                offset + at * strides[axis]
            })
        });
        (length, runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(shape: &[usize], tile: &[usize]) -> TileGrid {
        let cards: Vec<u8> = (1..)
            .zip(tile.iter().rev())
            .flat_map(|(axis, side)| format!("{:<80}", format!("ZTILE{axis}  = {side}")).into_bytes())
            .collect();
        TileGrid::of(&Header::new(cards), shape).expect("a grid")
    }

    /// The number of the tile of each pixel, by the runs of all tiles.
    fn tiles_of_pixels(grid: &TileGrid) -> Vec<usize> {
        let mut found = vec![usize::MAX; grid.shape().iter().product()];
        for number in 0..grid.tiles() {
            let tile = grid.tile_box(number);
            let (length, starts) = grid.runs(&tile);
            let mut pixels = 0;
            for start in starts {
                assert!(found[start..start + length].iter().all(|tile| *tile == usize::MAX), "written twice");
                found[start..start + length].fill(number);
                pixels += length;
            }
            assert_eq!(pixels, tile.pixels());
        }
        found
    }

    #[test]
    fn tiles_at_the_far_edges_are_smaller() {
        // 2 x 3 tiles: rows of 4 and 1, columns of 3, 3 and 1.
        let grid = grid(&[5, 7], &[4, 3]);
        let sides: Vec<Axes> = (0..6).map(|number| grid.tile_box(number).sides).collect();
        let last: Vec<&[usize]> = sides.iter().map(|sides| &sides[4..]).collect();
        assert_eq!(last, [[4, 3], [4, 3], [4, 1], [1, 3], [1, 3], [1, 1]]);
        let row = |first: usize| [first, first, first, first + 1, first + 1, first + 1, first + 2];
        assert_eq!(tiles_of_pixels(&grid), [row(0), row(0), row(0), row(0), row(3)].concat());
    }

    #[test]
    fn every_pixel_is_in_one_tile() {
        for (shape, tile, tiles) in [
            (&[7][..], &[3][..], 3),
            (&[4, 5], &[1, 5], 4),
            (&[4, 5], &[9, 9], 1),
            (&[3, 4, 5], &[1, 4, 5], 3),
            (&[3, 4, 5], &[2, 1, 5], 8),
            (&[3, 2, 4, 5], &[2, 2, 3, 1], 20),
            (&[2, 1, 2, 1, 2, 3], &[1, 1, 1, 1, 1, 1], 24),
        ] {
            let grid = grid(shape, tile);
            assert_eq!(grid.tiles(), tiles);
            let found = tiles_of_pixels(&grid);
            assert!(found.iter().all(|tile| *tile < tiles));
            let count = |tile: usize| found.iter().filter(|found| **found == tile).count();
            assert!((0..tiles).all(|tile| count(tile) == grid.tile_box(tile).pixels()), "{shape:?} {tile:?}");
            // A part has all tiles of its pixels, and no pixel of another one.
            for start in 0..found.len() {
                for end in start + 1..=found.len() {
                    let part = grid.part(&(start..end));
                    assert!(part.pixels.start <= start && end <= part.pixels.end);
                    for (pixel, tile) in found.iter().enumerate() {
                        assert_eq!(part.pixels.contains(&pixel), part.tiles.contains(tile), "{start}..{end}");
                    }
                }
            }
            assert!((0..=found.len()).all(|at| grid.part(&(at..at)).tiles.is_empty()));
        }
    }
}
