//! `simulated`: seeded galaxies of three classes, noise-free and not blurred, with their truth.
//!
//! Object number i of a run with seed S is always the same galaxy, `sim-S-0000000i`, whatever the count, the batches or
//! the threads. Every three consecutive numbers from a multiple of three hold each class once, in an order drawn for
//! these three: the classes are balanced, and a number does not tell its class. Magnitude, half-light radius, offset of
//! the centre, direction and an unrelated neighbour in 35 % of images follow the same laws in every class. The reader
//! gives the truth; the pixels are made on the workers, by the source's decoder, into the column `image`: nJy per pixel,
//! the pixel response included once, y upwards.

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    batch::{self, DEC, ImageLayout, LABEL, OBJECT_ID, ORIGIN, RA, ROW, Unit},
    error::{Code, Diagnostic, Error, Result},
    random::Stream,
    stage::{ColumnRef, Read, Reader, Rejects, RunContext, Settings, Source, Split, Transform},
    survey::galaxy::{self, Class, Galaxy, Renderer, Stamp},
};

/// The column that the pixels come in.
const IMAGE: &str = "image";
/// The number of the object: all that the decoder needs.
const INDEX: &str = "_index";
/// Objects of a split.
const SPLIT_ROWS: u64 = 1024;
/// The field of the sky that the objects are strewn over: centre and half its side, degrees.
const FIELD: ([f64; 2], f64) = ([150.1, 2.2], 0.7);

/// Galaxies of three classes (spiral, elliptical, merger), drawn from the seed of the run: noise-free images in nJy, not
/// blurred, with their truth. Gives the columns `image`, `label`, `ra`, `dec`, `magnitude_r`, `half_light_radius_arcsec`,
/// `axis_ratio`, `position_angle_deg` and `neighbour`, and with `visits` also `visit` and `years`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Simulated {
    /// How many objects.
    pub count: u64,
    /// The number of the first object. Runs of one seed and disjoint numbers have no galaxy in common.
    pub start: u64,
    /// The classes to draw, in equal parts.
    #[schemars(length(min = 1))]
    pub classes: Vec<ClassName>,
    /// The bands, in the order of the planes: `g`, `r`, `i`.
    #[schemars(length(min = 1))]
    pub bands: Vec<BandName>,
    /// Pixels of a side.
    #[schemars(range(min = 8, max = 1024))]
    pub size: usize,
    /// Side of a pixel, arcsec.
    #[schemars(range(min = 0.01, max = 2.0))]
    pub pixel_scale_arcsec: f64,
    /// The range of the r magnitude (AB), drawn uniformly: brightest and faintest.
    pub magnitude_r: [f64; 2],
    /// Shares the objects out among visits, of which each has a depth of its own.
    pub visits: Option<Visits>,
}

/// Visits, one after the other, with equally many objects. The depth goes from the first to the last in equal ratios.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Visits {
    /// How many visits.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u64,
    /// The depth of the first, in years of the survey: the column `years`, for `observe`.
    pub first_years: f64,
    /// The depth of the last.
    pub last_years: f64,
}

impl Visits {
    /// The visit of an object, of so many, and its depth.
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

    fn build(self, _label: &str) -> Result<Box<dyn Source>, Vec<Diagnostic>> {
        let mistakes = self.mistakes();
        if mistakes.is_empty() { Ok(Box::new(Simulation { settings: self, seed: None })) } else { Err(mistakes) }
    }
}

