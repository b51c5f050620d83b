//! The extent of a galaxy: its pixels above the surrounding noise (Pawlik et al. 2016), and its half-light radii.

use super::{
    Quality,
    aperture::Aperture,
    concentration::radius_of,
    filters::boxcar,
    petrosian::Ellipse,
    regions::region_of,
    row_prefix_sums::RowPrefixSums,
    sky::SkyBox,
    sky_statistics::{mode, sigma_clip, standard_deviation},
    stamp::Stamp,
};
use crate::stats::quantile::median;

/// The sky is measured between this many Petrosian semi-major axes and twice as many.
const SKY_FROM: f64 = 2.0;
/// Minimum number of pixels of the sky there; with fewer, the sky box is used.
const MIN_SKY: usize = 32 * 32;

/// The largest distance of a pixel of the galaxy from the centre, as a radius and as the semi-major axis of an ellipse.
pub(super) struct Extent {
    circle: f64,
    ellipse: f64,
}

/// Half-light radii.
pub(super) struct HalfLight {
    pub(super) circle: Option<f64>,
    pub(super) ellipse: Option<f64>,
}

impl Extent {
    pub(super) fn of(stamp: &Stamp, skybox: &SkyBox, ellipse: &Ellipse, petrosian: f64, quality: &mut Quality) -> Self {
        let pixels = pixels(stamp, skybox, ellipse, petrosian, quality);
        let [xc, yc] = ellipse.centre;
        let (sin, cos) = ellipse.angle.sin_cos();
        let mut extent = Self { circle: 0.0, ellipse: 0.0 };
        for index in (0..pixels.len()).filter(|index| pixels[*index]) {
            let [x, y] = stamp.image.point(index);
            let (dx, dy) = (x - xc, y - yc);
            let (along, across) = (dx * cos + dy * sin, (dy * cos - dx * sin) * ellipse.elongation);
            extent.circle = extent.circle.max(dx.hypot(dy));
            extent.ellipse = extent.ellipse.max(along.hypot(across));
        }
        if extent.circle == 0.0 {
            quality.lower(Quality::Bad);
        }
        extent
    }

    pub(super) fn half_light(&self, sums: &RowPrefixSums, ellipse: &Ellipse, quality: &mut Quality) -> HalfLight {
        let circle = |radius: f64| Aperture::circle(ellipse.centre, radius);
        HalfLight {
            circle: radius_of(sums, circle, self.circle, 0.5, quality),
            ellipse: radius_of(sums, |semi_major| ellipse.with(semi_major), self.ellipse, 0.5, quality),
        }
    }
}

/// The pixels of the galaxy: the connected region of the brightest pixel that is at least one standard deviation above
/// the mode of the sky, in the image smoothed by a boxcar of 3 pixels. Without a sky, the pixels of the source.
fn pixels(stamp: &Stamp, skybox: &SkyBox, ellipse: &Ellipse, petrosian: f64, quality: &mut Quality) -> Vec<bool> {
    if skybox.is_absent {
        return stamp.source.clone();
    }
    let Some(threshold) = threshold(stamp, skybox, ellipse, petrosian) else {
        quality.lower(Quality::Bad);
        return stamp.source.clone();
    };
    let smooth = boxcar(&stamp.image, 3);
    let mut above: Vec<bool> = smooth.values.iter().map(|value| *value >= threshold).collect();
    let brightest = smooth.brightest();
    if !above[brightest] {
        above[brightest] = true;
        quality.lower(Quality::Bad);
    }
    region_of(&above, smooth.width, brightest)
}

