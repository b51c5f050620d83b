//! `cosmic_rays`: charged particles that cross the detector.
//!
//! A ray enters at a uniformly drawn point of the image and leaves through the other side of a detector of thickness d. Rays come
//! uniformly from all directions, so their number through the surface is proportional to the cosine of the angle to its normal: the
//! squared sine is uniform in [0, 1), and the projected track has the length d tan(angle). A ray frees electrons in proportion to its
//! path d / cos(angle) through the silicon, at the most probable loss plus the width of Landau's distribution times a deviate of
//! Moyal's (-ln z^2, z normal), and each pixel gets the share of the track inside it. A ray hits one exposure, and therefore one band.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    diagnostics::wrong_unit,
    pixel_transform::{PixelOperation, PixelRow, PixelTransform, QuantityLimits},
    quantity::Quantity,
};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic},
    image::track,
    random::{Stream, ln},
    stage::{Settings, Transform},
};

/// The largest mean number of rays in a band of an image.
const MAX_RAYS: f64 = 1e5;

/// Adds the tracks of cosmic rays to an image in electrons. Its variance and PSF are kept, and so is its mask unless `flag` is set.
///
/// A quantity is a number, `{ column: NAME }`, or one of these by band, where bands that are not named have no rays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CosmicRays {
    /// The image column, in electrons.
    pub image: String,
    /// Mean of the Poisson-distributed number of rays: per image, all in one band drawn at random; with `bands: all` per band.
    pub count: Option<Quantity>,
    /// Rays per square centimetre and second, instead of `count`: 0.02 for muons at sea level, more on a mountain.
    pub rate_per_cm2_per_s: Option<Quantity>,
    /// Exposure in which rays arrive at `rate_per_cm2_per_s`, seconds.
    pub exposure_seconds: Option<Quantity>,
    /// Which bands are hit.
    pub bands: HitBands,
    /// Side of a pixel on the detector, um.
    #[schemars(range(min = 0.1, max = 1000))]
    pub pixel_um: f64,
    /// Thickness of the silicon, um.
    #[schemars(range(min = 0, max = 10_000))]
    pub depth_um: f64,
    /// Most probable number of electrons that a ray frees per um of its path.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub electrons_per_um: f64,
    /// Width of Landau's distribution of that number; the mean is 1.27 widths above the most probable number.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub landau_width_per_um: f64,
    /// Marks the pixels that are hit as bad in the mask, as if the rays had been detected.
    pub flag: bool,
}

impl CosmicRays {
    /// Settings for an image column; all others have their defaults.
    pub fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }
}

/// Which bands are hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HitBands {
    /// One band, drawn for each object.
    #[default]
    One,
    /// Every band, by different rays.
    All,
}

