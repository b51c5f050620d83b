//! World coordinates around a pixel, as they are without distortion.

use super::{PixelPosition, PositionError, SkyPosition, Wcs};

/// World coordinates on the plane that touches the sky at a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TangentPlane {
    /// Where it touches.
    pub(crate) centre: SkyPosition,
    /// Degrees along right ascension and declination (rows) for a pixel along x and y (columns).
    pub(crate) matrix_deg: [[f64; 2]; 2],
}

impl Wcs {
    /// The plane that touches the sky at a pixel. The step of a pixel is that between the pixels `reach` to both sides, so it is
    /// exact to second order for an image of that size.
    pub(crate) fn tangent_plane(&self, centre: PixelPosition, reach: f64) -> Result<TangentPlane, PositionError> {
        let sky = self.pixel_to_sky(centre)?;
        let step = |dx: f64, dy: f64| {
            let at = |sign: f64| {
                let pixel = PixelPosition { x: centre.x + sign * dx, y: centre.y + sign * dy };
                Ok::<_, PositionError>(offset_deg(sky, self.pixel_to_sky(pixel)?))
            };
            let ([x1, y1], [x0, y0]) = (at(1.0)?, at(-1.0)?);
            Ok::<_, PositionError>([x1 - x0, y1 - y0].map(|step| step / (2.0 * reach)))
        };
        let ([a, c], [b, d]) = (step(reach, 0.0)?, step(0.0, reach)?);
        Ok(TangentPlane { centre: sky, matrix_deg: [[a, b], [c, d]] })
    }
}

impl Wcs {
    /// How far pixels lie off those that other world coordinates give to the same positions, pixels: the most of two corners of a square of
    /// `2 half` pixels about a centre, which has a place in both. `None` if that cannot be computed.
    pub(crate) fn warp_to(
        &self,
        centre: PixelPosition,
        other: &Self,
        other_centre: PixelPosition,
        half: f64,
    ) -> Option<f64> {
        let mut largest = 0.0_f64;
        for (dx, dy) in [(half, half), (-half, half)] {
            let sky = self.pixel_to_sky(PixelPosition { x: centre.x + dx, y: centre.y + dy }).ok()?;
            let found = other.sky_to_pixel(sky).ok()?;
            largest = largest.max((found.x - other_centre.x - dx).hypot(found.y - other_centre.y - dy));
        }
        largest.is_finite().then_some(largest)
    }
}

/// Where a position is on the plane that touches the sky at a centre, degrees (FITS WCS paper II, section 5.1.3). Differences of
/// angles are taken before their sines, as both positions are close.
fn offset_deg(centre: SkyPosition, sky: SkyPosition) -> [f64; 2] {
    let (dec, centre_dec) = (sky.dec_deg.to_radians(), centre.dec_deg.to_radians());
    let turn = (sky.ra_deg - centre.ra_deg).to_radians();
    let half = (turn / 2.0).sin();
    let away = 2.0 * half * half;
    let along = (dec - centre_dec).cos() - centre_dec.cos() * dec.cos() * away;
    let x = dec.cos() * turn.sin() / along;
    let y = ((dec - centre_dec).sin() + centre_dec.sin() * dec.cos() * away) / along;
    [x, y].map(f64::to_degrees)
}
