//! The planes of an image that is being read, and what happens in all of them at pixels that do not count. It is the same for a
//! cutout that is a file and for one that is cut out of a tile.

use std::ops::Range;

use multiversion::multiversion;

use super::{
    EmptyBand, Fits, Policy,
    companions::VarianceForm,
    cutout::{NonFinite, non_finite},
    description::PlaneScaling,
};

/// The bit of a pixel that is padding or was filled.
pub(in crate::source) const FILLED: u64 = 1;
/// Numbers that surveys write for no data, the smallest first, and the most that a flux can be.
const BLANKS: [f32; 2] = [-9999.0, -99_999.0];
const MOST: f32 = 1e18;
/// The largest factor that keeps numbers below the smallest of [`BLANKS`] finite.
const MAX_FACTOR: f64 = 1e30;
/// Planes with fewer pixels may have one value by chance, unless it is 0.
const MIN_PIXELS: usize = 100;

/// What to do with pixels that do not count.
#[derive(Debug, Clone, Copy)]
pub(in crate::source) struct PixelRules<'a> {
    pub nan: Policy,
    pub blank: Option<&'a [f64]>,
    pub empty_band: EmptyBand,
    pub masked: Option<Policy>,
    pub fill: f32,
}

impl Fits {
    pub(in crate::source) fn pixel_rules(&self) -> PixelRules<'_> {
        let Self { nan, blank, empty_band, masked, fill, .. } = self;
        PixelRules { nan: *nan, blank: blank.as_deref(), empty_band: *empty_band, masked: *masked, fill: *fill }
    }
}

/// The planes of an image, pixel by pixel the same: `[band, y, x]`, or one band.
pub(in crate::source) struct PixelPlanes<'a> {
    rules: PixelRules<'a>,
    pub image: &'a mut [f32],
    pub variance: Option<&'a mut [f32]>,
    mask: Option<&'a mut [u64]>,
    /// A number that stood for no data.
    blanked: Option<f32>,
    /// Whether all pixels of the image are known to be finite.
    is_finite: bool,
}

/// Pixels without data in an image or its variance.
pub(in crate::source) struct MissingData {
    pub is_variance: bool,
    pub found: NonFinite,
    /// A number in the image that stood for no data.
    pub blanked: Option<f32>,
}

impl<'a> PixelPlanes<'a> {
    /// Planes to be read. All pixels count at first.
    pub(in crate::source) fn new(
        rules: PixelRules<'a>,
        image: &'a mut [f32],
        variance: Option<&'a mut [f32]>,
        mut mask: Option<&'a mut [u64]>,
    ) -> Self {
        if let Some(mask) = &mut mask {
            mask.fill(0);
        }
        Self { rules, image, variance, mask, blanked: None, is_finite: rules.fill.is_finite() }
    }

    /// Makes the stored numbers of a band those of the column. The error is the reason why they are not an image; `inside` tells the
    /// pixels that come from the file.
    pub(in crate::source) fn convert_band(
        &mut self,
        of_band: Range<usize>,
        scaling: &PlaneScaling,
        band: &str,
        inside: impl Fn(usize) -> bool,
    ) -> Result<(), String> {
        let pixels = &mut self.image[of_band];
        let may_be_missing = may_be_missing(pixels);
        let number = blank(pixels, scaling.blank, self.rules.blank, may_be_missing);
        self.blanked = self.blanked.or(number);
        self.is_finite &= !may_be_missing && number.is_none() && scaling.asinh.is_none() && scaling.factor < MAX_FACTOR;
        if self.rules.empty_band == EmptyBand::Reject {
            let pixels = pixels.iter().copied().enumerate().filter(|(index, _)| inside(*index));
            check_information(pixels.map(|(_, pixel)| pixel), band)?;
        }
        scale(pixels, scaling);
        Ok(())
    }

    /// Fills the pixels that do not come from the file.
    pub(in crate::source) fn pad(&mut self, inside: impl Fn(usize) -> bool) {
        (0..self.image.len()).filter(|index| !inside(*index)).for_each(|index| self.fill(index, FILLED));
    }

