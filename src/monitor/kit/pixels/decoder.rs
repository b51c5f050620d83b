//! Decodes genomes, numbers in [0, 1], into pixels: where they are, and which values the model sees there.
//!
//! A genome has the same genes for each of its pixels: row, column, then values. Without electrons the values are those of all
//! bands. With electrons there is one value for a fixed band, band and value if the search chooses the band, or a value for
//! every band.

use arrow::datatypes::Schema;

use super::{AddTo, Values};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic, quoted_list},
    image::stretch::Asinh,
};

/// Decodes genomes of `count` pixels of one image layout.
#[derive(Debug, Clone)]
pub(crate) struct PixelDecoder {
    /// Pixels of a genome.
    pub(crate) count: usize,
    pub(crate) bands: usize,
    height: usize,
    width: usize,
    low: f64,
    high: f64,
    change: PixelChange,
}

#[derive(Debug, Clone)]
enum PixelChange {
    /// Replaces the pixel in all bands.
    Replace,
    /// Adds electrons before the stretch.
    AddElectrons { bands: ElectronBands, stretch: Asinh },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ElectronBands {
    /// One band, which a gene chooses.
    Chosen,
    /// The band of this index.
    Fixed(usize),
    All,
}

impl PixelDecoder {
    /// Checks values against the layout of the scored image, and against that of the image before its stretch.
    pub(crate) fn new(count: usize, values: &Values, layout: &ImageLayout, input: &Schema) -> Result<Self, Diagnostic> {
        let (low, high, key) = values.range();
        let change = match values {
            Values::Stretched(_) => {
                let possible = layout.stretch.and_then(|stretch| Asinh::new(stretch.lo, stretch.hi)).map(range_of);
                if let Some((bottom, top)) = possible.filter(|(bottom, top)| low > *top || high < *bottom) {
                    let message = format!(
                        "values from {low} to {high} are impossible: the stretch returns {bottom:.4} to {top:.4}"
                    );
                    return Err(Diagnostic::at(key, Code::OutOfRange, message));
                }
                PixelChange::Replace
            }
            Values::Electrons(electrons) => PixelChange::AddElectrons {
                bands: electron_bands(&electrons.add_to, layout)?,
                stretch: stretch_before(&electrons.image, layout, input)?,
            },
        };
        let ImageLayout { bands, height, width, .. } = layout;
        Ok(Self { count, bands: bands.len(), height: *height, width: *width, low, high, change })
    }

    /// Genes of one pixel.
    fn genes(&self) -> usize {
        2 + match &self.change {
            PixelChange::Replace | PixelChange::AddElectrons { bands: ElectronBands::All, .. } => self.bands,
            PixelChange::AddElectrons { bands: ElectronBands::Chosen, .. } => 2,
            PixelChange::AddElectrons { bands: ElectronBands::Fixed(_), .. } => 1,
        }
    }

    /// Genes of a genome.
    pub(crate) fn dimensions(&self) -> usize {
        self.count * self.genes()
    }

    /// The same decoder for genomes of one pixel.
    pub(crate) fn single_pixel(&self) -> Self {
        Self { count: 1, ..self.clone() }
    }

