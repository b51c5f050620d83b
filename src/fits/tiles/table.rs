//! The table of a compressed image: its columns, and how its pixels are scaled.

use std::ops::Range;

use super::{
    columns::{TileColumn, columns},
    dither::DitherPosition,
    hcompress::HcompressFormat,
    parameters::{hcompress_format, rice_packing},
    rice::RicePacking,
    scaling::TileScaling,
    shape::{TileBox, TileGrid},
};
use crate::fits::{header::Header, structure::image_shape};

/// The compression of the tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TileCompression {
    Rice(RicePacking),
    /// Whether the bytes of pixels are shuffled.
    Gzip {
        shuffled: bool,
    },
    Hcompress(HcompressFormat),
    Plio,
    /// Pixels are in `UNCOMPRESSED_DATA` only.
    Uncompressed,
}

impl TileCompression {
    fn of(header: &Header, bitpix: i64) -> Result<Self, String> {
        Ok(match header.text("ZCMPTYPE").unwrap_or_default().as_str() {
            "RICE_1" | "RICE_ONE" => Self::Rice(rice_packing(header, bitpix)?),
            "GZIP_1" => Self::Gzip { shuffled: false },
            "GZIP_2" => Self::Gzip { shuffled: true },
            "HCOMPRESS_1" => Self::Hcompress(hcompress_format(header, bitpix)?),
            "PLIO_1" => Self::Plio,
            "NOCOMPRESS" => Self::Uncompressed,
            other => {
                return Err(format!(
                    "key `ZCMPTYPE` is `{}`, expected RICE_1, GZIP_1, GZIP_2, HCOMPRESS_1, PLIO_1 or NOCOMPRESS",
                    other.escape_debug()
                ));
            }
        })
    }
}

/// How floats became integers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Quantisation {
    /// They were rounded.
    Rounded,
    /// They were rounded after a dither was added.
    Dithered {
        seed: usize,
        /// Whether a pixel that is exactly 0 has an integer for itself.
        exact_zero: bool,
    },
}

impl Quantisation {
    /// `None` if the image has integers, or floats as they are. Floats without scales are not quantised, whatever the key says.
    fn of(header: &Header, bitpix: i64, has_scales: bool) -> Result<Option<Self>, String> {
        let seed = integer_within(header, "ZDITHER0", 1, 10_000)?.unwrap_or(1) as usize;
        if bitpix > 0 || !has_scales {
            return Ok(None);
        }
        match header.text("ZQUANTIZ").as_deref().unwrap_or("NO_DITHER") {
            "NONE" => Ok(None),
            "NO_DITHER" => Ok(Some(Self::Rounded)),
            "SUBTRACTIVE_DITHER_1" => Ok(Some(Self::Dithered { seed, exact_zero: false })),
            "SUBTRACTIVE_DITHER_2" => Ok(Some(Self::Dithered { seed, exact_zero: true })),
            other => Err(format!(
                "key `ZQUANTIZ` is `{}`, expected NO_DITHER, SUBTRACTIVE_DITHER_1 or SUBTRACTIVE_DITHER_2",
                other.escape_debug()
            )),
        }
    }
}

/// A number of each tile, or of all.
struct TileNumber<T> {
    column: Option<TileColumn>,
    key: Option<T>,
}

/// The table of a compressed image, as far as its header describes it.
pub(super) struct CompressedTable {
    pub(super) compression: TileCompression,
    /// `ZBITPIX`.
    pub(super) bitpix: i64,
    pub(super) grid: TileGrid,
    pub(super) row_bytes: usize,
    /// The bytes of the heap in the data.
    pub(super) heap: Range<u64>,
    /// The columns of streams, in the order in which a tile is looked for.
    streams: Vec<(StreamKind, TileColumn)>,
    quantisation: Option<Quantisation>,
    zscale: TileNumber<f64>,
    zzero: TileNumber<f64>,
    zblank: TileNumber<i64>,
    /// `BSCALE` and `BZERO`.
    scale: f64,
    zero: f64,
}

