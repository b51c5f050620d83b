//! Convolution of images with a point spread function in Fourier space, without wrap-around.
//!
//! A [`Blur`] is made once for a size of image, a [`BlurKernel`] once for a PSF. Threads share both; each thread has its own
//! [`BlurScratch`]. Sixteen rows or columns are transformed at a time. The zero padding is never read, and outputs that are cropped
//! afterwards are not computed.

use std::f64::consts::TAU;

use multiversion::multiversion;

use super::fft::{Block, FourierPlan, LANES, Lane, good_length};

/// A convolution for images of one size.
#[derive(Debug, Clone)]
pub struct Blur {
    height: usize,
    width: usize,
    along_y: FourierPlan,
    along_x: FourierPlan,
}

/// The transform of a kernel on the padded grid of a [`Blur`], normalised for it.
#[derive(Debug, Clone)]
pub struct BlurKernel {
    /// `[chunk of ky][kx][lane of ky]`
    re: Vec<Lane>,
    /// Empty if all are zero: for kernels that are symmetric about the origin.
    im: Vec<Lane>,
    white_noise: f64,
}

impl BlurKernel {
    /// The factor of the variance of uncorrelated noise: the sum of the squares of the kernel.
    pub const fn white_noise_factor(&self) -> f64 {
        self.white_noise
    }
}

/// The buffers of a thread.
#[derive(Debug, Clone)]
pub struct BlurScratch {
    spectrum: Vec<Block>,
    data: Block,
    spare: Block,
}

impl Blur {
    /// A convolution for images of a size in pixels, which are padded to at least twice that size.
    pub fn new(height: usize, width: usize) -> Self {
        let plan = |n: usize| FourierPlan::new(good_length(2 * n.max(1)));
        Self { height, width, along_y: plan(height), along_x: plan(width) }
    }

    /// Buffers for one thread.
    pub fn scratch(&self) -> BlurScratch {
        let block = || Block::new(self.along_y.length().max(self.along_x.length()));
        BlurScratch { spectrum: (0..self.chunks()).map(|_| block()).collect(), data: block(), spare: block() }
    }

    fn chunks(&self) -> usize {
        (self.along_y.length() / 2 + 1).div_ceil(LANES)
    }

    /// The padded size, on which kernels are defined.
    pub const fn grid(&self) -> (usize, usize) {
        (self.along_y.length(), self.along_x.length())
    }

    /// The kernel of a transfer function of (ky, kx) in radians per pixel, which returns its (real, imaginary) part.
    pub fn kernel(&self, transfer: impl Fn(f64, f64) -> (f64, f64)) -> BlurKernel {
        self.kernel_of_index(|_, _, ky, kx| transfer(ky, kx))
    }

    /// The same for a function of (index of ky, index of kx, ky, kx). Indices of ky end at half the padded height: the image is
    /// real, so the other half follows by symmetry.
    pub fn kernel_of_index(&self, mut transfer: impl FnMut(usize, usize, f64, f64) -> (f64, f64)) -> BlurKernel {
        let (ny, nx) = self.grid();
        // `split` doubles the transforms, the inverse transforms multiply by ny nx.
        let norm = 0.5 / (ny * nx) as f64;
        let frequency = |i: usize, n: usize| TAU * (i as f64 - if 2 * i > n { n as f64 } else { 0.0 }) / n as f64;
        let zeros = || vec![[0.0; LANES]; self.chunks() * nx];
        let mut kernel = BlurKernel { re: zeros(), im: zeros(), white_noise: 0.0 };
        for y in 0..=ny / 2 {
            for x in 0..nx {
                let (re, im) = transfer(y, x, frequency(y, ny), frequency(x, nx));
                let at = y / LANES * nx + x;
                kernel.re[at][y % LANES] = (re * norm) as f32;
                kernel.im[at][y % LANES] = (im * norm) as f32;
                let times = if y == 0 || 2 * y == ny { 1.0 } else { 2.0 };
                kernel.white_noise += times * (re * re + im * im) / (ny * nx) as f64;
            }
        }
        if kernel.im.as_flattened().iter().all(|im| *im == 0.0) {
            kernel.im.clear();
        }
        kernel
    }