    /// Makes the numbers of a variance, its square root, or its inverse, those of the column, 0 where they do not come from the file.
    /// The error is the index of a negative number, and the number.
    pub(in crate::source) fn convert_variance(
        &mut self,
        form: VarianceForm,
        factor: impl Fn(usize) -> f64,
        inside: impl Fn(usize) -> bool,
    ) -> Result<(), (usize, f32)> {
        for (index, value) in self.variance.iter_mut().flat_map(|variance| variance.iter_mut()).enumerate() {
            if !inside(index) {
                *value = 0.0;
            } else if *value < 0.0 {
                return Err((index, *value));
            } else {
                *value = to_variance(*value, form, factor(index));
            }
        }
        Ok(())
    }

    /// Applies a mask, whose bits are 0 where a pixel counts. The error has the masked pixels of an image that they reject. Padding
    /// rejects no image.
    pub(in crate::source) fn apply_mask(
        &mut self,
        bits: &[u64],
        inside: impl Fn(usize) -> bool,
    ) -> Result<(), Vec<usize>> {
        let masked = || (0..bits.len()).filter(|index| bits[*index] != 0 && inside(*index));
        match self.rules.masked {
            Some(Policy::Reject) => {
                let masked: Vec<usize> = masked().collect();
                if masked.is_empty() { Ok(()) } else { Err(masked) }
            }
            Some(Policy::Fill) => {
                masked().for_each(|index| self.fill(index, bits[index]));
                Ok(())
            }
            None => {
                if let Some(mask) = &mut self.mask {
                    masked().for_each(|index| mask[index] |= bits[index]);
                }
                Ok(())
            }
        }
    }

    /// Fills pixels without data, or returns those that reject the image. The mask has filled those that it marks.
    pub(in crate::source) fn finish(&mut self) -> Result<(), MissingData> {
        let of_image = if self.is_finite { None } else { non_finite(self.image) };
        let of_image = of_image.map(|found| (false, found));
        let of_variance = self.variance.as_deref().and_then(non_finite).map(|found| (true, found));
        let blanked = self.blanked;
        for (is_variance, found) in [of_image, of_variance].into_iter().flatten() {
            if self.rules.nan == Policy::Reject {
                return Err(MissingData { is_variance, found, blanked });
            }
            for index in found.first..self.image.len() {
                let pixels = if is_variance { self.variance.as_deref().unwrap_or_default() } else { &*self.image };
                if !pixels[index].is_finite() {
                    self.fill(index, FILLED);
                }
            }
        }
        Ok(())
    }

    /// Fills a pixel, which does not count from here on.
    fn fill(&mut self, index: usize, bits: u64) {
        self.image[index] = self.rules.fill;
        if let Some(variance) = &mut self.variance {
            variance[index] = 0.0;
        }
        if let Some(mask) = &mut self.mask {
            mask[index] |= bits;
        }
    }
}

/// Whether a pixel may be not finite, or one of the default numbers for no data: none of them is smaller than the first of these.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn may_be_missing(pixels: &[f32]) -> bool {
    const LEAST: i32 = BLANKS[0].abs().to_bits() as i32;
    // Most images have none. Comparing integers without a branch per pixel, the compiler vectorises this loop.
    let is_large = |pixel: &f32| (pixel.to_bits() & 0x7fff_ffff) as i32 >= LEAST;
    pixels.chunks(4096).any(|piece| piece.iter().fold(false, |any, pixel| any | is_large(pixel)))
}

/// Makes the numbers that stand for no data NaN, and returns one that was there: that of the header, and those of the setting or the
/// default ones.
fn blank(pixels: &mut [f32], header: Option<f32>, setting: Option<&[f64]>, may_be_missing: bool) -> Option<f32> {
    let is_default = |pixel: f32| BLANKS.contains(&pixel) || (pixel.is_finite() && pixel.abs() > MOST);
    let mut found = None;
    let mut replace = |is_blank: &dyn Fn(f32) -> bool| {
        for pixel in pixels.iter_mut().filter(|pixel| is_blank(**pixel)) {
            found = Some(*pixel);
            *pixel = f32::NAN;
        }
    };
    match setting {
        Some(numbers) => numbers.iter().for_each(|number| replace(&|pixel| pixel == *number as f32)),
        None if may_be_missing => replace(&is_default),
        None => {}
    }
    if let Some(number) = header {
        replace(&|pixel| pixel == number);
    }
    found
}

