//! The score kind `onnx` against Python's onnxruntime, on the fixtures of `tests/golden/onnx`.

use std::{path::PathBuf, process::Command, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Int32Type, Schema},
};
use lucarne::{
    batch::{ImageLayout, LatentLayout, OBJECT_ID, ORIGIN, ROW, ScoredImage, Stretch, Unit, list_column, list_values},
    card::ModelFile,
    error::Code,
    monitor::latent_drift::LatentDrift,
    score::onnx::{CardSource, Device, Onnx, OnnxScorer},
    stage::{Rejects, RunContext, Scorer, Settings},
};
use parquet::arrow::ArrowWriter;
use serde::Deserialize;

/// Outputs of Python's onnxruntime, written by `tests/golden/onnx/make.py`.
#[derive(Deserialize)]
struct GoldenOutputs {
    images: Vec<Vec<f32>>,
    logits: Vec<Vec<f32>>,
    latents: Vec<Vec<f32>>,
    nan: Vec<bool>,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from("tests/golden/onnx").join(name)
}

fn golden() -> GoldenOutputs {
    serde_json::from_str(&std::fs::read_to_string(fixture("golden.json")).unwrap()).unwrap()
}

fn layout() -> ImageLayout {
    ImageLayout::new(["g", "r", "i"], 8, 8, Unit::Stretched)
        .with_pixel_scale(0.2)
        .with_stretch(Stretch { lo: -367.0, hi: 2388.0 })
}

fn batch(images: &[Vec<f32>]) -> RecordBatch {
    let names: Vec<String> = (0..images.len()).map(|i| format!("galaxy-{i}")).collect();
    let fields = vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
        layout().field("y1"),
    ];
    let rows: UInt64Array = (0..images.len() as u64).collect();
    let names = Arc::new(StringArray::from(names));
    let pixels = list_column(images.concat(), layout().pixels()).unwrap();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(rows), names.clone(), names, pixels]).unwrap()
}

fn settings(model: &str) -> Onnx {
    Onnx { device: Device::Cpu, ..Onnx::new(fixture(model), "y1") }
}

fn started(settings: Onnx) -> OnnxScorer {
    let mut scorer = OnnxScorer::new("da_y1", settings);
    scorer.bind(&Schema::new(vec![layout().field("y1")])).unwrap();
    scorer.start(&RunContext { seed: 1, threads: 2, batch_rows: 32, ..RunContext::default() }).unwrap();
    scorer
}

/// The first diagnostic of binding to a column of some layout.
fn diagnostic(settings: Onnx, layout: &ImageLayout) -> (Code, String) {
    let mut scorer = OnnxScorer::new("da_y1", settings);
    let found = scorer.bind(&Schema::new(vec![layout.field("y1")])).unwrap_err().swap_remove(0);
    (found.code, found.message)
}

fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_and_latents_equal_those_of_onnxruntime_in_python() {
    let golden = golden();
    // The weights of `external.onnx` lie in a file beside it.
    for model in ["tiny.onnx", "fixed_batch.onnx", "external.onnx"] {
        let scorer = started(settings(model));
        let outputs = scorer.model().unwrap().evaluate(&golden.images.concat()).unwrap();
        let of_latents = scorer.model().unwrap().head(&golden.latents.concat()).unwrap();
        assert!(largest_difference(&of_latents, &golden.logits.concat()) < 1e-5, "{model}");
        assert!(largest_difference(&outputs.logits, &golden.logits.concat()) < 1e-5, "{model}");
        assert!(largest_difference(&outputs.latents, &golden.latents.concat()) < 1e-5, "{model}");
    }
}

#[test]
fn weights_beside_a_model_are_part_of_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["external.onnx", "external.onnx.data"] {
        std::fs::copy(format!("tests/golden/onnx/{name}"), path(name)).unwrap();
    }
    let digest = || ModelFile::read(&path("external.onnx")).map(|file| file.digest).map_err(|error| error.to_string());
    let before = digest().unwrap();
    let mut weights = std::fs::read(path("external.onnx.data")).unwrap();
    weights[100] ^= 1;
    std::fs::write(path("external.onnx.data"), weights).unwrap();
    assert_ne!(digest().unwrap(), before);
    std::fs::remove_file(path("external.onnx.data")).unwrap();
    let error = digest().unwrap_err();
    assert!(error.contains("external.onnx.data`, which cannot be read"), "{error}");
}

