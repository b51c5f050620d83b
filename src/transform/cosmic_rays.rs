//! `cosmic_rays`: charged particles that cross the detector.
//!
//! A ray enters at a point that is even over the image and leaves through the other side of a detector of thickness d. Rays come
//! evenly from all directions, so their number through the surface goes with the cosine of the angle to its normal: the sine
//! squared is even in 0 to 1, and the track is d tan long, projected. It frees electrons in proportion to its way d / cos
//! through the silicon, at the most probable loss plus the width of Landau's distribution times a deviate of Moyal's (-ln z^2, z normal),
//! and each pixel gets as many as of the track lies in it. A ray hits one exposure, and so one band.

use arrow::datatypes::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    perturbation::{Perturbation, Perturbed, Row},
    quantity::{self, Bound, Quantity, Rules},
};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic},
    image::track,
    random::{Stream, ln},
    stage::{Settings, Transform},
};

/// Adds the tracks of cosmic rays to an image in electrons. Its variance and PSF are kept, and its mask too, unless `flag` is set.
///
/// A quantity is a number, `{ column: NAME }`, or one of these by band, where bands that are not named have none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CosmicRays {
    /// The image column, in electrons.
    pub image: String,
    /// Mean number of rays: the number is Poisson. Of the image, in one band drawn at random; with `bands: all` of every band.
    pub count: Option<Quantity>,
    /// Rays per square centimetre and second instead of `count`: muons at sea level are 0.02, on a mountain some more.
    pub rate_per_cm2_per_s: Option<Quantity>,
    /// Seconds that the rays of `rate_per_cm2_per_s` come in.
    pub exposure_seconds: Option<Quantity>,
    /// Which bands are hit.
    pub bands: Hit,
    /// Side of a pixel on the detector, um.
    #[schemars(range(min = 0.1, max = 1000))]
    pub pixel_um: f64,
    /// Thickness of the silicon, um.
    #[schemars(range(min = 0, max = 10_000))]
    pub depth_um: f64,
    /// Most probable number of electrons that a ray frees on a um of its way.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub electrons_per_um: f64,
    /// Width of Landau's distribution of that number; the mean is 1.27 widths above the most probable.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub landau_width_per_um: f64,
    /// Marks the pixels hit as bad in the mask, as if the rays had been found.
    pub flag: bool,
}

/// Which bands are hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hit {
    /// One, drawn for each object.
    #[default]
    One,
    /// Each, by rays of its own.
    All,
}

impl Default for CosmicRays {
    /// One ray in the column `image`, through 100 um of silicon with pixels of 10 um.
    fn default() -> Self {
        Self {
            image: "image".into(),
            count: None,
            rate_per_cm2_per_s: None,
            exposure_seconds: None,
            bands: Hit::One,
            pixel_um: 10.0,
            depth_um: 100.0,
            electrons_per_um: 75.0,
            landau_width_per_um: 5.0,
            flag: false,
        }
    }
}

impl Settings<dyn Transform> for CosmicRays {
    const NAME: &'static str = "cosmic_rays";

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let mistake = match (&self.count, &self.rate_per_cm2_per_s, &self.exposure_seconds) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => None,
            (None, None, _) => {
                let mistake = Diagnostic::at("", Code::MissingKey, "how many rays is not set");
                Some(mistake.help("give `count`, or `rate_per_cm2_per_s` and `exposure_seconds`"))
            }
            (None, Some(_), None) => {
                Some(Diagnostic::at("", Code::MissingKey, "`rate_per_cm2_per_s` needs `exposure_seconds`"))
            }
            (Some(_), rate, _) => {
                let key = if rate.is_some() { "rate_per_cm2_per_s" } else { "exposure_seconds" };
                Some(Diagnostic::at(key, Code::Conflict, format!("`{key}` and `count` exclude each other")))
            }
        };
        if let Some(mistake) = mistake {
            return Err(vec![mistake]);
        }
        let image = self.image.clone();
        Ok(Perturbed::boxed(label, &image, self))
    }
}

