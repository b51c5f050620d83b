//! Resampling to another pixel size, which conserves flux.
//!
//! A pixel holds the flux that falls on it. *Area*: an output pixel gets of each input pixel the share that it covers (drizzle with
//! square pixels and `pixfrac` 1; Fruchter & Hook 2002). This is exact for flux that is spread evenly over its pixel. *Lanczos*:
//! the surface brightness is interpolated with sinc(x) sinc(x/3), widened for larger output pixels, and multiplied by the area of
//! an output pixel: sharper, with ringing at steps. *Samples*: numbers that are not fluxes of pixels but values at their centres are
//! interpolated with the same kernel, not widened. All are separable, so the weights of each axis are computed once.
//!
//! The output has the centre of the input and only pixels that lie inside it: a rim narrower than one output pixel is lost.

use std::ops::Range;

use multiversion::multiversion;

/// The weights with which input pixels contribute to output pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResamplingKernel {
    /// By the area of the intersection.
    Area,
    /// Interpolation of the surface brightness with sinc(x) sinc(x/3).
    Lanczos,
    /// Interpolation of samples with the same: the values at the centres of the output pixels, without their area. Beyond the input,
    /// samples are 0.
    Samples,
}

/// Lobes of the Lanczos kernel on each side.
const LOBES: f64 = 3.0;

/// The number of output pixels, each `ratio` input pixels wide, that lie inside `pixels` input pixels; at least one.
pub fn resampled(pixels: usize, ratio: f64) -> usize {
    // The quotient of two decimal scales can be an integer on paper and slightly less in binary.
    ((pixels as f64 / ratio * (1.0 + 1e-12)).floor() as usize).max(1)
}

/// The weights of one axis.
#[derive(Debug, Clone, PartialEq)]
struct AxisWeights {
    /// For each output pixel its first input pixel, and the range of its weights.
    pixels: Vec<(usize, Range<usize>)>,
    weights: Vec<f32>,
}

