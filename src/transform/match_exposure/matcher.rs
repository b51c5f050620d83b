//! The kernel from a PSF to another, and convolutions with it.

use crate::{
    batch::ImageLayout,
    image::blur::{Blur, BlurKernel, BlurScratch},
    survey::psf::ImageTransform,
    transform::image_planes::ImagePlaneRole,
};

/// The amplitude below which waves of the image are left out: the smallest ones of a PSF image are its rounding.
const FAINT: f64 = 1e-3;
/// What the transfer function of the matched PSF may lack.
const LACK: f64 = 0.05;

/// A PSF of a row and band.
pub(super) struct PsfPlane<'a> {
    pub(super) pixels: &'a [f32],
    pub(super) width: usize,
    pub(super) image: &'a str,
}

impl PsfPlane<'_> {
    /// Copies it into the middle of a larger plane of zeros: pixel n/2 stays pixel n/2.
    pub(super) fn centre_in(&self, plane: &mut [f32], width: usize) {
        let (height, own) = (self.pixels.len() / self.width, self.width);
        let (top, left) = (plane.len() / width / 2 - height / 2, width / 2 - own / 2);
        for (from, to) in self.pixels.chunks_exact(own).zip(plane.chunks_exact_mut(width).skip(top)) {
            to[left..left + own].copy_from_slice(from);
        }
    }

    fn transform(&self, (ny, nx): (usize, usize)) -> Result<Vec<(f64, f64)>, String> {
        let transform = ImageTransform::new(self.pixels, self.width);
        let transform = transform.map_err(|error| format!("`{}`: {error}", ImagePlaneRole::Psf.column(self.image)))?;
        Ok(transform.on_grid(ny, nx))
    }
}

/// Convolutions of planes that have room for the image and both PSFs.
#[derive(Clone)]
pub(super) struct Matcher {
    width: usize,
    blur: Blur,
    scratch: BlurScratch,
    /// A plane before and after a convolution.
    from: Vec<f32>,
    to: Vec<f32>,
}

impl Matcher {
    pub(super) fn new(layouts: &[&ImageLayout]) -> Self {
        let most = |of: fn(&ImageLayout) -> usize| layouts.iter().map(|layout| of(layout)).max().unwrap_or(1);
        let (height, width) = (most(|layout| layout.height), most(|layout| layout.width));
        let blur = Blur::new(height, width);
        let plane = vec![0.0; height * width];
        Self { width, scratch: blur.scratch(), blur, from: plane.clone(), to: plane }
    }

    /// The kernel from a PSF to another, or why it cannot be made.
    pub(super) fn kernel(&self, own: &PsfPlane, other: &PsfPlane) -> Result<BlurKernel, String> {
        let grid = self.blur.grid();
        let (known, wanted) = (own.transform(grid)?, other.transform(grid)?);
        let mut lack = 0.0_f64;
        let kernel = self.blur.kernel_of_index(|y, x, _, _| {
            let ((re, im), (wanted_re, wanted_im)) = (known[y * grid.1 + x], wanted[y * grid.1 + x]);
            let (amplitude, wanted) = (re.hypot(im), wanted_re.hypot(wanted_im));
            lack = lack.max(wanted - amplitude);
            // The size of wanted / known, but never more than 1, with the phase of wanted times the conjugate of known.
            let size = wanted.min(amplitude) / (amplitude * amplitude + FAINT * FAINT);
            let (up, across) = (wanted_re * re + wanted_im * im, wanted_im * re - wanted_re * im);
            if wanted == 0.0 { (0.0, 0.0) } else { (up * size / wanted, across * size / wanted) }
        });
        if lack > LACK {
            let (image, to) = (own.image, other.image);
            return Err(format!(
                "the PSF of `{to}` is sharper than that of `{image}`: a wave would have to be {lack:.2} stronger, expected \
                 at most {LACK}"
            ));
        }
        Ok(kernel)
    }

    /// The kernel of the squares of a kernel.
    pub(super) fn squared(&mut self, kernel: &BlurKernel) -> Result<BlurKernel, String> {
        let (y, x) = (self.from.len() / self.width / 2, self.width / 2);
        self.from.fill(0.0);
        self.from[y * self.width + x] = 1.0;
        self.blur.apply(kernel, &self.from, &mut self.to, &mut self.scratch);
        self.to.iter_mut().for_each(|tap| *tap *= *tap);
        let squares = ImageTransform::about(&self.to, self.width, (y as f64, x as f64))?;
        let (ny, nx) = self.blur.grid();
        let (sum, waves) = (squares.flux(), squares.on_grid(ny, nx));
        Ok(self.blur.kernel_of_index(|y, x, _, _| {
            let (re, im) = waves[y * nx + x];
            (re * sum, im * sum)
        }))
    }

    /// Convolves a plane in place.
    pub(super) fn apply(&mut self, kernel: &BlurKernel, plane: &mut [f32], width: usize) {
        self.from.fill(0.0);
        for (from, row) in self.from.chunks_exact_mut(self.width).zip(plane.chunks_exact(width)) {
            from[..width].copy_from_slice(row);
        }
        self.blur.apply(kernel, &self.from, &mut self.to, &mut self.scratch);
        for (to, row) in self.to.chunks_exact(self.width).zip(plane.chunks_exact_mut(width)) {
            row.copy_from_slice(&to[..width]);
        }
    }
}