impl Perturbation for CosmicRays {
    fn quantities(&self) -> Vec<(&'static str, &Quantity)> {
        let all = [
            ("count", &self.count),
            ("rate_per_cm2_per_s", &self.rate_per_cm2_per_s),
            ("exposure_seconds", &self.exposure_seconds),
        ];
        all.into_iter().filter_map(|(key, quantity)| quantity.as_ref().map(|quantity| (key, quantity))).collect()
    }

    fn bind(&mut self, input: &Schema, image: &ImageLayout) -> Result<Vec<Bound>, Vec<Diagnostic>> {
        if image.unit != Unit::Electron {
            let message = format!("image `{}` is in unit `{}`; expected `electron`", self.image, image.unit.name());
            let mistake = Diagnostic::at("image", Code::WrongColumn, message);
            return Err(vec![mistake.help("let rays hit an image that `observe` has made")]);
        }
        let rules = |key, range| {
            let (bands, default) = (image.bands.as_slice(), vec![0.0; image.bands.len()]);
            Rules { key, bands, default, off: Some(0.0), range }
        };
        let each = [
            (self.count.as_ref(), rules("count", 0.0..=MOST)),
            (self.rate_per_cm2_per_s.as_ref(), rules("rate_per_cm2_per_s", 0.0..=1e6)),
            (self.exposure_seconds.as_ref(), rules("exposure_seconds", 0.0..=1e9)),
        ];
        quantity::bind_all(&each, input)
    }

    fn perturb(&mut self, row: &mut Row, numbers: &[Vec<f64>], draws: &mut Stream) -> Result<(), String> {
        let (height, width, plane) = (row.layout.height, row.layout.width, row.layout.plane());
        let drawn = draws.below(row.layout.bands.len() as u64) as usize;
        let area_cm2 = plane as f64 * (self.pixel_um * 1e-4).powi(2);
        for (band, pixels) in row.image.chunks_exact_mut(plane).enumerate() {
            if self.bands == Hit::One && band != drawn {
                continue;
            }
            let mean = numbers[0][band] + numbers[1][band] * numbers[2][band] * area_cm2;
            if mean > MOST {
                return Err(format!("{mean:.3e} rays are expected in band `{}`", row.layout.bands[band]));
            }
            let mut mask = row.mask.as_deref_mut().filter(|_| self.flag).map(|mask| &mut mask[band * plane..][..plane]);
            for _ in 0..poisson(mean, draws) {
                let ray = self.draw(draws);
                let from = (draws.uniform_in(0.0, height as f64), draws.uniform_in(0.0, width as f64));
                let track = track::Track { start: from, displacement: ray.way, charge: ray.electrons };
                track.add_to(pixels, width, |pixel| {
                    if let Some(mask) = &mut mask {
                        mask[pixel] = 1.0;
                    }
                });
            }
        }
        Ok(())
    }
}

/// The most rays that an image is expected to get.
const MOST: f64 = 1e5;

/// A ray: its way over the detector in pixels (y, x), and the electrons that it frees.
struct Ray {
    way: (f64, f64),
    electrons: f64,
}

impl CosmicRays {
    fn draw(&self, draws: &mut Stream) -> Ray {
        // A point that is even in the unit disc is the projection of such a direction: its radius is the sine.
        let (y, x, sine2) = loop {
            let (y, x) = (draws.uniform_in(-1.0, 1.0), draws.uniform_in(-1.0, 1.0));
            let sine2 = y * y + x * x;
            if sine2 < 1.0 {
                break (y, x, sine2);
            }
        };
        let way_um = self.depth_um / (1.0 - sine2).sqrt();
        let normal = draws.normal();
        let moyal = -ln((normal * normal).max(1e-300));
        let loss = (self.electrons_per_um + self.landau_width_per_um * moyal).max(0.0);
        let pixels = way_um / self.pixel_um;
        Ray { way: (y * pixels, x * pixels), electrons: loss * way_um }
    }
}