    /// The kernel of a transfer function that is real and even in ky and in kx (radians per pixel), for a PSF with wings.
    ///
    /// The padded grid is only as large as the images need, so wings that reach further would come back from its other side. The
    /// kernel is therefore computed on a grid with `reach` more pixels, cut to the lags between pixels of an image, and
    /// transformed to the padded grid.
    pub fn even_kernel(&self, reach: usize, mut transfer: impl FnMut(f64, f64) -> f64) -> BlurKernel {
        let (wide_y, wide_x) = (good_length(self.height + reach), good_length(self.width + reach));
        let (half_y, half_x) = (wide_y / 2 + 1, wide_x / 2 + 1);
        let mut waves = Vec::with_capacity(half_y * half_x);
        for y in 0..half_y {
            let ky = TAU * y as f64 / wide_y as f64;
            waves.extend((0..half_x).map(|x| transfer(ky, TAU * x as f64 / wide_x as f64)));
        }
        // From waves to lags, of which an image has as many as pixels, and back to waves of the padded grid.
        let waves = Matrix { values: waves, columns: half_x };
        let lags_y = cosines(self.height, half_y, wide_y, wide_y);
        let lags_x = cosines(self.width, half_x, wide_x, wide_x);
        let lags = waves.between(&lags_y, &lags_x);
        let (ny, nx) = self.grid();
        let (half_y, half_x) = (ny / 2 + 1, nx / 2 + 1);
        let waves_y = cosines(half_y, self.height, ny, 1);
        let waves_x = cosines(half_x, self.width, nx, 1);
        let waves = lags.between(&waves_y, &waves_x);
        self.kernel_of_index(|y, x, _, _| (waves.values[y * half_x + x.min(nx - x)], 0.0))
    }

    /// Blurs one plane `[y, x]` into another. Both have the size of the `Blur`, which also made the scratch.
    pub fn apply(&self, kernel: &BlurKernel, input: &[f32], output: &mut [f32], scratch: &mut BlurScratch) {
        let BlurScratch { spectrum, data, spare } = scratch;
        let (ny, nx) = (self.along_y.length(), self.along_x.length());
        // Two real columns, half a width apart, form one complex signal.
        let half = self.width.div_ceil(2);
        let chunks =
            || (0..half).step_by(LANES).map(|first| ColumnChunk { first, half, count: LANES.min(half - first) });
        for chunk in chunks() {
            for (y, row) in input.chunks_exact(self.width).enumerate() {
                load(&mut data.re[y], &row[chunk.first..], chunk.count);
                load(&mut data.im[y], &row[(chunk.first + half).min(self.width)..], chunk.count);
            }
            data.re[self.height..ny].fill([0.0; LANES]);
            data.im[self.height..ny].fill([0.0; LANES]);
            self.along_y.run(data, spare, self.height, ny);
            split(data, spectrum, ny, chunk);
        }
        for (block, at) in spectrum.iter_mut().zip((0..).step_by(nx)) {
            block.re[self.width..nx].fill([0.0; LANES]);
            block.im[self.width..nx].fill([0.0; LANES]);
            self.along_x.run(block, spare, self.width, nx);
            multiply(block, &kernel.re[at..at + nx], kernel.im.get(at..at + nx).unwrap_or(&[]));
            block.exchange();
            self.along_x.run(block, spare, nx, self.width);
            block.exchange();
        }
        for chunk in chunks() {
            join(data, spectrum, ny, chunk);
            data.exchange();
            self.along_y.run(data, spare, ny, self.height);
            let end = chunk.first + chunk.count;
            for (y, row) in output.chunks_exact_mut(self.width).enumerate() {
                let right = (chunk.first + half).min(self.width)..(end + half).min(self.width);
                let count = right.len();
                row[right].copy_from_slice(&data.re[y][..count]);
                row[chunk.first..end].copy_from_slice(&data.im[y][..chunk.count]);
            }
            data.exchange();
        }
    }
}

/// The columns of an image that are transformed together: `count` of them starting with `first`, and as many starting with
/// `first + half`.
#[derive(Clone, Copy)]
struct ColumnChunk {
    first: usize,
    half: usize,
    count: usize,
}

/// A matrix, row after row.
struct Matrix {
    values: Vec<f64>,
    columns: usize,
}

impl Matrix {
    /// A X B^T, where X is this matrix.
    fn between(&self, a: &Self, b: &Self) -> Self {
        b.times(&a.times(self).transposed()).transposed()
    }

    fn times(&self, other: &Self) -> Self {
        Self { values: product(&self.values, &other.values, self.columns, other.columns), columns: other.columns }
    }

    fn transposed(&self) -> Self {
        let column = |j| self.values.iter().skip(j).step_by(self.columns).copied();
        Self { values: (0..self.columns).flat_map(column).collect(), columns: self.values.len() / self.columns }
    }
}

