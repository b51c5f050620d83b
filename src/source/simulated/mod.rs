//! `simulated`: seeded galaxies of three classes, noise-free and without a PSF, with their truth.
//!
//! Object i of a run with seed S is always the same galaxy, `sim-S-0000000i`, for any count, batch size or number of threads. Every
//! block of three consecutive numbers (from a multiple of three) holds each class once, in an order drawn for that block: the
//! classes are balanced, and a number does not reveal its class. The laws of magnitude, half-light radius, offset of the centre,
//! direction and of the unrelated neighbour (in 35 % of images) are the same for every class.
//!
//! The reader yields the truth (`truth.rs`); the workers draw the pixels through the decoder (`pixels.rs`). The split `S+N` holds
//! objects S to S + N - 1, so its id names the same rows at every start.

mod pixels;
#[cfg(test)]
mod tests;
mod truth;

use arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    pixels::DrawPixels,
    truth::{ObjectRange, TruthReader},
};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic, Error, Result},
    random::Stream,
    stage::{Reader, RunContext, Settings, Source, Split, Transform},
    survey::galaxy::{self, Class, Galaxy},
};

/// Objects in a split.
const SPLIT_ROWS: u64 = 1024;

/// Galaxies of three classes (spiral, elliptical, merger), drawn from the seed of the run: noise-free images in nJy without a PSF,
/// with their truth. The columns are `image`, `label`, `ra`, `dec`, `magnitude_r`, `half_light_radius_arcsec`, `axis_ratio`,
/// `position_angle_deg` and `neighbour`; with `visits` also `visit` and `years`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Simulated {
    /// Number of objects.
    pub count: u64,
    /// Number of the first object. Runs with the same seed and disjoint numbers have no galaxy in common.
    pub start: u64,
    /// The classes to draw, in equal parts.
    #[schemars(length(min = 1))]
    pub classes: Vec<ClassName>,
    /// The bands, in the order of the planes: `g`, `r`, `i`.
    #[schemars(length(min = 1))]
    pub bands: Vec<BandName>,
    /// Side of the images, pixels.
    #[schemars(range(min = 8, max = 1024))]
    pub size: usize,
    /// Side of a pixel, arcsec.
    #[schemars(range(min = 0.01, max = 2.0))]
    pub pixel_scale_arcsec: f64,
    /// The range of the r magnitude (AB), drawn uniformly: brightest and faintest.
    pub magnitude_r: [f64; 2],
    /// Divides the objects among visits with different depths.
    pub visits: Option<Visits>,
}

/// Consecutive visits with equally many objects. The depths form a geometric series from the first visit to the last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Visits {
    /// Number of visits.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u64,
    /// Depth of the first visit, in years of the survey: the column `years`, for `observe`.
    pub first_years: f64,
    /// Depth of the last visit.
    pub last_years: f64,
}

impl Visits {
    /// The visit of one of `objects` objects, and its depth in years.
    fn of(&self, object: u64, objects: u64) -> (u64, f64) {
        let visit = (u128::from(object) * u128::from(self.count) / u128::from(objects.max(1))) as u64;
        let part = visit as f64 / (self.count.max(2) - 1) as f64;
        (visit, self.first_years * (self.last_years / self.first_years).powf(part))
    }
}

impl Default for Simulated {
    fn default() -> Self {
        Self {
            count: 1000,
            start: 0,
            classes: vec![ClassName::Spiral, ClassName::Elliptical, ClassName::Merger],
            bands: vec![BandName::G, BandName::R, BandName::I],
            size: 100,
            pixel_scale_arcsec: 0.2,
            magnitude_r: [20.0, 22.5],
            visits: None,
        }
    }
}

/// A class of galaxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassName {
    /// A disc with arms, a bulge and knots of young stars.
    Spiral,
    /// A smooth spheroid, with a smooth disc in a third of cases.
    Elliptical,
    /// Two disturbed bodies, with tails and shells.
    Merger,
}

/// A band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BandName {
    /// About 480 nm.
    G,
    /// About 620 nm.
    R,
    /// About 750 nm.
    I,
}

impl Settings<dyn Source> for Simulated {
    const NAME: &'static str = "simulated";

    fn examples() -> &'static [&'static str] {
        &[
            "count: 1500\n",
            "count: 600
start: 15000
classes: [spiral, merger]
magnitude_r: [20.0, 21.5]
",
            "count: 1200
visits: { count: 6, first_years: 10, last_years: 1 }
",
        ]
    }

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let diagnostics = self.check();
        if diagnostics.is_empty() {
            Ok(Box::new(SimulatedSource { settings: self, seed: None }))
        } else {
            Err(diagnostics)
        }
    }
}