#[test]
fn a_scored_row_has_class_probabilities_and_latent() {
    let golden = golden();
    let mut rejects = Rejects::default();
    let scored = started(settings("tiny.onnx")).score(batch(&golden.images), &mut rejects).unwrap();
    assert!(rejects.rejected.is_empty());

    let schema = scored.schema();
    let field = schema.field_with_name("da_y1_class").unwrap();
    assert_eq!(field.metadata()["classes"], r#"["spiral","elliptical","merger"]"#);
    assert_eq!(field.metadata()["image"], "y1");
    assert!(field.metadata()["model"].ends_with("tiny.onnx"));

    let class = scored.column_by_name("da_y1_class").unwrap().as_dictionary::<Int32Type>();
    let names = class.values().as_string::<i32>();
    let (probabilities, classes) = list_values(&scored, "da_y1_probability").unwrap();
    let (latents, length) = list_values(&scored, "da_y1_latent").unwrap();
    assert_eq!((classes, length), (3, 6));
    assert!(largest_difference(latents, &golden.latents.concat()) < 1e-5);
    for (row, logits) in golden.logits.iter().enumerate() {
        let best = (0..3).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        assert_eq!(names.value(class.keys().value(row) as usize), ["spiral", "elliptical", "merger"][best]);
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        for k in 0..3 {
            let expected = f64::from(logits[k]).exp() / sum;
            assert!((f64::from(probabilities[row * 3 + k]) - expected).abs() < 1e-5);
        }
    }
}

#[test]
fn scores_are_bitwise_independent_of_batch_composition() {
    let images = golden().images;
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let together = started(settings("tiny.onnx")).model().unwrap().evaluate(&images.concat()).unwrap();
    for max_batch_size in [1, 3, 64] {
        let scorer = started(Onnx { max_batch_size: Some(max_batch_size), ..settings("tiny.onnx") });
        let other = scorer.model().unwrap().evaluate(&images.concat()).unwrap();
        assert_eq!(bits(&other.logits), bits(&together.logits), "batches of at most {max_batch_size}");
        let last = scorer.model().unwrap().evaluate(&images[6]).unwrap();
        assert_eq!(bits(&last.latents), bits(&together.latents[36..]), "the last image alone");
    }
}

#[test]
fn workers_share_a_scorer() {
    let images = golden().images.concat();
    let scorer = started(settings("tiny.onnx"));
    let alone = scorer.model().unwrap().evaluate(&images).unwrap();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| (0..20).all(|_| scorer.model().unwrap().evaluate(&images).unwrap() == alone)))
            .collect();
        assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
    });
}

#[test]
fn rejects_only_the_rows_whose_output_is_not_finite() {
    let golden = golden();
    let scorer = started(settings("sometimes_nan.onnx"));
    let mut rejects = Rejects::default();
    let scored = scorer.score(batch(&golden.images), &mut rejects).unwrap();
    let expected: Vec<u64> = (0..7).filter(|&row| golden.nan[row as usize]).collect();
    assert!(!expected.is_empty() && expected.len() < 7);
    assert_eq!(rejects.rejected.iter().map(|reject| reject.row).collect::<Vec<_>>(), expected);
    assert!(rejects.rejected[0].reason.contains("logits that are not finite: [NaN"), "{}", rejects.rejected[0].reason);
    assert_eq!((scored.num_rows(), rejects.rejected[0].stage.as_str()), (7 - expected.len(), "da_y1"));
    assert!(scored.column_by_name("da_y1_latent").is_none(), "the model has no latent vector");
}

#[test]
fn rejects_images_with_non_finite_pixels_even_if_the_output_is_finite() {
    let mut images = golden().images;
    images[2][100] = f32::NAN;
    let mut rejects = Rejects::default();
    let scored = started(settings("tiny.onnx")).score(batch(&images), &mut rejects).unwrap();
    assert_eq!((scored.num_rows(), rejects.rejected.len()), (6, 1));
    assert_eq!(rejects.rejected[0].reason, "a pixel is not finite");
}

#[test]
fn scores_an_empty_batch() {
    let scored = started(settings("tiny.onnx")).score(batch(&[]), &mut Rejects::default()).unwrap();
    assert_eq!((scored.num_rows(), scored.num_columns()), (0, 7));
}