/// `[i][j]`: cos(2 pi i j / n) over a norm, doubled where j also represents -j.
fn cosines(rows: usize, columns: usize, n: usize, norm: usize) -> Matrix {
    let table: Vec<f64> = (0..n).map(|i| (TAU * i as f64 / n as f64).cos() / norm as f64).collect();
    let times = |j: usize| if j == 0 || 2 * j == n { 1.0 } else { 2.0 };
    let indices = (0..rows).flat_map(|i| (0..columns).map(move |j| (i * j % n, j)));
    Matrix { values: indices.map(|(at, j)| table[at] * times(j)).collect(), columns }
}

/// A `[..][inner]` times B `[inner][columns]`.
#[multiversion(targets = "simd")]
fn product(a: &[f64], b: &[f64], inner: usize, columns: usize) -> Vec<f64> {
    let mut out = vec![0.0; a.len() / inner * columns];
    for (a, out) in a.chunks_exact(inner).zip(out.chunks_exact_mut(columns)) {
        for (a, b) in a.iter().zip(b.chunks_exact(columns)) {
            for (out, b) in out.iter_mut().zip(b) {
                *out = b.mul_add(*a, *out);
            }
        }
    }
    out
}

#[inline(always)]
fn load(lane: &mut Lane, row: &[f32], columns: usize) {
    let count = columns.min(row.len());
    lane[..count].copy_from_slice(&row[..count]);
    lane[count..].fill(0.0);
}

/// Separates the transforms of the left and right columns of a chunk from that of their complex sum; twice each, transposed.
#[multiversion(targets = "simd")]
fn split(data: &Block, spectrum: &mut [Block], ny: usize, chunk: ColumnChunk) {
    let ColumnChunk { first, half, count } = chunk;
    for k in 0..=ny / 2 {
        let mirror = (ny - k) % ny;
        let (a, b) = (&data.re[k], &data.im[k]);
        let (c, d) = (&data.re[mirror], &data.im[mirror]);
        let block = &mut spectrum[k / LANES];
        for l in 0..count {
            block.re[first + l][k % LANES] = a[l] + c[l];
            block.im[first + l][k % LANES] = b[l] - d[l];
            block.re[first + half + l][k % LANES] = b[l] + d[l];
            block.im[first + half + l][k % LANES] = c[l] - a[l];
        }
    }
}

/// The inverse of `split`: the transform of the complex sum, transposed back.
#[multiversion(targets = "simd")]
fn join(data: &mut Block, spectrum: &[Block], ny: usize, chunk: ColumnChunk) {
    let ColumnChunk { first, half, count } = chunk;
    for k in 0..=ny / 2 {
        let mirror = (ny - k) % ny;
        let block = &spectrum[k / LANES];
        for l in 0..count {
            let (a, b) = (block.re[first + l][k % LANES], block.im[first + l][k % LANES]);
            let (c, d) = (block.re[first + half + l][k % LANES], block.im[first + half + l][k % LANES]);
            data.re[mirror][l] = a + d;
            data.im[mirror][l] = c - b;
            data.re[k][l] = a - d;
            data.im[k][l] = b + c;
        }
    }
}