/// Where the pixels of a tile are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StreamKind {
    Compressed,
    Uncompressed,
    /// Floats that could not be quantised.
    Gzipped,
}

/// The stream of a tile.
pub(super) struct TileStream<'a> {
    pub(super) kind: StreamKind,
    pub(super) column: &'a TileColumn,
    /// Its bytes in the data of the HDU.
    pub(super) place: Range<u64>,
}

const STREAMS: [(&str, StreamKind); 3] = [
    ("COMPRESSED_DATA", StreamKind::Compressed),
    ("UNCOMPRESSED_DATA", StreamKind::Uncompressed),
    ("GZIP_COMPRESSED_DATA", StreamKind::Gzipped),
];

impl CompressedTable {
    /// The table of a header, in an HDU of some bytes of data.
    pub(super) fn of(header: &Header, data_bytes: u64) -> Result<Self, String> {
        let grid = TileGrid::of(header, &image_shape(header, "ZNAXIS")?)?;
        let bitpix = header.required("ZBITPIX")?;
        if ![8, 16, 32, -32, -64].contains(&bitpix) {
            return Err(format!("key `ZBITPIX` is {bitpix}, expected 8, 16, 32, -32 or -64"));
        }
        let compression = TileCompression::of(header, bitpix)?;
        let columns = columns(header)?;
        let (row_bytes, rows) = (size(header, "NAXIS1")?, size(header, "NAXIS2")?);
        if rows != grid.tiles() {
            let (expected, tile, shape) = (grid.tiles(), grid.tile(), grid.shape());
            return Err(format!("has {rows} tiles, expected {expected} of {tile:?} pixels for an image of {shape:?}"));
        }
        if columns.last().map_or(0, |column| column.start + column.width) != row_bytes {
            return Err(format!("key `NAXIS1` is {row_bytes}, which is not the width of its columns"));
        }
        let column = |name: &str| columns.iter().find(|column| column.name == name).cloned();
        if column("COMPRESSED_DATA").is_none() {
            return Err("has no column `COMPRESSED_DATA`, which a compressed image requires".into());
        }
        let number =
            |name: &str| -> Result<_, String> { Ok(TileNumber { column: column(name), key: header.number(name)? }) };
        let (zscale, zzero) = (number("ZSCALE")?, number("ZZERO")?);
        if zscale.column.is_some() != zzero.column.is_some() {
            return Err("has one of the columns `ZSCALE` and `ZZERO`, expected both or neither".into());
        }
        let blank = |key: &str| integer_within(header, key, i32::MIN.into(), i32::MAX.into());
        let zblank = TileNumber { column: column("ZBLANK"), key: blank("ZBLANK")?.or(blank("BLANK")?) };
        let scale = header.number("BSCALE")?.unwrap_or(1.0);
        if scale == 0.0 {
            return Err("key `BSCALE` is 0, which makes all pixels equal: expected another number".into());
        }
        let zero = header.number("BZERO")?.unwrap_or(0.0);
        let has_scales = zscale.column.is_some() || (zscale.key.is_some() && zzero.key.is_some());
        let table_bytes = (row_bytes as u64).checked_mul(rows as u64).filter(|bytes| *bytes <= data_bytes);
        let table_bytes = table_bytes.ok_or("has a table that is larger than its data")?;
        let heap_start = header.integer("THEAP")?.map_or(Some(table_bytes), |start| u64::try_from(start).ok());
        let heap_start = heap_start.map(|start| start.max(table_bytes)).filter(|start| *start <= data_bytes);
        Ok(Self {
            compression,
            bitpix,
            quantisation: Quantisation::of(header, bitpix, has_scales)?,
            grid,
            row_bytes,
            heap: heap_start.ok_or("key `THEAP` lies outside of the data")?..data_bytes,
            streams: STREAMS.iter().filter_map(|(name, kind)| Some((*kind, column(name)?))).collect(),
            zscale,
            zzero,
            zblank,
            scale,
            zero,
        })
    }

