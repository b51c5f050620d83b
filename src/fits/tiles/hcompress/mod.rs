//! HCOMPRESS streams (FITS 4.0, section 10.4.4; White, Postman & Lattanzi 1992): the coefficients of an H-transform, divided by a
//! scale and written bit plane by bit plane as quadtrees.

mod coefficient;
mod quadtree;
mod smooth;
mod transform;

use std::num::Wrapping;

use self::{
    coefficient::Coefficient,
    quadtree::{Quadrant, Quadtree},
    smooth::smooth,
    transform::{Level, ceil_log2, halves, invert_level, round_to},
};
use super::bit_reader::BitReader;

/// The beginning of a stream.
struct StreamHeader {
    rows: usize,
    columns: usize,
    /// By which coefficients were divided; 0 and 1 are lossless.
    scale: i32,
    /// The first coefficient, which is not among the bit planes.
    sum: i64,
    /// The bit planes of the quadrants: of the coarse coefficients, of the differences in one direction, and in both.
    planes: [u8; 3],
}

impl StreamHeader {
    const BYTES: usize = 25;

    /// Reads the header for a tile of these sides. Their order differs between writers.
    fn of(stream: &[u8], sides: &[usize]) -> Result<Self, String> {
        let head: &[u8; Self::BYTES] = stream.first_chunk().ok_or("is shorter than the header of HCOMPRESS")?;
        let [0xdd, 0x99, head @ ..] = head else {
            let found = stream[..2].escape_ascii();
            return Err(format!("begins with `{found}`, expected `\\xdd\\x99`: not a stream of HCOMPRESS"));
        };
        let int = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (rows, columns, scale) = (int(0), int(4), int(8));
        let sum = head[12..20].iter().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte)) as i64;
        let planes = [head[20], head[21], head[22]];
        let long = |sides: &mut dyn Iterator<Item = i64>| {
            let mut long: Vec<i64> = sides.filter(|side| *side != 1).collect();
            long.sort_unstable();
            long
        };
        let expected = long(&mut sides.iter().map(|side| *side as i64));
        if expected != long(&mut [rows, columns].into_iter().map(i64::from)) {
            return Err(format!("is an image of {rows} by {columns} pixels, expected {sides:?}"));
        }
        if scale < 0 {
            return Err(format!("has the scale {scale}, expected 0 or more"));
        }
        Ok(Self { rows: rows as usize, columns: columns as usize, scale, sum, planes })
    }

    /// Whether 32 bits hold all coefficients of a valid stream, and what the transform computes of them.
    fn is_narrow(&self, smooth: bool) -> bool {
        let planes = self.planes.into_iter().max().unwrap_or(0);
        let largest = u128::from(self.sum.unsigned_abs()).max(1 << planes.min(64)) * self.scale.max(1) as u128;
        // Rounding adds up to twice the longer side. Four coefficients are added, and smoothing multiplies by 64 before.
        let rounded = largest + 4 * self.rows.max(self.columns) as u128;
        rounded < if smooth { 1 << 22 } else { 1 << 28 }
    }
}

/// The format of the streams of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HcompressFormat {
    /// Whether coefficients have 64 bits, or 32: sums of large 16-bit tiles wrap around as they did when they were written.
    pub(super) wide: bool,
    /// Whether images are smoothed.
    pub(super) smooth: bool,
}

/// Decodes streams. Buffers are reused.
#[derive(Default)]
pub(super) struct Hcompress {
    narrow: HTransform<Wrapping<i32>>,
    wide: HTransform<Wrapping<i64>>,
}

impl Hcompress {
    /// Decodes a stream that holds exactly the pixels of a tile of these sides.
    pub(super) fn decode(
        &mut self,
        stream: &[u8],
        sides: &[usize],
        format: HcompressFormat,
        pixels: &mut [i32],
    ) -> Result<(), String> {
        let header = StreamHeader::of(stream, sides)?;
        let bits = if format.wide { 64 } else { 32 };
        if header.planes.iter().any(|planes| *planes >= bits) {
            return Err(format!("has {:?} bit planes, more than a number of {bits} bits has", header.planes));
        }
        let codes = &stream[StreamHeader::BYTES..];
        if format.wide && !header.is_narrow(format.smooth) {
            self.wide.decode(&header, codes, format.smooth, pixels)
        } else {
            self.narrow.decode(&header, codes, format.smooth, pixels)
        }
    }
}

