//! `sky_error`: a sky that was subtracted wrongly: a constant, or a plane, is added to the image.
//!
//! `pixel + error (1 + gradient s)`, where s goes from -1 to 1 over the diagonal of the image in a direction drawn for each object (the
//! same for its bands). The error is given in electrons, or as a fraction of the survey's sky,
//! `10^(0.4 (31.4 - sky mag)) pixel^2` nJy in a pixel; it is positive where too little was subtracted. It can also be the standard
//! deviation of a normal distribution, with one draw for each object and band. Directions and draws depend on (run seed, object,
//! label).

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    diagnostics::{band_not_in_survey, load_survey, unknown_pixel_scale, wrong_unit},
    pixel_transform::{PixelOperation, PixelRow, PixelTransform, QuantityLimits},
    quantity::Quantity,
};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic},
    random::Stream,
    stage::{Settings, Transform},
    survey::{photometry::nanojansky, preset::Survey},
};

/// Adds an error of the sky subtraction to an image. Its variance, mask and PSF are kept.
///
/// A quantity is a number, `{ column: NAME }`, or one of these by band, where bands that are not named have no error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SkyError {
    /// The image column, before any stretch.
    pub image: String,
    /// The error in electrons per pixel, for an image in electrons. Exactly one of this and `fraction` must be set.
    pub electrons_per_pixel: Option<Quantity>,
    /// The error as a fraction of the sky of the survey, for an image in nJy, or in electrons with one exposure for all rows.
    pub fraction: Option<Quantity>,
    /// The survey whose sky it is: `lsst`, `des`, `euclid_vis`, `hsc_ssp`, `roman_wfi`, `sdss`, `ztf`, or the path of a survey file.
    #[schemars(extend("format" = "path"))]
    pub survey: String,
    /// The additional error at a corner, relative to the error at the centre: 0 is a constant.
    #[schemars(range(min = 0, max = 100))]
    pub gradient: f64,
    /// Whether the error is fixed or drawn.
    pub draw: ErrorDraw,
}

impl SkyError {
    /// Settings for an image column; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// Whether an error is fixed or drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorDraw {
    /// The given error for all objects.
    #[default]
    Fixed,
    /// A draw from a normal distribution with the given standard deviation, for each object and band.
    Normal,
}

impl Default for SkyError {
    /// The column `image` under LSST's sky; the error must be set.
    fn default() -> Self {
        Self {
            image: "image".into(),
            electrons_per_pixel: None,
            fraction: None,
            survey: "lsst".into(),
            gradient: 0.0,
            draw: ErrorDraw::Fixed,
        }
    }
}

impl Settings<dyn Transform> for SkyError {
    const NAME: &'static str = "sky_error";

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: y10_sky, electrons_per_pixel: 12 }",
            "{ image: image, fraction: 0.01, gradient: 0.5, draw: normal }",
            "{ image: y1_sky, survey: lsst, fraction: { g: 0.002, i: 0.005 } }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        match (&self.electrons_per_pixel, &self.fraction) {
            (None, None) => {
                let message = "neither `fraction` nor `electrons_per_pixel` is set";
                return Err(vec![Diagnostic::at("", Code::MissingKey, message).help("for example `fraction: 0.01`")]);
            }
            (Some(_), Some(_)) => {
                let message = "`fraction` and `electrons_per_pixel` exclude each other";
                return Err(vec![Diagnostic::at("fraction", Code::Conflict, message)]);
            }
            _ => {}
        }
        let survey = load_survey(&self.survey).map_err(|mistake| vec![mistake])?;
        let image = self.image.clone();
        Ok(PixelTransform::boxed(label, &image, SkyErrorTransform { settings: self, survey, unit: Vec::new() }))
    }
}

#[derive(Clone)]
struct SkyErrorTransform {
    settings: SkyError,
    survey: Survey,
    /// What an error of 1 is in the unit of the image, by band: 1 electron, or the sky of a pixel.
    unit: Vec<f64>,
}

impl SkyErrorTransform {
    /// The sky of a pixel by band, in the unit of the image.
    fn sky(&self, image: &ImageLayout) -> Result<Vec<f64>, Vec<Diagnostic>> {
        let name = &self.settings.image;
        let gain = match (image.unit, &image.electrons_per_njy) {
            (Unit::NanoJansky, _) => vec![1.0; image.bands.len()],
            (Unit::Electron, Some(gain)) => gain.clone(),
            (Unit::Electron, None) => {
                let message =
                    format!("image `{name}` does not have one exposure for all rows, so its sky is not known");
                let mistake = Diagnostic::at("image", Code::WrongColumn, message);
                return Err(vec![mistake.help("give the error as `electrons_per_pixel`")]);
            }
            _ => {
                let mistake = wrong_unit(name, image, "`electron` or `nJy`");
                return Err(vec![mistake.help("give the source a `zero_point`")]);
            }
        };
        let Some(scale) = image.pixel_scale_arcsec else {
            return Err(vec![unknown_pixel_scale("image", name).help("set `pixel_scale_arcsec` in the source")]);
        };
        let (mut sky, mut mistakes) = (Vec::new(), Vec::new());
        for (name, gain) in image.bands.iter().zip(gain) {
            match self.survey.bands.get(name) {
                Some(band) => sky.push(gain * nanojansky(band.sky_mag_per_arcsec2) * scale * scale),
                None => mistakes.push(band_not_in_survey(&self.survey, name)),
            }
        }
        if mistakes.is_empty() { Ok(sky) } else { Err(mistakes) }
    }
}

impl PixelOperation<1> for SkyErrorTransform {
    fn input_files(&self) -> Vec<PathBuf> {
        Survey::file(&self.settings.survey).map(PathBuf::from).into_iter().collect()
    }

