//! Pixels of another size, with the flux kept.
//!
//! A pixel holds the flux that falls on it. *Area*: every output pixel takes of each input pixel the part that it covers
//! (drizzle with square pixels, `pixfrac` 1; Fruchter & Hook 2002), exact for flux that is spread evenly over its pixel.
//! *Lanczos*: surface brightness interpolated with sinc(x) sinc(x/3), widened for larger output pixels, times the area of
//! an output pixel: sharper, with ringing at steps. Both are separable, so the weights of an axis are made once.
//!
//! The output keeps the centre of the image and has only pixels that lie inside it: a rim of less than one output
//! pixel is lost.

use std::ops::Range;

use multiversion::multiversion;

/// How flux is moved to other pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Parts of pixels by the area that they cover.
    Area,
    /// Surface brightness through sinc(x) sinc(x/3).
    Lanczos,
}

/// Lobes of the Lanczos kernel on each side.
const LOBES: f64 = 3.0;

/// How many output pixels of `ratio` input pixels lie inside `pixels`; at least one.
pub fn resampled(pixels: usize, ratio: f64) -> usize {
    // The ratio of two decimal scales is rarely a whole number in binary where it is one on paper.
    ((pixels as f64 / ratio * (1.0 + 1e-12)).floor() as usize).max(1)
}

/// The weights of one axis: which input pixels an output pixel is made of.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    pixels: Vec<(usize, Range<usize>)>,
    weights: Vec<f32>,
}

impl Axis {
    fn new(kernel: Kernel, input: usize, ratio: f64) -> Self {
        let output = resampled(input, ratio);
        let left = (input as f64 - output as f64 * ratio) / 2.0;
        let mut axis = Self { pixels: Vec::with_capacity(output), weights: Vec::new() };
        for pixel in 0..output {
            let from = left + pixel as f64 * ratio;
            let (start, weights) = match kernel {
                Kernel::Area => overlaps(input, from, from + ratio),
                Kernel::Lanczos => lanczos(input, from + ratio / 2.0, ratio),
            };
            let first = axis.weights.len();
            axis.weights.extend(weights.into_iter().map(|weight| weight as f32));
            axis.pixels.push((start, first..axis.weights.len()));
        }
        axis
    }

    fn squared(&self) -> Self {
        Self { pixels: self.pixels.clone(), weights: self.weights.iter().map(|weight| weight * weight).collect() }
    }

    fn pixels(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.pixels.iter().map(|(start, range)| (*start, &self.weights[range.clone()]))
    }
}

/// How much of each input pixel lies between two places; pixel i reaches from i to i + 1.
fn overlaps(input: usize, from: f64, to: f64) -> (usize, Vec<f64>) {
    let (from, to) = (from.max(0.0), to.min(input as f64));
    // A sliver that only rounding made would let a NaN reach a pixel that it does not touch.
    let start = ((from + 1e-9).floor() as usize).min(input - 1);
    let end = ((to - 1e-9).ceil() as usize).clamp(start + 1, input);
    (start, (start..end).map(|i| (to.min((i + 1) as f64) - from.max(i as f64)).max(0.0)).collect())
}

fn lanczos(input: usize, centre: f64, ratio: f64) -> (usize, Vec<f64>) {
    let width = ratio.max(1.0);
    let reach = LOBES * width;
    let start = ((centre - 0.5 - reach).ceil().max(0.0) as usize).min(input - 1);
    let end = ((centre - 0.5 + reach).floor() as usize + 1).clamp(start + 1, input);
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    let mut weights: Vec<f64> = (start..end)
        .map(|i| (i as f64 + 0.5 - centre) / width)
        .map(|x| if x.abs() < LOBES { sinc(x) * sinc(x / LOBES) } else { 0.0 })
        .collect();
    // Weights that add up to the size of an output pixel keep a flat sky exact, at the rim too.
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight *= ratio / sum);
    (start, weights)
}

/// A resampling of planes of one size, its weights ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampling {
    width: usize,
    rows: Axis,
    columns: Axis,
}

