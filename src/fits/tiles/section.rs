//! Sections of tile-compressed images.

use super::{CompressedTable, DecodedPixel, TileReader, shape::MAX_AXES};
use crate::fits::{bytes::BytesPart, error::Reason, header::Header, section::Section};

/// Decodes sections of one image, each from the tiles that it overlaps. Buffers are reused, and so is the tile that was decoded
/// last.
pub(in crate::fits) struct TileSections<T> {
    table: CompressedTable,
    reader: TileReader,
    rows: Vec<u8>,
    /// The pixels of a tile.
    pixels: Vec<T>,
    /// Its number.
    decoded: Option<usize>,
}

impl<T: DecodedPixel> TileSections<T> {
    pub(in crate::fits) fn new(header: &Header, data_bytes: u64) -> Result<Self, Reason> {
        let table = CompressedTable::of(header, data_bytes)?;
        Ok(Self { table, reader: TileReader::default(), rows: Vec::new(), pixels: Vec::new(), decoded: None })
    }

    /// Writes the pixels of a section that lies within the image and is not empty, in rows that begin `stride` pixels apart.
    pub(in crate::fits) fn read(
        &mut self,
        data: &BytesPart,
        section: &Section,
        out: &mut [T],
        stride: usize,
    ) -> Result<(), Reason> {
        let grid = &self.table.grid;
        let wanted = grid.rectangle(section.plane, &section.rows, &section.columns);
        let tiles = grid.tiles_of(&wanted);
        let rows = data.get_in(self.table.rows(&tiles.range()), &mut self.rows)?;
        for number in tiles.numbers() {
            let tile = grid.tile_box(number);
            if self.decoded != Some(number) {
                self.decoded = None;
                let row = &rows[(number - tiles.first) * self.table.row_bytes..][..self.table.row_bytes];
                let (stored, mut scaling) = self.reader.stored(&self.table, data, number, row)?;
                self.pixels.resize(tile.pixels(), T::default());
                T::convert(&mut scaling, stored.run(0, tile.pixels()), &mut self.pixels)
                    .map_err(|reason| format!("tile {}, {reason}", number + 1))?;
                self.decoded = Some(number);
            }
            let (rows, columns) = (wanted.common(&tile, MAX_AXES - 2), wanted.common(&tile, MAX_AXES - 1));
            let mut first = wanted.start;
            first[MAX_AXES - 1] = columns.start;
            for row in rows {
                first[MAX_AXES - 2] = row;
                let to = (row - section.rows.start) * stride + columns.start - section.columns.start;
                let from = tile.index(&first);
                out[to..][..columns.len()].copy_from_slice(&self.pixels[from..][..columns.len()]);
            }
        }
        Ok(())
    }
}