#[test]
fn binding_reports_what_is_wrong_with_a_model_file() {
    assert_eq!(diagnostic(settings("nowhere.onnx"), &layout()).0, Code::MissingFile);
    for (model, part) in
        [("no_card.onnx", "has no card"), ("broken_card.onnx", "cannot be used"), ("make.py", "is not an ONNX model")]
    {
        let (code, message) = diagnostic(settings(model), &layout());
        assert_eq!(code, Code::ModelMismatch, "{model}");
        assert!(message.contains(part), "{message}");
    }
    let renamed = Onnx { logits: Some("scores".into()), ..settings("tiny.onnx") };
    assert!(diagnostic(renamed, &layout()).1.contains("no output `scores`"));
    let electrons = ImageLayout::new(["g", "r", "i"], 8, 8, Unit::Electron).with_pixel_scale(0.2);
    assert_eq!(diagnostic(settings("tiny.onnx"), &electrons).0, Code::ModelMismatch);
}

#[test]
fn binding_suggests_a_column_and_refuses_one_without_images() {
    let bind =
        |schema: Schema| OnnxScorer::new("da_y1", settings("tiny.onnx")).bind(&schema).unwrap_err().swap_remove(0);
    let unknown = bind(Schema::new(vec![layout().field("y10")]));
    assert_eq!((unknown.code, unknown.help.as_deref()), (Code::UnknownColumn, Some("did you mean `y10`?")));
    let wrong = bind(Schema::new(vec![Field::new("y1", DataType::Float64, false)]));
    assert_eq!((wrong.code, wrong.message.as_str()), (Code::WrongColumn, "column `y1` does not hold images"));
}

#[test]
fn binding_refuses_a_card_with_another_number_of_classes() {
    let (code, message) = diagnostic(settings("two_classes.onnx"), &layout());
    assert_eq!(code, Code::ModelMismatch);
    assert_eq!(message, "output `logits` is float32 [N, 3], the card names 2 classes");
}

#[test]
fn the_run_record_has_device_and_digest() {
    let scorer = started(Onnx { device: Device::Auto, ..settings("tiny.onnx") });
    let record = scorer.provenance();
    assert!(["cpu", "cuda"].contains(&record["device"].as_str().unwrap()));
    assert!(record["why"].as_str().unwrap().starts_with("auto: "));
    let file = lucarne::io::digest::of_file(&fixture("tiny.onnx")).unwrap();
    assert_eq!((record["sha256"].as_str(), scorer.digest()), (Some(file.as_str()), Some(file.clone())));
    assert_eq!((record["domain"].as_str(), record["trained_on"][0].as_str()), (Some("y1"), Some("y10")));
    assert!(record["build"].as_str().unwrap().contains("git-commit-id"), "{record}");
}

#[test]
fn the_run_record_has_how_many_nodes_run_on_each_provider() {
    let scorer = started(Onnx { device: Device::Cpu, ..settings("tiny.onnx") });
    let nodes = scorer.provenance()["nodes"].clone();
    assert!(nodes["cpu"].as_u64().unwrap() > 0 && nodes.as_object().unwrap().len() == 1, "{nodes}");
    let profiles = std::env::temp_dir();
    let own = format!("lucarne-profile-{}-", std::process::id());
    // Of other tests of this process some may be open.
    let left = || {
        let names = std::fs::read_dir(&profiles).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(&own)).collect::<Vec<_>>()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !left().is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", left());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_device_that_the_build_lacks_is_refused_with_the_feature() {
    for (device, name) in [(Device::TensorRt, "tensorrt"), (Device::OpenVino, "openvino")] {
        let mut scorer = OnnxScorer::new("da_y1", Onnx { device, ..settings("tiny.onnx") });
        scorer.bind(&Schema::new(vec![layout().field("y1")])).unwrap();
        let start = scorer.start(&RunContext { seed: 1, threads: 1, batch_rows: 32, ..RunContext::default() });
        let error = start.unwrap_err();
        assert_eq!(error.to_string(), format!("device `{name}` cannot be used"));
        let built = error.report().contains("is built without");
        assert!(built, "{}", error.report());
        let read: Device = serde_json::from_value(serde_json::json!(name)).unwrap();
        assert_eq!(read, device);
    }
}

