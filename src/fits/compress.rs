//! What a survey's archive does to an image: quantised, tile-compressed, and read back, by cfitsio itself.
//!
//! Float pixels become integers `round((x - zero) / step + dither)` with `step = noise / q`, where the noise of a tile is the
//! least of three medians of absolute differences between pixels (2nd, 3rd and 5th order). Rice coding of those is lossless;
//! HCOMPRESS with a scale above 0 also rounds the coefficients of its H-transform, to `scale` times the noise. A tile without
//! noise, or with too wide a range for 31 bits, is stored as it is. A tile is a row of the image; for HCOMPRESS a plane.

use super::{Fits, Limits, cfitsio};

/// How an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compression {
    /// What packs the integers.
    pub algorithm: Algorithm,
    /// q: steps of the quantisation in the noise of a tile. Negative: the step itself, in the unit of the image.
    pub quantize_level: f32,
    /// Noise that is added before the rounding and subtracted when read.
    pub dither: Dither,
}

/// What packs integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Algorithm {
    /// Differences of neighbours, losslessly.
    Rice,
    /// Wavelets in two dimensions.
    Hcompress {
        /// What the coefficients are rounded to, in units of the noise; negative: in units of a step. 0 loses nothing.
        scale: f32,
    },
}

/// Noise that is added before the rounding and subtracted when read, from a seed of 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dither {
    /// No such noise: a faint gradient becomes a staircase.
    None,
    /// `SUBTRACTIVE_DITHER_1`.
    Subtractive1 {
        /// Where in its table of random numbers cfitsio begins.
        seed: u16,
    },
    /// `SUBTRACTIVE_DITHER_2`: the same, and pixels that are exactly 0 stay so.
    Subtractive2 {
        /// Where in its table of random numbers cfitsio begins.
        seed: u16,
    },
}

/// Pixels beyond this size would overflow the arithmetic of cfitsio.
const LARGEST: f32 = 1e30;
/// Steps from 0 to a pixel that cfitsio can count.
const MOST_STEPS: f64 = 9e15;

/// Puts an image of planes `[.., y, x]` through a compressed FITS file in memory. Gives the bytes that the tiles took.
///
/// # Errors
/// When a pixel is not finite, or a number is too large for the arithmetic of cfitsio; the image is left as it was.
///
/// # Panics
/// When the pixels do not fill the axes, of which there have to be two or more.
pub fn round_trip(image: &mut [f32], shape: &[usize], how: &Compression) -> Result<u64, String> {
    let [.., height, width] = shape else { panic!("an image has two axes or more, not {}", shape.len()) };
    let (mut largest, mut finite) = (0_f32, true);
    for pixel in image.iter() {
        finite &= pixel.is_finite();
        largest = largest.max(pixel.abs());
    }
    if !finite {
        let bad = image.iter().filter(|pixel| !pixel.is_finite()).count();
        return Err(format!("has {bad} pixels that are not finite; expected none"));
    }
    let too_many = how.quantize_level < 0.0 && f64::from(largest / -how.quantize_level) > MOST_STEPS;
    if largest > LARGEST || too_many {
        return Err(format!("has a pixel of {largest}, too large to be quantised"));
    }
    if let Algorithm::Hcompress { scale } = how.algorithm {
        for plane in image.chunks_exact((height * width).max(1)) {
            room_for_hcompress(plane, (*height, *width), scale, how.quantize_level)?;
        }
    }
    let failed = |reason: String| format!("cannot be compressed: {reason}");
    let file = cfitsio::compress(image, shape, how).map_err(failed)?;
    // What was written is read as any other file: checked, repacked, decoded.
    let file = Fits::from_bytes("compressed", file, &Limits::default()).map_err(|error| failed(error.reason))?;
    let bytes = file.hdus().get(1).map_or(0, |unit| unit.header.integer("PCOUNT").ok().flatten().unwrap_or(0));
    file.image(1).map_err(|error| failed(error.reason))?.copy(0, image);
    Ok(bytes.unsigned_abs())
}

