//! Where the clips of a stretch come from: settings, and what they stand for.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stretch_constants::{HIGH_PERCENT, LOW_PERCENT, StretchConstants};
use crate::{
    batch::Stretch,
    card::{Card, CardError},
    error::{Code, Diagnostic, Error, did_you_mean},
    image::stretch::Asinh,
};

/// Where the clips come from: `model` and `domain`, `file` and `domain`, `lo` and `hi`, or `per_image`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Constants {
    /// An ONNX file: the constants are those of a domain of its card.
    pub model: Option<String>,
    /// A calibration that `lucarne calibrate` wrote.
    pub file: Option<String>,
    /// The domain of the model's card or of the calibration, for instance `y10`.
    pub domain: Option<String>,
    /// Lower clip, in the unit of the image (after `scale_to`).
    pub lo: Option<f64>,
    /// Upper clip, in the unit of the image (after `scale_to`).
    pub hi: Option<f64>,
    /// The percentiles of every image for itself, over all its bands.
    pub per_image: Option<PerImage>,
}

/// The percentiles of an image that are its clips.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PerImage {
    /// The percentile of the lower clip.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub low_percent: f64,
    /// The percentile of the upper clip.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub high_percent: f64,
}

impl Default for PerImage {
    fn default() -> Self {
        Self { low_percent: LOW_PERCENT, high_percent: HIGH_PERCENT }
    }
}

impl Constants {
    /// The constants of a domain of a model's card.
    pub fn of_model(model: impl Into<String>, domain: impl Into<String>) -> Self {
        Self { model: Some(model.into()), domain: Some(domain.into()), ..Self::default() }
    }

    /// The constants of a domain of a calibration.
    pub fn of_file(file: impl Into<String>, domain: impl Into<String>) -> Self {
        Self { file: Some(file.into()), domain: Some(domain.into()), ..Self::default() }
    }

    /// These constants.
    pub fn explicit(lo: f64, hi: f64) -> Self {
        Self { lo: Some(lo), hi: Some(hi), ..Self::default() }
    }

    /// The percentiles of every image.
    pub fn per_image(percents: PerImage) -> Self {
        Self { per_image: Some(percents), ..Self::default() }
    }

    /// The one place that the settings name.
    pub(super) fn origin(self) -> Result<Origin, Diagnostic> {
        let bounds = self.lo.is_some() || self.hi.is_some();
        let ways = [("model", self.model.is_some()), ("file", self.file.is_some()), ("lo", bounds)];
        let ways = ways.into_iter().chain([("per_image", self.per_image.is_some())]);
        let given: Vec<&str> = ways.filter(|(_, given)| *given).map(|(name, _)| name).collect();
        let help = "give `model` and `domain`, `file` and `domain`, `lo` and `hi`, or `per_image: {}`";
        if let [first, second, ..] = given.as_slice() {
            let message = format!("constants come from one place, but `{first}` and `{second}` are given");
            return Err(Diagnostic::at(&format!("constants.{second}"), Code::Conflict, message).help(help));
        }
        let missing =
            |key: &str| Diagnostic::at("constants", Code::MissingKey, format!("`constants` has no `{key}`")).help(help);
        match self {
            Self { model: Some(model), domain, .. } => {
                Ok(Origin::Model { model, domain: domain.ok_or_else(|| missing("domain"))? })
            }
            Self { file: Some(file), domain, .. } => {
                Ok(Origin::File { file, domain: domain.ok_or_else(|| missing("domain"))? })
            }
            Self { domain: Some(_), .. } => Err(missing("model` or `file")),
            Self { per_image: Some(PerImage { low_percent: low, high_percent: high }), .. } => {
                let fine = 0.0 <= low && low < high && high <= 100.0;
                let message = format!("percentiles {low} and {high}, expected 0 <= low < high <= 100");
                let mistake = Diagnostic::at("constants.per_image", Code::OutOfRange, message);
                fine.then_some(Origin::PerImage { low, high }).ok_or(mistake)
            }
            Self { lo: None, hi: None, .. } => Err(missing("model")),
            Self { lo, hi, .. } => {
                let (lo, hi) = (lo.ok_or_else(|| missing("lo"))?, hi.ok_or_else(|| missing("hi"))?);
                let message = format!("clips {lo} and {hi}, expected lo < hi and hi > 0");
                let mistake = Diagnostic::at("constants", Code::OutOfRange, message);
                Asinh::new(lo, hi).map(|_| Origin::Given(Stretch { lo, hi })).ok_or(mistake)
            }
        }
    }
}

/// Where the constants come from, one of four.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Model { model: String, domain: String },
    File { file: String, domain: String },
    Given(Stretch),
    PerImage { low: f64, high: f64 },
}

impl Origin {
    /// The constants, where all rows share them.
    pub(super) fn read(&self) -> Result<Option<Stretch>, Diagnostic> {
        match self {
            Self::Given(stretch) => Ok(Some(*stretch)),
            Self::PerImage { .. } => Ok(None),
            Self::Model { model, domain } => {
                let card = Card::read(Path::new(model)).map_err(|error| {
                    let missing = matches!(error, CardError::Read { .. });
                    let code = if missing { Code::MissingFile } else { Code::ModelMismatch };
                    Diagnostic::at("constants.model", code, error.to_string())
                })?;
                let known = card.domains.keys().map(String::as_str);
                let found = card.domains.get(domain).copied();
                found.map(Some).ok_or_else(|| unknown_domain(domain, "the card of", model, known))
            }
            Self::File { file, domain } => {
                let constants = StretchConstants::read(Path::new(file)).map_err(|error| {
                    let missing = matches!(error, Error::Environment { .. });
                    let code = if missing { Code::MissingFile } else { Code::WrongType };
                    Diagnostic::at("constants.file", code, error.report())
                })?;
                let known = constants.domains.keys().map(String::as_str);
                let found = constants.domains.get(domain).map(|found| Stretch { lo: found.lo, hi: found.hi });
                found.map(Some).ok_or_else(|| unknown_domain(domain, "the calibration", file, known))
            }
        }
    }
}

fn unknown_domain<'a>(
    domain: &str,
    what: &str,
    file: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let message = format!("{what} `{file}` has no domain `{domain}`");
    let list: Vec<String> = known.clone().map(|name| format!("`{name}`")).collect();
    let list = if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let meant = did_you_mean(domain, known).map_or_else(String::new, |help| format!("{help} "));
    Diagnostic::at("constants.domain", Code::ModelMismatch, message).help(format!("{meant}it has: {list}"))
}
