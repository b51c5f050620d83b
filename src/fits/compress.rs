//! The effect of an archive on an image: it is quantised and tile-compressed by cfitsio itself, and read back.
//!
//! Float pixels become integers `round((x - zero) / step + dither)` with `step = noise / q`, where the noise of a tile is the
//! least of three medians of absolute differences between pixels (2nd, 3rd and 5th order). Rice coding of the integers is
//! lossless; HCOMPRESS with a scale above 0 also rounds the coefficients of its H-transform, to `scale` times the noise. A tile
//! without noise, or with a range that exceeds 31 bits, is stored unchanged. A tile is a row of the image; for HCOMPRESS a plane.

use super::{FitsError, FitsFile, Limits, cfitsio};

/// The settings of a compression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compression {
    /// The coding of the integers.
    pub algorithm: Algorithm,
    /// q: the noise of a tile in steps of the quantisation. Negative: the step itself, in the unit of the image.
    pub quantize_level: f32,
    /// The dither.
    pub dither: Dither,
}

/// The coding of integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// Rice coding of the differences of neighbours; lossless.
    Rice,
    /// Wavelets in two dimensions.
    Hcompress {
        /// The step to which coefficients are rounded, in units of the noise; negative: in quantisation steps. 0 is lossless.
        scale: f32,
    },
}

/// Noise that is added before the rounding and subtracted when read, from a seed of 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dither {
    /// No dither: a faint gradient becomes a staircase.
    None,
    /// `SUBTRACTIVE_DITHER_1`.
    Subtractive1 {
        /// Where in its table of random numbers cfitsio begins.
        seed: u16,
    },
    /// `SUBTRACTIVE_DITHER_2`: the same, and pixels that are exactly 0 stay 0.
    Subtractive2 {
        /// Where in its table of random numbers cfitsio begins.
        seed: u16,
    },
}

/// Why an image cannot be compressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// Pixels are NaN or infinite.
    #[error("has {0} pixels that are not finite, expected only finite ones")]
    NotFinite(usize),
    /// A pixel exceeds the arithmetic of cfitsio.
    #[error("has a pixel of {0}, too large to be quantised")]
    TooLarge(f32),
    /// The range of a plane exceeds the buffer of HCOMPRESS.
    #[error("spans {steps:.3e} steps of {step:.3e}, more than HCOMPRESS has room for")]
    TooWide {
        /// From the least to the greatest pixel, in steps.
        steps: f64,
        /// The step of the quantisation.
        step: f64,
    },
    /// cfitsio failed to write the image.
    #[error("cannot be compressed: {0}")]
    Cfitsio(String),
    /// The compressed image cannot be read back.
    #[error("cannot be read back after compression")]
    ReadBack(#[from] FitsError),
}

/// Larger pixels would overflow the arithmetic of cfitsio.
const MAX_PIXEL: f32 = 1e30;
/// The most steps between 0 and a pixel that cfitsio can count.
const MAX_STEPS: f64 = 9e15;

/// Writes an image of planes `[.., y, x]` into a compressed FITS file in memory and reads it back. Returns the number of bytes of
/// the compressed tiles.
///
/// # Errors
/// When a pixel is not finite or too large for the arithmetic of cfitsio. The image is not changed then.
///
/// # Panics
/// When the shape has fewer than two axes, or not as many pixels as the image.
pub fn round_trip(image: &mut [f32], shape: &[usize], how: &Compression) -> Result<u64, CompressionError> {
    let [.., height, width] = shape else { panic!("expected two axes or more, found {}", shape.len()) };
    let (mut largest, mut finite) = (0_f32, true);
    for pixel in image.iter() {
        finite &= pixel.is_finite();
        largest = largest.max(pixel.abs());
    }
    if !finite {
        let bad = image.iter().filter(|pixel| !pixel.is_finite()).count();
        return Err(CompressionError::NotFinite(bad));
    }
    let too_many = how.quantize_level < 0.0 && f64::from(largest / -how.quantize_level) > MAX_STEPS;
    if largest > MAX_PIXEL || too_many {
        return Err(CompressionError::TooLarge(largest));
    }
    if let Algorithm::Hcompress { scale } = how.algorithm {
        for plane in image.chunks_exact((height * width).max(1)) {
            check_room_for_hcompress(plane, *width, scale, how.quantize_level)?;
        }
    }
    let file = cfitsio::compress(image, shape, how).map_err(CompressionError::Cfitsio)?;
    // The file is read like any other.
    let file = FitsFile::from_bytes("compressed", file, &Limits::default())?;
    let bytes = file.hdus().get(1).map_or(0, |hdu| hdu.header.integer("PCOUNT").ok().flatten().unwrap_or(0));
    file.image(1)?.copy(0, image);
    Ok(bytes.unsigned_abs())
}

