//! Rows to try transforms on, and short cuts to build, bind and apply a kind.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float32Array, Float64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema},
};
use serde_json::Value;

use super::KINDS;
use crate::{
    batch::{
        ImageLayout, LABEL, OBJECT_ID, ORIGIN, ROW, Stretch, Unit, list_column, list_values, mask_column, with_columns,
    },
    error::Diagnostic,
    random::Stream,
    stage::{Kind, Rejects, RunContext, Transform},
};

/// The label of every transform that is built here.
pub(super) const LABEL_MADE: &str = "made";

/// The row of a kind in the table.
pub(super) fn kind(name: &str) -> &'static Kind<dyn Transform> {
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}

/// The run of every transform that is started here.
pub(super) fn test_run() -> RunContext {
    RunContext { seed: 20, threads: 1, batch_rows: 64, ..RunContext::default() }
}

/// The layout of `image` in [`test_rows`]: bands g, r, i of 10x8 pixels of 0.2 arcsec, in nJy.
pub(super) fn test_layout() -> ImageLayout {
    ImageLayout {
        bands: ["g", "r", "i"].map(str::to_owned).to_vec(),
        height: 10,
        width: 8,
        unit: Unit::NanoJansky,
        pixel_scale_arcsec: Some(0.2),
        stretch: None,
        electrons_per_njy: None,
        wcs: None,
    }
}

