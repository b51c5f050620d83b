//! FITS bytes to headers and planes: files on disk or in memory, plain, gzipped or tile-compressed.
//!
//! The structure of a file and its plain images are read here, strictly: a shape is believed only when the bytes are
//! there, and never above [`Limits`]. Tile-compressed images (Rice, GZIP, HCOMPRESS, PLIO) are checked, repacked and
//! decoded by cfitsio in memory. So no file name ever reaches cfitsio, whose names are a language of their own.

mod bytes;
mod cfitsio;
pub mod compress;
mod header;
mod pixels;
mod structure;
mod tiles;
mod write;

use std::{fmt, path::Path};

use self::{bytes::Bytes, pixels::Pixels, structure::BLOCK};
pub use self::{
    header::{Header, Value},
    pixels::Image,
    write::Writer,
};
use crate::error::Error;

/// How much a file may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most pixels of an image, all axes.
    pub pixels: u64,
    /// The most bytes that a gzipped file may become.
    pub gunzipped_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pixels: 64 << 20, gunzipped_bytes: 1 << 30 }
    }
}

/// What a unit is.
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
    /// Cut off, or of an unusable header.
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

/// A header and data unit.
#[derive(Debug, Clone)]
pub struct Hdu {
    /// Its number; the primary one is 0.
    pub index: usize,
    /// What it is.
    pub kind: HduKind,
    /// The axes, slowest first; of a compressed image those of the image.
    pub shape: Vec<usize>,
    /// Its keys.
    pub header: Header,
    /// What is wrong with it; such a unit cannot be read.
    pub damage: Option<String>,
    data_start: u64,
    data_len: u64,
}

impl Hdu {
    /// Whether it is an image with pixels (or would be, were it not damaged).
    pub fn has_pixels(&self) -> bool {
        let image = matches!(self.kind, HduKind::Image | HduKind::Compressed);
        image && (self.damage.is_some() || (!self.shape.is_empty() && !self.shape.contains(&0)))
    }

    fn end(&self) -> u64 {
        self.data_start.saturating_add(self.data_len.saturating_add(BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64)
    }
}

/// Why a file, or a unit of it, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FitsError {
    /// The file, or the name that its bytes were given.
    pub name: String,
    /// The unit, if one is to blame.
    pub hdu: Option<usize>,
    /// What was found and what was expected.
    pub reason: String,
}

impl fmt::Display for FitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hdu {
            Some(hdu) => write!(f, "`{}[{hdu}]` {}", self.name, self.reason),
            None => write!(f, "`{}` {}", self.name, self.reason),
        }
    }
}

impl std::error::Error for FitsError {}

impl From<FitsError> for Error {
    fn from(error: FitsError) -> Self {
        Self::data(error.to_string())
    }
}

/// An open file.
#[derive(Debug)]
pub struct Fits {
    name: String,
    bytes: Bytes,
    hdus: Vec<Hdu>,
}

impl Fits {
    /// Opens a file by its literal name, and reads its headers.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, FitsError> {
        Self::open_into(path, limits, Vec::new())
    }

    /// The same, with a buffer to read into that [`Self::into_buffer`] of the last file gave back.
    pub fn open_into(path: &Path, limits: &Limits, buffer: Vec<u8>) -> Result<Self, FitsError> {
        let name = path.display().to_string();
        Self::of(name, Bytes::open(path, limits, buffer), limits)
    }

    /// A file in memory, gzipped or not, under a name for messages.
    pub fn from_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Self, FitsError> {
        Self::of(name.to_owned(), Bytes::of(bytes, limits), limits)
    }

    fn of(name: String, bytes: Result<Bytes, String>, limits: &Limits) -> Result<Self, FitsError> {
        let read = bytes.and_then(|bytes| structure::walk(&bytes, limits).map(|hdus| (bytes, hdus)));
        match read {
            Ok((bytes, hdus)) => Ok(Self { name, bytes, hdus }),
            Err(reason) => Err(FitsError { name, hdu: None, reason }),
        }
    }

    /// The units in order. A damaged one is the last that can be found.
    pub fn hdus(&self) -> &[Hdu] {
        &self.hdus
    }

    /// The pixels of a unit.
    pub fn image(&self, hdu: usize) -> Result<Image<'_>, FitsError> {
        self.read(hdu, false)
    }

    /// The same with every image decoded by cfitsio: slower, and there to compare with.
    pub fn image_by_cfitsio(&self, hdu: usize) -> Result<Image<'_>, FitsError> {
        self.read(hdu, true)
    }

    fn read(&self, index: usize, by_cfitsio: bool) -> Result<Image<'_>, FitsError> {
        let unit = self.hdus.get(index).ok_or_else(|| format!("is not there: the file has {} units", self.hdus.len()));
        unit.and_then(|hdu| self.pixels(hdu, by_cfitsio).map(|pixels| Image { shape: hdu.shape.clone(), pixels }))
            .map_err(|reason| FitsError { name: self.name.clone(), hdu: Some(index), reason })
    }

    fn pixels(&self, hdu: &Hdu, by_cfitsio: bool) -> Result<Pixels<'_>, String> {
        if let Some(damage) = &hdu.damage {
            return Err(damage.clone());
        }
        if !hdu.has_pixels() {
            let empty = if matches!(hdu.kind, HduKind::Image | HduKind::Compressed) { " without pixels" } else { "" };
            return Err(format!("is {}{empty}, expected an image", hdu.kind.name()));
        }
        let data = |start, len: u64| {
            usize::try_from(len)
                .map_err(|_| "is larger than memory".to_owned())
                .and_then(|len| self.bytes.get(start, len))
        };
        match hdu.kind {
            HduKind::Compressed => {
                let mut file = tiles::repack(&hdu.header, &data(hdu.data_start, hdu.data_len)?)?;
                cfitsio::image(&mut file, 1, &hdu.shape, true).map(Pixels::Decoded)
            }
            _ if by_cfitsio => {
                let integers = hdu.header.integer("BITPIX")?.is_some_and(|bitpix| bitpix > 0);
                let mut file = data(0, self.bytes.len())?.into_owned();
                cfitsio::image(&mut file, hdu.index, &hdu.shape, integers).map(Pixels::Decoded)
            }
            _ => {
                let format = pixels::Format::of(&hdu.header)?;
                Ok(Pixels::Stored(data(hdu.data_start, hdu.data_len)?, format))
            }
        }
    }

    /// Gives the buffer back for the next file.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes.into_buffer()
    }
}
