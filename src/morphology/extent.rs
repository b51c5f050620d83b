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

/// The pixels of the galaxy: the connected region of the brightest pixel that is at least one standard deviation above the mode of the sky,
/// in the image smoothed by a boxcar of 3 pixels. Without a sky, the pixels of the source.
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
