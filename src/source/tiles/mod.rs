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
//! The rows of a split are read in the order of their places in the tiles, not in that of the catalogue: what many cutouts share is read
//! once, and a file from its beginning to its end.
//!
//! A split is a piece of the catalogue. Its id has its number, a digest of the ids and positions of its rows, and its first id. The
//! catalogue is an input file of the run, and all headers of the tiles are digested: a resume with others is refused.
//!
//! Of a catalogue in Parquet, HATS or FITS the rows are in memory for one split at a time.

mod band_tiles;
mod catalogue_pieces;
mod check;
mod companion_files;
mod cutout;
mod footprint;
mod hats;
mod image_list;
mod no_row;
mod open_files;
mod pixels;
mod plan;
mod positions;
mod psfex;
mod reader;
mod reading_order;
mod settings;
mod shared_rows;
mod strips;
mod tile;
mod tile_files;

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;

pub use self::{
    image_list::ImageList,
    positions::PositionCatalogue,
    settings::{EdgeRule, OverlapRule, Tiles},
};
use self::{plan::TilesPlan, reader::TilesReader};
use crate::{
    error::{Diagnostic, Error, Result},
    stage::{Reader, Source, Split},
};

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
        let plan =
            TilesPlan::new(self.settings.with_listed_images()?).map_err(|mistakes| match self.settings.image_list {
                Some(_) => mistakes.into_iter().map(image_list::of_listed_file).collect(),
                None => mistakes,
            })?;
        let schema = plan.schema.clone();
        self.plan = Some(Arc::new(plan));
        Ok(schema)
    }

    fn input_files(&self) -> Vec<PathBuf> {
        match &self.plan {
            Some(plan) => plan.catalogue.input_files.clone(),
            None => vec![PathBuf::from(&self.settings.catalogue.path)],
        }
    }

    fn splits(&self) -> Result<Vec<Split>> {
        Ok(self.plan()?.catalogue.ids().map(|(id, rows)| Split::new(id, rows)).collect())
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let plan = self.plan()?;
        let piece = plan.catalogue.read(&split.id)?.ok_or_else(|| {
            Error::data(format!(
                "the rows of split `{}` are not those of the catalogue that the run began with",
                split.id
            ))
        })?;
        Ok(Box::new(TilesReader::new(plan.clone(), piece, offset)))
    }
}

#[cfg(test)]
mod choice_tests;
#[cfg(test)]
mod speed_tests;
