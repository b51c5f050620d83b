//! PSFs with smaller pixels than their image: their pixels are summed to those of the image, which conserves flux.
//!
//! Only sums are made. A PSF with larger pixels would have to be interpolated, and the numbers of PSFEx (`PSF_SAMP`) are samples of a
//! PSF that has the pixel in it already, not fluxes of smaller pixels: both are refused.

use super::pixel_scale::pixel_scale_arcsec;
use crate::{
    fits::Header,
    image::resample::{Resampling, ResamplingKernel},
};

/// The largest relative difference of two sides of a pixel that count as equal.
const TOLERANCE: f64 = 0.01;

/// How many pixels of a PSF make a side of a pixel of its image: 1 where they are the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PsfPixels(f64);

impl PsfPixels {
    /// As the header of the PSF says; the error is the reason why it is not usable.
    pub(super) fn of(header: &Header, image_arcsec: Option<f64>) -> Result<Self, String> {
        if let Some(found) = header.number("PSF_SAMP")?.filter(|found| (found - 1.0).abs() > TOLERANCE) {
            return Err(format!(
                "has a PSF with key `PSF_SAMP` {found}, expected 1: resample it to the pixels of the image"
            ));
        }
        let by_key = header.number("OVERSAMP")?.map(|factor| (factor, "key `OVERSAMP`".to_owned()));
        let own = pixel_scale_arcsec(&[header])?;
        let by_side = own.zip(image_arcsec).map(|(own, image)| (image / own, format!("pixels of {own} arcsec")));
        if let (Some((one, key)), Some((other, side))) = (&by_key, &by_side)
            && (one / other - 1.0).abs() > TOLERANCE
        {
            return Err(format!(
                "has a PSF with {key} {one} and {side}, which is {other:.4} in a pixel of the image: expected one of them"
            ));
        }
        let Some((factor, said)) = by_key.or(by_side) else { return Ok(Self(1.0)) };
        // Scales are rounded in headers.
        let whole = factor.round();
        let factor = if (factor / whole - 1.0).abs() <= TOLERANCE { whole } else { factor };
        // False for NaN too.
        if factor >= 1.0 {
            return Ok(Self(factor));
        }
        Err(format!(
            "has a PSF with {said}, larger than the pixels of its image ({factor} to one, expected at least 1): resample it to these"
        ))
    }

    /// Refuses those that are not of the size of the pixels of the image.
    pub(super) fn check_equal(self) -> Result<(), String> {
        let Self(factor) = self;
        if factor == 1.0 {
            return Ok(());
        }
        Err(format!(
            "has a PSF with {factor} pixels to a pixel of its image (keys `OVERSAMP`, `PIXSCALE`, `PIXELSCL`, world coordinates), \
             expected 1: resample it"
        ))
    }

    /// The side of the PSF in pixels of the image, given its own. The centre stays the centre: a PSF with a central pixel has one
    /// afterwards, and reaches as far or farther.
    fn side(self, pixels: usize) -> Result<usize, String> {
        let Self(factor) = self;
        let exact = pixels as f64 / factor;
        if (exact - exact.round()).abs() < 1e-6 && exact.round() >= 1.0 {
            return Ok(exact.round() as usize);
        }
        if pixels.is_multiple_of(2) {
            return Err(format!(
                "has a PSF of {pixels} pixels, {factor} to a pixel of its image: expected an odd number, or a multiple of that"
            ));
        }
        let side = exact.ceil() as usize;
        Ok(if side.is_multiple_of(2) { side + 1 } else { side })
    }

    /// The shape of the PSF in pixels of the image, given its own.
    pub(super) fn shape(self, shape: [usize; 2]) -> Result<[usize; 2], String> {
        Ok([self.side(shape[0])?, self.side(shape[1])?])
    }

    /// What sums planes of a shape; `None` if their pixels are those of the image.
    pub(super) fn sums(self, shape: [usize; 2]) -> Result<Option<Resampling>, String> {
        let Self(factor) = self;
        if factor == 1.0 {
            return Ok(None);
        }
        let ([height, width], [rows, columns]) = (shape, self.shape(shape)?);
        Ok(Some(Resampling::to_size(ResamplingKernel::Area, (height, width), (rows, columns), factor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resampled(factor: f64, side: usize) -> Vec<f32> {
        let psf: Vec<f32> = (0..side * side).map(|pixel| (1 + pixel * 7 % 13) as f32).collect();
        let pixels = PsfPixels(factor);
        let sums = pixels.sums([side, side]).expect("a size").expect("sums");
        let mut out = vec![0.0; sums.size().0 * sums.size().1];
        sums.plane(&psf, &mut out);
        let total = |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>();
        assert!((total(&out) / total(&psf) - 1.0).abs() < 1e-6, "flux is conserved: {factor}, {side}");
        out
    }

    #[test]
    fn whole_factors_sum_blocks() {
        let out = resampled(4.0, 12);
        let block = |y: usize, x: usize| {
            (0..16).map(|pixel| (1 + ((4 * y + pixel / 4) * 12 + 4 * x + pixel % 4) * 7 % 13) as f32).sum::<f32>()
        };
        assert_eq!(out, (0..9).map(|pixel| block(pixel / 3, pixel % 3)).collect::<Vec<_>>());
    }

    #[test]
    fn the_central_pixel_stays_central() {
        for (factor, side, expected) in
            [(3.0, 9, 3), (3.0, 11, 5), (2.0, 9, 5), (2.0, 3, 3), (1.6, 21, 15), (4.0, 1, 1)]
        {
            assert_eq!(PsfPixels(factor).shape([side, side]), Ok([expected, expected]), "{side} by {factor}");
            let mut psf = vec![0.0; side * side];
            psf[side * side / 2] = 1.0;
            let mut out = vec![0.0; expected * expected];
            PsfPixels(factor).sums([side, side]).expect("a size").expect("sums").plane(&psf, &mut out);
            assert!((out[expected * expected / 2] - 1.0).abs() < 1e-6, "{side} by {factor}");
            resampled(factor, side);
        }
        assert!(PsfPixels(3.0).shape([10, 10]).is_err_and(|reason| reason.starts_with("has a PSF of 10 pixels")));
    }
}