/// The coefficients of a tile, and the image as far as it is restored.
#[derive(Default)]
struct HTransform<T> {
    quadtree: Quadtree,
    /// The quadrants, of which the first one has quadrants again.
    coefficients: Vec<T>,
    /// The image at the resolution of a level, and of the next one. That of the last level is the pixels.
    image: Vec<T>,
    next: Vec<T>,
}

impl<T: Coefficient> HTransform<T> {
    fn decode(
        &mut self,
        header: &StreamHeader,
        codes: &[u8],
        is_smooth: bool,
        pixels: &mut [i32],
    ) -> Result<(), String> {
        let StreamHeader { rows, columns, scale, .. } = *header;
        self.coefficients.clear();
        self.coefficients.resize(rows * columns, T::default());
        self.read(header, codes)?;
        let levels = ceil_log2(rows.max(columns));
        let first = self.coefficients[0];
        self.image.clear();
        self.image.push(if levels > 0 { round_to(first, levels + 1) } else { first });
        for number in (0..levels).rev() {
            let level = Level { number, stride: columns, rows: halves(rows, number), columns: halves(columns, number) };
            if is_smooth && scale > 1 {
                smooth(&self.image, &mut self.coefficients, &level, T::of((scale >> 1).into()));
            }
            if number == 0 {
                invert_level(&self.image, &self.coefficients, &level, T::truncated, pixels);
            } else {
                self.next.resize(level.rows * level.columns, T::default());
                invert_level(&self.image, &self.coefficients, &level, |pixel| pixel, &mut self.next);
                std::mem::swap(&mut self.image, &mut self.next);
            }
        }
        if levels == 0 {
            pixels[0] = first.truncated();
        }
        Ok(())
    }

    /// Reads the bit planes of the quadrants, the signs, and the first coefficient.
    fn read(&mut self, header: &StreamHeader, codes: &[u8]) -> Result<(), String> {
        let StreamHeader { rows, columns, scale, sum, planes } = *header;
        let mut bits = BitReader::new(codes);
        let (upper, left) = (rows.div_ceil(2), columns.div_ceil(2));
        let quadrants = [
            (0, upper, left, planes[0]),
            (left, upper, columns / 2, planes[1]),
            (upper * columns, rows / 2, left, planes[1]),
            (upper * columns + left, rows / 2, columns / 2, planes[2]),
        ];
        for (number, (start, rows, width, planes)) in (1..).zip(quadrants) {
            let end = (start + rows * columns).min(self.coefficients.len());
            let coefficients = self.coefficients.get_mut(start..end).unwrap_or_default();
            let mut quadrant = Quadrant { coefficients, stride: columns, rows, columns: width };
            for plane in (0..planes).rev() {
                self.quadtree
                    .read_plane(&mut bits, &mut quadrant, plane)
                    .map_err(|reason| format!("{reason} in bit plane {plane} of quadrant {number}"))?;
            }
        }
        match bits.take(4) {
            Some(0) => bits.align(),
            Some(found) => return Err(format!("has the code {found} after its bit planes, expected 0")),
            None => return Err("ends after its bit planes, expected signs".into()),
        }
        let scale = T::of(scale.max(1).into());
        // As many as a word has bits for certain. Which ones are zero, and have no sign, cannot be predicted: no branches.
        for coefficients in self.coefficients.chunks_mut(56) {
            bits.refill();
            let mut word = bits.word();
            let mut signs = 0;
            for coefficient in coefficients {
                let has_sign = u32::from(*coefficient != T::default());
                let minus = T::of((word >> 63) as i64 & i64::from(has_sign));
                *coefficient = ((*coefficient ^ -minus) + minus) * scale;
                word <<= has_sign;
                signs += has_sign;
            }
            if signs > bits.loaded() {
                return Err("ends within its signs".into());
            }
            bits.consume(signs);
        }
        self.coefficients[0] = T::of(sum) * scale;
        bits.finish()
    }
}
