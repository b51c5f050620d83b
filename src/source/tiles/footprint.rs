//! Where on the sky an image can be: a circle that has all of it, and the order by declination.

use crate::wcs::{PixelPosition, SkyPosition, Wcs};

/// Intervals along an edge of an image, at whose ends its distance from the centre is measured.
const INTERVALS: u32 = 8;
/// How much larger than its farthest measured point a circle is: edges of distorted images are curved between the points.
const MARGIN: f64 = 1.05;
/// Circles with larger chords (of the unit sphere) are taken for the whole sky: the farthest point of such an image may be inside.
const MAX_CHORD: f64 = 1.0;

/// A circle on the sky that has all of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Footprint {
    /// The unit vector of the centre of the image.
    centre: [f64; 3],
    pub(super) centre_dec_deg: f64,
    /// The square of the largest distance of the unit vectors of its positions from the centre; infinite for the whole sky.
    chord_squared: f64,
}

impl Footprint {
    /// That of an image of `[rows, columns]`; the error is the reason why the centre has no position.
    pub(super) fn of(wcs: &Wcs, [rows, columns]: [usize; 2]) -> Result<Self, String> {
        let (width, height) = (columns as f64, rows as f64);
        let middle = PixelPosition { x: (width - 1.0) / 2.0, y: (height - 1.0) / 2.0 };
        let sky = wcs.pixel_to_sky(middle).map_err(|error| format!("has a centre on the sky that {error}"))?;
        let centre = sky.direction();
        let edge = (0..=INTERVALS).map(|step| f64::from(step) / f64::from(INTERVALS)).flat_map(|part| {
            let (x, y) = (part * width - 0.5, part * height - 0.5);
            [(x, -0.5), (x, height - 0.5), (-0.5, y), (width - 0.5, y)]
        });
        let mut largest = 0.0_f64;
        for (x, y) in edge {
            // What lies outside of the projection says nothing of how far the image goes.
            let chord = wcs
                .pixel_to_sky(PixelPosition { x, y })
                .map_or(f64::INFINITY, |sky| distance_squared(centre, sky.direction()));
            largest = largest.max(chord * MARGIN * MARGIN);
        }
        let chord_squared = if largest <= MAX_CHORD * MAX_CHORD { largest } else { f64::INFINITY };
        Ok(Self { centre, centre_dec_deg: sky.dec_deg, chord_squared })
    }

    /// The square of the distance of a direction from the centre of the image, on the unit sphere.
    pub(super) fn distance_squared(&self, direction: [f64; 3]) -> f64 {
        distance_squared(self.centre, direction)
    }

    /// Whether the circle has a direction. One that it does not have is not in the image.
    pub(super) fn may_have(&self, direction: [f64; 3]) -> bool {
        self.distance_squared(direction) <= self.chord_squared
    }

    /// The radius of the circle, degrees.
    pub(super) fn radius_deg(&self) -> f64 {
        let half = self.chord_squared.sqrt() / 2.0;
        if half < 1.0 { 2.0 * half.asin().to_degrees() } else { 180.0 }
    }
}

fn distance_squared(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Side of a pixel at the middle of an image by its world coordinates, arcsec: the root of its area.
pub(super) fn side_arcsec(wcs: &Wcs, [rows, columns]: [usize; 2]) -> Result<f64, String> {
    let (x, y) = ((columns as f64 - 1.0) / 2.0, (rows as f64 - 1.0) / 2.0);
    let direction = |dx: f64, dy: f64| {
        let sky = wcs.pixel_to_sky(PixelPosition { x: x + dx, y: y + dy });
        sky.map(SkyPosition::direction).map_err(|error| format!("has a centre on the sky that {error}"))
    };
    let step = |[a, b]: [[f64; 3]; 2]| [0, 1, 2].map(|axis| b[axis] - a[axis]);
    let along_x = step([direction(-0.5, 0.0)?, direction(0.5, 0.0)?]);
    let along_y = step([direction(0.0, -0.5)?, direction(0.0, 0.5)?]);
    let [a, b] = [along_x, along_y];
    let area = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    Ok(area.iter().map(|term| term * term).sum::<f64>().sqrt().sqrt().to_degrees() * 3600.0)
}
