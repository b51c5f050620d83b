//! The pixels of a plain image as float32: value = BZERO + BSCALE * stored, and BLANK is NaN.

use std::{borrow::Cow, sync::Arc};

use multiversion::multiversion;

use super::header::Header;

/// An image of an HDU. Its pixels are converted when they are copied.
#[derive(Debug)]
pub struct Image<'a> {
    pub(super) shape: Vec<usize>,
    /// The first pixel that is there.
    pub(super) first: usize,
    pub(super) pixels: PixelData<'a>,
}

/// Pixels as stored in the file, or decoded.
#[derive(Debug)]
pub(super) enum PixelData<'a> {
    Stored(Cow<'a, [u8]>, PixelFormat),
    Decoded(Arc<Vec<f32>>),
}

impl Image<'_> {
    /// The axes, slowest first: `[y, x]`, `[band, y, x]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of pixels, all axes.
    pub fn pixels(&self) -> usize {
        if self.shape.is_empty() { 0 } else { self.shape.iter().product() }
    }

    /// Copies `out.len()` pixels, starting with the pixel `start`, in the order of the file.
    ///
    /// # Panics
    /// When the image has fewer pixels (see [`Self::shape`]), or they are not in the part that was read.
    pub fn copy(&self, start: usize, out: &mut [f32]) {
        let start = start - self.first;
        match &self.pixels {
            PixelData::Stored(bytes, format) => {
                let size = format.bytes();
                format.decode(&bytes[start * size..(start + out.len()) * size], out);
            }
            PixelData::Decoded(pixels) => out.copy_from_slice(&pixels[start..start + out.len()]),
        }
    }
}

/// The encoding of stored pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PixelFormat {
    bitpix: i64,
    scale: f64,
    zero: f64,
    blank: Option<i64>,
}

impl PixelFormat {
    pub(super) fn of(header: &Header) -> Result<Self, String> {
        let scale = header.number("BSCALE")?.unwrap_or(1.0);
        if scale == 0.0 {
            return Err("key `BSCALE` is 0, which makes all pixels equal: expected another number".into());
        }
        let bitpix = header.required("BITPIX")?;
        // The standard defines BLANK for integers only (floats have NaN), but some files with floats have it.
        let blank = if bitpix > 0 { header.integer("BLANK")? } else { None };
        Ok(Self { bitpix, scale, zero: header.number("BZERO")?.unwrap_or(0.0), blank })
    }

    pub(super) fn bytes(self) -> usize {
        self.bitpix.unsigned_abs() as usize / 8
    }

    /// Converts as many pixels as there are on both sides.
    pub(super) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self.bitpix {
            8 => self.integers(bytes, out, |[byte]: [u8; 1]| i64::from(byte)),
            16 => self.integers(bytes, out, |bytes| i64::from(i16::from_be_bytes(bytes))),
            32 => self.integers(bytes, out, |bytes| i64::from(i32::from_be_bytes(bytes))),
            64 => self.integers(bytes, out, i64::from_be_bytes),
            -32 if self.is_scaled() => each(bytes, out, |bytes| self.scaled(f64::from(f32::from_be_bytes(bytes)))),
            -32 => floats(bytes, out),
            _ if self.is_scaled() => each(bytes, out, |bytes| self.scaled(f64::from_be_bytes(bytes))),
            _ => each(bytes, out, |bytes| f64::from_be_bytes(bytes) as f32),
        }
    }

    fn integers<const N: usize>(self, bytes: &[u8], out: &mut [f32], stored: impl Fn([u8; N]) -> i64) {
        // Without scaling the integer is rounded once, as in cfitsio.
        let value = |stored: i64| if self.is_scaled() { self.scaled(stored as f64) } else { stored as f32 };
        match self.blank {
            None => each(bytes, out, |bytes| value(stored(bytes))),
            Some(blank) => each(bytes, out, |bytes| match stored(bytes) {
                stored if stored == blank => f32::NAN,
                stored => value(stored),
            }),
        }
    }

    fn is_scaled(self) -> bool {
        self.scale != 1.0 || self.zero != 0.0
    }

    fn scaled(self, stored: f64) -> f32 {
        (stored * self.scale + self.zero) as f32
    }
}

/// Most pixels of surveys: the order of the bytes turned, which takes a register of AVX one instruction.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2"))]
fn floats(bytes: &[u8], out: &mut [f32]) {
    each(bytes, out, f32::from_be_bytes);
}

#[inline(always)]
fn each<const N: usize>(bytes: &[u8], out: &mut [f32], pixel: impl Fn([u8; N]) -> f32) {
    for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
        *out = pixel(*bytes);
    }
}