/// The mode of the sky plus one standard deviation; `None` without sky pixels.
fn threshold(stamp: &Stamp, skybox: &SkyBox, ellipse: &Ellipse, petrosian: f64) -> Option<f64> {
    let [xc, yc] = ellipse.centre;
    let inner = SKY_FROM * petrosian;
    let is_near = |index: &usize| {
        let [x, y] = stamp.image.point(*index);
        let squared = (x - xc).powi(2) + (y - yc).powi(2);
        squared >= inner * inner && squared < 4.0 * inner * inner && !stamp.bad[*index]
    };
    let mut indices: Vec<usize> = (0..stamp.bad.len()).filter(is_near).collect();
    if indices.len() < MIN_SKY {
        indices = skybox.indices().to_vec();
    }
    let mut sky: Vec<f64> = indices.into_iter().map(|index| stamp.image.values[index]).collect();
    sky.sort_unstable_by(f64::total_cmp);
    let sky = sigma_clip(&sky, usize::MAX, |sky| mode(sigma_clip(sky, 10, median)));
    Some(mode(sky)? + standard_deviation(sky))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::{
        Sky,
        test_sources::{above, gaussian, image, source, stamp},
    };

    const CENTRE: [f64; 2] = [60.0, 62.0];

    /// A disc or an ellipse of semi-axes 12 and 12 / elongation along x, on a sky of 1, -1, 1, -1, ...
    fn measured(elongation: f64, sky: Sky) -> (Extent, HalfLight, Quality) {
        let inside = |x: f64, y: f64| (x - CENTRE[0]).hypot((y - CENTRE[1]) * elongation) <= 12.0;
        let image = image(120, 120, |x, y| if inside(x, y) { 50.0 } else { 2.0 * ((x + y) % 2.0) - 1.0 });
        let segments = above(&image, 10.0);
        let stamp = stamp(&source(&image, 120, &segments));
        let mut quality = Quality::Good;
        let skybox = SkyBox::of(&stamp, sky, &mut quality);
        let centre = [CENTRE[0] - stamp.x0 as f64, CENTRE[1] - stamp.y0 as f64];
        let ellipse = Ellipse { centre, elongation, angle: 0.0 };
        let extent = Extent::of(&stamp, &skybox, &ellipse, 8.0, &mut quality);
        let half_light = extent.half_light(&RowPrefixSums::new(&stamp.image, &stamp.bad), &ellipse, &mut quality);
        (extent, half_light, quality)
    }

    #[test]
    fn a_disc_has_its_radius_and_half_its_light_inside_of_the_root_of_a_half() {
        for sky in [Sky::None, Sky::Measured] {
            let (extent, half_light, quality) = measured(1.0, sky);
            // The boxcar adds a pixel on every side where there is noise.
            let rim = if sky == Sky::None { 0.0 } else { 1.5 };
            assert!((extent.circle - 12.0 - rim).abs() < 0.6, "{sky:?}: {}", extent.circle);
            assert!((extent.ellipse - extent.circle).abs() < 1e-9);
            let half = half_light.circle.expect("a radius");
            assert!((half - 12.0 * 0.5f64.sqrt()).abs() < 0.2, "{sky:?}: {half}");
            assert_eq!(quality, Quality::Good);
        }
    }

    #[test]
    fn an_ellipse_has_its_semi_major_axis() {
        let (extent, half_light, quality) = measured(2.0, Sky::None);
        assert!((extent.circle - 12.0).abs() < 1e-9 && (extent.ellipse - 12.0).abs() < 0.5, "{}", extent.ellipse);
        let half = half_light.ellipse.expect("a semi-major axis");
        assert!((half - 12.0 * 0.5f64.sqrt()).abs() < 0.25, "{half}");
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn the_threshold_is_the_mode_of_the_sky_plus_one_standard_deviation() {
        // Numbers 0 ... 10 around a source: median and mean 5, so the mode too; standard deviation sqrt(10).
        let image = image(120, 120, |x, y| {
            (x * 7.0 + y * 5.0) % 11.0 + if gaussian(x, y, CENTRE, 2.0) > 0.1 { 90.0 } else { 0.0 }
        });
        let segments = above(&image, 50.0);
        let stamp = stamp(&source(&image, 120, &segments));
        let skybox = SkyBox::of(&stamp, Sky::Measured, &mut Quality::Good);
        let centre = [CENTRE[0] - stamp.x0 as f64, CENTRE[1] - stamp.y0 as f64];
        let ellipse = Ellipse { centre, elongation: 1.0, angle: 0.0 };
        for petrosian in [1.0, 6.0] {
            let found = threshold(&stamp, &skybox, &ellipse, petrosian).expect("a sky");
            assert!((found - 5.0 - 10f64.sqrt()).abs() < 0.2, "{petrosian}: {found}");
        }
        let empty = SkyBox::of(&stamp, Sky::None, &mut Quality::Good);
        assert_eq!(threshold(&stamp, &empty, &ellipse, 1.0), None);
    }

    #[test]
    fn a_single_pixel_has_no_extent_and_is_bad() {
        let image = image(60, 60, |x, y| if x == 30.0 && y == 30.0 { 9.0 } else { 0.1 * ((x + y) % 3.0) });
        let segments = above(&image, 5.0);
        let mut stamp = stamp(&source(&image, 60, &segments));
        let centre = [30.0 - stamp.x0 as f64, 30.0 - stamp.y0 as f64];
        let index = centre[1] as usize * stamp.image.width + centre[0] as usize;
        stamp.source[index] = true;
        let skybox = SkyBox::of(&stamp, Sky::None, &mut Quality::Good);
        let ellipse = Ellipse { centre, elongation: 1.0, angle: 0.0 };
        let mut quality = Quality::Good;
        let extent = Extent::of(&stamp, &skybox, &ellipse, 5.0, &mut quality);
        assert_eq!((extent.circle, extent.ellipse, quality), (0.0, 0.0, Quality::Bad));
    }

    #[test]
    fn without_sky_pixels_the_source_is_taken_and_is_bad() {
        let image = image(60, 60, |x, y| 9.0 * gaussian(x, y, [30.0, 30.0], 9.0));
        let stamp = stamp(&source(&image, 60, &[1; 60 * 60]));
        let skybox = SkyBox::of(&stamp, Sky::Measured, &mut Quality::Good);
        let ellipse = Ellipse { centre: [30.0, 30.0], elongation: 1.0, angle: 0.0 };
        let mut quality = Quality::Good;
        assert_eq!(pixels(&stamp, &skybox, &ellipse, 60.0, &mut quality), stamp.source);
        assert_eq!(quality, Quality::Bad);
    }

    #[test]
    fn a_source_fainter_than_the_noise_is_its_brightest_pixel_and_bad() {
        let image = image(120, 120, |x, y| 10.0 - 20.0 * ((x + y) % 2.0) + 3.0 * gaussian(x, y, CENTRE, 1.0));
        let mut segments = vec![0; 120 * 120];
        (60..65).for_each(|y| segments[y * 120 + 58..][..5].fill(1));
        let stamp = stamp(&source(&image, 120, &segments));
        let skybox = SkyBox::of(&stamp, Sky::Measured, &mut Quality::Good);
        let centre = [CENTRE[0] - stamp.x0 as f64, CENTRE[1] - stamp.y0 as f64];
        let ellipse = Ellipse { centre, elongation: 1.0, angle: 0.0 };
        let mut quality = Quality::Good;
        let found = pixels(&stamp, &skybox, &ellipse, 3.0, &mut quality);
        assert_eq!((found.iter().filter(|own| **own).count(), quality), (1, Quality::Bad));
    }
}
