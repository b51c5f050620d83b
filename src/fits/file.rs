//! An open FITS file.

use std::{
    borrow::Cow,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    FitsError, Hdu, HduKind, Image, Limits,
    bytes::{self, Bytes, BytesPart},
    error::Reason,
    integers::{self, IntegerScaling},
    pixels::{PixelData, PixelFormat},
    section::{IntegerSectionReader, SectionGrain, SectionReader},
    structure,
    tiles::{self, DecodedPixel, DecodedPixels},
};

/// An open FITS file, or several that are read as one.
#[derive(Debug)]
pub struct FitsFile {
    /// The name and the bytes of each file.
    files: Vec<(String, Bytes)>,
    hdus: Vec<Hdu>,
    /// The last tiles that have pixels of several parts, and those of a mask.
    decoded: LastPart<f32>,
    integers: LastPart<u64>,
}

/// Decoded pixels of an HDU.
#[derive(Debug)]
struct DecodedPart<T> {
    hdu: usize,
    /// The number of the first one, in the order of the file.
    first: usize,
    pixels: Arc<Vec<T>>,
}

impl<T> Clone for DecodedPart<T> {
    fn clone(&self) -> Self {
        Self { hdu: self.hdu, first: self.first, pixels: self.pixels.clone() }
    }
}