impl Simulated {
    fn mistakes(&self) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        let mut refuse = |wrong: bool, key: &str, message: String| {
            if wrong {
                mistakes.push(Diagnostic::at(key, Code::OutOfRange, message));
            }
        };
        let [bright, faint] = self.magnitude_r;
        let ordered = bright <= faint && bright >= 5.0 && faint <= 40.0;
        let message =
            format!("`magnitude_r` is [{bright}, {faint}], expected two magnitudes of 5 to 40, brightest first");
        refuse(!ordered, "magnitude_r", message);
        let size = self.size;
        refuse(!(8..=1024).contains(&size), "size", format!("`size` is {size}, expected 8 to 1024 pixels"));
        let scale = self.pixel_scale_arcsec;
        let message = format!("`pixel_scale_arcsec` is {scale}, expected 0.01 to 2");
        refuse(!(0.01..=2.0).contains(&scale), "pixel_scale_arcsec", message);
        let last = self.start.checked_add(self.count);
        let message = format!("`start` {} and `count` {} reach past the last number", self.start, self.count);
        refuse(last.is_none_or(|last| last > i64::MAX as u64), "start", message);
        if let Some(Visits { count, first_years, last_years }) = self.visits {
            let years = [first_years, last_years].iter().all(|years| years.is_finite() && *years > 0.0);
            let message =
                format!("{count} visits of {first_years} to {last_years} years, expected at least one, above 0 years");
            refuse(count == 0 || !years, "visits", message);
        }
        refuse(!distinct(&self.classes), "classes", "`classes` must name one class or more, each once".into());
        refuse(!distinct(&self.bands), "bands", "`bands` must name one band or more, each once".into());
        mistakes
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
        }
    }

    /// The class of an object: each block of as many consecutive numbers as there are classes is a permutation of them.
    fn class_of(&self, seed: u64, index: u64) -> Class {
        let mut classes: Vec<Class> = self.classes.iter().map(|class| class.drawn()).collect();
        let kinds = classes.len() as u64;
        let mut stream = Stream::new(seed, &format!("sim-{seed}-block-{}", index / kinds), "class");
        for i in (1..kinds).rev() {
            classes.swap(i as usize, stream.below(i + 1) as usize);
        }
        classes[(index % kinds) as usize]
    }

    fn galaxy(&self, seed: u64, index: u64) -> Galaxy {
        Galaxy::draw(seed, &object_id(seed, index), self.class_of(seed, index), self.magnitude_r)
    }
}

fn object_id(seed: u64, index: u64) -> String {
    format!("sim-{seed}-{index:08}")
}

fn distinct<T: PartialEq>(items: &[T]) -> bool {
    !items.is_empty() && items.iter().enumerate().all(|(i, item)| !items[..i].contains(item))
}

impl ClassName {
    fn drawn(self) -> Class {
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

    fn drawn(self) -> galaxy::Band {
        match self {
            Self::G => galaxy::Band::G,
            Self::R => galaxy::Band::R,
            Self::I => galaxy::Band::I,
        }
    }
}

struct Simulation {
    settings: Simulated,
    /// Known once the run has started.
    seed: Option<u64>,
}

impl Source for Simulation {
    fn bind(&mut self) -> Result<SchemaRef, Vec<Diagnostic>> {
        Ok(schema(&self.settings))
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
            Split { id: format!("{}+{rows}", start + first), rows: Some(rows) }
        };
        Ok((0..count.div_ceil(SPLIT_ROWS)).map(split).collect())
    }

    fn open(&self, split: &Split, position: u64) -> Result<Box<dyn Reader>> {
        let seed = self.seed.ok_or_else(|| Error::bug("a simulation was opened before its start"))?;
        let unknown = || Error::data(format!("split `{}` is not of this simulation", split.id));
        let (first, rows) = split.id.split_once('+').ok_or_else(unknown)?;
        let first = first.parse().map_err(|_| unknown())?;
        let rows = rows.parse().map_err(|_| unknown())?;
        Ok(Box::new(SplitReader { settings: self.settings.clone(), seed, first, rows, position }))
    }

    fn decoder(&self) -> Option<Box<dyn Transform>> {
        Some(Box::new(Draw::new(self.settings.clone())))
    }
}

fn schema(settings: &Simulated) -> SchemaRef {
    let number = |name: &str, unit: &str| {
        let field = Field::new(name, DataType::Float64, false);
        if unit.is_empty() { field } else { field.with_metadata([("unit".into(), unit.into())].into()) }
    };
    let mut fields = vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(INDEX, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
        Field::new(LABEL, DataType::Utf8, true),
        number(RA, "deg").with_nullable(true),
        number(DEC, "deg").with_nullable(true),
        number("magnitude_r", "mag(AB)"),
        number("half_light_radius_arcsec", "arcsec"),
        number("axis_ratio", ""),
        number("position_angle_deg", "deg"),
        Field::new("neighbour", DataType::Boolean, false),
    ];
    if settings.visits.is_some() {
        fields.extend([Field::new("visit", DataType::UInt64, false), number("years", "yr")]);
    }
    Arc::new(Schema::new(fields))
}

