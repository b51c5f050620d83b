//! Models with every kind of head and of input, against Python's onnxruntime: `tests/golden/onnx_heads/make.py`.

use std::{collections::BTreeMap, fs, fs::File, path::Path, sync::Arc};

use arrow::{
    array::{AsArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array},
    datatypes::{DataType, Field, Int32Type, Schema},
};
use lucarne::{
    batch::{ImageLayout, OBJECT_ID, ORIGIN, ROW, Unit, list_column, list_values},
    error::Code,
    score::onnx::{CardProposal, CardSource, Device, Onnx, OnnxScorer, propose_card},
    stage::{Rejects, RunContext, Scorer},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

const FOLDER: &str = "tests/golden/onnx_heads";

/// What the models see.
#[derive(Deserialize)]
struct GoldenInputs {
    images: Vec<Vec<f32>>,
    templates: Vec<Vec<f32>>,
    columns: Vec<[f64; 2]>,
    counts: Vec<[i64; 2]>,
}

/// The settings of a score that a model needs beside its card.
#[derive(Deserialize)]
struct FurtherSettings {
    #[serde(default)]
    images: BTreeMap<String, String>,
    #[serde(default)]
    columns: BTreeMap<String, String>,
}

fn inputs() -> GoldenInputs {
    serde_json::from_str(&fs::read_to_string(Path::new(FOLDER).join("inputs.json")).unwrap()).unwrap()
}

fn layout(unit: Unit) -> ImageLayout {
    ImageLayout::new(["g", "r", "i"], 6, 8, unit)
}

fn batch(inputs: &GoldenInputs) -> RecordBatch {
    let rows = inputs.images.len();
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    let fields = vec![
        Field::new(ROW, DataType::UInt64, false),
        Field::new(OBJECT_ID, DataType::Utf8, false),
        Field::new(ORIGIN, DataType::Utf8, false),
        layout(Unit::Stretched).field("image"),
        layout(Unit::NanoJansky).field("template_image"),
        number("magnitude"),
        number("age"),
        Field::new("visits", DataType::Int64, false),
        Field::new("offset", DataType::Int64, false),
    ];
    let names = Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("galaxy-{i}"))));
    let column = |i: usize| Arc::new(inputs.columns.iter().map(|row| Some(row[i])).collect::<Float64Array>());
    let image = |images: &[Vec<f32>]| list_column(images.concat(), layout(Unit::Stretched).pixels()).unwrap();
    let (image, template) = (image(&inputs.images), image(&inputs.templates));
    let numbers: UInt64Array = (0..rows as u64).collect();
    let count = |i: usize| Arc::new(inputs.counts.iter().map(|row| row[i]).collect::<Int64Array>());
    let mut columns =
        vec![Arc::new(numbers) as _, names.clone() as _, names as _, image, template, column(0), column(1)];
    columns.extend([count(0) as _, count(1) as _]);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

/// A scorer of every model, bound and started, and the columns that it should add.
fn scorers(folder: &Path, schema: &Schema) -> Vec<(String, OnnxScorer, BTreeMap<String, Vec<f32>>)> {
    let file = File::open(Path::new(FOLDER).join("heads.parquet")).unwrap();
    let batch = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().next().unwrap().unwrap();
    let text =
        |column: &str, row: usize| batch.column_by_name(column).unwrap().as_string::<i32>().value(row).to_owned();
    let models = batch.column_by_name("model").unwrap().as_binary::<i32>();
    let scorer = |row: usize| {
        let path = folder.join(format!("{row}.onnx"));
        fs::write(&path, models.value(row)).unwrap();
        let card = Some(CardSource::Keys(serde_json::from_str(&text("card", row)).unwrap()));
        let FurtherSettings { images, columns } = serde_json::from_str(&text("settings", row)).unwrap();
        let name = text("name", row);
        let settings = Onnx { card, images, columns, device: Device::Cpu, ..Onnx::new(path, "image") };
        let mut scorer = OnnxScorer::new("m", settings);
        scorer.bind(schema).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
        let run = RunContext { seed: 1, threads: 2, batch_rows: 32, ..RunContext::default() };
        scorer.start(&run).unwrap_or_else(|error| panic!("{name}: {}", error.report()));
        (name, scorer, serde_json::from_str(&text("expected", row)).unwrap())
    };
    (0..batch.num_rows()).map(scorer).collect()
}

