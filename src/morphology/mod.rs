//! Non-parametric morphology of galaxies: Gini, M20, concentration, asymmetry, smoothness, Petrosian radii.
//!
//! The definitions are those of Lotz et al. (2004) in the form of Rodriguez-Gomez et al. (2019), whose statmorph is the
//! oracle of the tests (`tests/golden/morphology/make.py`). Images are sky-subtracted; a segmentation map marks the
//! pixels of the source, of other sources and of the sky. Positions are (x, y) in pixels, with (0, 0) in the centre of
//! the first pixel.
//!
//! A statistic that cannot be measured is `None`. The flag rates the others: 0 good, 1 suspect, 2 bad, 4 nothing could
//! be measured.

mod aperture;
mod asymmetry;
mod brent;
mod concentration;
mod extent;
mod filters;
mod gini;
mod gini_m20_class;
mod m20;
mod multimode_intensity_deviation;
mod nelder_mead;
mod petrosian;
mod pixel_plane;
mod regions;
mod row_prefix_sums;
pub mod segmentation;
mod signal_to_noise;
mod sky;
mod sky_statistics;
mod smoothness;
mod stamp;
#[cfg(test)]
mod test_sources;

pub use gini_m20_class::{Class, ELLIPTICAL_INTERCEPT, bulge_statistic, merger_statistic};
pub use sky::Sky;

use self::{asymmetry::Asymmetry, petrosian::Ellipse, row_prefix_sums::RowPrefixSums, sky::SkyBox, stamp::Stamp};

/// A position, (x, y) in pixels.
type Point = [f64; 2];

/// The source to measure: an image with its segmentation map and noise.
#[derive(Debug, Clone, Copy)]
pub struct SegmentedSource<'a> {
    /// Pixels, row after row; those that are not finite are excluded.
    pub image: &'a [f32],
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// The segmentation map: the label of the source of every pixel; 0 for the sky.
    pub segments: &'a [u32],
    /// The label of the source to measure.
    pub label: u32,
    /// Nonzero for pixels to exclude.
    pub mask: Option<&'a [f32]>,
    /// Variance of every pixel, for the signal-to-noise ratio.
    pub variance: Option<&'a [f32]>,
    /// Electrons per unit of the image, for the signal-to-noise ratio without a variance. Without a gain the noise is
    /// that of the sky.
    pub gain: Option<f64>,
    /// What is known about the sky.
    pub sky: Sky,
    /// Full width at half maximum of the point spread function, pixels: a source whose half-light radius is below half
    /// of it is suspect.
    pub psf_fwhm_pixels: Option<f64>,
}

/// The statistics of a source. Radii are in pixels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Morphology {
    /// 0 good, 1 suspect, 2 bad, 4 nothing could be measured.
    pub flag: u8,
    /// Gini coefficient of the pixels: 0 if all are equal, 1 if one has all the light.
    pub gini: Option<f64>,
    /// log10 of the second moment of the brightest 20 % of the light over that of all light.
    pub m20: Option<f64>,
    /// 5 log10(r80 / r20).
    pub concentration: Option<f64>,
    /// Light that changes under a rotation by 180 degrees, over all light.
    pub asymmetry: Option<f64>,
    /// Light in clumps, over all light.
    pub smoothness: Option<f64>,
    /// Petrosian radius: the mean flux on the rim of the circle is 0.2 of the mean inside.
    pub petrosian: Option<f64>,
    /// Petrosian semi-major axis, with ellipses in the shape of the source.
    pub petrosian_ellipse: Option<f64>,
    /// Radius of the circle with half the light.
    pub half_light: Option<f64>,
    /// Semi-major axis of the ellipse with half the light.
    pub half_light_ellipse: Option<f64>,
    /// Radius with 20 % of the light within 1.5 Petrosian radii.
    pub r20: Option<f64>,
    /// Radius with 80 % of the light within 1.5 Petrosian radii.
    pub r80: Option<f64>,
    /// Mean signal-to-noise ratio per pixel.
    pub signal_to_noise: Option<f64>,
    /// The centre of least asymmetry, (x, y) in pixels of the image.
    pub centre: Option<[f64; 2]>,
}

/// The quality of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Quality {
    #[default]
    Good = 0,
    Suspect = 1,
    Bad = 2,
}

impl Quality {
    /// Lowers the quality to `to`, if it is better.
    fn lower(&mut self, to: Self) {
        *self = (*self).max(to);
    }
}