/// Rows as a pipeline has them: the truth and `image` of a source, `y10_sky` and `y1_sky` as `observe` makes them for `lsst`, `y10` and `y1` as
/// `asinh_stretch` makes them. `image` and `y1_sky` have a variance, a mask and a PSF; `visit` is an exposure of the same sky as `image`
/// with a wider PSF and more noise. Row 3 of `image` and row 5 of `y10_sky` have a
/// NaN pixel; `label`, `magnitude_r` and `gain` are null in some rows.
pub(super) fn test_rows(rows: usize) -> RecordBatch {
    let layout = test_layout();
    let noise = |i: usize, salt: u32| f64::from((i as u32).wrapping_mul(2_654_435_761).wrapping_add(salt) >> 8) / 2e6;
    let pixels =
        |value: &dyn Fn(usize) -> f64| (0..rows * layout.pixels()).map(|i| value(i) as f32).collect::<Vec<_>>();
    let with_nan = |mut pixels: Vec<f32>, row: usize| {
        if rows > row {
            pixels[row * layout.pixels() + 100] = f32::NAN;
        }
        pixels
    };
    let column = |layout: &ImageLayout, name: &str, pixels: Vec<f32>| {
        (layout.field(name), list_column(pixels, layout.pixels()).unwrap())
    };
    let variance = |of: &ImageLayout| ImageLayout { unit: of.unit.squared(), ..of.clone() };
    let mask = |name: &str, salt: u32| {
        let bits = (0..rows * layout.pixels()).map(|i| u64::from(noise(i, salt) > 7.5)).collect();
        (layout.mask_field(name), mask_column(bits, layout.pixels()).unwrap())
    };
    let electrons =
        |gain: [f64; 3]| ImageLayout { unit: Unit::Electron, electrons_per_njy: Some(gain.to_vec()), ..layout.clone() };
    let stretched = |lo, hi| ImageLayout { unit: Unit::Stretched, stretch: Some(Stretch { lo, hi }), ..layout.clone() };
    let psf = ImageLayout { height: 5, width: 5, unit: Unit::Unknown, ..layout.clone() };
    let psfs = || vec![0.04; rows * psf.pixels()];
    // That of `image`, blurred by a box of 3x3 pixels.
    let wide_psf = ImageLayout { height: 7, width: 7, ..psf.clone() };
    let taps = |i: usize| [1.0, 2.0, 3.0, 3.0, 3.0, 2.0, 1.0][i] / 15.0;
    let wide_psfs = (0..rows * wide_psf.pixels()).map(|i| taps(i / 7 % 7) * taps(i % 7)).collect();
    let text = |value: &dyn Fn(usize) -> String| Arc::new(StringArray::from_iter_values((0..rows).map(value)));
    let classes = ["spiral", "elliptical", "merger"];
    let labels = (0..rows).map(|i| (i % 7 != 6).then(|| classes[i % 3]));
    let magnitudes = (0..rows).map(|row| (row % 5 != 4).then(|| 18.0 + noise(row, 1) / 2.0));
    let gains = (0..rows).map(|row| (row % 4 != 2).then_some(1.5));
    let columns: Vec<(Field, ArrayRef)> = vec![
        (Field::new(ROW, DataType::UInt64, false), Arc::new(UInt64Array::from_iter_values(0..rows as u64))),
        (Field::new(OBJECT_ID, DataType::Utf8, false), text(&|i| format!("object-{i}"))),
        (Field::new(ORIGIN, DataType::Utf8, false), text(&|i| format!("test.fits[{i}]"))),
        (Field::new(LABEL, DataType::Utf8, true), Arc::new(StringArray::from_iter(labels))),
        (Field::new("magnitude_r", DataType::Float64, true), Arc::new(Float64Array::from_iter(magnitudes))),
        column(&layout, "image", with_nan(pixels(&|i| noise(i, 17) * noise(i, 99) - 2.0), 3)),
        column(&variance(&layout), "image_variance", pixels(&|i| noise(i, 5))),
        mask("image_mask", 3),
        column(&psf, "image_psf", psfs()),
        (Field::new("gain", DataType::Float64, true), Arc::new(Float64Array::from_iter(gains))),
        column(&layout, "visit", pixels(&|i| noise(i, 31) * noise(i, 32))),
        column(&variance(&layout), "visit_variance", pixels(&|i| 20.0 + noise(i, 33))),
        column(&wide_psf, "visit_psf", wide_psfs),
        column(&electrons([133.0, 264.0, 196.0]), "y10_sky", with_nan(pixels(&|i| 40.0 * noise(i, 7) - 150.0), 5)),
        column(&electrons([13.3, 26.4, 19.6]), "y1_sky", pixels(&|i| 12.0 * noise(i, 8) - 45.0)),
        column(&variance(&electrons([13.3, 26.4, 19.6])), "y1_sky_variance", pixels(&|i| 10.0 * noise(i, 9))),
        mask("y1_sky_mask", 10),
        column(&psf, "y1_sky_psf", psfs()),
        column(&stretched(-1136.0, 23822.0), "y10", pixels(&|i| noise(i, 11) / 8.5)),
        column(&stretched(-367.0, 2388.0), "y1", pixels(&|i| noise(i, 12) / 8.5)),
        (
            Field::new("small", DataType::Float32, false),
            Arc::new(Float32Array::from_iter_values((0..rows).map(|i| i as f32))),
        ),
    ];
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Rows of square images in electrons, in one band `r` or in `g`, `r`, `i`, with pixels of 0.2 arcsec.
pub(super) fn square_images(rows: &[Vec<f32>], side: usize) -> RecordBatch {
    let bands = rows[0].len() / (side * side);
    let bands: Vec<String> = if bands == 1 { vec!["r".into()] } else { test_layout().bands };
    let gain = Some(vec![50.0; bands.len()]);
    let layout = ImageLayout {
        bands,
        height: side,
        width: side,
        unit: Unit::Electron,
        electrons_per_njy: gain,
        ..test_layout()
    };
    let identities = test_rows(rows.len()).project(&[0, 1, 2]).unwrap();
    let column = list_column(rows.concat(), layout.pixels()).unwrap();
    with_columns(&identities, [(layout.field("image"), column)]).unwrap()
}

/// Rows of images of 20x20 pixels in three bands that hold only noise, with its variance and a mask of good pixels.
pub(super) fn noise_images(rows: usize, sigma: f64) -> RecordBatch {
    let pixels = 3 * 20 * 20;
    let row = |row: usize| {
        let mut draws = Stream::new(1, &row.to_string(), "noise");
        (0..pixels).map(|_| (sigma * draws.normal()) as f32).collect()
    };
    let batch = square_images(&(0..rows).map(row).collect::<Vec<_>>(), 20);
    let layout = ImageLayout::of(batch.schema().field_with_name("image").unwrap()).unwrap();
    let flat = |value: f32| list_column(vec![value; rows * pixels], pixels).unwrap();
    let variance = ImageLayout { unit: layout.unit.squared(), ..layout.clone() };
    let companions = [
        (variance.field("image_variance"), flat((sigma * sigma) as f32)),
        (layout.mask_field("image_mask"), mask_column(vec![0; rows * pixels], pixels).unwrap()),
    ];
    with_columns(&batch, companions).unwrap()
}

/// Builds a kind and binds it to a schema, after its prerequisites.
pub(super) fn bind_kind(name: &str, settings: Value, input: &Schema) -> Result<Box<dyn Transform>, Vec<Diagnostic>> {
    let mut transform = (kind(name).build)(LABEL_MADE, settings)?;
    let mut schema = input.clone();
    for (_, mut step) in transform.prerequisites() {
        let fields = step.bind(&schema)?;
        schema = with_fields(&schema, fields);
    }
    transform.bind(&schema)?;
    Ok(transform)
}

/// A schema with more fields.
pub(super) fn with_fields(schema: &Schema, fields: Vec<Field>) -> Schema {
    let before = schema.fields().iter().map(|field| field.as_ref().clone());
    Schema::new(before.chain(fields).collect::<Vec<_>>())
}

/// The first mistake of settings that are wrong.
pub(super) fn first_diagnostic(name: &str, settings: Value, input: &Schema) -> Diagnostic {
    bind_kind(name, settings, input).err().expect("a mistake").remove(0)
}

/// Applies a kind to `image`. Returns the pixels of the image before and after, and the batch with all new columns.
#[allow(clippy::needless_pass_by_value, reason = "a batch made for one call")]
pub(super) fn apply_to_image(name: &str, mut settings: Value, batch: RecordBatch) -> (Vec<f32>, Vec<f32>, RecordBatch) {
    settings["image"] = "image".into();
    let mut step = bind_kind(name, settings, batch.schema_ref()).unwrap();
    step.start(&test_run()).unwrap();
    let before = list_values(&batch, "image").unwrap().0.to_vec();
    let out = step.apply(batch, &mut Rejects::default()).unwrap();
    (before, list_values(&out, LABEL_MADE).unwrap().0.to_vec(), out)
}
