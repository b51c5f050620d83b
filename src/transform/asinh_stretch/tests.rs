use std::path::Path;

use arrow::array::ArrayRef;
use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::{
    batch::{Stretch, list_values},
    card::Card,
    survey::{
        photometry::electrons_per_nanojansky,
        preset::{Band, Survey},
    },
    transform::{
        conformance::keeps_its_promises,
        fixtures::{bind_kind, first_diagnostic, test_layout, test_rows},
    },
};

fn settings(constants: &Value) -> Value {
    json!({ "image": "image", "constants": constants })
}

/// The first mistake of settings: its place, its code, its message and its help.
fn mistake(settings: Value) -> (String, Code, String, String) {
    let Diagnostic { path, code, message, help, .. } =
        first_diagnostic("asinh_stretch", settings, &test_rows(1).schema());
    (path.join("."), code, message, help.unwrap_or_default())
}

fn exact(x: f32, lo: f64, hi: f64) -> f64 {
    f64::midpoint((0.85 / hi * f64::from(x).clamp(lo, hi)).asinh(), 1.0)
}

/// An ONNX file with a card and nothing that can be run.
fn model_with_card(folder: &Path) -> String {
    #[derive(Clone, PartialEq, Message)]
    struct TestName {
        #[prost(string, tag = "1")]
        name: String,
    }
    #[derive(Clone, PartialEq, Message)]
    struct TestGraph {
        #[prost(message, repeated, tag = "11")]
        input: Vec<TestName>,
        #[prost(message, repeated, tag = "12")]
        output: Vec<TestName>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct TestEntry {
        #[prost(string, tag = "1")]
        key: String,
        #[prost(string, tag = "2")]
        value: String,
    }
    #[derive(Clone, PartialEq, Message)]
    struct TestModel {
        #[prost(message, optional, tag = "7")]
        graph: Option<TestGraph>,
        #[prost(message, repeated, tag = "14")]
        metadata: Vec<TestEntry>,
    }
    let card = json!({
        "classes": ["spiral", "merger"], "bands": ["g", "r", "i"], "size": 100, "pixel_scale_arcsec": 0.2,
        "domains": { "y10": { "lo": -1.0, "hi": 30.0 }, "y1": { "lo": -0.5, "hi": 3.0 } }, "format": 2, "unit": "nJy",
    });
    let name = |name: &str| TestName { name: name.into() };
    let graph = TestGraph { input: vec![name("image")], output: vec![name("logits")] };
    let entry = TestEntry { key: crate::card::KEY.into(), value: card.to_string() };
    let path = folder.join("model.onnx");
    std::fs::write(&path, TestModel { graph: Some(graph), metadata: vec![entry] }.encode_to_vec()).expect("written");
    path.display().to_string()
}

#[test]
fn uses_the_constants_of_a_domain_of_a_model_and_puts_them_into_the_metadata() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model_with_card(folder.path());
    let batch = test_rows(2);
    let constants = json!({ "model": model, "domain": "y10" });
    let mut stretch = bind_kind("asinh_stretch", settings(&constants), &batch.schema()).expect("bound");
    let out = stretch.apply(batch.clone(), &mut Rejects::default()).expect("stretched");
    let made = ImageLayout::of(out.schema().field_with_name("made").expect("a column")).expect("an image");
    let constants = Some(Stretch { lo: -1.0, hi: 30.0 });
    assert_eq!(made, ImageLayout { unit: Unit::Stretched, stretch: constants, ..test_layout() });
    let (from, to) = (list_values(&batch, "image").expect("images").0, list_values(&out, "made").expect("images").0);
    let worst = from.iter().zip(to).map(|(x, y)| (f64::from(*y) - exact(*x, -1.0, 30.0)).abs()).fold(0.0, f64::max);
    assert!(worst < 1.5e-7, "{worst:e}");
}

