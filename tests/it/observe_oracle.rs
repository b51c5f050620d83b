//! `observe` against GalSim (`tests/golden/observe/make.py`), with its transforms run as in a pipeline.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Schema},
};
use lucarne::{
    batch::{ImageLayout, Images, Unit, list_column},
    stage::{Rejects, RunContext, Settings, Transform},
    transform::{
        observe::{InputPsf, Observe, Psf, Switch},
        quantity::Quantity,
    },
};

fn golden(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/observe").join(name);
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}

pub(crate) fn layout(height: usize, width: usize, scale: f64) -> ImageLayout {
    ImageLayout::new(["g", "r", "i"], height, width, Unit::NanoJansky).with_pixel_scale(scale)
}

/// A batch of one image per row, with a column `seeing`.
pub(crate) fn batch(layout: &ImageLayout, images: &[Vec<f32>], seeing: &[f64]) -> RecordBatch {
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

/// The transform after its hidden prerequisites, in the order of a plan.
pub(crate) fn steps(settings: Observe, label: &str, input: &Schema) -> Vec<Box<dyn Transform>> {
    let run = RunContext { seed: 42, threads: 1, batch_rows: 32, ..RunContext::default() };
    let observe = settings.build(label).unwrap();
    let mut fields: Vec<_> = input.fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut steps: Vec<Box<dyn Transform>> = observe.prerequisites().into_iter().map(|(_, step)| step).collect();
    steps.push(observe);
    for step in &mut steps {
        let made = step.bind(&Schema::new(fields.clone())).unwrap();
        fields.extend(made);
        step.start(&run).unwrap();
    }
    steps
}

pub(crate) fn run(settings: Observe, input: &RecordBatch) -> (RecordBatch, Rejects) {
    let mut rejects = Rejects::default();
    let mut batch = input.clone();
    for step in &mut steps(settings, "seen", &input.schema()) {
        batch = step.apply(batch, &mut rejects).unwrap();
    }
    (batch, rejects)
}

pub(crate) fn seen(settings: Observe, input: &RecordBatch) -> Vec<f32> {
    let (batch, rejects) = run(settings, input);
    assert!(rejects.rejected.is_empty(), "{:?}", rejects.rejected);
    Images::of(&batch, "seen").unwrap().pixels.to_vec()
}

fn noise_free() -> Observe {
    Observe { years: Some(Quantity::Value(1.0)), noise: Switch::Off, ..Observe::default() }
}

/// Electrons per nJy in a year: t zp 10^-2.96.
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

#[test]
fn seeing_from_a_column_gives_the_bits_of_a_fixed_seeing() {
    let layout = layout(48, 61, 0.2);
    let image = golden("image_48x61.f32");
    let input = batch(&layout, &[image.clone(), image.clone(), image], &[0.7, 1.1, 0.7]);
    let with = |seeing| Observe { fwhm_arcsec: Some(seeing), ..noise_free() };
    let by_column = seen(with(Quantity::column("seeing")), &input);
    let pixels = layout.pixels();
    for (row, seeing) in [0.7, 1.1, 0.7].into_iter().enumerate() {
        let fixed = seen(with(Quantity::Value(seeing)), &input);
        assert!(by_column[row * pixels..(row + 1) * pixels] == fixed[row * pixels..(row + 1) * pixels], "row {row}");
    }
    assert!(by_column[..pixels] != by_column[pixels..2 * pixels]);
}

#[test]
fn airmass_widens_the_seeing_and_dims_the_image() {
    let layout = layout(48, 61, 0.2);
    let input = batch(&layout, &[golden("image_48x61.f32")], &[1.0]);
    let high = seen(Observe { airmass: Some(Quantity::Value(1.7)), ..noise_free() }, &input);
    let width = Quantity::Bands(
        [0.73, 0.70, 0.67]
            .iter()
            .zip(["g", "r", "i"])
            .map(|(zenith, band)| {
                (band.to_owned(), lucarne::transform::quantity::BandQuantity::Value(zenith * 1.7_f64.powf(0.6)))
            })
            .collect(),
    );
    let same_width = seen(Observe { fwhm_arcsec: Some(width), ..noise_free() }, &input);
    for (band, extinction) in [0.163, 0.10, 0.07].into_iter().enumerate() {
        let plane = band * layout.plane()..(band + 1) * layout.plane();
        let dimming = 10_f64.powf(-0.4 * extinction * 0.5);
        let expected = same_width[plane.clone()].iter().map(|electrons| f64::from(*electrons) * dimming);
        assert!(relative_l2(&high[plane], expected) < 1e-6, "band {band}");
    }
}

/// An image that is blurred already, by the hidden step alone.
fn blurred(fwhm: f64, input: &RecordBatch) -> Vec<f32> {
    let settings = Observe { fwhm_arcsec: Some(Quantity::Value(fwhm)), psf: Psf::Kolmogorov, ..noise_free() };
    let mut hidden = settings.build("seen").unwrap().prerequisites().remove(0).1;
    let made = hidden.bind(&input.schema()).unwrap();
    hidden.start(&RunContext { seed: 1, threads: 1, batch_rows: 32, ..RunContext::default() }).unwrap();
    let batch = hidden.apply(input.clone(), &mut Rejects::default()).unwrap();
    Images::of(&batch, made[0].name()).unwrap().pixels.to_vec()
}

#[test]
fn an_image_that_is_blurred_already_gets_only_the_missing_blur() {
    let layout = layout(100, 100, 0.2);
    let input = batch(&layout, &[golden("image_100x100.f32")], &[0.7]);
    let before = batch(&layout, &[blurred(0.7, &input)], &[0.7]);
    let wide = Observe { fwhm_arcsec: Some(Quantity::Value(1.0)), psf: Psf::Kolmogorov, ..noise_free() };
    let at_once = seen(wide.clone(), &input);
    let inner = InputPsf::FwhmArcsec(Quantity::column("seeing"));
    let twice = seen(Observe { input_psf: Some(inner), ..wide.clone() }, &before);
    let naive = seen(wide, &before);
    for band in 0..3 {
        // The light that the first blur moved off the stamp is lost: a few thousandths near the edge.
        let plane = band * layout.plane()..(band + 1) * layout.plane();
        let expected = || at_once[plane.clone()].iter().map(|electrons| f64::from(*electrons));
        assert!(relative_l2(&twice[plane.clone()], expected()) < 2e-3, "band {band}");
        assert!(relative_l2(&naive[plane.clone()], expected()) > 0.03, "band {band}");
    }
}

#[test]
fn a_psf_image_agrees_with_its_width() {
    let layout = layout(100, 100, 0.2);
    let galaxy = batch(&layout, &[golden("image_100x100.f32")], &[0.7]);
    let mut star = vec![0.0; layout.pixels()];
    for band in 0..3 {
        star[band * layout.plane() + 50 * 100 + 50] = 1.0;
    }
    let before = batch(&layout, &[blurred(0.7, &galaxy)], &[0.7]);
    let psf = blurred(0.7, &batch(&layout, &[star], &[0.7]));
    let column = (layout.field("image_psf"), list_column(psf, layout.pixels()).unwrap());
    let before = lucarne::batch::with_columns(&before, [column]).unwrap();
    let wide = Observe { fwhm_arcsec: Some(Quantity::Value(1.0)), psf: Psf::Kolmogorov, ..noise_free() };
    let by_width = InputPsf::FwhmArcsec(Quantity::Value(0.7));
    let by_width = seen(Observe { input_psf: Some(by_width), ..wide.clone() }, &before);
    let by_image = InputPsf::Column("image_psf".to_owned());
    let by_image = seen(Observe { input_psf: Some(by_image.clone()), ..wide.clone() }, &before);
    // The image of the PSF contains the interpolant, the width does not; and light beyond its edge is lost.
    assert!(relative_l2(&by_image, by_width.iter().map(|electrons| f64::from(*electrons))) < 6e-3);

    let sharp = Observe { fwhm_arcsec: Some(Quantity::Value(0.6)), psf: Psf::Kolmogorov, ..noise_free() };
    let sharp = Observe { input_psf: Some(InputPsf::Column("image_psf".to_owned())), ..sharp };
    let (rows, rejects) = run(sharp, &before);
    assert_eq!(rows.num_rows(), 0);
    assert!(rejects.rejected[0].reason.contains("wider"), "{}", rejects.rejected[0].reason);
}

#[test]
fn rejects_outputs_sharper_than_their_input() {
    let layout = layout(48, 61, 0.2);
    let image = golden("image_48x61.f32");
    let input = batch(&layout, &[image.clone(), image], &[0.7, 1.5]);
    let with = |inner| Observe { input_psf: Some(InputPsf::FwhmArcsec(inner)), ..noise_free() };
    let (rows, rejects) = run(with(Quantity::column("seeing")), &input);
    assert_eq!(rows.num_rows(), 1);
    assert_eq!((rejects.rejected[0].row, rejects.rejected[0].stage.as_str()), (1, "seen"));
    assert!(rejects.rejected[0].reason.contains("FWHM of 1.5000\""), "{}", rejects.rejected[0].reason);

    let mut hidden = with(Quantity::Value(1.5)).build("seen").unwrap().prerequisites().remove(0).1;
    let mistakes = hidden.bind(&input.schema()).unwrap_err();
    assert_eq!((mistakes.len(), mistakes[0].path.join(".")), (3, "input_psf".to_owned()));
}
