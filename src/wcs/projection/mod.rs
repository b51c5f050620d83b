//! The projections of FITS WCS paper II, section 5: from native directions to the plane of projection, in degrees, and back.

mod cylindrical;
mod pseudocylindrical;
mod zenithal;
mod zpn;

use self::zpn::ZpnPolynomial;
use super::{keys::IndexedKey, sphere::Direction};

/// How far beyond its edge a point still counts as a point of the edge, degrees: what rounding does to pixels there.
const EDGE_DEG: f64 = 1e-10;

/// A projection with its parameters.
#[derive(Debug, Clone)]
pub(super) enum Projection {
    /// Gnomonic.
    Tan,
    /// Slant orthographic, and orthographic where both numbers are 0.
    Sin { xi: f64, eta: f64 },
    /// Stereographic.
    Stg,
    /// Zenithal equidistant.
    Arc,
    /// Zenithal equal area.
    Zea,
    /// Zenithal polynomial.
    Zpn(ZpnPolynomial),
    /// Plate carree.
    Car,
    /// Cylindrical equal area.
    Cea { lambda: f64 },
    /// Mercator.
    Mer,
    /// Sanson-Flamsteed.
    Sfl,
    /// Hammer-Aitoff.
    Ait,
}

/// The codes of all projections that are read.
pub(super) const CODES: &str = "TAN, TPV, SIN, STG, ARC, ZEA, ZPN, CAR, CEA, MER, SFL or AIT";

impl Projection {
    /// The projection of a code of `CTYPE`, with the parameters `PVi_m` of the latitude axis.
    ///
    /// # Errors
    /// When the code is unknown, or a parameter is not one of the projection, or out of its range.
    pub(super) fn of(code: &str, parameters: &[IndexedKey]) -> Result<Self, String> {
        let value = |m: usize| parameters.iter().find(|key| key.indices[1] == m).map(|key| key.value);
        let (projection, last) = match code {
            "TAN" | "TPV" => (Self::Tan, 0),
            "SIN" => (Self::Sin { xi: value(1).unwrap_or(0.0), eta: value(2).unwrap_or(0.0) }, 2),
            "STG" => (Self::Stg, 0),
            "ARC" => (Self::Arc, 0),
            "ZEA" => (Self::Zea, 0),
            "ZPN" => (Self::Zpn(ZpnPolynomial::of(parameters)?), zpn::MAX_DEGREE),
            "CAR" => (Self::Car, 0),
            "CEA" => (Self::Cea { lambda: value(1).unwrap_or(1.0) }, 1),
            "MER" => (Self::Mer, 0),
            "SFL" => (Self::Sfl, 0),
            "AIT" => (Self::Ait, 0),
            other => return Err(format!("projection `{}` is not supported, expected {CODES}", other.escape_debug())),
        };
        let range = if code == "ZPN" || last == 0 { 0..=last } else { 1..=last };
        let unused = |key: &&IndexedKey| key.value != 0.0 && (last == 0 || !range.contains(&key.indices[1]));
        if let Some(IndexedKey { key, value, .. }) = parameters.iter().find(unused) {
            return Err(format!("key `{key}` is {value}, which is not a parameter of the projection `{code}`"));
        }
        if let Self::Cea { lambda } = projection
            && !(lambda > 0.0 && lambda <= 1.0)
        {
            return Err(format!(
                "parameter `PV2_1` of the projection `CEA` is {lambda}, expected more than 0 and at most 1"
            ));
        }
        Ok(projection)
    }

    /// The native latitude of the reference, degrees.
    pub(super) fn theta_deg(&self) -> f64 {
        match self {
            Self::Tan | Self::Sin { .. } | Self::Stg | Self::Arc | Self::Zea | Self::Zpn(_) => 90.0,
            Self::Car | Self::Cea { .. } | Self::Mer | Self::Sfl | Self::Ait => 0.0,
        }
    }

    /// The point of a native direction; `None` if the projection does not have it.
    pub(super) fn project(&self, native: Direction) -> Option<[f64; 2]> {
        let point = match self {
            Self::Tan => zenithal::project(native, zenithal::tan),
            Self::Sin { xi, eta } => zenithal::project_sin(native, [*xi, *eta]),
            Self::Stg => zenithal::project(native, zenithal::stg),
            Self::Arc => zenithal::project(native, zenithal::arc),
            Self::Zea => zenithal::project(native, zenithal::zea),
            Self::Zpn(polynomial) => zenithal::project(native, |angle| polynomial.radius(angle)),
            Self::Car => Some(cylindrical::project_car(native)),
            Self::Cea { lambda } => Some(cylindrical::project_cea(native, *lambda)),
            Self::Mer => cylindrical::project_mer(native),
            Self::Sfl => Some(pseudocylindrical::project_sfl(native)),
            Self::Ait => Some(pseudocylindrical::project_ait(native)),
        };
        point.filter(|point| point.iter().all(|value| value.is_finite()))
    }

    /// The native direction of a point; `None` if the projection does not have it.
    pub(super) fn deproject(&self, point: [f64; 2]) -> Option<Direction> {
        if !point.iter().all(|value| value.is_finite()) {
            return None;
        }
        match self {
            Self::Tan => zenithal::deproject(point, zenithal::inverse_tan),
            Self::Sin { xi, eta } => zenithal::deproject_sin(point, [*xi, *eta]),
            Self::Stg => zenithal::deproject(point, zenithal::inverse_stg),
            Self::Arc => zenithal::deproject(point, zenithal::inverse_arc),
            Self::Zea => zenithal::deproject(point, zenithal::inverse_zea),
            Self::Zpn(polynomial) => zenithal::deproject(point, |radius| polynomial.inverse(radius)),
            Self::Car => cylindrical::deproject_car(point),
            Self::Cea { lambda } => cylindrical::deproject_cea(point, *lambda),
            Self::Mer => cylindrical::deproject_mer(point),
            Self::Sfl => pseudocylindrical::deproject_sfl(point),
            Self::Ait => pseudocylindrical::deproject_ait(point),
        }
    }
}

/// A longitude of the map; `None` beyond 180 degrees on either side.
fn longitude_on_map(longitude_deg: f64) -> Option<f64> {
    (longitude_deg.abs() <= 180.0 + EDGE_DEG).then_some(longitude_deg.clamp(-180.0, 180.0))
}

/// A latitude of the map; `None` beyond the poles.
fn latitude_on_map(latitude_deg: f64) -> Option<f64> {
    (latitude_deg.abs() <= 90.0 + EDGE_DEG).then_some(latitude_deg.clamp(-90.0, 90.0))
}