#[test]
fn every_head_gives_the_answers_of_onnxruntime_in_python() {
    let rows = batch(&inputs());
    let folder = tempfile::tempdir().unwrap();
    let scorers = scorers(folder.path(), &rows.schema());
    assert_eq!(scorers.len(), 11);
    for (name, scorer, expected) in scorers {
        let scored = scorer.score(rows.clone(), &mut Rejects::default()).unwrap();
        assert_eq!(scored.num_rows(), rows.num_rows(), "{name}");
        for (column, expected) in expected {
            let (found, _) = list_values(&scored, &format!("m_{column}")).unwrap();
            assert_eq!(found.len(), expected.len(), "{name}: {column}");
            for (found, expected) in found.iter().zip(&expected) {
                let tolerance = 1e-6 * expected.abs().max(1.0);
                assert!((found - expected).abs() <= tolerance, "{name}: {column} {found} {expected}");
            }
        }
    }
}

#[test]
fn a_row_without_a_number_for_the_model_is_rejected_with_the_column() {
    let mut inputs = inputs();
    inputs.columns[2][1] = f64::NAN;
    let rows = batch(&inputs);
    let folder = tempfile::tempdir().unwrap();
    let scorers = scorers(folder.path(), &rows.schema());
    let (_, scorer, _) = scorers.into_iter().find(|(name, ..)| name == "three inputs").unwrap();
    let mut rejects = Rejects::default();
    let scored = scorer.score(rows, &mut rejects).unwrap();
    assert_eq!((scored.num_rows(), rejects.rejected.len(), rejects.rejected[0].row), (6, 1, 2));
    assert_eq!(rejects.rejected[0].reason, "column `age` is NaN, expected a finite number");
}

#[test]
fn a_card_can_be_proposed_for_a_class_map_with_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let scorers = scorers(folder.path(), &batch(&inputs()).schema());
    let place = scorers.iter().position(|(name, ..)| name == "class map").unwrap();
    let CardProposal { card, unknown, .. } = propose_card(&folder.path().join(format!("{place}.onnx")), None).unwrap();
    assert!(card.contains("head: softmax\n") && card.contains("classes: [\"a\", \"b\", \"c\"]\n"), "{card}");
    assert!(card.contains("logits: \"map\"\n"), "{card}");
    assert_eq!(unknown, ["bands", "pixel_scale_arcsec", "unit"]);
}

#[test]
fn an_input_that_the_card_names_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows = batch(&inputs());
    let place = scorers(folder.path(), &rows.schema()).iter().position(|(name, ..)| name == "three inputs").unwrap();
    let template = serde_json::json!({ "input": "template", "bands": ["g", "r", "i"], "size": [6, 8], "unit": "nJy" });
    let card = serde_json::json!({
        "format": 3, "head": "sigmoid", "classes": ["bogus", "real"], "bands": ["g", "r", "i"], "size": [6, 8],
        "pixel_scale_arcsec": "any", "unit": "stretched", "images": [template, template],
        "columns": [{ "input": "meta", "columns": ["magnitude", "age"] }],
    });
    let images = [("template".to_owned(), "template_image".to_owned())].into();
    let settings = Onnx {
        card: Some(CardSource::Keys(card)),
        images,
        ..Onnx::new(folder.path().join(format!("{place}.onnx")), "image")
    };
    let mut twice = OnnxScorer::new("m", settings.clone());
    assert_eq!(twice.bind(&rows.schema()).unwrap_err()[0].message, "the card names the input `template` twice");
    let missing = Onnx { card: Some(CardSource::File("not_there.yaml".into())), ..settings };
    let wrong = OnnxScorer::new("m", missing).bind(&rows.schema()).unwrap_err();
    assert_eq!(
        (wrong[0].code, wrong[0].message.starts_with("cannot read the card `not_there.yaml`")),
        (Code::MissingFile, true)
    );
}

#[test]
fn a_row_whose_integer_does_not_fit_its_input_is_rejected_with_the_range() {
    let folder = tempfile::tempdir().unwrap();
    for (model, [low, high]) in [("int8 columns", [-128_i64, 127]), ("int64 columns", [-(1 << 24), 1 << 24])] {
        let mut inputs = inputs();
        (inputs.counts[1], inputs.counts[3], inputs.counts[4]) = ([low, high], [high + 1, 0], [0, low - 1]);
        let rows = batch(&inputs);
        let scorers = scorers(folder.path(), &rows.schema());
        let (_, scorer, _) = scorers.into_iter().find(|(name, ..)| name == model).unwrap();
        let mut rejects = Rejects::default();
        let scored = scorer.score(rows, &mut rejects).unwrap();
        let reasons: Vec<(usize, &str)> =
            rejects.rejected.iter().map(|reject| (reject.row as usize, reject.reason.as_str())).collect();
        let reason = |column: &str, found: i64| {
            format!("column `{column}` is {found}, expected a whole number from {low} to {high}")
        };
        assert_eq!(scored.num_rows(), 5, "{model}");
        assert_eq!(reasons, [(3, reason("visits", high + 1).as_str()), (4, reason("offset", low - 1).as_str())]);
    }
}

