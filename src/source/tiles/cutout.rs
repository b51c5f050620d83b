//! A cutout of a tile: where it lies, and whether those of several bands show the same part of the sky.

use super::tile::Tile;
use crate::wcs::{CutoutPlace, PixelPosition};

/// The most pixels by which corners of two bands may be off each other, beside the rounding of the position to whole pixels.
const MAX_WARP_PIXELS: f64 = 1.0;

/// A cutout of a tile.
pub(super) struct Cutout<'a> {
    pub(super) tile: &'a Tile,
    /// The position in the tile.
    pub(super) centre: PixelPosition,
    pub(super) place: CutoutPlace,
}

impl Cutout<'_> {
    /// Whether all of its pixels are in the tile.
    pub(super) fn is_complete(&self) -> bool {
        let within = |axis: usize| {
            let end = self.place.first[axis] + self.place.size[axis] as i64;
            self.place.first[axis] >= 0 && end <= self.tile.image.shape[axis] as i64
        };
        within(0) && within(1)
    }

    /// The section of the file that it has: `[hdu][y0:y1,x0:x1]`, `[hdu][plane,y0:y1,x0:x1]` of a cube.
    pub(super) fn section_in_words(&self, is_cube: bool) -> String {
        let image = self.tile.image.image;
        let plane = if is_cube { format!("{},", image.plane) } else { String::new() };
        let section = self.place.overlap(self.tile.image.shape).map_or_else(String::new, |overlap| {
            let (rows, columns) = (overlap.rows, overlap.columns);
            format!("[{plane}{}:{},{}:{}]", rows.start, rows.end, columns.start, columns.end)
        });
        format!("[{}]{section}", image.hdu)
    }

    /// How far the corners of this cutout and of another one of the same position lie off each other, pixels; `None` if that cannot
    /// be computed.
    fn warp_to(&self, other: &Self) -> Option<f64> {
        let half = self.place.size[0].max(self.place.size[1]) as f64 / 2.0;
        self.tile.wcs.warp_to(self.centre, &other.tile.wcs, other.centre, half)
    }

    /// Checks that another cutout of the same position shows the same part of the sky, pixel by pixel.
    pub(super) fn check_grid(&self, other: &Self) -> Result<(), String> {
        match self.warp_to(other) {
            Some(warp) if warp <= MAX_WARP_PIXELS => Ok(()),
            Some(warp) => Err(format!(
                "lie up to {warp:.1} pixels off each other: their tiles are turned, mirrored or scaled differently, expected at \
                 most {MAX_WARP_PIXELS} pixel across the cutout"
            )),
            None => Err("have no common pixels by their world coordinates".into()),
        }
    }
}