struct SplitReader {
    settings: Simulated,
    seed: u64,
    first: u64,
    rows: u64,
    position: u64,
}

impl Reader for SplitReader {
    fn next(&mut self, max_rows: usize, _deadline: Instant) -> Result<Read> {
        let end = self.rows.min(self.position.saturating_add(max_rows as u64));
        if self.position >= end {
            return Ok(Read::End);
        }
        let rows = truth(&self.settings, self.seed, self.first, self.position..end)?;
        self.position = end;
        Ok(Read::Batch { rows, rejects: Vec::new() })
    }

    fn offset(&self) -> u64 {
        self.position
    }
}

/// What is true of the objects of some rows of a split that begins with object `first`.
fn truth(settings: &Simulated, seed: u64, first: u64, rows: std::ops::Range<u64>) -> Result<RecordBatch> {
    let indices: Vec<u64> = rows.clone().map(|row| first + row).collect();
    let galaxies: Vec<Galaxy> = indices.iter().map(|index| settings.galaxy(seed, *index)).collect();
    let ids: Vec<String> = indices.iter().map(|index| object_id(seed, *index)).collect();
    let sky: Vec<[f64; 2]> = ids.iter().map(|id| place(seed, id)).collect();
    let number = |of: fn(&Galaxy) -> f64| -> ArrayRef { Arc::new(galaxies.iter().map(of).collect::<Float64Array>()) };
    let coordinate =
        |axis: usize| -> ArrayRef { Arc::new(sky.iter().map(|place| place[axis]).collect::<Float64Array>()) };
    let text = |of: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(of)) };
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(rows)),
        Arc::new(UInt64Array::from_iter_values(indices.iter().copied())),
        text(ids),
        text(indices.iter().map(|index| format!("simulated[{index}]")).collect()),
        text(galaxies.iter().map(|galaxy| galaxy.class.name().to_owned()).collect()),
        coordinate(0),
        coordinate(1),
        number(|galaxy| galaxy.magnitude_r),
        number(|galaxy| galaxy.half_light_radius_arcsec),
        number(|galaxy| galaxy.axis_ratio),
        number(Galaxy::position_angle_deg),
        Arc::new(galaxies.iter().map(|galaxy| Some(galaxy.neighbour)).collect::<BooleanArray>()),
    ];
    if let Some(visits) = &settings.visits {
        let visits = indices.iter().map(|index| visits.of(index - settings.start, settings.count));
        let (visit, years): (Vec<u64>, Vec<f64>) = visits.unzip();
        columns.push(Arc::new(UInt64Array::from(visit)));
        columns.push(Arc::new(Float64Array::from(years)));
    }
    Ok(RecordBatch::try_new(schema(settings), columns)?)
}

/// Where an object is on the sky: right ascension and declination, degrees.
fn place(seed: u64, object_id: &str) -> [f64; 2] {
    let ([ra, dec], half) = FIELD;
    let mut stream = Stream::new(seed, object_id, "sky");
    let dec = dec + stream.uniform_in(-half, half);
    [ra + stream.uniform_in(-half, half) / dec.to_radians().cos(), dec]
}

/// Draws the pixels of the objects that the reader has numbered.
#[derive(Clone)]
struct Draw {
    settings: Simulated,
    renderer: Renderer,
    seed: Option<u64>,
}

impl Draw {
    fn new(settings: Simulated) -> Self {
        let stamp = Stamp { size: settings.size, pixel_scale_arcsec: settings.pixel_scale_arcsec };
        Self { settings, renderer: Renderer::new(stamp), seed: None }
    }
}

impl Transform for Draw {
    fn required_columns(&self) -> Vec<ColumnRef> {
        vec![ColumnRef::new("", INDEX)]
    }

    fn bind(&mut self, _input: &Schema) -> Result<Vec<Field>, Vec<Diagnostic>> {
        Ok(vec![self.settings.layout().field(IMAGE)])
    }

    fn start(&mut self, run: &RunContext) -> Result<()> {
        self.seed = Some(run.seed);
        Ok(())
    }