/// The coder of HCOMPRESS does not check the end of its buffer. Therefore an upper bound of its output is computed before: every
/// quadrant of the transform is written bit plane by bit plane, at most a nybble for four pixels and one before the plane.
fn check_room_for_hcompress(plane: &[f32], width: usize, scale: f32, level: f32) -> Result<(), CompressionError> {
    let height = plane.len() / width;
    let statistics = cfitsio::statistics(plane, width).map_err(CompressionError::Cfitsio)?;
    let step = if level < 0.0 { -f64::from(level) } else { statistics.noise / f64::from(level) };
    let steps = (f64::from(statistics.high) - f64::from(statistics.low)) / step;
    if step == 0.0 || steps > 4e9 {
        return Ok(()); // Such a plane is not quantised, but compressed by gzip.
    }
    let range = (steps + 32.0).log2().ceil() as usize;
    let levels = (height.max(width) as f64).log2().ceil() as usize;
    let nybbles = |height: usize, width: usize| height.div_ceil(2) * width.div_ceil(2) + 1;
    let (upper, left) = (height.div_ceil(2), width.div_ceil(2));
    let coarse = nybbles(upper, left) * (range + levels + 2);
    let fine = nybbles(upper, width / 2) + nybbles(height / 2, left) + nybbles(height / 2, width / 2);
    let most = (coarse + fine * (range + 2)).div_ceil(2) + plane.len() / 8 + 30;
    let coarsest = f64::from(scale.max(0.0)) * (statistics.noise / step + 1.0);
    if most as f64 > 4.4 * plane.len() as f64 + 26.0 || coarsest > 5e8 {
        return Err(CompressionError::TooWide { steps, step });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use serde::Deserialize;

    use super::*;
    use crate::random::Stream;

    #[derive(Deserialize)]
    struct CompressedImages {
        shape: Vec<usize>,
        cases: Vec<CompressedImage>,
    }

    #[derive(Deserialize)]
    struct CompressedImage {
        algorithm: String,
        quantize_level: f32,
        hcompress_scale: f32,
        dither: i32,
        seed: u16,
        /// Bits of the first pixels, the sum of the bits of all pixels, and the largest change.
        first: Vec<u32>,
        sum: u64,
        worst: f64,
    }

    fn golden() -> (CompressedImages, Vec<f32>) {
        let golden = serde_json::from_str(include_str!("../../tests/golden/compress/golden.json")).expect("numbers");
        let bytes = include_bytes!("../../tests/golden/compress/image.f32");
        (golden, bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn compression(case: &CompressedImage) -> Compression {
        let algorithm = match case.algorithm.as_str() {
            "rice" => Algorithm::Rice,
            _ => Algorithm::Hcompress { scale: case.hcompress_scale },
        };
        let dither = match case.dither {
            1 => Dither::Subtractive1 { seed: case.seed },
            2 => Dither::Subtractive2 { seed: case.seed },
            _ => Dither::None,
        };
        Compression { algorithm, quantize_level: case.quantize_level, dither }
    }

    #[test]
    fn images_read_back_have_the_bits_of_python_fitsio() {
        let (golden, image) = golden();
        assert!(golden.cases.len() >= 10);
        for case in &golden.cases {
            let mut out = image.clone();
            let bytes = round_trip(&mut out, &golden.shape, &compression(case)).expect("compressed");
            let name = format!("{:?}", compression(case));
            let bits: Vec<u32> = out.iter().map(|pixel| pixel.to_bits()).collect();
            assert_eq!(bits[..case.first.len()], case.first, "{name}");
            assert_eq!(bits.iter().map(|bits| u64::from(*bits)).sum::<u64>(), case.sum, "{name}");
            let change = image.iter().zip(&out).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
            assert!((change.fold(0.0, f64::max) - case.worst).abs() < 1e-6, "{name}");
            assert!(bytes > 0 && bytes < 4 * image.len() as u64, "{name}: {bytes}");
        }
    }

    #[test]
    fn no_pixel_changes_by_more_than_half_a_given_step() {
        let (golden, image) = golden();
        for (dither, algorithm) in [
            (Dither::None, Algorithm::Rice),
            (Dither::Subtractive1 { seed: 77 }, Algorithm::Rice),
            (Dither::None, Algorithm::Hcompress { scale: 0.0 }),
        ] {
            let mut out = image.clone();
            let how = Compression { algorithm, quantize_level: -8.0, dither };
            round_trip(&mut out, &golden.shape, &how).expect("compressed");
            let worst = image.iter().zip(&out).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst > 3.9 && worst < 4.0 + 1e-3, "{how:?}: {worst}");
        }
    }

    #[test]
    fn threads_compress_independently() {
        let (golden, image) = golden();
        let barrier = Barrier::new(4);
        let how = |seed| Compression {
            algorithm: if seed % 3 == 0 { Algorithm::Hcompress { scale: 1.5 } } else { Algorithm::Rice },
            quantize_level: 4.0,
            dither: Dither::Subtractive1 { seed },
        };
        let packed = |seed| {
            let mut out = image.clone();
            round_trip(&mut out, &golden.shape, &how(seed)).expect("compressed");
            out
        };
        let together: Vec<Vec<Vec<f32>>> = thread::scope(|scope| {
            let work = (0..4).map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    (1..40).map(packed).collect()
                })
            });
            let threads: Vec<_> = work.collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
        });
        let alone: Vec<Vec<f32>> = (1..40).map(packed).collect();
        assert!(together.iter().all(|found| *found == alone));
    }

    #[test]
    fn images_that_cannot_be_quantised_are_stored_unchanged() {
        let flat = vec![2.5; 60];
        let mut wide: Vec<f32> = (0..60).map(|i| ((i * 37) % 11) as f32).collect();
        wide[33] = 1e10;
        for algorithm in [Algorithm::Rice, Algorithm::Hcompress { scale: 0.0 }] {
            for (before, quantize_level) in [(&flat, 4.0), (&wide, -1.0)] {
                let (mut after, how) =
                    (before.clone(), Compression { algorithm, quantize_level, dither: Dither::None });
                round_trip(&mut after, &[3, 4, 5], &how).expect("compressed");
                assert_eq!(after, *before, "{how:?}");
            }
        }
    }

    #[test]
    fn rejects_numbers_that_overflow_cfitsio_and_leaves_the_image_unchanged() {
        let rejected = |pixel: f32, algorithm, level| {
            let mut image: Vec<f32> = (0..64).map(|i| ((i * 37) % 11) as f32).collect();
            image[20] = pixel;
            let before = image.clone();
            let how = Compression { algorithm, quantize_level: level, dither: Dither::None };
            let error = round_trip(&mut image, &[8, 8], &how).expect_err("rejected");
            assert!(image.iter().zip(&before).all(|(a, b)| a.to_bits() == b.to_bits()));
            error.to_string()
        };
        let message = "has 1 pixels that are not finite, expected only finite ones";
        assert_eq!(rejected(f32::NAN, Algorithm::Rice, 4.0), message);
        assert!(rejected(1e35, Algorithm::Rice, 4.0).contains("too large"));
        assert!(rejected(1e20, Algorithm::Rice, -1e-3).contains("too large"));
        let too_wide = |scale, pixel, level| rejected(pixel, Algorithm::Hcompress { scale }, level);
        assert!(too_wide(0.0, 3e9, -1.0).contains("more than HCOMPRESS has room for"));
        assert!(too_wide(1e9, 3.0, 4.0).contains("more than HCOMPRESS has room for"));
    }

    #[test]
    fn hcompress_stays_within_its_buffer_at_the_widest_allowed_range() {
        // Noise of the widest range that is accepted, in the smallest and in odd planes, is read back as it was quantised.
        let how =
            Compression { algorithm: Algorithm::Hcompress { scale: 0.0 }, quantize_level: -1.0, dither: Dither::None };
        let widest = [(4, 4), (5, 7), (16, 33), (100, 100)].map(|(height, width)| {
            let mut stream = Stream::new(1, "plane", "noise");
            let noise: Vec<u32> = (0..height * width).map(|_| stream.next_u32() >> 8).collect();
            (1..=24).rev().find_map(|bits| {
                let mut image: Vec<f32> = noise.iter().map(|draw| (draw >> (24 - bits)) as f32).collect();
                let before = image.clone();
                round_trip(&mut image, &[height, width], &how).ok().map(|_| (bits, image == before))
            })
        });
        assert_eq!(widest, [13, 15, 24, 24].map(|bits| Some((bits, true))));
    }
}
