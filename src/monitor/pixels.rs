//! What may be put into pixels, and how numbers in [0, 1] become pixels: where they are, and what the model sees there.

use arrow::datatypes::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic},
    image::stretch::Asinh,
};

/// What may be put into a pixel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Values {
    /// The pixel is replaced, in every band, by a value in stretched units.
    Stretched(Stretched),
    /// Electrons are added to the pixel before clip and stretch: a hot pixel, a cosmic ray; below zero, a dead pixel.
    Electrons(Electrons),
}

/// A range of stretched values. A flux of zero is 0.5, and no real flux exceeds 0.8856; the paper's search took all of 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stretched {
    /// The lowest value.
    #[serde(default)]
    pub low: f64,
    /// The highest value.
    #[serde(default = "top")]
    pub high: f64,
}

/// A range of electrons to add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Electrons {
    /// The image before its stretch, in electrons.
    pub image: String,
    /// The fewest electrons.
    #[serde(default)]
    pub low: f64,
    /// The most electrons. A cosmic ray leaves some thousands in a pixel.
    #[serde(default = "well")]
    pub high: f64,
    /// The bands that get them.
    #[serde(default)]
    pub add_to: AddTo,
}

/// The bands that get electrons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddTo {
    /// One, which the search chooses: a cosmic ray or a hot pixel is in one exposure.
    #[default]
    OneBand,
    /// This one.
    Band(String),
    /// All, each by a value of its own.
    AllBands,
}

const fn top() -> f64 {
    1.0
}

const fn well() -> f64 {
    50_000.0
}

impl Default for Values {
    fn default() -> Self {
        Self::Stretched(Stretched { low: 0.0, high: top() })
    }
}

impl Values {
    /// The image column that electrons are added to.
    pub(super) fn image(&self) -> Option<&str> {
        match self {
            Self::Stretched(_) => None,
            Self::Electrons(electrons) => Some(&electrons.image),
        }
    }

    /// The lowest and the highest value, and the key that says them.
    pub(super) const fn range(&self) -> (f64, f64, &'static str) {
        match self {
            Self::Stretched(Stretched { low, high }) => (*low, *high, "values.stretched"),
            Self::Electrons(Electrons { low, high, .. }) => (*low, *high, "values.electrons"),
        }
    }

    pub(super) fn mistakes(&self) -> Vec<Diagnostic> {
        let (low, high, key) = self.range();
        if low.is_finite() && high.is_finite() && low < high {
            return Vec::new();
        }
        let message = format!("`low` has to be below `high`, they are {low} and {high}");
        vec![Diagnostic::at(key, Code::OutOfRange, message)]
    }
}

/// How a genome becomes pixels.
#[derive(Debug, Clone)]
pub(super) struct Pixels {
    /// Pixels of a candidate.
    pub(super) count: usize,
    pub(super) bands: usize,
    height: usize,
    width: usize,
    low: f64,
    high: f64,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// A value of every band replaces it.
    Replace,
    /// Electrons are added to one band, which a gene chooses, to a given one, or to all.
    Add { bands: Added, stretch: Asinh },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Added {
    Chosen,
    Given(usize),
    All,
}

impl Pixels {
    /// Checks values against the layout of the image that is scored, and of the image before its stretch.
    pub(super) fn new(count: usize, values: &Values, layout: &ImageLayout, input: &Schema) -> Result<Self, Diagnostic> {
        let (low, high, key) = values.range();
        let way = match values {
            Values::Stretched(_) => {
                let reach = layout.stretch.and_then(|stretch| Asinh::new(stretch.lo, stretch.hi)).map(reach);
                if let Some((bottom, top)) = reach.filter(|(bottom, top)| low > *top || high < *bottom) {
                    let message = format!(
                        "no pixel can have values from {low} to {high}: the stretch gives {bottom:.4} to {top:.4}"
                    );
                    return Err(Diagnostic::at(key, Code::OutOfRange, message));
                }
                Way::Replace
            }
            Values::Electrons(electrons) => Way::Add {
                bands: added(&electrons.add_to, layout)?,
                stretch: stretch_before(&electrons.image, layout, input)?,
            },
        };
        let ImageLayout { bands, height, width, .. } = layout;
        Ok(Self { count, bands: bands.len(), height: *height, width: *width, low, high, way })
    }