#[test]
fn reports_missing_files_and_unknown_domains() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model_with_card(folder.path());
    let (path, code, message, help) = mistake(settings(&json!({ "model": model, "domain": "y01" })));
    assert_eq!((path.as_str(), code), ("constants.domain", Code::ModelMismatch));
    assert!(message.ends_with("has no domain `y01`; it has `y1`, `y10`"), "{message}");
    assert_eq!(help, "did you mean `y1`?");
    let (path, code, ..) = mistake(settings(&json!({ "model": "nowhere.onnx", "domain": "y1" })));
    assert_eq!((path.as_str(), code), ("constants.model", Code::MissingFile));
    let (path, code, ..) = mistake(settings(&json!({ "file": "nowhere.json", "domain": "y1" })));
    assert_eq!((path.as_str(), code), ("constants.file", Code::MissingFile));
    let text = folder.path().join("model.txt");
    std::fs::write(&text, "no model").expect("written");
    let (path, code, ..) = mistake(settings(&json!({ "model": text.display().to_string(), "domain": "y1" })));
    assert_eq!((path.as_str(), code), ("constants.model", Code::ModelMismatch));
}

#[test]
fn uses_the_constants_of_a_calibration_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stretch.yaml");
    std::fs::write(&path, "domains: { kids: { lo: -2, hi: 20 } }").expect("written");
    let constants = json!({ "file": path.display().to_string(), "domain": "kids" });
    let mut stretch = bind_kind("asinh_stretch", settings(&constants), &test_rows(1).schema()).expect("bound");
    let out = stretch.apply(test_rows(1), &mut Rejects::default()).expect("stretched");
    let (x, y) =
        (list_values(&test_rows(1), "image").expect("images").0[7], list_values(&out, "made").expect("images").0[7]);
    assert!((f64::from(y) - exact(x, -2.0, 20.0)).abs() < 1.5e-7);
}

#[test]
fn constants_are_for_images_of_their_unit_and_exposure() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stretch.yaml");
    let text = "domains: { y10: { lo: -2, hi: 20, unit: electron, electrons_per_njy: [30, 40, 50] } }";
    std::fs::write(&path, text).expect("written");
    let constants = json!({ "file": path.display().to_string(), "domain": "y10" });
    let image = |unit, electrons: Option<[f64; 3]>| {
        let layout = ImageLayout { unit, electrons_per_njy: electrons.map(Vec::from), ..test_layout() };
        Schema::new(vec![layout.field("image")])
    };
    let scaled = |schema: &Schema, scale_to: Value| {
        let settings = json!({ "image": "image", "constants": constants, "scale_to": scale_to });
        bind_kind("asinh_stretch", settings, schema).err().map(|mistakes| mistakes[0].message.clone())
    };
    let (y1, y10) = (Some([3.0, 4.0, 5.0]), Some([30.0, 40.2, 50.0]));
    assert_eq!(scaled(&image(Unit::Electron, y10), Value::Null), None);
    assert_eq!(scaled(&image(Unit::Electron, None), Value::Null), None, "its exposure is not known");
    assert_eq!(
        scaled(&image(Unit::Electron, y1), Value::Null).as_deref(),
        Some("`image` has 3.0000 electrons per nJy in band `g`, the constants of `y10` are for 30.0000")
    );
    for unit in [Unit::NanoJansky, Unit::Unknown] {
        let expected =
            format!("`image` is in unit `{}`, the constants of `y10` are for images in `electron`", unit.name());
        assert_eq!(scaled(&image(unit, None), Value::Null), Some(expected));
    }
    let to = json!({ "electrons_per_njy": [30, 40, 50] });
    assert_eq!(scaled(&image(Unit::Electron, y1), to.clone()), None);
    assert_eq!(scaled(&image(Unit::NanoJansky, None), to), None);
    assert!(scaled(&image(Unit::NanoJansky, None), json!({ "electrons_per_njy": [3, 4, 5] })).is_some());
}

#[test]
fn cards_without_a_unit_are_for_electrons() {
    let constants = json!({ "model": "models/convnet-da.onnx", "domain": "y10" });
    let message = mistake(settings(&constants)).2;
    assert_eq!(message, "`image` is in unit `nJy`, the constants of `y10` are for images in `electron`");
}

