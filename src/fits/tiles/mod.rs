//! Tile-compressed images (FITS 4.0, section 10.1): checked, and repacked for cfitsio.
//!
//! cfitsio trusts the numbers of a compressed table: lengths in the stream of a tile, seeds of a dither, sizes of tiles. So it never
//! sees the table of a file. It gets one that is written here, with the keys and columns that it needs, each of them checked, and
//! with bytes after every stream that stop a decoder that runs past the end.

mod assemble;
mod columns;
mod rice;
mod shape;
mod streams;

use self::{
    assemble::{assemble, rice_packing},
    columns::{TileColumn, columns, element_bytes},
    rice::RicePacking,
    shape::{tile_pixels, tile_shape},
    streams::{check, padding},
};
use super::{header::Header, structure::image_shape};

/// The compression of the tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
enum TileCompression {
    Rice,
    Gzip,
    Hcompress,
    Plio,
}

impl TileCompression {
    fn of(header: &Header) -> Result<Self, String> {
        match header.text("ZCMPTYPE").unwrap_or_default().as_str() {
            "RICE_1" | "RICE_ONE" => Ok(Self::Rice),
            "GZIP_1" | "GZIP_2" => Ok(Self::Gzip),
            "HCOMPRESS_1" => Ok(Self::Hcompress),
            "PLIO_1" => Ok(Self::Plio),
            other => Err(format!(
                "key `ZCMPTYPE` is `{}`, expected RICE_1, GZIP_1, GZIP_2, HCOMPRESS_1 or PLIO_1",
                other.escape_debug()
            )),
        }
    }
}

/// The table of a compressed image, as far as its header describes it.
struct CompressedTable<'a> {
    header: &'a Header,
    compression: TileCompression,
    /// `ZBITPIX`.
    bitpix: i64,
    /// How Rice streams are packed.
    rice: RicePacking,
    /// The axes of the image and of a tile, slowest first.
    shape: Vec<usize>,
    tile: Vec<usize>,
    /// The columns that cfitsio uses.
    columns: Vec<TileColumn>,
    row_bytes: usize,
    rows: usize,
}

/// The rows and the heap of a table.
struct TableData<'a> {
    rows: &'a [u8],
    heap: &'a [u8],
}

/// The rows and the heap of the table for cfitsio.
struct RepackedData {
    rows: Vec<u8>,
    heap: Vec<u8>,
}

/// Repacks the table of a compressed image as a FITS file of two HDUs, of which the second has the image.
pub(super) fn repack(header: &Header, data: &[u8]) -> Result<Vec<u8>, String> {
    let table = CompressedTable::of(header)?;
    let packed = table.repack(&table.split(data)?, data.len())?;
    assemble(&table, &packed)
}

impl<'a> CompressedTable<'a> {
    fn of(header: &'a Header) -> Result<Self, String> {
        let shape = image_shape(header, "ZNAXIS")?;
        if !(1..=6).contains(&shape.len()) {
            return Err(format!("key `ZNAXIS` is {}, expected 1 to 6", shape.len()));
        }
        let tile = tile_shape(header, &shape)?;
        let compression = TileCompression::of(header)?;
        let bitpix = header.required("ZBITPIX")?;
        if ![8, 16, 32, -32, -64].contains(&bitpix) {
            return Err(format!("key `ZBITPIX` is {bitpix}, expected 8, 16, 32, -32 or -64"));
        }
        let mut columns = columns(header)?;
        let (row_bytes, rows) = (size(header, "NAXIS1")?, size(header, "NAXIS2")?);
        let expected: usize = shape.iter().zip(&tile).map(|(length, tile)| length.div_ceil(*tile)).product();
        if rows != expected {
            return Err(format!("has {rows} tiles, expected {expected} of {tile:?} pixels for an image of {shape:?}"));
        }
        if columns.last().map_or(0, |column| column.start + column.width) != row_bytes {
            return Err(format!("key `NAXIS1` is {row_bytes}, which is not the width of its columns"));
        }
        columns.retain(TileColumn::is_used);
        let has = |name: &str| columns.iter().any(|column| column.name == name);
        if !has("COMPRESSED_DATA") {
            return Err("has no column `COMPRESSED_DATA`, which a compressed image requires".into());
        }
        if has("ZSCALE") != has("ZZERO") {
            return Err("has one of the columns `ZSCALE` and `ZZERO`, expected both or neither".into());
        }
        let rice = rice_packing(header, bitpix)?;
        Ok(Self { header, compression, bitpix, rice, shape, tile, columns, row_bytes, rows })
    }

    fn split<'d>(&self, data: &'d [u8]) -> Result<TableData<'d>, String> {
        let bytes = self.row_bytes.checked_mul(self.rows).filter(|bytes| *bytes <= data.len());
        let bytes = bytes.ok_or("has a table that is larger than its data")?;
        let heap_start = self.header.integer("THEAP")?.map_or(Ok(bytes), usize::try_from).unwrap_or(usize::MAX);
        let heap = data.get(heap_start.max(bytes)..).ok_or("key `THEAP` lies outside of the data")?;
        Ok(TableData { rows: &data[..bytes], heap })
    }

    /// Copies all rows with checked and padded streams.
    fn repack(&self, data: &TableData, data_bytes: usize) -> Result<RepackedData, String> {
        // Rows that all point to the same bytes would multiply them.
        let most = (1 << 20) + 16 * self.shape.iter().product::<usize>() + 4 * data_bytes;
        let (rows, heap) = (Vec::with_capacity(data.rows.len()), Vec::with_capacity(data.heap.len()));
        let mut packed = RepackedData { rows, heap };
        for (index, row) in data.rows.chunks_exact(self.row_bytes.max(1)).enumerate() {
            let pixels = tile_pixels(&self.shape, &self.tile, index);
            for column in &self.columns {
                let field = &row[column.start..column.start + column.width];
                let Some(pointer_bytes) = column.pointer_bytes else {
                    packed.rows.extend_from_slice(field);
                    continue;
                };
                let stream = column
                    .stream(data.heap, field, pointer_bytes)
                    .and_then(|stream| check(stream, column, self, &pixels).map(|()| stream))
                    .map_err(|reason| format!("tile {}, column `{}`: {reason}", index + 1, column.name))?;
                let decoded = !stream.is_empty() && column.name == "COMPRESSED_DATA";
                let (padding, byte) = if decoded { padding(stream, self.compression, &pixels) } else { (0, 0) };
                let start = packed.heap.len();
                let end = start + stream.len() + padding;
                if end > most {
                    return Err(format!("has tiles that would take more than {most} bytes of memory to decode"));
                }
                packed.heap.extend_from_slice(stream);
                packed.heap.resize(end, byte);
                let elements = (end - start) as u64 / element_bytes(column.letter)? as u64;
                packed.rows.extend_from_slice(&elements.to_be_bytes());
                packed.rows.extend_from_slice(&(start as u64).to_be_bytes());
            }
        }
        Ok(packed)
    }
}

fn size(header: &Header, key: &str) -> Result<usize, String> {
    let value = header.required(key)?;
    usize::try_from(value).map_err(|_| format!("key `{key}` is {value}, expected 0 or more"))
}
