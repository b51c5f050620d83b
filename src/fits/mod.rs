//! FITS bytes to headers and images: files on disk or in memory, plain, compressed as a whole (gzip, bzip2, xz) or
//! tile-compressed.
//!
//! The structure of a file and its plain images are read here, strictly: a shape is accepted only if its bytes exist, and never
//! above [`Limits`]. Tile-compressed images (Rice, GZIP, HCOMPRESS, PLIO) are decoded here too (`tiles/`).
//!
//! cfitsio writes compressed images, into memory ([`compress`]); it reads nothing but what tests compare with.

mod bytes;
mod cfitsio;
pub mod compress;
mod error;
mod file;
mod header;
mod integers;
mod pixels;
mod section;
mod structure;
mod table;
mod table_arrays;
mod tiles;
mod write;

use self::structure::BLOCK;
pub use self::{
    error::FitsError,
    file::FitsFile,
    header::{CardValue, Header, WrongKey},
    pixels::Image,
    section::{Section, SectionReader},
    write::Writer,
};
pub(crate) use self::{
    error::is_outside,
    section::SectionGrain,
    table::{Table, TableValues},
};

/// How much a file may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most pixels of an image, all axes.
    pub pixels: u64,
    /// The most bytes that a compressed file decompresses to.
    pub gunzipped_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pixels: 64 << 20, gunzipped_bytes: 1 << 30 }
    }
}

/// The kind of an HDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HduKind {
    /// A plain image, possibly without pixels.
    Image,
    /// A tile-compressed image.
    Compressed,
    /// A table.
    Table,
    /// Random groups.
    Groups,
    /// Cut off, or with an unusable header.
    Damaged,
}

impl HduKind {
    /// The kind in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "an image",
            Self::Compressed => "a compressed image",
            Self::Table => "a table",
            Self::Groups => "random groups",
            Self::Damaged => "damaged",
        }
    }
}

/// The keys with the constants `lo` and `hi` of an arcsinh stretch, in files that lucarne wrote.
pub const STRETCH_KEYS: [&str; 2] = ["STRETCHL", "STRETCHH"];
/// The start of the keys with the electrons of 1 nJy in each band, numbered from 1, in files that lucarne wrote.
pub const ELECTRONS_KEY: &str = "EPERNJY";

/// A header and data unit.
#[derive(Debug, Clone)]
pub struct Hdu {
    /// Its index; the primary HDU is 0.
    pub index: usize,
    /// Its kind.
    pub kind: HduKind,
    /// The axes, slowest first; for a compressed image those of the image.
    pub shape: Vec<usize>,
    /// The header.
    pub header: Header,
    /// Why it cannot be read, if it cannot.
    pub damage: Option<String>,
    /// The number of its file, among those that are read as one.
    file: usize,
    data_start: u64,
    data_len: u64,
}

impl Hdu {
    /// Whether it is an image with pixels. Images that are damaged count as such.
    pub fn has_pixels(&self) -> bool {
        let image = matches!(self.kind, HduKind::Image | HduKind::Compressed);
        image && (self.damage.is_some() || (!self.shape.is_empty() && !self.shape.contains(&0)))
    }

    fn end(&self) -> u64 {
        self.data_start.saturating_add(self.data_len.saturating_add(BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64)
    }
}

#[cfg(test)]
mod cfitsio_tests;
#[cfg(test)]
mod section_tests;
#[cfg(test)]
mod tests;