/// Electrons per nJy of a survey in g, r and i at the airmass of its zero points.
fn electrons_of(survey: &str, years: f64) -> Vec<f64> {
    let survey = Survey::load(survey).expect("a survey");
    let of = |band: &str| {
        let Band { seconds_per_year, zero_point_electrons_per_second, .. } = survey.bands[band];
        electrons_per_nanojansky(years * seconds_per_year, zero_point_electrons_per_second, 0.0)
    };
    ["g", "r", "i"].map(of).to_vec()
}

#[test]
fn constants_of_shipped_models_are_for_the_exposures_of_their_domains() {
    for model in ["convnet-da", "convnet-regular", "resnet18-da", "resnet18-regular"] {
        let path = format!("models/{model}.onnx");
        let card = Card::read(Path::new(&path)).expect("a card");
        let domains = [("y1", 1.0), ("y10", 10.0)];
        assert_eq!(card.electrons_per_njy.keys().collect::<Vec<_>>(), ["y1", "y10"], "{model}");
        for (domain, years) in domains {
            let expected = electrons_of("lsst", years);
            let found = &card.electrons_per_njy[domain];
            assert!(found.iter().zip(&expected).all(|(found, expected)| (found / expected - 1.0).abs() < 1e-12));
        }
        let constants = |domain: &str| json!({ "model": path, "domain": domain });
        let stretched = |survey: &str, years: f64, domain: &str| {
            let layout = ImageLayout { unit: Unit::Electron, ..test_layout() };
            let layout = layout.with_electrons_per_njy(electrons_of(survey, years));
            let schema = Schema::new(vec![layout.field("image")]);
            bind_kind("asinh_stretch", settings(&constants(domain)), &schema).err().map(|mistakes| mistakes[0].clone())
        };
        for (domain, years) in domains {
            assert!(stretched("lsst", years, domain).is_none(), "{model} {domain}");
        }
        let mistake = stretched("lsst", 1.0, "y10").expect("another exposure");
        assert_eq!(
            mistake.message,
            "`image` has 13.3419 electrons per nJy in band `g`, the constants of `y10` are for 133.4195"
        );
        for (survey, years, domain) in [("lsst", 10.0, "y1"), ("lsst", 5.0, "y10"), ("des", 1.0, "y10")] {
            assert!(stretched(survey, years, domain).is_some(), "{model}: {survey} {years} {domain}");
        }
    }
}

#[test]
fn requires_exactly_one_origin_of_the_constants() {
    for (constants, path, code) in [
        (json!({}), "constants", Code::MissingKey),
        (json!({ "domain": "y1" }), "constants", Code::MissingKey),
        (json!({ "model": "m.onnx" }), "constants", Code::MissingKey),
        (json!({ "hi": 3.0 }), "constants", Code::MissingKey),
        (json!({ "model": "m.onnx", "domain": "y1", "hi": 3.0 }), "constants.lo", Code::Conflict),
        (json!({ "lo": 0.0, "hi": 3.0, "per_image": {} }), "constants.per_image", Code::Conflict),
        (json!({ "lo": 4.0, "hi": 3.0 }), "constants", Code::OutOfRange),
        (json!({ "per_image": { "low_percent": 99.95 } }), "constants.per_image", Code::OutOfRange),
    ] {
        assert_eq!(mistake(settings(&constants)).0, path, "{constants}");
        assert_eq!(mistake(settings(&constants)).1, code, "{constants}");
    }
}

#[test]
fn percentiles_are_those_of_each_image() {
    let batch = test_rows(3);
    let constants = json!({ "per_image": { "low_percent": 10.0, "high_percent": 90.0 } });
    let mut stretch = bind_kind("asinh_stretch", settings(&constants), &batch.schema()).expect("bound");
    let out = stretch.apply(batch.clone(), &mut Rejects::default()).expect("stretched");
    let made = ImageLayout::of(out.schema().field_with_name("made").expect("a column")).expect("an image");
    assert_eq!((made.unit, made.stretch), (Unit::Stretched, None));
    let images = list_values(&batch, "image").expect("images").0.chunks(240);
    for (image, made) in images.zip(list_values(&out, "made").expect("images").0.chunks(240)) {
        let mut sorted = image.to_vec();
        sorted.sort_by(f32::total_cmp);
        // 239 * 0.1 = 23.9 and 239 * 0.9 = 215.1
        let between = |i: usize, part: f64| f64::from(sorted[i]) * (1.0 - part) + f64::from(sorted[i + 1]) * part;
        let (lo, hi) = (between(23, 0.9), between(215, 0.1));
        assert!(image.iter().zip(made).all(|(x, y)| (f64::from(*y) - exact(*x, lo, hi)).abs() < 3e-7));
    }
}

