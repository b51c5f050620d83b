//! The sections of `roc` and `regression`, of scores that were computed before: their columns are in the files that are read.

use std::{fs, fs::File, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, DictionaryArray, Float64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int32Type, Schema},
};
use lucarne::{
    batch::{list_column, list_type, metadata_list},
    pipeline::Pipeline,
    query::Run,
    report::Report,
};
use parquet::arrow::ArrowWriter;

use super::{page, structure};

const ROWS: usize = 300;
const SCORED: &str = r#"
parameters: { scored: "" }
source:
  parquet: { paths: ["${scored}"] }
monitor:
  separated: { roc: { score: [sharp, blunt], positive: real, window: 100 } }
  photoz: { regression: { truth: redshift, score: [near, far], one_plus_truth: true, outlier_above: 0.1, window: 60 } }
sink:
  objects: { parquet: {} }
"#;

/// A number in [0, 1) from a counter: the finaliser of SplitMix64.
fn uniform(counter: usize) -> f64 {
    let mut z = (counter as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Objects with two scores of two classes, and two of a redshift.
fn write_scored(path: &Path) {
    let with =
        |field: Field, key: &str, names: &[&str]| field.with_metadata([(key.to_owned(), metadata_list(names))].into());
    let mut fields = vec![Field::new("object_id", DataType::Utf8, false), Field::new("label", DataType::Utf8, false)];
    let is_real = |row: usize| row.is_multiple_of(3);
    let ids = StringArray::from_iter_values((0..ROWS).map(|row| format!("galaxy-{row}")));
    let labels = StringArray::from_iter_values((0..ROWS).map(|row| if is_real(row) { "real" } else { "bogus" }));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(labels)];
    for (name, strength) in [("sharp", 0.7), ("blunt", 0.2)] {
        let probability = |row: usize| {
            let towards = if is_real(row) { 1.0 } else { 0.0 };
            (strength * towards + (1.0 - strength) * uniform(row)) as f32
        };
        let classes: DictionaryArray<Int32Type> =
            (0..ROWS).map(|row| if probability(row) > 0.5 { "real" } else { "bogus" }).collect();
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        fields.push(with(Field::new(format!("{name}_class"), dictionary, false), "classes", &["bogus", "real"]));
        fields.push(with(
            Field::new(format!("{name}_probability"), list_type(2), false),
            "classes",
            &["bogus", "real"],
        ));
        columns.push(Arc::new(classes));
        columns.push(
            list_column((0..ROWS).flat_map(|row| [1.0 - probability(row), probability(row)]).collect(), 2).unwrap(),
        );
    }
    let truth = |row: usize| 1.5 * uniform(row + 1000);
    fields.push(Field::new("redshift", DataType::Float64, false));
    columns.push(Arc::new((0..ROWS).map(truth).collect::<Float64Array>()));
    for (name, scatter, every) in [("near", 0.04, 50), ("far", 0.15, 7)] {
        let value = |row: usize| {
            let outlier = if row.is_multiple_of(every) { 0.8 } else { 0.0 };
            (truth(row) + scatter * (uniform(row + 5000) - 0.4) * (1.0 + truth(row)) + outlier) as f32
        };
        for part in ["value", "error"] {
            fields.push(with(Field::new(format!("{name}_{part}"), list_type(2), false), "names", &["mass", "z"]));
        }
        columns.push(list_column((0..ROWS).flat_map(|row| [9.5, value(row)]).collect(), 2).unwrap());
        columns.push(list_column([0.1, 0.05].repeat(ROWS), 2).unwrap());
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

#[test]
fn shows_curves_with_their_areas_and_values_against_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let (scored, run) = (folder.path().join("scored.parquet"), folder.path().join("run"));
    write_scored(&scored);
    let pipeline = Pipeline::from_yaml(SCORED).set("scored", scored.display().to_string());
    pipeline.configure("photoz:value", "z").run(&run).unwrap();
    let html = page(&run);
    assert!(!html.contains("cannot be shown"), "a section failed: {html}");
    let names = ["separated", "separated-windows", "photoz", "photoz-near", "photoz-far", "photoz-windows"];
    let figures = Report::open(&run).unwrap().figures(&super::scratch("curves")).unwrap();
    for name in names {
        assert!(html.contains(&format!("<figure id=\"figure-{name}\">")), "missing figure `{name}`");
        let svg = figures.iter().find(|path| path.file_stem().is_some_and(|stem| stem == name)).unwrap();
        let svg = fs::read_to_string(svg).unwrap();
        structure::check(name, &svg);
        // The scores do not depend on the machine, so the areas do not either.
        let areas = ["sharp: AUC 1.000", "sharp: AP 1.000", "blunt: AUC 0.7"];
        assert!(name != "separated" || areas.iter().all(|area| svg.contains(area)), "{svg}");
    }
}

/// The errors beside the values are seen whether or not a sink keeps them.
#[test]
fn a_regression_without_a_sink_has_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let scored = folder.path().join("scored.parquet");
    write_scored(&scored);
    let table = |yaml: &str, run: &str| {
        let run = folder.path().join(run);
        let pipeline = Pipeline::from_yaml(yaml).set("scored", scored.display().to_string());
        pipeline.configure("photoz:value", "z").run(&run).unwrap();
        let run = Run::open(&run).unwrap();
        run.query("select * from photoz").unwrap().map(Result::unwrap).collect::<Vec<RecordBatch>>()
    };
    let kept = table(SCORED, "kept");
    assert_eq!(kept[0]["within_error"].null_count(), 0);
    assert_eq!(table(SCORED.split("sink:").next().unwrap(), "bare"), kept);
}
