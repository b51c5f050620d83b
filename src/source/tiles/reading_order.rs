//! The order in which the rows of a piece are read: by the place of their cutouts in the tiles.

use super::{
    EdgeRule,
    cutout::Cutout,
    plan::TilesPlan,
    positions::Positions,
    shared_rows::{CutoutCosts, SharedRows},
};

/// The order of the rows, and what they share.
pub(super) struct ReadingOrder {
    /// The rows by the tile of their first band and the first row of their cutout in it, then those without a cutout.
    pub(super) rows: Vec<usize>,
    pub(super) shared: SharedRows,
}

impl ReadingOrder {
    pub(super) fn of(plan: &TilesPlan, positions: &Positions) -> Self {
        let mut costs = CutoutCosts::new(plan);
        let mut places: Vec<_> = (0..positions.len())
            .map(|row| {
                let cutouts = cutouts(plan, positions, row).unwrap_or_default();
                costs.add(&cutouts);
                let place = cutouts.first().map(|first| {
                    let number = first.tile.image.image;
                    (first.tile.file, number.hdu, number.plane, first.place.first[0])
                });
                (place.is_none(), place, row)
            })
            .collect();
        places.sort_unstable();
        Self { rows: places.into_iter().map(|(.., row)| row).collect(), shared: costs.shared_rows() }
    }
}

/// The cutouts of an object, one in each band; the error is the reason why it has none.
pub(super) fn cutouts<'a>(plan: &'a TilesPlan, positions: &Positions, row: usize) -> Result<Vec<Cutout<'a>>, String> {
    let sky = positions.sky(row)?;
    let size = plan.settings.size;
    let mut cutouts: Vec<Cutout<'a>> = Vec::with_capacity(plan.bands.len());
    for band in &plan.bands {
        let name = band.name.escape_debug();
        let (ra_deg, dec_deg) = (sky.ra_deg, sky.dec_deg);
        let cutout = band
            .cutout(sky, size)
            .ok_or_else(|| format!("lies in no tile of band `{name}` (ra {ra_deg}, dec {dec_deg} degrees)"))?;
        if plan.settings.edge == EdgeRule::Reject && !cutout.is_complete() {
            let place = format!("y {:.1}, x {:.1}", cutout.centre.y, cutout.centre.x);
            let tile = format!("{}[{}]", plan.files[cutout.tile.file].path.display(), cutout.tile.image.image.hdu);
            return Err(format!(
                "reaches beyond the edge of the tile `{tile}` of band `{name}`, where it lies at {place}: `edge: pad` would pad it"
            ));
        }
        if let Some(first) = cutouts.first() {
            let bands = format!("has bands `{}` and `{name}` that", plan.bands[0].name.escape_debug());
            first.check_grid(&cutout).map_err(|reason| format!("{bands} {reason}"))?;
        }
        cutouts.push(cutout);
    }
    Ok(cutouts)
}