impl Simulated {
    /// The mistakes in the settings.
    fn check(&self) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let mut refuse = |wrong: bool, key: &str, message: String| {
            if wrong {
                diagnostics.push(Diagnostic::at(key, Code::OutOfRange, message));
            }
        };
        let [bright, faint] = self.magnitude_r;
        let ordered = bright <= faint && bright >= 5.0 && faint <= 40.0;
        let message =
            format!("`magnitude_r` is [{bright}, {faint}], expected two magnitudes from 5 to 40, brightest first");
        refuse(!ordered, "magnitude_r", message);
        let size = self.size;
        refuse(!(8..=1024).contains(&size), "size", format!("`size` is {size}, expected 8 to 1024 pixels"));
        let scale = self.pixel_scale_arcsec;
        let message = format!("`pixel_scale_arcsec` is {scale}, expected 0.01 to 2");
        refuse(!(0.01..=2.0).contains(&scale), "pixel_scale_arcsec", message);
        let end = self.start.checked_add(self.count);
        let message = format!("`start` {} plus `count` {} is more than {}", self.start, self.count, i64::MAX);
        refuse(end.is_none_or(|end| end > i64::MAX as u64), "start", message);
        if let Some(Visits { count, first_years, last_years }) = self.visits {
            let years = [first_years, last_years].iter().all(|years| years.is_finite() && *years > 0.0);
            let message = format!(
                "`visits` is {count} visits of {first_years} to {last_years} years, expected at least one visit and years above 0"
            );
            refuse(count == 0 || !years, "visits", message);
        }
        refuse(!are_distinct(&self.classes), "classes", "`classes` must name one class or more, each once".into());
        refuse(!are_distinct(&self.bands), "bands", "`bands` must name one band or more, each once".into());
        diagnostics
    }

    fn layout(&self) -> ImageLayout {
        ImageLayout {
            bands: self.bands.iter().map(|band| band.name().to_owned()).collect(),
            height: self.size,
            width: self.size,
            unit: Unit::NanoJansky,
            pixel_scale_arcsec: Some(self.pixel_scale_arcsec),
            stretch: None,
            electrons_per_njy: None,
            wcs: None,
        }
    }

    /// The class of an object. Blocks of k consecutive numbers, k classes, are permutations of the classes.
    fn class_of(&self, seed: u64, number: u64) -> Class {
        let mut classes: Vec<Class> = self.classes.iter().map(|class| class.to_class()).collect();
        let kinds = classes.len() as u64;
        let mut stream = Stream::new(seed, &format!("sim-{seed}-block-{}", number / kinds), "class");
        for i in (1..kinds).rev() {
            classes.swap(i as usize, stream.below(i + 1) as usize);
        }
        classes[(number % kinds) as usize]
    }

    fn galaxy(&self, seed: u64, number: u64) -> Galaxy {
        Galaxy::draw(seed, &object_id(seed, number), self.class_of(seed, number), self.magnitude_r)
    }
}

fn object_id(seed: u64, number: u64) -> String {
    format!("sim-{seed}-{number:08}")
}

/// Whether there is at least one item and none is repeated.
fn are_distinct<T: PartialEq>(items: &[T]) -> bool {
    !items.is_empty() && items.iter().enumerate().all(|(i, item)| !items[..i].contains(item))
}

impl ClassName {
    fn to_class(self) -> Class {
        match self {
            Self::Spiral => Class::Spiral,
            Self::Elliptical => Class::Elliptical,
            Self::Merger => Class::Merger,
        }
    }
}

impl BandName {
    fn name(self) -> &'static str {
        match self {
            Self::G => "g",
            Self::R => "r",
            Self::I => "i",
        }
    }

    fn to_band(self) -> galaxy::Band {
        match self {
            Self::G => galaxy::Band::G,
            Self::R => galaxy::Band::R,
            Self::I => galaxy::Band::I,
        }
    }
}

struct SimulatedSource {
    settings: Simulated,
    /// The seed of the run, once it has started.
    seed: Option<u64>,
}

impl Source for SimulatedSource {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(truth::schema(&self.settings))
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = Some(run.seed);
        Ok(())
    }

    fn splits(&self) -> Result<Vec<Split>> {
        let Simulated { count, start, .. } = self.settings;
        let split = |i: u64| {
            let first = i * SPLIT_ROWS;
            let rows = SPLIT_ROWS.min(count - first);
            Split::new(format!("{}+{rows}", start + first), rows)
        };
        Ok((0..count.div_ceil(SPLIT_ROWS)).map(split).collect())
    }

    fn open(&self, split: &Split, offset: u64) -> Result<Box<dyn Reader>> {
        let seed = self.seed.ok_or_else(|| Error::bug("the source `simulated` is read before it has started"))?;
        let objects = ObjectRange::parse(&split.id);
        let objects =
            objects.ok_or_else(|| Error::data(format!("the source `simulated` has no split `{}`", split.id)))?;
        Ok(Box::new(TruthReader::new(self.settings.clone(), seed, objects, offset)))
    }

    fn decoder(&self) -> Option<Box<dyn Transform>> {
        Some(Box::new(DrawPixels::new(self.settings.clone())))
    }
}
