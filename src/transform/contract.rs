//! What every transform promises, tried on every kind: the columns it said, no row lost, the same bits in any batch.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float32Array, Float64Array, RecordBatch, StringArray, UInt64Array},
    compute::concat_batches,
    datatypes::{DataType, Field, Schema},
};
use serde_json::{Value, json};

use super::KINDS;
use crate::{
    batch::{ImageLayout, LABEL, OBJECT_ID, ORIGIN, ROW, Unit, list_column, list_values, with_columns},
    error::Diagnostic,
    random::Stream,
    stage::{Kind, Rejects, RunContext, Transform},
};

/// Settings of every kind that [`batch`] satisfies; the label is `made`.
fn examples(kind: &str) -> Vec<Value> {
    match kind {
        "observe" => vec![json!({ "image": "image", "survey": "lsst", "years": 10 })],
        "asinh_stretch" => vec![
            json!({ "image": "image", "constants": { "lo": -1.0, "hi": 30.0 } }),
            json!({ "image": "image", "constants": { "per_image": {} } }),
            json!({ "image": "image", "constants": { "lo": -90.0, "hi": 30.0 }, "scale_to": { "electrons_per_njy": [3.0, 4.0, 5.0] } }),
        ],
        "resample" => vec![
            json!({ "image": "image", "pixel_scale_arcsec": 0.33 }),
            json!({ "image": "image", "pixel_scale_arcsec": 0.11, "method": "lanczos" }),
        ],
        "crop" => vec![
            json!({ "image": "image", "size": 5 }),
            json!({ "image": "image", "height": 20, "width": 3, "pad": "nan" }),
        ],
        "orient" => vec![json!({ "image": "image", "mirror_x": true, "quarter_turns": 3 })],
        "morphology" => vec![
            json!({ "image": "image" }),
            json!({ "image": "image", "band": "all", "sky_sigma": "off", "psf_fwhm_arcsec": 0.7 }),
            json!({ "image": "image", "band": ["g"], "gain": { "column": "gain" }, "subtract_background": true }),
            json!({ "image": "image", "segmentation": { "column": "image_mask" }, "sky_sigma": 0.3 }),
        ],
        "compress" => vec![
            json!({ "image": "image" }),
            json!({ "image": "image", "quantize_level": -0.5, "dither": "none" }),
            json!({ "image": "image", "algorithm": "hcompress", "hcompress_scale": 1.5, "dither": "subtractive_dither_2" }),
            json!({ "image": "image", "quantize_level": { "column": "gain" } }),
        ],
        "blur" => vec![
            json!({ "image": "image", "fwhm_arcsec": 0.7 }),
            json!({ "image": "image", "fwhm_arcsec": { "r": { "column": "gain" } }, "profile": "kolmogorov" }),
        ],
        "dead_pixels" => vec![
            json!({ "image": "image", "fraction": 0.02 }),
            json!({ "image": "image", "columns": { "g": 1, "i": 3 }, "value": -7.5 }),
        ],
        "cosmic_rays" => vec![
            json!({ "image": "electrons", "count": 2 }),
            json!({ "image": "electrons", "rate_per_cm2_per_s": 9.0, "exposure_seconds": 300, "bands": "all", "flag": true }),
        ],
        "gain_error" => vec![
            json!({ "image": "image", "sigma": 0.05 }),
            json!({ "image": "image", "error": { "g": -0.1, "r": { "column": "gain" } }, "same_in_all_bands": true }),
        ],
        "sky_error" => vec![
            json!({ "image": "electrons", "electrons_per_pixel": 12 }),
            json!({ "image": "image", "fraction": 0.01, "gradient": 0.5, "draw": "normal" }),
        ],
        "filter" => vec![json!({ "keep": ["magnitude < 21", "label != merger"] })],
        "split" => vec![json!({}), json!({ "by": "label", "train": 0.2, "valid": 0.2, "test": 0.6 })],
        kind => panic!("no example of `{kind}`: add one here"),
    }
}