/// The part that was decoded last.
type LastPart<T> = Mutex<Option<DecodedPart<T>>>;

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

    /// Opens a file of which only headers are needed: little more than these is read, unless the file is compressed.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_headers(path: &Path, limits: &Limits) -> Result<Self, FitsError> {
        Self::of(&path.display().to_string(), Bytes::open_headers(path, limits), limits)
    }

    /// Reads a file in memory, compressed or not. The name is for messages.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Self, FitsError> {
        Self::of(name, Bytes::of(bytes, limits), limits)
    }

    fn of(name: &str, bytes: Result<Bytes, Reason>, limits: &Limits) -> Result<Self, FitsError> {
        bytes
            .and_then(|bytes| structure::walk(&bytes, limits).map(|hdus| (bytes, hdus)))
            .map(|(bytes, hdus)| Self {
                files: vec![(name.to_owned(), bytes)],
                hdus,
                decoded: Mutex::default(),
                integers: Mutex::default(),
            })
            .map_err(|reason| FitsError::new(name, None, reason))
    }

    /// Several files as one: their HDUs follow each other, with new indices.
    pub fn joined(files: Vec<Self>) -> Self {
        let mut all =
            Self { files: Vec::new(), hdus: Vec::new(), decoded: Mutex::default(), integers: Mutex::default() };
        for Self { files, hdus, .. } in files {
            let first = all.files.len();
            for hdu in hdus {
                all.hdus.push(Hdu { index: all.hdus.len(), file: first + hdu.file, ..hdu });
            }
            all.files.extend(files);
        }
        all
    }

    /// The HDUs of the file that has an HDU, the primary one first.
    pub fn file_of(&self, hdu: usize) -> &[Hdu] {
        let file = self.hdus.get(hdu).map_or(0, |hdu| hdu.file);
        let start = self.hdus.partition_point(|hdu| hdu.file < file);
        let end = self.hdus.partition_point(|hdu| hdu.file <= file);
        &self.hdus[start..end]
    }

    /// The name of the file that has an HDU, and the index of the HDU in that file.
    pub fn place_of(&self, hdu: usize) -> (&str, usize) {
        let first = self.file_of(hdu).first();
        let name = self.files.get(first.map_or(0, |first| first.file)).map_or("", |(name, _)| name);
        (name, hdu - first.map_or(0, |first| first.index))
    }

    pub(super) fn error(&self, hdu: usize, reason: Reason) -> FitsError {
        let (name, index) = self.place_of(hdu);
        FitsError::new(name, Some(index), reason)
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
        self.read(hdu, None)
    }

    /// The same, of which only some pixels are needed: of a plain image on disk, only these are read, and of a compressed one only
    /// the tiles that have some of them.
    ///
    /// # Errors
    /// As [`Self::image`], and when the image has fewer pixels.
    pub fn image_part(&self, hdu: usize, pixels: &Range<usize>) -> Result<Image<'_>, FitsError> {
        self.read(hdu, Some(pixels))
    }

    /// Some pixels of an image of integers, exactly. Negative integers are those of as many bits in two's complement, and an
    /// undefined pixel has all bits. Floats are taken where they are integers up to 2^24.
    ///
    /// # Errors
    /// As [`Self::image_part`], and when a pixel is not an integer.
    pub fn integer_part(&self, hdu: usize, pixels: &Range<usize>) -> Result<Vec<u64>, FitsError> {
        let read = || {
            let hdu = self.readable(hdu)?;
            let bitpix = if hdu.kind == HduKind::Compressed { "ZBITPIX" } else { "BITPIX" };
            if hdu.header.required(bitpix)? < 0 {
                return self.integers_in_floats(hdu, pixels);
            }
            if hdu.kind == HduKind::Compressed {
                let DecodedPart { first, pixels: decoded, .. } = self.decoded(&self.integers, hdu, Some(pixels))?;
                return Ok(decoded[pixels.start - first..pixels.end - first].to_vec());
            }
            let (bytes, _, _) = self.stored(hdu, Some(pixels))?;
            let mut integers = vec![0; pixels.len()];
            IntegerScaling::of(&hdu.header)?.decode(&bytes, &mut integers);
            Ok(integers)
        };
        read().map_err(|reason| self.error(hdu, reason))
    }

    fn integers_in_floats(&self, hdu: &Hdu, part: &Range<usize>) -> Result<Vec<u64>, Reason> {
        let (first, pixels) = self.pixels(hdu, Some(part))?;
        let mut floats = vec![0.0; part.len()];
        Image { shape: hdu.shape.clone(), first, pixels }.copy(part.start, &mut floats);
        Ok(floats.into_iter().map(integers::of_float).collect::<Result<_, String>>()?)
    }

    /// A reader of sections of an image: of cutouts of one that is much larger.
    ///
    /// # Errors
    /// As [`Self::image`], and when the header of a compressed image is wrong.
    pub fn sections(&self, hdu: usize) -> Result<SectionReader<'_>, FitsError> {
        let reader =
            self.readable(hdu).and_then(|hdu| SectionReader::new(&self.files[hdu.file].0, hdu, self.data(hdu)));
        reader.map_err(|reason| self.error(hdu, reason))
    }

    /// The same of an image of integers, such as a mask.
    ///
    /// # Errors
    /// As [`Self::sections`], and when the image is scaled to numbers that are not integers.
    pub(crate) fn integer_sections(&self, hdu: usize) -> Result<IntegerSectionReader<'_>, FitsError> {
        let reader =
            self.readable(hdu).and_then(|hdu| IntegerSectionReader::new(&self.files[hdu.file].0, hdu, self.data(hdu)));
        reader.map_err(|reason| self.error(hdu, reason))
    }

    /// What reading a section of an image takes.
    ///
    /// # Errors
    /// As [`Self::sections`].
    pub(crate) fn section_grain(&self, hdu: usize) -> Result<SectionGrain, FitsError> {
        self.readable(hdu).and_then(SectionGrain::of).map_err(|reason| self.error(hdu, reason))
    }

    /// How a file is compressed as a whole (`gzip`, `bzip2`, `xz`). All of such a file is read, whatever is needed of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn compression_of(path: &Path) -> Result<Option<&'static str>, FitsError> {
        bytes::compression_of_file(path).map_err(|reason| FitsError::new(&path.display().to_string(), None, reason))
    }

    fn read(&self, index: usize, part: Option<&Range<usize>>) -> Result<Image<'_>, FitsError> {
        self.readable(index)
            .and_then(|hdu| {
                let (first, pixels) = self.pixels(hdu, part)?;
                Ok(Image { shape: hdu.shape.clone(), first, pixels })
            })
            .map_err(|reason| self.error(index, reason))
    }

    /// An HDU, if it is an image that can be read.
    fn readable(&self, index: usize) -> Result<&Hdu, Reason> {
        let hdu = self.hdus.get(index).ok_or_else(|| {
            let count = self.hdus.len();
            Reason::from(format!("is missing: the file has {count} HDU{}", if count == 1 { "" } else { "s" }))
        })?;
        if let Some(damage) = &hdu.damage {
            return Err(damage.clone().into());
        }
        if !hdu.has_pixels() {
            let empty = if matches!(hdu.kind, HduKind::Image | HduKind::Compressed) { " without pixels" } else { "" };
            return Err(format!("is {}{empty}, expected an image", hdu.kind.name()).into());
        }
        Ok(hdu)
    }

    /// The pixels of an image, and the number of the first of them.
    fn pixels(&self, hdu: &Hdu, part: Option<&Range<usize>>) -> Result<(usize, PixelData<'_>), Reason> {
        if hdu.kind == HduKind::Compressed {
            let DecodedPart { first, pixels, .. } = self.decoded(&self.decoded, hdu, part)?;
            return Ok((first, PixelData::Decoded(pixels)));
        }
        let (bytes, start, format) = self.stored(hdu, part)?;
        Ok((start, PixelData::Stored(bytes, format)))
    }

    /// The bytes of pixels of a plain image, and the number of the first of them.
    fn stored(&self, hdu: &Hdu, part: Option<&Range<usize>>) -> Result<(Cow<'_, [u8]>, usize, PixelFormat), Reason> {
        let format = PixelFormat::of(&hdu.header)?;
        let size = format.bytes() as u64;
        let all = 0..(hdu.data_len / size) as usize;
        let Range { start, end } = part.unwrap_or(&all).clone();
        if end > all.end || start > end {
            return Err(format!("has fewer than {end} pixels").into());
        }
        let data = self.data(hdu).get(start as u64 * size..end as u64 * size)?;
        Ok((data, start, format))
    }

    /// The pixels of a compressed image, or of a part of it and what is in the same tiles.
    fn decoded<T: DecodedPixel>(
        &self,
        last: &LastPart<T>,
        hdu: &Hdu,
        part: Option<&Range<usize>>,
    ) -> Result<DecodedPart<T>, Reason> {
        let last = || last.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |last: &DecodedPart<T>, part: &Range<usize>| {
            last.hdu == hdu.index && last.first <= part.start && part.end <= last.first + last.pixels.len()
        };
        if let Some(last) = last().as_ref().filter(|last| part.is_some_and(|part| has(last, part))) {
            return Ok(last.clone());
        }
        let DecodedPixels { first, pixels } = tiles::decode(&hdu.header, &self.data(hdu), part)?;
        let decoded = DecodedPart { hdu: hdu.index, first, pixels: Arc::new(pixels) };
        // Tiles that have more pixels have those of the next objects of a stack.
        if part.is_some_and(|part| part.len() < decoded.pixels.len()) {
            *last() = Some(decoded.clone());
        }
        Ok(decoded)
    }

    /// The data of an HDU.
    pub(super) fn data(&self, hdu: &Hdu) -> BytesPart<'_> {
        self.files[hdu.file].1.part(hdu.data_start, hdu.data_len)
    }

    /// The error of the system because of which a part of the file could not be read, though the file may be good.
    pub fn trouble(&self) -> Option<&std::io::Error> {
        self.files.iter().find_map(|(_, bytes)| bytes.trouble())
    }

    /// The buffer of the bytes, to read the next file into.
    pub fn into_buffer(self) -> Vec<u8> {
        self.files.into_iter().next().map(|(_, bytes)| bytes.into_buffer()).unwrap_or_default()
    }
}