impl Default for CosmicRays {
    /// Rays in one band of the column `image`, through 100 um of silicon with pixels of 10 um; their number must be set.
    fn default() -> Self {
        Self {
            image: "image".into(),
            count: None,
            rate_per_cm2_per_s: None,
            exposure_seconds: None,
            bands: HitBands::One,
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

    fn examples() -> &'static [&'static str] {
        &[
            "{ image: y10_sky, count: 2 }",
            "{ image: y1_sky, rate_per_cm2_per_s: 0.05, exposure_seconds: 1800, bands: all, flag: true }",
        ]
    }

    fn build(self, label: &str) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
        let mistake = match (&self.count, &self.rate_per_cm2_per_s, &self.exposure_seconds) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => None,
            (None, None, _) => {
                let mistake = Diagnostic::at("", Code::MissingKey, "the number of rays is not set");
                Some(mistake.help("set `count`, or `rate_per_cm2_per_s` and `exposure_seconds`"))
            }
            (None, Some(_), None) => {
                Some(Diagnostic::at("", Code::MissingKey, "`rate_per_cm2_per_s` requires `exposure_seconds`"))
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
        Ok(PixelTransform::boxed(label, &image, self))
    }
}

impl PixelOperation<3> for CosmicRays {
    fn quantities(&self) -> [(&'static str, Option<&Quantity>); 3] {
        [
            ("count", self.count.as_ref()),
            ("rate_per_cm2_per_s", self.rate_per_cm2_per_s.as_ref()),
            ("exposure_seconds", self.exposure_seconds.as_ref()),
        ]
    }

    fn limits(&self, _: &ImageLayout) -> [QuantityLimits; 3] {
        [MAX_RAYS, 1e6, 1e9].map(|max| QuantityLimits { default: 0.0, range: 0.0..=max })
    }

    fn bind(&mut self, image: &ImageLayout) -> Result<(), Vec<Diagnostic>> {
        if image.unit == Unit::Electron {
            return Ok(());
        }
        let mistake = wrong_unit(&self.image, image, "`electron`");
        Err(vec![mistake.help("name an image that `observe` has made")])
    }

    fn apply(
        &mut self,
        row: &mut PixelRow,
        [count, rate, seconds]: [&[f64]; 3],
        draws: &mut Stream,
    ) -> Result<(), String> {
        let (height, width, plane) = (row.layout.height, row.layout.width, row.layout.plane());
        let drawn_band = draws.below(row.layout.bands.len() as u64) as usize;
        let area_cm2 = plane as f64 * (self.pixel_um * 1e-4).powi(2);
        for (band, pixels) in row.image.chunks_exact_mut(plane).enumerate() {
            if self.bands == HitBands::One && band != drawn_band {
                continue;
            }
            let mean = count[band] + rate[band] * seconds[band] * area_cm2;
            if mean > MAX_RAYS {
                let name = &row.layout.bands[band];
                return Err(format!("{mean:.3e} rays are expected in band `{name}`, more than {MAX_RAYS:e}"));
            }
            let mut mask = row.mask.as_deref_mut().filter(|_| self.flag).map(|mask| &mut mask[band * plane..][..plane]);
            for _ in 0..poisson(mean, draws) {
                let ray = self.draw(draws);
                let from = (draws.uniform_in(0.0, height as f64), draws.uniform_in(0.0, width as f64));
                let track = track::Track { start: from, displacement: ray.path, charge: ray.electrons };
                track.add_to(pixels, width, |pixel| {
                    if let Some(mask) = &mut mask {
                        mask[pixel] |= 1;
                    }
                });
            }
        }
        Ok(())
    }
}

/// A ray.
struct Ray {
    /// The projection of its path on the detector, (y, x) in pixels.
    path: (f64, f64),
    /// The electrons that it frees.
    electrons: f64,
}

impl CosmicRays {
    fn draw(&self, draws: &mut Stream) -> Ray {
        // A uniform point of the unit disc is the projection of such a direction: its radius is the sine.
        let (y, x, sine2) = loop {
            let (y, x) = (draws.uniform_in(-1.0, 1.0), draws.uniform_in(-1.0, 1.0));
            let sine2 = y * y + x * x;
            if sine2 < 1.0 {
                break (y, x, sine2);
            }
        };
        let path_um = self.depth_um / (1.0 - sine2).sqrt();
        let normal = draws.normal();
        let moyal = -ln((normal * normal).max(1e-300));
        let loss = (self.electrons_per_um + self.landau_width_per_um * moyal).max(0.0);
        let pixels = path_um / self.pixel_um;
        Ray { path: (y * pixels, x * pixels), electrons: loss * path_um }
    }
}

/// A Poisson count: arrivals at unit rate until `mean`.
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
        batch::mask_values,
        transform::{
            conformance::keeps_its_promises,
            fixtures::{apply_to_image, first_diagnostic, noise_images, test_rows},
        },
    };