/// The layout of `image` in [`batch`]: bands g, r, i of 10x8 pixels of 0.2 arcsec, in nJy.
pub(crate) fn layout() -> ImageLayout {
    ImageLayout {
        bands: ["g", "r", "i"].map(str::to_owned).to_vec(),
        height: 10,
        width: 8,
        unit: Unit::NanoJansky,
        pixel_scale_arcsec: Some(0.2),
        stretch: None,
        electrons_per_njy: None,
    }
}

/// Rows with images, variances, masks, PSFs, labels and magnitudes (every fifth null), and another image in
/// electrons. Row 3 of `image` has a NaN pixel.
pub(crate) fn batch(rows: usize) -> RecordBatch {
    let layout = layout();
    let pixels = rows * layout.pixels();
    let noise = |i: usize, salt: u32| f64::from((i as u32).wrapping_mul(2_654_435_761).wrapping_add(salt) >> 8) / 2e6;
    let mut image: Vec<f32> = (0..pixels).map(|i| (noise(i, 17) * noise(i, 99) - 2.0) as f32).collect();
    if rows > 3 {
        image[3 * layout.pixels() + 100] = f32::NAN;
    }
    let variance: Vec<f32> = (0..pixels).map(|i| noise(i, 5) as f32).collect();
    let mask: Vec<f32> = (0..pixels).map(|i| f32::from(u8::from(noise(i, 3) > 7.5))).collect();
    let psf = ImageLayout { height: 5, width: 5, unit: Unit::Unknown, ..layout.clone() };
    let electrons =
        ImageLayout { unit: Unit::Electron, electrons_per_njy: Some(vec![30.0, 40.0, 50.0]), ..layout.clone() };
    let counts: Vec<f32> = (0..pixels).map(|i| (40.0 * noise(i, 7) - 150.0) as f32).collect();
    let classes = ["spiral", "elliptical", "merger"];
    let magnitudes = (0..rows).map(|row| (row % 5 != 4).then(|| 18.0 + noise(row, 1) / 2.0));
    let columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new(ROW, DataType::UInt64, false), Arc::new(UInt64Array::from_iter_values(0..rows as u64))),
        (
            Field::new(OBJECT_ID, DataType::Utf8, false),
            Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("object-{i}")))),
        ),
        (
            Field::new(ORIGIN, DataType::Utf8, false),
            Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("test.fits[{i}]")))),
        ),
        (
            Field::new(LABEL, DataType::Utf8, true),
            Arc::new(StringArray::from_iter((0..rows).map(|i| (i % 7 != 6).then(|| classes[i % 3])))),
        ),
        (Field::new("magnitude", DataType::Float64, true), Arc::new(Float64Array::from_iter(magnitudes))),
        (layout.field("image"), list_column(image, layout.pixels()).unwrap()),
        (layout.field("image_variance"), list_column(variance, layout.pixels()).unwrap()),
        (layout.field("image_mask"), list_column(mask, layout.pixels()).unwrap()),
        (psf.field("image_psf"), list_column(vec![0.04; rows * psf.pixels()], psf.pixels()).unwrap()),
        (
            Field::new("gain", DataType::Float64, true),
            Arc::new(Float64Array::from_iter((0..rows).map(|row| (row % 4 != 2).then_some(1.5)))),
        ),
        (electrons.field("electrons"), list_column(counts, electrons.pixels()).unwrap()),
        (
            Field::new("small", DataType::Float32, false),
            Arc::new(Float32Array::from_iter_values((0..rows).map(|i| i as f32))),
        ),
    ];
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Builds a kind under the label `made` and binds it to a schema.
pub(crate) fn bound(kind: &str, settings: Value, input: &Schema) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
    let row = KINDS.iter().find(|row| row.name == kind).unwrap();
    let mut transform = (row.build)("made", settings)?;
    let mut schema = input.clone();
    for (_, mut step) in transform.prerequisites() {
        // Steps that others may share run before, and their columns are there when this one is bound.
        let fields = schema.fields().iter().map(|field| field.as_ref().clone());
        schema = Schema::new(fields.chain(step.bind(&schema)?).collect::<Vec<_>>());
    }
    transform.bind(&schema)?;
    Ok(transform)
}

