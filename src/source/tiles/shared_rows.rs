//! Which rows of tiles are read as a whole, because cutouts share them.
//!
//! A cutout of a plain image takes a call of the system for each of its rows, and one of a compressed image decodes each tile that it
//! overlaps. Where many cutouts overlap it takes less to read all rows once: strips of complete rows, each of which is a few rows of
//! compressed tiles high. Both are counted beforehand, strip by strip, so sparse parts of an image are read cutout by cutout.

use std::{collections::HashMap, ops::Range};

use super::{cutout::Cutout, plan::TilesPlan, tile::TilePlane};
use crate::fits::SectionGrain;

/// The fewest rows of a strip: beside copying them, the call of the system takes nothing.
const LEAST_ROWS: usize = 32;
/// The most memory that the strips of an object may take, bytes: for floats, and once more for integers.
const MOST_BYTES: usize = 32 << 20;

/// The planes with strips that are read as a whole.
pub(super) struct SharedRows(HashMap<TilePlane, SharedPlane>);

/// A plane, and its strips.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SharedPlane {
    /// Rows and columns, pixels.
    pub(super) shape: [usize; 2],
    /// Rows of a strip. The last one may have fewer.
    pub(super) strip_rows: usize,
    /// The most strips that are held: those of a cutout, and some more because objects come in the order of the first band.
    pub(super) most: usize,
    /// Whether each strip is read as a whole.
    pub(super) is_whole: Vec<bool>,
}

impl SharedRows {
    /// A plane, if some rows of it are read as a whole.
    pub(super) fn plane(&self, plane: TilePlane) -> Option<&SharedPlane> {
        self.0.get(&plane)
    }
}

impl SharedPlane {
    /// The strips that have some rows; `None` unless all of them are read as a whole.
    pub(super) fn strips_of(&self, rows: &Range<usize>) -> Option<Range<usize>> {
        let strips = strips(self.strip_rows, rows);
        self.is_whole.get(strips.clone())?.iter().all(|is_whole| *is_whole).then_some(strips)
    }

    pub(super) fn strip_count(&self) -> usize {
        self.is_whole.len()
    }

    /// The rows of a strip.
    pub(super) fn rows(&self, strip: usize) -> Range<usize> {
        rows(self.strip_rows, self.shape[0], strip)
    }
}

fn strips(strip_rows: usize, rows: &Range<usize>) -> Range<usize> {
    rows.start / strip_rows..rows.end.div_ceil(strip_rows)
}

fn rows(strip_rows: usize, height: usize, strip: usize) -> Range<usize> {
    strip * strip_rows..((strip + 1) * strip_rows).min(height)
}

/// What cutouts take, counted.
pub(super) struct CutoutCosts<'a> {
    plan: &'a TilesPlan,
    planes: HashMap<TilePlane, PlaneCosts>,
}

/// What the cutouts of a plane take, each by itself.
struct PlaneCosts {
    grain: SectionGrain,
    shape: [usize; 2],
    strip_rows: usize,
    most: usize,
    /// Of each strip, [`SectionGrain::cost`].
    of_cutouts: Vec<u64>,
}

impl<'a> CutoutCosts<'a> {
    pub(super) fn new(plan: &'a TilesPlan) -> Self {
        Self { plan, planes: HashMap::new() }
    }

