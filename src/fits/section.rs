//! Sections of images: rectangles of one plane, read without the rest of the image.

use std::ops::Range;

use super::{
    FitsError, Hdu, HduKind,
    bytes::BytesPart,
    error::Reason,
    integers::{self, IntegerScaling},
    pixels::PixelFormat,
    tiles::{self, DecodedPixel, TileSections},
};

/// The most bytes between the rows of a section that are read with them, in one read for all rows: a call of the system takes as
/// long as copying them.
const GAP_BYTES: u64 = 4096;

/// A rectangle of one plane of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The number of the plane: its place along all axes but the fastest two, in the order of the file. 0 for an image of two axes.
    pub plane: usize,
    /// Along the second axis (`NAXIS2`).
    pub rows: Range<usize>,
    /// Along the fastest axis (`NAXIS1`).
    pub columns: Range<usize>,
}

impl Section {
    /// Whether it has no pixels.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() || self.columns.is_empty()
    }
}

/// How the pixels of an image are stored, as far as it decides what reading a section takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SectionGrain {
    /// Rows that are decoded together.
    pub(crate) rows: usize,
    /// Columns that are decoded together.
    pub(crate) columns: usize,
    /// Pixels that are copied in the time of a call of the system; there is one for each row that is not complete.
    pub(crate) call: usize,
}

impl SectionGrain {
    /// The grain of an HDU that is an image.
    pub(super) fn of(hdu: &Hdu) -> Result<Self, Reason> {
        if hdu.kind == HduKind::Compressed {
            let [rows, columns] = tiles::sides_of_tile(&hdu.header)?;
            return Ok(Self { rows, columns, call: 0 });
        }
        let bytes = PixelFormat::of(&hdu.header)?.bytes();
        Ok(Self { rows: 1, columns: 1, call: GAP_BYTES as usize / bytes })
    }

    /// What reading a section takes: the pixels that are decoded, and those in whose time calls of the system would copy them.
    pub(crate) fn cost(&self, rows: &Range<usize>, columns: &Range<usize>) -> u64 {
        let whole =
            |range: &Range<usize>, grain: usize| range.end.next_multiple_of(grain) - range.start / grain * grain;
        whole(rows, self.rows) as u64 * (whole(columns, self.columns) + self.call) as u64
    }
}

/// Reads sections of one image of a file. Buffers are reused from section to section.
pub struct SectionReader<'a> {
    name: &'a str,
    hdu: usize,
    image: SectionImage<'a, f32>,
}

impl<'a> SectionReader<'a> {
    /// A reader of an HDU that is an image with pixels, which are in these bytes.
    pub(super) fn new(name: &'a str, hdu: &Hdu, data: BytesPart<'a>) -> Result<Self, Reason> {
        Ok(Self { name, hdu: hdu.index, image: SectionImage::of_floats(hdu, data)? })
    }

    /// Planes, rows and columns of the image.
    pub fn shape(&self) -> [usize; 3] {
        self.image.shape
    }

    /// Writes the pixels of a section as float32 (undefined ones as NaN): row r of the section begins at `out[r * stride]`. What is
    /// between the rows is not changed, so that a section can be a part of a larger cutout.
    ///
    /// Of a plain image that is not in memory only the rows of the section are read, or the bytes from the first to the last of
    /// them where the image is narrow; of a compressed one only the tiles that the section overlaps.
    ///
    /// # Errors
    /// When the section does not lie within the image, the file cannot be read, or a tile is damaged.
    ///
    /// # Panics
    /// When `stride` is less than the columns of the section, or `out` too short for its rows.
    pub fn read(&mut self, section: &Section, out: &mut [f32], stride: usize) -> Result<(), FitsError> {
        self.image.read(section, out, stride).map_err(|reason| FitsError::new(self.name, Some(self.hdu), reason))
    }
}

/// Reads sections of an image of integers, exactly, by the rules of [`FitsFile::integer_part`](super::FitsFile::integer_part).
pub(crate) struct IntegerSectionReader<'a> {
    name: &'a str,
    hdu: usize,
    pixels: IntegerPixels<'a>,
}

