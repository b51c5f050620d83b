//! Decodes genomes, numbers in [0, 1], into pixels: where they are, and which values the model sees there.
//!
//! A genome has the same genes for each of its pixels: row, column, then values. Values that replace a pixel are those of all
//! bands. With electrons there is one value for a fixed band, band and value if the search chooses the band, or a value for
//! every band. With a flux there is one value for all bands that get it. The pixels of a track share their genes, which are those of one
//! pixel with the angle of the track after row and column.

use arrow::datatypes::Schema;

use super::{
    Arrangement, Values,
    bands::{ElectronBands, electron_bands, flux_bands, stretch_before},
};
use crate::{
    batch::ImageLayout,
    error::{Code, Diagnostic},
    image::stretch::Asinh,
};

/// Decodes genomes of `count` pixels of one image layout.
#[derive(Debug, Clone)]
pub(crate) struct PixelDecoder {
    /// Pixels of a genome.
    pub(crate) count: usize,
    arrangement: Arrangement,
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
    /// Adds the same flux to the bands of these indices.
    AddFlux { bands: Vec<usize> },
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
            Values::Flux(flux) => PixelChange::AddFlux { bands: flux_bands(flux, layout)? },
        };
        let ImageLayout { bands, height, width, .. } = layout;
        Ok(Self {
            count,
            arrangement: Arrangement::Anywhere,
            bands: bands.len(),
            height: *height,
            width: *width,
            low,
            high,
            change,
        })
    }

    /// The same decoder for pixels that lie otherwise.
    pub(crate) fn arranged(self, arrangement: Arrangement) -> Self {
        Self { arrangement, ..self }
    }

    /// Genes before the values: row, column, and the angle of a track.
    const fn place_genes(&self) -> usize {
        match self.arrangement {
            Arrangement::Anywhere => 2,
            Arrangement::Track => 3,
        }
    }

    /// Positions that a genome has: one for each pixel, or one for a track.
    pub(crate) const fn positions(&self) -> usize {
        match self.arrangement {
            Arrangement::Anywhere => self.count,
            Arrangement::Track => 1,
        }
    }

    /// Genes of one position.
    fn genes(&self) -> usize {
        self.place_genes()
            + match &self.change {
                PixelChange::Replace | PixelChange::AddElectrons { bands: ElectronBands::All, .. } => self.bands,
                PixelChange::AddElectrons { bands: ElectronBands::Chosen, .. } => 2,
                PixelChange::AddElectrons { bands: ElectronBands::Fixed(_), .. } | PixelChange::AddFlux { .. } => 1,
            }
    }

    /// Genes of a genome.
    pub(crate) fn dimensions(&self) -> usize {
        self.positions() * self.genes()
    }

    /// The same decoder for genomes of one pixel.
    pub(crate) fn single_pixel(&self) -> Self {
        Self { count: 1, arrangement: Arrangement::Anywhere, ..self.clone() }
    }

    /// The lowest and the highest value.
    pub(crate) const fn ends(&self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// Whether a gene is a value: values are first drawn around the middle of the range, other genes uniformly.
    pub(crate) fn is_value(&self, gene: usize) -> bool {
        let (within, first) = (gene % self.genes(), self.place_genes());
        match &self.change {
            PixelChange::Replace | PixelChange::AddElectrons { bands: ElectronBands::All, .. } => within >= first,
            PixelChange::AddElectrons { bands: ElectronBands::Chosen, .. } => within == first + 1,
            PixelChange::AddElectrons { bands: ElectronBands::Fixed(_), .. } | PixelChange::AddFlux { .. } => {
                within == first
            }
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

    /// Moves position `position` of a genome to a row and column, which may have fractions.
    pub(crate) fn move_around(&self, genome: &mut [f64], position: usize, (row, column): (f64, f64)) {
        let start = position * self.genes();
        genome[start] = (row / self.height as f64).clamp(0.0, 1.0);
        genome[start + 1] = (column / self.width as f64).clamp(0.0, 1.0);
    }

    /// Rows and columns of the image.
    pub(crate) const fn shape(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// The column of a table for what is added to pixels; `None` if pixels are replaced.
    pub(crate) const fn added_column(&self) -> Option<&'static str> {
        match self.change {
            PixelChange::Replace => None,
            PixelChange::AddElectrons { .. } => Some("pixel_electrons"),
            PixelChange::AddFlux { .. } => Some("pixel_flux_njy"),
        }
    }

    /// Appends the places `[pixel]` and the values that the model sees there, `[pixel, band]`, of a genome. Returns the electrons or the
    /// flux added to every band, `[pixel, band]`, empty if pixels are replaced. `image` is the image that the model reads, `sky` that
    /// before its stretch, which only electrons need, both `[band, y, x]`.
    pub(crate) fn decode(
        &self,
        genome: &[f64],
        image: &[f32],
        sky: &[f32],
        places: &mut Vec<u32>,
        values: &mut Vec<f32>,
    ) -> Vec<f32> {
        let plane = self.height * self.width;
        let mut added = vec![0.0; if self.added_column().is_some() { self.count * self.bands } else { 0 }];
        let value = |gene: f64| self.low + gene * (self.high - self.low);
        // Pixels of a genome may coincide: then what is added to them adds up.
        let mut seen: Vec<(usize, usize)> = Vec::new();
        for (pixel, PlacedPixel { place, is_inside, genes }) in self.placed(genome).into_iter().enumerate() {
            places.push(u32::try_from(place).unwrap_or(u32::MAX));
            match &self.change {
                PixelChange::Replace => values.extend(genes.iter().map(|gene| value(*gene) as f32)),
                _ if !is_inside => {}
                PixelChange::AddElectrons { bands, .. } => {
                    let added = &mut added[pixel * self.bands..][..self.bands];
                    match bands {
                        ElectronBands::Chosen => added[gene_index(genes[0], self.bands)] = value(genes[1]) as f32,
                        ElectronBands::Fixed(band) => added[*band] = value(genes[0]) as f32,
                        ElectronBands::All => {
                            added.iter_mut().zip(genes).for_each(|(e, gene)| *e = value(*gene) as f32);
                        }
                    }
                }
                PixelChange::AddFlux { bands } => {
                    bands.iter().for_each(|band| added[pixel * self.bands + band] = value(genes[0]) as f32);
                }
            }
            if added.is_empty() {
                continue;
            }
            for band in 0..self.bands {
                let index = band * plane + place;
                let here = seen.iter().filter(|(_, at)| *at == place).map(|(earlier, _)| *earlier);
                let total: f32 = here.chain([pixel]).map(|pixel| added[pixel * self.bands + band]).sum();
                values.push(self.with_added(image, sky, index, total));
            }
            seen.push((pixel, place));
        }
        added
    }

    /// The pixels of a genome.
    fn placed<'a>(&self, genome: &'a [f64]) -> Vec<PlacedPixel<'a>> {
        let start = |genes: &[f64]| (gene_index(genes[0], self.height), gene_index(genes[1], self.width));
        if self.arrangement == Arrangement::Anywhere {
            let pixel = |genes: &'a [f64]| {
                let (row, column) = start(genes);
                PlacedPixel { place: row * self.width + column, is_inside: true, genes: &genes[2..] }
            };
            return genome.chunks_exact(self.genes()).map(pixel).collect();
        }
        let (row, column) = start(genome);
        let (sine, cosine) = (genome[2] * std::f64::consts::PI).sin_cos();
        // A step reaches the next row or column, so that no two pixels coincide.
        let step = sine.abs().max(cosine.abs());
        let before = (self.count - 1) / 2;
        let pixel = |number: usize| {
            let steps = number as f64 - before as f64;
            let moved = |from: usize, by: f64, length: usize| {
                let to = (from as f64 + steps * by / step).round();
                (0.0..length as f64).contains(&to).then_some(to as usize)
            };
            let inside = moved(row, sine, self.height).zip(moved(column, cosine, self.width));
            let (row, column) = inside.unwrap_or((row, column));
            PlacedPixel { place: row * self.width + column, is_inside: inside.is_some(), genes: &genome[3..] }
        };
        (0..self.count).map(pixel).collect()
    }

    /// The value of pixel `index` of the scored image with something added.
    fn with_added(&self, image: &[f32], sky: &[f32], index: usize, added: f32) -> f32 {
        match &self.change {
            // A band that nothing is added to keeps its value bit for bit: it is not stretched again.
            _ if added == 0.0 => image[index],
            PixelChange::AddElectrons { stretch, .. } => {
                let mut stretched = [0.0];
                stretch.apply(1.0, &[sky[index] + added], &mut stretched);
                stretched[0]
            }
            PixelChange::AddFlux { .. } => image[index] + added,
            PixelChange::Replace => image[index],
        }
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

/// A pixel of a genome, and its genes without those of its place.
struct PlacedPixel<'a> {
    place: usize,
    /// Whether it is in the image. One of a track that is not has the place of the track's middle, and nothing is added to it.
    is_inside: bool,
    genes: &'a [f64],
}

