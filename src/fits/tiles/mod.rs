//! Tile-compressed images (FITS 4.0, section 10): a table with a row for each tile, whose stream is in the heap.
//!
//! The pixels of a valid file are those that cfitsio reads, bit for bit. What is damaged is an error that names the tile: a stream
//! has to hold exactly the pixels of its tile, so one that is cut off, or has bytes left, is never taken for an image.

mod bit_reader;
mod columns;
#[cfg(test)]
mod damage_tests;
mod decoder;
mod dither;
mod gzip;
mod hcompress;
mod parameters;
mod plio;
mod rice;
mod scaling;
mod section;
mod shape;
mod table;

use std::ops::Range;

pub(super) use self::section::TileSections;
use self::{
    decoder::TileDecoder,
    scaling::{StoredPixels, TileScaling},
    shape::TileGrid,
    table::CompressedTable,
};
use super::{bytes::BytesPart, error::Reason, header::Header, integers::IntegerScaling, structure::image_shape};

/// Rows and columns of the tiles of a compressed image, but for those at its far edges.
pub(super) fn sides_of_tile(header: &Header) -> Result<[usize; 2], Reason> {
    let grid = TileGrid::of(header, &image_shape(header, "ZNAXIS")?)?;
    Ok(match grid.tile() {
        [.., rows, columns] => [*rows, *columns],
        [columns] => [1, *columns],
        [] => [1, 1],
    })
}

/// Decoded pixels of an image.
pub(super) struct DecodedPixels<T> {
    /// The number of the first one, in the order of the file.
    pub(super) first: usize,
    pub(super) pixels: Vec<T>,
}

/// A type that pixels are decoded to.
pub(super) trait DecodedPixel: Copy + Default {
    /// Converts the next pixels of a tile.
    fn convert(scaling: &mut TileScaling, stored: StoredPixels, out: &mut [Self]) -> Result<(), String>;
}

impl DecodedPixel for f32 {
    fn convert(scaling: &mut TileScaling, stored: StoredPixels, out: &mut [Self]) -> Result<(), String> {
        scaling.convert(stored, out);
        Ok(())
    }
}

impl DecodedPixel for u64 {
    fn convert(scaling: &mut TileScaling, stored: StoredPixels, out: &mut [Self]) -> Result<(), String> {
        let StoredPixels::Integers(stored) = stored else { return Err("has floats, expected integers".into()) };
        let integers = IntegerScaling::new(scaling.scale, scaling.zero, scaling.blank, scaling.bits)?;
        out.iter_mut().zip(stored).for_each(|(out, stored)| *out = integers.value(i64::from(*stored)));
        Ok(())
    }
}

/// Decodes an image, or the tiles that have some of its pixels.
pub(super) fn decode<T: DecodedPixel>(
    header: &Header,
    data: &BytesPart,
    wanted: Option<&Range<usize>>,
) -> Result<DecodedPixels<T>, Reason> {
    let table = CompressedTable::of(header, data.len())?;
    let total = table.grid.shape().iter().product();
    if let Some(Range { end, .. }) = wanted.filter(|wanted| wanted.end > total || wanted.start > wanted.end) {
        return Err(format!("has fewer than {end} pixels").into());
    }
    let part = table.grid.part(wanted.unwrap_or(&(0..total)));
    let rows = data.get(table.rows(&part.tiles))?;
    let first = part.pixels.start;
    let mut pixels = vec![T::default(); part.pixels.len()];
    let mut reader = TileReader::default();
    for (number, row) in part.tiles.zip(rows.chunks_exact(table.row_bytes)) {
        let (stored, mut scaling) = reader.stored(&table, data, number, row)?;
        let tile = table.grid.tile_box(number);
        let (length, starts) = table.grid.runs(&tile);
        for (run, start) in starts.enumerate() {
            let out = &mut pixels[start - first..][..length];
            T::convert(&mut scaling, stored.run(run * length, length), out)
                .map_err(|reason| format!("tile {}, {reason}", number + 1))?;
        }
    }
    Ok(DecodedPixels { first, pixels })
}

/// Reads single tiles. Buffers are reused.
#[derive(Default)]
struct TileReader {
    decoder: TileDecoder,
    stream: Vec<u8>,
}

impl TileReader {
    /// The stored pixels of a tile, of which the table has this row, and how they are scaled.
    fn stored(
        &mut self,
        table: &CompressedTable,
        data: &BytesPart,
        number: usize,
        row: &[u8],
    ) -> Result<(StoredPixels<'_>, TileScaling), Reason> {
        let named = |reason: String| format!("tile {}, {reason}", number + 1);
        let tile = table.grid.tile_box(number);
        let stream = table.stream(row, &tile).map_err(named)?;
        let scaling = table.scaling(number, row, stream.kind).map_err(named)?;
        let bytes = data.get_in(stream.place.clone(), &mut self.stream)?;
        let stored = self.decoder.decode(table, &stream, bytes, &tile).map_err(named)?;
        Ok((stored, scaling))
    }
}