/// Measures a source.
pub fn measure(source: &SegmentedSource) -> Morphology {
    let mut quality = Quality::Good;
    let Some(stamp) = Stamp::cut(source).filter(|stamp| stamp.flux() > 0.0) else {
        return Morphology { flag: 4, ..Morphology::default() };
    };
    let centroid = stamp.centroid(&mut quality);
    if stamp.is_empty_at(centroid) {
        quality.lower(Quality::Bad);
    }
    let skybox = SkyBox::of(&stamp, source.sky, &mut quality);
    let sums = RowPrefixSums::new(&stamp.image, &stamp.bad);

    // About the centroid first: the asymmetry, whose centre is that of the other statistics, needs a radius.
    let rough_radius = petrosian::circle(&sums, centroid, &mut quality);
    let asymmetry = Asymmetry::new(&stamp, &skybox, 1.5 * rough_radius);
    let centre = asymmetry.centre(centroid, 0.25 * rough_radius, &mut quality);
    let asymmetry = asymmetry.at(centre, &mut quality);
    let ellipse = Ellipse::of(&stamp, centre, &mut quality);

    let radius = petrosian::circle(&sums, centre, &mut quality);
    let semi_major = petrosian::ellipse(&sums, &ellipse, &mut quality);
    let pixels = gini::pixels(&stamp, &ellipse, centroid, semi_major, &mut quality);
    let gini = gini::gini(&stamp, &pixels, &mut quality);
    let m20 = m20::m20(&stamp, &pixels, &mut quality);
    let [r20, r80] = [0.2, 0.8].map(|share| concentration::radius(&sums, centre, 1.5 * radius, share, &mut quality));
    let smoothness = smoothness::smoothness(&stamp, &skybox, centre, radius, &mut quality);
    let signal_to_noise = signal_to_noise::signal_to_noise(&stamp, &pixels, source, &skybox, &mut quality);
    multimode_intensity_deviation::compare(&stamp, &pixels, &mut quality);
    let extent = extent::Extent::of(&stamp, &skybox, &ellipse, semi_major, &mut quality);
    let half_light = extent.half_light(&sums, &ellipse, &mut quality);
    if skybox.has_residual_background() {
        quality.lower(Quality::Bad);
    }
    if let (Some(fwhm), Some(half)) = (source.psf_fwhm_pixels, half_light.circle)
        && half < fwhm / 2.0
    {
        quality.lower(Quality::Suspect);
    }
    Morphology {
        flag: quality as u8,
        gini,
        m20,
        concentration: r20.zip(r80).map(|(r20, r80)| 5.0 * (r80 / r20).log10()),
        asymmetry,
        smoothness,
        petrosian: Some(radius),
        petrosian_ellipse: Some(semi_major),
        half_light: half_light.circle,
        half_light_ellipse: half_light.ellipse,
        r20,
        r80,
        signal_to_noise,
        centre: Some([centre[0] + stamp.x0 as f64, centre[1] + stamp.y0 as f64]),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        test_sources::{above, gaussian, image, source},
        *,
    };

    const CENTRE: [f64; 2] = [60.3, 59.6];

    fn disc() -> Vec<f32> {
        image(120, 120, |x, y| 100.0 * (-(x - CENTRE[0]).hypot(y - CENTRE[1]) / 6.0).exp())
    }

    #[test]
    fn an_exponential_disc_has_the_statistics_of_its_formula() {
        let image = disc();
        let segments = above(&image, 0.5);
        let found = measure(&source(&image, 120, &segments));
        let near = |found: Option<f64>, expected: f64, tolerance: f64| {
            assert!(found.is_some_and(|found| (found - expected).abs() < tolerance), "{found:?} {expected}");
        };
        // With x = r / h the light within is 1 - (1 + x) e^-x. The Petrosian radius is at x = 3.6224, 1.5 of it hold
        // 0.9719 of the light, 20 % of that is within x = 0.8088, 80 % within x = 2.8513.
        near(found.petrosian, 6.0 * 3.6224, 0.15);
        near(found.petrosian_ellipse, 6.0 * 3.6224, 0.3);
        near(found.r20, 6.0 * 0.8088, 0.1);
        near(found.r80, 6.0 * 2.8513, 0.1);
        near(found.concentration, 5.0 * (2.8513_f64 / 0.8088).log10(), 0.05);
        near(found.asymmetry, 0.0, 0.02);
        let [x, y] = found.centre.expect("a centre");
        assert!((x - CENTRE[0]).hypot(y - CENTRE[1]) < 0.05, "{x} {y}");
        assert_eq!((found.flag, found.signal_to_noise), (0, None));
    }

    #[test]
    fn a_source_smaller_than_the_point_spread_function_is_suspect() {
        let image = disc();
        let segments = above(&image, 0.5);
        let plain = source(&image, 120, &segments);
        let half = measure(&plain).half_light.expect("a radius");
        let flag = |fwhm: f64| measure(&SegmentedSource { psf_fwhm_pixels: Some(fwhm), ..plain }).flag;
        assert_eq!((flag(2.0 * half - 0.01), flag(2.0 * half + 0.01)), (0, 1));
    }

    #[test]
    fn a_missing_or_dark_source_cannot_be_measured() {
        let image = disc();
        let segments = above(&image, 0.5);
        let nothing = Morphology { flag: 4, ..Morphology::default() };
        assert_eq!(measure(&SegmentedSource { label: 2, ..source(&image, 120, &segments) }), nothing);
        let dark: Vec<f32> = image.iter().map(|value| -value).collect();
        assert_eq!(measure(&source(&dark, 120, &segments)), nothing);
    }

    #[test]
    fn a_centre_far_from_the_centroid_is_suspect() {
        // A core on one side of a faint halo: the asymmetry is least about the core, up to a quarter of the radius from the centroid.
        let core = [60.0, 60.0];
        for (offset, flag) in [(6.0, 0), (24.0, 1)] {
            let halo = [60.0 + offset, 60.0];
            let image = image(120, 120, |x, y| 100.0 * gaussian(x, y, core, 3.0) + 2.0 * gaussian(x, y, halo, 12.0));
            let segments = above(&image, 0.3);
            let found = measure(&source(&image, 120, &segments));
            let [x, y] = found.centre.expect("a centre");
            assert!((x - 60.0).abs() < 1.5 && (y - 60.0).abs() < 0.1, "{offset}: {x} {y}");
            assert_eq!(found.flag, flag, "{offset}: {found:?}");
        }
    }
}
