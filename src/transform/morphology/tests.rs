#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray, UInt64Array},
    compute::cast,
    datatypes::{DataType, Field, Float64Type, Int32Type, Schema},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    batch::{ImageLayout, Stretch, Unit, list_column, with_columns},
    stage::Rejects,
    transform::{
        conformance::keeps_its_promises,
        fixtures::{bind_kind, first_diagnostic, test_layout, test_rows},
    },
};

const SIZE: usize = 64;

fn of_size(height: usize, width: usize) -> ImageLayout {
    ImageLayout { bands: vec!["g".into(), "r".into()], height, width, unit: Unit::Electron, ..test_layout() }
}

/// One row per image.
fn rows(layout: &ImageLayout, images: &[Vec<f32>]) -> RecordBatch {
    let ids = || StringArray::from_iter_values((0..images.len()).map(|i| format!("object-{i}")));
    let schema = Schema::new(vec![
        Field::new("_row", DataType::UInt64, false),
        Field::new("object_id", DataType::Utf8, false),
        Field::new("origin", DataType::Utf8, false),
        layout.field("image"),
    ]);
    let pixels = list_column(images.concat(), layout.pixels()).unwrap();
    let numbers = UInt64Array::from_iter_values(0..images.len() as u64);
    let columns = vec![Arc::new(numbers) as _, Arc::new(ids()) as _, Arc::new(ids()) as _, pixels];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

/// A disc in g and two discs in r, on a sky with noise of standard deviation 1.
fn galaxy() -> Vec<f32> {
    let disc = |x: f32, y: f32, xc: f32, yc: f32, h: f32| (-((x - xc).powi(2) + (y - yc).powi(2)).sqrt() / h).exp();
    let noise = |i: usize| {
        let uniform = |k: usize| f64::from(((12 * i + k + 1) as u32).wrapping_mul(2_654_435_761)) / f64::from(u32::MAX);
        ((0..12).map(|k| (uniform(k) * 1e4).fract()).sum::<f64>() - 6.0) as f32
    };
    (0..2 * SIZE * SIZE)
        .map(|i| {
            let (x, y) = ((i % SIZE) as f32, (i / SIZE % SIZE) as f32);
            let light = if i < SIZE * SIZE {
                300.0 * disc(x, y, 32.3, 31.8, 4.0)
            } else {
                200.0 * disc(x, y, 26.0, 30.0, 2.5) + 180.0 * disc(x, y, 38.0, 34.0, 2.5)
            };
            light + noise(i)
        })
        .collect()
}

fn measured(settings: Value, input: &RecordBatch) -> RecordBatch {
    let mut step = bind_kind("morphology", settings, input.schema_ref()).unwrap();
    step.apply(input.clone(), &mut Rejects::default()).unwrap()
}

fn number(batch: &RecordBatch, column: &str, row: usize) -> Option<f64> {
    let column = batch[column].as_primitive::<Float64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn class(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    let column = cast(&batch[column], &DataType::Utf8).unwrap();
    let column = column.as_string::<i32>();
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn flag(batch: &RecordBatch, row: usize) -> i32 {
    batch["made_flag"].as_primitive::<Int32Type>().value(row)
}

/// The key and the text of the first mistake.
fn mistake(settings: Value, input: &RecordBatch) -> (String, String) {
    let mistake = first_diagnostic("morphology", settings, input.schema_ref());
    (mistake.path.join("."), mistake.to_string())
}

#[test]
fn measures_bands_independently_and_r_by_default() {
    let input = rows(&of_size(SIZE, SIZE), &[galaxy()]);
    let r = measured(json!({ "image": "image" }), &input);
    let all = measured(json!({ "image": "image", "band": "all" }), &input);
    assert_eq!((flag(&r, 0), class(&r, "made_class", 0).as_deref()), (0, Some("merger")));
    for name in ["gini", "m20", "asymmetry", "r80_pixels", "signal_to_noise"] {
        assert_eq!(number(&r, &format!("made_{name}"), 0), number(&all, &format!("made_r_{name}"), 0), "{name}");
    }
    assert_eq!(class(&all, "made_g_class", 0).as_deref(), Some("spiral"));
    let g = measured(json!({ "image": "image", "band": "g" }), &input);
    assert_eq!(number(&g, "made_gini", 0), number(&all, "made_g_gini", 0));
    // An exponential disc without a PSF has C = 2.7; its Petrosian radius is 3.64 scale lengths.
    let petrosian = number(&g, "made_petrosian_pixels", 0).unwrap();
    assert!((petrosian / 4.0 - 3.64).abs() < 0.2, "{petrosian}");
    let concentration = number(&g, "made_concentration", 0).unwrap();
    assert!((concentration - 2.7).abs() < 0.15, "{concentration}");
}

#[test]
fn statistics_that_cannot_be_measured_are_null_and_flagged() {
    let layout = of_size(SIZE, SIZE);
    let flat = |value: f32| vec![value; layout.pixels()];
    let negative = galaxy().iter().map(|value| -value - 50.0).collect();
    let lost = galaxy().iter().map(|_| f32::NAN).collect();
    let input = rows(&layout, &[flat(0.0), flat(7.0), flat(-3.0), negative, lost]);
    for settings in [json!({ "image": "image" }), json!({ "image": "image", "sky_sigma": "off" })] {
        let out = measured(settings.clone(), &input);
        for row in [0, 2, 3, 4] {
            assert_eq!(
                (class(&out, "made_class", row), number(&out, "made_gini", row)),
                (None, None),
                "{row} {settings}"
            );
            assert_eq!(flag(&out, row), 4, "{row} {settings}");
        }
        assert!(flag(&out, 1) >= 2, "{settings}");
    }
}

#[test]
fn uses_the_segmentation_map_of_a_column() {
    let layout = of_size(SIZE, SIZE);
    let input = rows(&layout, &[galaxy()]);
    // The two discs are different sources.
    let map: Vec<f32> = (0..SIZE * SIZE)
        .map(|i| {
            let (x, y) = ((i % SIZE) as f32, (i / SIZE) as f32);
            let near = |xc: f32, yc: f32| (x - xc).powi(2) + (y - yc).powi(2) < 36.0;
            if near(26.0, 30.0) { 3.0 } else { f32::from(u8::from(near(38.0, 34.0))) }
        })
        .collect();
    let of_map = ImageLayout { bands: vec!["any".into()], unit: Unit::Unknown, ..layout.clone() };
    let column = (of_map.field("map"), list_column(map, SIZE * SIZE).unwrap());
    let input = with_columns(&input, [column]).unwrap();
    let given = measured(json!({ "image": "image", "segmentation": { "column": "map" } }), &input);
    let found = measured(json!({ "image": "image" }), &input);
    let light = |batch| number(batch, "made_half_light_pixels", 0).unwrap();
    assert!(light(&given) < 0.8 * light(&found), "{} {}", light(&given), light(&found));
    assert_ne!(class(&given, "made_class", 0), class(&found, "made_class", 0));

    let (path, text) = mistake(json!({ "image": "image", "segmentation": { "column": "image2" } }), &input);
    assert!(path == "segmentation.column" && text.contains("did you mean `image`"), "{text}");
    let small = ImageLayout { height: 3, width: 3, ..of_map };
    let column = (small.field("small"), list_column(vec![0.0; 9], 9).unwrap());
    let input = with_columns(&input, [column]).unwrap();
    let (_, text) = mistake(json!({ "image": "image", "segmentation": { "column": "small" } }), &input);
    assert!(text.contains("`small` is 3x3 pixels, expected 64x64"), "{text}");
}

#[test]
fn the_noise_is_that_of_gain_variance_or_sky() {
    let layout = of_size(SIZE, SIZE);
    let input = rows(&layout, &[galaxy()]);
    let signal = |settings, input: &RecordBatch| number(&measured(settings, input), "made_signal_to_noise", 0).unwrap();
    let photons = signal(json!({ "image": "image" }), &input);
    let sky = signal(json!({ "image": "image", "gain": "off" }), &input);
    assert!(sky > 2.0 * photons, "{sky} {photons}");
    let squared = ImageLayout { unit: layout.unit.squared(), ..layout.clone() };
    let column = (squared.field("image_variance"), list_column(vec![4.0; layout.pixels()], layout.pixels()).unwrap());
    let with_variance = with_columns(&input, [column]).unwrap();
    let variance = signal(json!({ "image": "image" }), &with_variance);
    assert!(
        (variance / sky - 0.5).abs() < 0.05,
        "the sky has a standard deviation of 1, the variance one of 2: {variance} {sky}"
    );
    assert_eq!(signal(json!({ "image": "image", "gain": 1.0 }), &with_variance), photons);
    // Without noise the ratio is null, which is not a failure.
    let none = measured(json!({ "image": "image", "gain": "off", "sky_sigma": "off" }), &input);
    assert_eq!(number(&none, "made_signal_to_noise", 0), None);
}

#[test]
fn a_residual_sky_is_flagged_unless_it_is_subtracted() {
    let raised: Vec<f32> = galaxy().iter().map(|value| value + 20.0).collect();
    let input = rows(&of_size(SIZE, SIZE), &[raised]);
    assert_eq!(flag(&measured(json!({ "image": "image" }), &input), 0), 2);
    let subtracted = measured(json!({ "image": "image", "subtract_background": true }), &input);
    assert_eq!(flag(&subtracted, 0), 0);
    let clean = measured(json!({ "image": "image" }), &rows(&of_size(SIZE, SIZE), &[galaxy()]));
    let gini = |batch| number(batch, "made_gini", 0).unwrap();
    assert!((gini(&subtracted) - gini(&clean)).abs() < 0.01);
}

#[test]
fn flags_a_galaxy_with_a_half_light_radius_below_half_the_fwhm_of_the_psf() {
    let input = rows(&of_size(SIZE, SIZE), &[galaxy()]);
    let half_light = number(&measured(json!({ "image": "image" }), &input), "made_half_light_pixels", 0).unwrap();
    for (fwhm_pixels, expected) in [(1.8 * half_light, 0), (2.5 * half_light, 1)] {
        let settings =
            json!({ "image": "image", "psf_fwhm_arcsec": 0.2 * fwhm_pixels, "segmentation": { "column": "map" } });
        let map: Vec<f32> = galaxy()[SIZE * SIZE..].iter().map(|value| f32::from(u8::from(*value > 4.0))).collect();
        let of_map = ImageLayout { bands: vec!["any".into()], ..of_size(SIZE, SIZE) };
        let column = (of_map.field("map"), list_column(map, SIZE * SIZE).unwrap());
        let out = measured(settings, &with_columns(&input, [column]).unwrap());
        assert_eq!(flag(&out, 0), expected, "{fwhm_pixels}");
    }
}

#[test]
fn reports_mistakes_at_their_keys() {
    let input = test_rows(1);
    let first = |settings| mistake(settings, &input);
    let (path, text) = first(json!({ "image": "image", "band": "rr" }));
    assert!(path == "band" && text.contains("did you mean `r`?"), "{text}");
    assert_eq!(first(json!({ "image": "image", "band": ["g", "g"] })).0, "band");
    assert_eq!(first(json!({ "image": "image", "band": [] })).0, "band");
    assert_eq!(first(json!({ "image": "image", "segmentation": { "sigma": 0.0 } })).0, "segmentation.sigma");
    assert_eq!(
        first(json!({ "image": "image", "segmentation": { "light_share": 1.0 } })).0,
        "segmentation.light_share"
    );
    assert_eq!(first(json!({ "image": "image", "gain": { "x": 2.0 } })).0, "gain.x");
    assert_eq!(first(json!({ "image": "image", "sky_sigma": -1.0 })).0, "sky_sigma");
    let with = |layout: ImageLayout| rows(&layout, &[vec![0.0; layout.pixels()]]);
    let other = ImageLayout { bands: vec!["u".into(), "y".into()], ..of_size(4, 4) };
    let (path, text) = mistake(json!({ "image": "image" }), &with(other));
    assert!(path == "band" && text.contains("has no band `r`"), "{text}");
    let stretched = ImageLayout { unit: Unit::Stretched, stretch: Some(Stretch { lo: 0.0, hi: 1.0 }), ..of_size(4, 4) };
    assert_eq!(mistake(json!({ "image": "image" }), &with(stretched)).0, "image");
    let unscaled = ImageLayout { pixel_scale_arcsec: None, ..of_size(4, 4) };
    assert_eq!(mistake(json!({ "image": "image", "psf_fwhm_arcsec": 1.0 }), &with(unscaled)).0, "psf_fwhm_arcsec");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn measures_any_image_without_panicking_and_yields_finite_statistics(
        height in 1usize..30, width in 1usize..30, seed in any::<u32>(), kind in 0usize..6, size in -20f32..38.0,
    ) {
        let layout = of_size(height, width);
        let random = |i: usize| ((i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 9) as f32 / 8_388_608.0;
        let pixel = |i: usize| match kind {
            0 => random(i) * 10f32.powf(size),
            1 => (random(i) - 0.5) * 10f32.powf(size),
            2 => (random(i) * 3.0).floor(),
            3 => if random(i) > 0.9 { f32::INFINITY } else { random(i) },
            4 => if random(i) > 0.95 { 10f32.powf(size) } else { 0.0 },
            _ => -random(i),
        };
        let input = rows(&layout, &[(0..layout.pixels()).map(pixel).collect()]);
        for settings in [
            json!({ "image": "image" }),
            json!({ "image": "image", "sky_sigma": "off", "segmentation": { "light_share": 0.5 } }),
            json!({ "image": "image", "sky_sigma": 0.1, "subtract_background": true }),
            json!({ "image": "image", "segmentation": { "column": "image" } }),
        ] {
            let out = measured(settings.clone(), &input);
            for column in out.columns().iter().filter(|column| *column.data_type() == DataType::Float64) {
                let numbers = column.as_primitive::<Float64Type>();
                prop_assert!(numbers.iter().flatten().all(f64::is_finite), "{settings}: {out:?}");
            }
            let flag = flag(&out, 0);
            prop_assert!([0, 1, 2, 4].contains(&flag), "{flag}");
            prop_assert!(flag >= 2 || class(&out, "made_class", 0).is_some());
        }
    }
}

#[test]
fn keeps_its_promises_with_a_map_and_a_gain_column() {
    keeps_its_promises("morphology", &json!({ "image": "image", "band": ["g"], "gain": { "column": "gain" } }));
    let map = json!({ "column": "image_mask" });
    keeps_its_promises("morphology", &json!({ "image": "image", "segmentation": map, "sky_sigma": 0.3 }));
}
