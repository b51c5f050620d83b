//! Models of every form that people have, against Python's onnxruntime: `tests/golden/onnx_matrix/make.py`.

use std::{fs, fs::File, path::Path, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Float32Type, Schema},
};
use lucarne::{
    batch::{ImageLayout, OBJECT_ID, ORIGIN, ROW, Unit, list_column, list_values},
    score::onnx::{CardSource, Device, Onnx, OnnxScorer},
    stage::{Rejects, RunContext, Scorer},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

const FOLDER: &str = "tests/golden/onnx_matrix";

/// A model of the matrix, and what Python's onnxruntime answers.
struct MatrixModel {
    name: String,
    model: Vec<u8>,
    beside: Option<Vec<u8>>,
    card: serde_json::Value,
    probabilities: Vec<f32>,
    latents: Vec<f32>,
}

fn matrix() -> Vec<MatrixModel> {
    let file = File::open(Path::new(FOLDER).join("matrix.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut models = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().clone();
        let (names, cards) = (column("name"), column("card"));
        let (model, beside) = (column("model"), column("beside"));
        let numbers = |name: &str, row: usize| {
            let lists = column(name);
            let lists = lists.as_list::<i32>();
            let values = lists.is_valid(row).then(|| lists.value(row));
            values.map_or_else(Vec::new, |values| values.as_primitive::<Float32Type>().values().to_vec())
        };
        for row in 0..batch.num_rows() {
            let beside = beside.as_binary::<i32>();
            models.push(MatrixModel {
                name: names.as_string::<i32>().value(row).to_owned(),
                model: model.as_binary::<i32>().value(row).to_vec(),
                beside: beside.is_valid(row).then(|| beside.value(row).to_vec()),
                card: serde_json::from_str(cards.as_string::<i32>().value(row)).unwrap(),
                probabilities: numbers("probabilities", row),
                latents: numbers("latents", row),
            });
        }
    }
    models
}

fn images() -> Vec<Vec<f32>> {
    serde_json::from_str(&fs::read_to_string(Path::new(FOLDER).join("images.json")).unwrap()).unwrap()
}

fn layout() -> ImageLayout {
    ImageLayout::new(["g", "r", "i"], 6, 8, Unit::Stretched)
}

fn batch(images: &[Vec<f32>]) -> RecordBatch {
    let fields = vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
        layout().field("image"),
    ];
    let rows: UInt64Array = (0..images.len() as u64).collect();
    let names = Arc::new(StringArray::from_iter_values((0..images.len()).map(|i| format!("galaxy-{i}"))));
    let pixels = list_column(images.concat(), layout().pixels()).unwrap();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(rows), names.clone(), names, pixels]).unwrap()
}

/// Writes a model into a folder, and starts it.
fn started(model: &MatrixModel, folder: &Path) -> OnnxScorer {
    let path = folder.join("model.onnx");
    fs::write(&path, &model.model).unwrap();
    if let Some(beside) = &model.beside {
        fs::write(folder.join("model.onnx.data"), beside).unwrap();
    }
    let card = Some(CardSource::Keys(model.card.clone()));
    let mut scorer = OnnxScorer::new("m", Onnx { card, device: Device::Cpu, ..Onnx::new(path, "image") });
    scorer
        .bind(&Schema::new(vec![layout().field("image")]))
        .unwrap_or_else(|wrong| panic!("{}: {wrong:?}", model.name));
    let run = RunContext { seed: 1, threads: 2, batch_rows: 32, ..RunContext::default() };
    scorer.start(&run).unwrap_or_else(|error| panic!("{}: {}", model.name, error.report()));
    scorer
}

fn largest_difference(found: &[f32], expected: &[f32], name: &str) -> f32 {
    assert_eq!(found.len(), expected.len(), "{name}");
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_form_of_a_model_gives_the_answers_of_onnxruntime_in_python() {
    let (images, models) = (images(), matrix());
    assert_eq!(models.len(), 2 * 3 * 4 * 2 * 2);
    for model in &models {
        let folder = tempfile::tempdir().unwrap();
        let scorer = started(model, folder.path());
        let mut rejects = Rejects::default();
        let scored = scorer.score(batch(&images), &mut rejects).unwrap();
        assert_eq!((scored.num_rows(), rejects.rejected.len()), (images.len(), 0), "{}", model.name);
        if model.probabilities.is_empty() {
            assert!(scored.column_by_name("m_class").is_none(), "{}: an encoder has no class", model.name);
        } else {
            let (found, _) = list_values(&scored, "m_probability").unwrap();
            let largest = largest_difference(found, &model.probabilities, &model.name);
            assert!(largest < 1e-6, "{}: {largest}", model.name);
        }
        let (latents, length) = list_values(&scored, "m_latent").unwrap();
        assert_eq!(length, 5);
        let largest = largest_difference(latents, &model.latents, &model.name);
        assert!(largest < 1e-5, "{}: {largest}", model.name);
    }
}

#[test]
fn a_pixel_of_a_model_of_any_form_is_changed_as_in_the_complete_image() {
    let image = &images()[0];
    for model in matrix().iter().filter(|model| !model.probabilities.is_empty() && model.beside.is_none()) {
        let folder = tempfile::tempdir().unwrap();
        let scorer = started(model, folder.path());
        let network = scorer.model().unwrap();
        let mut evaluator = network.pixel_evaluator(image).unwrap();
        let mut logits = Vec::new();
        evaluator.logits(1, &[19], &[1.0, 0.0, 1.0], &mut logits).unwrap();
        let mut changed = image.clone();
        for (band, value) in [1.0, 0.0, 1.0].into_iter().enumerate() {
            changed[band * 48 + 19] = value;
        }
        let expected = network.evaluate(&changed).unwrap().logits;
        assert!(largest_difference(&logits, &expected, &model.name) < 1e-4, "{}", model.name);
    }
}

#[test]
fn the_head_of_a_model_of_any_form_gives_its_logits() {
    let images = images();
    for model in matrix().iter().filter(|model| !model.probabilities.is_empty()) {
        let folder = tempfile::tempdir().unwrap();
        let scorer = started(model, folder.path());
        let network = scorer.model().unwrap();
        let outputs = network.evaluate(&images.concat()).unwrap();
        let logits = network.head(&outputs.latents).unwrap();
        // In half precision the head is computed in single precision from rounded latents.
        let tolerance = if model.name.contains("float16") { 2e-2 } else { 1e-5 };
        assert!(largest_difference(&logits, &outputs.logits, &model.name) < tolerance, "{}", model.name);
    }
}