/// A Poisson count: arrivals of unit rate until `mean`.
fn poisson(mean: f64, draws: &mut Stream) -> u64 {
    let mut count = 0;
    let mut time = draws.exponential();
    while time < mean {
        count += 1;
        time += draws.exponential();
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        batch::list_values,
        transform::contract::{batch, bound, changed, noise},
    };

    #[test]
    fn angles_and_losses_have_the_moments_of_their_distributions() {
        let rays = CosmicRays::default();
        let mut draws = Stream::new(3, "object", "rays");
        let n = 100_000;
        let (mut sine2, mut cosine, mut loss, mut along_y) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..n {
            let ray = rays.draw(&mut draws);
            let sine = ray.way.0.hypot(ray.way.1);
            // d tan is the projection, so tan = (way / d).
            let cos = 1.0 / (1.0 + (sine / 10.0).powi(2)).sqrt();
            let way = 100.0 / cos;
            sine2 += 1.0 - cos * cos;
            cosine += cos;
            loss += ray.electrons / way;
            along_y += f64::from(u8::from(ray.way.0.abs() > ray.way.1.abs()));
        }
        let mean = |sum: f64| sum / f64::from(n);
        // sin^2 is even; cos has density 2 cos; Moyal's mean is gamma + ln 2 = 1.27036.
        assert!((mean(sine2) - 0.5).abs() < 5e-3, "{}", mean(sine2));
        assert!((mean(cosine) - 2.0 / 3.0).abs() < 5e-3, "{}", mean(cosine));
        assert!((mean(loss) - (75.0 + 5.0 * 1.270_36)).abs() < 0.15, "{}", mean(loss));
        assert!((mean(along_y) - 0.5).abs() < 8e-3);
    }

    #[test]
    fn the_number_of_rays_is_that_of_rate_area_and_time() {
        // Rays straight through a detector without depth stay in their pixel: with a loss of 1 there, pixels count them.
        let mut draws = Stream::new(5, "object", "counts");
        let counts: Vec<f64> = (0..20_000).map(|_| poisson(3.5, &mut draws) as f64).collect();
        let mean = counts.iter().sum::<f64>() / 2e4;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 2e4;
        assert!((mean - 3.5).abs() < 0.06 && (variance - 3.5).abs() < 0.18, "{mean} {variance}");
        // 400 pixels of 10 um are 4e-4 cm^2; 50 rays per cm^2 and second are 2 in 100 s.
        let settings = json!({
            "rate_per_cm2_per_s": 50, "exposure_seconds": 100, "bands": "all", "depth_um": 1e-6, "electrons_per_um": 1e12,
            "landau_width_per_um": 0,
        });
        let (before, after, _) = changed("cosmic_rays", settings, noise(300, 0.0));
        let hit = before.iter().zip(&after).filter(|(a, b)| *b - *a > 9e5).count() as f64;
        // 900 planes; two in one pixel are 0.5 %.
        assert!((hit / 900.0 - 2.0).abs() < 0.2, "{}", hit / 900.0);
    }

    #[test]
    fn one_band_of_an_object_is_hit_unless_told_and_flags_mark_the_pixels() {
        let (before, after, out) = changed("cosmic_rays", json!({ "count": 50, "flag": true }), noise(12, 1.0));
        let mask = list_values(&out, "made_mask").expect("a mask").0;
        let mut bands = [0; 3];
        for row in 0..12 {
            let hit: Vec<usize> =
                (0..3).filter(|band| (0..400).any(|i| mask[row * 1200 + band * 400 + i] == 1.0)).collect();
            assert_eq!(hit.len(), 1);
            bands[hit[0]] += 1;
        }
        assert!(bands.iter().all(|count| *count > 0), "{bands:?}");
        assert!(mask.iter().zip(before.iter().zip(&after)).all(|(mask, (a, b))| (*mask == 1.0) == (b > a)));
    }

    #[test]
    fn no_ray_changes_nothing_and_what_makes_no_sense_is_a_mistake() {
        let (before, after, _) = changed("cosmic_rays", json!({ "count": 0 }), noise(3, 1.0));
        assert_eq!(before, after);
        let schema = batch(1).schema();
        let told = |settings| bound("cosmic_rays", settings, &schema).err().expect("a mistake").remove(0).code;
        assert_eq!(told(json!({ "image": "electrons" })), Code::MissingKey);
        assert_eq!(told(json!({ "image": "electrons", "rate_per_cm2_per_s": 1 })), Code::MissingKey);
        assert_eq!(told(json!({ "image": "electrons", "rate_per_cm2_per_s": 1, "count": 1 })), Code::Conflict);
        assert_eq!(told(json!({ "image": "image", "count": 1 })), Code::WrongColumn);
    }
}
