//! The constants of a stretch: the settings that name them, and their values.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stretch_constants::{HIGH_PERCENT, LOW_PERCENT, StretchConstants};
use crate::{
    batch::{Stretch, Unit, is_same_exposure},
    card::{Card, CardError},
    error::{Code, Diagnostic, Error, quoted_list},
    image::stretch::Asinh,
};

/// Where the clips come from: `model` and `domain`, `file` and `domain`, `lo` and `hi`, or `per_image`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Constants {
    /// An ONNX file: the constants are those of a domain of its card.
    #[schemars(extend("format" = "path"))]
    pub model: Option<String>,
    /// A calibration file that `lucarne calibrate` wrote.
    #[schemars(extend("format" = "path"))]
    pub file: Option<String>,
    /// The domain of the model's card or of the calibration, for instance `y10`.
    pub domain: Option<String>,
    /// Lower clip, in the unit of the image (after `scale_to`).
    pub lo: Option<f64>,
    /// Upper clip, in the unit of the image (after `scale_to`).
    pub hi: Option<f64>,
    /// Percentiles of every single image, over all its bands.
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

    /// The constants of a domain of a calibration file.
    pub fn of_file(file: impl Into<String>, domain: impl Into<String>) -> Self {
        Self { file: Some(file.into()), domain: Some(domain.into()), ..Self::default() }
    }

    /// Explicit constants.
    pub fn explicit(lo: f64, hi: f64) -> Self {
        Self { lo: Some(lo), hi: Some(hi), ..Self::default() }
    }

    /// The percentiles of every single image.
    pub fn per_image(percents: PerImage) -> Self {
        Self { per_image: Some(percents), ..Self::default() }
    }

    /// The one origin that the settings name.
    pub(super) fn origin(self) -> Result<ConstantsOrigin, Diagnostic> {
        let clips = self.lo.is_some() || self.hi.is_some();
        let origins = [
            ("model", self.model.is_some()),
            ("file", self.file.is_some()),
            ("lo", clips),
            ("per_image", self.per_image.is_some()),
        ];
        let given: Vec<&str> = origins.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        let help = "set `model` and `domain`, `file` and `domain`, `lo` and `hi`, or `per_image: {}`";
        if let [first, second, ..] = given.as_slice() {
            let message = format!("`{first}` and `{second}` exclude each other");
            return Err(Diagnostic::at(&format!("constants.{second}"), Code::Conflict, message).help(help));
        }
        let missing =
            |key: &str| Diagnostic::at("constants", Code::MissingKey, format!("`constants` has no {key}")).help(help);
        match self {
            Self { model: Some(model), domain, .. } => {
                Ok(ConstantsOrigin::Model { model, domain: domain.ok_or_else(|| missing("`domain`"))? })
            }
            Self { file: Some(file), domain, .. } => {
                Ok(ConstantsOrigin::File { file, domain: domain.ok_or_else(|| missing("`domain`"))? })
            }
            Self { domain: Some(_), .. } => Err(missing("`model` or `file`")),
            Self { per_image: Some(PerImage { low_percent: low, high_percent: high }), .. } => {
                if 0.0 <= low && low < high && high <= 100.0 {
                    return Ok(ConstantsOrigin::PerImage { low, high });
                }
                let message = format!("percentiles {low} and {high}, expected 0 <= low < high <= 100");
                Err(Diagnostic::at("constants.per_image", Code::OutOfRange, message))
            }
            Self { lo: None, hi: None, .. } => Err(missing("`model`")),
            Self { lo, hi, .. } => {
                let (lo, hi) = (lo.ok_or_else(|| missing("`lo`"))?, hi.ok_or_else(|| missing("`hi`"))?);
                let stretch = Stretch { lo, hi };
                usable(stretch).map(|_| ConstantsOrigin::Explicit(stretch))
            }
        }
    }
}

/// The stretch of constants, if they are usable.
pub(super) fn usable(Stretch { lo, hi }: Stretch) -> Result<Asinh, Diagnostic> {
    Asinh::new(lo, hi).ok_or_else(|| {
        let message = format!("clips {lo} and {hi}, expected lo < hi and hi > 0");
        Diagnostic::at("constants", Code::OutOfRange, message)
    })
}

/// Constants, and the images that they are for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReadConstants {
    pub stretch: Stretch,
    /// The domain that they belong to; empty for numbers of the settings.
    domain: String,
    /// The unit of the images, where it is said.
    unit: Option<String>,
    /// The exposures of the images, where they are said.
    electrons_per_njy: Option<Vec<f64>>,
}

