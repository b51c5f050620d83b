//! Smoothness, or clumpiness: the light in structures smaller than a quarter of the Petrosian radius.
//!
//! S = (sum of max(x - smoothed x, 0) - area * that of the sky per pixel) / sum x, over the annulus of 0.25 to 1.5 Petrosian radii, where x
//! is smoothed by a boxcar of 0.25 radii (Lotz et al. 2004, eq. 11; without Conselice's factor of 10).

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

    #[test]
    fn a_flat_plane_has_no_clumps_and_a_chessboard_has() {
        let plane = |f: fn(usize) -> f64| PixelPlane { height: 30, width: 30, values: (0..900).map(f).collect() };
        assert!(clumps(&plane(|_| 2.0), 4).values.iter().all(|value| *value == 0.0));
        let board = clumps(&plane(|i| ((i / 30 + i % 30) % 2) as f64), 4);
        assert!((mean(&board.values) - 0.25).abs() < 1e-12, "{}", mean(&board.values));
    }
}