#[multiversion(targets = "simd")]
fn multiply(block: &mut Block, re: &[Lane], im: &[Lane]) {
    let (block_re, block_im) = (block.re.as_flattened_mut(), block.im.as_flattened_mut());
    if im.is_empty() {
        for ((x, y), re) in block_re.iter_mut().zip(block_im).zip(re.as_flattened()) {
            *x *= re;
            *y *= re;
        }
    } else {
        for (((x, y), re), im) in block_re.iter_mut().zip(block_im).zip(re.as_flattened()).zip(im.as_flattened()) {
            (*x, *y) = (*x * re - *y * im, *x * im + *y * re);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    fn image(height: usize, width: usize) -> Vec<f32> {
        (0..height * width).map(|i| ((i * i) as f32 * 0.37).sin() + 1.0).collect()
    }

    fn blurred(blur: &Blur, kernel: &BlurKernel, input: &[f32]) -> Vec<f32> {
        let mut output = vec![0.0; input.len()];
        blur.apply(kernel, input, &mut output, &mut blur.scratch());
        output
    }

    #[test]
    fn the_unit_kernel_is_the_identity() {
        for (height, width) in [(1, 1), (5, 3), (32, 48), (100, 100), (33, 70)] {
            let blur = Blur::new(height, width);
            let input = image(height, width);
            let output = blurred(&blur, &blur.kernel(|_, _| (1.0, 0.0)), &input);
            let worst = input.iter().zip(&output).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-6, "{height}x{width}: {worst}");
        }
    }

    #[test]
    fn wings_reach_across_the_image_but_do_not_wrap_around() {
        // exp(-|k|) is a Lorentzian: its wings fall off slowly.
        let blur = Blur::new(8, 12);
        let mut point = vec![0.0; 8 * 12];
        point[0] = 1.0;
        let far = blurred(&blur, &blur.even_kernel(1000, |ky, kx| (-ky.abs() - kx.abs()).exp()), &point);
        let lag = |d: f64| (1.0 - (-PI).exp() * (PI * d).cos()) / (PI * (1.0 + d * d));
        for y in 0..8 {
            for x in 0..12 {
                let expected = lag(y as f64) * lag(x as f64);
                assert!((f64::from(far[y * 12 + x]) - expected).abs() < 1e-6, "{y} {x}");
            }
        }
    }

    #[test]
    fn a_point_becomes_the_kernel_and_noise_is_scaled_by_the_sum_of_its_squares() {
        // A Gaussian of a sigma of 1.5 pixels: its transfer function is not periodic, and negligible at the highest frequencies.
        let (height, width, sigma) = (24, 40, 1.5_f64);
        let blur = Blur::new(height, width);
        let kernel = blur.kernel(|ky, kx| ((-0.5 * sigma * sigma * (ky * ky + kx * kx)).exp(), 0.0));
        let even = blur.even_kernel(50, |ky, kx| (-0.5 * sigma * sigma * (ky * ky + kx * kx)).exp());
        let mut point = vec![0.0; height * width];
        point[10 * width + 17] = 1.0;
        let (output, of_even) = (blurred(&blur, &kernel, &point), blurred(&blur, &even, &point));
        for (i, (pixel, of_even)) in output.iter().zip(&of_even).enumerate() {
            let (y, x) = ((i / width) as f64 - 10.0, (i % width) as f64 - 17.0);
            let expected = (-0.5 * (y * y + x * x) / (sigma * sigma)).exp() / (TAU * sigma * sigma);
            assert!((f64::from(*pixel) - expected).abs() < 5e-6, "{y} {x}: {pixel} {expected}");
            assert!((pixel - of_even).abs() < 5e-6, "{y} {x}: {pixel} {of_even}");
        }
        let squares: f64 = output.iter().map(|pixel| f64::from(*pixel).powi(2)).sum();
        for kernel in [kernel, even] {
            assert!((kernel.white_noise_factor() / squares - 1.0).abs() < 1e-5, "{}", kernel.white_noise_factor());
        }
        // The identity keeps the noise; a shift keeps it too, although its transfer function is complex.
        let shift = |ky: f64, kx: f64| ((3.0 * ky + kx).cos(), (3.0 * ky + kx).sin());
        for factor in [blur.kernel(|_, _| (1.0, 0.0)), blur.kernel(shift)].map(|kernel| kernel.white_noise_factor()) {
            assert!((factor - 1.0).abs() < 1e-12, "{factor}");
        }
    }

    #[test]
    fn transfer_functions_are_evaluated_from_above_minus_pi_to_pi() {
        let blur = Blur::new(4, 5);
        let waves = std::cell::RefCell::new(Vec::new());
        blur.kernel(|ky, kx| {
            waves.borrow_mut().push((ky, kx));
            (1.0, 0.0)
        });
        let (ny, nx) = blur.grid();
        let waves = waves.into_inner();
        assert_eq!((ny, nx, waves.len()), (8, 10, 5 * 10));
        let of_x: Vec<f64> = waves[..10].iter().map(|(_, kx)| (kx * 10.0 / TAU).round()).collect();
        assert_eq!(of_x, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, -4.0, -3.0, -2.0, -1.0]);
        assert_eq!(waves.iter().map(|(ky, _)| *ky).fold(0.0, f64::max), PI);
    }

    #[test]
    fn a_phase_shifts_the_image_without_wrap_around() {
        let (height, width) = (20, 31);
        let blur = Blur::new(height, width);
        let input = image(height, width);
        let shift = |ky: f64, kx: f64| {
            let (sin, cos) = (-(3.0 * ky + 7.0 * kx)).sin_cos();
            (cos, sin)
        };
        let output = blurred(&blur, &blur.kernel(shift), &input);
        for y in 0..height {
            for x in 0..width {
                let expected = if y < 3 || x < 7 { 0.0 } else { input[(y - 3) * width + x - 7] };
                assert!((output[y * width + x] - expected).abs() < 3e-6, "{y} {x}");
            }
        }
    }
}
