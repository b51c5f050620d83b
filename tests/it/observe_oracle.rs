//! `observe` against GalSim (tests/golden/observe/make.py), through the transforms as a pipeline runs them.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema},
};
use lucarne::{
    batch::{ImageLayout, Images, Unit, list_column},
    stage::{Rejects, RunContext, Settings, Transform},
    transform::{
        observe::{InputPsf, InputVariance, Observe, Psf, Switch},
        quantity::Quantity,
    },
};

const SKY: [f64; 3] = [2329.6, 12719.8, 17947.7];

fn golden(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/observe").join(name);
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}

fn layout(height: usize, width: usize, scale: f64) -> ImageLayout {
    ImageLayout {
        bands: ["g", "r", "i"].map(str::to_owned).to_vec(),
        height,
        width,
        unit: Unit::NanoJansky,
        pixel_scale_arcsec: Some(scale),
        stretch: None,
        electrons_per_njy: None,
    }
}

/// Rows with an image each, and a column `seeing`.
fn batch(layout: &ImageLayout, images: &[Vec<f32>], seeing: &[f64]) -> RecordBatch {
    let rows = images.len();
    let fields = vec![
        Field::new("_row", DataType::UInt64, false),
        Field::new("object_id", DataType::Utf8, false),
        Field::new("origin", DataType::Utf8, false),
        Field::new("seeing", DataType::Float64, true),
        layout.field("image"),
    ];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values(0..rows as u64)),
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("object-{row}")))),
        Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("made here, row {row}")))),
        Arc::new(Float64Array::from(seeing.to_vec())),
        list_column(images.concat(), layout.pixels()).unwrap(),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// The transform and its hidden steps, in the order of a plan.
fn steps(settings: Observe, label: &str, input: &Schema) -> Vec<Box<dyn Transform>> {
    let run = RunContext { seed: 42, threads: 1, batch_rows: 32 };
    let observe = settings.build(label).unwrap();
    let mut fields: Vec<_> = input.fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut steps: Vec<Box<dyn Transform>> = observe.shared().into_iter().map(|(_, step)| step).collect();
    steps.push(observe);
    for step in &mut steps {
        let made = step.bind(&Schema::new(fields.clone())).unwrap();
        fields.extend(made);
        step.start(&run).unwrap();
    }
    steps
}

fn run(settings: Observe, input: &RecordBatch) -> (RecordBatch, Rejects) {
    let mut rejects = Rejects::default();
    let mut batch = input.clone();
    for step in &mut steps(settings, "seen", &input.schema()) {
        batch = step.apply(batch, &mut rejects).unwrap();
    }
    (batch, rejects)
}

fn seen(settings: Observe, input: &RecordBatch) -> Vec<f32> {
    let (batch, rejects) = run(settings, input);
    assert!(rejects.rejected.is_empty(), "{:?}", rejects.rejected);
    Images::of(&batch, "seen").unwrap().pixels.to_vec()
}

fn noise_free() -> Observe {
    Observe { years: Some(Quantity::Value(1.0)), noise: Switch::Off, ..Observe::default() }
}

/// Electrons of 1 nJy in a year: t zp 10^-2.96.
fn gain(band: usize) -> f64 {
    [240.0 * 50.70, 552.0 * 43.70, 552.0 * 32.36][band] * 10_f64.powf(-2.96)
}

fn relative_l2(found: &[f32], expected: impl Iterator<Item = f64>) -> f64 {
    let (mut difference, mut norm) = (0.0, 0.0);
    for (found, expected) in found.iter().zip(expected) {
        difference += (f64::from(*found) - expected).powi(2);
        norm += expected * expected;
    }
    (difference / norm).sqrt()
}

#[test]
fn noise_free_electrons_agree_with_galsim() {
    for (height, width, scale, bound) in [(100, 100, 0.2, 1e-4), (48, 61, 0.2, 1e-4), (100, 100, 0.339, 1e-3)] {
        let layout = layout(height, width, scale);
        let image = golden(&format!("image_{height}x{width}.f32"));
        let expected = golden(&format!("observed_{height}x{width}_{scale}.f32"));
        let found = seen(noise_free(), &batch(&layout, &[image], &[1.0]));
        for band in 0..3 {
            let plane = band * layout.plane()..(band + 1) * layout.plane();
            let electrons = expected[plane.clone()].iter().map(|flux| f64::from(*flux) * gain(band));
            let error = relative_l2(&found[plane], electrons);
            println!("{height}x{width} at {scale}\", band {band}: {error:.2e}");
            assert!(error < bound, "{height}x{width} at {scale}\", band {band}: {error:.2e}");
        }
    }
}