#[test]
fn a_requested_gpu_that_cannot_be_used_is_an_error() {
    let automatic = started(Onnx { device: Device::Auto, ..settings("tiny.onnx") }).provenance();
    let mut scorer = OnnxScorer::new("da_y1", Onnx { device: Device::Cuda, ..settings("tiny.onnx") });
    scorer.bind(&Schema::new(vec![layout().field("y1")])).unwrap();
    let start = scorer.start(&RunContext { seed: 1, threads: 1, batch_rows: 32, ..RunContext::default() });
    if automatic["device"] == "cuda" {
        start.unwrap();
        assert_eq!(scorer.provenance()["device"], "cuda");
    } else {
        let error = start.unwrap_err();
        assert_eq!(error.to_string(), "device `cuda` cannot be used");
        assert!(error.report().len() > error.to_string().len(), "the report has the cause: {}", error.report());
    }
}

/// ONNX Runtime keeps an identifier of the machine in the home folder, and sends it with what the models are, unless a variable is set
/// before it is loaded.
#[test]
#[cfg(unix)]
fn the_command_lets_onnx_runtime_report_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucarne"));
    command.args(["check", "pipelines/07_real_bogus.yaml"]);
    command.env("HOME", home.path()).env("XDG_CACHE_HOME", home.path().join("cache"));
    // It is quiet with any of these.
    for variable in ["ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "TF_BUILD", "GITHUB_ACTIONS"] {
        command.env_remove(variable);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [""; 0]);
}

/// The rows of a score with a card that takes images of any unit and pixel scale.
fn scored_with_any_unit(layout: &ImageLayout, card: &serde_json::Value, latent: &str) -> RecordBatch {
    let card = Some(CardSource::Keys(card.clone()));
    let mut scorer = OnnxScorer::new(
        "m",
        Onnx { card, latent: Some(latent.into()), image: "image".into(), ..settings("tiny.onnx") },
    );
    let golden = golden();
    let names = Arc::new(StringArray::from_iter_values((0..golden.images.len()).map(|i| i.to_string())));
    let schema = Arc::new(Schema::new(vec![Field::new(OBJECT_ID, DataType::Utf8, false), layout.field("image")]));
    let pixels = list_column(golden.images.concat(), layout.pixels()).unwrap();
    let rows = RecordBatch::try_new(schema.clone(), vec![names, pixels]).unwrap();
    scorer.bind(&schema).unwrap();
    scorer.start(&RunContext { seed: 1, threads: 1, batch_rows: 32, ..RunContext::default() }).unwrap();
    scorer.score(rows, &mut Rejects::default()).unwrap()
}

#[test]
fn latents_say_what_images_they_are_of_and_drift_is_not_measured_between_units() {
    let card = serde_json::json!({
        "format": 3, "classes": ["spiral", "elliptical", "merger"], "bands": ["g", "r", "i"], "size": 8,
        "pixel_scale_arcsec": "any", "unit": "unknown", "latent": "latent",
    });
    let images = |unit| ImageLayout::new(["g", "r", "i"], 8, 8, unit).with_pixel_scale(0.2);
    let stream = scored_with_any_unit(&images(Unit::NanoJansky), &card, "latent").schema();
    let layout = LatentLayout::of(stream.field_with_name("m_latent").unwrap()).unwrap();
    assert_eq!(layout, LatentLayout::new("latent", [ScoredImage::new(&images(Unit::NanoJansky), None)]));
    let y1 = started(settings("tiny.onnx")).score(batch(&golden().images), &mut Rejects::default()).unwrap();
    let layout = LatentLayout::of(y1.schema().field_with_name("da_y1_latent").unwrap()).unwrap();
    assert_eq!(layout.images[0].domain.as_deref(), Some("y1"));
    let folder = tempfile::tempdir().unwrap();
    let bound = |layout: &ImageLayout| {
        let rows = scored_with_any_unit(layout, &card, "latent");
        let path = folder.path().join("reference.parquet");
        let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        let settings = LatentDrift {
            reference_latent: "m_latent".into(),
            reference_probability: "m_probability".into(),
            window: Some(30),
            ..LatentDrift::new("m", path)
        };
        let bound = settings.build("drift").and_then(|mut drift| drift.bind(&stream, &Default::default()));
        bound.map_err(|mistakes| mistakes[0].message.clone())
    };
    assert!(bound(&images(Unit::NanoJansky)).is_ok());
    let why = bound(&images(Unit::Electron)).unwrap_err();
    assert!(why.ends_with("cannot be compared with those of `m`: unit `electron`, expected `nJy`"), "{why}");
    let why = bound(&images(Unit::NanoJansky).with_pixel_scale(0.168)).unwrap_err();
    assert!(why.ends_with("pixel scale 0.168 arcsec, expected 0.2 arcsec"), "{why}");
}
