//! Stored pixels to float32: value = zero + scale * stored, for integers less the dither. What is undefined is NaN.
//!
//! The arithmetic is that of cfitsio, bit for bit: in float64, rounded once.

use super::dither::DitherPosition;

/// The integer that `SUBTRACTIVE_DITHER_2` stores for a pixel that is exactly 0.
const ZERO: i32 = -2_147_483_646;

/// The pixels of a tile as they are stored.
#[derive(Debug, Clone, Copy)]
pub(in crate::fits) enum StoredPixels<'a> {
    Integers(&'a [i32]),
    Singles(&'a [f32]),
    Doubles(&'a [f64]),
}

impl StoredPixels<'_> {
    /// A run of them.
    pub(super) fn run(&self, start: usize, length: usize) -> Self {
        match self {
            Self::Integers(pixels) => Self::Integers(&pixels[start..start + length]),
            Self::Singles(pixels) => Self::Singles(&pixels[start..start + length]),
            Self::Doubles(pixels) => Self::Doubles(&pixels[start..start + length]),
        }
    }
}

/// How the pixels of a tile are scaled.
#[derive(Debug, Clone)]
pub(in crate::fits) struct TileScaling {
    pub(super) scale: f64,
    pub(super) zero: f64,
    /// Bits of a pixel of the image.
    pub(super) bits: u32,
    /// The integer that is undefined.
    pub(super) blank: Option<i64>,
    /// The dither of the next pixel, and whether [`ZERO`] is exactly 0.
    pub(super) dither: Option<(DitherPosition, bool)>,
    /// Whether infinite floats are undefined too, and those below the normal range are 0. cfitsio reads them so where it looks
    /// for NaN at all.
    pub(super) flush: bool,
}

impl TileScaling {
    /// Converts the next pixels of the tile.
    pub(super) fn convert(&mut self, stored: StoredPixels, out: &mut [f32]) {
        match stored {
            StoredPixels::Integers(stored) if self.dither.is_some() => self.subtract_dither(stored, out),
            StoredPixels::Integers(stored) => {
                // Without scaling the integer is rounded once.
                let value = |stored: i32| if self.is_scaled() { self.scaled(stored.into()) } else { stored as f32 };
                match self.blank {
                    None => each(stored, out, value),
                    Some(blank) => each(stored, out, |stored| nan_if(i64::from(stored) == blank, value(stored))),
                }
            }
            StoredPixels::Singles(stored) => each(stored, out, |stored| {
                let normal = if self.flush && stored.is_subnormal() { 0.0 } else { stored };
                let value = match self.is_scaled() {
                    true => self.scaled(normal.into()),
                    // Adding 0 makes -0 positive.
                    false if self.flush => normal + 0.0,
                    false => normal,
                };
                nan_if(self.flush && stored.is_infinite(), value)
            }),
            StoredPixels::Doubles(stored) => each(stored, out, |stored| {
                let normal = if self.flush && stored.is_subnormal() { 0.0 } else { stored };
                let value = match self.is_scaled() {
                    true => self.scaled(normal),
                    false if self.flush && normal == 0.0 => 0.0,
                    false => normal as f32,
                };
                nan_if(self.flush && stored.is_infinite(), value)
            }),
        }
    }

    fn subtract_dither(&mut self, stored: &[i32], out: &mut [f32]) {
        let (scale, zero, blank) = (self.scale, self.zero, self.blank);
        let Some((position, exact_zero)) = &mut self.dither else { return };
        let exact_zero = *exact_zero;
        let mut at = 0;
        while at < stored.len() {
            let dither = position.take(stored.len() - at);
            let end = at + dither.len();
            for ((stored, dither), out) in stored[at..end].iter().zip(dither).zip(&mut out[at..end]) {
                let value = (f64::from(*stored) - f64::from(*dither) + 0.5) * scale + zero;
                let value = if exact_zero && *stored == ZERO { 0.0 } else { value as f32 };
                *out = nan_if(blank == Some(i64::from(*stored)), value);
            }
            at = end;
        }
    }

    fn is_scaled(&self) -> bool {
        self.scale != 1.0 || self.zero != 0.0
    }

    fn scaled(&self, stored: f64) -> f32 {
        (stored * self.scale + self.zero) as f32
    }
}

fn nan_if(undefined: bool, value: f32) -> f32 {
    if undefined { f32::NAN } else { value }
}

fn each<T: Copy>(stored: &[T], out: &mut [f32], pixel: impl Fn(T) -> f32) {
    for (out, stored) in out.iter_mut().zip(stored) {
        *out = pixel(*stored);
    }
}
