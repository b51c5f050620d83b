//! Zero points: numbers of the settings, or keys of headers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::njy_per_count;
use crate::fits::Header;

/// Keys that are zero points by themselves, and what they hold.
const KNOWN: [(&str, Photometry); 4] = [
    ("MAGZERO", Photometry::ZeroPoint),
    ("MAGZP", Photometry::ZeroPoint),
    ("PHOTZP", Photometry::ZeroPoint),
    ("FLUXMAG0", Photometry::FluxAtZero),
];
/// AB zero points that a key is taken for by itself; others are placeholders such as 0, -99, or 999.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 5.0..=50.0;
/// The largest relative difference of fluxes by zero points that count as equal: 0.001 mag.
const TOLERANCE: f64 = 1e-3;

/// Numbers of the settings, or the header keys that hold them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NumbersOrKey {
    /// One number for all bands.
    One(f64),
    /// A number for each band.
    PerBand(Vec<f64>),
    /// `{ key: MAGZERO }`: the key of the image's header, else of the primary header.
    Key(NumberKey),
}

/// The header keys that hold a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberKey {
    /// One key, or one for each band.
    pub key: OneOrMany,
}

/// A name, or one for each band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One for all.
    One(String),
    /// One for each band.
    Many(Vec<String>),
}

impl From<f64> for NumbersOrKey {
    fn from(number: f64) -> Self {
        Self::One(number)
    }
}

impl From<Vec<f64>> for NumbersOrKey {
    fn from(numbers: Vec<f64>) -> Self {
        Self::PerBand(numbers)
    }
}

impl OneOrMany {
    /// The names, one or several.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

impl NumbersOrKey {
    /// How many values it has: one, or one for each band.
    pub(in crate::source) fn count(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::PerBand(numbers) => numbers.len(),
            Self::Key(key) => key.key.names().len(),
        }
    }

    /// That of one band of several.
    pub(in crate::source) fn of_band(&self, band: usize) -> Self {
        match self {
            Self::One(number) => Self::One(*number),
            Self::PerBand(numbers) => numbers.get(band).map_or_else(|| self.clone(), |number| Self::One(*number)),
            Self::Key(NumberKey { key: OneOrMany::Many(keys) }) => keys
                .get(band)
                .map_or_else(|| self.clone(), |key| Self::Key(NumberKey { key: OneOrMany::One(key.clone()) })),
            Self::Key(_) => self.clone(),
        }
    }

    /// Its numbers, where it has any.
    pub(super) fn numbers(&self) -> &[f64] {
        match self {
            Self::One(number) => std::slice::from_ref(number),
            Self::PerBand(numbers) => numbers,
            Self::Key(_) => &[],
        }
    }
}

/// What a number says of the fluxes of an image in counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Photometry {
    /// The AB magnitude of one count.
    ZeroPoint,
    /// The counts of AB magnitude 0.
    FluxAtZero,
}

impl Photometry {
    /// The number of nJy in a count.
    fn njy(self, number: f64) -> Option<f64> {
        let njy = match self {
            Self::ZeroPoint => njy_per_count(number),
            Self::FluxAtZero => njy_per_count(0.0) / number,
        };
        (njy.is_finite() && njy > 0.0).then_some(njy)
    }

    /// Whether a key that nobody asked for is believed.
    fn is_plausible(self, number: f64) -> bool {
        match self {
            Self::ZeroPoint => PLAUSIBLE.contains(&number),
            Self::FluxAtZero => number > 0.0 && PLAUSIBLE.contains(&(2.5 * number.log10())),
        }
    }
}

/// A scale of counts, and the words for where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CountScale {
    pub njy: f64,
    pub origin: String,
}

/// The scale of a band's counts by the settings. The error is the reason why the headers do not have it.
pub(super) fn of_settings(
    setting: &NumbersOrKey,
    photometry: Photometry,
    band: usize,
    headers: &[&Header],
) -> Result<CountScale, String> {
    let name = match photometry {
        Photometry::ZeroPoint => "zero_point",
        Photometry::FluxAtZero => "flux_at_zero_magnitude",
    };
    let of_band = |count: usize| band.min(count.saturating_sub(1));
    let (number, origin) = match setting {
        NumbersOrKey::Key(NumberKey { key }) => {
            let names = key.names();
            let key = &names[of_band(names.len())];
            let number = headers.iter().find_map(|header| header.number(key).transpose()).transpose()?;
            let missing = || format!("has no key `{}`, expected the number for `{name}`", key.escape_debug());
            (number.ok_or_else(missing)?, format!("key `{}`", key.escape_debug()))
        }
        numbers => {
            let numbers = numbers.numbers();
            let number = numbers[of_band(numbers.len())];
            (number, format!("`{name}` {number}"))
        }
    };
    let unusable = || format!("has {number} by {origin}, which is not a scale of flux");
    let njy = photometry.njy(number).ok_or_else(unusable)?;
    Ok(CountScale { njy, origin })
}

/// The scale by the well-known keys of some headers; those of the first header that has a key count. The error is the reason why
/// they contradict each other.
pub(super) fn of_headers(headers: &[&Header]) -> Result<Option<CountScale>, String> {
    let mut found: Option<CountScale> = None;
    for (key, photometry) in KNOWN {
        let number = headers.iter().find_map(|header| header.get(key)).and_then(|value| value.to_number());
        let Some(njy) =
            number.filter(|number| photometry.is_plausible(*number)).and_then(|number| photometry.njy(number))
        else {
            continue;
        };
        let scale = CountScale { njy, origin: format!("key `{key}` {}", number.unwrap_or(f64::NAN)) };
        match &found {
            Some(first) if !agree(first.njy, njy) => {
                let (a, b) = (&first.origin, &scale.origin);
                return Err(format!("has the fluxes of {a}, and others by {b}: set `zero_point: {{key: ...}}`"));
            }
            Some(_) => {}
            None => found = Some(scale),
        }
    }
    Ok(found)
}

/// Whether two scales are the same.
pub(super) fn agree(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() <= TOLERANCE
}