enum IntegerPixels<'a> {
    Integers(SectionImage<'a, u64>),
    /// Floats, and those of the last section.
    Floats(SectionImage<'a, f32>, Vec<f32>),
}

impl<'a> IntegerSectionReader<'a> {
    /// A reader of an HDU that is an image with pixels, which are in these bytes.
    pub(super) fn new(name: &'a str, hdu: &Hdu, data: BytesPart<'a>) -> Result<Self, Reason> {
        let bitpix = if hdu.kind == HduKind::Compressed { "ZBITPIX" } else { "BITPIX" };
        let pixels = if hdu.header.required(bitpix)? < 0 {
            IntegerPixels::Floats(SectionImage::of_floats(hdu, data)?, Vec::new())
        } else {
            IntegerPixels::Integers(SectionImage::of_integers(hdu, data)?)
        };
        Ok(Self { name, hdu: hdu.index, pixels })
    }

    /// Writes the integers of a section, whose rows begin `stride` apart, as [`SectionReader::read`] writes floats.
    ///
    /// # Errors
    /// As there, and when a pixel is not an integer.
    ///
    /// # Panics
    /// As there.
    pub(crate) fn read(&mut self, section: &Section, out: &mut [u64], stride: usize) -> Result<(), FitsError> {
        let read = match &mut self.pixels {
            IntegerPixels::Integers(image) => image.read(section, out, stride),
            IntegerPixels::Floats(image, floats) => {
                let columns = section.columns.len();
                floats.resize(section.rows.len() * columns, 0.0);
                image.read(section, floats, columns).and_then(|()| {
                    let rows = out.chunks_mut(stride.max(1)).zip(floats.chunks(columns.max(1)));
                    for (out, float) in rows.flat_map(|(out, floats)| out.iter_mut().zip(floats)) {
                        *out = integers::of_float(*float)?;
                    }
                    Ok(())
                })
            }
        };
        read.map_err(|reason| FitsError::new(self.name, Some(self.hdu), reason))
    }
}

/// A type that sections are read as.
trait SectionPixel: DecodedPixel {
    /// How pixels of a plain image are stored.
    type Format: Copy;

    fn decode(format: Self::Format, bytes: &[u8], out: &mut [Self]);
}

impl SectionPixel for f32 {
    type Format = PixelFormat;

    fn decode(format: PixelFormat, bytes: &[u8], out: &mut [Self]) {
        format.decode(bytes, out);
    }
}

impl SectionPixel for u64 {
    type Format = IntegerScaling;

    fn decode(format: IntegerScaling, bytes: &[u8], out: &mut [Self]) {
        format.decode(bytes, out);
    }
}

/// An image whose sections are read.
struct SectionImage<'a, T: SectionPixel> {
    shape: [usize; 3],
    data: BytesPart<'a>,
    pixels: SectionPixels<T>,
}

enum SectionPixels<T: SectionPixel> {
    /// `size` is that of a stored pixel, bytes.
    Plain {
        format: T::Format,
        size: usize,
        buffer: Vec<u8>,
    },
    Tiles(Box<TileSections<T>>),
}

impl<'a> SectionImage<'a, f32> {
    fn of_floats(hdu: &Hdu, data: BytesPart<'a>) -> Result<Self, Reason> {
        Self::new(hdu, data, |hdu| {
            let format = PixelFormat::of(&hdu.header)?;
            Ok((format, format.bytes()))
        })
    }
}

impl<'a> SectionImage<'a, u64> {
    fn of_integers(hdu: &Hdu, data: BytesPart<'a>) -> Result<Self, Reason> {
        Self::new(hdu, data, |hdu| {
            let size = hdu.header.required("BITPIX")?.unsigned_abs() as usize / 8;
            Ok((IntegerScaling::of(&hdu.header)?, size))
        })
    }
}

impl<'a, T: SectionPixel> SectionImage<'a, T> {
    /// `plain` gives the format of a plain image, and the bytes of a stored pixel.
    fn new(
        hdu: &Hdu,
        data: BytesPart<'a>,
        plain: impl FnOnce(&Hdu) -> Result<(T::Format, usize), Reason>,
    ) -> Result<Self, Reason> {
        let shape = match hdu.shape[..] {
            [] => [0; 3],
            [columns] => [1, 1, columns],
            [ref planes @ .., rows, columns] => [planes.iter().product(), rows, columns],
        };
        let pixels = if hdu.kind == HduKind::Compressed {
            SectionPixels::Tiles(Box::new(TileSections::new(&hdu.header, data.len())?))
        } else {
            let (format, size) = plain(hdu)?;
            SectionPixels::Plain { format, size, buffer: Vec::new() }
        };
        Ok(Self { shape, data, pixels })
    }

    fn read(&mut self, section: &Section, out: &mut [T], stride: usize) -> Result<(), Reason> {
        let Section { plane, rows, columns } = section;
        let [planes, height, width] = self.shape;
        let is_within = |range: &Range<usize>, length| range.start <= range.end && range.end <= length;
        if *plane >= planes || !is_within(rows, height) || !is_within(columns, width) {
            let shape = self.shape;
            return Err(format!(
                "has the shape {shape:?}, expected rows {rows:?} and columns {columns:?} of plane {plane}"
            )
            .into());
        }
        if section.is_empty() {
            return Ok(());
        }
        assert!(stride >= columns.len(), "rows of {} pixels are {stride} pixels apart", columns.len());
        assert!(
            out.len() >= (rows.len() - 1) * stride + columns.len(),
            "{} pixels have no room for {rows:?}",
            out.len()
        );
        match &mut self.pixels {
            SectionPixels::Tiles(tiles) => tiles.read(&self.data, section, out, stride),
            SectionPixels::Plain { format, size, buffer } => {
                let (size, row_bytes) = (*size as u64, (width * *size) as u64);
                let start = ((plane * height + rows.start) * width + columns.start) as u64 * size;
                let wanted = columns.len() as u64 * size;
                let rows = out.chunks_mut(stride).take(rows.len()).map(|out| &mut out[..columns.len()]);
                let offsets = (0..).map(|row: u64| row * row_bytes);
                if self.data.is_in_memory() || row_bytes - wanted <= GAP_BYTES {
                    let end = start + (section.rows.len() - 1) as u64 * row_bytes + wanted;
                    let bytes = self.data.get_in(start..end, buffer)?;
                    rows.zip(offsets).for_each(|(out, offset)| T::decode(*format, &bytes[offset as usize..], out));
                } else {
                    for (out, offset) in rows.zip(offsets) {
                        let from = start + offset;
                        T::decode(*format, self.data.get_in(from..from + wanted, buffer)?, out);
                    }
                }
                Ok(())
            }
        }
    }
}
