//! Convolution of images with a point spread function, through Fourier space, without wrap-around.
//!
//! A [`Blur`] is made once for a size of image, a [`Kernel`] once for a PSF; both are shared between threads, each of
//! which has its own [`Scratch`]. Sixteen rows or columns are transformed at a time; zero padding is never read and
//! what is not wanted of the result never computed.

use std::f64::consts::TAU;

use multiversion::multiversion;

use super::fft::{Block, LANES, Lane, Plan, good_length};

/// How images of one size are blurred.
#[derive(Debug, Clone)]
pub struct Blur {
    height: usize,
    width: usize,
    along_y: Plan,
    along_x: Plan,
}

/// The transform of a kernel on the padded grid of a [`Blur`], normalised for it.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// `[chunk of ky][kx][lane of ky]`
    re: Vec<Lane>,
    /// Empty for kernels that are symmetric about the origin.
    im: Vec<Lane>,
    white_noise: f64,
}

impl Kernel {
    /// What the variance of uncorrelated noise is multiplied by: the sum of the kernel's squares.
    pub const fn white_noise_factor(&self) -> f64 {
        self.white_noise
    }
}

/// What a thread needs to blur.
#[derive(Debug, Clone)]
pub struct Scratch {
    spectrum: Vec<Block>,
    data: Block,
    spare: Block,
}

impl Blur {
    /// For images of a size in pixels; they are padded to at least twice that.
    pub fn new(height: usize, width: usize) -> Self {
        let plan = |n: usize| Plan::new(good_length(2 * n.max(1)));
        Self { height, width, along_y: plan(height), along_x: plan(width) }
    }

    /// Room for one thread.
    pub fn scratch(&self) -> Scratch {
        let block = || Block::new(self.along_y.length().max(self.along_x.length()));
        Scratch { spectrum: (0..self.chunks()).map(|_| block()).collect(), data: block(), spare: block() }
    }

    fn chunks(&self) -> usize {
        (self.along_y.length() / 2 + 1).div_ceil(LANES)
    }

    /// The padded size that kernels are made on.
    pub const fn grid(&self) -> (usize, usize) {
        (self.along_y.length(), self.along_x.length())
    }

    /// The kernel with a transfer function of (ky, kx) in radians per pixel: (real, imaginary) part.
    pub fn kernel(&self, transfer: impl Fn(f64, f64) -> (f64, f64)) -> Kernel {
        self.kernel_of_index(|_, _, ky, kx| transfer(ky, kx))
    }

