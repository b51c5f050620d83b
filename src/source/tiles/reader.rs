//! Reads the rows of a split: a piece of the catalogue, object by object.

use std::{fmt::Write as _, sync::Arc, time::Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};

use super::{
    catalogue_pieces::PieceRows,
    no_row::NoRow,
    pixels::TilePixels,
    plan::TilesPlan,
    reading_order::{ReadingOrder, cutouts},
    tile_files::TileFiles,
};
use crate::{
    error::Result,
    stage::{Read, Reader, Reject},
};

/// The most rows for which memory is reserved before they are read.
const ROOM: usize = 256;

/// A reader of some rows of the catalogue.
pub(super) struct TilesReader {
    plan: Arc<TilesPlan>,
    piece: PieceRows,
    /// The rows of the piece in the order in which they are read.
    rows: Vec<usize>,
    /// Rows that were passed, rejects included.
    passed: u64,
    files: TileFiles,
}

impl TilesReader {
    pub(super) fn new(plan: Arc<TilesPlan>, piece: PieceRows, offset: u64) -> Self {
        let ReadingOrder { rows, shared } = ReadingOrder::of(&plan, &piece.positions);
        let files = TileFiles::new(plan.clone(), shared);
        Self { plan, piece, rows, passed: offset, files }
    }

    /// Reads the pixels of an object. Returns its origin: the sections that it was cut from.
    fn read_object(&mut self, row: usize, origin: &mut String, pixels: &mut TilePixels) -> Result<(), NoRow> {
        let plan = self.plan.clone();
        if self.piece.positions.id(row).is_none() {
            return Err(format!("has no `{}` in the catalogue", plan.settings.catalogue.id).into());
        }
        let cutouts = cutouts(&plan, &self.piece.positions, row)?;
        for (band, cutout) in cutouts.iter().enumerate() {
            let file = &plan.files[cutout.tile.file];
            let section = cutout.section_in_words(file.is_cube(cutout.tile.image.image.hdu));
            let separator = if band == 0 { "" } else { "; " };
            // Writing to text does not fail.
            let _ = write!(origin, "{separator}{}{section}", file.path.display());
        }
        for (band, cutout) in cutouts.iter().enumerate() {
            pixels.read(&plan, band, &mut self.files, cutout)?;
        }
        pixels.complete_row(&cutouts)
    }
}

impl Reader for TilesReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let room = max_rows.clamp(1, ROOM);
        let mut pixels = TilePixels::new(&self.plan, room);
        let (mut objects, mut origins, mut rejects) = (Vec::with_capacity(room), Vec::with_capacity(room), Vec::new());
        let mut numbers = Vec::with_capacity(room);
        while objects.len() + rejects.len() < max_rows.max(1) {
            let Some(row) = self.rows.get(self.passed as usize).copied() else { break };
            let mut origin = String::new();
            match self.read_object(row, &mut origin, &mut pixels) {
                Ok(()) => {
                    objects.push(row as u64);
                    numbers.push(self.passed);
                    origins.push(origin);
                }
                Err(NoRow::Failed(error)) => return Err(error),
                Err(NoRow::Rejected(reason)) => {
                    rejects.push(Reject {
                        row: self.passed,
                        object_id: self.piece.positions.id(row).map(str::to_owned),
                        origin: if origin.is_empty() { self.piece.place_in_words(row) } else { origin },
                        stage: "source".into(),
                        reason,
                    });
                }
            }
            self.passed += 1;
        }
        if objects.len() + rejects.len() == 0 {
            return Ok(Read::End);
        }
        let positions = &self.piece.positions;
        let objects = UInt64Array::from(objects);
        let ids = objects.values().iter().map(|row| positions.id(*row as usize).unwrap_or_default());
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(numbers)),
            Arc::new(StringArray::from_iter_values(ids)),
            Arc::new(StringArray::from(origins)),
        ];
        columns.extend(positions.take(&objects)?);
        columns.extend(pixels.into_columns(self.plan.layout.pixels())?);
        Ok(Read::Batch { rows: RecordBatch::try_new(self.plan.schema.clone(), columns)?, rejects })
    }

    fn contents(&self) -> Option<u128> {
        Some(self.plan.contents)
    }

    fn offset(&self) -> u64 {
        self.passed
    }
}