impl Resampling {
    /// From planes of (height, width) to pixels of `ratio` input pixels each side (output scale / input scale).
    pub fn new(kernel: Kernel, (height, width): (usize, usize), ratio: f64) -> Self {
        Self { width, rows: Axis::new(kernel, height, ratio), columns: Axis::new(kernel, width, ratio) }
    }

    /// The same for variances of independent pixels: every weight squared. Neighbours become correlated; that is lost.
    #[must_use]
    pub fn of_variance(&self) -> Self {
        Self { width: self.width, rows: self.rows.squared(), columns: self.columns.squared() }
    }

    /// Height and width of the output.
    pub fn size(&self) -> (usize, usize) {
        (self.rows.pixels.len(), self.columns.pixels.len())
    }

    /// Resamples a plane. A NaN spreads to the output pixels that its pixel has a part in, and no further.
    pub fn plane(&self, plane: &[f32], out: &mut [f32]) {
        // Lines of pixels are added as a whole, which processors do well; so columns are laid as lines for their turn.
        let (height, width) = self.size();
        let mut tall = vec![0.0; height * self.width];
        lines(&self.rows.pixels, &self.rows.weights, plane, self.width, &mut tall);
        let mut turned = vec![0.0; height * self.width];
        transpose(&tall, self.width, &mut turned);
        let mut wide = vec![0.0; height * width];
        lines(&self.columns.pixels, &self.columns.weights, &turned, height, &mut wide);
        transpose(&wide, height, out);
    }

    /// The greatest input number that an output pixel touches: how a mask is resampled.
    pub fn maximum(&self, plane: &[f32], out: &mut [f32]) {
        let mut line = vec![0.0; self.width];
        for ((start, weights), out) in self.rows.pixels().zip(out.chunks_exact_mut(self.size().1)) {
            line.fill(f32::NEG_INFINITY);
            for (row, _) in plane[start * self.width..].chunks_exact(self.width).zip(weights) {
                line.iter_mut().zip(row).for_each(|(most, pixel)| *most = most.max(*pixel));
            }
            for ((start, weights), out) in self.columns.pixels().zip(out) {
                *out = line[start..start + weights.len()].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            }
        }
    }
}

/// Every output line is the weighted sum of some lines of the input; all have `width` pixels.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "x86_64+avx"))]
fn lines(pixels: &[(usize, Range<usize>)], weights: &[f32], input: &[f32], width: usize, out: &mut [f32]) {
    for ((start, range), out) in pixels.iter().zip(out.chunks_exact_mut(width)) {
        let input = input[start * width..].chunks_exact(width);
        for (number, (line, weight)) in input.zip(&weights[range.clone()]).enumerate() {
            if number == 0 {
                out.iter_mut().zip(line).for_each(|(sum, pixel)| *sum = weight * pixel);
            } else {
                out.iter_mut().zip(line).for_each(|(sum, pixel)| *sum += weight * pixel);
            }
        }
    }
}