    /// The bytes of some rows in the data.
    pub(super) fn rows(&self, tiles: &Range<usize>) -> Range<u64> {
        (tiles.start * self.row_bytes) as u64..(tiles.end * self.row_bytes) as u64
    }

    /// The stream of a tile: the compressed one, or if that is empty, the first one that is not.
    pub(super) fn stream(&self, row: &[u8], tile: &TileBox) -> Result<TileStream<'_>, String> {
        // Rows that all point to the same bytes would multiply the time.
        let most = 1024 + 16 * tile.pixels() as u64;
        for (kind, column) in &self.streams {
            let named = |reason: String| format!("column `{}`: {reason}", column.name);
            let Range { start, end } = column.stream(row, self.heap.end - self.heap.start).map_err(named)?;
            if start == end {
                continue;
            }
            if end - start > most {
                let (bytes, pixels) = (end - start, tile.pixels());
                return Err(named(format!("has {bytes} bytes, more than {pixels} pixels take: at most {most}")));
            }
            return Ok(TileStream { kind: *kind, column, place: self.heap.start + start..self.heap.start + end });
        }
        Err("has no stream, expected its pixels".into())
    }

    /// How the pixels of a tile are scaled.
    ///
    /// `BSCALE` and `BZERO` are those of all tiles. (cfitsio leaves them out where floats could not be quantised, and takes scales
    /// of all tiles, which are keys, for none.)
    pub(super) fn scaling(&self, number: usize, row: &[u8], kind: StreamKind) -> Result<TileScaling, String> {
        let named = |column: &TileColumn, reason: String| format!("column `{}`: {reason}", column.name);
        let is_compressed = kind == StreamKind::Compressed;
        let quantisation = self.quantisation.filter(|_| is_compressed);
        let (mut scale, mut zero) = (self.scale, self.zero);
        if quantisation.is_some() {
            let value = |number: &TileNumber<f64>, default: f64| match &number.column {
                Some(column) => column.number(row).map_err(|reason| named(column, reason)),
                None => Ok(number.key.unwrap_or(default)),
            };
            scale *= value(&self.zscale, 1.0)?;
            zero += value(&self.zzero, 0.0)? * self.scale;
        } else if is_compressed && self.compression == TileCompression::Plio && zero == 32_768.0 {
            // Unsigned 16-bit integers are stored as they are.
            zero = 0.0;
        }
        let blank = match &self.zblank.column {
            Some(column) => Some(column.integer(row).map_err(|reason| named(column, reason))?),
            None => self.zblank.key,
        };
        let dither = match quantisation {
            Some(Quantisation::Dithered { seed, exact_zero }) => {
                Some((DitherPosition::of_tile(number, seed), exact_zero))
            }
            _ => None,
        };
        let bits = u32::try_from(self.bitpix.unsigned_abs()).unwrap_or(64);
        Ok(TileScaling { scale, zero, bits, blank, dither, flush: !is_compressed || blank.is_some() })
    }

    /// Whether the compressed streams hold integers.
    pub(super) fn holds_integers(&self) -> bool {
        self.bitpix > 0 || self.quantisation.is_some()
    }
}

fn size(header: &Header, key: &str) -> Result<usize, String> {
    let value = header.required(key)?;
    usize::try_from(value).map_err(|_| format!("key `{key}` is {value}, expected 0 or more"))
}

/// An integer within bounds, if the key is there.
fn integer_within(header: &Header, key: &str, low: i64, high: i64) -> Result<Option<i64>, String> {
    match header.integer(key)? {
        Some(value) if !(low..=high).contains(&value) => {
            Err(format!("key `{key}` is {value}, expected {low} to {high}"))
        }
        value => Ok(value),
    }
}
