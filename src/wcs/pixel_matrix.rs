//! The step of a pixel in the plane of projection: `CDi_j`, or `CDELTi` times `PCi_j`, or `CDELTi` turned by `CROTAi` (FITS WCS
//! paper I, section 2.1; paper II, section 6.1).

use super::axes::{CelestialAxes, MAX_AXES, degrees_in_unit};
use crate::fits::Header;

/// The step of a pixel along both image axes.
#[derive(Debug, Clone)]
pub(crate) struct PixelMatrix {
    /// Degrees along longitude and latitude (rows) for a pixel along x and y (columns).
    pub(crate) degrees: [[f64; 2]; 2],
    /// The keys that it was made from, for messages.
    pub(crate) keys: &'static str,
    /// The first key by which a pixel along a third axis is a step on the sky.
    pub(super) coupled: Option<String>,
}

/// Keys of terms: `CDi_j`, or `PCiiijjj` as it was written before the standard.
#[derive(Clone, Copy)]
enum TermKeys {
    Short(&'static str),
    Padded(&'static str),
}

impl TermKeys {
    fn key(self, i: usize, j: usize) -> String {
        match self {
            Self::Short(name) => format!("{name}{i}_{j}"),
            Self::Padded(name) => format!("{name}{i:03}{j:03}"),
        }
    }
}

/// The terms of a matrix that a header has.
struct Terms {
    /// Rows: longitude and latitude.
    image: [[Option<f64>; 2]; 2],
    coupled: Option<String>,
}

impl Terms {
    fn of(header: &Header, axes: CelestialAxes, keys: TermKeys) -> Result<Option<Self>, String> {
        let mut terms = Self { image: [[None; 2]; 2], coupled: None };
        let mut is_there = false;
        for (row, i) in axes.both().into_iter().enumerate() {
            for j in 1..=MAX_AXES {
                let key = keys.key(i, j);
                let term = header.number(&key)?;
                is_there |= term.is_some();
                match (term, j) {
                    (Some(term), 1 | 2) => terms.image[row][j - 1] = Some(term),
                    (Some(term), _) if term != 0.0 && terms.coupled.is_none() => terms.coupled = Some(key),
                    _ => {}
                }
            }
        }
        Ok(is_there.then_some(terms))
    }
}

impl PixelMatrix {
    /// The matrix of a header with celestial axes; `None` if the header is not one of the sky, or has no steps.
    ///
    /// # Errors
    /// When a key has the wrong type, or a unit is not one of angle.
    pub(crate) fn of(header: &Header) -> Result<Option<Self>, String> {
        let Some(axes) = CelestialAxes::of(header) else { return Ok(None) };
        let world = axes.both();
        let CelestialAxes { longitude, latitude } = axes;
        let number = |key: String| header.number(&key).map_err(String::from);
        let step = [number(format!("CDELT{longitude}"))?, number(format!("CDELT{latitude}"))?];
        let cd = Terms::of(header, axes, TermKeys::Short("CD"))?;
        let pc = Terms::of(header, axes, TermKeys::Short("PC"))?;
        let pc = if pc.is_none() { Terms::of(header, axes, TermKeys::Padded("PC"))? } else { pc };
        let crota = number(format!("CROTA{latitude}"))?;
        let by_step = |pc: [[f64; 2]; 2]| [0, 1].map(|row| pc[row].map(|term| term * step[row].unwrap_or(1.0)));
        let identity = |row: usize, column: usize| if world[row] == column + 1 { 1.0 } else { 0.0 };
        let (matrix, keys, coupled) = match (pc, cd) {
            (Some(Terms { image: pc, coupled }), _) => {
                let pc = [0, 1].map(|row| [0, 1].map(|column| pc[row][column].unwrap_or(identity(row, column))));
                (by_step(pc), "`CDELT` and `PC`", coupled)
            }
            (None, Some(Terms { image: cd, coupled })) => {
                (cd.map(|row| row.map(|term| term.unwrap_or(0.0))), "`CD`", coupled)
            }
            (None, None) if step == [None; 2] => return Ok(None),
            (None, None) => {
                let (sin, cos) = crota.unwrap_or(0.0).to_radians().sin_cos();
                let [x, y] = step.map(|step| step.unwrap_or(1.0));
                // The axes of the image are those of the sky, turned; latitude may come first.
                let turned = [[x * cos, -y * sin], [x * sin, y * cos]];
                let ordered = if longitude < latitude { turned } else { turned.map(|[a, b]| [b, a]) };
                (ordered, if crota.is_some() { "`CDELT` and `CROTA`" } else { "`CDELT`" }, None)
            }
        };
        let mut degrees = matrix;
        for (row, axis) in degrees.iter_mut().zip(world) {
            let unit = degrees_in_unit(header, axis)?;
            row.iter_mut().for_each(|term| *term *= unit);
        }
        Ok(Some(Self { degrees, keys, coupled }))
    }
}