/// Makes columns of lines of `width` pixels.
fn transpose(plane: &[f32], width: usize, out: &mut [f32]) {
    let height = plane.len() / width;
    for (x, out) in out.chunks_exact_mut(height).enumerate() {
        out.iter_mut().zip(plane[x..].iter().step_by(width)).for_each(|(out, pixel)| *out = *pixel);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn resample(kernel: Kernel, plane: &[f32], size: (usize, usize), ratio: f64) -> (Vec<f32>, (usize, usize)) {
        let resampling = Resampling::new(kernel, size, ratio);
        let mut out = vec![f32::NAN; resampling.size().0 * resampling.size().1];
        resampling.plane(plane, &mut out);
        (out, resampling.size())
    }

    #[test]
    fn halves_and_doubles_are_sums_and_quarters() {
        let plane: Vec<f32> = (0..8).map(|i| i as f32).collect();
        assert_eq!(resample(Kernel::Area, &plane, (2, 4), 2.0), (vec![10.0, 18.0], (1, 2)));
        let (fine, size) = resample(Kernel::Area, &[4.0, 8.0], (1, 2), 0.5);
        assert_eq!((fine, size), (vec![1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0], (2, 4)));
    }

    #[test]
    fn the_rim_that_fits_no_pixel_is_lost_evenly() {
        let (out, size) = resample(Kernel::Area, &[1.0, 2.0, 4.0, 8.0, 16.0], (1, 5), 2.0);
        assert_eq!(size, (1, 2), "one row of five pixels makes one row");
        assert_eq!(out, [0.5 + 2.0 + 2.0, 2.0 + 8.0 + 8.0].map(|x| x * 1.0));
    }

    #[test]
    fn decimal_scales_lose_no_pixel_to_rounding() {
        assert_eq!(resampled(100, 0.339 / 0.2), 58);
        assert_eq!(resampled(100, 0.2 / 0.339), 169);
        assert_eq!(resampled(30, 0.3 / 0.1), 10);
        assert_eq!(resampled(3, 0.1 / 0.3), 9);
        assert_eq!(resampled(3, 100.0), 1);
    }

    #[test]
    fn an_output_pixel_on_its_input_pixel_is_the_same() {
        let plane: Vec<f32> = (0..42).map(|i| (i * i % 17) as f32).collect();
        for kernel in [Kernel::Area, Kernel::Lanczos] {
            let (out, size) = resample(kernel, &plane, (6, 7), 1.0);
            assert_eq!(size, (6, 7));
            assert!(out.iter().zip(&plane).all(|(a, b)| (a - b).abs() < 1e-5), "{kernel:?}");
        }
    }

    #[test]
    fn a_nan_reaches_only_the_pixels_it_touches() {
        let mut plane = vec![1.0; 100];
        plane[44] = f32::NAN;
        let (out, _) = resample(Kernel::Area, &plane, (10, 10), 0.5);
        assert_eq!(out.iter().filter(|x| x.is_nan()).count(), 4);
        assert!(out[8 * 20 + 8].is_nan() && out[9 * 20 + 9].is_nan());
    }

    #[test]
    fn variances_add_by_squared_parts_and_masks_by_the_worst() {
        let resampling = Resampling::new(Kernel::Area, (1, 3), 1.5);
        assert_eq!(resampling.size(), (1, 2));
        let mut out = [0.0; 2];
        // One row of 3 is thinner than an output pixel of 1.5: all of it counts.
        resampling.of_variance().plane(&[4.0, 8.0, 16.0], &mut out);
        assert_eq!(out, [4.0 + 0.25 * 8.0, 0.25 * 8.0 + 16.0]);
        resampling.maximum(&[0.0, 2.0, 1.0], &mut out);
        assert_eq!(out, [2.0, 2.0]);
        resampling.maximum(&[0.0, 0.0, 1.0], &mut out);
        assert_eq!(out, [0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn flux_inside_the_rim_is_conserved(
            pixels in proptest::collection::vec(0.0f32..1e4, 400), scale in 0.2f64..3.0,
        ) {
            // A margin of four pixels is wider than the rim, and holds no flux.
            let mut plane = vec![0.0; 28 * 28];
            for (row, line) in pixels.chunks_exact(20).enumerate() {
                plane[(row + 4) * 28 + 4..(row + 4) * 28 + 24].copy_from_slice(line);
            }
            let total = |plane: &[f32]| plane.iter().map(|x| f64::from(*x)).sum::<f64>();
            let (out, _) = resample(Kernel::Area, &plane, (28, 28), scale);
            prop_assert!((total(&out) / total(&plane) - 1.0).abs() < 1e-6, "{} {}", total(&out), total(&plane));
        }

        #[test]
        fn a_flat_sky_stays_flat_with_every_kernel(scale in 0.2f64..3.0, height in 4usize..30, width in 4usize..30) {
            for kernel in [Kernel::Area, Kernel::Lanczos] {
                let (out, _) = resample(kernel, &vec![100.0; height * width], (height, width), scale);
                let want = (100.0 * scale * scale) as f32;
                prop_assert!(out.iter().all(|x| (x / want - 1.0).abs() < 2e-6), "{kernel:?} {out:?} {want}");
            }
        }
    }
}