/// Scales the stored numbers of a plane to the unit of the column.
fn scale(pixels: &mut [f32], PlaneScaling { asinh, factor, .. }: &PlaneScaling) {
    match asinh {
        Some(asinh) => pixels.iter_mut().for_each(|pixel| *pixel = (asinh.counts(f64::from(*pixel)) * factor) as f32),
        None if *factor != 1.0 => pixels.iter_mut().for_each(|pixel| *pixel = (f64::from(*pixel) * factor) as f32),
        None => {}
    }
}

/// Refuses a plane that holds no image: no pixel with data, or one value in all of them.
fn check_information(mut pixels: impl Iterator<Item = f32>, band: &str) -> Result<(), String> {
    let band = band.escape_debug();
    let mut all = 0;
    let keep = "`empty_band: keep` would keep it";
    let Some(first) = pixels.by_ref().inspect(|_| all += 1).find(|pixel| pixel.is_finite()) else {
        return Err(format!("has no data in band `{band}`: none of {all} pixels is finite; {keep}"));
    };
    let has_other = pixels.inspect(|_| all += 1).any(|pixel| pixel.is_finite() && pixel != first);
    if has_other || (first != 0.0 && all < MIN_PIXELS) || all == 1 {
        return Ok(());
    }
    Err(format!("has no information in band `{band}`: all of its {all} pixels with data are {first}; {keep}"))
}

/// The variance in the squared unit of the column.
fn to_variance(value: f32, form: VarianceForm, factor: f64) -> f32 {
    let value = f64::from(value);
    let variance = match form {
        VarianceForm::Variance | VarianceForm::Unsaid => value,
        VarianceForm::Sigma => value * value,
        VarianceForm::Inverse => 1.0 / value,
    };
    (variance * factor * factor) as f32
}

impl VarianceForm {
    /// What a number in this form is called.
    pub(in crate::source) const fn name(self) -> &'static str {
        match self {
            Self::Inverse => "weight",
            Self::Sigma => "standard deviation",
            Self::Variance | Self::Unsaid => "variance",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> PixelRules<'static> {
        let Fits { nan, empty_band, masked, fill, .. } = Fits::new(["x"]);
        PixelRules { nan, blank: None, empty_band, masked, fill }
    }

    const PLAIN: PlaneScaling = PlaneScaling { asinh: None, blank: None, factor: 1.0 };

    /// The sentinel that was found, or the reason for a reject.
    fn found(mut pixels: Vec<f32>, rules: PixelRules<'_>, scaling: &PlaneScaling) -> (Vec<f32>, Option<MissingData>) {
        let length = pixels.len();
        let mut planes = PixelPlanes::new(rules, &mut pixels, None, None);
        planes.convert_band(0..length, scaling, "r", |_| true).expect("an image");
        let missing = planes.finish().err();
        (pixels, missing)
    }

    #[test]
    fn numbers_for_no_data_are_found_at_any_place_and_beside_large_fluxes() {
        for number in [-9999.0, -99_999.0, 1e20, -1.267_650_6e30, f32::NAN, f32::NEG_INFINITY] {
            for place in [0, 4_095, 4_096, 5_000] {
                let mut pixels: Vec<f32> = (0..5_001).map(|pixel| pixel as f32 * 1e3).collect();
                pixels[place] = number;
                let (_, missing) = found(pixels, rules(), &PLAIN);
                let missing = missing.unwrap_or_else(|| panic!("{number} at {place}"));
                assert_eq!((missing.found.count, missing.found.first), (1, place));
                assert_eq!(missing.blanked, Some(number).filter(|number| number.is_finite()));
            }
        }
        let (_, missing) = found(vec![9999.0, -9998.0, -10_000.0, 1e18], rules(), &PLAIN);
        assert!(missing.is_none());
    }

    #[test]
    fn a_flux_that_becomes_infinite_is_found() {
        let scaling = PlaneScaling { factor: 1e37, ..PLAIN };
        assert_eq!(found(vec![1.0, 9000.0], rules(), &scaling).1.map(|missing| missing.found.first), Some(1));
        let fill = PixelRules { nan: Policy::Fill, ..rules() };
        assert_eq!(found(vec![1.0, 9000.0], fill, &scaling).0, [1e37, 0.0]);
    }
}
