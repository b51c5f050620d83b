//! The distortion of the TPV convention (registry of FITS conventions): polynomials of the plane of projection in degrees, with
//! terms of the radius, then a gnomonic projection. SCAMP wrote the same with `TAN` in `CTYPE`.

use super::{distortion::Distortion, keys::IndexedKey, polynomial::Polynomial};

/// The highest degree of a term.
const DEGREE: usize = 7;

/// A term of the convention.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Term {
    /// `x^p y^q` of the polynomial along longitude, `y^p x^q` of the one along latitude.
    Power([usize; 2]),
    /// `r^(2k + 1)`.
    Radial(usize),
}

/// The term of `PVi_m`. All powers of a degree follow each other, from the one of the own coordinate on; a power of the radius
/// follows those of degrees 1, 3, 5 and 7.
fn term(m: usize) -> Option<Term> {
    let mut first = 0;
    for degree in 0..=DEGREE {
        if m <= first + degree {
            let other = m - first;
            return Some(Term::Power([degree - other, other]));
        }
        first += degree + 1;
        if degree % 2 == 1 {
            if m == first {
                return Some(Term::Radial(degree / 2));
            }
            first += 1;
        }
    }
    None
}

/// The distortion of keys `PVi_m`: their indices are the coordinate (0 for longitude, 1 for latitude) and m.
///
/// # Errors
/// When a term is unknown, a linear term is missing, or the map is singular at the reference.
pub(super) fn tpv_distortion(keys: &[IndexedKey], world: [usize; 2]) -> Result<Distortion, String> {
    let mut along = [Polynomial::zero(DEGREE), Polynomial::zero(DEGREE)];
    for (coordinate, polynomial) in along.iter_mut().enumerate() {
        let axis = world[coordinate];
        let mut seen = Vec::new();
        for IndexedKey { key, indices: [_, m], value } in keys.iter().filter(|key| key.indices[0] == axis) {
            let term = term(*m).ok_or_else(|| format!("key `{key}` is not a term of TPV, expected 0 to 39"))?;
            // The first card of a key is used.
            if seen.contains(m) {
                continue;
            }
            seen.push(*m);
            match (term, coordinate) {
                (Term::Radial(k), _) => polynomial.add_radial(k, *value),
                (Term::Power(powers), 0) => polynomial.add(powers, *value),
                (Term::Power([p, q]), _) => polynomial.add([q, p], *value),
            }
        }
        // The convention has 1 for a linear term that is missing, the library most used for it has 0.
        if !seen.contains(&1) {
            return Err(format!("key `PV{axis}_1` is missing, expected the linear term of TPV"));
        }
    }
    Distortion::new(along).ok_or_else(|| "has keys `PVi_m` of a map that is singular at the reference".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_have_the_numbers_of_the_convention() {
        let power = |p, q| Some(Term::Power([p, q]));
        let expected = [
            (0, power(0, 0)),
            (1, power(1, 0)),
            (2, power(0, 1)),
            (3, Some(Term::Radial(0))),
            (4, power(2, 0)),
            (6, power(0, 2)),
            (7, power(3, 0)),
            (10, power(0, 3)),
            (11, Some(Term::Radial(1))),
            (12, power(4, 0)),
            (16, power(0, 4)),
            (17, power(5, 0)),
            (22, power(0, 5)),
            (23, Some(Term::Radial(2))),
            (24, power(6, 0)),
            (30, power(0, 6)),
            (31, power(7, 0)),
            (38, power(0, 7)),
            (39, Some(Term::Radial(3))),
            (40, None),
        ];
        for (m, expected) in expected {
            assert_eq!(term(m), expected, "PV1_{m}");
        }
    }
}