#[test]
fn a_threshold_moves_the_class_of_a_sigmoid_and_not_its_probability() {
    let rows = batch(&inputs());
    let folder = tempfile::tempdir().unwrap();
    let classes = |threshold: Option<f64>| {
        let card = serde_json::json!({
            "format": 3, "head": "sigmoid", "classes": ["bogus", "real"], "bands": ["g", "r", "i"], "size": [6, 8],
            "pixel_scale_arcsec": "any", "unit": "stretched", "logits": "logit",
        });
        // The seventh model of the file has one logit.
        let path = folder.path().join("6.onnx");
        let card = Some(CardSource::Keys(card));
        let mut scorer =
            OnnxScorer::new("m", Onnx { card, threshold, device: Device::Cpu, ..Onnx::new(path, "image") });
        scorer.bind(&rows.schema()).unwrap();
        scorer.start(&RunContext { seed: 1, threads: 1, batch_rows: 32, ..RunContext::default() }).unwrap();
        let scored = scorer.score(rows.clone(), &mut Rejects::default()).unwrap();
        let class = scored.column_by_name("m_class").unwrap().as_dictionary::<Int32Type>().keys().values().to_vec();
        (class, list_values(&scored, "m_probability").unwrap().0.to_vec())
    };
    scorers(folder.path(), &rows.schema());
    let (class, probabilities) = classes(None);
    let mut sorted: Vec<f32> = probabilities.chunks_exact(2).map(|row| row[1]).collect();
    assert_eq!(class, sorted.iter().map(|p| i32::from(*p > 0.5)).collect::<Vec<_>>());
    sorted.sort_by(f32::total_cmp);
    let threshold = f64::midpoint(f64::from(sorted[2]), f64::from(sorted[3]));
    let (moved, same) = classes(Some(threshold));
    assert_eq!(same, probabilities);
    assert_eq!(moved.iter().sum::<i32>(), 4, "four of seven are above the third smallest");
}

/// What binding says of a model of the file whose card or settings are changed.
fn refused(name: &str, card: &[(&str, serde_json::Value)], columns: &[(&str, &str)]) -> String {
    let file = File::open(Path::new(FOLDER).join("heads.parquet")).unwrap();
    let batch = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().next().unwrap().unwrap();
    let text = |column: &str| batch.column_by_name(column).unwrap().as_string::<i32>().clone();
    let row = text("name").iter().position(|found| found == Some(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, batch.column_by_name("model").unwrap().as_binary::<i32>().value(row)).unwrap();
    let mut keys: serde_json::Value = serde_json::from_str(text("card").value(row)).unwrap();
    for (key, value) in card {
        keys[*key] = value.clone();
    }
    let FurtherSettings { images, columns: mut own } = serde_json::from_str(text("settings").value(row)).unwrap();
    own.extend(columns.iter().map(|(name, column)| ((*name).to_owned(), (*column).to_owned())));
    let settings = Onnx {
        card: Some(CardSource::Keys(keys)),
        images,
        columns: own,
        device: Device::Cpu,
        ..Onnx::new(path, "image")
    };
    let wrong = OnnxScorer::new("m", settings).bind(&self::batch(&inputs()).schema()).expect_err("refused");
    wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn cards_that_say_something_else_than_the_graph_or_its_answers_are_refused() {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for (name, key, value, expected) in [
        (
            "class map",
            "classes",
            r#"["b", "a", "c"]"#,
            "is a map of the classes `a`, `b`, `c`, the card has `b`, `a`, `c`",
        ),
        ("softmax by hand", "output", "null", "does not tell whether output `p` holds logits or probabilities"),
        ("softmax by hand", "output", r#""logits""#, "are probabilities, taken for logits"),
        ("softmax by hand", "classes", r#"["a", "b", "TODO"]"#, "a class is called `TODO`"),
        ("flat logit", "output", r#""probabilities""#, "ends in sums of products, which have no bounds"),
        ("multilabel", "head", r#""softmax""#, "ends in Sigmoid, and the head of the card is `softmax`"),
        ("log softmax", "scale", "0", "a scale other than 0"),
        ("log softmax", "bands", r#"["g", "r"]"#, "the card declares images of 2 bands"),
    ] {
        let found = refused(name, &[(key, json(value))], &[]);
        assert!(found.contains(expected), "{name}: {found}");
    }
    let found = refused("three inputs", &[], &[("age_day", "age")]);
    assert!(found.contains("the card gives the model no column `age_day`"), "{found}");
}
