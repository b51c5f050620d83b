//! Sections of images: rectangles of one plane, read without the rest of the image.

use std::ops::Range;

use super::{FitsError, Hdu, HduKind, bytes::BytesPart, error::Reason, pixels::PixelFormat, tiles::TileSections};

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

/// Reads sections of one image of a file. Buffers are reused from section to section.
pub struct SectionReader<'a> {
    name: &'a str,
    hdu: usize,
    shape: [usize; 3],
    data: BytesPart<'a>,
    pixels: SectionPixels,
}

enum SectionPixels {
    Plain { format: PixelFormat, buffer: Vec<u8> },
    Tiles(Box<TileSections>),
}

impl<'a> SectionReader<'a> {
    /// A reader of an HDU that is an image with pixels, which are in these bytes.
    pub(super) fn new(name: &'a str, hdu: &Hdu, data: BytesPart<'a>) -> Result<Self, Reason> {
        let shape = match hdu.shape[..] {
            [] => [0; 3],
            [columns] => [1, 1, columns],
            [ref planes @ .., rows, columns] => [planes.iter().product(), rows, columns],
        };
        let pixels = match hdu.kind {
            HduKind::Compressed => SectionPixels::Tiles(Box::new(TileSections::new(&hdu.header, data.len())?)),
            _ => SectionPixels::Plain { format: PixelFormat::of(&hdu.header)?, buffer: Vec::new() },
        };
        Ok(Self { name, hdu: hdu.index, shape, data, pixels })
    }

    /// Planes, rows and columns of the image.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
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
        self.read_section(section, out, stride).map_err(|reason| FitsError::new(self.name, Some(self.hdu), reason))
    }

    fn read_section(&mut self, section: &Section, out: &mut [f32], stride: usize) -> Result<(), Reason> {
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
            SectionPixels::Plain { format, buffer } => {
                let (size, row_bytes) = (format.bytes() as u64, (width * format.bytes()) as u64);
                let start = ((plane * height + rows.start) * width + columns.start) as u64 * size;
                let wanted = columns.len() as u64 * size;
                let rows = out.chunks_mut(stride).take(rows.len()).map(|out| &mut out[..columns.len()]);
                let offsets = (0..).map(|row: u64| row * row_bytes);
                if self.data.is_in_memory() || row_bytes - wanted <= GAP_BYTES {
                    let end = start + (section.rows.len() - 1) as u64 * row_bytes + wanted;
                    let bytes = self.data.get_in(start..end, buffer)?;
                    rows.zip(offsets).for_each(|(out, offset)| format.decode(&bytes[offset as usize..], out));
                } else {
                    for (out, offset) in rows.zip(offsets) {
                        let from = start + offset;
                        format.decode(self.data.get_in(from..from + wanted, buffer)?, out);
                    }
                }
                Ok(())
            }
        }
    }
}