    #[test]
    fn angles_and_losses_have_the_moments_of_their_distributions() {
        let rays = CosmicRays::default();
        let mut draws = Stream::new(3, "object", "rays");
        let n = 100_000;
        let (mut sine2, mut cosine, mut loss, mut along_y) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..n {
            let ray = rays.draw(&mut draws);
            let projection = ray.path.0.hypot(ray.path.1);
            // The projection is d tan(angle), with d = 10 pixels.
            let cos = 1.0 / (1.0 + (projection / 10.0).powi(2)).sqrt();
            let path_um = 100.0 / cos;
            sine2 += 1.0 - cos * cos;
            cosine += cos;
            loss += ray.electrons / path_um;
            along_y += f64::from(u8::from(ray.path.0.abs() > ray.path.1.abs()));
        }
        let mean = |sum: f64| sum / f64::from(n);
        // sin^2 is uniform; cos has the density 2 cos; Moyal's mean is gamma + ln 2 = 1.27036.
        assert!((mean(sine2) - 0.5).abs() < 5e-3, "{}", mean(sine2));
        assert!((mean(cosine) - 2.0 / 3.0).abs() < 5e-3, "{}", mean(cosine));
        assert!((mean(loss) - (75.0 + 5.0 * 1.270_36)).abs() < 0.15, "{}", mean(loss));
        assert!((mean(along_y) - 0.5).abs() < 8e-3);
    }

    #[test]
    fn the_mean_number_of_rays_is_rate_times_area_times_time() {
        let mut draws = Stream::new(5, "object", "counts");
        let counts: Vec<f64> = (0..20_000).map(|_| poisson(3.5, &mut draws) as f64).collect();
        let mean = counts.iter().sum::<f64>() / 2e4;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 2e4;
        assert!((mean - 3.5).abs() < 0.06 && (variance - 3.5).abs() < 0.18, "{mean} {variance}");
        // 400 pixels of 10 um are 4e-4 cm^2; 50 rays per cm^2 and second are 2 in 100 s. A detector of almost no depth keeps every
        // ray in one pixel.
        let settings = json!({
            "rate_per_cm2_per_s": 50, "exposure_seconds": 100, "bands": "all", "depth_um": 1e-6, "electrons_per_um": 1e12,
            "landau_width_per_um": 0,
        });
        let (before, after, _) = apply_to_image("cosmic_rays", settings, noise_images(300, 0.0));
        let hit = before.iter().zip(&after).filter(|(a, b)| *b - *a > 9e5).count() as f64;
        // 900 planes; two rays hit the same pixel in 0.5 % of them.
        assert!((hit / 900.0 - 2.0).abs() < 0.2, "{}", hit / 900.0);
    }

    #[test]
    fn hits_one_band_of_an_object_by_default_and_flags_the_pixels() {
        let settings = json!({ "count": 50, "flag": true });
        let (before, after, out) = apply_to_image("cosmic_rays", settings, noise_images(12, 1.0));
        let mask = mask_values(&out, "made_mask").expect("a mask").0;
        let mut bands = [0; 3];
        for row in 0..12 {
            let hit: Vec<usize> =
                (0..3).filter(|band| (0..400).any(|i| mask[row * 1200 + band * 400 + i] == 1)).collect();
            assert_eq!(hit.len(), 1);
            bands[hit[0]] += 1;
        }
        assert!(bands.iter().all(|count| *count > 0), "{bands:?}");
        assert!(mask.iter().zip(before.iter().zip(&after)).all(|(mask, (a, b))| (*mask == 1) == (b > a)));
    }

    #[test]
    fn a_count_of_zero_changes_nothing() {
        let (before, after, _) = apply_to_image("cosmic_rays", json!({ "count": 0 }), noise_images(3, 1.0));
        assert_eq!(before, after);
    }

    #[test]
    fn requires_one_number_of_rays_and_an_image_in_electrons() {
        let schema = test_rows(1).schema();
        let code = |settings| first_diagnostic("cosmic_rays", settings, &schema).code;
        assert_eq!(code(json!({ "image": "y10_sky" })), Code::MissingKey);
        assert_eq!(code(json!({ "image": "y10_sky", "rate_per_cm2_per_s": 1 })), Code::MissingKey);
        assert_eq!(code(json!({ "image": "y10_sky", "rate_per_cm2_per_s": 1, "count": 1 })), Code::Conflict);
        assert_eq!(code(json!({ "image": "image", "count": 1 })), Code::WrongColumn);
    }

    #[test]
    fn keeps_its_promises_with_many_flagged_rays() {
        keeps_its_promises(
            "cosmic_rays",
            &json!({ "image": "y1_sky", "rate_per_cm2_per_s": 90, "exposure_seconds": 300, "bands": "all", "flag": true }),
        );
    }
}
