//! `tiles`: cutouts around the positions of a catalogue from large images of the sky.
//!
//! All headers are read once, when the source is bound: the world coordinates, shape and unit of each image (a *tile*). For each row
//! of the catalogue a tile is chosen in every band, and only the sections that the cutouts need are read; of tile-compressed files
//! only the compressed tiles that they overlap. A few files are kept open.
//!
//! A cutout has whole pixels of its tile, by the rule of astropy's `Cutout2D`: nothing is resampled. So the bands of an object can lie
//! up to half a pixel off its position, each in its own direction. Bands whose tiles are turned, mirrored or scaled against each
//! other by more than a pixel across the cutout are rejected rows.
//!
//! A split is a piece of the catalogue. Its id has its number, a digest of the ids and positions of its rows, and its first id. The
//! catalogue is an input file of the run, and all headers of the tiles are digested: a resume with others is refused.

mod band_tiles;
mod check;
mod companion_files;
mod cutout;
mod footprint;
mod no_row;
mod open_files;
mod pixels;
mod plan;
mod positions;
mod reader;
mod settings;
mod tile;

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;

use self::{plan::TilesPlan, reader::TilesReader};
pub use self::{
    positions::PositionCatalogue,
    settings::{EdgeRule, OverlapRule, Tiles},
};
use crate::{
    error::{Diagnostic, Error, Result},
    stage::{Reader, Source, Split},
};

/// Rows of the catalogue in a split.
const SPLIT_ROWS: usize = 4096;

struct TilesSource {
    settings: Tiles,
    plan: Option<Arc<TilesPlan>>,
}

impl TilesSource {
    fn new(settings: Tiles) -> Self {
        Self { settings, plan: None }
    }

    fn plan(&self) -> Result<&Arc<TilesPlan>> {
        self.plan.as_ref().ok_or_else(|| Error::bug("the source `tiles` is read before it is bound"))
    }
}

impl Source for TilesSource {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        let plan = TilesPlan::new(self.settings.clone())?;
        let schema = plan.schema.clone();
        self.plan = Some(Arc::new(plan));
        Ok(schema)
    }

    fn input_files(&self) -> Vec<PathBuf> {
        vec![PathBuf::from(&self.settings.catalogue.path)]
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let positions = &self.plan()?.positions;
        let pieces = (0..positions.len()).step_by(SPLIT_ROWS).enumerate();
        Ok(pieces
            .map(|(number, start)| {
                let rows = start..(start + SPLIT_ROWS).min(positions.len());
                Split::new(positions.piece_id(number, rows.clone()), rows.len() as u64)
            })
            .collect())
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let plan = self.plan()?;
        let positions = &plan.positions;
        let changed = || {
            Error::data(format!(
                "the rows of split `{}` are not those of the catalogue that the run began with",
                split.id
            ))
        };
        let number: usize = split.id.split(' ').next().and_then(|number| number.parse().ok()).ok_or_else(changed)?;
        let start = number.checked_mul(SPLIT_ROWS).filter(|start| *start < positions.len()).ok_or_else(changed)?;
        let rows = start..(start + SPLIT_ROWS).min(positions.len());
        if positions.piece_id(number, rows.clone()) != split.id {
            return Err(changed());
        }
        Ok(Box::new(TilesReader::new(plan.clone(), rows, offset)))
    }
}

#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod speed_tests;
