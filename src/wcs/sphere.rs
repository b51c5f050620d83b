//! Directions on the sphere, and the rotation from celestial to native coordinates (FITS WCS paper II, section 2.3).
//!
//! Directions are unit vectors: near a pole, angles would lose half of the digits.

/// A unit vector.
pub(super) type Direction = [f64; 3];

/// Sine and cosine of an angle, exact at multiples of 90 degrees.
pub(super) fn sin_cos_deg(angle_deg: f64) -> (f64, f64) {
    let reduced = angle_deg % 360.0;
    if reduced % 90.0 != 0.0 {
        return reduced.to_radians().sin_cos();
    }
    match ((reduced / 90.0) as i64).rem_euclid(4) {
        0 => (0.0, 1.0),
        1 => (1.0, 0.0),
        2 => (0.0, -1.0),
        _ => (-1.0, 0.0),
    }
}

/// The direction of a longitude and latitude.
pub(super) fn direction(longitude_deg: f64, latitude_deg: f64) -> Direction {
    let (sin_lon, cos_lon) = sin_cos_deg(longitude_deg);
    let (sin_lat, cos_lat) = sin_cos_deg(latitude_deg);
    [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
}

/// Longitude (-180 to 180) and latitude of a direction, degrees. The longitude of a pole is 0.
pub(super) fn angles_deg([x, y, z]: Direction) -> [f64; 2] {
    let across = x.hypot(y);
    let longitude = if across == 0.0 { 0.0 } else { y.atan2(x) };
    [longitude.to_degrees(), z.atan2(across).to_degrees()]
}

/// The celestial coordinates of the native pole, and the native longitude of the celestial pole, degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NativePole {
    pub(super) ra_deg: f64,
    pub(super) dec_deg: f64,
    /// `LONPOLE`.
    pub(super) phi_deg: f64,
}

/// A rotation from celestial to native directions.
#[derive(Debug, Clone)]
pub(super) struct Rotation([Direction; 3]);

impl Rotation {
    /// The matrix of equations 3 and 4 of paper II.
    pub(super) fn of(pole: NativePole) -> Self {
        let (sin_ra, cos_ra) = sin_cos_deg(pole.ra_deg);
        let (sin_dec, cos_dec) = sin_cos_deg(pole.dec_deg);
        let (sin_phi, cos_phi) = sin_cos_deg(pole.phi_deg);
        Self([
            [
                -sin_ra * sin_phi - cos_ra * cos_phi * sin_dec,
                cos_ra * sin_phi - sin_ra * cos_phi * sin_dec,
                cos_phi * cos_dec,
            ],
            [
                sin_ra * cos_phi - cos_ra * sin_phi * sin_dec,
                -cos_ra * cos_phi - sin_ra * sin_phi * sin_dec,
                sin_phi * cos_dec,
            ],
            [cos_ra * cos_dec, sin_ra * cos_dec, sin_dec],
        ])
    }

    pub(super) fn to_native(&self, celestial: Direction) -> Direction {
        self.0.map(|row| row[0] * celestial[0] + row[1] * celestial[1] + row[2] * celestial[2])
    }

    /// By the transposed matrix.
    pub(super) fn to_celestial(&self, native: Direction) -> Direction {
        [0, 1, 2].map(|column| (0..3).map(|row| self.0[row][column] * native[row]).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_of_90_degrees_are_exact() {
        for (angle, expected) in [(0.0, (0.0, 1.0)), (450.0, (1.0, 0.0)), (-90.0, (-1.0, 0.0)), (-540.0, (0.0, -1.0))] {
            assert_eq!(sin_cos_deg(angle), expected, "{angle}");
        }
        assert!((sin_cos_deg(30.0).0 - 0.5).abs() < 1e-15);
    }

    #[test]
    fn rotations_lead_back_and_map_the_poles_onto_each_other() {
        let pole = NativePole { ra_deg: 200.0, dec_deg: -35.0, phi_deg: 140.0 };
        let rotation = Rotation::of(pole);
        let native_pole = rotation.to_native(direction(pole.ra_deg, pole.dec_deg));
        assert!((native_pole[2] - 1.0).abs() < 1e-15);
        let [phi, theta] = angles_deg(rotation.to_native([0.0, 0.0, 1.0]));
        assert!((phi - 140.0).abs() < 1e-12 && (theta + 35.0).abs() < 1e-12);
        let [ra, dec] = angles_deg(rotation.to_celestial(rotation.to_native(direction(12.0, 89.999))));
        assert!((ra - 12.0).abs() < 1e-9 && (dec - 89.999).abs() < 1e-12);
    }
}