    /// Genes of one pixel.
    fn genes(&self) -> usize {
        2 + match &self.way {
            Way::Replace | Way::Add { bands: Added::All, .. } => self.bands,
            Way::Add { bands: Added::Chosen, .. } => 2,
            Way::Add { bands: Added::Given(_), .. } => 1,
        }
    }

    /// Genes of a candidate.
    pub(super) fn dimensions(&self) -> usize {
        self.count * self.genes()
    }

    /// The same for candidates of one pixel.
    pub(super) fn of_one(&self) -> Self {
        Self { count: 1, ..self.clone() }
    }

    /// The lowest and the highest value.
    pub(super) const fn ends(&self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// Whether a gene says a value: its first draw is around the middle, not uniform.
    pub(super) fn is_value(&self, gene: usize) -> bool {
        let within = gene % self.genes();
        match &self.way {
            Way::Replace | Way::Add { bands: Added::All, .. } => within >= 2,
            Way::Add { bands: Added::Chosen, .. } => within == 3,
            Way::Add { bands: Added::Given(_), .. } => within == 2,
        }
    }

    /// Genomes of one pixel at the middle of the image with every combination of `levels` (of the range, in its unit) in the
    /// bands; where one band is chosen, every band with every level.
    pub(super) fn combinations(&self, levels: &[f64]) -> Vec<Vec<f64>> {
        let genes: Vec<f64> = levels.iter().map(|level| (level - self.low) / (self.high - self.low)).collect();
        let mut all = vec![vec![0.5, 0.5]];
        if matches!(self.way, Way::Add { bands: Added::Chosen, .. }) {
            let choice = |band: usize| vec![0.5, 0.5, (band as f64 + 0.5) / self.bands as f64];
            all = (0..self.bands).map(choice).collect();
        }
        while all[0].len() < self.genes() {
            let with =
                |genome: &Vec<f64>| genes.iter().map(|gene| [genome.as_slice(), &[*gene]].concat()).collect::<Vec<_>>();
            all = all.iter().flat_map(with).collect();
        }
        all
    }

    /// Puts a genome of one pixel somewhere else.
    pub(super) fn move_to(&self, genome: &mut [f64], row: usize, column: usize) {
        genome[0] = (row as f64 + 0.5) / self.height as f64;
        genome[1] = (column as f64 + 0.5) / self.width as f64;
    }

    /// Puts pixel `pixel` of a candidate around some row and column, off by a part of a pixel or some pixels.
    pub(super) fn move_around(&self, genome: &mut [f64], pixel: usize, (row, column): (f64, f64)) {
        let start = pixel * self.genes();
        genome[start] = (row / self.height as f64).clamp(0.0, 1.0);
        genome[start + 1] = (column / self.width as f64).clamp(0.0, 1.0);
    }

    /// Rows and columns of the image.
    pub(super) const fn shape(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Whether electrons are added.
    pub(super) const fn adds(&self) -> bool {
        matches!(self.way, Way::Add { .. })
    }

    /// The places and stretched values of a candidate, `[pixel]` and `[pixel, band]`, appended; and the electrons added to every
    /// band, `[pixel, band]`, where electrons are. `image` is what the model sees, `sky` the image before its stretch, both `[band, y, x]`.
    pub(super) fn decode(
        &self,
        genome: &[f64],
        image: &[f32],
        sky: &[f32],
        places: &mut Vec<u32>,
        values: &mut Vec<f32>,
    ) -> Vec<f32> {
        let plane = self.height * self.width;
        let mut electrons = vec![0.0; if self.adds() { self.count * self.bands } else { 0 }];
        let value = |gene: f64| self.low + gene * (self.high - self.low);
        // Electrons add up when two pixels of a candidate are one.
        let mut seen: Vec<(usize, usize)> = Vec::new();
        for (pixel, genes) in genome.chunks_exact(self.genes()).enumerate() {
            let at = |gene: f64, length: usize| ((gene * length as f64) as usize).min(length - 1);
            let place = at(genes[0], self.height) * self.width + at(genes[1], self.width);
            places.push(u32::try_from(place).unwrap_or(u32::MAX));
            match &self.way {
                Way::Replace => values.extend(genes[2..].iter().map(|gene| value(*gene) as f32)),
                Way::Add { bands, stretch } => {
                    let added = &mut electrons[pixel * self.bands..][..self.bands];
                    match bands {
                        Added::Chosen => added[at(genes[2], self.bands)] = value(genes[3]) as f32,
                        Added::Given(band) => added[*band] = value(genes[2]) as f32,
                        Added::All => added.iter_mut().zip(&genes[2..]).for_each(|(e, gene)| *e = value(*gene) as f32),
                    }
                    for band in 0..self.bands {
                        let index = band * plane + place;
                        let here = seen.iter().filter(|(_, at)| *at == place).map(|(earlier, _)| *earlier);
                        let total: f32 = here.chain([pixel]).map(|pixel| electrons[pixel * self.bands + band]).sum();
                        // What gets nothing stays as it is, to the bit.
                        let mut seen = [image[index]];
                        if total != 0.0 {
                            stretch.apply(1.0, &[sky[index] + total], &mut seen);
                        }
                        values.push(seen[0]);
                    }
                    seen.push((pixel, place));
                }
            }
        }
        electrons
    }

    /// Row and column of a place.
    pub(super) fn row_and_column(&self, place: u32) -> (u32, u32) {
        let width = u32::try_from(self.width).unwrap_or(u32::MAX);
        (place / width, place % width)
    }

    /// The image with the pixels of a candidate in it.
    pub(super) fn put(&self, image: &[f32], places: &[u32], values: &[f32]) -> Vec<f32> {
        let mut changed = image.to_vec();
        let plane = self.height * self.width;
        for (place, values) in places.iter().zip(values.chunks_exact(self.bands)) {
            for (band, value) in values.iter().enumerate() {
                changed[band * plane + *place as usize] = *value;
            }
        }
        changed
    }
}

/// The lowest and the highest value that a stretch gives.
fn reach(stretch: Asinh) -> (f64, f64) {
    let mut ends = [0.0; 2];
    stretch.apply(1.0, &[f32::MIN, f32::MAX], &mut ends);
    (f64::from(ends[0]), f64::from(ends[1]))
}

fn added(to: &AddTo, layout: &ImageLayout) -> Result<Added, Diagnostic> {
    match to {
        AddTo::OneBand => Ok(Added::Chosen),
        AddTo::AllBands => Ok(Added::All),
        AddTo::Band(name) => layout.bands.iter().position(|band| band == name).map(Added::Given).ok_or_else(|| {
            let message = format!("the image has no band `{name}`");
            let help = format!("its bands are {}", layout.bands.join(", "));
            Diagnostic::at("values.electrons.add_to.band", Code::OutOfRange, message).help(help)
        }),
    }
}

/// The stretch that makes the scored image of the one that electrons are added to.
fn stretch_before(image: &str, layout: &ImageLayout, input: &Schema) -> Result<Asinh, Diagnostic> {
    let wrong =
        |message: String, help: &str| Diagnostic::at("values.electrons.image", Code::WrongColumn, message).help(help);
    let before = input.field_with_name(image).ok().and_then(ImageLayout::of);
    let before =
        before.ok_or_else(|| wrong(format!("`{image}` is no image column"), "name the image before its stretch"))?;
    if before.unit != Unit::Electron {
        let message = format!("`{image}` is in the unit `{}`, not in electrons", before.unit.name());
        return Err(wrong(message, "name the image that `observe` makes"));
    }
    if (before.height, before.width, &before.bands) != (layout.height, layout.width, &layout.bands) {
        let message = format!("`{image}` has another shape or other bands than the image that is scored");
        return Err(wrong(message, "name the image that was stretched"));
    }
    let stretch = layout.stretch.and_then(|stretch| Asinh::new(stretch.lo, stretch.hi));
    stretch.ok_or_else(|| {
        let message = "the scored image has no constants of a stretch that are the same for every row".to_owned();
        wrong(message, "stretch it with the constants of the model")
    })
}