/// The coder of HCOMPRESS does not look where its buffer ends. So the most that it can write is worked out before: every
/// quadrant of the transform is written bit plane by bit plane, at most a nybble for four pixels and one before the plane.
fn room_for_hcompress(plane: &[f32], (height, width): (usize, usize), scale: f32, level: f32) -> Result<(), String> {
    let (low, high, noise) = cfitsio::noise(plane, width)?;
    let step = if level < 0.0 { -f64::from(level) } else { noise / f64::from(level) };
    let steps = (f64::from(high) - f64::from(low)) / step;
    if step == 0.0 || steps > 4e9 {
        return Ok(()); // Not quantised, and packed by gzip.
    }
    let range = (steps + 32.0).log2().ceil() as usize;
    let levels = (height.max(width) as f64).log2().ceil() as usize;
    let nybbles = |height: usize, width: usize| height.div_ceil(2) * width.div_ceil(2) + 1;
    let (upper, left) = (height.div_ceil(2), width.div_ceil(2));
    let coarse = nybbles(upper, left) * (range + levels + 2);
    let fine = nybbles(upper, width / 2) + nybbles(height / 2, left) + nybbles(height / 2, width / 2);
    let most = (coarse + fine * (range + 2)).div_ceil(2) + plane.len() / 8 + 30;
    let coarsest = f64::from(scale.max(0.0)) * (noise / step + 1.0);
    if most as f64 > 4.4 * plane.len() as f64 + 26.0 || coarsest > 5e8 {
        return Err(format!("spans {steps:.3e} steps of {step:.3e}, more than HCOMPRESS has room for"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        shape: Vec<usize>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        algorithm: String,
        quantize_level: f32,
        hcompress_scale: f32,
        dither: i32,
        seed: u16,
        /// Bits of the first pixels, the sum of all as integers, and the greatest change.
        first: Vec<u32>,
        sum: u64,
        worst: f64,
    }

    fn golden() -> (Golden, Vec<f32>) {
        let golden = serde_json::from_str(include_str!("../../tests/golden/compress/golden.json")).expect("numbers");
        let bytes = include_bytes!("../../tests/golden/compress/image.f32");
        (golden, bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn compression(case: &Case) -> Compression {
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
    fn what_is_read_back_has_the_bits_of_another_writer() {
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
    fn no_pixel_moves_by_more_than_half_a_step_of_a_given_size() {
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
    fn threads_do_not_disturb_each_other() {
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
    fn what_cannot_be_quantised_is_stored_as_it_is() {
        let mut flat = vec![2.5; 60];
        let before = flat.clone();
        let how = Compression { algorithm: Algorithm::Rice, quantize_level: 4.0, dither: Dither::None };
        round_trip(&mut flat, &[3, 4, 5], &how).expect("compressed");
        assert_eq!(flat, before);
    }

    #[test]
    fn numbers_that_cfitsio_cannot_hold_are_refused_and_left_alone() {
        let refused = |pixel: f32, algorithm, level| {
            let mut image: Vec<f32> = (0..64).map(|i| ((i * 37) % 11) as f32).collect();
            image[20] = pixel;
            let before = image.clone();
            let how = Compression { algorithm, quantize_level: level, dither: Dither::None };
            let said = round_trip(&mut image, &[8, 8], &how).expect_err("refused");
            assert!(image.iter().zip(&before).all(|(a, b)| a.to_bits() == b.to_bits()));
            said
        };
        assert_eq!(refused(f32::NAN, Algorithm::Rice, 4.0), "has 1 pixels that are not finite; expected none");
        assert!(refused(1e35, Algorithm::Rice, 4.0).contains("too large"));
        assert!(refused(1e20, Algorithm::Rice, -1e-3).contains("too large"));
        assert!(refused(3e9, Algorithm::Hcompress { scale: 0.0 }, -1.0).contains("more than HCOMPRESS has room for"));
    }

    #[test]
    fn the_coder_of_hcompress_stays_inside_of_its_buffer_at_the_widest_allowed_range() {
        // Noise of the widest range that passes, in the smallest and in odd planes: what is read back is what was quantised.
        for (height, width) in [(4, 4), (5, 7), (16, 33), (100, 100)] {
            let mut state = 1_u32;
            let mut draw = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state >> 8
            };
            let noise: Vec<u32> = (0..height * width).map(|_| draw()).collect();
            let how = Compression {
                algorithm: Algorithm::Hcompress { scale: 0.0 },
                quantize_level: -1.0,
                dither: Dither::None,
            };
            let widest = (1..=24).rev().find_map(|bits| {
                let mut image: Vec<f32> = noise.iter().map(|draw| (draw >> (24 - bits)) as f32).collect();
                let before = image.clone();
                round_trip(&mut image, &[height, width], &how).ok().map(|_| (bits, image == before))
            });
            assert!(matches!(widest, Some((8.., true))), "{height}x{width}: {widest:?}");
        }
    }
}
