//! `sky_error`: a sky that was subtracted wrongly: a constant, or a plane, is added to the image.
//!
//! `pixel + error (1 + gradient s)`, where s goes from -1 to 1 over the diagonal of the image in a direction drawn for each object (the
//! same for its bands). The error is given in electrons, or as a fraction of the survey's sky,
//! `10^(0.4 (31.4 - sky mag)) pixel^2` nJy in a pixel; positive where too little was subtracted. It can also be the standard
//! deviation of a normal distribution that is drawn from for each object and band. Directions and draws depend on (run seed,
//! object, label).

use arrow::datatypes::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    perturbation::{Perturbation, Perturbed, Row},
    quantity::{self, Bound, Quantity, Rules},
};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic, Error},
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
    /// The error in electrons per pixel, of an image in electrons. One of this and `fraction` has to be set.
    pub electrons_per_pixel: Option<Quantity>,
    /// The error as a fraction of the sky of the survey. Of an image in nJy, or in electrons with one exposure for all rows.
    pub fraction: Option<Quantity>,
    /// The survey whose sky it is: `lsst`, or the path of a file like it.
    pub survey: String,
    /// How much more the error is at one corner than in the middle, over that in the middle: 0 is a constant.
    #[schemars(range(min = 0, max = 100))]
    pub gradient: f64,
    /// Whether the error is as given or drawn.
    pub draw: Draw,
}

/// Whether an error is as given or drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Draw {
    /// As given, the same for all objects.
    #[default]
    Fixed,
    /// From a normal distribution with that standard deviation, for each object and band.
    Normal,
}

impl Default for SkyError {
    /// The column `image` under LSST's sky; the error has to be set.
    fn default() -> Self {
        Self {
            image: "image".into(),
            electrons_per_pixel: None,
            fraction: None,
            survey: "lsst".into(),
            gradient: 0.0,
            draw: Draw::Fixed,
        }
    }
}

impl Settings<dyn Transform> for SkyError {
    const NAME: &'static str = "sky_error";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        match (&self.electrons_per_pixel, &self.fraction) {
            (None, None) => {
                let message = "no error is set: neither `fraction` nor `electrons_per_pixel`";
                return Err(vec![Diagnostic::at("", Code::MissingKey, message).help("for example `fraction: 0.01`")]);
            }
            (Some(_), Some(_)) => {
                let message = "`fraction` and `electrons_per_pixel` exclude each other";
                return Err(vec![Diagnostic::at("fraction", Code::Conflict, message)]);
            }
            _ => {}
        }
        let survey = Survey::load(&self.survey).map_err(|error| {
            let code = if matches!(error, Error::Environment { .. }) { Code::MissingFile } else { Code::OutOfRange };
            vec![Diagnostic::at("survey", code, error.report())]
        })?;
        let image = self.image.clone();
        Ok(Perturbed::boxed(label, &image, Subtracting { settings: self, survey, sky: Vec::new() }))
    }
}

#[derive(Clone)]
struct Subtracting {
    settings: SkyError,
    survey: Survey,
    /// What the quantity counts in, by band, in the unit of the image: 1 electron, or the sky of a pixel.
    sky: Vec<f64>,
}

