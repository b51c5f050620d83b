//! Smoothness, or clumpiness: the light in structures smaller than a quarter of the Petrosian radius.
//!
//! S = (sum of max(x - smoothed x, 0) - area * that of the sky per pixel) / sum x, over the annulus of 0.25 to 1.5
//! Petrosian radii, where x is smoothed by a boxcar of 0.25 radii (Lotz et al. 2004, eq. 11; without Conselice's factor
//! of 10).

use super::{
    Point, Quality, aperture::Aperture, filters::boxcar, pixel_plane::PixelPlane, sky::SkyBox, sky_statistics::mean,
    stamp::Stamp,
};

/// Size of the boxcar and inner radius, in Petrosian radii.
const INNER: f64 = 0.25;
/// Outer radius, in Petrosian radii.
const OUTER: f64 = 1.5;

pub(super) fn smoothness(
    stamp: &Stamp,
    skybox: &SkyBox,
    centre: Point,
    petrosian: f64,
    quality: &mut Quality,
) -> Option<f64> {
    let [inner, outer] = [INNER, OUTER].map(|times| Aperture::circle(centre, times * petrosian));
    let in_annulus = |plane: &PixelPlane| outer.sum(plane) - inner.sum(plane);
    let size = (INNER * petrosian) as usize;
    let light = in_annulus(&stamp.image);
    let found = (light > 0.0).then(|| {
        let sky = clumps(&skybox.plane, size);
        let sky = if sky.values.is_empty() { 0.0 } else { mean(&sky.values) };
        (in_annulus(&clumps(&stamp.image, size)) - (outer.area() - inner.area()) * sky) / light
    });
    let found = found.filter(|found| found.is_finite());
    if found.is_none() {
        quality.lower(Quality::Bad);
    }
    found
}

/// The positive differences of a plane from the smoothed one.
fn clumps(plane: &PixelPlane, size: usize) -> PixelPlane {
    if plane.values.is_empty() {
        return plane.clone();
    }
    let smooth = boxcar(plane, size);
    let values = plane.values.iter().zip(&smooth.values).map(|(value, smooth)| (value - smooth).max(0.0)).collect();
    PixelPlane { values, ..*plane }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphology::{
        Sky,
        test_sources::{above, image, source, stamp},
    };

    #[test]
    fn a_flat_plane_has_no_clumps_and_a_chessboard_has() {
        let plane = |f: fn(usize) -> f64| PixelPlane { height: 30, width: 30, values: (0..900).map(f).collect() };
        assert!(clumps(&plane(|_| 2.0), 4).values.iter().all(|value| *value == 0.0));
        let board = clumps(&plane(|i| ((i / 30 + i % 30) % 2) as f64), 4);
        assert!((mean(&board.values) - 0.25).abs() < 1e-12, "{}", mean(&board.values));
    }

    #[test]
    fn clumps_of_the_annulus_are_divided_by_its_light_after_those_of_the_sky() {
        // A chessboard of 2 and 4: a boxcar of 4 gives 3, so half of the pixels stand out by 1.
        let board = |x: f64, y: f64| 2.0 + 2.0 * ((x + y) % 2.0);
        let image = image(100, 100, |x, y| board(x, y) + if x == 50.0 && y == 50.0 { 96.0 } else { 0.0 });
        let segments = above(&image, 50.0);
        let stamp = stamp(&source(&image, 100, &segments));
        let centre = [50.0 - stamp.x0 as f64, 50.0 - stamp.y0 as f64];
        let measure = |sky: Sky| {
            let mut quality = Quality::Good;
            let skybox = SkyBox::of(&stamp, sky, &mut quality);
            (smoothness(&stamp, &skybox, centre, 16.0, &mut quality).expect("a value"), quality)
        };
        // The outer radius is 24, the inner one 4: mean 0.5 over mean 3 of the chessboard.
        let (without_sky, quality) = measure(Sky::None);
        assert!((without_sky - 0.5 / 3.0).abs() < 2e-3, "{without_sky}");
        let (with_sky, _) = measure(Sky::Measured);
        assert!(with_sky.abs() < 2e-3, "{with_sky}");
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn an_annulus_without_light_is_bad() {
        let image = image(100, 100, |x, y| if x == 50.0 && y == 50.0 { 96.0 } else { -1.0 });
        let segments = above(&image, 50.0);
        let stamp = stamp(&source(&image, 100, &segments));
        let mut quality = Quality::Good;
        let skybox = SkyBox::of(&stamp, Sky::None, &mut quality);
        let centre = [50.0 - stamp.x0 as f64, 50.0 - stamp.y0 as f64];
        assert_eq!((smoothness(&stamp, &skybox, centre, 16.0, &mut quality), quality), (None, Quality::Bad));
    }
}