impl AxisWeights {
    fn new(kernel: ResamplingKernel, input: usize, output: usize, ratio: f64) -> Self {
        let left = (input as f64 - output as f64 * ratio) / 2.0;
        let mut axis = Self { pixels: Vec::with_capacity(output), weights: Vec::new() };
        for pixel in 0..output {
            let from = left + pixel as f64 * ratio;
            let (start, weights) = match kernel {
                ResamplingKernel::Area => overlaps(input, from, from + ratio),
                ResamplingKernel::Lanczos => lanczos(input, from + ratio / 2.0, ratio),
                ResamplingKernel::Samples => samples(input, from + ratio / 2.0),
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

/// The first input pixel between two positions, and the share of each that lies between them. Pixel i extends from i to i + 1.
fn overlaps(input: usize, from: f64, to: f64) -> (usize, Vec<f64>) {
    let (from, to) = (from.max(0.0), to.min(input as f64));
    // A sliver that is due to rounding would let a NaN reach a pixel that it does not touch.
    let start = ((from + 1e-9).floor() as usize).min(input - 1);
    let end = ((to - 1e-9).ceil() as usize).clamp(start + 1, input);
    (start, (start..end).map(|i| (to.min((i + 1) as f64) - from.max(i as f64)).max(0.0)).collect())
}

/// sinc(x) sinc(x/3).
fn lanczos_kernel(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    if x.abs() < LOBES { sinc(x) * sinc(x / LOBES) } else { 0.0 }
}

/// The first input pixel within reach of an output pixel, and the weights from there on.
fn lanczos(input: usize, centre: f64, ratio: f64) -> (usize, Vec<f64>) {
    let width = ratio.max(1.0);
    let reach = LOBES * width;
    let start = ((centre - 0.5 - reach).ceil().max(0.0) as usize).min(input - 1);
    let end = ((centre - 0.5 + reach).floor() as usize + 1).clamp(start + 1, input);
    let mut weights: Vec<f64> = (start..end).map(|i| lanczos_kernel((i as f64 + 0.5 - centre) / width)).collect();
    // Weights that sum to the size of an output pixel keep a flat sky exact, at the rim too.
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight *= ratio / sum);
    (start, weights)
}

/// The first sample within reach of a position, and the weights from there on.
fn samples(input: usize, position: f64) -> (usize, Vec<f64>) {
    let away = |i: i64| i as f64 + 0.5 - position;
    let first = (position - 0.5 - LOBES).ceil() as i64;
    let within = first..first + 2 * LOBES as i64 + 1;
    // Those beyond the input count here, as samples of 0.
    let sum: f64 = within.clone().map(|i| lanczos_kernel(away(i))).sum();
    let start = within.start.clamp(0, input as i64 - 1);
    let end = within.end.clamp(start + 1, input as i64);
    (start as usize, (start..end).map(|i| lanczos_kernel(away(i)) / sum).collect())
}

/// A resampling of planes of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampling {
    width: usize,
    rows: AxisWeights,
    columns: AxisWeights,
}

impl Resampling {
    /// From planes of (height, width) to pixels with a side of `ratio` input pixels (output scale / input scale).
    pub fn new(kernel: ResamplingKernel, (height, width): (usize, usize), ratio: f64) -> Self {
        let size = (resampled(height, ratio), resampled(width, ratio));
        Self::to_size(kernel, (height, width), size, ratio)
    }

    /// The same with another size of the output, which may reach beyond the input: there, nothing is.
    pub fn to_size(
        kernel: ResamplingKernel,
        (height, width): (usize, usize),
        (rows, columns): (usize, usize),
        ratio: f64,
    ) -> Self {
        Self {
            width,
            rows: AxisWeights::new(kernel, height, rows, ratio),
            columns: AxisWeights::new(kernel, width, columns, ratio),
        }
    }

    /// The same for variances of independent pixels: the weights are squared. The correlation of output pixels is not kept.
    #[must_use]
    pub fn of_variance(&self) -> Self {
        Self { width: self.width, rows: self.rows.squared(), columns: self.columns.squared() }
    }

    /// Height and width of the output.
    pub fn size(&self) -> (usize, usize) {
        (self.rows.pixels.len(), self.columns.pixels.len())
    }

    /// Resamples a plane. A NaN spreads to the output pixels to which its pixel contributes, and no further.
    pub fn plane(&self, plane: &[f32], out: &mut [f32]) {
        // Sums of entire lines are vectorised, so the columns are transposed to lines for the second axis.
        let (height, width) = self.size();
        let mut tall = vec![0.0; height * self.width];
        lines(&self.rows.pixels, &self.rows.weights, plane, self.width, &mut tall);
        let mut turned = vec![0.0; height * self.width];
        transpose(&tall, self.width, &mut turned);
        let mut wide = vec![0.0; height * width];
        lines(&self.columns.pixels, &self.columns.weights, &turned, height, &mut wide);
        transpose(&wide, height, out);
    }

    /// The union of the bits of the input pixels that contribute to an output pixel: for masks.
    pub fn union(&self, plane: &[u64], out: &mut [u64]) {
        let mut line = vec![0; self.width];
        for ((start, weights), out) in self.rows.pixels().zip(out.chunks_exact_mut(self.size().1)) {
            line.fill(0);
            for (row, _) in plane[start * self.width..].chunks_exact(self.width).zip(weights) {
                line.iter_mut().zip(row).for_each(|(bits, pixel)| *bits |= pixel);
            }
            for ((start, weights), out) in self.columns.pixels().zip(out) {
                *out = line[start..start + weights.len()].iter().fold(0, |bits, pixel| bits | pixel);
            }
        }
    }
}

/// Computes output lines as weighted sums of input lines; all have `width` pixels.
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

/// Transposes a plane of lines of `width` pixels.
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

    fn resample(
        kernel: ResamplingKernel,
        plane: &[f32],
        size: (usize, usize),
        ratio: f64,
    ) -> (Vec<f32>, (usize, usize)) {
        let resampling = Resampling::new(kernel, size, ratio);
        let mut out = vec![f32::NAN; resampling.size().0 * resampling.size().1];
        resampling.plane(plane, &mut out);
        (out, resampling.size())
    }

    #[test]
    fn doubling_a_pixel_sums_four_and_halving_it_splits_into_four() {
        let plane: Vec<f32> = (0..8).map(|i| i as f32).collect();
        assert_eq!(resample(ResamplingKernel::Area, &plane, (2, 4), 2.0), (vec![10.0, 18.0], (1, 2)));
        let (fine, size) = resample(ResamplingKernel::Area, &[4.0, 8.0], (1, 2), 0.5);
        assert_eq!((fine, size), (vec![1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0], (2, 4)));
    }

    #[test]
    fn a_rim_narrower_than_a_pixel_is_lost_on_both_sides() {
        let (out, size) = resample(ResamplingKernel::Area, &[1.0, 2.0, 4.0, 8.0, 16.0], (1, 5), 2.0);
        assert_eq!(size, (1, 2), "one row of five pixels makes one row");
        assert_eq!(out, [0.5 + 2.0 + 2.0, 2.0 + 8.0 + 8.0]);
    }

    #[test]
    fn rounding_of_decimal_scales_loses_no_pixel() {
        assert_eq!(resampled(100, 0.339 / 0.2), 58);
        assert_eq!(resampled(100, 0.2 / 0.339), 169);
        assert_eq!(resampled(30, 0.3 / 0.1), 10);
        assert_eq!(resampled(3, 0.1 / 0.3), 9);
        assert_eq!(resampled(3, 100.0), 1);
    }

    #[test]
    fn a_ratio_of_one_is_the_identity() {
        let plane: Vec<f32> = (0..42).map(|i| (i * i % 17) as f32).collect();
        for kernel in [ResamplingKernel::Area, ResamplingKernel::Lanczos] {
            let (out, size) = resample(kernel, &plane, (6, 7), 1.0);
            assert_eq!(size, (6, 7));
            assert!(out.iter().zip(&plane).all(|(a, b)| (a - b).abs() < 1e-5), "{kernel:?}");
        }
    }

    #[test]
    fn a_nan_spreads_only_to_the_pixels_that_it_touches() {
        let mut plane = vec![1.0; 100];
        plane[44] = f32::NAN;
        let (out, _) = resample(ResamplingKernel::Area, &plane, (10, 10), 0.5);
        assert_eq!(out.iter().filter(|x| x.is_nan()).count(), 4);
        assert!(out[8 * 20 + 8].is_nan() && out[9 * 20 + 9].is_nan());
    }

    #[test]
    fn rounding_of_decimal_scales_does_not_spread_a_nan() {
        // Pixels that are split into k: the edges of k output pixels fall on those of an input pixel, but for rounding.
        for old in [0.2, 0.3, 0.339, 0.7] {
            for k in 1..=12 {
                let plane = [1.0, 1.0, f32::NAN, 1.0, 1.0, 1.0, 1.0];
                let (out, size) = resample(ResamplingKernel::Area, &plane, (1, 7), old / f64::from(k) / old);
                let nan: Vec<usize> = (0..size.1).filter(|x| out[*x].is_nan()).collect();
                let k = k as usize;
                assert_eq!((size, nan), ((k, 7 * k), (2 * k..3 * k).collect()), "{old} / {k}");
            }
        }
    }

    #[test]
    fn lanczos_weights_have_three_lobes() {
        // Halved pixels are interpolated a quarter of a pixel off their centres.
        let mut plane = [0.0; 15];
        plane[7] = 1.0;
        let (out, _) = resample(ResamplingKernel::Lanczos, &[plane; 15].concat(), (15, 15), 0.5);
        let pi = std::f64::consts::PI;
        let kernel =
            |x: f64| if x.abs() < 3.0 { (pi * x).sin() * (pi * x / 3.0).sin() * 3.0 / (pi * x).powi(2) } else { 0.0 };
        for (i, found) in out[15 * 30..16 * 30].iter().enumerate() {
            let x = (i as f64 + 0.5) / 2.0 - 7.5;
            let sum: f64 = (-4..=4).map(|k| kernel(x - x.floor() + f64::from(k))).sum();
            let expected = 0.25 * kernel(x) / sum;
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{x}: {found} {expected}");
        }
    }

    #[test]
    fn samples_are_interpolated_without_widening_and_are_zero_outside() {
        // Output pixels of 1.6 samples have their centres at -0.2, 1.4, 3.0, 4.6, 6.2, in samples from the first one.
        let mut plane = [0.0; 7];
        plane[5] = 2.0;
        let resampling = Resampling::to_size(ResamplingKernel::Samples, (1, 7), (1, 5), 1.6);
        let mut out = [f32::NAN; 5];
        resampling.plane(&plane, &mut out);
        for (position, found) in [-0.2, 1.4, 3.0, 4.6, 6.2].into_iter().zip(out) {
            let sum: f64 = (-5..12).map(|i| lanczos_kernel(position - f64::from(i))).sum();
            let expected = 2.0 * lanczos_kernel(position - 5.0) / sum;
            assert!((f64::from(found) - expected).abs() < 1e-6, "{position}: {found} {expected}");
        }
        // Far outside nothing is.
        let far = Resampling::to_size(ResamplingKernel::Samples, (1, 7), (1, 15), 1.0);
        let mut out = [f32::NAN; 15];
        far.plane(&[1.0; 7], &mut out);
        for (pixel, found) in out.iter().enumerate() {
            let expected = if (4..11).contains(&pixel) { 1.0 } else { 0.0 };
            assert!((found - expected).abs() < 1e-6, "{out:?}");
        }
    }

    #[test]
    fn variances_use_squared_weights_and_masks_the_union_of_bits() {
        let resampling = Resampling::new(ResamplingKernel::Area, (1, 3), 1.5);
        assert_eq!(resampling.size(), (1, 2));
        let mut out = [0.0; 2];
        // One row of 3 is thinner than an output pixel of 1.5: all of it counts.
        resampling.of_variance().plane(&[4.0, 8.0, 16.0], &mut out);
        assert_eq!(out, [4.0 + 0.25 * 8.0, 0.25 * 8.0 + 16.0]);
        let mut bits = [7; 2];
        resampling.union(&[1, 4, 1 << 40], &mut bits);
        assert_eq!(bits, [5, 1 << 40 | 4]);
        resampling.union(&[0, 0, 1], &mut bits);
        assert_eq!(bits, [0, 1]);
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
            let (out, _) = resample(ResamplingKernel::Area, &plane, (28, 28), scale);
            prop_assert!((total(&out) / total(&plane) - 1.0).abs() < 1e-6, "{} {}", total(&out), total(&plane));
        }

        #[test]
        fn a_flat_sky_stays_flat_with_every_kernel(scale in 0.2f64..3.0, height in 4usize..30, width in 4usize..30) {
            for kernel in [ResamplingKernel::Area, ResamplingKernel::Lanczos] {
                let (out, _) = resample(kernel, &vec![100.0; height * width], (height, width), scale);
                let want = (100.0 * scale * scale) as f32;
                prop_assert!(out.iter().all(|x| (x / want - 1.0).abs() < 2e-6), "{kernel:?} {out:?} {want}");
            }
        }
    }
}
