//! The zenithal polynomial projection (FITS WCS paper II, section 5.1.7), that of WFCAM and VISTA.

use std::cmp::Ordering;

use super::zenithal::PolarDistance;
use crate::wcs::keys::IndexedKey;

/// The highest power.
pub(super) const MAX_DEGREE: usize = 20;
/// Steps in which the first turning point is looked for.
const STEPS: usize = 2000;
/// Halvings, or steps of Newton's method, until the inverse has all its digits.
const MAX_STEPS: usize = 100;

/// `R = sum P_m z^m` with the distance z from the native pole, both in radians (equation 62).
#[derive(Debug, Clone)]
pub(in crate::wcs) struct ZpnPolynomial {
    terms: [f64; MAX_DEGREE + 1],
    /// The distance up to which the radius grows. Beyond it the map covers itself.
    last: f64,
}

impl ZpnPolynomial {
    /// The polynomial of keys `PVi_m`.
    ///
    /// # Errors
    /// When it has no term of degree 1, one of degree 0, or one of a degree above 20.
    pub(super) fn of(parameters: &[IndexedKey]) -> Result<Self, String> {
        let mut terms = [0.0; MAX_DEGREE + 1];
        // Backwards: the first card of a key is used.
        for IndexedKey { key, indices: [_, m], value } in parameters.iter().rev() {
            match terms.get_mut(*m) {
                Some(term) => *term = *value,
                None => return Err(format!("key `{key}` is not a term of ZPN, expected 0 to {MAX_DEGREE}")),
            }
        }
        if terms[0] != 0.0 || terms[1] <= 0.0 {
            let (constant, linear) = (terms[0], terms[1]);
            return Err(format!(
                "has a polynomial of ZPN that begins with {constant} (`PVi_0`) and {linear} (`PVi_1`), expected 0 and a \
                 positive number"
            ));
        }
        let mut polynomial = Self { terms, last: std::f64::consts::PI };
        let step = std::f64::consts::PI / STEPS as f64;
        let grows = |z: f64| polynomial.value_and_slope(z).1 > 0.0;
        if let Some(first) = (1..=STEPS).find(|step_count| !grows(*step_count as f64 * step)) {
            let (mut low, mut high) = ((first - 1) as f64 * step, first as f64 * step);
            for _ in 0..60 {
                let middle = 0.5 * (low + high);
                if grows(middle) { low = middle } else { high = middle }
            }
            polynomial.last = low;
        }
        Ok(polynomial)
    }

    fn value_and_slope(&self, z: f64) -> (f64, f64) {
        self.terms.iter().rev().fold((0.0, 0.0), |(value, slope), term| (value * z + term, slope * z + value))
    }

    /// The radius of a distance; `None` beyond the turning point.
    pub(super) fn radius(&self, angle: PolarDistance) -> Option<f64> {
        let z = angle.radians();
        (z <= self.last).then(|| self.value_and_slope(z).0)
    }

    /// The distance of a radius, by Newton's method within bounds that are halved where it would leave them.
    pub(super) fn inverse(&self, radius: f64) -> Option<PolarDistance> {
        let (mut low, mut high) = (0.0, self.last);
        let (most, _) = self.value_and_slope(high);
        if radius.partial_cmp(&most).is_none_or(Ordering::is_gt) {
            return None;
        }
        let mut z = (radius / self.terms[1]).min(high);
        for _ in 0..MAX_STEPS {
            let (value, slope) = self.value_and_slope(z);
            if value > radius {
                high = z;
            } else {
                low = z;
            }
            let newton = z - (value - radius) / slope;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            // A few units in the last place: below that the sum is only rounding.
            let done = (next - z).abs() <= 4.0 * f64::EPSILON * z;
            z = next;
            if done {
                break;
            }
        }
        Some(PolarDistance::of_radians(z))
    }
}