    fn apply(&mut self, batch: RecordBatch, _rejects: &mut Rejects) -> Result<RecordBatch> {
        let Self { settings, renderer, seed } = self;
        let seed = seed.ok_or_else(|| Error::bug("galaxies were drawn before the start"))?;
        let wrong = || Error::bug(format!("column `{INDEX}` is not uint64"));
        let indices = batch::column_of(&batch, INDEX)?.as_primitive_opt::<UInt64Type>().ok_or_else(wrong)?;
        let layout = settings.layout();
        let bands: Vec<galaxy::Band> = settings.bands.iter().map(|band| band.drawn()).collect();
        let mut pixels = vec![0.0; indices.len() * layout.pixels()];
        for (index, out) in indices.values().iter().zip(pixels.chunks_exact_mut(layout.pixels())) {
            renderer.draw(&settings.galaxy(seed, *index).components, &bands, out);
        }
        batch::with_columns(&batch, [(layout.field(IMAGE), batch::list_column(pixels, layout.pixels())?)])
    }

    fn fork(&self) -> Box<dyn Transform> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::batch::Images;

    fn run(seed: u64) -> RunContext {
        RunContext { seed, threads: 1, batch_rows: 7, ..RunContext::default() }
    }

    /// All rows, drawn, read in batches of at most `max_rows`.
    fn read(settings: &Simulated, seed: u64, max_rows: usize) -> Vec<RecordBatch> {
        let mut source = settings.clone().build("simulated").unwrap();
        let schema = source.bind().unwrap();
        source.start(&run(seed)).unwrap();
        let mut decoder = source.decoder().unwrap();
        decoder.bind(&schema).unwrap();
        decoder.start(&run(seed)).unwrap();
        let mut decoder = decoder.fork();
        let mut batches = Vec::new();
        for split in source.splits().unwrap() {
            let mut reader = source.open(&split, 0).unwrap();
            while let Read::Batch { rows, rejects } = reader.next(max_rows, Instant::now()).unwrap() {
                assert!(rejects.is_empty() && rows.num_rows() <= max_rows);
                assert_eq!(rows.schema(), schema);
                batches.push(decoder.apply(rows, &mut Rejects::default()).unwrap());
            }
            assert_eq!(Some(reader.offset()), split.rows);
        }
        batches
    }

    fn concat(batches: &[RecordBatch]) -> RecordBatch {
        arrow::compute::concat_batches(batches[0].schema_ref(), batches).unwrap()
    }

    fn labels(batch: &RecordBatch) -> Vec<&str> {
        batch::text_column(batch, LABEL).unwrap().iter().flatten().collect()
    }

    fn small(count: u64) -> Simulated {
        Simulated { count, size: 16, ..Simulated::default() }
    }

    #[test]
    fn rows_do_not_depend_on_batches_count_or_start() {
        let whole = concat(&read(&small(40), 3, 64));
        assert_eq!(concat(&read(&small(40), 3, 7)), whole);
        assert_eq!(concat(&read(&small(12), 3, 5)), whole.slice(0, 12));
        let later = concat(&read(&Simulated { start: 12, ..small(28) }, 3, 9));
        for column in [OBJECT_ID, ORIGIN, LABEL, "magnitude_r", IMAGE] {
            assert_eq!(later.column_by_name(column), whole.slice(12, 28).column_by_name(column), "{column}");
        }
        let images = Images::of(&whole, IMAGE).unwrap();
        assert_eq!(
            (images.layout.bands.as_slice(), images.layout.unit),
            (&["g", "r", "i"].map(String::from)[..], Unit::NanoJansky)
        );
        assert!(images.rows().all(|row| row.iter().all(|pixel| *pixel >= 0.0) && row.iter().sum::<f32>() > 100.0));
    }

    #[test]
    fn a_reader_goes_on_where_another_stopped() {
        let mut source = small(1500).build("simulated").unwrap();
        source.start(&run(1)).unwrap();
        let splits = source.splits().unwrap();
        assert_eq!(splits.iter().map(|split| split.rows.unwrap()).collect::<Vec<_>>(), [1024, 476]);
        let ids = |position, max_rows| {
            let mut reader = source.open(&splits[1], position).unwrap();
            let Read::Batch { rows, .. } = reader.next(max_rows, Instant::now()).unwrap() else { panic!("no rows") };
            assert_eq!(batch::row_number(&rows, 0).unwrap(), position);
            batch::text_column(&rows, OBJECT_ID).unwrap().clone()
        };
        assert_eq!(ids(100, 50), ids(0, 476).slice(100, 50));
        assert_eq!(ids(0, 1).value(0), "sim-1-00001024");
    }