/// Rows of square images in electrons, in one band `r` or more (`g`, `r`, `i`), with the pixels of 0.2 arcsec.
pub(crate) fn images(rows: &[Vec<f32>], side: usize) -> RecordBatch {
    let bands = rows[0].len() / (side * side);
    let bands: Vec<String> = if bands == 1 { vec!["r".into()] } else { layout().bands };
    let gain = Some(vec![50.0; bands.len()]);
    let layout =
        ImageLayout { bands, height: side, width: side, unit: Unit::Electron, electrons_per_njy: gain, ..layout() };
    let few = batch(rows.len());
    let column = list_column(rows.concat(), layout.pixels()).unwrap();
    let names = [ROW, OBJECT_ID, ORIGIN];
    let kept = names.map(|name| (few.schema().field_with_name(name).unwrap().clone(), few[name].clone()));
    let columns = kept.into_iter().chain([(layout.field("image"), column)]);
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Rows of images of 20x20 pixels in three bands with nothing but noise, their variance and a mask of good pixels.
pub(crate) fn noise(rows: usize, sigma: f64) -> RecordBatch {
    let pixels = 3 * 20 * 20;
    let row = |row: usize| {
        let mut draws = Stream::new(1, &row.to_string(), "noise");
        (0..pixels).map(|_| (sigma * draws.normal()) as f32).collect()
    };
    let batch = images(&(0..rows).map(row).collect::<Vec<_>>(), 20);
    let layout = ImageLayout::of(batch.schema().field_with_name("image").unwrap()).unwrap();
    let flat = |value: f32| list_column(vec![value; rows * pixels], pixels).unwrap();
    let companions =
        [(layout.field("image_variance"), flat((sigma * sigma) as f32)), (layout.field("image_mask"), flat(0.0))];
    with_columns(&batch, companions).unwrap()
}

/// The pixels of `image` before and after a step of a kind, and all that it made.
#[allow(clippy::needless_pass_by_value, reason = "a batch made for one call")]
pub(crate) fn changed(kind: &str, mut settings: Value, batch: RecordBatch) -> (Vec<f32>, Vec<f32>, RecordBatch) {
    settings["image"] = "image".into();
    let mut step = bound(kind, settings, batch.schema_ref()).unwrap();
    step.start(&RunContext { seed: 20, threads: 1, batch_rows: 64, ..RunContext::default() }).unwrap();
    let before = list_values(&batch, "image").unwrap().0.to_vec();
    let out = step.apply(batch, &mut Rejects::default()).unwrap();
    (before, list_values(&out, "made").unwrap().0.to_vec(), out)
}

/// The whole of a step: its shared steps, then itself, bound and started.
struct Chain(Vec<Box<dyn Transform>>);

impl Chain {
    fn new(kind: &str, settings: &Value, input: &Schema) -> (Self, Schema) {
        let row = KINDS.iter().find(|row| row.name == kind).unwrap();
        let last = (row.build)("made", settings.clone()).unwrap();
        let run = RunContext { seed: 20, threads: 1, batch_rows: 64, ..RunContext::default() };
        let (mut steps, mut schema) = (Vec::new(), input.clone());
        let shared = last.prerequisites().into_iter().map(|(_, step)| step).collect::<Vec<_>>();
        for mut step in shared.into_iter().chain([last]) {
            let fields = step.bind(&schema).unwrap();
            let before = schema.fields().iter().map(|field| field.as_ref().clone());
            schema = Schema::new(before.chain(fields).collect::<Vec<_>>());
            assert!(step.required_columns().iter().all(|need| schema.field_with_name(&need.column).is_ok()), "{kind}");
            step.start(&run).unwrap();
            steps.push(step);
        }
        (Self(steps), schema)
    }

    fn apply(&mut self, batch: RecordBatch, rejects: &mut Rejects) -> RecordBatch {
        self.0.iter_mut().fold(batch, |batch, step| step.apply(batch, rejects).unwrap())
    }

    fn fork(&self) -> Self {
        Self(self.0.iter().map(|step| step.fork()).collect())
    }
}

/// Tries the promises of a transform on a batch.
fn holds(kind: &str, settings: &Value, batch: &RecordBatch) {
    let (mut chain, schema) = Chain::new(kind, settings, batch.schema_ref());
    let mut fork = chain.fork();
    let mut rejects = Rejects::default();
    let whole = chain.apply(batch.clone(), &mut rejects);
    assert_eq!(whole.schema().fields(), schema.fields(), "{kind} {settings} makes the columns it says");
    let lost = rejects.rejected.len() + rejects.filtered as usize;
    assert_eq!(whole.num_rows() + lost, batch.num_rows(), "{kind} {settings} accounts for every row");
    assert!(rejects.rejected.iter().all(|reject| reject.object_id.is_some() && !reject.reason.is_empty()));
    let known = |stage: &str| stage == "made" || stage.starts_with('_');
    assert!(rejects.rejected.iter().all(|reject| known(&reject.stage)), "{kind} {settings} gives its label");
    for size in [1, 3, batch.num_rows()] {
        let mut again = Rejects::default();
        let starts = (0..batch.num_rows()).step_by(size);
        let slices = starts.map(|start| batch.slice(start, size.min(batch.num_rows() - start)));
        let parts: Vec<RecordBatch> = slices.map(|slice| fork.apply(slice, &mut again)).collect();
        let parts = concat_batches(&whole.schema(), &parts).unwrap();
        assert!(parts == whole, "{kind} {settings} gives the same bits in batches of {size}, and forked");
        assert_eq!(again.rejected, rejects.rejected, "{kind} {settings}");
        assert_eq!(again.filtered, rejects.filtered, "{kind} {settings}");
    }
    let none = chain.apply(batch.slice(0, 0), &mut Rejects::default());
    assert_eq!(
        (none.num_rows(), none.schema().fields()),
        (0, schema.fields()),
        "{kind} {settings} takes an empty batch"
    );
}

#[test]
fn every_kind_keeps_its_promises_in_any_batch() {
    for kind in KINDS {
        for settings in examples(kind.name) {
            holds(kind.name, &settings, &batch(11));
        }
    }
}

#[test]
fn every_kind_has_one_name_and_described_settings() {
    for kind in KINDS {
        let schema = (kind.schema)().to_value();
        assert!(schema["description"].is_string(), "`{}` says what it does", kind.name);
        for (key, setting) in schema["properties"].as_object().unwrap() {
            assert!(setting["description"].is_string(), "`{}` says what `{key}` is", kind.name);
        }
        assert_eq!(KINDS.iter().filter(|other| other.name == kind.name).count(), 1);
    }
}

#[test]
fn every_kind_refuses_a_column_that_is_not_there_or_is_no_image() {
    let takes_an_image = |kind: &Kind<dyn Transform>| (kind.schema)().to_value()["properties"].get("image").is_some();
    for kind in KINDS.iter().filter(|kind| takes_an_image(kind)) {
        for settings in examples(kind.name) {
            for (column, code) in [("imag", "unknown-column"), ("label", "wrong-column")] {
                let mut settings = settings.clone();
                settings["image"] = column.into();
                let mistakes = bound(kind.name, settings.clone(), batch(1).schema_ref()).err().unwrap();
                assert_eq!(mistakes[0].code.name(), code, "{} {settings}: {mistakes:?}", kind.name);
                assert_eq!(mistakes[0].path, ["image"], "{} {settings}", kind.name);
            }
        }
    }
}

#[test]
fn settings_written_as_json_are_read_back_the_same() {
    fn again<S: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(kind: &str) {
        for example in examples(kind) {
            let settings: S = serde_json::from_value(example).unwrap();
            assert_eq!(serde_json::from_value::<S>(serde_json::to_value(&settings).unwrap()).unwrap(), settings);
        }
    }
    again::<super::asinh_stretch::AsinhStretch>("asinh_stretch");
    again::<super::resample::Resample>("resample");
    again::<super::crop::Crop>("crop");
    again::<super::orient::Orient>("orient");
    again::<super::morphology::Morphology>("morphology");
    again::<super::compress::Compress>("compress");
    again::<super::blur::Blur>("blur");
    again::<super::dead_pixels::DeadPixels>("dead_pixels");
    again::<super::cosmic_rays::CosmicRays>("cosmic_rays");
    again::<super::gain_error::GainError>("gain_error");
    again::<super::sky_error::SkyError>("sky_error");
    again::<super::filter::Filter>("filter");
    again::<super::split::Split>("split");
}