/// The images that are stretched, after `scale_to`.
pub(super) struct ScaledImages<'a> {
    pub name: &'a str,
    pub bands: &'a [String],
    pub unit: Unit,
    pub electrons_per_njy: Option<&'a [f64]>,
}

impl ReadConstants {
    /// Compares the unit and the exposure of images with those that the constants are for.
    pub(super) fn check(&self, images: &ScaledImages<'_>) -> Result<(), Diagnostic> {
        let mistake = |message: String, help: &str| Err(Diagnostic::at("image", Code::WrongColumn, message).help(help));
        let ScaledImages { name, bands, unit, .. } = images;
        let domain = &self.domain;
        if let Some(expected) = self.unit.as_ref().filter(|expected| *expected != unit.name()) {
            let message = format!(
                "`{name}` is in unit `{}`, the constants of `{domain}` are for images in `{expected}`",
                unit.name()
            );
            return mistake(
                message,
                "`observe` the image, scale it with `scale_to`, or give `lo` and `hi` for its unit",
            );
        }
        let (Some(found), Some(expected)) = (images.electrons_per_njy, &self.electrons_per_njy) else { return Ok(()) };
        for (band, (found, expected)) in bands.iter().zip(found.iter().zip(expected)) {
            if !is_same_exposure(*found, *expected) {
                let message = format!(
                    "`{name}` has {found:.4} electrons per nJy in band `{band}`, the constants of `{domain}` are for \
                     {expected:.4}"
                );
                return mistake(message, "scale it with `scale_to: { electrons_per_njy: [...] }`");
            }
        }
        Ok(())
    }
}

/// Where the constants come from.
#[derive(Debug, Clone)]
pub(super) enum ConstantsOrigin {
    Model { model: String, domain: String },
    File { file: String, domain: String },
    Explicit(Stretch),
    PerImage { low: f64, high: f64 },
}

impl ConstantsOrigin {
    /// The file that has them.
    pub(super) fn file(&self) -> Option<&str> {
        match self {
            Self::Model { model: file, .. } | Self::File { file, .. } => Some(file),
            Self::Explicit(_) | Self::PerImage { .. } => None,
        }
    }

    /// The constants; `None` if each image has its own.
    pub(super) fn read(&self) -> Result<Option<ReadConstants>, Diagnostic> {
        match self {
            Self::Explicit(stretch) => Ok(Some(ReadConstants {
                stretch: *stretch,
                domain: String::new(),
                unit: None,
                electrons_per_njy: None,
            })),
            Self::PerImage { .. } => Ok(None),
            Self::Model { model, domain } => {
                let card = Card::read(Path::new(model)).map_err(|error| {
                    let missing = matches!(error, CardError::Read { .. } | CardError::ReadCard { .. });
                    let code = if missing { Code::MissingFile } else { Code::ModelMismatch };
                    Diagnostic::at("constants.model", code, error.to_string())
                })?;
                let found = card.domains.get(domain).map(|stretch| ReadConstants {
                    stretch: *stretch,
                    domain: domain.clone(),
                    unit: Some(card.unit.name().to_owned()),
                    electrons_per_njy: card.electrons_per_njy.get(domain).cloned(),
                });
                found.map(Some).ok_or_else(|| unknown_domain(domain, "the card of", model, card.domains.keys()))
            }
            Self::File { file, domain } => {
                let constants = StretchConstants::read(Path::new(file)).map_err(|error| {
                    let missing = matches!(error, Error::Environment { .. });
                    let code = if missing { Code::MissingFile } else { Code::WrongType };
                    Diagnostic::at("constants.file", code, error.report())
                })?;
                let found = constants.domains.get(domain).map(|found| ReadConstants {
                    stretch: Stretch { lo: found.lo, hi: found.hi },
                    domain: domain.clone(),
                    unit: found.unit.clone(),
                    electrons_per_njy: found.electrons_per_njy.clone(),
                });
                found.map(Some).ok_or_else(|| unknown_domain(domain, "the calibration", file, constants.domains.keys()))
            }
        }
    }
}

fn unknown_domain<'a>(domain: &str, what: &str, file: &str, known: impl Iterator<Item = &'a String>) -> Diagnostic {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", quoted_list(&known)) };
    let message = format!("{what} `{file}` has no domain `{domain}`; {has}");
    Diagnostic::at("constants.domain", Code::ModelMismatch, message).suggest(domain, known, "domains")
}