    #[test]
    fn classes_are_balanced_and_a_number_does_not_tell_the_class() {
        let settings = small(3000);
        let classes: Vec<Class> = (0..3000).map(|index| settings.class_of(11, index)).collect();
        for first in 0..3 {
            for class in Class::ALL {
                let all = classes.iter().filter(|drawn| **drawn == class).count();
                assert_eq!(all, 1000);
                // A third of those at every third number: 333 with a standard deviation of 15.
                let here = classes.iter().skip(first).step_by(3).filter(|drawn| **drawn == class).count();
                assert!((270..400).contains(&here), "{first} {class:?} {here}");
            }
        }
    }

    #[test]
    fn another_seed_is_another_set_of_galaxies() {
        let (first, second) = (concat(&read(&small(20), 1, 20)), concat(&read(&small(20), 2, 20)));
        let ids: HashSet<&str> = [&first, &second]
            .iter()
            .flat_map(|batch| batch::text_column(batch, OBJECT_ID).unwrap().iter().flatten())
            .collect();
        assert_eq!(ids.len(), 40);
        assert_ne!(labels(&first), labels(&second));
        assert_ne!(first.column_by_name("magnitude_r"), second.column_by_name("magnitude_r"));
    }

    #[test]
    fn a_choice_of_classes_and_bands_is_kept() {
        let settings = Simulated {
            classes: vec![ClassName::Merger, ClassName::Spiral],
            bands: vec![BandName::R],
            magnitude_r: [19.0, 19.0],
            ..small(10)
        };
        let batch = concat(&read(&settings, 4, 10));
        assert_eq!(labels(&batch).iter().filter(|label| **label == "merger").count(), 5);
        assert_eq!(labels(&batch).iter().filter(|label| **label == "spiral").count(), 5);
        let (pixels, length) = batch::list_values(&batch, IMAGE).unwrap();
        assert_eq!((pixels.len(), length), (2560, 256));
        let magnitudes = batch.column_by_name("magnitude_r").unwrap().as_primitive::<arrow::datatypes::Float64Type>();
        assert!(magnitudes.values().iter().all(|magnitude| (magnitude - 19.0).abs() < 1e-12));
    }

    #[test]
    fn visits_have_equally_many_objects_and_depths_in_equal_ratios() {
        let visits = Visits { count: 4, first_years: 8.0, last_years: 1.0 };
        let batch = concat(&read(&Simulated { start: 3, visits: Some(visits), ..small(12) }, 4, 5));
        let visit = batch.column_by_name("visit").unwrap().as_primitive::<UInt64Type>();
        assert_eq!(visit.values()[..], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
        let years = batch.column_by_name("years").unwrap().as_primitive::<arrow::datatypes::Float64Type>();
        let expected = [8.0, 4.0, 2.0, 1.0];
        assert!(
            years.values().iter().zip(visit.values()).all(|(found, i)| (found - expected[*i as usize]).abs() < 1e-12)
        );
    }

    #[test]
    fn impossible_settings_are_all_told_at_once() {
        let settings = Simulated {
            size: 4,
            magnitude_r: [22.0, 20.0],
            pixel_scale_arcsec: f64::NAN,
            bands: vec![],
            classes: vec![ClassName::Merger, ClassName::Merger],
            start: u64::MAX,
            visits: Some(Visits { count: 2, first_years: 0.0, last_years: 1.0 }),
            ..Simulated::default()
        };
        let mistakes = settings.build("simulated").err().unwrap();
        let keys: HashSet<String> = mistakes.iter().map(|mistake| mistake.path.join(".")).collect();
        let expected = ["size", "magnitude_r", "pixel_scale_arcsec", "bands", "classes", "start", "visits"];
        assert_eq!(keys, expected.map(String::from).into());
    }
}