#[test]
fn rejects_rows_with_bad_pixels_or_without_flux() {
    let mut rejects = Rejects::default();
    let constants = json!({ "lo": -1.0, "hi": 30.0 });
    let mut stretch = bind_kind("asinh_stretch", settings(&constants), &test_rows(5).schema()).expect("bound");
    let out = stretch.apply(test_rows(5), &mut rejects).expect("stretched");
    assert_eq!((out.num_rows(), rejects.rejected.len(), rejects.rejected[0].row), (4, 1, 3));
    assert_eq!(rejects.rejected[0].reason, "pixel r y=2 x=4 of `image` is NaN, expected a finite number");

    let dark = list_column(vec![-1.0; 240], 240).expect("a column");
    let batch = replaced(&test_rows(1), "image", dark);
    let mut stretch =
        bind_kind("asinh_stretch", settings(&json!({ "per_image": {} })), &batch.schema()).expect("bound");
    let out = stretch.apply(batch, &mut rejects).expect("stretched");
    assert_eq!((out.num_rows(), rejects.rejected.len()), (0, 2));
    let reason = "percentiles 0.1 and 99.9 of `image` are -1 and -1, expected lo < hi and hi > 0";
    assert_eq!(rejects.rejected[1].reason, reason);
}

fn replaced(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of(name).expect("a column")] = column;
    RecordBatch::try_new(batch.schema(), columns).expect("a batch")
}

#[test]
fn scales_fluxes_to_the_exposure_of_another_image_band_by_band() {
    let gain = |layout: ImageLayout, gain: [f64; 3]| ImageLayout {
        unit: Unit::Electron,
        electrons_per_njy: Some(gain.to_vec()),
        ..layout
    };
    let (y1, y10) = (gain(test_layout(), [1.0, 2.0, 4.0]), gain(test_layout(), [10.0, 20.0, 20.0]));
    let pixels: Vec<f32> = (0..240).map(|i| i as f32 / 40.0).collect();
    let column = list_column(pixels.clone(), 240).expect("a column");
    let bare = test_rows(1).project(&[0, 1, 2]).expect("a batch");
    let columns = [(y1.field("y1_sky"), column.clone()), (y10.field("y10_sky"), column)];
    let batch = with_columns(&bare, columns).expect("a batch");
    let settings = json!({
        "image": "y1_sky", "constants": { "lo": -5.0, "hi": 40.0 }, "scale_to": { "image": "y10_sky" }
    });
    let mut stretch = bind_kind("asinh_stretch", settings.clone(), &batch.schema()).expect("bound");
    assert_eq!(stretch.required_columns().len(), 2);
    let out = stretch.apply(batch, &mut Rejects::default()).expect("stretched");
    for (i, y) in list_values(&out, "made").expect("images").0.iter().enumerate() {
        let want = exact(pixels[i] * [10.0, 10.0, 5.0][i / 80], -5.0, 40.0);
        assert!((f64::from(*y) - want).abs() < 1.5e-7, "{i}");
    }
    let unknown = ImageLayout { electrons_per_njy: None, ..y10 };
    let schema = Schema::new(vec![y1.field("y1_sky"), unknown.field("y10_sky")]);
    let mistake = first_diagnostic("asinh_stretch", settings, &schema);
    assert_eq!((mistake.path.join("."), mistake.code), ("scale_to.image".into(), Code::WrongColumn));
}

#[test]
fn keeps_its_promises_with_explicit_factors_and_a_clip_beyond_the_polynomial() {
    let constants = json!({ "lo": -90.0, "hi": 30.0 });
    let scale_to = json!({ "electrons_per_njy": [3.0, 4.0, 5.0] });
    keeps_its_promises("asinh_stretch", &json!({ "image": "image", "constants": constants, "scale_to": scale_to }));
}
