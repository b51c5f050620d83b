//! An open FITS file.

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    FitsError, Hdu, HduKind, Image, Limits,
    bytes::Bytes,
    cfitsio,
    error::Reason,
    pixels::{PixelData, PixelFormat},
    structure, tiles,
};

/// An open FITS file.
#[derive(Debug)]
pub struct FitsFile {
    name: String,
    bytes: Bytes,
    hdus: Vec<Hdu>,
    /// The last stack of compressed images that was decoded, by its HDU.
    decoded: Mutex<Option<(usize, Arc<Vec<f32>>)>>,
}

impl FitsFile {
    /// Opens a file and reads its headers. The path is literal: no part of it is syntax.
    ///
    /// # Errors
    /// When the file cannot be read or is not FITS. A damaged HDU is not an error: see [`Hdu::damage`].
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, FitsError> {
        Self::open_into(path, limits, Vec::new())
    }

    /// The same, reading into a buffer that [`Self::into_buffer`] returned for an earlier file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_into(path: &Path, limits: &Limits, buffer: Vec<u8>) -> Result<Self, FitsError> {
        let name = path.display().to_string();
        Self::of(&name, Bytes::open(path, limits, buffer), limits)
    }

    /// Reads a file in memory, gzipped or not. The name is for messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Self, FitsError> {
        Self::of(name, Bytes::of(bytes, limits), limits)
    }

    fn of(name: &str, bytes: Result<Bytes, Reason>, limits: &Limits) -> Result<Self, FitsError> {
        bytes
            .and_then(|bytes| structure::walk(&bytes, limits).map(|hdus| (bytes, hdus)))
            .map(|(bytes, hdus)| Self { name: name.to_owned(), bytes, hdus, decoded: Mutex::default() })
            .map_err(|reason| FitsError::new(name, None, reason))
    }

    /// The HDUs in order. One with an unusable header, or cut off, is the last that can be found.
    pub fn hdus(&self) -> &[Hdu] {
        &self.hdus
    }

    /// The image of an HDU.
    ///
    /// # Errors
    /// When there is no such HDU, or it is not an image with pixels, or damaged.
    pub fn image(&self, hdu: usize) -> Result<Image<'_>, FitsError> {
        self.read(hdu, None, false)
    }

    /// The same, of which only some pixels are needed: of a plain image on disk, only these are read.
    ///
    /// # Errors
    /// As [`Self::image`], and when the image has fewer pixels.
    pub fn image_part(&self, hdu: usize, pixels: &Range<usize>) -> Result<Image<'_>, FitsError> {
        self.read(hdu, Some(pixels), false)
    }

    /// The same, decoded by cfitsio in any case. Slower; for comparison.
    ///
    /// # Errors
    /// As [`Self::image`].
    pub fn image_by_cfitsio(&self, hdu: usize) -> Result<Image<'_>, FitsError> {
        self.read(hdu, None, true)
    }

    fn read(&self, index: usize, part: Option<&Range<usize>>, by_cfitsio: bool) -> Result<Image<'_>, FitsError> {
        let missing = || {
            let count = self.hdus.len();
            Reason::from(format!("is missing: the file has {count} HDU{}", if count == 1 { "" } else { "s" }))
        };
        let hdu = self.hdus.get(index).ok_or_else(missing);
        hdu.and_then(|hdu| {
            let (first, pixels) = self.pixels(hdu, part, by_cfitsio)?;
            Ok(Image { shape: hdu.shape.clone(), first, pixels })
        })
        .map_err(|reason| FitsError::new(&self.name, Some(index), reason))
    }

    /// The pixels of an image, and the number of the first of them.
    fn pixels(
        &self,
        hdu: &Hdu,
        part: Option<&Range<usize>>,
        by_cfitsio: bool,
    ) -> Result<(usize, PixelData<'_>), Reason> {
        if let Some(damage) = &hdu.damage {
            return Err(damage.clone().into());
        }
        if !hdu.has_pixels() {
            let empty = if matches!(hdu.kind, HduKind::Image | HduKind::Compressed) { " without pixels" } else { "" };
            return Err(format!("is {}{empty}, expected an image", hdu.kind.name()).into());
        }
        let data = |start, len: u64| {
            usize::try_from(len)
                .map_err(|_| Reason::from("is larger than the memory"))
                .and_then(|len| self.bytes.get(start, len))
        };
        match hdu.kind {
            HduKind::Compressed => {
                // The objects of a stack share it.
                let mut last = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((index, pixels)) = last.as_ref()
                    && *index == hdu.index
                {
                    return Ok((0, PixelData::Decoded(pixels.clone())));
                }
                let mut file = tiles::repack(&hdu.header, &data(hdu.data_start, hdu.data_len)?)?;
                let pixels = Arc::new(cfitsio::image(&mut file, 1, &hdu.shape, true)?);
                if hdu.shape.len() > 3 {
                    *last = Some((hdu.index, pixels.clone()));
                }
                Ok((0, PixelData::Decoded(pixels)))
            }
            _ if by_cfitsio => {
                let integers = hdu.header.integer("BITPIX")?.is_some_and(|bitpix| bitpix > 0);
                let mut file = data(0, self.bytes.len())?.into_owned();
                Ok((0, PixelData::Decoded(Arc::new(cfitsio::image(&mut file, hdu.index, &hdu.shape, integers)?))))
            }
            _ => {
                let format = PixelFormat::of(&hdu.header)?;
                let size = format.bytes() as u64;
                let (first, start, len) = match part {
                    Some(&Range { start, end }) if end as u64 * size <= hdu.data_len && start <= end => {
                        (start, hdu.data_start + start as u64 * size, (end - start) as u64 * size)
                    }
                    Some(Range { end, .. }) => return Err(format!("has fewer than {end} pixels").into()),
                    None => (0, hdu.data_start, hdu.data_len),
                };
                Ok((first, PixelData::Stored(data(start, len)?, format)))
            }
        }
    }

    /// The error of the system because of which a part of the file could not be read, though the file may be good.
    pub fn trouble(&self) -> Option<&std::io::Error> {
        self.bytes.trouble()
    }

    /// The buffer of the bytes, to read the next file into.
    pub fn into_buffer(self) -> Vec<u8> {
        self.bytes.into_buffer()
    }
}
