//! Zenithal projections (FITS WCS paper II, section 5.1): the radius in the plane is a function of the distance from the native
//! pole, `x = R sin(phi)` and `y = -R cos(phi)` (equations 12 and 13).

use crate::wcs::sphere::Direction;

/// The distance of a direction from the native pole, as its sine (0 or more) and cosine.
#[derive(Debug, Clone, Copy)]
pub(super) struct PolarDistance {
    pub(super) sin: f64,
    pub(super) cos: f64,
}

impl PolarDistance {
    pub(super) fn radians(self) -> f64 {
        self.sin.atan2(self.cos)
    }

    pub(super) fn of_radians(angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        Self { sin, cos }
    }
}

/// The point of a direction, by the radius in radians.
pub(super) fn project([x, y, z]: Direction, radius: impl Fn(PolarDistance) -> Option<f64>) -> Option<[f64; 2]> {
    let sin = x.hypot(y);
    let radius = radius(PolarDistance { sin, cos: z })?.to_degrees();
    if sin == 0.0 {
        // The other pole is a circle of the map, not a point.
        return (radius == 0.0).then_some([0.0, 0.0]);
    }
    Some([radius * y / sin, -radius * x / sin])
}

/// The direction of a point, by the inverse of the radius in radians.
pub(super) fn deproject([x, y]: [f64; 2], inverse: impl Fn(f64) -> Option<PolarDistance>) -> Option<Direction> {
    let radius = x.hypot(y);
    if radius == 0.0 {
        return Some([0.0, 0.0, 1.0]);
    }
    let PolarDistance { sin, cos } = inverse(radius.to_radians())?;
    Some([-sin * y / radius, sin * x / radius, cos])
}

/// Equation 54.
pub(super) fn tan(angle: PolarDistance) -> Option<f64> {
    (angle.cos > 0.0).then(|| angle.sin / angle.cos)
}

/// Equation 55.
pub(super) fn inverse_tan(radius: f64) -> Option<PolarDistance> {
    let cos = 1.0 / radius.hypot(1.0);
    Some(PolarDistance { sin: radius * cos, cos })
}

/// Equation 56: twice the tangent of half of the distance.
pub(super) fn stg(angle: PolarDistance) -> Option<f64> {
    (angle.cos > -1.0).then(|| 2.0 * angle.sin / (1.0 + angle.cos))
}

/// Equation 57.
pub(super) fn inverse_stg(radius: f64) -> Option<PolarDistance> {
    let half = radius / 2.0;
    let norm = 1.0 + half * half;
    Some(PolarDistance { sin: 2.0 * half / norm, cos: (1.0 - half) * (1.0 + half) / norm })
}

/// Equation 67.
pub(super) fn arc(angle: PolarDistance) -> Option<f64> {
    Some(angle.radians())
}

/// Equation 68.
pub(super) fn inverse_arc(radius: f64) -> Option<PolarDistance> {
    (radius <= std::f64::consts::PI).then(|| PolarDistance::of_radians(radius))
}

/// Equation 69: twice the sine of half of the distance.
pub(super) fn zea(angle: PolarDistance) -> Option<f64> {
    // Each form is exact where the other one loses digits.
    Some(if angle.cos > 0.0 { angle.sin * (2.0 / (1.0 + angle.cos)).sqrt() } else { (2.0 * (1.0 - angle.cos)).sqrt() })
}

/// Equation 70.
pub(super) fn inverse_zea(radius: f64) -> Option<PolarDistance> {
    let half = radius / 2.0;
    (half <= 1.0)
        .then(|| PolarDistance { sin: 2.0 * half * ((1.0 - half) * (1.0 + half)).sqrt(), cos: 1.0 - 2.0 * half * half })
}

/// The slant orthographic projection, equations 63 and 64, for the side of the sphere that faces the plane.
pub(super) fn project_sin([x, y, z]: Direction, [xi, eta]: [f64; 2]) -> Option<[f64; 2]> {
    // 1 - z, exact near the pole too.
    let across = x.hypot(y);
    let depth = if z > 0.0 { across * across / (1.0 + z) } else { 1.0 - z };
    let (px, py) = (y + xi * depth, -x + eta * depth);
    let square = xi * xi + eta * eta + 1.0;
    let facing = 1.0 + xi * px + eta * py - square * depth;
    (facing >= -1e-12).then(|| [px.to_degrees(), py.to_degrees()])
}

/// Its inverse. With `w = 1 - sin(theta)` the point is `(p, q) + (xi, eta) w` for a `(p, q)` within the unit circle, where
/// `p^2 + q^2 = 1 - (1 - w)^2`. So `w` is the smaller root of `a w^2 - 2 b w + c = 0` with the numbers below.
pub(super) fn deproject_sin(point: [f64; 2], [xi, eta]: [f64; 2]) -> Option<Direction> {
    let [x, y] = point.map(f64::to_radians);
    let (a, b, c) = (xi * xi + eta * eta + 1.0, 1.0 + xi * x + eta * y, x * x + y * y);
    let discriminant = b * b - a * c;
    // Rounding may put a point of the edge just outside.
    if !(b > 0.0 && discriminant >= -1e-13 * b * b) {
        return None;
    }
    let depth = c / (b + discriminant.max(0.0).sqrt());
    Some([-(y - eta * depth), x - xi * depth, 1.0 - depth])
}