    /// The same of (index of ky, index of kx, ky, kx); indices of ky go to half the padded height.
    pub fn kernel_of_index(&self, mut transfer: impl FnMut(usize, usize, f64, f64) -> (f64, f64)) -> Kernel {
        let (ny, nx) = self.grid();
        // The split of two real columns doubles, the inverse transforms multiply by ny nx.
        let norm = 0.5 / (ny * nx) as f64;
        let frequency = |i: usize, n: usize| TAU * (i as f64 - if 2 * i > n { n as f64 } else { 0.0 }) / n as f64;
        let zeros = || vec![[0.0; LANES]; self.chunks() * nx];
        let mut kernel = Kernel { re: zeros(), im: zeros(), white_noise: 0.0 };
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

    /// The kernel of a transfer function that is real and even in ky and in kx (radians per pixel), as that of a PSF with
    /// wings: what an image's pixels give to each other is computed with `reach` pixels more, so that the wings do not
    /// come back from the other side of a grid that is only as large as the images need.
    pub fn even_kernel(&self, reach: usize, mut transfer: impl FnMut(f64, f64) -> f64) -> Kernel {
        let (wide_y, wide_x) = (good_length(self.height + reach), good_length(self.width + reach));
        let (half_y, half_x) = (wide_y / 2 + 1, wide_x / 2 + 1);
        let mut waves = Vec::with_capacity(half_y * half_x);
        for y in 0..half_y {
            let ky = TAU * y as f64 / wide_y as f64;
            waves.extend((0..half_x).map(|x| transfer(ky, TAU * x as f64 / wide_x as f64)));
        }
        // To lags, of which an image has as many as pixels, and back to waves of the padded grid.
        let lags_y = cosines(self.height, half_y, wide_y, wide_y);
        let lags_x = cosines(self.width, half_x, wide_x, wide_x);
        let lags = both_sides(&lags_y, &waves, &lags_x, (self.height, half_y), (self.width, half_x));
        let (ny, nx) = self.grid();
        let (half_y, half_x) = (ny / 2 + 1, nx / 2 + 1);
        let back_y = cosines(half_y, self.height, ny, 1);
        let back_x = cosines(half_x, self.width, nx, 1);
        let waves = both_sides(&back_y, &lags, &back_x, (half_y, self.height), (half_x, self.width));
        self.kernel_of_index(|y, x, _, _| (waves[y * half_x + x.min(nx - x)], 0.0))
    }

    /// Blurs one plane `[y, x]` into another. Both have the size of the `Blur`; the scratch is one of its own.
    pub fn apply(&self, kernel: &Kernel, input: &[f32], output: &mut [f32], scratch: &mut Scratch) {
        let Scratch { spectrum, data, spare } = scratch;
        let (ny, nx) = (self.along_y.length(), self.along_x.length());
        // Two real columns, half a width apart, make one complex signal.
        let half = self.width.div_ceil(2);
        for first in (0..half).step_by(LANES) {
            let columns = LANES.min(half - first);
            for (y, row) in input.chunks_exact(self.width).enumerate() {
                load(&mut data.re[y], &row[first..], columns);
                load(&mut data.im[y], &row[(first + half).min(self.width)..], columns);
            }
            data.re[self.height..ny].fill([0.0; LANES]);
            data.im[self.height..ny].fill([0.0; LANES]);
            self.along_y.run(data, spare, self.height, ny);
            split(data, spectrum, ny, first, half, columns);
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
        for first in (0..half).step_by(LANES) {
            let columns = LANES.min(half - first);
            join(data, spectrum, ny, first, half, columns);
            data.exchange();
            self.along_y.run(data, spare, ny, self.height);
            for (y, row) in output.chunks_exact_mut(self.width).enumerate() {
                let right = (first + half).min(self.width)..(first + half + columns).min(self.width);
                let count = right.len();
                row[right].copy_from_slice(&data.re[y][..count]);
                row[first..first + columns].copy_from_slice(&data.im[y][..columns]);
            }
            data.exchange();
        }
    }
}

/// `[i][j]`: cos(2 pi i j / n), doubled where j stands for -j too, over a norm.
fn cosines(rows: usize, columns: usize, n: usize, norm: usize) -> Vec<f64> {
    let table: Vec<f64> = (0..n).map(|i| (TAU * i as f64 / n as f64).cos() / norm as f64).collect();
    let times = |j: usize| if j == 0 || 2 * j == n { 1.0 } else { 2.0 };
    (0..rows).flat_map(|i| (0..columns).map(move |j| (i * j % n, j))).map(|(at, j)| table[at] * times(j)).collect()
}

/// A X B^T for A `[rows.0][rows.1]`, X `[rows.1][columns.1]`, B `[columns.0][columns.1]`.
fn both_sides(a: &[f64], x: &[f64], b: &[f64], rows: (usize, usize), columns: (usize, usize)) -> Vec<f64> {
    let left = product(a, x, rows.1, columns.1);
    let turned = transposed(&left, columns.1);
    transposed(&product(b, &turned, columns.1, rows.0), rows.0)
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

fn transposed(x: &[f64], columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|j| x.iter().skip(j).step_by(columns).copied()).collect()
}

#[inline(always)]
fn load(lane: &mut Lane, row: &[f32], columns: usize) {
    let count = columns.min(row.len());
    lane[..count].copy_from_slice(&row[..count]);
    lane[count..].fill(0.0);
}

/// The transforms of columns `first..` and `first + half..` out of that of their complex sum (twice each), transposed.
#[multiversion(targets = "simd")]
fn split(data: &Block, spectrum: &mut [Block], ny: usize, first: usize, half: usize, columns: usize) {
    for k in 0..=ny / 2 {
        let mirror = (ny - k) % ny;
        let (a, b) = (&data.re[k], &data.im[k]);
        let (c, d) = (&data.re[mirror], &data.im[mirror]);
        let block = &mut spectrum[k / LANES];
        for l in 0..columns {
            block.re[first + l][k % LANES] = a[l] + c[l];
            block.im[first + l][k % LANES] = b[l] - d[l];
            block.re[first + half + l][k % LANES] = b[l] + d[l];
            block.im[first + half + l][k % LANES] = c[l] - a[l];
        }
    }
}

/// The transform of the complex sum of columns out of their own, transposed back.
#[multiversion(targets = "simd")]
fn join(data: &mut Block, spectrum: &[Block], ny: usize, first: usize, half: usize, columns: usize) {
    for k in 0..=ny / 2 {
        let mirror = (ny - k) % ny;
        let block = &spectrum[k / LANES];
        for l in 0..columns {
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

    fn blurred(blur: &Blur, kernel: &Kernel, input: &[f32]) -> Vec<f32> {
        let mut output = vec![0.0; input.len()];
        blur.apply(kernel, input, &mut output, &mut blur.scratch());
        output
    }

    #[test]
    fn the_unit_kernel_changes_nothing() {
        for (height, width) in [(1, 1), (5, 3), (32, 48), (100, 100), (33, 70)] {
            let blur = Blur::new(height, width);
            let input = image(height, width);
            let output = blurred(&blur, &blur.kernel(|_, _| (1.0, 0.0)), &input);
            let worst = input.iter().zip(&output).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-6, "{height}x{width}: {worst}");
        }
    }

    #[test]
    fn wings_reach_over_the_image_but_not_around_it() {
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
    fn a_phase_shifts_the_image_and_nothing_wraps_around() {
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
