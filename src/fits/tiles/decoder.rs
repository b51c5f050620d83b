//! The stored pixels of a tile, by the kind of its stream.

use super::{
    gzip::{self, Gunzip},
    hcompress::Hcompress,
    plio, rice,
    scaling::StoredPixels,
    shape::TileBox,
    table::{CompressedTable, StreamKind, TileCompression, TileStream},
};

/// Decodes tiles. Buffers are reused.
#[derive(Default)]
pub(super) struct TileDecoder {
    gunzip: Gunzip,
    hcompress: Hcompress,
    integers: Vec<i32>,
    singles: Vec<f32>,
    doubles: Vec<f64>,
}

impl TileDecoder {
    /// Decodes a stream that holds exactly the pixels of a tile.
    pub(super) fn decode(
        &mut self,
        table: &CompressedTable,
        stream: &TileStream,
        bytes: &[u8],
        tile: &TileBox,
    ) -> Result<StoredPixels<'_>, String> {
        let letter = stream.column.letter;
        let words = stream.kind == StreamKind::Compressed && table.compression == TileCompression::Plio;
        let (expected, name) = if words { (b'I', "the 16-bit words of PLIO") } else { (b'B', "bytes") };
        match stream.kind {
            StreamKind::Uncompressed => self.uncompressed(table, letter, bytes, tile),
            _ if letter != expected => Err(format!("has elements of another type, expected {name}")),
            StreamKind::Compressed => self.compressed(table, bytes, tile),
            StreamKind::Gzipped if table.bitpix > 0 => Err(format!("is not used where `ZBITPIX` is {}", table.bitpix)),
            StreamKind::Gzipped => self.floats(table, bytes, tile, false),
        }
        .map_err(|reason| format!("column `{}`: {reason}", stream.column.name))
    }

    fn compressed(
        &mut self,
        table: &CompressedTable,
        bytes: &[u8],
        tile: &TileBox,
    ) -> Result<StoredPixels<'_>, String> {
        let total = tile.pixels();
        if !table.holds_integers() {
            return match table.compression {
                TileCompression::Gzip { shuffled } => self.floats(table, bytes, tile, shuffled),
                _ => Err("has floats that are not quantised, which only gzip compresses".into()),
            };
        }
        self.integers.resize(total, 0);
        let integers = &mut self.integers[..total];
        match table.compression {
            TileCompression::Rice(packing) => rice::decode(bytes, packing, integers)?,
            TileCompression::Plio => plio::decode(bytes, integers)?,
            TileCompression::Hcompress(format) => self.hcompress.decode(bytes, &tile.sides, format, integers)?,
            TileCompression::Gzip { shuffled } => {
                // Quantised floats are integers of four bytes, and so can be those of 8 and 16 bits: cfitsio used to write
                // them so.
                let own = table.bitpix.unsigned_abs() as usize / 8 * total;
                let lengths = if table.bitpix < 0 { [4 * total; 2] } else { [own, 4 * total] };
                let bytes = self.gunzip.decode(bytes, &lengths)?;
                let short = |bytes| i32::from(i16::from_be_bytes(bytes));
                match bytes.len() / total {
                    1 => collect(integers, bytes.iter().map(|byte| i32::from(*byte))),
                    2 if shuffled => collect(integers, gzip::shuffled(bytes).map(short)),
                    2 => collect(integers, gzip::in_order(bytes).map(short)),
                    _ if shuffled => collect(integers, gzip::shuffled(bytes).map(i32::from_be_bytes)),
                    _ => collect(integers, gzip::in_order(bytes).map(i32::from_be_bytes)),
                }
            }
            TileCompression::Uncompressed => return Err("has a stream, though `ZCMPTYPE` is NOCOMPRESS".into()),
        }
        Ok(StoredPixels::Integers(&self.integers))
    }

    /// Floats that are not quantised, but compressed by gzip.
    fn floats(
        &mut self,
        table: &CompressedTable,
        bytes: &[u8],
        tile: &TileBox,
        shuffled: bool,
    ) -> Result<StoredPixels<'_>, String> {
        let total = tile.pixels();
        if table.bitpix == -32 {
            let bytes = self.gunzip.decode(bytes, &[4 * total])?;
            self.singles.resize(total, 0.0);
            match shuffled {
                true => collect(&mut self.singles, gzip::shuffled(bytes).map(f32::from_be_bytes)),
                false => collect(&mut self.singles, gzip::in_order(bytes).map(f32::from_be_bytes)),
            }
            Ok(StoredPixels::Singles(&self.singles))
        } else {
            let bytes = self.gunzip.decode(bytes, &[8 * total])?;
            self.doubles.resize(total, 0.0);
            match shuffled {
                true => collect(&mut self.doubles, gzip::shuffled(bytes).map(f64::from_be_bytes)),
                false => collect(&mut self.doubles, gzip::in_order(bytes).map(f64::from_be_bytes)),
            }
            Ok(StoredPixels::Doubles(&self.doubles))
        }
    }

    /// Pixels in the type of their column.
    fn uncompressed(
        &mut self,
        table: &CompressedTable,
        letter: u8,
        bytes: &[u8],
        tile: &TileBox,
    ) -> Result<StoredPixels<'_>, String> {
        let total = tile.pixels();
        let expect_pixels = |size: usize| match bytes.len() == size * total {
            true => Ok(()),
            false => Err(format!("holds {} pixels, expected {total}", bytes.len() / size)),
        };
        match (letter, table.bitpix > 0) {
            (b'B', true) => {
                expect_pixels(1)?;
                self.integers.resize(total, 0);
                collect(&mut self.integers, bytes.iter().map(|byte| i32::from(*byte)));
            }
            (b'I', true) => {
                expect_pixels(2)?;
                self.integers.resize(total, 0);
                collect(&mut self.integers, gzip::in_order(bytes).map(|bytes| i16::from_be_bytes(bytes).into()));
            }
            (b'J', true) => {
                expect_pixels(4)?;
                self.integers.resize(total, 0);
                collect(&mut self.integers, gzip::in_order(bytes).map(i32::from_be_bytes));
            }
            (b'E', false) => {
                expect_pixels(4)?;
                self.singles.resize(total, 0.0);
                collect(&mut self.singles, gzip::in_order(bytes).map(f32::from_be_bytes));
                return Ok(StoredPixels::Singles(&self.singles));
            }
            (b'D', false) => {
                expect_pixels(8)?;
                self.doubles.resize(total, 0.0);
                collect(&mut self.doubles, gzip::in_order(bytes).map(f64::from_be_bytes));
                return Ok(StoredPixels::Doubles(&self.doubles));
            }
            (letter, _) => {
                let (letter, bitpix) = (letter.escape_ascii(), table.bitpix);
                return Err(format!("has elements of the type `{letter}`, which are not pixels of `ZBITPIX` {bitpix}"));
            }
        }
        Ok(StoredPixels::Integers(&self.integers))
    }
}

fn collect<T>(out: &mut [T], values: impl Iterator<Item = T>) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = value;
    }
}