/// The index that a gene chooses.
fn gene_index(gene: f64, length: usize) -> usize {
    ((gene * length as f64) as usize).min(length - 1)
}

/// The lowest and the highest value of a stretch.
fn range_of(stretch: Asinh) -> (f64, f64) {
    let mut ends = [0.0; 2];
    stretch.apply(1.0, &[f32::MIN, f32::MAX], &mut ends);
    (f64::from(ends[0]), f64::from(ends[1]))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{AddTo, AddedFlux, Electrons},
        *,
    };
    use crate::batch::{Stretch, Unit};

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
            wcs: None,
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
    fn a_flux_is_added_to_the_named_bands_and_the_others_stay() {
        let flux = |bands: &[&str]| {
            let bands = bands.iter().map(|band| (*band).to_owned()).collect();
            Values::Flux(AddedFlux { bands, low_njy: -100.0, high_njy: 300.0 })
        };
        let of =
            |count, bands: &[&str]| PixelDecoder::new(count, &flux(bands), &layout(Unit::NanoJansky), &Schema::empty());
        let decoded = |decoder: &PixelDecoder, genome: &[f64]| {
            let image: Vec<f32> = (0..16).map(|i| i as f32 + 0.5).collect();
            let (mut places, mut values) = (Vec::new(), Vec::new());
            let added = decoder.decode(genome, &image, &[], &mut places, &mut values);
            (places, values, added)
        };
        let one = of(1, &["r"]).expect("a decoder");
        assert_eq!((one.dimensions(), one.added_column()), (3, Some("pixel_flux_njy")));
        assert_eq!((0..3).map(|gene| one.is_value(gene)).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(decoded(&one, &[0.9, 0.5, 0.5]), (vec![6], vec![6.5, 14.5 + 100.0], vec![0.0, 100.0]));
        // The order of the names does not matter, and two hits of one pixel add up.
        let both = of(2, &["r", "g"]).expect("a decoder");
        let (places, values, added) = decoded(&both, &[0.0, 0.0, 1.0, 0.0, 0.0, 0.5]);
        assert_eq!((places, added), (vec![0, 0], vec![300.0, 300.0, 100.0, 100.0]));
        assert_eq!(values, [300.5, 308.5, 400.5, 408.5]);
        assert_eq!(one.combinations(&[-100.0, 300.0]), [[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]]);
        let why = |unit, bands: &[&str]| {
            let of = PixelDecoder::new(1, &flux(bands), &layout(unit), &Schema::empty());
            of.expect_err("a diagnostic")
        };
        assert_eq!(why(Unit::NanoJansky, &["g", "z"]).message, "the image does not have the band `z`");
        let stretched = why(Unit::Stretched, &["g"]);
        assert!(stretched.message.ends_with("in the unit `stretched`, expected `nJy`"), "{}", stretched.message);
        assert!(why(Unit::Electron, &["g"]).message.contains("`electron`"));
    }

    #[test]
    fn the_pixels_of_a_track_are_different_neighbours_in_a_line_and_get_the_same() {
        let layout = ImageLayout { height: 9, width: 7, ..layout(Unit::NanoJansky) };
        let values = Values::Flux(AddedFlux { bands: vec!["g".into()], low_njy: 0.0, high_njy: 100.0 });
        let track = |count| {
            let decoder = PixelDecoder::new(count, &values, &layout, &Schema::empty()).expect("a decoder");
            decoder.arranged(Arrangement::Track)
        };
        let five = track(5);
        assert_eq!((five.dimensions(), five.positions(), five.single_pixel().dimensions()), (4, 1, 3));
        assert_eq!((0..4).map(|gene| five.is_value(gene)).collect::<Vec<_>>(), [false, false, false, true]);
        let decode = |decoder: &PixelDecoder, angle: f64, (row, column): (f64, f64)| {
            let mut genome = [0.0, 0.0, angle, 0.5];
            decoder.move_around(&mut genome, 0, (row, column));
            let (mut places, mut values) = (Vec::new(), Vec::new());
            let added = decoder.decode(&genome, &[1.0; 126], &[], &mut places, &mut values);
            let places: Vec<_> = places.iter().map(|place| decoder.row_and_column(*place)).collect();
            (places, values, added)
        };
        let (places, values, added) = decode(&five, 0.0, (4.5, 3.5));
        assert_eq!(places, [(4, 1), (4, 2), (4, 3), (4, 4), (4, 5)]);
        assert_eq!((values, added), ([51.0, 1.0].repeat(5), [50.0, 0.0].repeat(5)));
        assert_eq!(decode(&five, 0.5, (4.5, 3.5)).0, [(2, 3), (3, 3), (4, 3), (5, 3), (6, 3)]);
        assert_eq!(decode(&five, 0.25, (4.5, 3.5)).0, [(2, 1), (3, 2), (4, 3), (5, 4), (6, 5)]);
        for angle in 0..40 {
            let (mut places, _, _) = decode(&five, f64::from(angle) / 40.0, (4.5, 3.5));
            let is_next = |pair: &[(u32, u32)]| pair[0].0.abs_diff(pair[1].0).max(pair[0].1.abs_diff(pair[1].1)) == 1;
            assert!(places.windows(2).all(is_next), "{angle}: {places:?}");
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), 5, "{angle}");
        }
        // Three of five pixels are in the image; the others have the place of the middle, whose last value is the one that holds.
        let (places, values, added) = decode(&five, 0.0, (0.5, 0.5));
        assert_eq!(places, [(0, 0), (0, 0), (0, 0), (0, 1), (0, 2)]);
        assert_eq!(added.chunks(2).map(|pixel| pixel[0]).collect::<Vec<_>>(), [0.0, 0.0, 50.0, 50.0, 50.0]);
        assert_eq!(values.chunks(2).map(|pixel| pixel[0]).collect::<Vec<_>>(), [1.0, 1.0, 51.0, 51.0, 51.0]);
        let (places, values, _) = decode(&five, 0.0, (0.5, 6.5));
        assert_eq!(places[2..], [(0, 6), (0, 6), (0, 6)]);
        assert_eq!(values.chunks(2).map(|pixel| pixel[0]).collect::<Vec<_>>(), [51.0; 5]);
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