    fn quantities(&self) -> [(&'static str, Option<&Quantity>); 1] {
        match &self.settings.fraction {
            Some(fraction) => [("fraction", Some(fraction))],
            None => [("electrons_per_pixel", self.settings.electrons_per_pixel.as_ref())],
        }
    }

    fn limits(&self, _: &ImageLayout) -> [QuantityLimits; 1] {
        [QuantityLimits { default: 0.0, range: -1e12..=1e12 }]
    }

    fn bind(&mut self, image: &ImageLayout) -> Result<(), Vec<Diagnostic>> {
        if self.settings.fraction.is_some() {
            self.unit = self.sky(image)?;
        } else if image.unit == Unit::Electron {
            self.unit = vec![1.0; image.bands.len()];
        } else {
            let mistake = wrong_unit(&self.settings.image, image, "`electron`");
            return Err(vec![mistake.help("give the error as a `fraction` of the sky")]);
        }
        Ok(())
    }

    fn apply(&mut self, row: &mut PixelRow, [size]: [&[f64]; 1], draws: &mut Stream) -> Result<(), String> {
        let (height, width) = (row.layout.height, row.layout.width);
        let (along_y, along_x) = direction(draws);
        let (middle_y, middle_x) = ((height - 1) as f64 / 2.0, (width - 1) as f64 / 2.0);
        let corner = middle_y.hypot(middle_x).max(0.5);
        for (band, pixels) in row.image.chunks_exact_mut(height * width).enumerate() {
            let normal = if self.settings.draw == ErrorDraw::Normal { draws.normal() } else { 1.0 };
            let error = size[band] * self.unit[band] * normal;
            if error == 0.0 {
                continue;
            }
            for (y, line) in pixels.chunks_exact_mut(width).enumerate() {
                for (x, pixel) in line.iter_mut().enumerate() {
                    let s = ((y as f64 - middle_y) * along_y + (x as f64 - middle_x) * along_x) / corner;
                    *pixel = (f64::from(*pixel) + error * (1.0 + self.settings.gradient * s)) as f32;
                }
            }
        }
        Ok(())
    }
}

/// Draws a direction in the plane, uniformly: (y, x) of length 1.
fn direction(draws: &mut Stream) -> (f64, f64) {
    loop {
        let (y, x) = (draws.uniform_in(-1.0, 1.0), draws.uniform_in(-1.0, 1.0));
        let square = y * y + x * x;
        if square <= 1.0 && square > 1e-6 {
            return (y / square.sqrt(), x / square.sqrt());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transform::fixtures::{apply_to_image, first_diagnostic, noise_images, test_rows};

    #[test]
    fn a_fraction_is_relative_to_the_sky_that_observe_subtracts() {
        // A year of LSST: 12719.8 electrons of sky in r at 0.2", and electrons_per_nanojansky(552 s) = 26.45 there.
        let gain = 552.0 * 43.70 * 10_f64.powf(-2.96);
        let (before, after, _) = apply_to_image("sky_error", json!({ "fraction": 0.01 }), noise_images(2, 1.0));
        // The images here have 50 electrons per nJy.
        let expected = 0.01 * 12719.8 * 50.0 / gain;
        let found = f64::from(after[400] - before[400]);
        assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
    }

    #[test]
    fn the_centre_has_the_error_and_opposite_corners_sum_to_twice_the_error() {
        let settings = json!({ "electrons_per_pixel": { "g": 8 }, "gradient": 0.5 });
        let (before, after, _) = apply_to_image("sky_error", settings, noise_images(5, 0.0));
        let error: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        for error in error.chunks_exact(1200) {
            let (first, last, left, right) = (error[0], error[399], error[19], error[380]);
            assert!((first + last - 16.0).abs() < 1e-4 && (left + right - 16.0).abs() < 1e-4);
            let steepest = (first - last).hypot(left - right) / 2.0;
            // Corners are 90 degrees apart as seen from the centre.
            assert!((steepest - 4.0).abs() < 1e-4, "{steepest}");
            assert!((error[..400].iter().sum::<f32>() / 400.0 - 8.0).abs() < 1e-4);
            assert!(error[400..].iter().all(|error| *error == 0.0));
        }
        assert_ne!(error[0], error[1200]);
    }

    #[test]
    fn drawn_errors_have_the_given_spread() {
        let settings = json!({ "electrons_per_pixel": 3, "draw": "normal" });
        let (before, after, _) = apply_to_image("sky_error", settings, noise_images(500, 0.0));
        let errors: Vec<f64> = (0..1500).map(|plane| f64::from(after[plane * 400] - before[plane * 400])).collect();
        let mean = errors.iter().sum::<f64>() / 1500.0;
        let sigma = (errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / 1500.0).sqrt();
        assert!(mean.abs() < 0.3 && (sigma - 3.0).abs() < 0.22, "{mean} {sigma}");
    }

    #[test]
    fn off_changes_nothing() {
        let (before, after, _) = apply_to_image("sky_error", json!({ "fraction": "off" }), noise_images(2, 1.0));
        assert_eq!(before, after);
    }

    #[test]
    fn requires_exactly_one_error_that_suits_the_unit_of_the_image() {
        let schema = test_rows(1).schema();
        let code = |settings| first_diagnostic("sky_error", settings, &schema).code;
        assert_eq!(code(json!({ "image": "image" })), Code::MissingKey);
        assert_eq!(code(json!({ "image": "image", "fraction": 1, "electrons_per_pixel": 1 })), Code::Conflict);
        assert_eq!(code(json!({ "image": "image", "electrons_per_pixel": 1 })), Code::WrongColumn);
        assert_eq!(code(json!({ "image": "image", "fraction": 1, "survey": "no/such.yaml" })), Code::MissingFile);
    }
}