impl Subtracting {
    /// The sky of a pixel by band, in the unit of the image.
    fn sky_of(&self, image: &ImageLayout) -> Result<Vec<f64>, Vec<Diagnostic>> {
        let name = &self.settings.image;
        let wrong =
            |message: String, help: &str| Err(vec![Diagnostic::at("image", Code::WrongColumn, message).help(help)]);
        let gain = match (image.unit, &image.electrons_per_njy) {
            (Unit::NanoJansky, _) => vec![1.0; image.bands.len()],
            (Unit::Electron, Some(gain)) => gain.clone(),
            (Unit::Electron, None) => {
                let message = format!("image `{name}` does not say how many electrons 1 nJy gives");
                return wrong(message, "give the error as `electrons_per_pixel`");
            }
            _ => {
                let message =
                    format!("image `{name}` is in unit `{}`; expected `electron` or `nJy`", image.unit.name());
                return wrong(message, "give the source a `zero_point`");
            }
        };
        let Some(scale) = image.pixel_scale_arcsec else {
            return wrong(
                format!("the pixel scale of image `{name}` is not known"),
                "set `pixel_scale_arcsec` in the source",
            );
        };
        let of_band = |(band, gain): (&String, f64)| match self.survey.bands.get(band) {
            Some(known) => Ok(gain * nanojansky(known.sky_mag_per_arcsec2) * scale * scale),
            None => {
                let message = format!("the survey has no band `{band}`, which the image has");
                Err(Diagnostic::at("survey", Code::OutOfRange, message))
            }
        };
        let (mut sky, mut mistakes) = (Vec::new(), Vec::new());
        for found in image.bands.iter().zip(gain).map(of_band) {
            match found {
                Ok(electrons) => sky.push(electrons),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        if mistakes.is_empty() { Ok(sky) } else { Err(mistakes) }
    }
}

impl Perturbation for Subtracting {
    fn quantities(&self) -> Vec<(&'static str, &Quantity)> {
        let all = [("electrons_per_pixel", &self.settings.electrons_per_pixel), ("fraction", &self.settings.fraction)];
        all.into_iter().filter_map(|(key, quantity)| quantity.as_ref().map(|quantity| (key, quantity))).collect()
    }

    fn bind(&mut self, input: &Schema, image: &ImageLayout) -> Result<Vec<Bound>, Vec<Diagnostic>> {
        let (key, quantity) = match &self.settings.fraction {
            Some(fraction) => ("fraction", fraction),
            None => ("electrons_per_pixel", self.settings.electrons_per_pixel.as_ref().unwrap_or(&Quantity::OFF)),
        };
        let bands = image.bands.as_slice();
        let rules = Rules { key, bands, default: vec![0.0; bands.len()], off: Some(0.0), range: -1e12..=1e12 };
        if key == "electrons_per_pixel" && image.unit != Unit::Electron {
            let name = &self.settings.image;
            let message = format!("image `{name}` is in unit `{}`; expected `electron`", image.unit.name());
            let mistake = Diagnostic::at("image", Code::WrongColumn, message);
            return Err(vec![mistake.help("give the error as a `fraction` of the sky")]);
        }
        let bounds = quantity::bind_all(&[(Some(quantity), rules)], input)?;
        self.sky = if key == "fraction" { self.sky_of(image)? } else { vec![1.0; bands.len()] };
        Ok(bounds)
    }

    fn perturb(&mut self, row: &mut Row, numbers: &[Vec<f64>], draws: &mut Stream) -> Result<(), String> {
        let (height, width) = (row.layout.height, row.layout.width);
        let (along_y, along_x) = direction(draws);
        let (middle_y, middle_x) = ((height - 1) as f64 / 2.0, (width - 1) as f64 / 2.0);
        let corner = middle_y.hypot(middle_x).max(0.5);
        for (band, pixels) in row.image.chunks_exact_mut(height * width).enumerate() {
            let normal = if self.settings.draw == Draw::Normal { draws.normal() } else { 1.0 };
            let error = numbers[0][band] * self.sky[band] * normal;
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

/// A direction in the plane, evenly: (y, x) of length 1.
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
    use crate::transform::contract::{batch, bound, changed, noise};

    #[test]
    fn a_fraction_is_one_of_the_sky_that_observe_subtracts() {
        // A year of LSST: 12719.8 electrons of sky in r at 0.2", and electrons_per_nanojansky(552 s) = 26.45 there.
        let gain = 552.0 * 43.70 * 10_f64.powf(-2.96);
        let (before, after, _) = changed("sky_error", json!({ "fraction": 0.01 }), noise(2, 1.0));
        // The images here have 50 electrons per nJy.
        let expected = 0.01 * 12719.8 * 50.0 / gain;
        let found = f64::from(after[400] - before[400]);
        assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
    }

    #[test]
    fn the_middle_has_the_error_and_opposite_corners_share_twice_that() {
        let settings = json!({ "electrons_per_pixel": { "g": 8 }, "gradient": 0.5 });
        let (before, after, _) = changed("sky_error", settings, noise(5, 0.0));
        let error: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        for error in error.chunks_exact(1200) {
            let (first, last, left, right) = (error[0], error[399], error[19], error[380]);
            assert!((first + last - 16.0).abs() < 1e-4 && (left + right - 16.0).abs() < 1e-4);
            let steepest = (first - last).hypot(left - right) / 2.0;
            // Corners lie 90 degrees apart, seen from the middle.
            assert!((steepest - 4.0).abs() < 1e-4, "{steepest}");
            assert!((error[..400].iter().sum::<f32>() / 400.0 - 8.0).abs() < 1e-4);
            assert!(error[400..].iter().all(|error| *error == 0.0));
        }
        assert_ne!(error[0], error[1200]);
    }

    #[test]
    fn drawn_errors_have_their_spread() {
        let settings = json!({ "electrons_per_pixel": 3, "draw": "normal" });
        let (before, after, _) = changed("sky_error", settings, noise(500, 0.0));
        let errors: Vec<f64> = (0..1500).map(|plane| f64::from(after[plane * 400] - before[plane * 400])).collect();
        let mean = errors.iter().sum::<f64>() / 1500.0;
        let sigma = (errors.iter().map(|error| (error - mean).powi(2)).sum::<f64>() / 1500.0).sqrt();
        assert!(mean.abs() < 0.3 && (sigma - 3.0).abs() < 0.22, "{mean} {sigma}");
    }

    #[test]
    fn what_makes_no_sense_is_a_mistake_and_no_error_changes_nothing() {
        let (before, after, _) = changed("sky_error", json!({ "fraction": "off" }), noise(2, 1.0));
        assert_eq!(before, after);
        let schema = batch(1).schema();
        let told = |settings| bound("sky_error", settings, &schema).err().expect("a mistake").remove(0).code;
        assert_eq!(told(json!({ "image": "image" })), Code::MissingKey);
        assert_eq!(told(json!({ "image": "image", "fraction": 1, "electrons_per_pixel": 1 })), Code::Conflict);
        assert_eq!(told(json!({ "image": "image", "electrons_per_pixel": 1 })), Code::WrongColumn);
        assert_eq!(told(json!({ "image": "image", "fraction": 1, "survey": "no/such.yaml" })), Code::MissingFile);
    }
}
