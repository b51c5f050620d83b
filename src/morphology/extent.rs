//! How far a galaxy reaches: the pixels above the noise around it (Pawlik et al. 2016), and the radii with half its light.

use super::{
    Quality,
    aperture::{Aperture, Table},
    concentration::radius_of,
    filters::boxcar,
    petrosian::Ellipse,
    regions::region_of,
    sky::{SkyBox, clipped, deviation, mean, median},
    stamp::Stamp,
};

/// The sky is looked for between so many Petrosian semi-major axes and twice as many.
const SKY_FROM: f64 = 2.0;
/// The least number of pixels of the sky there.
const LEAST_SKY: usize = 32 * 32;

/// The largest distances of a pixel of the galaxy: as a radius, and as the semi-major axis of its ellipse.
pub(super) struct Extent {
    circle: f64,
    ellipse: f64,
}

/// Radii with half the light.
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
        for place in (0..pixels.len()).filter(|place| pixels[*place]) {
            let [x, y] = stamp.image.point(place);
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

    pub(super) fn half_light(&self, table: &Table, ellipse: &Ellipse, quality: &mut Quality) -> HalfLight {
        let circle = |radius: f64| Aperture::circle(ellipse.centre, radius);
        HalfLight {
            circle: radius_of(table, circle, self.circle, 0.5, quality),
            ellipse: radius_of(table, |semi_major| ellipse.with(semi_major), self.ellipse, 0.5, quality),
        }
    }
}

/// The pixels of the galaxy: one standard deviation above the mode of the sky, in the image that a box of 3 pixels has
/// smoothed, in one piece with the brightest. Without noise they are the source.
fn pixels(stamp: &Stamp, skybox: &SkyBox, ellipse: &Ellipse, petrosian: f64, quality: &mut Quality) -> Vec<bool> {
    if skybox.absent {
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

fn threshold(stamp: &Stamp, skybox: &SkyBox, ellipse: &Ellipse, petrosian: f64) -> Option<f64> {
    let [xc, yc] = ellipse.centre;
    let inner = SKY_FROM * petrosian;
    let around = |place: &usize| {
        let [x, y] = stamp.image.point(*place);
        let squared = (x - xc).powi(2) + (y - yc).powi(2);
        squared >= inner * inner && squared < 4.0 * inner * inner && !stamp.bad[*place]
    };
    let mut places: Vec<usize> = (0..stamp.bad.len()).filter(around).collect();
    if places.len() < LEAST_SKY {
        places = skybox.places().to_vec();
    }
    if places.is_empty() {
        return None;
    }
    let mut sky: Vec<f64> = places.into_iter().map(|place| stamp.image.values[place]).collect();
    sky.sort_unstable_by(f64::total_cmp);
    let sky = clipped(&sky, usize::MAX, |sky| mode(clipped(sky, 10, median)));
    Some(mode(sky) + deviation(sky))
}

/// The mode as SExtractor estimates it.
fn mode(sorted: &[f64]) -> f64 {
    2.5 * median(sorted) - 1.5 * mean(sorted)
}