    /// The lowest and the highest value.
    pub(crate) const fn ends(&self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// Whether a gene is a value: values are first drawn around the middle of the range, other genes uniformly.
    pub(crate) fn is_value(&self, gene: usize) -> bool {
        let within = gene % self.genes();
        match &self.change {
            PixelChange::Replace | PixelChange::AddElectrons { bands: ElectronBands::All, .. } => within >= 2,
            PixelChange::AddElectrons { bands: ElectronBands::Chosen, .. } => within == 3,
            PixelChange::AddElectrons { bands: ElectronBands::Fixed(_), .. } => within == 2,
        }
    }

    /// Genomes of one pixel at the centre of the image, with every combination of `levels` (in the unit of the range) in the
    /// bands. If a gene chooses the band: every band with every level.
    pub(crate) fn combinations(&self, levels: &[f64]) -> Vec<Vec<f64>> {
        let genes: Vec<f64> = levels.iter().map(|level| (level - self.low) / (self.high - self.low)).collect();
        let mut all = vec![vec![0.5, 0.5]];
        if matches!(self.change, PixelChange::AddElectrons { bands: ElectronBands::Chosen, .. }) {
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

    /// Moves a genome of one pixel.
    pub(crate) fn move_to(&self, genome: &mut [f64], row: usize, column: usize) {
        genome[0] = (row as f64 + 0.5) / self.height as f64;
        genome[1] = (column as f64 + 0.5) / self.width as f64;
    }

    /// Moves pixel `pixel` of a genome to a row and column, which may have fractions.
    pub(crate) fn move_around(&self, genome: &mut [f64], pixel: usize, (row, column): (f64, f64)) {
        let start = pixel * self.genes();
        genome[start] = (row / self.height as f64).clamp(0.0, 1.0);
        genome[start + 1] = (column / self.width as f64).clamp(0.0, 1.0);
    }

    /// Rows and columns of the image.
    pub(crate) const fn shape(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Whether electrons are added.
    pub(crate) const fn adds_electrons(&self) -> bool {
        matches!(self.change, PixelChange::AddElectrons { .. })
    }

    /// Appends the places `[pixel]` and the stretched values `[pixel, band]` of a genome. Returns the electrons added to every
    /// band, `[pixel, band]`, empty if pixels are replaced. `image` is the image that the model reads, `sky` that before its
    /// stretch, both `[band, y, x]`.
    pub(crate) fn decode(
        &self,
        genome: &[f64],
        image: &[f32],
        sky: &[f32],
        places: &mut Vec<u32>,
        values: &mut Vec<f32>,
    ) -> Vec<f32> {
        let plane = self.height * self.width;
        let mut electrons = vec![0.0; if self.adds_electrons() { self.count * self.bands } else { 0 }];
        let value = |gene: f64| self.low + gene * (self.high - self.low);
        // Pixels of a genome may coincide: then their electrons add up.
        let mut seen: Vec<(usize, usize)> = Vec::new();
        for (pixel, genes) in genome.chunks_exact(self.genes()).enumerate() {
            let at = |gene: f64, length: usize| ((gene * length as f64) as usize).min(length - 1);
            let place = at(genes[0], self.height) * self.width + at(genes[1], self.width);
            places.push(u32::try_from(place).unwrap_or(u32::MAX));
            match &self.change {
                PixelChange::Replace => values.extend(genes[2..].iter().map(|gene| value(*gene) as f32)),
                PixelChange::AddElectrons { bands, stretch } => {
                    let added = &mut electrons[pixel * self.bands..][..self.bands];
                    match bands {
                        ElectronBands::Chosen => added[at(genes[2], self.bands)] = value(genes[3]) as f32,
                        ElectronBands::Fixed(band) => added[*band] = value(genes[2]) as f32,
                        ElectronBands::All => {
                            added.iter_mut().zip(&genes[2..]).for_each(|(e, gene)| *e = value(*gene) as f32);
                        }
                    }
                    for band in 0..self.bands {
                        let index = band * plane + place;
                        let here = seen.iter().filter(|(_, at)| *at == place).map(|(earlier, _)| *earlier);
                        let total: f32 = here.chain([pixel]).map(|pixel| electrons[pixel * self.bands + band]).sum();
                        // A band without new electrons keeps its value bit for bit: it is not stretched again.
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
    pub(crate) fn row_and_column(&self, place: u32) -> (u32, u32) {
        let width = u32::try_from(self.width).unwrap_or(u32::MAX);
        (place / width, place % width)
    }

    /// The image with changed pixels.
    pub(crate) fn put(&self, image: &[f32], places: &[u32], values: &[f32]) -> Vec<f32> {
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

/// The lowest and the highest value of a stretch.
fn range_of(stretch: Asinh) -> (f64, f64) {
    let mut ends = [0.0; 2];
    stretch.apply(1.0, &[f32::MIN, f32::MAX], &mut ends);
    (f64::from(ends[0]), f64::from(ends[1]))
}

fn electron_bands(add_to: &AddTo, layout: &ImageLayout) -> Result<ElectronBands, Diagnostic> {
    match add_to {
        AddTo::OneBand => Ok(ElectronBands::Chosen),
        AddTo::AllBands => Ok(ElectronBands::All),
        AddTo::Band(name) => {
            layout.bands.iter().position(|band| band == name).map(ElectronBands::Fixed).ok_or_else(|| {
                let message = format!("the image does not have the band `{name}`");
                let help = format!("its bands are {}", quoted_list(&layout.bands));
                Diagnostic::at("values.electrons.add_to.band", Code::OutOfRange, message).help(help)
            })
        }
    }
}

/// The stretch from the image that electrons are added to, to the scored image.
fn stretch_before(image: &str, layout: &ImageLayout, input: &Schema) -> Result<Asinh, Diagnostic> {
    let wrong =
        |message: String, help: &str| Diagnostic::at("values.electrons.image", Code::WrongColumn, message).help(help);
    let before = input.field_with_name(image).ok().and_then(ImageLayout::of);
    let before = before
        .ok_or_else(|| wrong(format!("`{image}` is not an image column"), "name the image before its stretch"))?;
    if before.unit != Unit::Electron {
        let message = format!("`{image}` is in the unit `{}`, expected `electron`", before.unit.name());
        return Err(wrong(message, "name the image of an `observe` step"));
    }
    if (before.height, before.width, &before.bands) != (layout.height, layout.width, &layout.bands) {
        let message = format!("`{image}` has another shape or other bands than the scored image");
        return Err(wrong(message, "name the image that was stretched"));
    }
    let stretch = layout.stretch.and_then(|stretch| Asinh::new(stretch.lo, stretch.hi));
    stretch.ok_or_else(|| {
        let message = "the stretch of the scored image does not have the same constants for every row".to_owned();
        wrong(message, "stretch it with the constants of the model, without `scale_to`")
    })
}

#[cfg(test)]
mod tests {
    use super::{super::Electrons, *};
    use crate::batch::Stretch;

    const STRETCH: Stretch = Stretch { lo: -100.0, hi: 1000.0 };

    fn layout(unit: Unit) -> ImageLayout {
        ImageLayout {
            bands: ["g", "r"].map(str::to_owned).to_vec(),
            height: 2,
            width: 4,
            unit,
            pixel_scale_arcsec: None,
            stretch: (unit == Unit::Stretched).then_some(STRETCH),
            electrons_per_njy: None,
        }
    }

    fn decoder(count: usize, values: &Values) -> Result<PixelDecoder, Diagnostic> {
        let input = Schema::new(vec![layout(Unit::Electron).field("sky"), layout(Unit::Stretched).field("image")]);
        PixelDecoder::new(count, values, &layout(Unit::Stretched), &input)
    }

    fn electrons(add_to: AddTo) -> Values {
        Values::Electrons(Electrons { image: "sky".into(), low: 0.0, high: 200.0, add_to })
    }

    fn stretched(electrons: f32) -> f32 {
        let mut out = [0.0];
        Asinh::new(STRETCH.lo, STRETCH.hi).expect("a stretch").apply(1.0, &[electrons], &mut out);
        out[0]
    }

    /// Places, values and electrons of a genome, on a sky of 10 electrons whose stretched image is 0.25 everywhere.
    fn decoded(decoder: &PixelDecoder, genome: &[f64]) -> (Vec<u32>, Vec<f32>, Vec<f32>) {
        let (mut places, mut values) = (Vec::new(), Vec::new());
        let electrons = decoder.decode(genome, &[0.25; 16], &[10.0; 16], &mut places, &mut values);
        (places, values, electrons)
    }

    #[test]
    fn a_genome_replaces_pixels_in_all_bands() {
        let decoder = decoder(2, &Values::default()).expect("a decoder");
        assert_eq!((decoder.dimensions(), decoder.single_pixel().dimensions()), (8, 4));
        assert_eq!((0..4).map(|gene| decoder.is_value(gene)).collect::<Vec<_>>(), [false, false, true, true]);
        // The gene 1 belongs to the last row and column, not to one beyond.
        let (places, values, electrons) = decoded(&decoder, &[0.0, 0.5, 0.25, 0.75, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!((places.as_slice(), values.as_slice()), ([2, 7].as_slice(), [0.25, 0.75, 0.0, 1.0].as_slice()));
        assert!(electrons.is_empty() && decoder.row_and_column(7) == (1, 3));
        let changed = decoder.put(&[0.5; 16], &places, &values);
        assert_eq!([2, 10, 7, 15, 0].map(|i| changed[i]), [0.25, 0.75, 0.0, 1.0, 0.5]);
    }

    #[test]
    fn electrons_are_added_before_the_stretch_in_the_chosen_band() {
        let decoder = decoder(2, &electrons(AddTo::OneBand)).expect("a decoder");
        // Both pixels at row 0, column 1: 100 electrons in `r`, then 50 more.
        let (places, values, electrons) = decoded(&decoder, &[0.0, 0.3, 0.9, 0.5, 0.0, 0.3, 0.9, 0.25]);
        assert_eq!((places, electrons), (vec![1, 1], vec![0.0, 100.0, 0.0, 50.0]));
        assert_eq!(values, [0.25, stretched(110.0), 0.25, stretched(160.0)]);
    }

    #[test]
    fn electrons_can_be_added_to_a_named_band_or_to_all() {
        let one = decoder(1, &electrons(AddTo::Band("r".into()))).expect("a decoder");
        assert_eq!(decoded(&one, &[0.0, 0.0, 0.5]).2, [0.0, 100.0]);
        let all = decoder(1, &electrons(AddTo::AllBands)).expect("a decoder");
        assert_eq!(decoded(&all, &[0.0, 0.0, 0.5, 1.0]).2, [100.0, 200.0]);
    }

    #[test]
    fn combinations_are_every_level_in_every_band_at_any_pixel() {
        let all = decoder(1, &electrons(AddTo::AllBands)).expect("a decoder").combinations(&[0.0, 200.0]);
        assert_eq!(
            all.iter().map(|genome| &genome[2..]).collect::<Vec<_>>(),
            [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
        );
        let decoder = decoder(1, &electrons(AddTo::OneBand)).expect("a decoder");
        let mut each = decoder.combinations(&[100.0]);
        assert_eq!(
            each.iter().map(|genome| decoded(&decoder, genome).2).collect::<Vec<_>>(),
            [[100.0, 0.0], [0.0, 100.0]]
        );
        decoder.move_to(&mut each[0], 1, 2);
        assert_eq!(decoded(&decoder, &each[0]).0, [6]);
        decoder.move_around(&mut each[0], 0, (0.4, 9.0));
        assert_eq!(decoded(&decoder, &each[0]).0, [3]);
    }

    #[test]
    fn refuses_values_that_do_not_fit_the_image() {
        let why = |values: &Values| decoder(1, values).expect_err("a diagnostic").message;
        let outside = Values::Stretched(super::super::Stretched { low: 2.0, high: 3.0 });
        assert!(why(&outside).starts_with("values from 2 to 3 are impossible"), "{}", why(&outside));
        assert_eq!(why(&electrons(AddTo::Band("z".into()))), "the image does not have the band `z`");
        let of = |image: &str| {
            Values::Electrons(Electrons { image: image.into(), low: 0.0, high: 1.0, add_to: AddTo::OneBand })
        };
        assert_eq!(why(&of("image")), "`image` is in the unit `stretched`, expected `electron`");
        assert_eq!(why(&of("none")), "`none` is not an image column");
    }
}
