//! The tiles of a band, and the one to cut from at a position.

use std::cmp::Ordering;

use super::{cutout::Cutout, tile::Tile};
use crate::wcs::{CutoutPlace, SkyPosition};

/// The tiles of a band.
pub(super) struct BandTiles {
    pub(super) name: String,
    /// In the order of the declinations of their centres.
    tiles: Vec<Tile>,
    /// The place of each in the order of the settings.
    order: Vec<usize>,
    /// The radius of the largest footprint, degrees.
    radius_deg: f64,
}

impl BandTiles {
    /// The tiles of a band, given in the order of the settings.
    pub(super) fn new(name: String, tiles: Vec<Tile>) -> Self {
        let radius_deg = tiles.iter().map(|tile| tile.footprint.radius_deg()).fold(0.0, f64::max);
        let mut numbered: Vec<(usize, Tile)> = tiles.into_iter().enumerate().collect();
        numbered.sort_by(|(_, a), (_, b)| a.footprint.centre_dec_deg.total_cmp(&b.footprint.centre_dec_deg));
        let (order, tiles) = numbered.into_iter().unzip();
        Self { name, tiles, order, radius_deg }
    }

    pub(super) fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// The first tile of the settings.
    pub(super) fn first(&self) -> Option<&Tile> {
        self.order.iter().position(|order| *order == 0).map(|at| &self.tiles[at])
    }

    /// The cutout of `size` by `size` pixels around a position; `None` if no tile has the position.
    ///
    /// A tile with the whole cutout comes first, then the deepest, then the one with the nearest centre, then the first one of the
    /// settings.
    pub(super) fn cutout(&self, sky: SkyPosition, size: usize) -> Option<Cutout<'_>> {
        let direction = sky.direction();
        let (from, to) = (sky.dec_deg - self.radius_deg, sky.dec_deg + self.radius_deg);
        let start = self.tiles.partition_point(|tile| tile.footprint.centre_dec_deg < from);
        let mut best: Option<(Cutout<'_>, Rank)> = None;
        for (tile, order) in self.tiles[start..].iter().zip(&self.order[start..]) {
            if tile.footprint.centre_dec_deg > to {
                break;
            }
            if !tile.footprint.may_have(direction) {
                continue;
            }
            // A position that the projection or the distortion does not have is far outside of the image.
            let Ok(centre) = tile.wcs.sky_to_pixel(sky) else { continue };
            let Some(place) = CutoutPlace::around(centre, [size, size]).filter(|_| tile.has(centre.x, centre.y)) else {
                continue;
            };
            let cutout = Cutout { tile, centre, place };
            let rank = Rank {
                is_complete: cutout.is_complete(),
                depth: tile.depth,
                distance: tile.footprint.distance_squared(direction),
                order: *order,
            };
            if best.as_ref().is_none_or(|(_, first)| rank.compare(first) == Ordering::Less) {
                best = Some((cutout, rank));
            }
        }
        best.map(|(cutout, _)| cutout)
    }
}

/// What decides between tiles.
struct Rank {
    is_complete: bool,
    depth: f64,
    /// The squared distance of the position from the centre of the tile.
    distance: f64,
    order: usize,
}

impl Rank {
    /// The tile to take comes first.
    fn compare(&self, other: &Self) -> Ordering {
        (other.is_complete.cmp(&self.is_complete))
            .then(other.depth.total_cmp(&self.depth))
            .then(self.distance.total_cmp(&other.distance))
            .then(self.order.cmp(&other.order))
    }
}