    /// Counts the cutouts of an object.
    pub(super) fn add(&mut self, cutouts: &[Cutout<'_>]) {
        let (mut floats, mut integers) = (0, 0);
        for cutout in cutouts {
            let tile = cutout.tile;
            for plane in [Some(tile.plane()), tile.variance.map(|variance| variance.plane)].into_iter().flatten() {
                self.add_plane(plane, cutout, size_of::<f32>(), &mut floats);
            }
            for plane in &tile.mask {
                self.add_plane(*plane, cutout, size_of::<u64>(), &mut integers);
            }
        }
    }

    /// `held` are the bytes of the planes before it.
    fn add_plane(&mut self, plane: TilePlane, cutout: &Cutout<'_>, pixel_bytes: usize, held: &mut usize) {
        let shape = cutout.tile.image.shape;
        let Some(grain) = self.plan.files[plane.file].grain(plane.number.hdu) else { return };
        let costs = self.planes.entry(plane).or_insert_with(|| PlaneCosts::new(grain, shape, cutout.place.size[0]));
        *held = held.saturating_add(costs.most * costs.strip_rows * shape[1] * pixel_bytes);
        if *held > MOST_BYTES {
            return;
        }
        if let Some(overlap) = cutout.place.overlap(shape) {
            costs.add(&overlap.rows, &overlap.columns);
        }
    }

    /// The strips that take less than their cutouts.
    pub(super) fn shared_rows(self) -> SharedRows {
        let shared = |(plane, costs): (_, PlaneCosts)| Some((plane, costs.shared()?));
        SharedRows(self.planes.into_iter().filter_map(shared).collect())
    }
}

impl PlaneCosts {
    fn new(grain: SectionGrain, shape: [usize; 2], cutout_rows: usize) -> Self {
        let strip_rows = LEAST_ROWS.next_multiple_of(grain.rows);
        let of_cutouts: Vec<u64> = vec![0; shape[0].div_ceil(strip_rows)];
        // One more than there are rows for, as a cutout begins within a strip, and one besides.
        let most = (cutout_rows.div_ceil(strip_rows) + 2).min(of_cutouts.len());
        Self { grain, shape, strip_rows, most, of_cutouts }
    }

    fn add(&mut self, of_cutout: &Range<usize>, columns: &Range<usize>) {
        for strip in strips(self.strip_rows, of_cutout) {
            let of_strip = rows(self.strip_rows, self.shape[0], strip);
            let common = of_strip.start.max(of_cutout.start)..of_strip.end.min(of_cutout.end);
            self.of_cutouts[strip] += self.grain.cost(&common, columns);
        }
    }

    fn shared(self) -> Option<SharedPlane> {
        let [height, width] = self.shape;
        // Complete rows take one call.
        let rows_alone = SectionGrain { call: 0, ..self.grain };
        let whole =
            |strip| rows_alone.cost(&rows(self.strip_rows, height, strip), &(0..width)) + self.grain.call as u64;
        let is_whole: Vec<bool> = (0..).zip(&self.of_cutouts).map(|(strip, cost)| *cost >= whole(strip)).collect();
        let is_any = is_whole.contains(&true);
        is_any.then_some(SharedPlane { shape: self.shape, strip_rows: self.strip_rows, most: self.most, is_whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plane of 100 rows and 4,000 columns, of which cutouts of 20 x 20 pixels begin at some rows.
    fn shared(grain: SectionGrain, first_rows: &[usize]) -> Option<SharedPlane> {
        let mut costs = PlaneCosts::new(grain, [100, 4000], 20);
        first_rows.iter().for_each(|row| costs.add(&(*row..row + 20), &(0..20)));
        costs.shared()
    }

    #[test]
    fn strips_with_many_cutouts_are_read_as_a_whole() {
        // 32 rows take 128,000 pixels and a call, a cutout of 20 rows 20 * (20 + 980) = 20,000.
        let plain = SectionGrain { rows: 1, columns: 1, call: 980 };
        assert_eq!(shared(plain, &[0; 6]), None);
        let plane = shared(plain, &[0, 1, 2, 3, 4, 5, 6]).expect("a strip");
        assert_eq!((plane.strip_rows, plane.most), (32, 3));
        assert_eq!(plane.is_whole, [true, false, false, false]);
        assert_eq!(plane.strips_of(&(0..32)), Some(0..1));
        assert_eq!(plane.strips_of(&(13..33)), None);
        assert_eq!(plane.strips_of(&(99..140)), None);
        // The last strip has 4 rows: 16,000 pixels and a call.
        let plane = shared(plain, &[80; 5]).expect("a strip");
        assert_eq!(plane.is_whole, [false, false, false, true]);
        assert_eq!(plane.rows(3), 96..100);
    }

    #[test]
    fn strips_of_compressed_images_are_rows_of_tiles() {
        let tiles = SectionGrain { rows: 25, columns: 100, call: 0 };
        // A tile has 2,500 pixels, a strip of 50 rows 200,000: 80 cutouts in one row of tiles, or 40 in both.
        assert_eq!(shared(tiles, &[0; 79]), None);
        assert_eq!(shared(tiles, &[2; 80]).expect("a strip").is_whole, [true, false]);
        let plane = shared(tiles, &[20; 40]).expect("a strip");
        assert_eq!((plane.strip_rows, plane.rows(1)), (50, 50..100));
        assert_eq!(plane.is_whole, [true, false]);
    }
}
